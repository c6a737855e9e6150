"""`ray microbenchmark`: one line per question, "name per second X +- Y", under the names programs look for.

The environment variable TESTS_TO_RUN picks the rows whose names contain it (or, with commas, one of its parts); TESTS_TO_SKIP
leaves rows out in the same way. `make bench` compares with other engines and with the floors of the machine; this is the quick look.
"""

import os
import statistics
import time

_MEASUREMENTS = 4


def run(seconds=1.0):
    """Starts a cluster if there is none, and prints the rows.

    Args:
        seconds (float): length of each of a row's four measurements.

    Returns:
        list[tuple[str, float, float]]: name, mean and deviation of each row.
    """
    import ray

    ours = not ray.is_initialized()
    if ours:
        ray.init()
    results = []
    try:
        for rows in (_objects, _tasks, _actors, _async_actors, _placement_groups):
            # Each family's actors and workers' values go with its generator, before the next one measures.
            for name, multiplier, prepare in rows(ray):
                if _is_chosen(name):
                    results.append(_measure(name, multiplier, prepare(), seconds))
    finally:
        if ours:
            ray.shutdown()
    return results


def _is_chosen(name):
    chosen, skipped = os.environ.get("TESTS_TO_RUN", ""), os.environ.get("TESTS_TO_SKIP", "")
    named = any(part.strip() in name for part in chosen.split(","))
    return named and not (skipped and any(part.strip() in name for part in skipped.split(",")))


def _measure(name, multiplier, work, seconds):
    """Does a row's work once to warm up, then for four times so long; prints its rate."""
    work()
    rates = []
    for _ in range(_MEASUREMENTS):
        count, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            work()
            count += 1
        rates.append(multiplier * count / elapsed)
    mean, deviation = statistics.mean(rates), statistics.pstdev(rates)
    print(f"{name} per second {mean:.2f} +- {deviation:.2f}", flush=True)
    return name, mean, deviation


# A row is a name, the number of operations in one round, and a function that makes ready what is measured: a function of one round.
# Only rows that were chosen are made ready.


def _objects(ray):
    @ray.remote
    def put_many():
        for _ in range(100):
            ray.put(0)

    @ray.remote
    def put_large():
        for _ in range(10):
            ray.put(bytearray(8 * 1024 * 1024))

    def get():
        value = ray.put(0)
        return lambda: ray.get(value)

    def put_gigabytes():
        large = bytearray(100 * 1024 * 1024)
        return lambda: ray.put(large)

    yield "single client get calls (Plasma Store)", 1, get
    yield "single client put calls (Plasma Store)", 1, lambda: lambda: ray.put(0)
    yield "multi client put calls (Plasma Store)", 1000, lambda: lambda: ray.get([put_many.remote() for _ in range(10)])
    yield "single client put gigabytes", 100 / 1024, put_gigabytes
    yield (
        "multi client put gigabytes",
        10 * 10 * 8 / 1024,
        lambda: lambda: ray.get([put_large.remote() for _ in range(10)]),
    )


def _tasks(ray):
    @ray.remote
    def small():
        return b"ok"

    @ray.remote
    def references():
        return [ray.put(1) for _ in range(10_000)]

    @ray.remote(num_cpus=0)
    class Submitter:
        def submit(self, count):
            ray.get([small.remote() for _ in range(count)])

    def get_references():
        box = references.remote()
        return lambda: ray.get(box)

    def wait_for_all():
        rest = [small.remote() for _ in range(1000)]
        while rest:
            _, rest = ray.wait(rest)

    def many_clients():
        clients = [Submitter.remote() for _ in range(4)]
        return lambda: ray.get([client.submit.remote(1000) for client in clients])

    def some():
        return ray.get([small.remote() for _ in range(1000)])

    yield "single client tasks and get batch", 1, lambda: some
    yield "single client get object containing 10k refs", 1, get_references
    yield "single client wait 1k refs", 1, lambda: wait_for_all
    yield "single client tasks sync", 1, lambda: lambda: ray.get(small.remote())
    yield "single client tasks async", 1000, lambda: some
    yield "multi client tasks async", 4000, many_clients


def _actors(ray):
    @ray.remote(num_cpus=0)
    class Actor:
        def small(self):
            return b"ok"

        def small_arg(self, x):
            return b"ok"

    @ray.remote(num_cpus=0)
    class Client:
        def __init__(self, servers):
            self.servers = servers

        def call(self, count):
            ray.get([server.small.remote() for server in self.servers for _ in range(count)])

        def call_with_arg(self, count):
            x = ray.put(0)
            ray.get([server.small_arg.remote(x) for server in self.servers for _ in range(count)])

    yield from _calls(ray, "actor", Actor)
    several = _several(ray)

    def one_to_many():
        client = Client.remote([Actor.remote() for _ in range(several)])
        return lambda: ray.get(client.call.remote(1000))

    def many_to_many():
        servers = [Actor.remote() for _ in range(several)]

        @ray.remote
        def client(count):
            ray.get([servers[i % several].small.remote() for i in range(count)])

        return lambda: ray.get([client.remote(1000) for _ in range(4)])

    def many_to_many_with_arg():
        clients = [Client.remote([Actor.remote()]) for _ in range(several)]
        return lambda: ray.get([client.call_with_arg.remote(100) for client in clients])

    yield "1:n actor calls async", 1000 * several, one_to_many
    yield "n:n actor calls async", 4000, many_to_many
    yield "n:n actor calls with arg async", 100 * several, many_to_many_with_arg


def _async_actors(ray):
    @ray.remote(num_cpus=0)
    class AsyncActor:
        async def small(self):
            return b"ok"

        async def small_arg(self, x):
            return b"ok"

    yield from _calls(ray, "async-actor", AsyncActor)
    several = _several(ray)

    def one_to_many():
        actors = [AsyncActor.remote() for _ in range(several)]
        return lambda: ray.get([actor.small.remote() for actor in actors for _ in range(1000 // several)])

    def many_to_many():
        servers = [AsyncActor.remote() for _ in range(several)]

        @ray.remote
        def client(count):
            ray.get([servers[i % several].small.remote() for i in range(count)])

        return lambda: ray.get([client.remote(1000) for _ in range(4)])

    yield "1:n async-actor calls async", 1000 // several * several, one_to_many
    yield "n:n async-actor calls async", 4000, many_to_many


def _calls(ray, kind, cls):
    """The rows of one caller and one actor."""

    def sync():
        actor = cls.remote()
        return lambda: ray.get(actor.small.remote())

    def many(**options):
        def prepare():
            actor = cls.options(**options).remote()
            return lambda: ray.get([actor.small.remote() for _ in range(1000)])

        return prepare

    def many_with_args():
        actor, x = cls.remote(), ray.put(0)
        return lambda: ray.get([actor.small_arg.remote(x) for _ in range(1000)])

    yield f"1:1 {kind} calls sync", 1, sync
    yield f"1:1 {kind} calls async", 1000, many()
    if kind == "actor":
        yield f"1:1 {kind} calls concurrent", 1000, many(max_concurrency=16)
    else:
        yield f"1:1 {kind} calls with args async", 1000, many_with_args


def _several(ray):
    """int: how many actors "n" means: half of the CPUs, so that callers have room too."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)) // 2)


def _placement_groups(ray):
    from ray.util import placement_group, remove_placement_group

    def create_and_remove():
        groups = [placement_group([{"CPU": 0.01}] * 10) for _ in range(10)]
        for group in groups:
            group.wait(timeout_seconds=30)
        for group in groups:
            remove_placement_group(group)

    yield "placement group create/removal", 10, lambda: create_and_remove
