"""`ray.util.multiprocessing.Pool`: what programs written for `multiprocessing.Pool` rely on."""

import multiprocessing
import os
import threading

import pytest

import ray
from ray.exceptions import ActorDiedError, RayError
from ray.util.multiprocessing import JoinableQueue, Pool, TimeoutError
from ray.util.multiprocessing.pool import PoolTaskError
from support import is_alive, note_attempt, wait_until


@pytest.fixture
def pool(cluster):
    cluster(num_workers=2)
    with Pool(2) as pool:
        yield pool


@ray.remote(num_cpus=0)
class Gate:
    """Holds callers until it is opened."""

    def __init__(self):
        import asyncio

        self.opened = asyncio.Event()

    async def open(self):
        self.opened.set()

    async def wait(self):
        await self.opened.wait()


def square(x):
    return x * x


def add(a, b=0):
    return a + b


def invert(x):
    return 1 / x


def pid(_=None):
    return os.getpid()


# -- starting and stopping ---------------------------------------------------------------------------------------------


def test_names_of_the_standard_library():
    assert TimeoutError is multiprocessing.TimeoutError
    assert JoinableQueue is multiprocessing.JoinableQueue


def test_it_starts_a_cluster_of_its_size(cluster):
    with Pool(3) as pool:
        assert ray.cluster_resources()["CPU"] == 3
        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]


def test_it_is_as_large_as_the_cluster(cluster):
    cluster(num_workers=2)
    with Pool() as pool:
        assert len(set(pool.map(pid, range(10), chunksize=1))) == 2


def test_its_processes_hold_no_cpu(pool):
    assert ray.available_resources()["CPU"] == 2


@pytest.mark.parametrize("count", [0, -1, 3])
def test_a_size_that_cannot_be(cluster, count):
    cluster(num_workers=2)
    with pytest.raises(ValueError, match="Processes in the pool|there are only 2 CPUs"):
        Pool(count)


def test_initializer(cluster, tmp_path):
    cluster(num_workers=2)

    def begin(path, text):
        note_attempt(path, text)

    with Pool(2, initializer=begin, initargs=(str(tmp_path / "begun"), "hello")):
        assert (tmp_path / "begun").read_text() == "hello\n" * 2


@pytest.mark.parametrize("wrong", [{"initializer": 1}, {"maxtasksperchild": 0}, {"maxtasksperchild": "1"}])
def test_arguments_that_cannot_be(cluster, wrong):
    with pytest.raises((TypeError, ValueError)):
        Pool(1, **wrong)


def test_options_of_its_actors(cluster):
    cluster(num_workers=2)
    with Pool(1, ray_remote_args={"num_cpus": 1}) as pool:
        assert pool.apply(pid)
        assert ray.available_resources()["CPU"] == 1


def test_close_lets_work_end(pool):
    results = [pool.apply_async(square, (x,)) for x in range(10)]
    pids = set(pool.map(pid, range(4), chunksize=1))
    pool.close()
    with pytest.raises(ValueError, match="Pool not running"):
        pool.apply_async(square, (1,))
    with pytest.raises(ValueError, match="Pool not running"):
        pool.imap(square, [1])
    pool.join()
    assert [result.get() for result in results] == [x * x for x in range(10)]
    wait_until(lambda: not any(is_alive(number) for number in pids))


def test_terminate_does_not(pool):
    gate = Gate.remote()
    result = pool.apply_async(lambda: ray.get(gate.wait.remote()))
    pool.terminate()
    pool.join()
    with pytest.raises(ActorDiedError):
        result.get()


def test_a_block_terminates(cluster):
    cluster(num_workers=1)
    with Pool(1) as pool:
        pass
    with pytest.raises(ValueError, match="Pool not running"):
        pool.map(square, [1])


def test_join_of_a_running_pool(pool):
    with pytest.raises(ValueError, match="still running"):
        pool.join()


def test_it_stays_where_it_is(pool):
    with pytest.raises(NotImplementedError, match="pickled"):
        pool.__reduce__()


def test_processes_are_replaced(cluster):
    cluster(num_workers=2)
    pool = Pool(2, maxtasksperchild=1)
    assert len(set(pool.map(pid, range(6), chunksize=1))) == 6
    pool.close()
    pool.join()


# -- calls ---------------------------------------------------------------------------------------------------------------


def test_apply(pool):
    assert pool.apply(add, (1,), {"b": 2}) == 3
    assert pool.apply(add, [5]) == 5
    with pytest.raises(ZeroDivisionError) as caught:
        pool.apply(invert, (0,))
    assert "in invert" in str(caught.value.__cause__)  # the traceback of the other process


def test_apply_uses_all_processes(pool):
    assert len({pool.apply_async(pid).get() for _ in range(4)}) == 2


def test_work_goes_round_a_process_that_is_busy(pool):
    gate = Gate.remote()
    stuck = pool.apply_async(lambda: ray.get(gate.wait.remote()))
    assert [pool.apply(square, (x,)) for x in range(4)] == [0, 1, 4, 9]
    ray.get(gate.open.remote())
    stuck.get()


