"""Pickling of one's own classes, under the path libraries import it from."""

from ray.serialization import deregister_serializer, register_serializer

__all__ = ["StandaloneSerializationContext", "deregister_serializer", "register_serializer"]


class StandaloneSerializationContext:
    """Has the methods by which libraries write and read values without a cluster.

    >>> context = StandaloneSerializationContext()
    >>> context.deserialize(context.serialize({"a": 1}))
    {'a': 1}
    """

    def serialize(self, value):
        """bytes: the value."""
        from ray.serialization import dumps

        return dumps(value)

    def deserialize(self, data):
        """The value written by `serialize`."""
        from ray.serialization import loads

        return loads(data)
