"""`ray microbenchmark`: one line per question, "name per second X +- Y", under the names programs look for.

The environment variable TESTS_TO_RUN, a comma-separated list of names, picks rows. `make bench` compares with other engines and
with the floors of the machine; this is the quick look.
"""

import os
import statistics
import time

_MEASUREMENTS = 4


def run(seconds=1.0):
    """Starts a cluster if there is none, and prints the rows.

    Args:
        seconds (float): length of each of a row's four measurements.
    """
    import ray

    ours = not ray.is_initialized()
    if ours:
        ray.init()
    try:
        for name, multiplier, work in _rows(ray):
            _measure(name, multiplier, work, seconds)
    finally:
        if ours:
            ray.shutdown()


def _measure(name, multiplier, work, seconds):
    chosen = os.environ.get("TESTS_TO_RUN")
    if chosen and name not in [entry.strip() for entry in chosen.split(",")]:
        return
    work()
    rates = []
    for _ in range(_MEASUREMENTS):
        count, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            work()
            count += 1
        rates.append(multiplier * count / elapsed)
    print(f"{name} per second {statistics.mean(rates):.2f} +- {statistics.pstdev(rates):.2f}", flush=True)


def _rows(ray):
    """The questions: name, operations in one round, a function that does one round."""

    @ray.remote
    def small():
        return b"ok"

    @ray.remote
    def put_many(count):
        for _ in range(count):
            ray.put(0)

    @ray.remote
    def submit_many(count):
        ray.get([small.remote() for _ in range(count)])

    @ray.remote
    def holder(count):
        return [ray.put(1) for _ in range(count)]

    value = ray.put(0)
    yield "single client get calls (Plasma Store)", 1, lambda: ray.get(value)
    yield "single client put calls (Plasma Store)", 1, lambda: ray.put(0)
    yield "multi client put calls (Plasma Store)", 1000, lambda: ray.get([put_many.remote(100) for _ in range(10)])

    large = bytearray(100 * 1024 * 1024)
    yield "single client put gigabytes", 0.1, lambda: ray.put(large)
    yield "single client tasks and get batch", 1, lambda: ray.get([small.remote() for _ in range(1000)])

    box = holder.remote(10_000)
    yield "single client get object containing 10k refs", 1, lambda: ray.get(box)

    def wait_for_all():
        rest = [small.remote() for _ in range(1000)]
        while rest:
            _, rest = ray.wait(rest)

    yield "single client wait 1k refs", 1, wait_for_all
    yield "single client tasks sync", 1, lambda: ray.get(small.remote())
    yield "single client tasks async", 1000, lambda: ray.get([small.remote() for _ in range(1000)])
    yield "multi client tasks async", 4000, lambda: ray.get([submit_many.remote(1000) for _ in range(4)])
