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
from ray.modes import LOCAL_MODE, PYTHON_MODE, SCRIPT_MODE, SHELL_MODE, SILENT_MODE, WORKER_MODE

ObjectID = ObjectRef
__version__ = "2.60.0"
"""The version of the API that is offered; libraries parse it. `ray.raio_version` is this package's own."""
raio_version = "0.1.0"
__commit__ = "raio"

_LAZY = {
    "DynamicObjectRefGenerator": "ray.generators",
    "as_completed": "ray.api",
    "available_resources": "ray.state",
    "cluster_resources": "ray.state",
    "nodes": "ray.state",
    "get_runtime_context": "ray.runtime_context",
    "method": "ray.actor",
    "visualize_computation_graph": "ray.graph",
}
_LAZY_MODULES = {"actor", "cloudpickle", "util", "ids", "graph", "state", "runtime_context", "serialization", "signatures"}


def __getattr__(name):
    import importlib

    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _LAZY_MODULES:
        return importlib.import_module(f"ray.{name}")
    raise AttributeError(f"module 'ray' has no attribute {name!r}")


__all__ = [
    "LOCAL_MODE",
    "PYTHON_MODE",
    "SCRIPT_MODE",
    "SHELL_MODE",
    "SILENT_MODE",
    "WORKER_MODE",
    "DynamicObjectRefGenerator",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "__version__",
    "as_completed",
    "available_resources",
    "cancel",
    "cluster_resources",
    "exceptions",
    "explain",
    "get",
    "get_actor",
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
    "visualize_computation_graph",
    "wait",
]
