"""What is useful beside the core: pools of actors, queues, placement groups, helpers. Most parts are imported when first used."""

# Not when first used: the module and its function have one name, and the function is what `ray.util.placement_group` is.
from ray.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

_LAZY = {
    "ActorPool": "ray.util.actor_pool",
    "as_completed": "ray.util.helpers",
    "deregister_serializer": "ray.serialization",
    "disable_log_once_globally": "ray.util.debug",
    "enable_periodic_logging": "ray.util.debug",
    "inspect_serializability": "ray.serialization",
    "log_once": "ray.util.debug",
    "map_unordered": "ray.util.helpers",
    "register_serializer": "ray.serialization",
}
_LAZY_MODULES = {
    "accelerators",
    "actor_pool",
    "annotations",
    "check_serialize",
    "client",
    "dask",
    "debug",
    "helpers",
    "joblib",
    "metrics",
    "multiprocessing",
    "queue",
    "rpdb",
    "scheduling_strategies",
    "serialization",
    "state",
}
_RENAMED_MODULES = {"pdb": "rpdb"}


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
    if name in _LAZY_MODULES or name in _RENAMED_MODULES:
        module = importlib.import_module(f"ray.util.{_RENAMED_MODULES.get(name, name)}")
        globals()[name] = module
        return module
    raise AttributeError(f"module 'ray.util' has no attribute {name!r}")


__all__ = [
    "ActorPool",
    "accelerators",
    "as_completed",
    "deregister_serializer",
    "disable_log_once_globally",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "pdb",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
]
