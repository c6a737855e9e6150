"""`ray.types.ObjectRef[T]`, for annotations of programs that must not import the engine to be read."""

from typing import Generic, TypeVar

T = TypeVar("T")


class ObjectRef(Generic[T]):
    """Stands for a reference in annotations; `ray.ObjectRef` is the class of real ones, and takes `[T]` as well."""
