"""A hundred thousand damaged frames on the sockets of a running cluster: connections close, daemons stand, tasks run on."""

import os
import random
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import ray
from support import is_alive, members, resident_bytes, wait_until
from wire import DRIVER, OBSERVER, STORE_CLIENT, STORE_PEER, Peer, frame, hello, number, to_scheduler, to_store, version_of

FRAMES = 50_000
MIB = 1 << 20


def varint_flip(moment, message):
    """One byte changed to a value that means something to a decoder."""
    if not message:
        return b"\xff"
    at = moment.randrange(len(message))
    return message[:at] + bytes([moment.choice((0, 1, 2, 0x7F, 0x80, 0xFF, moment.randrange(256)))]) + message[at + 1 :]


def truncate(moment, message):
    return message[: moment.randrange(len(message) + 1)]


def extend(moment, message):
    return message + moment.randbytes(moment.randrange(1, 30))


def enlarge(moment, message):
    """A number in it becomes as large as a number can be."""
    at = moment.randrange(len(message) + 1)
    huge = moment.choice((number(2**64 - 1), number(2**63), number(2**32 - 1), number(2**31), b"\xff" * 11))
    return message[:at] + huge + message[at + moment.randrange(3) :]


def splice(moment, message):
    other = moment.randbytes(moment.randrange(1, 12))
    at = moment.randrange(len(message) + 1)
    return message[:at] + other + message[at:]


def noise(moment, message):
    return moment.randbytes(moment.randrange(200))


def as_it_is(moment, message):
    return message


MUTATIONS = (varint_flip, varint_flip, varint_flip, truncate, extend, enlarge, splice, noise, as_it_is)


def header_lies(moment, payload):
    """A frame whose header is not true to what follows."""
    length = moment.choice((0, 1, len(payload) + 1, 8 * MIB, 8 * MIB + 1, 2**31 - 1, 2**31, 2**32 - 1))
    return struct.pack("<IB", length, moment.choice((0, 0, 1, 8, 9, 255))) + payload


@ray.remote
def total(array, number):
    return array.sum() + number


@ray.remote
def make(pause):
    time.sleep(pause)  # so that all that are asked for at once run on workers of their own
    return np.ones(1 << 17)


@pytest.fixture
def standing(two_stores):
    """A running cluster; afterwards the same daemons must still be there, hardly larger, and work.

    Who speaks for the user's own processes can free the user's objects, and take a name before its bearer comes: that
    is no attack, one user is one domain of trust. So every process is connected to its store, and the numbers that
    damaged messages speak of are used up.
    """
    ray.get([make.remote(0.1) for _ in range(4)])
    for _ in range(20_000):
        ray.put(None)
    before = members()
    daemons = [before.scheduler, *before.objstores, *before.zygotes]
    sizes = {pid: resident_bytes(pid) for pid in daemons}
    handles = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in daemons}
    yield Path(ray.cluster.session_dir())
    assert all(is_alive(pid) for pid in daemons)
    kept = ray.put(np.ones(1 << 17))
    assert ray.get([total.remote(kept, 1) for _ in range(200)]) == [(1 << 17) + 1] * 200
    assert [array.sum() for array in ray.get([make.remote(0.01) for _ in range(8)])] == [1 << 17] * 8
    assert [row["alive"] for row in ray._core.cluster_info()["nodes"]] == [True, True]
    for pid in daemons:
        grown = resident_bytes(pid) - sizes[pid]
        assert grown < 32 * MIB, f"{Path(f'/proc/{pid}/comm').read_text()} grew by {grown >> 20} MiB"
        wait_until(lambda pid=pid: len(os.listdir(f"/proc/{pid}/fd")) <= handles[pid] + 8)


