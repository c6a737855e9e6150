"""What does a task cost: alone, many at once, from many places, in chains and trees?"""

import functools

from engines import noop
from harness import PER_SECOND, SECONDS, Question, Row, median, quantile, rate_of, timed, times_of

question = Question("tasks", __doc__)


@question.measure(
    Row("sync", "no-op task, one at a time: median", SECONDS),
    Row("sync_p99", "no-op task, one at a time: 99th percentile", SECONDS),
)
def one_at_a_time(engine, quick):
    call, get = engine.task(noop), engine.get
    times = times_of(lambda: get(call()), 0.5 if quick else 2)
    return {"sync": median(times), "sync_p99": quantile(times, 0.99)}


@question.measure(Row("after_pause", "no-op task after a pause of 5 ms, workers asleep: median", SECONDS))
def after_a_pause(engine, quick):
    import time

    call, get = engine.task(noop), engine.get
    times = []
    for _ in range(50 if quick else 200):
        time.sleep(0.005)
        begin = time.perf_counter()
        get(call())
        times.append(time.perf_counter() - begin)
    return {"after_pause": median(times)}


@question.measure(Row("pipelined", "no-op tasks, many at once, one driver", PER_SECOND))
def many_at_once(engine, quick):
    return {"pipelined": rate_of(_submit_and_get(engine, engine.task(noop)), 0.5 if quick else 2, 100_000)}


@question.measure(Row("typed", "the same, types declared", PER_SECOND), engines=("raio",))
def typed(engine, quick):
    import ray

    call = functools.partial(ray.remote([int], [int])(_increment).remote, 1)
    return {"typed": rate_of(_submit_and_get(engine, call), 0.5 if quick else 2, 100_000)}


@question.measure(Row("submit", "submitting a no-op task, in the driver", SECONDS))
def submitting(engine, quick):
    call, get = engine.task(noop), engine.get
    count = 100
    while True:
        references = []
        took = timed(lambda: references.extend([call() for _ in range(count)]))  # noqa: B023 - called at once
        get(references)
        if took > (0.1 if quick else 0.3) or count >= 10_000:
            return {"submit": (took / count, f"{count:,} at once")}
        count *= 10


@question.measure(Row("four_drivers", "no-op tasks submitted by four tasks at once", PER_SECOND))
def four_drivers(engine, quick):
    engine.require("nesting")
    spawn, get = engine.spawner(noop), engine.get

    def batch(count):
        get([spawn(count // 4) for _ in range(4)])

    return {"four_drivers": rate_of(batch, 0.5 if quick else 2, 100_000)}


@question.measure(Row("nested", "no-op tasks submitted by one task", PER_SECOND))
def nested(engine, quick):
    engine.require("nesting")
    spawn, get = engine.spawner(noop), engine.get
    return {"nested": rate_of(lambda count: get(spawn(count)), 0.5 if quick else 2, 100_000)}


@question.measure(Row("chain", "a chain of 1,000 dependent tasks", SECONDS), slow=("dask",))
def chain(engine, quick):
    engine.require("references")
    call, get = engine.task(_increment), engine.get

    def run():
        reference = call(0)
        for _ in range(999):
            reference = call(reference)
        assert get(reference) == 1000

    return {"chain": median([timed(run) for _ in range(1 if quick else 3)])}


@question.measure(Row("tree", "binary tree reduction of 4,096 leaves", SECONDS), slow=("dask",))
def tree(engine, quick):
    engine.require("references")
    leaf, join, get = engine.task(_leaf), engine.task(_add), engine.get

    def run():
        level = [leaf() for _ in range(4096)]
        while len(level) > 1:
            level = [join(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
        assert get(level[0]) == 4096

    return {"tree": timed(run)}


@question.measure(Row("fan", "fan-out of one object to 1,000 tasks, fan-in to one", SECONDS))
def fan(engine, quick):
    engine.require("references")
    call, gather, get, put = engine.task(_increment), engine.task(_sum), engine.get, engine.put

    def run():
        source = put(1)
        assert get(gather(*[call(source) for _ in range(1000)])) == 2000

    return {"fan": median([timed(run) for _ in range(1 if quick else 3)])}


def _submit_and_get(engine, call):
    get = engine.get
    return lambda count: get([call() for _ in range(count)])


def _increment(value):
    return value + 1


def _leaf():
    return 1


def _add(left, right):
    return left + right


def _sum(*values):
    return sum(values)


if __name__ == "__main__":
    question.main()
