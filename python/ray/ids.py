"""Id classes of today's API. Bytes made by this engine fill them; only their lengths and methods are fixed."""


class BaseID:
    """An id: bytes of a fixed length, comparable and hashable."""

    SIZE = 28
    __slots__ = ("__weakref__", "_bytes")

    def __init__(self, id_bytes):
        if not isinstance(id_bytes, bytes):
            raise TypeError(f"Unsupported type: {type(id_bytes)}")
        if len(id_bytes) != self.SIZE:
            raise ValueError(f"ID string needs to have length {self.SIZE}, got {len(id_bytes)}")
        self._bytes = id_bytes

    @classmethod
    def from_binary(cls, id_bytes):
        return cls(id_bytes)

    @classmethod
    def from_hex(cls, text):
        """The id of these hexadecimal digits; the nil id, with an error in the log, when they are none."""
        try:
            return cls(bytes.fromhex(text))
        except (TypeError, ValueError) as error:
            import logging

            logging.getLogger("ray").error("%s.from_hex(%r): %s. The nil id takes its place.", cls.__name__, text, error)
            return cls.nil()

    @classmethod
    def from_random(cls):
        import os

        return cls(os.urandom(cls.SIZE))

    @classmethod
    def nil(cls):
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def size(cls):
        return cls.SIZE

    def is_nil(self):
        return self._bytes == b"\xff" * self.SIZE

    def binary(self):
        return self._bytes

    def hex(self):
        return self._bytes.hex()

    def __eq__(self, other):
        return type(other) is type(self) and other._bytes == self._bytes

    def __hash__(self):
        return hash(self._bytes)

    def __repr__(self):
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self):
        return type(self), (self._bytes,)


class TaskID(BaseID):
    """A task: 8 bytes of its own, then those of its actor, of which the last four are its job."""

    SIZE = 24
    __slots__ = ()

    def actor_id(self):
        return ActorID(self._bytes[8:])

    def job_id(self):
        return JobID(self._bytes[20:])


class ActorID(BaseID):
    """An actor; the last four bytes are its job."""

    SIZE = 16
    __slots__ = ()

    @property
    def job_id(self):
        return JobID(self._bytes[12:])


class JobID(BaseID):
    """A job: a driver's membership of a cluster."""

    SIZE = 4
    __slots__ = ()

    @classmethod
    def from_int(cls, number):
        return cls(number.to_bytes(4, "little"))

    def int(self):
        return int.from_bytes(self._bytes, "little")


class UniqueID(BaseID):
    """An id with nothing inside."""

    __slots__ = ()


class NodeID(UniqueID):
    __slots__ = ()


class WorkerID(UniqueID):
    __slots__ = ()


class FunctionID(UniqueID):
    __slots__ = ()


class ActorClassID(UniqueID):
    __slots__ = ()


class ClusterID(UniqueID):
    __slots__ = ()


class PlacementGroupID(BaseID):
    SIZE = 18
    __slots__ = ()
