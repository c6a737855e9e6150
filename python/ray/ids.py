"""Id classes of today's API. Bytes made by this engine fill them; only their lengths and methods are fixed."""


class BaseID:
    """An id: bytes of a fixed length, comparable and hashable."""

    SIZE = 28
    __slots__ = ("_bytes",)

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
        return cls(bytes.fromhex(text))

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
    SIZE = 24


class ActorID(BaseID):
    SIZE = 16


class JobID(BaseID):
    SIZE = 4

    @classmethod
    def from_int(cls, number):
        return cls(number.to_bytes(4, "little"))

    def int(self):
        return int.from_bytes(self._bytes, "little")


class NodeID(BaseID):
    pass


class WorkerID(BaseID):
    pass


class PlacementGroupID(BaseID):
    SIZE = 18
