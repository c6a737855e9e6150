"""Generators: references to what a function yields, each as soon as it is there; with real processes.

Most tests run for each kind of producer: a function, and methods of actors that run their calls one by one, on threads, or on an
event loop (there as plain and as async generators).
"""

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

import ray
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    ObjectRefStreamEndOfStreamError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)
from support import attempts, is_alive, note_attempt, wait_until

LARGE = 1 << 20
KINDS = ["function", "method", "thread", "loop", "async"]


def nothing_kept():
    gc.collect()
    counters = ray._core.counters()
    stored = ray._core.store_stats()["objects"]
    return stored == 0 and counters["shared_objects"] == 0 and counters["local_objects"] == 0


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    """Two workers, the same for all tests."""
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    wait_until(nothing_kept)


class Gate:
    """Lets a producer go on step by step: `open(3)` lets items 0, 1 and 2 pass."""

    def __init__(self, place):
        self.place = place

    def open(self, count=None):
        (self.place / "open").write_text(str(1 << 30 if count is None else count))

    def passes(self, step):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return step < int((self.place / "open").read_text())
        return False

    def note(self, text):
        note_attempt(self.place / "log", text)

    @property
    def log(self):
        return attempts(self.place / "log")


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path)
    yield gate
    gate.open()


def items(count, *, gate=None, boom=None, make=int):
    """The numbers up to `count`, raising at `boom`; notes what it yields, and that it was closed."""
    try:
        for i in range(count):
            while gate is not None and not gate.passes(i):
                time.sleep(0.002)
            if i == boom:
                raise ValueError(f"item {i}")
            if gate is not None:
                gate.note(f"yield {i}")
            yield make(i)
    finally:
        if gate is not None:
            gate.note("ended")


class Plain:
    def items(self, count, **others):
        yield from items(count, **others)

    def pid(self):
        return os.getpid()

    def ping(self, value=None):
        return value


class OnLoop(Plain):
    async def nothing(self):
        """One such method gives the actor an event loop."""


class Async(OnLoop):
    async def items(self, count, *, gate=None, boom=None, make=int):
        try:
            for i in range(count):
                while gate is not None and not gate.passes(i):
                    await asyncio.sleep(0.002)
                if i == boom:
                    raise ValueError(f"item {i}")
                if gate is not None:
                    gate.note(f"yield {i}")
                yield make(i)
        finally:
            if gate is not None:
                gate.note("ended")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


class Producer:
    """`items` as a function or a method of an actor. pytest keeps it beyond the test: what it is about goes before."""

    def __init__(self, kind):
        if kind == "function":
            self.items = ray.remote(items)
            return
        options = {"max_concurrency": 4} if kind == "thread" else {}
        cls = {"method": Plain, "thread": Plain, "loop": OnLoop, "async": Async}[kind]
        self.items = ray.remote(cls).options(num_cpus=0, **options).remote().items

    def remote(self, *args, **kwargs):
        return self.items.remote(*args, **kwargs)

    def options(self, **options):
        return self.items.options(**options)


@pytest.fixture
def producer(kind):
    producer = Producer(kind)
    yield producer
    producer.items = None


def values(generator):
    return [ray.get(ref) for ref in generator]


def large(i):
    return np.full(LARGE, i, "u1")


# -- what comes, and when ----------------------------------------------------------------------------------------------


def test_references_come_in_order(producer):
    generator = producer.remote(5)
    assert isinstance(generator, ray.ObjectRefGenerator)
    refs = list(generator)
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
    assert len(set(refs)) == 5
    assert ray.get(refs) == [0, 1, 2, 3, 4]
    assert list(generator) == []


def test_it_may_yield_nothing(producer):
    generator = producer.remote(0)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(generator)


def test_streaming_may_be_asked_for(producer):
    assert values(producer.options(num_returns="streaming").remote(3)) == [0, 1, 2]


