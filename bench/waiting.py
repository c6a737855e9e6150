"""Does it stay linear: waiting for many references, many arguments, many results, many references in one object?"""

import time

from engines import noop
from harness import SECONDS, Question, Row, median, timed

question = Question("waiting", __doc__)


@question.measure(Row("wait_1k", "wait on 1,000 references, one by one", SECONDS), engines=("raio", "ray"))
def wait_1k(engine, quick):
    return {"wait_1k": median([_one_by_one(engine, 1000) for _ in range(1 if quick else 3)])}


@question.measure(Row("wait_10k", "wait on 10,000 references, one by one", SECONDS), engines=("raio", "ray"), slow=("ray",))
def wait_10k(engine, quick):
    return {"wait_10k": _one_by_one(engine, 10_000)}


@question.measure(Row("as_completed", "results of 1,000 tasks as they come", SECONDS))
def as_completed(engine, quick):
    call, get = engine.task(noop), engine.get
    if engine.name == "ray":

        def completed(left):
            while left:
                done, left = engine.wait(left)
                yield from done
    elif engine.name == "raio":
        import ray

        completed = ray.as_completed
    elif engine.name == "dask":
        from distributed import as_completed as completed
    else:
        from concurrent.futures import as_completed as completed

    def run():
        for reference in completed([call() for _ in range(1000)]):
            get(reference)

    return {"as_completed": timed(run)}


@question.measure(
    Row("get_10k", "get of 10,000 references in one call", SECONDS),
    engines=("raio", "pool", "loky", "dask", "ray"),
    slow=("dask",),
)
def get_10k(engine, quick):
    call, get = engine.task(noop), engine.get
    references = [call() for _ in range(10_000)]
    get(references[-1])
    get(references)
    return {"get_10k": timed(lambda: get(references))}


@question.measure(Row("args_10k", "a task with 10,000 references as arguments", SECONDS), engines=("raio", "dask", "ray"))
def args_10k(engine, quick):
    call, get = engine.task(_count), engine.get
    if engine.name == "dask":
        references = engine.client.scatter([0] * 10_000, hash=False)
    else:
        references = [engine.put(0) for _ in range(10_000)]
    return {"args_10k": timed(lambda: _equal(get(call(*references)), 10_000))}


@question.measure(Row("returns_3k", "a task with 3,000 results", SECONDS), engines=("raio", "ray"))
def returns_3k(engine, quick):
    call, get = engine.task(_many, num_returns=3000), engine.get
    return {"returns_3k": timed(lambda: _equal(len(get(list(call()))), 3000))}


@question.measure(
    Row("nested_10k_put", "put of an object holding 10,000 references", SECONDS),
    Row("nested_10k_get", "reading it in a task, and what it refers to", SECONDS),
    engines=("raio", "ray"),
)
def nested_10k(engine, quick):
    references = [engine.put(0) for _ in range(10_000)]
    begin = time.perf_counter()
    holder = engine.put(references)
    took = time.perf_counter() - begin
    call, get = engine.task(_open), engine.get
    return {"nested_10k_put": took, "nested_10k_get": timed(lambda: _equal(get(call(holder)), 10_000))}


def _one_by_one(engine, count):
    call, wait = engine.task(noop), engine.wait
    references = [call() for _ in range(count)]

    def run():
        left = references
        while left:
            _, left = wait(left)

    return timed(run)


def _equal(found, expected):
    assert found == expected, found


def _count(*values):
    return len(values)


def _many():
    return list(range(3000))


def _open(references):
    import ray

    return len(ray.get(references))


if __name__ == "__main__":
    question.main()
