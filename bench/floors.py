"""What must be paid whatever the engine: two processes and a pipe, two processes and a bare ring, a copy of memory?

The pipe and the ring answer rows of `tasks.py` as far as they can, so that they stand beside the engines in the table.
"""

import os
import sys
import time

from engines import noop
from harness import (
    BYTES_PER_SECOND,
    HERE,
    PER_SECOND,
    SECONDS,
    Question,
    Row,
    Skip,
    median,
    quantile,
    rate_of,
    timed,
    times_of,
)

question = Question("floors", __doc__)

#: Where `run.py` puts the extension built from `ring_floor/`.
RING_DIRECTORY = HERE.parent / "target" / "ring_floor"
RING_BYTES = 1 << 20
MB, GB = 1 << 20, 1 << 30


@question.measure(
    Row("tasks.sync", "no-op call, one at a time: median", SECONDS),
    Row("tasks.sync_p99", "no-op call, one at a time: 99th percentile", SECONDS),
    Row("tasks.pipelined", "no-op calls, many at once", PER_SECOND),
    engines=("pipe",),
)
def pipe(engine, quick):
    import multiprocessing

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_pipe, args=(theirs,))
    process.start()
    theirs.close()
    send, receive = ours.send, ours.recv

    def one():
        send(())
        receive()

    def many(count):
        # As many under way as surely fit into both sockets, or both sides would wait for room.
        under_way = min(count, 200)
        for _ in range(under_way):
            send(())
        for _ in range(count - under_way):
            receive()
            send(())
        for _ in range(under_way):
            receive()

    seconds = 0.5 if quick else 2
    times, rate = times_of(one, seconds), rate_of(many, seconds, 200_000)
    send(None)
    process.join()
    return {"tasks.sync": median(times), "tasks.sync_p99": quantile(times, 0.99), "tasks.pipelined": rate}


@question.measure(
    Row("tasks.sync", "no-op call, one at a time: median", SECONDS),
    Row("tasks.sync_p99", "no-op call, one at a time: 99th percentile", SECONDS),
    Row("tasks.pipelined", "no-op calls, many at once", PER_SECOND),
    Row("tasks.submit", "submitting a no-op call", SECONDS),
    engines=("ring",),
)
def ring_spinning(engine, quick):
    with _Ring(spin=True) as end:
        seconds = 0.5 if quick else 2
        times = times_of(end.one, seconds)
        rate = rate_of(end.many, seconds, 1_000_000)
        # A burst that fits into the ring: what one submission costs while the other side works.
        submits = []
        for _ in range(20):
            submits.append(timed(lambda: end.submit_many(5000)) / 5000)
            end.result_many(5000)
        return {
            "tasks.sync": median(times),
            "tasks.sync_p99": quantile(times, 0.99),
            "tasks.pipelined": rate,
            "tasks.submit": median(submits),
        }


@question.measure(
    Row("tasks.after_pause", "no-op call after a pause of 5 ms, the server asleep: median", SECONDS),
    Row("ring_sleeping", "the ring, one call at a time, each side sleeping at once", SECONDS),
    Row("ring_sleeping_pipelined", "the ring, many calls at once, each side sleeping when idle", PER_SECOND),
    engines=("ring",),
)
def ring_sleeping(engine, quick):
    with _Ring(spin=False) as end:
        seconds = 0.5 if quick else 2
        times = times_of(end.one, seconds)
        rate = rate_of(end.many, seconds, 1_000_000)
        pauses = []
        for _ in range(50 if quick else 200):
            time.sleep(0.005)
            pauses.append(timed(end.one))
        return {
            "tasks.after_pause": median(pauses),
            "ring_sleeping": median(times),
            "ring_sleeping_pipelined": rate,
        }


@question.measure(
    Row("memcpy_warm_64mb", "memcpy of 64 MB into warm pages", BYTES_PER_SECOND),
    Row("memcpy_fresh_64mb", "memcpy of 64 MB into fresh pages", BYTES_PER_SECOND),
    Row("memcpy_shared_64mb", "memcpy of 64 MB into fresh pages of a memfd", BYTES_PER_SECOND),
    Row("memcpy_warm_1gb", "memcpy of 1 GB into warm pages", BYTES_PER_SECOND),
    Row("memcpy_fresh_1gb", "memcpy of 1 GB into fresh pages", BYTES_PER_SECOND),
    engines=("memcpy",),
)
def memcpy(engine, quick):
    measured = {}
    for name, size, times in (("64mb", 64 * MB, 5 if quick else 15), ("1gb", GB, 1 if quick else 3)):
        source, target = _pages(size), _pages(size)
        _copy(target, source)
        _copy(source, target)
        measured[f"memcpy_warm_{name}"] = size / median([_copy(target, source) for _ in range(times)])
        measured[f"memcpy_fresh_{name}"] = size / median([_copy(_pages(size), source) for _ in range(times)])
        if name == "64mb":
            measured["memcpy_shared_64mb"] = size / median([_copy(_shared(size), source) for _ in range(times)])
    return measured


def _serve_pipe(connection):
    while (args := connection.recv()) is not None:
        connection.send(noop(*args))


class _Ring:
    """A child process at the other end of a ring."""

    def __init__(self, spin):
        if not (RING_DIRECTORY / "ring_floor.so").exists():
            raise Skip("bench/ring_floor is not built: needs cargo")
        sys.path.insert(0, str(RING_DIRECTORY))
        import ring_floor

        self.end, server = ring_floor.pair(RING_BYTES, spin)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                server.serve(noop)
            finally:
                os._exit(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end.close()
        os.waitpid(self.pid, 0)

    def one(self):
        self.end.submit()
        self.end.result()

    def submit_many(self, count):
        submit = self.end.submit
        for _ in range(count):
            submit()

    def result_many(self, count):
        result = self.end.result
        for _ in range(count):
            result()

    def many(self, count):
        self.submit_many(count)
        self.result_many(count)


def _pages(size):
    """Memory nobody has touched yet."""
    import mmap

    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _shared(size):
    import mmap

    fd = os.memfd_create("floor")
    try:
        os.ftruncate(fd, size)
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)


def _copy(target, source):
    """float: seconds of one memmove."""
    import ctypes

    to, where = (ctypes.c_char * len(target)).from_buffer(target), (ctypes.c_char * len(source)).from_buffer(source)
    begin = time.perf_counter()
    ctypes.memmove(to, where, len(source))
    return time.perf_counter() - begin


if __name__ == "__main__":
    question.main()