def test_an_item_is_there_while_the_function_runs(producer, gate):
    generator = producer.remote(3, gate=gate)
    for step in range(2):
        gate.open(step + 1)
        assert ray.get(next(generator)) == step
        assert gate.log == [f"yield {i}" for i in range(step + 1)]
    gate.open()
    assert values(generator) == [2]
    assert gate.log == ["yield 0", "yield 1", "yield 2", "ended"]


def test_many_items(producer):
    assert values(producer.remote(2000)) == list(range(2000))


def test_large_items_go_through_the_store(producer):
    seen = []
    for ref in producer.remote(6, make=large):
        array = ray.get(ref)
        assert array.nbytes == LARGE
        assert not array.flags.writeable
        seen.append(int(array[-1]))
        del ref, array
    assert seen == [0, 1, 2, 3, 4, 5]


def test_items_may_contain_references(producer):
    for i, ref in enumerate(producer.remote(3, make=lambda i: [ray.put(large(i)), i])):
        inner, number = ray.get(ref)
        del ref
        assert number == i == ray.get(inner)[0]
        del inner


def test_items_are_ordinary_objects(producer):
    @ray.remote
    def add(*numbers):
        return sum(numbers)

    @ray.remote
    def add_all(refs):
        return sum(ray.get(refs))

    refs = list(producer.remote(4))
    assert ray.get(add.remote(*refs)) == 6
    assert ray.get(add_all.remote(refs)) == 6
    assert ray.get(add.remote(next(producer.remote(1)), 1)) == 1


def test_arguments_are_passed_like_those_of_any_call(producer):
    assert values(producer.remote(count=ray.put(2))) == [0, 1]
    with pytest.raises(TypeError, match="count"):
        producer.remote()


def test_several_at_a_time(producer):
    generators = [producer.remote(20) for _ in range(10)]
    for i in range(20):
        assert ray.get([next(generator) for generator in generators]) == [i] * 10


def test_two_threads_take_each_item_once(producer):
    generator = producer.remote(400)
    taken = [[], []]

    def take(mine):
        mine.extend(generator)

    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ray.get(taken[0] + taken[1])) == list(range(400))


def test_a_task_takes_them_too():
    @ray.remote(num_cpus=0)
    def total(function, count):
        return sum(ray.get(ref) for ref in function.remote(count))

    assert ray.get(total.remote(ray.remote(items), 10)) == 45


def test_generators_that_take_from_generators():
    @ray.remote
    def count(n):
        yield from range(n)

    @ray.remote
    def doubled(n):
        for ref in count.remote(n):
            yield 2 * ray.get(ref)

    @ray.remote
    def passed_on(n):
        yield from doubled.remote(n)  # the references themselves are the items

    assert [ray.get(ray.get(ref)) for ref in passed_on.remote(5)] == [0, 2, 4, 6, 8]


def test_what_only_looks_like_a_generator_function():
    @ray.remote
    def listed():
        return [1, 2]

    assert ray.get(listed.remote()) == [1, 2]
    for wanted in ("streaming", "dynamic"):
        with pytest.raises(ValueError, match=wanted):
            ray.remote(num_returns=wanted)(lambda: None)
        with pytest.raises(ValueError, match=wanted):
            listed.options(num_returns=wanted)


def test_a_method_may_return_an_iterator(kind):
    if kind == "function":
        pytest.skip("what it returns is only known when it runs")

    class Iterators:
        def numbers(self, result):
            return iter([1, 2]) if result == "iterator" else result

    class IteratorsOnLoop(Iterators):
        async def coroutine(self):
            return iter([1, 2])

    cls = IteratorsOnLoop if kind in ("loop", "async") else Iterators
    actor = ray.remote(cls).options(max_concurrency=2 if kind == "thread" else None, num_cpus=0).remote()
    numbers = actor.numbers.options(num_returns="streaming")
    assert values(numbers.remote("iterator")) == [1, 2]
    with pytest.raises(ValueError, match="must return a generator"):
        values(numbers.remote([1, 2]))
    if kind == "async":
        assert values(actor.coroutine.options(num_returns="streaming").remote()) == [1, 2]


def test_async_functions_are_no_tasks():
    async def numbers():
        yield 1

    with pytest.raises(ValueError, match="async def"):
        ray.remote(numbers)


