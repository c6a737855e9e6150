"""What type checkers know of remote functions.

A remote function keeps the callable it was made of, so that a call is checked like a call of that callable, names and defaults
included. Where references are passed instead of values, parameters are taken by position, each as `T | ObjectRef[T]`; up to eight.
"""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, ParamSpec, TypedDict, TypeVar, Unpack, overload

from ray._core import Check, ObjectRef, ObjectRefGenerator
from ray.actor import ActorClass
from ray.generators import DynamicObjectRefGenerator
from ray.signatures import Signature

_F = TypeVar("_F", bound=Callable[..., Any], covariant=True)
_Results = TypeVar("_Results", covariant=True)
_R = TypeVar("_R")
_T = TypeVar("_T")
_P = ParamSpec("_P")
_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")
_D = TypeVar("_D")
_E = TypeVar("_E")
_G = TypeVar("_G")
_H = TypeVar("_H")
_I = TypeVar("_I")

class _CommonOptions(TypedDict, total=False):
    accelerator_type: str | None
    enable_task_events: bool | None
    fallback_strategy: list[dict[str, Any]] | None
    label_selector: dict[str, str] | None
    memory: float | None
    name: str | None
    num_cpus: float | None
    num_gpus: float | None
    placement_group: Any
    placement_group_bundle_index: int | None
    placement_group_capture_child_tasks: bool | None
    resources: dict[str, float] | None
    runtime_env: dict[str, Any] | None
    scheduling_strategy: Any
    _labels: dict[str, str] | None

class _OnlyTasks(TypedDict, total=False):
    max_retries: int | None
    retry_exceptions: bool | list[type[BaseException]] | tuple[type[BaseException], ...] | None
    timeout: float | None
    _generator_backpressure_num_objects: int | None

class _OnlyActors(TypedDict, total=False):
    allow_out_of_order_execution: bool | None
    get_if_exists: bool | None
    lifetime: Literal["detached", "non_detached"] | None
    max_concurrency: int | None
    max_pending_calls: int | None
    max_restarts: int | None
    max_task_retries: int | None
    namespace: str | None
    _actor_generator_backpressure_num_objects: int | None

class _Options(_CommonOptions, _OnlyTasks, total=False): ...
class _ActorOptions(_CommonOptions, _OnlyActors, total=False): ...

class _DecoratorOptions(_CommonOptions, _OnlyTasks, _OnlyActors, total=False):
    concurrency_groups: dict[str, int] | None
    max_calls: int | None

