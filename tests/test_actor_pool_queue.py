"""`ray.util.ActorPool` and `ray.util.queue.Queue`, and the small helpers beside them."""

import asyncio
import queue
import time

import pytest

import ray
from ray.exceptions import ActorDiedError
from ray.util import ActorPool
from ray.util.queue import Empty, Full, Queue
from support import wait_until


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


@ray.remote
class Doubler:
    def double(self, x):
        return 2 * x

    def slow_double(self, x):
        time.sleep(0.5 if x == 0 else 0)
        return 2 * x

    def fail(self, x):
        raise ValueError(x)

    def pair(self, x):
        return x, x + 1


def double(actor, x):
    return actor.double.remote(x)


def two():
    return [Doubler.remote(), Doubler.remote()]


# -- pools -------------------------------------------------------------------------------------------------------------


def test_map():
    pool = ActorPool(two())
    assert list(pool.map(double, range(10))) == [2 * x for x in range(10)]
    assert sorted(pool.map_unordered(double, range(10))) == [2 * x for x in range(10)]


def test_map_drops_what_was_outstanding():
    pool = ActorPool(two())
    pool.submit(double, 1)
    assert list(pool.map(double, [5])) == [10]


def test_unordered_results_come_as_they_exist():
    pool = ActorPool(two())
    ray.get([actor.double.remote(0) for actor in pool._idle])
    results = list(pool.map_unordered(lambda actor, x: actor.slow_double.remote(x), range(4)))
    assert results[-1] == 0


def test_one_by_one():
    pool = ActorPool(two())
    for x in range(4):
        pool.submit(double, x)
    assert (pool.has_next(), pool.has_free()) == (True, False)
    assert [pool.get_next() for _ in range(4)] == [0, 2, 4, 6]
    assert (pool.has_next(), pool.has_free()) == (False, True)
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_late_results():
    pool = ActorPool([Doubler.remote()])
    pool.submit(lambda actor, x: actor.slow_double.remote(x), 0)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01)
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.01)
    assert pool.get_next() == 0
    pool.submit(lambda actor, x: actor.slow_double.remote(x), 0)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    assert (pool.has_next(), pool.has_free()) == (False, True)


def test_in_order_after_out_of_order_is_refused():
    pool = ActorPool(two())
    ray.get([actor.double.remote(0) for actor in pool._idle])
    for x in range(3):
        pool.submit(lambda actor, x: actor.slow_double.remote(x), x)
    pool.submit(double, 3)
    pool.get_next_unordered()
    assert pool.get_next() == 0
    with pytest.raises(ValueError, match="get_next"):
        pool.get_next()


def test_errors_give_the_actor_back_unless_it_is_dead():
    pool = ActorPool([Doubler.remote()])
    pool.submit(lambda actor, x: actor.fail.remote(x), 1)
    with pytest.raises(ValueError, match="1"):
        pool.get_next()
    assert pool.has_free()
    pool.submit(lambda actor, x: actor.__ray_terminate__.remote(), 1)
    with pytest.raises(ActorDiedError):
        pool.get_next()
    assert not pool.has_free()


def test_actors_come_and_go():
    one, other = two()
    pool = ActorPool([one])
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(one)
    pool.push(other)
    assert pool.pop_idle() == other
    assert pool.pop_idle() == one
    assert pool.pop_idle() is None


def test_several_references_at_a_time():
    pool = ActorPool([Doubler.remote()])
    pair = lambda actor, x: actor.pair.options(num_returns=2).remote(x)  # noqa: E731
    pool.submit(pair, 3)
    assert pool.get_next() == [3, 4]
    pool.submit(pair, 5)
    assert pool.get_next_unordered() == [5, 6]


# -- queues ------------------------------------------------------------------------------------------------------------


def test_first_in_first_out():
    q = Queue()
    for item in range(5):
        q.put(item)
    assert (q.size(), q.qsize(), len(q), q.empty(), q.full()) == (5, 5, 5, False, False)
    assert [q.get() for _ in range(5)] == list(range(5))
    assert q.empty()


def test_full_and_empty():
    q = Queue(maxsize=1)
    q.put(1)
    assert q.full()
    for attempt in (lambda: q.put_nowait(2), lambda: q.put(2, block=False), lambda: q.put(2, timeout=0.05)):
        with pytest.raises(Full):
            attempt()
    assert q.get() == 1
    for attempt in (q.get_nowait, lambda: q.get(block=False), lambda: q.get(timeout=0.05)):
        with pytest.raises(Empty):
            attempt()
    assert issubclass(Full, queue.Full)
    assert issubclass(Empty, queue.Empty)
    for attempt in (lambda: q.put(1, timeout=-1), lambda: q.get(timeout=-1)):
        with pytest.raises(ValueError, match="non-negative"):
            attempt()


def test_waiting_for_another_process():
    q = Queue(maxsize=1)

    @ray.remote
    def produce(q, n):
        for item in range(n):
            q.put(item)

    done = produce.remote(q, 20)
    assert [q.get() for _ in range(20)] == list(range(20))
    ray.get(done)


def test_batches():
    q = Queue(maxsize=3)
    q.put_nowait_batch([1, 2])
    with pytest.raises(Full):
        q.put_nowait_batch([3, 4])
    with pytest.raises(Empty):
        q.get_nowait_batch(3)
    assert q.get_nowait_batch(2) == [1, 2]
    with pytest.raises(TypeError):
        q.put_nowait_batch(1)
    with pytest.raises(TypeError):
        q.get_nowait_batch("1")
    with pytest.raises(ValueError, match="nonnegative"):
        q.get_nowait_batch(-1)


def test_asyncio():
    async def main():
        q = Queue(maxsize=2)
        await q.put_async(1)
        await q.put_async(2, block=False)
        with pytest.raises(Full):
            await q.put_async(3, timeout=0.05)
        return [await q.get_async(), await q.get_async(block=False)]

    assert asyncio.run(main()) == [1, 2]


def test_ending():
    q = Queue(actor_options={"name": "queue"})
    q.put(1)
    assert ray.util.list_named_actors() == ["queue"]
    q.shutdown()
    assert q.actor is None
    wait_until(lambda: ray.util.list_named_actors() == [])
    forced = Queue()
    forced.shutdown(force=True)
    forced.shutdown()


def test_address():
    assert ray.util.get_node_ip_address().count(".") == 3
