"""The control protocol as bytes, for tests that play a peer: frames, postcard's encoding, and one message of every kind."""

import socket
import struct


def frame(payload, descriptors=0):
    """Length, number of descriptors, payload."""
    return struct.pack("<IB", len(payload), descriptors) + payload


def number(value):
    """An unsigned integer: seven bits a byte, the lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value):
    return number(value * 2 if value >= 0 else -value * 2 - 1)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return number(len(value)) + value


def several(items):
    return number(len(items)) + b"".join(items)


def maybe(item):
    return b"\0" if item is None else b"\1" + item


def numbers(*values):
    return b"".join(map(number, values))


def object_id(client, seq, index=0):
    return numbers(client, seq, index)


def location(node, writer, segment, offset, size_bytes):
    return numbers(node, writer, segment, offset, size_bytes)


def resources(**amounts):
    return several([text(name) + number(amount) for name, amount in sorted(amounts.items())])


def hello(version, role, *fields, pid=1):
    return numbers(version) + signed(pid) + numbers(role, *fields)


DRIVER, WORKER, ZYGOTE, STORE, STORE_CLIENT, STORE_PEER, OBSERVER = range(7)


def to_scheduler(me):
    """One message of every kind that a client sends, but those that end the cluster or start an actor. `me` is the sender's id."""
    mine, other = object_id(me, 1), object_id(1, 1)
    value = number(0) + text(b"\x03" + bytes(8))
    stored = number(1) + location(0, me, 0, 0, 100_000)
    return [
        number(0) + resources(CPU=10_000) + number(2) + maybe(number(0)),
        number(0) + resources(CPU=10_000) + number(0) + maybe(None),
        numbers(1, 2),
        numbers(2, 2),
        numbers(3, 2),
        number(4) + mine + maybe(value),
        number(4) + mine + maybe(None),
        number(5) + mine + stored,
        numbers(6, me) + mine + signed(1),
        numbers(6, me) + mine + signed(-1),
        number(7) + mine + several([object_id(me, seq) for seq in range(3)]),
        number(8) + mine + number(2),
        number(9) + other,
        number(10) + maybe(numbers(me, 5)) + several([mine, other]),
        number(11),
        number(12)
        + several(
            [
                number(0) + number(77) + text("fuzzed"),
                numbers(1, 9, 77, 1) + maybe(None) + several([mine]),
                numbers(2, 9, 2),
                numbers(3, 9, 1, 5),
            ]
        ),
        numbers(13, 1),
        *(numbers(14, 9, question) for question in (0, 1, 3, 4)),
        numbers(14, 9, 2) + other,
        numbers(17, me, 5, 1, 1),
        numbers(18, 2, me, 1, me) + signed(1),
        numbers(18, 3, me, 1),
        numbers(18, 4, me, 1, 1),
        numbers(18, 6, 5) + text("") + text("name"),
        numbers(19, 3, 0) + text("key") + text("value") + number(1),
        numbers(19, 3, 1) + text("key"),
        numbers(19, 3, 2) + text("key"),
        numbers(19, 3, 3) + text("k"),
    ]


def to_store(me):
    """One message of every kind that a client, or another store, sends to a store."""
    mine, there = object_id(me, 1), location(0, me, 0, 0, 1000)
    return [
        numbers(0, me, 0, 1 << 20),
        numbers(0, me, 1, 1 << 62),
        numbers(1, me, 0),
        numbers(2, me, 0),
        number(3) + several([mine + there]),
        number(4) + several([mine]),
        numbers(5, me, 0),
        numbers(5, 1, 0),
        number(6) + mine + there,
        number(6) + mine + location(1, me, 0, 0, 1000),
        number(7) + mine + there,
        numbers(8, 1),
    ]


class Peer:
    """A connection to a daemon's socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))  # waits where the daemon has not accepted those before
        self.socket.settimeout(5)

    def send(self, data):
        """Sends bytes; False when the daemon has closed."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self):
        """The payload of the next frame; b"" when the daemon has closed."""
        header = self._exactly(5)
        return self._exactly(struct.unpack("<IB", header)[0]) if header else b""

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                return b""
            if not more:
                return b""
            data += more
        return data

    def is_closed(self):
        """Whether the daemon closes the connection, after whatever it says."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def version_of(path):
    """The protocol version a scheduler speaks, in the words with which it refuses another one."""
    with Peer(path) as peer:
        peer.send(frame(hello(0xFFFF_FFFF, DRIVER, 0)))
        words = peer.receive().decode(errors="replace")
    assert "speaks protocol" in words
    return int(words.partition("speaks protocol ")[2].partition(",")[0])