# -- what is raised ----------------------------------------------------------------------------------------------------


def test_an_error_is_one_more_reference(producer):
    generator = producer.remote(5, boom=2)
    assert ray.get([next(generator), next(generator)]) == [0, 1]
    last = next(generator)
    with pytest.raises(ValueError, match="item 2") as caught:
        ray.get(last)
    assert isinstance(caught.value, RayTaskError)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(generator)


def test_an_error_at_once(producer):
    (only,) = producer.remote(5, boom=0)
    with pytest.raises(ValueError, match="item 0"):
        ray.get(only)


def test_an_argument_that_failed(producer):
    @ray.remote
    def fail():
        raise KeyError("argument")

    (only,) = producer.remote(fail.remote())
    with pytest.raises(KeyError, match="argument"):
        ray.get(only)


def test_an_item_that_cannot_be_sent_ends_it(producer, gate):
    gate.open()
    first, last = producer.remote(3, gate=gate, make=lambda i: i if i == 0 else threading.Lock())
    assert ray.get(first) == 0
    with pytest.raises(TypeError, match="pickle"):
        ray.get(last)
    assert gate.log == ["yield 0", "yield 1", "ended"]


def test_an_error_that_cannot_be_sent(producer):
    class Stubborn(Exception):
        def __reduce__(self):
            raise TypeError("never")

    def make(i):
        raise Stubborn

    (only,) = producer.remote(1, make=make)
    with pytest.raises(RayTaskError):
        ray.get(only)


def test_an_actor_survives_an_error():
    actor = ray.remote(Plain).remote()
    list(actor.items.remote(3, boom=1))
    assert ray.get(actor.ping.remote("here")) == "here"


# -- questions and async -----------------------------------------------------------------------------------------------


def test_questions(producer, gate):
    generator = producer.remote(2, gate=gate)
    completed = generator.completed()
    with pytest.raises(GetTimeoutError):
        ray.get(completed, timeout=0.01)
    for step in range(2):
        assert not generator.next_ready()
        assert not generator.is_finished()
        assert generator._next_sync(timeout_s=0).is_nil()
        assert generator._next_sync(0.01).is_nil()
        gate.open(step + 1)
        wait_until(generator.next_ready)
        assert ray.get(generator._next_sync(timeout_s=0)) == step
    assert ray.get(completed) is None
    assert generator.is_finished()
    assert not generator.next_ready()
    with pytest.raises(StopIteration):
        generator._next_sync(timeout_s=1)
    with pytest.raises(StopIteration):
        next(generator)


def test_questions_about_one_that_fails(producer):
    generator = producer.remote(1, boom=0)
    with pytest.raises(ValueError, match="item 0"):
        ray.get(generator.completed())
    assert generator.next_ready()
    assert not generator.is_finished()
    assert generator._next_sync() == generator.completed()
    assert generator.is_finished()
    assert not generator.next_ready()


def test_it_is_finished_only_when_all_was_taken(producer):
    generator = producer.remote(2)
    ray.get(generator.completed())
    assert not generator.is_finished()
    next(generator)
    assert not generator.is_finished()
    assert generator.next_ready()
    next(generator)
    assert generator.is_finished()


def test_async_for(producer, gate):
    async def take():
        taken = []
        generator = producer.remote(4, gate=gate, boom=3)
        gate.open(1)
        async for ref in generator:
            taken.append(ref)
            gate.open(len(taken) + 1)
        return taken

    *refs, last = asyncio.run(take())
    assert ray.get(refs) == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        ray.get(last)


def test_async_for_of_several(producer):
    async def total(generator):
        return sum([await ref async for ref in generator])

    async def all_of_them():
        return await asyncio.gather(*(total(producer.remote(n)) for n in range(6)))

    assert asyncio.run(all_of_them()) == [0, 0, 1, 3, 6, 10]


