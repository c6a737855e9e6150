"""The public names as type checkers see them; what they do is told beside them, in the modules they come from."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, Unpack, overload

from ray import actor as actor
from ray import cloudpickle as cloudpickle
from ray import exceptions as exceptions
from ray import experimental as experimental
from ray import graph as graph
from ray import ids as ids
from ray import internal as internal
from ray import job_config as job_config
from ray import remote_function as remote_function
from ray import runtime_context as runtime_context
from ray import runtime_env as runtime_env
from ray import serialization as serialization
from ray import services as services
from ray import signatures as signatures
from ray import state as state
from ray import types as types
from ray import util as util
from ray import worker as worker
from ray._core import ObjectRef as ObjectRef
from ray._core import ObjectRefGenerator as ObjectRefGenerator
from ray.actor import ActorClass, ActorHandle
from ray.actor import method as method
from ray.context import RayContext
from ray.generators import DynamicObjectRefGenerator as DynamicObjectRefGenerator
from ray.ids import (
    ActorClassID,
    ActorID,
    ClusterID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from ray.job_config import JobConfig
from ray.language import Language
from ray.logging_config import LoggingConfig
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
from ray.remote_function import (
    RemoteFunction,
    _Decorator,
    _DecoratorForDynamic,
    _DecoratorForMany,
    _DecoratorForNone,
    _DecoratorOptions,
    _TypedDecorator,
)
from ray.runtime_context import RuntimeContext

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Waitable: TypeAlias = ObjectRef[Any] | ObjectRefGenerator[Any]

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

ObjectID = ObjectRef
__version__: str
__commit__: str
raio_version: str

# -- starting and stopping -------------------------------------------------------------------------------------------------

def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: dict[str, float] | None = None,
    labels: dict[str, str] | None = None,
    object_store_memory: int | None = None,
    local_mode: bool = False,
    ignore_reinit_error: bool = False,
    include_dashboard: bool | None = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int | None = None,
    job_config: JobConfig | dict[str, Any] | None = None,
    configure_logging: bool = True,
    logging_level: int | str | None = None,
    logging_format: str | None = None,
    logging_config: LoggingConfig | None = None,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    enable_resource_isolation: bool = False,
    start_ray_local: bool | None = None,
    num_workers: int | None = None,
    num_objstores: int | None = None,
    scheduler_address: str | None = None,
    node_ip_address: str | None = None,
    driver_mode: int | None = None,
    **others: Any,
) -> RayContext: ...
def shutdown(*, wait_for_processes: bool = False, _exiting_interpreter: bool = False) -> None: ...
def is_initialized() -> bool: ...

# -- remote functions ------------------------------------------------------------------------------------------------------

@overload
def remote(cls: type[Any], /) -> ActorClass: ...  # type: ignore[overload-overlap]  # classes are callables too
@overload
def remote(  # type: ignore[overload-overlap]  # functions that yield come before others
    function: Callable[_P, Iterator[_T]], /
) -> RemoteFunction[Callable[_P, Iterator[_T]], ObjectRefGenerator[_T]]: ...
@overload
def remote(function: Callable[_P, _T], /) -> RemoteFunction[Callable[_P, _T], ObjectRef[_T]]: ...
@overload
def remote(arg_types: list[Any], return_types: list[Any], /, **options: Unpack[_DecoratorOptions]) -> _TypedDecorator: ...
@overload
def remote(*, typed: bool = False, **options: Unpack[_DecoratorOptions]) -> _Decorator: ...
@overload
def remote(  # type: ignore[overload-overlap]  # 1 and 0 are integers, and come first
    *, num_returns: Literal[1] | None, typed: bool = False, **options: Unpack[_DecoratorOptions]
) -> _Decorator: ...
@overload
def remote(  # type: ignore[overload-overlap]
    *, num_returns: Literal[0], typed: bool = False, **options: Unpack[_DecoratorOptions]
) -> _DecoratorForNone: ...
@overload
def remote(*, num_returns: Literal["streaming"], typed: bool = False, **options: Unpack[_DecoratorOptions]) -> _Decorator: ...
@overload
def remote(
    *, num_returns: Literal["dynamic"], typed: bool = False, **options: Unpack[_DecoratorOptions]
) -> _DecoratorForDynamic: ...
@overload
def remote(*, num_returns: int, typed: bool = False, **options: Unpack[_DecoratorOptions]) -> _DecoratorForMany: ...
def cancel(object_ref: ObjectRef[Any] | ObjectRefGenerator[Any], *, force: bool = False, recursive: bool = True) -> None: ...
def kill(actor: ActorHandle, *, no_restart: bool = True) -> None: ...
def get_actor(name: str, namespace: str | None = None) -> ActorHandle: ...
def explain(object_ref: ObjectRef[Any] | ActorHandle) -> str: ...

# -- objects ---------------------------------------------------------------------------------------------------------------

def put(value: _T, worker: Any = None, *, _owner: None = None, _tensor_transport: None = None) -> ObjectRef[_T]: ...
@overload
def get(object_refs: ObjectRef[_T], worker: Any = None, *, timeout: float | None = None, _use_object_store: bool = False) -> _T: ...
@overload
def get(
    object_refs: ObjectRefGenerator[_T], worker: Any = None, *, timeout: float | None = None, _use_object_store: bool = False
) -> ObjectRefGenerator[_T]: ...
@overload
def get(
    object_refs: list[ObjectRef[_T]],
    worker: Any = None,
    *,
    timeout: float | None = None,
    _use_object_store: bool = False,
) -> list[_T]: ...
@overload
def wait(
    object_refs: list[ObjectRef[_T]], num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRef[_T]], list[ObjectRef[_T]]]: ...
@overload
def wait(
    object_refs: list[ObjectRefGenerator[_T]], num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRefGenerator[_T]], list[ObjectRefGenerator[_T]]]: ...
@overload
def wait(
    object_refs: list[_Waitable], num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[_Waitable], list[_Waitable]]: ...
def as_completed(object_refs: Iterable[ObjectRef[_T]], timeout: float | None = None) -> Iterator[ObjectRef[_T]]: ...

# -- looking at it ---------------------------------------------------------------------------------------------------------

def nodes() -> list[dict[str, Any]]: ...
def cluster_resources() -> dict[str, float]: ...
def available_resources() -> dict[str, float]: ...
def get_gpu_ids() -> list[int] | list[str]: ...
def get_runtime_context() -> RuntimeContext: ...
@overload
def timeline(filename: None = None) -> list[dict[str, Any]]: ...
@overload
def timeline(filename: str | os.PathLike[str]) -> None: ...
def visualize_computation_graph(file_path: str | os.PathLike[str] | None = None, view: bool = False) -> None: ...
