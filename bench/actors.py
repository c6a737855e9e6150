"""What does a method call of an actor cost?"""

import asyncio
import time

from harness import BYTES, PER_SECOND, SECONDS, Question, Row, median, processes, pss_bytes, quantile, rate_of, timed, times_of

question = Question("actors", __doc__, workers=2)

ENGINES = ("raio", "dask", "ray")


@question.measure(Row("create", "a new actor until its first answer", SECONDS), engines=ENGINES)
def create(engine, quick):
    def once():
        actor = _make(engine, _Counter)
        _get(engine, _call(engine, actor.add)(1))

    return {"create": median([timed(once) for _ in range(2 if quick else 5)])}


@question.measure(
    Row("creation_rate", "actors created and answered, many at once", PER_SECOND),
    Row("memory", "memory for each idle actor: all processes (PSS)", BYTES),
    engines=("raio", "ray"),
)
def many_actors(engine, quick):
    count = 4 if quick or engine.name == "ray" else 40
    before = sum(pss_bytes(pid) for pid in processes())
    begin = time.perf_counter()
    actors = [_make(engine, _Counter) for _ in range(count)]
    engine.get([actor.add.remote(1) for actor in actors])
    took = time.perf_counter() - begin
    grown = sum(pss_bytes(pid) for pid in processes()) - before
    return {"creation_rate": (count / took, f"{count} actors"), "memory": (grown / count, f"{count} actors")}


@question.measure(
    Row("sync", "actor call, one at a time: median", SECONDS),
    Row("sync_p99", "actor call, one at a time: 99th percentile", SECONDS),
    Row("pipelined", "actor calls, many at once, one caller", PER_SECOND),
    engines=ENGINES,
)
def calls(engine, quick):
    actor = _make(engine, _Counter)
    add = _call(engine, actor.add)
    times = times_of(lambda: _get(engine, add(1)), 0.5 if quick else 2)
    rate = rate_of(lambda count: _get(engine, [add(1) for _ in range(count)]), 0.5 if quick else 2, 100_000)
    return {"sync": median(times), "sync_p99": quantile(times, 0.99), "pipelined": rate}


@question.measure(
    Row("reference", "actor call with a stored array of 8 MB as argument: median", SECONDS),
    Row("argument", "actor calls with an array of 1 kB as argument, many at once", PER_SECOND),
    engines=("raio", "ray"),
)
def with_argument(engine, quick):
    import numpy

    actor = _make(engine, _Counter)
    stored, small = engine.put(numpy.zeros(8 << 20, numpy.uint8)), numpy.zeros(1000, numpy.uint8)
    size = actor.size.remote
    times = times_of(lambda: engine.get(size(stored)), 0.5 if quick else 2)
    rate = rate_of(lambda count: engine.get([size(small) for _ in range(count)]), 0.5 if quick else 2, 100_000)
    return {"reference": median(times), "argument": rate}


@question.measure(Row("threaded", "calls of an actor with four threads, many at once", PER_SECOND), engines=("raio", "ray"))
def threaded(engine, quick):
    add = engine.actor(_Counter, num_cpus=0, max_concurrency=4).add.remote
    return {"threaded": rate_of(lambda count: engine.get([add(1) for _ in range(count)]), 0.5 if quick else 2, 100_000)}


@question.measure(Row("one_to_four", "actor calls from one caller to four actors", PER_SECOND), engines=("raio", "ray"))
def one_to_four(engine, quick):
    adds = [_make(engine, _Counter).add.remote for _ in range(4)]

    def batch(count):
        engine.get([add(1) for _ in range(count // 4) for add in adds])

    return {"one_to_four": rate_of(batch, 0.5 if quick else 2, 100_000)}


@question.measure(
    Row("async_sync", "call of an async actor, one at a time: median", SECONDS),
    Row("async_pipelined", "calls of an async actor, many at once", PER_SECOND),
    engines=("raio", "ray"),
)
def async_calls(engine, quick):
    actor = _make(engine, _AsyncCounter)
    add = _call(engine, actor.add)
    times = times_of(lambda: _get(engine, add(1)), 0.5 if quick else 2)
    rate = rate_of(lambda count: _get(engine, [add(1) for _ in range(count)]), 0.5 if quick else 2, 100_000)
    return {"async_sync": median(times), "async_pipelined": rate}


@question.measure(Row("four_to_four", "actor calls from four callers to four actors", PER_SECOND), engines=("raio", "ray"))
def four_to_four(engine, quick):
    actors = [_make(engine, _Counter) for _ in range(4)]
    spawn, get = engine.task(_call_many, num_cpus=0), engine.get

    def batch(count):
        get([spawn(actor, count // 4) for actor in actors])

    return {"four_to_four": rate_of(batch, 0.5 if quick else 2, 100_000)}


def _make(engine, cls):
    return engine.actor(cls, num_cpus=0)


def _call(engine, method):
    return method if engine.name == "dask" else method.remote


def _get(engine, what):
    if engine.name != "dask":
        return engine.get(what)
    return [future.result() for future in what] if isinstance(what, list) else what.result()


def _call_many(actor, count):
    import ray

    ray.get([actor.add.remote(1) for _ in range(count)])


class _Counter:
    def __init__(self):
        self.value = 0

    def add(self, by):
        self.value += by
        return self.value

    def size(self, array):
        return array.nbytes


class _AsyncCounter:
    def __init__(self):
        self.value = 0

    async def add(self, by):
        await asyncio.sleep(0)
        self.value += by
        return self.value


if __name__ == "__main__":
    question.main()
