"""The extension module, as `mypy.stubtest` compares it with what was built. What the functions do stands beside them in Rust."""

from asyncio import Future as AsyncioFuture
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from types import GenericAlias
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final

from ray.ids import TaskID

_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")

# What ids are to Python: a task is (client, number), an object (client, number, index).
_Task: TypeAlias = tuple[int, int]
_Object: TypeAlias = tuple[int, int, int]

__all__ = [
    "Actor",
    "Call",
    "Caller",
    "Check",
    "Mailbox",
    "Method",
    "MethodCaller",
    "Notice",
    "ObjectRef",
    "Zygote",
    "after_fork_in_child",
    "cancel",
    "cluster_info",
    "connect",
    "counters",
    "create_actor",
    "current_function_name",
    "disconnect",
    "draw_graph",
    "explain",
    "find_actor",
    "forget",
    "get",
    "graph",
    "identity",
    "is_actor_call",
    "is_cancelled",
    "is_connected",
    "is_ready",
    "key_value",
    "leave_actor",
    "list_actors",
    "next_notices",
    "put",
    "rebuild_actor",
    "rebuild_reference",
    "run_worker",
    "running_task",
    "start_cluster",
    "stop_cluster",
    "store_stats",
    "wait",
    "watch",
]

# -- objects ---------------------------------------------------------------------------------------------------------------

@final
class ObjectRef(Generic[_T_co]):
    def __new__(cls, bytes: bytes) -> ObjectRef[Any]: ...
    @classmethod
    def from_binary(cls, bytes: bytes) -> ObjectRef[Any]: ...
    @classmethod
    def from_hex(cls, hex: str) -> ObjectRef[Any]: ...
    @classmethod
    def nil(cls) -> ObjectRef[Any]: ...
    @classmethod
    def size(cls) -> int: ...
    def binary(self) -> bytes: ...
    def hex(self) -> str: ...
    def is_nil(self) -> bool: ...
    def task_id(self) -> TaskID: ...
    @property
    def declared_type(self) -> Any: ...
    @property
    def _key(self) -> _Object: ...
    def future(self) -> Future[_T_co]: ...
    def as_future(self, _internal: bool = False) -> AsyncioFuture[_T_co]: ...
    def _on_completed(self, callback: Callable[[Any], object]) -> None: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

def rebuild_reference(id: tuple[int, int, int, int], declared: Any) -> ObjectRef[Any]: ...
def put(value: _T) -> ObjectRef[_T]: ...
def get(refs: ObjectRef[Any] | list[ObjectRef[Any]], timeout: float | None = None) -> Any: ...
def wait(
    refs: list[ObjectRef[Any]], num_returns: int, timeout: float | None
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]: ...
def is_ready(reference: ObjectRef[Any]) -> bool: ...
def watch(reference: ObjectRef[Any]) -> bool: ...

# -- tasks -----------------------------------------------------------------------------------------------------------------

@final
class Check:
    def __new__(
        cls,
        *,
        plain: Sequence[type | None] | None,
        rest: type | None,
        has_rest: bool,
        required: int,
        positional_only_ok: bool,
        typed: bool,
        bind: Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]],
    ) -> Check: ...

@final
class Caller:
    def __new__(
        cls,
        *,
        check: Check,
        declared: Sequence[Any],
        returns: int,
        resources: Sequence[tuple[str, float]],
        max_retries: int,
        export: Callable[[], tuple[int, str, bytes]],
    ) -> Caller: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

def cancel(reference: ObjectRef[Any], force: bool, recursive: bool) -> None: ...
def explain(reference: ObjectRef[Any]) -> str: ...
def running_task() -> bytes | None: ...

# -- actors, as their callers see them ---------------------------------------------------------------------------------------

# (client, number, cluster)
_ActorKey: TypeAlias = tuple[int, int, int]

@final
class Actor:
    @property
    def id(self) -> bytes: ...
    @property
    def key(self) -> _ActorKey: ...
    @property
    def weak(self) -> bool: ...
    def caller(self, method: Method) -> MethodCaller: ...
    def kill(self, no_restart: bool) -> None: ...