def test_next_async(producer, gate):
    async def take():
        generator = producer.remote(1, gate=gate)
        assert (await generator._next_async(timeout_s=0)).is_nil()
        assert (await generator._next_async(0.01)).is_nil()
        gate.open()
        assert await (await generator._next_async()) == 0
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await generator._next_async(1)

    asyncio.run(take())


def test_an_actor_with_a_loop_takes_them(producer):
    @ray.remote(num_cpus=0)
    class Taker:
        async def total(self, n):
            return sum([await ref async for ref in numbers.remote(n)])

    @ray.remote
    def numbers(n):
        yield from range(n)

    assert ray.get(Taker.remote().total.remote(5)) == 10


# -- what is not possible ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["send", "throw", "close", "asend", "athrow", "aclose"])
def test_what_ordinary_generators_can(name):
    generator = ray.remote(items).remote(1)
    with pytest.raises(NotImplementedError, match=name):
        getattr(generator, name)(*(() if "close" in name else (None,)))
    assert values(generator) == [0]


def test_it_does_not_travel():
    generator = ray.remote(items).remote(2)
    take = ray.remote(lambda generator: None)
    for attempt in (
        lambda: pickle.dumps(generator),
        lambda: take.remote(generator),
        lambda: take.remote([generator]),
        lambda: ray.put(generator),
    ):
        with pytest.raises(TypeError, match="generator"):
            attempt()
    assert values(generator) == [0, 1]


def test_a_task_cannot_return_one():
    @ray.remote
    def outer():
        return ray.remote(items).remote(1)

    with pytest.raises(TypeError, match="generator"):
        ray.get(outer.remote())


def test_it_is_itself_and_nothing_else():
    function = ray.remote(items)
    first, second = function.remote(1), function.remote(1)
    assert first != second
    assert len({first, second, first}) == 2
    assert iter(first) is first
    assert first.__aiter__() is first
    assert first.completed().hex() in repr(first)
    assert ray.ObjectRefGenerator[int].__origin__ is ray.ObjectRefGenerator
    with pytest.raises(TypeError):
        ray.ObjectRefGenerator()


def test_one_of_an_earlier_cluster():
    generator = ray.remote(items).remote(2)
    ray.shutdown()
    for use in (next, ray.ObjectRefGenerator.completed, lambda stale: ray.wait([stale]), ray.cancel):
        with pytest.raises(ValueError, match="stopped"):
            use(generator)
    assert not ray.is_initialized()
    ray.init(num_cpus=2)
    with pytest.raises(ValueError, match="stopped"):
        next(generator)
    del generator


# -- get, wait, cancel -------------------------------------------------------------------------------------------------


def test_get_gives_it_back():
    generator = ray.remote(items).remote(1)
    assert ray.get(generator) is generator
    with pytest.raises(TypeError, match="get"):
        ray.get([generator])
    with pytest.raises(TypeError, match="get"):
        ray.get([next(generator), generator])


def test_wait_mixes_them_with_references(producer, gate):
    slow, quick, there = producer.remote(1, gate=gate), ray.remote(items).remote(1), ray.put(1)
    ready, rest = ray.wait([slow, quick, there], num_returns=2)
    assert (ready, rest) == ([quick, there], [slow])
    assert ray.wait([slow], timeout=0.01) == ([], [slow])
    gate.open()
    assert ray.wait([slow]) == ([slow], [])
    assert values(slow) + values(quick) == [0, 0]


def test_wait_is_for_the_next_item(producer, gate):
    generator = producer.remote(2, gate=gate)
    gate.open(1)
    assert ray.wait([generator])[0] == [generator]
    next(generator)
    assert ray.wait([generator], timeout=0.01) == ([], [generator])
    gate.open()
    assert ray.wait([generator])[0] == [generator]
    next(generator)
    assert ray.wait([generator])[0] == [generator], "that it has ended is to be seen too"
    assert list(generator) == []
    assert ray.wait([generator], timeout=0)[0] == [generator]


def test_wait_refuses_the_same_twice():
    generator = ray.remote(items).remote(1)
    with pytest.raises(ValueError, match="unique"):
        ray.wait([generator, generator])
    with pytest.raises(TypeError):
        ray.wait(generator)


