"""Actors that several files of tests use."""

import asyncio
import os
import sys
import time

import ray
from support import is_alive, wait_until


@ray.remote
class Counter:
    START = 5

    def __init__(self, n=0):
        self.n = n

    def add(self, by=1):
        self.n += by
        return self.n

    def read(self):
        return self.n

    def pid(self):
        return os.getpid()

    def fail(self):
        raise ValueError("no")

    def slow(self, seconds):
        time.sleep(seconds)
        return self.n

    @staticmethod
    def twice(x):
        return 2 * x

    @classmethod
    def start(cls):
        return cls.START

    @ray.method(num_returns=2)
    def pair(self):
        return 1, 2

    def nothing(self):
        return None

    def leave(self):
        ray.actor.exit_actor()

    def sys_exit(self):
        sys.exit(0)

    def handle(self):
        return ray.get_runtime_context().current_actor


@ray.remote
class Log:
    def __init__(self):
        self.lines = []

    def write(self, line):
        self.lines.append(line)
        return len(self.lines)

    def read(self):
        return self.lines


@ray.remote
def later(value, seconds=0.3):
    time.sleep(seconds)
    return value


@ray.remote
class Async:
    def __init__(self):
        self.event = asyncio.Event()
        self.n = 0
        self.most = 0

    async def wait(self):
        self.n += 1
        self.most = max(self.most, self.n)
        await self.event.wait()
        self.n -= 1
        return "woken"

    async def wake(self):
        self.event.set()

    def plain(self, x):
        return x + 1

    async def echo(self, x):
        await asyncio.sleep(0)
        return x

    async def fail(self):
        raise ValueError("async")

    async def forward(self, ref):
        return await ref[0] + 1

    async def peak(self):
        return self.most

    async def forever(self):
        await asyncio.sleep(1000)

    async def leave(self):
        ray.actor.exit_actor()


@ray.remote(num_cpus=0)
def wait_for_file(path, value=None):
    """Ends when the test makes the file."""
    wait_until(path.exists, pause=0.02)
    return value


def state_of(handle):
    """What the scheduler says of an actor: "ALIVE", "DEAD", …; None when it does not know it."""
    rows = [row for row in ray._core.list_actors() if row["actor_id"] == handle._actor_id.hex()]
    return rows[0]["state"] if rows else None


def wait_for_end(pid):
    """Waits until a process is gone."""
    wait_until(lambda: not is_alive(pid))
