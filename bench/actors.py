"""What does a method call of an actor cost?"""

import asyncio

from harness import PER_SECOND, SECONDS, Question, Row, Skip, median, quantile, rate_of, timed, times_of

question = Question("actors", __doc__, workers=2)

ENGINES = ("raio", "dask", "ray")


@question.measure(Row("create", "a new actor until its first answer", SECONDS), engines=ENGINES)
def create(engine, quick):
    def once():
        actor = _make(engine, _Counter)
        _get(engine, _call(engine, actor.add)(1))

    return {"create": median([timed(once) for _ in range(2 if quick else 5)])}


@question.measure(
    Row("sync", "actor call, one at a time: median", SECONDS),
    Row("sync_p99", "actor call, one at a time: 99th percentile", SECONDS),
    Row("pipelined", "actor calls, many at once, one caller", PER_SECOND),
    engines=ENGINES,
)
def calls(engine, quick):
    actor = _make(engine, _Counter)
    add, get = _call(engine, actor.add), engine.get
    times = times_of(lambda: _get(engine, add(1)), 0.5 if quick else 2)
    rate = rate_of(lambda count: _get(engine, [add(1) for _ in range(count)]), 0.5 if quick else 2, 100_000)
    del get
    return {"sync": median(times), "sync_p99": quantile(times, 0.99), "pipelined": rate}


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
    try:
        return engine.actor(cls, num_cpus=0)
    except (TypeError, AttributeError) as error:
        if engine.name == "raio" and "class" in str(error):
            raise Skip("actors are not built yet") from error
        raise


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


class _AsyncCounter:
    def __init__(self):
        self.value = 0

    async def add(self, by):
        await asyncio.sleep(0)
        self.value += by
        return self.value


if __name__ == "__main__":
    question.main()