def test_wait_counts_a_failure(producer):
    generator = producer.remote(1, boom=0)
    assert ray.wait([generator])[0] == [generator]
    with pytest.raises(ValueError, match="item 0"):
        ray.get(next(generator))


def test_what_waits_for_an_item_is_told_of_the_end(gate):
    generator = ray.remote(items).remote(1, gate=gate)
    gate.open()
    next(generator)
    beyond = generator._get_next_ref()
    with pytest.raises(ObjectRefStreamEndOfStreamError):
        ray.get(beyond)


def test_cancelling_what_has_not_begun(gate):
    @ray.remote(num_cpus=2)
    def alone(gate):
        yield from items(1, gate=gate)

    runs, queued = alone.remote(gate), alone.remote(gate)
    ray.cancel(queued)
    (only,) = queued
    with pytest.raises(TaskCancelledError):
        ray.get(only)
    gate.open()
    assert values(runs) == [0]
    assert gate.log.count("yield 0") == 1


@pytest.mark.parametrize("kind", ["function", "async"], indirect=True)
def test_cancelling_what_runs(producer, gate):
    generator = producer.remote(3, gate=gate)
    gate.open(2)
    first = next(generator)
    wait_until(generator.next_ready)
    ray.cancel(generator)
    second, last = generator
    assert ray.get([first, second]) == [0, 1], "what was yielded stays"
    with pytest.raises(TaskCancelledError):
        ray.get(last)
    assert gate.log[-1] == "ended"


@pytest.mark.parametrize("kind", ["function", "async"], indirect=True)
def test_cancelling_what_waits_for_its_consumer(producer, gate):
    gate.open()
    generator = producer.options(_generator_backpressure_num_objects=1).remote(9, gate=gate)
    wait_until(lambda: gate.log == ["yield 0"])
    ray.cancel(generator)
    first, last = generator
    assert ray.get(first) == 0
    with pytest.raises(TaskCancelledError):
        ray.get(last)
    assert gate.log == ["yield 0", "ended"]


def test_a_method_that_runs_can_ask_whether_it_was_cancelled():
    @ray.remote
    class Asks:
        def until_cancelled(self):
            yield "begun"
            while not ray.get_runtime_context().is_canceled():
                time.sleep(0.002)
            yield "cancelled"

    generator = Asks.remote().until_cancelled.remote()
    assert ray.get(next(generator)) == "begun"
    with pytest.raises(ValueError, match="force"):
        ray.cancel(generator, force=True)
    ray.cancel(generator)
    assert values(generator) == ["cancelled"]


def test_cancelling_what_has_ended():
    generator = ray.remote(items).remote(2)
    ray.get(generator.completed())
    ray.cancel(generator)
    assert values(generator) == [0, 1]


# -- back-pressure, and consumers that go ------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
def test_a_producer_waits_for_its_consumer(producer, gate, limit):
    gate.open()
    generator = producer.options(_generator_backpressure_num_objects=limit).remote(8, gate=gate)
    yielded = [f"yield {i}" for i in range(8)]
    for taken in range(8):
        under_way = yielded[: taken + limit]
        wait_until(lambda: len(gate.log) >= len(under_way))  # noqa: B023 - waited for here
        assert [line for line in gate.log if line != "ended"] == under_way
        assert ray.get(next(generator)) == taken
    assert list(generator) == []
    assert gate.log == [*yielded, "ended"]


@pytest.mark.parametrize("limit", [None, -1])
def test_without_a_limit_it_does_not(producer, gate, limit):
    gate.open()
    generator = producer.options(_generator_backpressure_num_objects=limit).remote(50, gate=gate)
    wait_until(lambda: "ended" in gate.log)
    assert values(generator) == list(range(50))