def test_async_result(pool):
    gate = Gate.remote()
    result = pool.apply_async(lambda: ray.get(gate.wait.remote()))
    assert not result.ready()
    result.wait(0.01)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    ray.get(gate.open.remote())
    assert result.get(timeout=20) is None
    assert result.ready()
    assert result.successful()
    failed = pool.apply_async(invert, (0,))
    failed.wait()
    assert not failed.successful()


def test_map(pool):
    assert pool.map(square, range(20)) == [x * x for x in range(20)]
    assert pool.map(square, (x for x in range(5)), chunksize=2) == [x * x for x in range(5)]
    assert pool.map(square, []) == []
    assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert pool.map_async(square, range(3)).get() == [0, 1, 4]
    assert pool.starmap_async(add, zip([1, 2], [3, 4], strict=True)).get() == [4, 6]


def test_map_raises_what_the_first_failure_raised(pool):
    with pytest.raises(ZeroDivisionError):
        pool.map(invert, [1, 0, 2])
    assert pool.map(invert, [1, 2]) == [1, 0.5]  # nothing is spoilt


def test_an_error_that_cannot_travel(pool):
    def fail(_):
        class Mine(Exception):
            def __reduce__(self):
                raise TypeError("not me")

        raise Mine("the text")

    with pytest.raises(Exception, match="the text"):
        pool.map(fail, [1])


def test_batches(pool):
    assert len(pool.map(pid, range(6), chunksize=3)) == 6
    runs = pool.map(pid, range(6), chunksize=3)
    assert runs[0] == runs[2]
    assert runs[3] == runs[5]
    for chunksize in (0, -1):
        with pytest.raises(ValueError, match="Chunksize must be 1"):
            pool.map(square, [1], chunksize=chunksize)
        with pytest.raises(ValueError, match="Chunksize must be 1"):
            pool.imap(square, [1], chunksize=chunksize)


@pytest.mark.parametrize("wrong", [5, None, object()])
def test_what_is_no_iterable(pool, wrong):
    for method in (pool.map, pool.imap, pool.imap_unordered, pool.starmap):
        with pytest.raises(TypeError, match="not iterable"):
            method(square, wrong)


def test_callbacks(pool):
    seen, errors, threads = [], [], []

    def note(value):
        seen.append(value)
        threads.append(threading.get_ident())

    assert pool.apply_async(square, (3,), callback=note).get() == 9
    assert pool.map_async(square, range(3), callback=note).get() == [0, 1, 4]
    assert pool.starmap_async(add, [(1, 2)], callback=note).get() == [3]
    assert pool.map_async(square, [], callback=note).get() == []
    assert seen == [9, [0, 1, 4], [3], []]
    assert threading.get_ident() not in threads
    failed = pool.apply_async(invert, (0,), callback=note, error_callback=errors.append)
    failed.wait()
    assert isinstance(errors[0], ZeroDivisionError)
    assert len(seen) == 4


def test_calls_that_are_still_awaited_get_their_callbacks(pool):
    seen = []
    for x in range(5):
        pool.apply_async(square, (x,), callback=seen.append)
    pool.close()
    pool.join()
    assert sorted(seen) == [0, 1, 4, 9, 16]


# -- iterators -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 4])
def test_imap(pool, chunksize):
    assert list(pool.imap(square, range(30), chunksize)) == [x * x for x in range(30)]
    assert sorted(pool.imap_unordered(square, iter(range(30)), chunksize)) == [x * x for x in range(30)]


def test_imap_gives_errors_in_their_places(pool):
    found = list(pool.imap(invert, [1, 0, 2], chunksize=2))
    assert found[0] == 1
    assert found[2] == 0.5
    assert isinstance(found[1], PoolTaskError)
    assert isinstance(found[1].underlying, ZeroDivisionError)


def test_imap_reads_no_further_than_it_must(pool):
    taken = []

    def endless():
        while True:
            taken.append(None)
            yield len(taken)

    results = pool.imap(square, endless())
    assert [next(results) for _ in range(3)] == [1, 4, 9]
    assert len(taken) < 20


def test_imap_waits_no_longer_than_asked(pool):
    gate = Gate.remote()

    def maybe_wait(x):
        if x == 5:
            ray.get(gate.wait.remote())
        return x

    results = pool.imap(maybe_wait, range(10), chunksize=2)
    assert [results.next() for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(TimeoutError):
        results.next(timeout=0.01)
    ray.get(gate.open.remote())
    assert list(results) == [4, 5, 6, 7, 8, 9]
    with pytest.raises(StopIteration):
        results.next()


def test_imap_unordered_overtakes(pool):
    gate = Gate.remote()

    def maybe_wait(x):
        if x == 0:
            ray.get(gate.wait.remote())
        return x

    results = pool.imap_unordered(maybe_wait, range(4))
    first = results.next()
    assert first != 0
    ray.get(gate.open.remote())
    assert sorted([first, *results]) == [0, 1, 2, 3]


def test_imap_of_a_process_that_dies(pool):
    found = list(pool.imap(lambda x: os._exit(1), range(2), chunksize=2))
    assert len(found) == 2
    assert all(isinstance(error, RayError) for error in found)


# -- from inside -----------------------------------------------------------------------------------------------------------


def test_pools_in_pools(pool):
    def inner(x):
        with Pool(2) as pool:
            return sum(pool.map(square, range(x)))

    assert pool.map(inner, [2, 3]) == [1, 5]
