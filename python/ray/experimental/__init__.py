"""What today's API calls experimental: where objects are, a key-value store, progress bars of workers."""

_LAZY = {"get_object_locations": "ray.experimental.locations", "get_local_object_locations": "ray.experimental.locations"}
_LAZY_MODULES = {"internal_kv": "ray.experimental.internal_kv", "tqdm_ray": "ray.experimental.tqdm_ray", "queue": "ray.util.queue"}


def __getattr__(name):
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _LAZY_MODULES:
        return importlib.import_module(_LAZY_MODULES[name])
    raise AttributeError(f"module 'ray.experimental' has no attribute {name!r}")


__all__ = ["get_local_object_locations", "get_object_locations"]