def test_limits_declared_with_functions_and_methods(gate):
    gate.open()

    class Limited(Plain):
        @ray.method(_generator_backpressure_num_objects=1)
        def items(self, count, **others):
            yield from items(count, **others)

    by_method = ray.remote(Limited).remote()
    by_actor = ray.remote(Plain).options(_actor_generator_backpressure_num_objects=1).remote()
    by_function = ray.remote(_generator_backpressure_num_objects=1)(items)
    for number, limited in enumerate([by_function, by_method.items, by_actor.items], 1):
        generator = limited.remote(3, gate=gate)
        wait_until(lambda: gate.log.count("yield 0") == number)  # noqa: B023 - waited for here
        assert gate.log.count("yield 1") == number - 1
        assert values(generator) == [0, 1, 2]


def test_a_producer_that_waits_leaves_its_place_to_its_consumer():
    @ray.remote(num_cpus=2)
    def double(n):
        return 2 * n

    generator = ray.remote(items).options(_generator_backpressure_num_objects=1, num_cpus=2).remote(5)
    assert [ray.get(double.remote(ref)) for ref in generator] == [0, 2, 4, 6, 8]


def test_other_calls_run_while_one_waits(gate):
    gate.open()
    for cls, options in ((Plain, {"max_concurrency": 2}), (Async, {})):
        actor = ray.remote(cls).options(num_cpus=0, **options).remote()
        generator = actor.items.options(_generator_backpressure_num_objects=1).remote(3, gate=gate)
        assert ray.get(next(generator)) == 0
        assert ray.get(actor.ping.remote(1)) == 1
        assert values(actor.items.remote(3)) == [0, 1, 2]
        assert values(generator) == [1, 2]


def test_what_was_not_taken_is_freed(producer):
    generator = producer.remote(5, make=large)
    first = next(generator)
    ray.get(generator.completed())
    assert ray._core.store_stats()["objects"] == 5
    del generator
    wait_until(lambda: ray._core.store_stats()["objects"] == 1)
    assert ray.get(first)[0] == 0


def test_items_that_come_when_nobody_wants_them_any_more_are_freed(producer, gate):
    generator = producer.remote(6, gate=gate, make=lambda i: [large(i), ray.put(i)])
    gate.open(2)
    next(generator)
    del generator
    gate.open()
    wait_until(lambda: "ended" in gate.log)
    assert gate.log.count("yield 5") == 1, "without a limit the producer runs on"
    wait_until(nothing_kept)


def test_a_producer_that_waits_ends_when_its_consumer_goes(producer, gate):
    gate.open()
    generator = producer.options(_generator_backpressure_num_objects=2).remote(1 << 30, gate=gate, make=large)
    next(generator)
    del generator
    wait_until(lambda: "ended" in gate.log)
    wait_until(nothing_kept)
    assert values(producer.remote(2)) == [0, 1]


def test_one_dropped_before_it_has_begun(gate):
    gate.open()

    @ray.remote(num_cpus=2)
    def alone(n):
        yield from items(n, gate=gate)

    alone.options(_generator_backpressure_num_objects=1).remote(1 << 30)
    wait_until(lambda: gate.log and gate.log[-1] == "ended")
    assert values(alone.remote(1)) == [0]


def test_a_consumer_that_dies_takes_its_producer_along(gate):
    gate.open()
    actor = ray.remote(Plain).options(num_cpus=0, max_concurrency=2).remote()

    @ray.remote(max_retries=0)
    def consume(actor):
        generator = actor.items.options(_generator_backpressure_num_objects=1).remote(1 << 30, gate=gate, make=large)
        next(generator)
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(consume.remote(actor))
    wait_until(lambda: "ended" in gate.log)
    assert ray.get(actor.ping.remote("here")) == "here"
    del actor


# -- deaths ------------------------------------------------------------------------------------------------------------


def dies_once(place, count, at, make=int):
    """Its first attempt dies before item `at`."""
    is_first = not attempts(place / "attempts")
    note_attempt(place / "attempts")
    for i in range(count):
        if i == at and is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        yield make(i)


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("make", [int, large])
def test_a_lost_worker_is_replaced_and_every_item_comes_once(tmp_path, at, make):
    generator = ray.remote(dies_once).remote(tmp_path, 5, at, make)
    refs = list(generator)
    assert [int(np.ravel(ray.get(ref))[0]) for ref in refs] == [0, 1, 2, 3, 4]
    assert len(attempts(tmp_path / "attempts")) == 2


