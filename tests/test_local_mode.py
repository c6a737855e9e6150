"""Local mode: tasks and actors run in the driver's process, with the behaviour of a cluster where one can see it."""

import asyncio
import os

import numpy as np
import pytest

import ray
from ray.exceptions import ActorDiedError, RayTaskError


@pytest.fixture
def local():
    ray.init(local_mode=True, num_cpus=3)
    yield
    ray.shutdown()


@pytest.fixture
def python_mode():
    ray.services.start_ray_local(driver_mode=ray.PYTHON_MODE)
    yield
    ray.shutdown()


@ray.remote
def pid():
    return os.getpid()


@ray.remote
def append(values, value):
    values.append(value)
    return values


@ray.remote(num_returns=2)
def two():
    return 1, 2


@ray.remote
def fail():
    raise KeyError("lost")


@ray.remote
class Counter:
    def __init__(self, start=0):
        self.n = start

    def up(self, by=1):
        self.n += by
        return self.n

    async def slowly(self):
        await asyncio.sleep(0)
        return self.n

    def fail(self):
        raise ValueError("no")

    def leave(self):
        ray.actor.exit_actor()

    def context(self):
        here = ray.get_runtime_context()
        return here.get_actor_id(), here.get_actor_name(), here.get_task_name(), here.current_actor


@pytest.mark.usefixtures("local")
class TestTasks:
    def test_run_here(self):
        assert ray.get(pid.remote()) == os.getpid()
        assert ray.is_initialized()
        assert ray._private.worker.global_worker.mode == ray.LOCAL_MODE

    def test_run_at_once_and_in_order(self):
        seen = []

        @ray.remote
        def see(value):
            globals_of_test(value)

        def globals_of_test(value):
            seen.append(value)

        for number in range(3):
            see.remote(number)
        assert seen == [0, 1, 2]

    def test_arguments_and_results_are_copies(self):
        mine = [1]
        ref = append.remote(mine, 2)
        assert mine == [1]
        first = ray.get(ref)
        assert first == [1, 2]
        first.append(3)
        assert ray.get(ref) == [1, 2]
        kept = ray.put(mine)
        mine.append(9)
        assert ray.get(kept) == [1]

    def test_arrays_are_read_only(self):
        array = ray.get(ray.put(np.arange(10)))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1

    def test_numbers_of_results(self):
        first, second = two.remote()
        assert ray.get([first, second]) == [1, 2]
        assert two.options(num_returns=0).remote() is None
        with pytest.raises(ValueError, match="num_returns=3"):
            ray.get(two.options(num_returns=3).remote()[2])

    def test_references_are_replaced_at_the_top_and_kept_inside(self):
        assert ray.get(append.remote(ray.put([1]), ray.put(2))) == [1, 2]

        @ray.remote
        def inside(refs):
            assert isinstance(refs[0], ray.ObjectRef)
            return ray.get(refs)

        assert ray.get(inside.remote([ray.put(1), ray.put(2)])) == [1, 2]
        outer = ray.put([ray.put("inner")])
        assert ray.get(ray.get(outer)[0]) == "inner"

    def test_nested(self):
        @ray.remote
        def factorial(n):
            return 1 if n == 0 else n * ray.get(factorial.remote(n - 1))

        assert ray.get(factorial.remote(5)) == 120

    def test_errors_surface_at_get(self):
        ref = fail.remote()
        with pytest.raises(KeyError) as caught:
            ray.get(ref)
        assert isinstance(caught.value, RayTaskError)
        assert "in fail" in str(caught.value)
        with pytest.raises(KeyError):
            ray.get(append.remote([], ref))

    def test_wrong_arguments_are_refused_at_the_call(self):
        with pytest.raises(TypeError, match="missing a required argument"):
            append.remote([])

    def test_typed_functions(self):
        @ray.remote([int], [int])
        def add_one(x):
            return x + 1

        @ray.remote([int], [str])
        def wrong(x):
            return x

        assert ray.get(add_one.remote(add_one(1))) == 3
        with pytest.raises(TypeError):
            add_one.remote("x")
        with pytest.raises(TypeError):
            ray.get(wrong.remote(1))

    def test_a_task_that_exits(self):
        @ray.remote
        def leave():
            raise SystemExit(3)

        with pytest.raises(ray.exceptions.WorkerCrashedError, match="exit code 3"):
            ray.get(leave.remote())

    def test_wait(self):
        refs = [ray.put(number) for number in range(3)]
        assert ray.wait(refs, num_returns=2) == (refs[:2], refs[2:])
        assert ray.wait([]) == ([], [])
        with pytest.raises(ValueError, match="unique"):
            ray.wait([refs[0], refs[0]])
        with pytest.raises(TypeError):
            ray.wait([1])

    def test_wrong_things(self):
        with pytest.raises(TypeError):
            ray.put(ray.put(1))
        with pytest.raises(ValueError, match="Invalid type of object refs"):
            ray.get((ray.put(1),))
        with pytest.raises(TypeError):
            ray.get([1])
        with pytest.raises(ValueError, match="reference"):
            ray.get(ray.ObjectRef.from_random())

    def test_futures(self):
        async def program():
            return await asyncio.gather(*[pid.remote() for _ in range(3)])

        assert asyncio.run(program()) == [os.getpid()] * 3
        assert ray.put(5).future().result(timeout=20) == 5
        ray.cancel(pid.remote())

    def test_the_cluster_it_seems_to_be(self):
        assert ray.cluster_resources()["CPU"] == 3.0
        assert [node["Alive"] for node in ray.nodes()] == [True]
        with pytest.raises(RuntimeError, match="twice"):
            ray.init()

    def test_objects_go_with_their_references(self):
        before = ray._core.counters()["local_objects"]
        ref = ray.put([ray.put(1)])
        assert ray._core.counters()["local_objects"] == before + 2
        del ref
        assert ray._core.counters()["local_objects"] == before


