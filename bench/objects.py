"""What does it cost to store values and to read them, small and large?"""

import time

from harness import (
    BYTES_PER_SECOND,
    PER_SECOND,
    SECONDS,
    SHARE,
    Question,
    Row,
    median,
    rate_of,
    timed,
    times_of,
)

question = Question("objects", __doc__)

STORES = ("raio", "dask", "ray")
MB, GB = 1 << 20, 1 << 30


@question.measure(Row("put_small", "put of a small value", SECONDS), engines=STORES)
def put_small(engine, quick):
    put = engine.put

    def batch(count):
        kept = [put(1) for _ in range(count)]
        del kept

    rate, note = rate_of(batch, 0.3 if quick else 1, 100_000)
    return {"put_small": (1 / rate, note)}


@question.measure(
    Row("get_small", "get of a small value", SECONDS),
    Row("get_small_list", "get of 1,000 small values in one call", SECONDS),
    engines=STORES,
)
def get_small(engine, quick):
    get = engine.get
    references = [engine.put(1) for _ in range(1000)]

    def one_by_one():
        for reference in references:
            get(reference)

    seconds = 0.3 if quick else 1
    return {
        "get_small": median(times_of(one_by_one, seconds, least=2)) / 1000,
        "get_small_list": median(times_of(lambda: get(references), seconds, least=2)),
    }


@question.measure(
    Row("put_many", "put of small values, two processes at once", PER_SECOND),
    Row("get_many", "put and get of small values, two processes at once", PER_SECOND),
    engines=("raio", "ray"),
)
def several_processes(engine, quick):
    puts, gets, get = engine.task(_put_many), engine.task(_put_and_get_many), engine.get
    seconds = 0.3 if quick else 1
    return {
        "put_many": rate_of(lambda count: get([puts(count // 2) for _ in range(2)]), seconds, 50_000),
        "get_many": rate_of(lambda count: get([gets(count // 2) for _ in range(2)]), seconds, 50_000),
    }


def _large(name, size):
    return (
        Row(f"put_{name}_first", f"put of an array of {size}, first time", BYTES_PER_SECOND),
        Row(f"put_{name}", f"put of an array of {size}, warm", BYTES_PER_SECOND),
        Row(f"share_{name}_first", f"put of {size}, first time, as share of memcpy into fresh pages", SHARE),
        Row(f"share_{name}", f"put of {size}, warm, as share of memcpy into warm pages", SHARE),
        Row(f"get_{name}", f"get of an array of {size}", SECONDS),
    )


@question.measure(*_large("64mb", "64 MB"), engines=STORES, alone=True)
def put_64mb(engine, quick):
    return _put_large(engine, "64mb", 64 * MB, 5 if quick else 15)


@question.measure(*_large("1gb", "1 GB"), engines=STORES, alone=True, slow=("dask",))
def put_1gb(engine, quick):
    return _put_large(engine, "1gb", GB, 2 if quick else 4)


@question.measure(
    Row("arg_value", "a task with an array of 8 MB as argument, by value", SECONDS),
    Row("arg_reference", "a task with an array of 8 MB as argument, by reference", SECONDS),
    engines=("raio", "pool", "loky", "dask", "ray"),
)
def argument(engine, quick):
    import numpy

    array = numpy.ones(8 * MB, dtype=numpy.uint8)
    call, get = engine.task(_length), engine.get
    seconds = 0.5 if quick else 2
    measured = {"arg_value": median(times_of(lambda: get(call(array)), seconds, most=300, least=5))}
    if "store" in engine.has:
        reference = engine.put(array)
        measured["arg_reference"] = median(times_of(lambda: get(call(reference)), seconds, most=1000, least=5))
    return measured


@question.measure(
    Row("result_64mb", "a task with a result of 64 MB, and its get", BYTES_PER_SECOND),
    engines=("raio", "pool", "loky", "dask", "ray"),
)
def result(engine, quick):
    call, get = engine.task(_make), engine.get

    def once():
        assert get(call(64 * MB)).nbytes == 64 * MB

    return {"result_64mb": 64 * MB / median(times_of(once, 1 if quick else 3, most=20, least=3))}


def _put_large(engine, name, size, times):
    import numpy

    engine.start(2)
    engine.warm_up(2)
    source = numpy.ones(size, dtype=numpy.uint8)
    target = numpy.ones(size, dtype=numpy.uint8)

    def put():
        begin = time.perf_counter()
        reference = engine.put(source)
        return reference, time.perf_counter() - begin

    def copy_fresh():
        fresh = numpy.empty(size, dtype=numpy.uint8)  # of this size, it comes from mmap each time
        return timed(lambda: numpy.copyto(fresh, source))

    reference, first = put()
    fresh = median([copy_fresh() for _ in range(3)])
    puts, copies, gets = [], [], []
    for _ in range(times + 1):
        # Before and after: what else the machine does should meet both alike.
        copies.append(timed(lambda: numpy.copyto(target, source)))
        for _ in range(1 if engine.name == "dask" else 20):
            begin = time.perf_counter()
            value = engine.get(reference)
            gets.append(time.perf_counter() - begin)
            assert value.nbytes == size
            del value
        reference = None
        time.sleep(0.3)  # until the store has heard that nobody needs it
        reference, took = put()
        puts.append(took)
    puts, copies = puts[1:], copies[1:]
    return {
        f"put_{name}_first": size / first,
        f"put_{name}": size / median(puts),
        f"share_{name}_first": fresh / first,
        f"share_{name}": median(copies) / median(puts),
        f"get_{name}": median(gets),
    }


def _put_many(count):
    import ray

    for _ in range(count):
        ray.put(1)


def _put_and_get_many(count):
    import ray

    for _ in range(count):
        ray.get(ray.put(1))


def _length(array):
    return array.nbytes


def _make(size):
    import numpy

    return numpy.ones(size, dtype=numpy.uint8)


if __name__ == "__main__":
    question.main()