def storm(path, greetings, messages, frames):
    """Sends frames, a few to a connection, each connection greeted as the protocol wants it or not at all."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    moment = random.Random(seed)
    sent = connections = 0
    while sent < frames:
        batch = []
        if moment.random() < 0.9:
            batch.append(frame(moment.choice(greetings)))
        else:
            batch.append(frame(moment.choice(MUTATIONS)(moment, moment.choice(greetings))))
        for _ in range(moment.choice((1, 1, 1, 3, 10))):
            payload = moment.choice(MUTATIONS)(moment, moment.choice(messages))
            batch.append(header_lies(moment, payload) if moment.random() < 0.03 else frame(payload))
        data = b"".join(batch)
        with Peer(path) as peer:
            if moment.random() < 0.05:
                data = data[: moment.randrange(len(data) + 1)]
            if moment.random() < 0.02:
                for at in range(len(data)):
                    if not peer.send(data[at : at + 1]):
                        break
            else:
                peer.send(data)
        sent += len(batch)
        connections += 1
    return connections


@pytest.mark.timeout(120)
def test_fifty_thousand_frames_on_the_scheduler(standing):
    path = standing / "scheduler.sock"
    version = version_of(path)
    greetings = [hello(version, DRIVER, 0), hello(version, DRIVER, 0), hello(version, OBSERVER)]
    # Whoever comes next has the next number: some of the messages speak of the sender's own objects, others of those of others.
    messages = [message for client in (1, 2, 50, 2000) for message in to_scheduler(client)]
    storm(path, greetings, messages, FRAMES)


@pytest.mark.timeout(120)
def test_fifty_thousand_frames_on_the_stores(standing):
    version = version_of(standing / "scheduler.sock")
    greetings = [hello(version, STORE_CLIENT, client) for client in (1, 2, 5000)] + [
        hello(version, STORE_PEER, node) for node in (0, 1, 7)
    ]
    for store in (0, 1):
        messages = [message for client in (1, 2, 5000) for message in to_store(client)]
        storm(standing / f"objstore-{store}.sock", greetings, messages, FRAMES // 2)


@pytest.mark.parametrize("name", ["scheduler.sock", "objstore-0.sock"])
def test_lengths_are_refused_before_memory_is_taken(standing, name):
    path = standing / name
    version = version_of(standing / "scheduler.sock")
    greeting = hello(version, DRIVER, 0) if name == "scheduler.sock" else hello(version, STORE_CLIENT, 4000)
    for length in (16 * 1024 + 1, MIB, 2**31, 2**32 - 1):
        with Peer(path) as peer:
            peer.send(struct.pack("<IB", length, 0))
            assert peer.is_closed()
    for length in (8 * MIB + 1, 2**31 - 1, 2**31, 2**32 - 1):
        with Peer(path) as peer:
            peer.send(frame(greeting) + struct.pack("<IB", length, 0))
            assert peer.is_closed()
    # A long frame that is allowed and never comes takes memory only for what came.
    open_ones = []
    for _ in range(50):
        peer = Peer(path)
        peer.send(frame(greeting) + struct.pack("<IB", 8 * MIB, 0) + b"x" * 100)
        open_ones.append(peer)
    for peer in open_ones:
        peer.close()


@pytest.mark.parametrize("name", ["scheduler.sock", "objstore-0.sock"])
def test_a_greeting_in_pieces_is_a_greeting(standing, name):
    version = version_of(standing / "scheduler.sock")

    def greeting(at):
        return frame(hello(version, OBSERVER) if name == "scheduler.sock" else hello(version, STORE_CLIENT, 4000 + at))

    for at in range(1, len(greeting(0))):
        with Peer(standing / name) as peer:
            peer.send(greeting(at)[:at])
            peer.send(greeting(at)[at:])
            if name == "scheduler.sock":
                assert peer.receive()
            else:
                peer.send(frame(number(8) + number(1)))
                assert peer.receive()


def test_versions_are_named_to_the_other(standing):
    version = version_of(standing / "scheduler.sock")
    for other in (0, version + 1, 2**32 - 1):
        with Peer(standing / "scheduler.sock") as peer:
            peer.send(frame(hello(other, DRIVER, 0)))
            words = peer.receive().decode(errors="replace")
            assert f"protocol {version}," in words
            assert f"speaks {other}" in words
            assert peer.is_closed()


def is_closed(socket):
    try:
        return socket.recv(1) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize("name", ["scheduler.sock", "objstore-1.sock"])
def test_silent_connections_are_bounded_and_others_served(standing, name):
    """More idle strangers than are let in: the rest are closed, and clients that speak are served meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    strangers = []
    try:
        for _ in range(600):
            strangers.append(Peer(standing / name))
        assert ray.get([ray.remote(lambda: 1).remote() for _ in range(20)]) == [1] * 20
        for peer in strangers:
            peer.socket.setblocking(False)

        def most_are_closed():
            return sum(is_closed(peer.socket) for peer in strangers) >= 300

        wait_until(most_are_closed)
        # The others are sent away after five seconds; they are not waited for here.
    finally:
        for peer in strangers:
            peer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