def test_items_taken_and_dropped_do_not_come_again(tmp_path, gate):
    def body(place, gate):
        is_first = not attempts(place / "attempts")
        note_attempt(place / "attempts")
        for i in range(4):
            if i == 2 and is_first:
                while not gate.passes(0):
                    time.sleep(0.002)
                os.kill(os.getpid(), signal.SIGKILL)
            yield large(i)

    generator = ray.remote(body).remote(tmp_path, gate)
    first, second = ray.get(next(generator)), ray.get(next(generator))
    gate.open()
    assert [int(ray.get(ref)[0]) for ref in generator] == [2, 3]
    assert (first[0], second[0]) == (0, 1)
    del first, second


def test_a_new_attempt_knows_what_was_taken(tmp_path, gate):
    gate.open()

    def body(place, gate):
        is_first = not attempts(place / "attempts")
        note_attempt(place / "attempts")
        for i in range(8):
            if i == 3 and is_first:
                os.kill(os.getpid(), signal.SIGKILL)
            gate.note(f"{'first' if is_first else 'second'} {i}")
            yield i

    generator = ray.remote(body).options(_generator_backpressure_num_objects=2).remote(tmp_path, gate)
    assert [ray.get(next(generator)) for _ in range(2)] == [0, 1]
    wait_until(lambda: "second 3" in gate.log)
    assert "second 4" not in gate.log
    assert values(generator) == [2, 3, 4, 5, 6, 7]


def test_without_retries_the_death_is_one_more_reference(tmp_path):
    *refs, last = ray.remote(max_retries=0)(dies_once).remote(tmp_path, 5, 2)
    assert ray.get(refs) == [0, 1]
    with pytest.raises(WorkerCrashedError):
        ray.get(last)


def test_a_dead_actor_ends_its_streams(gate):
    actor = ray.remote(Plain).remote()
    generator = actor.items.remote(5, gate=gate)
    gate.open(2)
    assert ray.get([next(generator), next(generator)]) == [0, 1]
    ray.kill(actor)
    (last,) = generator
    with pytest.raises(ActorDiedError):
        ray.get(last)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(generator)
    (only,) = actor.items.remote(5)
    with pytest.raises(ActorDiedError):
        ray.get(only)


def test_calls_of_an_actor_that_comes_back_are_tried_again(tmp_path):
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Dies:
        def items(self, place):
            yield from dies_once(place, 4, 2)

    assert values(Dies.remote().items.remote(tmp_path)) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["method", "thread", "async"], indirect=True)
def test_an_actor_that_leaves_in_the_middle(kind):
    class Leaves:
        def items(self):
            yield 1
            ray.actor.exit_actor()

    class LeavesAsync:
        async def items(self):
            yield 1
            ray.actor.exit_actor()

    cls = LeavesAsync if kind == "async" else Leaves
    actor = ray.remote(cls).options(max_concurrency=2 if kind == "thread" else None, num_cpus=0).remote()
    first, last = actor.items.remote()
    assert ray.get(first) == 1
    with pytest.raises(ActorDiedError):
        ray.get(last)


def test_an_actor_finishes_its_stream_after_its_last_handle():
    generator = ray.remote(Plain).remote().items.remote(5)
    assert values(generator) == [0, 1, 2, 3, 4]


def test_a_task_that_forks_yields_once():
    @ray.remote
    def forks():
        yield 1
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        yield 2

    assert values(forks.remote()) == [1, 2]


def test_the_worker_of_a_dead_driver_does_not_stay(gate):
    from support import Driver

    program = """
        import itertools
        ray.init(num_cpus=1)

        @ray.remote(_generator_backpressure_num_objects=1)
        def endless():
            yield os.getpid()
            yield from itertools.count()

        generator = endless.remote()
        print(ray.get(next(generator)), flush=True)
        time.sleep(1000)
    """
    with Driver(program) as driver:
        worker = int(driver.line())
        assert is_alive(worker)
        driver.process.kill()
        wait_until(lambda: not is_alive(worker))


