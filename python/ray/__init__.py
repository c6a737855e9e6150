"""raio: a distributed execution engine for Python. `pip install raio`, then `import ray`.

>>> import ray
>>> ray.services.start_ray_local(num_workers=2)
>>> @ray.remote([int, int], [int])
... def add(a, b):
...     return a + b
>>> ray.get(add.remote(1, 2))
3
>>> ray.shutdown()

What is not needed to start is imported when it is first used.
"""

from ray import exceptions, services
from ray._core import ObjectRef, ObjectRefGenerator
from ray.api import (
    cancel,
    explain,
    get,
    get_actor,
    init,
    is_initialized,
    kill,
    put,
    remote,
    shutdown,
    wait,
)
from ray.modes import (
    LOCAL_MODE,
    PYTHON_MODE,
    RESTORE_WORKER_MODE,
    SCRIPT_MODE,
    SHELL_MODE,
    SILENT_MODE,
    SPILL_WORKER_MODE,
    WORKER_MODE,
)

ObjectID = ObjectRef
__version__ = "2.60.0"
"""The version of the API that is offered; libraries parse it. `ray.raio_version` is this package's own."""
raio_version = "0.1.0"
__commit__ = "raio"

_IDS = (
    "ActorClassID",
    "ActorID",
    "ClusterID",
    "FunctionID",
    "JobID",
    "NodeID",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
)
_LAZY = {
    "DynamicObjectRefGenerator": "ray.generators",
    **dict.fromkeys(_IDS, "ray.ids"),
    "Language": "ray.language",
    "LoggingConfig": "ray.logging_config",
    "as_completed": "ray.api",
    "available_resources": "ray.state",
    "cluster_resources": "ray.state",
    "get_gpu_ids": "ray.accelerators",
    "get_runtime_context": "ray.runtime_context",
    "method": "ray.actor",
    "nodes": "ray.state",
    "timeline": "ray.state",
    "visualize_computation_graph": "ray.graph",
}
# Name -> module: the same, but where an old name stands for one that exists under another.
_LAZY_MODULES = {
    **{
        name: f"ray.{name}"
        for name in (
            "actor",
            "api",
            "cloudpickle",
            "context",
            "experimental",
            "graph",
            "ids",
            "internal",
            "job_config",
            "remote_function",
            "runtime_context",
            "runtime_env",
            "serialization",
            "signatures",
            "state",
            "types",
            "util",
            "worker",
        )
    },
    "ray_constants": "ray._private.ray_constants",
    "_private": "ray._private",
    "_raylet": "ray._raylet",
    "_common": "ray._common",
}


def __getattr__(name):
    import importlib

    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _LAZY_MODULES:
        module = globals()[name] = importlib.import_module(_LAZY_MODULES[name])
        return module
    raise AttributeError(f"module 'ray' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY, *_LAZY_MODULES})


__all__ = [
    "LOCAL_MODE",
    "PYTHON_MODE",
    "RESTORE_WORKER_MODE",
    "SCRIPT_MODE",
    "SHELL_MODE",
    "SILENT_MODE",
    "SPILL_WORKER_MODE",
    "WORKER_MODE",
    "ActorClassID",
    "ActorID",
    "ClusterID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "Language",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "__version__",
    "as_completed",
    "available_resources",
    "cancel",
    "cluster_resources",
    "exceptions",
    "explain",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "services",
    "shutdown",
    "timeline",
    "visualize_computation_graph",
    "wait",
]