@final
class Method:
    def __new__(
        cls,
        *,
        check: Check,
        id: int,
        name: str,
        returns: int,
        declared: Sequence[Any],
        max_retries: int,
        unordered: bool,
        max_pending: int,
        group: str | None,
    ) -> Method: ...

@final
class MethodCaller:
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

def create_actor(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    class_name: str,
    name: str,
    namespace: str,
    detached: bool,
    max_restarts: int,
    placement: Sequence[tuple[str, float]],
    running: Sequence[tuple[str, float]],
    environment: Sequence[tuple[str, str]],
    handle: bytes,
) -> Actor: ...

# `class` is the real name of the second parameter, which no Python can spell by keyword.
def rebuild_actor(key: _ActorKey, class_: str, weak: bool) -> Actor: ...
def find_actor(namespace: str, name: str) -> tuple[_ActorKey, bytes] | None: ...
def list_actors() -> list[dict[str, Any]]: ...
def is_actor_call(reference: ObjectRef[Any]) -> bool: ...

# -- actors, inside --------------------------------------------------------------------------------------------------------

@final
class Call:
    @property
    def key(self) -> _Task: ...
    @property
    def method_id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def task_id(self) -> bytes: ...
    @property
    def cancelled(self) -> bool: ...
    def start(self) -> Any: ...
    def finish(self, value: Any) -> None: ...
    def fail(self, error: BaseException, cancelled: bool = False) -> None: ...
    def run(self) -> SystemExit | None: ...

@final
class Mailbox:
    def fileno(self) -> int: ...
    def before_sleep(self) -> int: ...
    def after_sleep(self, slept: int) -> None: ...
    def take(self) -> tuple[list[Call], list[_Task], bool, bool]: ...

def leave_actor(key: _ActorKey, deliberate: bool) -> None: ...

# -- workers ---------------------------------------------------------------------------------------------------------------

@final
class Zygote:
    def __new__(cls, session: str, node: int) -> Zygote: ...
    def next_spawn(self) -> tuple[int, list[tuple[str, str]]] | None: ...
    def spawned(self, spawn: int, pid: int, stdout: int, stderr: int) -> None: ...
    def kill_all(self) -> None: ...

def run_worker() -> None: ...
def current_function_name() -> str | None: ...
def is_cancelled() -> bool: ...

# -- the cluster -----------------------------------------------------------------------------------------------------------

def start_cluster(
    binaries: str,
    nodes: Sequence[tuple[Sequence[tuple[str, float]], int, int]],
    zygote: Sequence[str],
    fail_unschedulable: bool,
) -> str: ...
def stop_cluster(patience: float) -> None: ...
def connect(session: str, role: Literal["owner", "driver", "worker"], spawn: int = 0) -> None: ...
def disconnect(end_cluster: bool, patience: float) -> None: ...
def forget() -> None: ...
def after_fork_in_child() -> None: ...
def is_connected() -> bool: ...
def identity() -> tuple[int, int, int, int] | None: ...

@final
class Notice:
    @property
    def kind(self) -> Literal["log", "ready", "warning"]: ...
    @property
    def pid(self) -> int: ...
    @property
    def stderr(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def dropped_bytes(self) -> int: ...
    @property
    def object(self) -> _Object | None: ...

def next_notices(patience: float) -> list[Notice] | None: ...
def key_value(
    operation: Literal["put", "get", "delete", "list"], key: bytes, value: bytes | None = None, overwrite: bool = True
) -> list[bytes]: ...

# -- looking at it ---------------------------------------------------------------------------------------------------------

def store_stats() -> dict[str, int]: ...
def counters() -> dict[str, int]: ...
def cluster_info() -> dict[str, Any]: ...
def graph() -> tuple[dict[int, str], list[tuple[_Task, int, _Task | None, int, list[_Object], str, int]], dict[str, int]]: ...
def draw_graph(
    tasks: Sequence[tuple[int, str, int | None, str, Sequence[int], Sequence[int]]],
    objects: Sequence[tuple[int, bool, int | None]],
    note: str | None,
    format: Literal["svg", "png", "pdf", "dot"],
) -> bytes: ...
