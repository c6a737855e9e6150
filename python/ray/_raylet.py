"""Classes that libraries import from the native module of today's API, mostly for `isinstance`."""

from ray._core import ObjectRef
from ray.ids import (
    ActorClassID,
    ActorID,
    BaseID,
    ClusterID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from ray.language import Language

ObjectID = ObjectRef

__all__ = [
    "ActorClassID",
    "ActorID",
    "BaseID",
    "ClusterID",
    "FunctionID",
    "GcsClient",
    "JobID",
    "Language",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
]


class GcsClient:
    """The cluster's key-value store, of the cluster this process is in.

    Args:
        address (str | None): kept as an attribute.
    """

    def __init__(self, address=None, **others):
        self.address = address

    def internal_kv_get(self, key, namespace=None, timeout=None):
        from ray.experimental import internal_kv

        return internal_kv._internal_kv_get(key, namespace=namespace)

    def internal_kv_put(self, key, value, overwrite=True, namespace=None, timeout=None):
        from ray.experimental import internal_kv

        return int(not internal_kv._internal_kv_put(key, value, overwrite, namespace=namespace))

    def internal_kv_del(self, key, del_by_prefix=False, namespace=None, timeout=None):
        from ray.experimental import internal_kv

        return internal_kv._internal_kv_del(key, del_by_prefix=del_by_prefix, namespace=namespace)

    def internal_kv_keys(self, prefix, namespace=None, timeout=None):
        from ray.experimental import internal_kv

        return internal_kv._internal_kv_list(prefix, namespace=namespace)

    def internal_kv_exists(self, key, namespace=None, timeout=None):
        return self.internal_kv_get(key, namespace) is not None


def __getattr__(name):
    # Named late: their module need not be loaded to look at an id.
    if name in ("ObjectRefGenerator", "DynamicObjectRefGenerator"):
        import ray

        return getattr(ray, name)
    if name == "StreamingObjectRefGenerator":
        import ray

        return ray.ObjectRefGenerator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
