"""Decorators that say how far an API may be relied on. They mark, add to the documentation, and change no behaviour."""

import functools
import inspect
import warnings
from enum import Enum


class RayDeprecationWarning(DeprecationWarning):
    """Something that is still there and will go. Shown by default, unlike a plain DeprecationWarning."""


# Python's own filters hide DeprecationWarning outside of __main__; whoever uses something that goes should hear of it.
if not any(entry[2] is RayDeprecationWarning for entry in warnings.filters):
    warnings.filterwarnings("default", category=RayDeprecationWarning, append=True)


class AnnotationType(Enum):
    """What a name was marked as."""

    PUBLIC_API = "PublicAPI"
    DEVELOPER_API = "DeveloperAPI"
    DEPRECATED = "Deprecated"
    UNKNOWN = "Unknown"


_STABILITIES = ("alpha", "beta", "stable")


def PublicAPI(*args, **kwargs):
    """Marks what users may rely on.

    Args:
        stability (str): "stable" (kept between minor releases), "beta" or "alpha" (may change).
        api_group (str): a heading for documentation.

    >>> @PublicAPI(stability="beta")
    ... def function():
    ...     return 1
    >>> function()
    1
    """
    if len(args) == 1 and not kwargs and callable(args[0]):
        return PublicAPI()(args[0])
    stability = kwargs.get("stability", "stable")
    if stability not in _STABILITIES:
        raise ValueError(f"stability must be one of {', '.join(_STABILITIES)}, got {stability!r}.")
    group = kwargs.get("api_group", "Others")

    def mark(thing):
        if stability != "stable":
            _add_note(thing, f"**PublicAPI ({stability}):** This API is in {stability} and may change before becoming stable.")
        return _mark(thing, AnnotationType.PUBLIC_API, group)

    return mark


def DeveloperAPI(*args, **kwargs):
    """Marks what libraries may build on, and what may change between minor releases."""
    if len(args) == 1 and not kwargs and callable(args[0]):
        return DeveloperAPI()(args[0])

    def mark(thing):
        _add_note(thing, "**DeveloperAPI:** This API may change across minor releases.")
        return _mark(thing, AnnotationType.DEVELOPER_API, kwargs.get("api_group", "Others"))

    return mark


def Deprecated(*args, **kwargs):
    """Marks what will go.

    Args:
        message (str): what to use instead.
        warning (bool): warn with RayDeprecationWarning at each use, too.
    """
    if len(args) == 1 and not kwargs and callable(args[0]):
        return Deprecated()(args[0])
    unknown = sorted(set(kwargs) - {"message", "warning"})
    if args or unknown:
        raise ValueError(f"Unknown keyword argument(s) of Deprecated: {', '.join(unknown) or args}.")
    message, warn = kwargs.get("message", ""), kwargs.get("warning", False)

    def mark(thing):
        _add_note(thing, f"**DEPRECATED:** This API is deprecated and may be removed. {message}".rstrip())
        if warn:
            thing = _warning(thing, message)
        return _mark(thing, AnnotationType.DEPRECATED, "Others")

    return mark


def _mark(thing, kind, group):
    thing._annotated = thing.__name__
    thing._annotated_type = kind
    thing._annotated_api_group = group
    return thing


def _is_annotated(thing):
    """Whether it was marked itself, and not only a class it inherits from."""
    return getattr(thing, "_annotated", None) == getattr(thing, "__name__", thing)


def _get_annotation_type(thing):
    """str | None: what it was marked as."""
    return thing._annotated_type.value if _is_annotated(thing) else None


def _add_note(thing, note):
    doc = inspect.cleandoc(thing.__doc__).rstrip() if thing.__doc__ else ""
    thing.__doc__ = f"{doc}\n\n{note}" if doc else note


def _warning(thing, message):
    """The thing, warning when it is called (a function) or made (a class)."""
    text = f"{thing.__name__} is deprecated and may be removed. {message}".rstrip()
    function = thing.__init__ if inspect.isclass(thing) else thing

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        warnings.warn(text, RayDeprecationWarning, stacklevel=2)
        return function(*args, **kwargs)

    if not inspect.isclass(thing):
        return wrapped
    thing.__init__ = wrapped
    return thing