@pytest.mark.usefixtures("local")
class TestActors:
    def test_keep_their_state(self):
        counter = Counter.remote(5)
        assert ray.get([counter.up.remote(), counter.up.remote(by=10)]) == [6, 16]
        assert ray.get(counter.slowly.remote()) == 16
        assert ray.get(counter.__ray_ready__.remote())
        assert ray.get(counter.__ray_call__.remote(lambda self: self.n)) == 16

    def test_coroutines_while_the_driver_runs_a_loop(self):
        counter = Counter.remote(5)

        async def program():
            return await counter.slowly.remote()

        assert asyncio.run(program()) == 5

    def test_errors(self):
        counter = Counter.remote()
        with pytest.raises(ValueError, match="no"):
            ray.get(counter.fail.remote())
        assert ray.get(counter.up.remote()) == 1
        with pytest.raises(AttributeError):
            counter.nothing  # noqa: B018

    def test_a_constructor_that_fails(self):
        @ray.remote
        class Broken:
            def __init__(self):
                raise RuntimeError("at birth")

            def call(self):
                pass

        broken = Broken.remote()
        with pytest.raises(ActorDiedError, match="at birth") as caught:
            ray.get(broken.call.remote())
        assert caught.value.actor_init_failed

    def test_names(self):
        counter = Counter.options(name="counter").remote()
        assert ray.get_actor("counter") == counter
        assert ray.util.list_named_actors() == ["counter"]
        with pytest.raises(ray.exceptions.ActorAlreadyExistsError):
            Counter.options(name="counter").remote()
        assert Counter.options(name="counter", get_if_exists=True).remote() == counter
        ray.kill(counter)
        with pytest.raises(ValueError, match="Failed to look up"):
            ray.get_actor("counter")
        with pytest.raises(ActorDiedError):
            ray.get(counter.up.remote())

    def test_restarts(self):
        counter = Counter.options(max_restarts=1).remote()
        ray.get(counter.up.remote())
        ray.kill(counter, no_restart=False)
        assert ray.get(counter.up.remote()) == 1

    def test_leaving(self):
        counter = Counter.remote()
        with pytest.raises(ActorDiedError):
            ray.get(counter.leave.remote())
        with pytest.raises(ActorDiedError):
            ray.get(counter.up.remote())

    def test_handles_travel(self):
        @ray.remote
        def use(counter):
            return ray.get(counter.up.remote())

        counter = Counter.remote()
        assert ray.get(use.remote(counter)) == 1
        assert ray.get(counter.up.remote()) == 2

    def test_who_they_are(self):
        counter = Counter.options(name="me").remote()
        actor_id, name, task_name, me = ray.get(counter.context.remote())
        assert actor_id == counter._actor_id.hex()
        assert (name, task_name) == ("me", "Counter.context")
        assert me == counter
        assert ray.get_runtime_context().get_actor_id() is None


def test_a_cluster_before_and_after():
    @ray.remote
    def where():
        return os.getpid()

    ray.init(num_cpus=1)
    assert ray.get(where.remote()) != os.getpid()
    ray.shutdown()
    ray.init(local_mode=True)
    ref, counter = where.remote(), Counter.remote()
    assert ray.get(ref) == os.getpid()
    ray.shutdown()
    assert not ray.is_initialized()
    ray.init(num_cpus=1)
    assert ray.get(where.remote()) != os.getpid()
    with pytest.raises(ValueError, match="stopped"):
        ray.get(ref)
    with pytest.raises(ray.exceptions.ActorHandleNotFoundError):
        counter.up.remote()
    ray.shutdown()


@ray.remote
def count(n):
    for number in range(n):
        if number == 3:
            raise KeyError("lost")
        yield number


@ray.remote
class Source:
    def numbers(self):
        yield from (1, 2)

    async def letters(self):
        yield "a"


@pytest.mark.usefixtures("local")
class TestGenerators:
    def test_a_function_that_yields_gives_references(self):
        assert [ray.get(ref) for ref in count.remote(3)] == [0, 1, 2]

    def test_an_error_comes_after_what_was_yielded(self):
        refs = list(count.remote(9))
        assert ray.get(refs[:3]) == [0, 1, 2]
        with pytest.raises(KeyError):
            ray.get(refs[3])
        assert len(refs) == 4

    def test_dynamic_results(self):
        assert ray.get(list(ray.get(count.options(num_returns="dynamic").remote(2)))) == [0, 1]

    def test_a_fixed_number_of_results(self):
        assert ray.get(count.options(num_returns=2).remote(2)) == [0, 1]

    def test_methods(self):
        source = Source.remote()
        assert [ray.get(ref) for ref in source.numbers.remote()] == [1, 2]
        assert [ray.get(ref) for ref in source.letters.remote()] == ["a"]


@pytest.mark.usefixtures("python_mode")
class TestPythonMode:
    def test_calls_return_values(self):
        mine = [1]
        assert append.remote(mine, 2) == [1, 2]
        assert mine == [1]
        assert two.remote() == (1, 2)

    def test_get_and_put_are_the_identity(self):
        value = object()
        assert ray.put(value) is value
        assert ray.get(value) is value
        assert ray.get([1, 2]) == [1, 2]
        assert ray.wait([1, 2, 3], num_returns=2) == ([1, 2], [3])

    def test_errors_are_raised_at_the_call(self):
        with pytest.raises(KeyError):
            fail.remote()

    def test_in_the_words_of_init(self):
        ray.shutdown()
        ray.init(start_ray_local=True, driver_mode=ray.PYTHON_MODE)
        assert pid.remote() == os.getpid()