# -- several results instead of a stream -------------------------------------------------------------------------------


def test_a_fixed_number_of_results(producer):
    refs = producer.options(num_returns=3).remote(3)
    assert isinstance(refs, list)
    assert ray.get(refs) == [0, 1, 2]
    assert ray.get(producer.options(num_returns=1).remote(1)) == 0
    assert producer.options(num_returns=0).remote(0) is None


def test_another_number_than_was_said(producer):
    for given in (2, 4):
        for ref in producer.options(num_returns=3).remote(given):
            with pytest.raises(ValueError, match="num_returns=3"):
                ray.get(ref)


def test_results_before_an_error_stay():
    first, second, third = ray.remote(items).options(num_returns=3).remote(3, boom=1)
    assert ray.get(first) == 0
    for ref in (second, third):
        with pytest.raises(ValueError, match="item 1"):
            ray.get(ref)


def test_dynamic(producer):
    ref = producer.options(num_returns="dynamic").remote(4, make=large)
    assert isinstance(ref, ray.ObjectRef)
    found = ray.get(ref)
    assert isinstance(found, ray.DynamicObjectRefGenerator)
    assert len(found) == 4
    assert [int(ray.get(item)[0]) for item in found] == [0, 1, 2, 3]
    assert len(ray.get(producer.options(num_returns="dynamic").remote(0))) == 0


def test_dynamic_travels():
    @ray.remote
    def total(found):
        return sum(ray.get(list(found)))

    dynamic = ray.remote(items).options(num_returns="dynamic")
    assert ray.get(total.remote(dynamic.remote(4))) == 6
    assert ray.get(total.remote(ray.get(dynamic.remote(4)))) == 6


def test_dynamic_with_an_error():
    first, second = ray.get(ray.remote(items).options(num_returns="dynamic").remote(4, boom=1))
    assert ray.get(first) == 0
    with pytest.raises(ValueError, match="item 1"):
        ray.get(second)


# -- declared types ----------------------------------------------------------------------------------------------------


def test_items_of_a_declared_type():
    @ray.remote(typed=True)
    def numbers(wrong: bool) -> Iterator[int]:
        yield 1
        if wrong:
            yield "two"

    @ray.remote(typed=True)
    def wants_text(text: str) -> str:
        return text

    (ref,) = numbers.remote(False)
    assert ref.declared_type is int
    with pytest.raises(TypeError, match="wants_text"):
        wants_text.remote(ref)
    first, last = numbers.remote(True)
    assert ray.get(first) == 1
    with pytest.raises(TypeError, match=r"Item 1 of the generator .* has type str"):
        ray.get(last)


def test_declared_lists_say_how_many_it_yields():
    @ray.remote([int], [int, str])
    def pair(n):
        yield n
        yield str(n)

    assert ray.get(pair.remote(1)) == [1, "1"]


def test_async_methods_of_a_declared_type():
    @ray.remote(typed=True)
    class Numbers:
        async def count(self, n: int) -> AsyncIterator[int]:
            for i in range(n):
                yield i

    actor = Numbers.remote()
    refs = list(actor.count.remote(2))
    assert ray.get(refs) == [0, 1]
    assert refs[0].declared_type is int
    with pytest.raises(TypeError):
        actor.count.remote("two")


# -- the graph ---------------------------------------------------------------------------------------------------------


def test_items_are_drawn_with_what_uses_them(tmp_path):
    @ray.remote
    def drawn_producer():
        yield from range(3)

    @ray.remote
    def drawn_user(value):
        return value

    ray.get([drawn_user.remote(ref) for ref in drawn_producer.remote()])
    path = tmp_path / "graph.dot"
    ray.visualize_computation_graph(file_path=str(path))
    drawn = path.read_text()
    box = next(line.split()[0] for line in drawn.splitlines() if "drawn_producer" in line)
    assert drawn.count(f"  {box} -> ") == 4, "its end, and each item that was used"
