"""What type checkers know of actors: that a class makes handles, and a call of a method references."""

from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeVar, Unpack, overload

from ray.ids import ActorID
from ray.remote_function import _ActorOptions

_F = TypeVar("_F", bound=Callable[..., Any])

class ActorClassInheritanceException(TypeError): ...

class _WithOptions:
    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle: ...

class ActorClass(_WithOptions):
    def options(self, **changes: Unpack[_ActorOptions]) -> _WithOptions: ...
    def _remote(
        self, args: tuple[Any, ...] | list[Any] = (), kwargs: dict[str, Any] | None = None, **changes: Any
    ) -> ActorHandle: ...
    def __getattr__(self, name: str) -> Any: ...

class ActorHandle:
    @property
    def _actor_id(self) -> ActorID: ...
    @property
    def _ray_actor_id(self) -> ActorID: ...
    def __getattr__(self, name: str) -> ActorMethod: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class ActorMethod:
    def remote(self, *args: Any, **kwargs: Any) -> Any: ...
    def options(
        self,
        *,
        concurrency_group: str = ...,
        enable_task_events: bool = ...,
        max_task_retries: int = ...,
        name: str = ...,
        num_returns: int | Literal["streaming", "dynamic"] = ...,
        retry_exceptions: bool | list[type[BaseException]] | tuple[type[BaseException], ...] = ...,
        tensor_transport: str = ...,
        timeout: float = ...,
        _generator_backpressure_num_objects: int = ...,
    ) -> ActorMethod: ...
    def _remote(self, args: tuple[Any, ...] | list[Any] = (), kwargs: dict[str, Any] | None = None, **changes: Any) -> Any: ...

@overload
def method(function: _F, /) -> _F: ...
@overload
def method(
    *,
    concurrency_group: str = ...,
    enable_task_events: bool = ...,
    max_task_retries: int = ...,
    num_returns: int | Literal["streaming", "dynamic"] = ...,
    retry_exceptions: bool | list[type[BaseException]] | tuple[type[BaseException], ...] = ...,
    tensor_transport: str = ...,
    timeout: float = ...,
    _generator_backpressure_num_objects: int = ...,
) -> Callable[[_F], _F]: ...
def exit_actor() -> NoReturn: ...

# The rest is for the package itself.
def __getattr__(name: str) -> Any: ...
