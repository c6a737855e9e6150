"""`inspect_serializability`, under the path libraries import it from."""

from ray.serialization import FailureTuple, inspect_serializability

__all__ = ["FailureTuple", "inspect_serializability"]