class _WithOptions(Generic[_F, _Results]):
    @overload
    def remote(self: _WithOptions[Callable[_P, Any], _R], *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    @overload
    def remote(self: _WithOptions[Callable[[_A], Any], _R], a: _A | ObjectRef[_A], /) -> _R: ...
    @overload
    def remote(self: _WithOptions[Callable[[_A, _B], Any], _R], a: _A | ObjectRef[_A], b: _B | ObjectRef[_B], /) -> _R: ...
    @overload
    def remote(
        self: _WithOptions[Callable[[_A, _B, _C], Any], _R],
        a: _A | ObjectRef[_A],
        b: _B | ObjectRef[_B],
        c: _C | ObjectRef[_C],
        /,
    ) -> _R: ...
    @overload
    def remote(
        self: _WithOptions[Callable[[_A, _B, _C, _D], Any], _R],
        a: _A | ObjectRef[_A],
        b: _B | ObjectRef[_B],
        c: _C | ObjectRef[_C],
        d: _D | ObjectRef[_D],
        /,
    ) -> _R: ...
    @overload
    def remote(
        self: _WithOptions[Callable[[_A, _B, _C, _D, _E], Any], _R],
        a: _A | ObjectRef[_A],
        b: _B | ObjectRef[_B],
        c: _C | ObjectRef[_C],
        d: _D | ObjectRef[_D],
        e: _E | ObjectRef[_E],
        /,
    ) -> _R: ...
    @overload
    def remote(
        self: _WithOptions[Callable[[_A, _B, _C, _D, _E, _G], Any], _R],
        a: _A | ObjectRef[_A],
        b: _B | ObjectRef[_B],
        c: _C | ObjectRef[_C],
        d: _D | ObjectRef[_D],
        e: _E | ObjectRef[_E],
        g: _G | ObjectRef[_G],
        /,
    ) -> _R: ...
    @overload
    def remote(
        self: _WithOptions[Callable[[_A, _B, _C, _D, _E, _G, _H], Any], _R],
        a: _A | ObjectRef[_A],
        b: _B | ObjectRef[_B],
        c: _C | ObjectRef[_C],
        d: _D | ObjectRef[_D],
        e: _E | ObjectRef[_E],
        g: _G | ObjectRef[_G],
        h: _H | ObjectRef[_H],
        /,
    ) -> _R: ...
    @overload
    def remote(
        self: _WithOptions[Callable[[_A, _B, _C, _D, _E, _G, _H, _I], Any], _R],
        a: _A | ObjectRef[_A],
        b: _B | ObjectRef[_B],
        c: _C | ObjectRef[_C],
        d: _D | ObjectRef[_D],
        e: _E | ObjectRef[_E],
        g: _G | ObjectRef[_G],
        h: _H | ObjectRef[_H],
        i: _I | ObjectRef[_I],
        /,
    ) -> _R: ...

class RemoteFunction(_WithOptions[_F, _Results]):
    _function: _F
    _function_name: str
    @overload
    def options(self, **options: Unpack[_Options]) -> _WithOptions[_F, _Results]: ...
    @overload
    def options(  # type: ignore[overload-overlap]  # 1 and 0 are integers, and come first
        self: RemoteFunction[Callable[_P, _T], Any], *, num_returns: Literal[1], **options: Unpack[_Options]
    ) -> _WithOptions[Callable[_P, _T], ObjectRef[_T]]: ...
    @overload
    def options(  # type: ignore[overload-overlap]
        self, *, num_returns: Literal[0], **options: Unpack[_Options]
    ) -> _WithOptions[_F, None]: ...
    @overload
    def options(
        self: RemoteFunction[Callable[_P, Iterator[_T]], Any],
        *,
        num_returns: Literal["streaming"],
        **options: Unpack[_Options],
    ) -> _WithOptions[Callable[_P, Iterator[_T]], ObjectRefGenerator[_T]]: ...
    @overload
    def options(
        self, *, num_returns: Literal["dynamic"], **options: Unpack[_Options]
    ) -> _WithOptions[_F, ObjectRef[DynamicObjectRefGenerator]]: ...
    @overload
    def options(self, *, num_returns: int | None, **options: Unpack[_Options]) -> _WithOptions[_F, list[ObjectRef[Any]]]: ...
    def _remote(self, args: tuple[Any, ...] | list[Any] = (), kwargs: dict[str, Any] | None = None, **changes: Any) -> Any: ...

class _Typed(RemoteFunction[_F, _Results]):
    """A function whose types were given as lists: the only one that may be called without `.remote`."""

    def __call__(self: _Typed[Callable[_P, Any], _R], *args: _P.args, **kwargs: _P.kwargs) -> _R: ...

class _Decorator:
    """`@ray.remote(num_cpus=2)`: an actor class, or a function with one result, or one that yields."""

    @overload
    def __call__(self, cls: type[Any], /) -> ActorClass: ...  # type: ignore[overload-overlap]  # classes are callables too
    @overload
    def __call__(  # type: ignore[overload-overlap]  # functions that yield come before others
        self, function: Callable[_P, Iterator[_T]], /
    ) -> RemoteFunction[Callable[_P, Iterator[_T]], ObjectRefGenerator[_T]]: ...
    @overload
    def __call__(self, function: Callable[_P, _T], /) -> RemoteFunction[Callable[_P, _T], ObjectRef[_T]]: ...

class _DecoratorForNone:
    """`@ray.remote(num_returns=0)`"""

    def __call__(self, function: Callable[_P, _T], /) -> RemoteFunction[Callable[_P, _T], None]: ...

class _DecoratorForMany:
    """`@ray.remote(num_returns=2)`"""

    def __call__(self, function: Callable[_P, _T], /) -> RemoteFunction[Callable[_P, _T], list[ObjectRef[Any]]]: ...

class _DecoratorForDynamic:
    """`@ray.remote(num_returns="dynamic")`"""

    def __call__(
        self, function: Callable[_P, Iterator[_T]], /
    ) -> RemoteFunction[Callable[_P, Iterator[_T]], ObjectRef[DynamicObjectRefGenerator]]: ...

class _TypedDecorator:
    """`@ray.remote([int], [int])`: what is in a list, and how long it is, checkers cannot see; they go by the annotations.

    A reference that such a function returns stands for the value behind it. Several results are a list, no result is None.
    """

    @overload
    def __call__(self, function: Callable[_P, ObjectRef[_T]], /) -> _Typed[Callable[_P, Any], ObjectRef[_T]]: ...
    @overload
    def __call__(self, function: Callable[_P, tuple[Any, ...] | None], /) -> _Typed[Callable[_P, Any], Any]: ...
    @overload
    def __call__(self, function: Callable[_P, _T], /) -> _Typed[Callable[_P, _T], ObjectRef[_T]]: ...

def check_of(signature: Signature) -> Check: ...
def _declared_type(value: object) -> Any: ...
