"""What is useful beside the core: pools of actors, queues, helpers. Each part is imported when first used."""

_LAZY = {"ActorPool": "ray.util.actor_pool"}
_LAZY_MODULES = {"actor_pool", "queue"}


def list_named_actors(all_namespaces=False):
    """The names of the actors that live.

    Args:
        all_namespaces (bool): of all namespaces, not only this program's.

    Returns:
        list: names; with `all_namespaces`, dicts with "name" and "namespace".
    """
    from ray import _core
    from ray.api import _auto_init
    from ray.runtime_context import current_namespace

    if not _core.is_connected():
        _auto_init()
    alive = [row for row in _core.list_actors() if row["name"] and row["state"] != "DEAD"]
    if all_namespaces:
        return [{"name": row["name"], "namespace": row["namespace"]} for row in alive]
    here = current_namespace()
    return [row["name"] for row in alive if row["namespace"] == here]


def get_node_ip_address():
    """str: this machine's address. A cluster on one machine opens no port: nobody outside needs one."""
    return "127.0.0.1"


def __getattr__(name):
    import importlib

    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _LAZY_MODULES:
        return importlib.import_module(f"ray.util.{name}")
    raise AttributeError(f"module 'ray.util' has no attribute {name!r}")


__all__ = ["ActorPool", "get_node_ip_address", "list_named_actors"]
