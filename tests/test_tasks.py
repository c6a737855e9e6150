"""Remote functions: what may be called how, what is checked when, and what comes back."""

import asyncio
import dataclasses
import functools
import gc
import os
import re
import threading
import time
import typing

import cloudpickle
import numpy as np
import pytest

import ray
from ray.exceptions import GetTimeoutError, RayTaskError, TaskCancelledError, TaskUnschedulableError
from support import Driver, run_driver, wait_until


@pytest.fixture(scope="module", autouse=True)
def four_workers():
    ray.services.start_ray_local(num_workers=4)
    yield
    ray.shutdown()


def submitted():
    """How many tasks were submitted so far, as the scheduler counts them."""
    _, rows, folded = ray._core.graph()
    return len(rows) + sum(folded.values())


@pytest.fixture
def nothing_submitted():
    before = submitted()
    yield
    assert submitted() == before


@ray.remote([int, int], [int])
def add(a, b):
    return a + b


@ray.remote([np.ndarray, np.ndarray], [np.ndarray])
def dot(a, b):
    return np.dot(a, b)


@ray.remote
def identity(x):
    return x


@ray.remote
def fail(error):
    raise error


class Gate:
    """A file that tasks wait for: what runs behind it runs for as long as the test wants."""

    def __init__(self, path):
        self.path = path

    def open(self):
        self.path.touch()

    def wait(self):
        while not self.path.exists():
            time.sleep(0.002)

    @property
    def visitors(self):
        """The names of those who came."""
        return sorted(path.name for path in self.path.parent.glob("visitor*"))

    def visit(self, name):
        (self.path.parent / f"visitor {name}").touch()
        self.wait()
        return name


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@ray.remote
def visit(gate, name):
    return gate.visit(name)


@ray.remote(num_cpus=4)
def visit_alone(gate, name):
    return gate.visit(name)


# -- what a call may look like ---------------------------------------------------------------------------------------------


class TestCheckedCalls:
    def test_a_call_returns_a_reference_to_the_result(self):
        ref = add.remote(1, 2)
        assert isinstance(ref, ray.ObjectRef)
        assert re.fullmatch(r"<ray\.ObjRef at 0x[0-9a-f]+>", repr(ref))
        assert ray.get(ref) == 3

    @pytest.mark.parametrize(
        ("args", "kwargs", "words"),
        [
            ((1,), {}, ["add()", "missing a required argument: 'b'"]),
            ((), {}, ["add()", "missing a required argument: 'a'"]),
            ((1, 2, 3), {}, ["add()", "too many positional arguments"]),
            ((1, 2), {"c": 3}, ["add()", "got an unexpected keyword argument 'c'"]),
            ((1, 2), {"a": 3}, ["add()", "multiple values for argument 'a'"]),
            ((1, "x"), {}, ["add", "'b'", "type int was expected", "has type str", "'x'"]),
            ((1.0, 2), {}, ["add", "'a'", "type int was expected", "has type float", "1.0"]),
            ((1, None), {}, ["add", "'b'", "type int was expected", "None"]),
            ((1,), {"b": "x"}, ["add", "'b'", "type int was expected", "has type str", "'x'"]),
        ],
    )
    @pytest.mark.usefixtures("nothing_submitted")
    def test_a_wrong_call_fails_at_the_call(self, args, kwargs, words):
        with pytest.raises(TypeError) as caught:
            add.remote(*args, **kwargs)
        for word in words:
            assert word in str(caught.value)

    @pytest.mark.usefixtures("nothing_submitted")
    def test_a_wrong_call_of_an_untyped_function_fails_at_the_call(self):
        for call in (lambda: identity.remote(), lambda: identity.remote(1, 2), lambda: identity.remote(y=1)):
            with pytest.raises(TypeError, match=r"identity\(\)"):
                call()

    def test_subclasses_pass(self):
        class Count(int):
            pass

        assert ray.get(add.remote(Count(1), True)) == 2

    def test_a_reference_carries_the_type_its_producer_declared(self):
        three = add.remote(1, 2)
        before = submitted()
        with pytest.raises(TypeError) as caught:
            dot.remote(three, np.zeros(2))
        for word in ("dot", "'a'", "int", "ndarray", "reference"):
            assert word in str(caught.value)
        with pytest.raises(TypeError):
            dot.remote(np.zeros(2), b=three)
        assert submitted() == before

    def test_the_declared_type_travels_with_the_reference(self):
        @ray.remote
        def pass_on(refs):
            return refs

        (ref,) = ray.get(pass_on.remote([add.remote(1, 2)]))
        with pytest.raises(TypeError, match="declared as int"):
            dot.remote(ref, np.zeros(2))

    def test_a_reference_of_unknown_type_is_checked_when_the_task_starts(self):
        for bad in (ray.put("x"), identity.remote("x")):
            with pytest.raises(TypeError, match=r"'b'.*type str.*type int was expected") as caught:
                ray.get(add.remote(1, bad))
            assert isinstance(caught.value, RayTaskError)
        assert ray.get(add.remote(1, ray.put(2))) == 3
        assert ray.get(add.remote(a=ray.put(1), b=identity.remote(2))) == 3

    def test_a_wrong_result_fails_the_task(self):
        @ray.remote([], [int])
        def text():
            return "three"

        with pytest.raises(TypeError, match=r"Return value 0 of function .*text has type str.*type int was declared"):
            ray.get(text.remote())

    def test_a_wrong_result_among_several_fails_all_of_them(self):
        @ray.remote([], [int, str])
        def two():
            return 1, 2

        for ref in two.remote():
            with pytest.raises(TypeError, match=r"Return value 1 .*two has type int.*type str was declared"):
                ray.get(ref)

    def test_annotations_are_types_on_request(self):
        @ray.remote(typed=True)
        def repeat(text: str, times: int = 2) -> str:
            return text * times

        assert ray.get(repeat.remote("ab")) == "abab"
        assert ray.get(repeat.remote("ab", times=3)) == "ababab"
        with pytest.raises(TypeError, match=r"'times'.*type int was expected"):
            repeat.remote("ab", "3")

        @ray.remote
        def unchecked(text: str):
            return text

        assert ray.get(unchecked.remote(3)) == 3

    @pytest.mark.parametrize(
        ("form", "good", "bad"),
        [
            (list[int], [1, 2], [1, "x"]),
            (typing.Optional[int], None, "x"),  # noqa: UP045
            (int | str, "x", 1.0),
            (dict[str, list[int]], {"a": [1]}, {"a": ["b"]}),
            (typing.Literal["a", "b"], "a", "c"),
            (typing.List, [1], (1,)),  # noqa: UP006
            (None, None, 1),
        ],
    )
    def test_typing_forms(self, form, good, bad):
        @ray.remote([form], [form])
        def echo(x):
            return x

        assert ray.get(echo.remote(good)) == good
        with pytest.raises(TypeError, match="'x'"):
            echo.remote(bad)

        @ray.remote([typing.Any], [form])
        def pretend(x):
            return x

        with pytest.raises(TypeError, match="Return value 0"):
            ray.get(pretend.remote(bad))


class TestArguments:
    def test_defaults_and_keywords(self):
        @ray.remote
        def f(a, b=2, *, c=3):
            return a, b, c

        calls = [f.remote(1), f.remote(1, 5), f.remote(b=7, a=1), f.remote(1, c=ray.put(9))]
        assert ray.get(calls) == [(1, 2, 3), (1, 5, 3), (1, 7, 3), (1, 2, 9)]

    def test_typed_defaults_and_keywords(self):
        @ray.remote([int, str], [str])
        def f(a, b="x"):
            return b * a

        assert ray.get([f.remote(2), f.remote(2, "y"), f.remote(b="z", a=3)]) == ["xx", "yy", "zzz"]

    def test_varargs(self):
        @ray.remote
        def f(first, *rest, **names):
            return first, rest, names

        assert ray.get(f.remote(1)) == (1, (), {})
        assert ray.get(f.remote(1, 2, ray.put(3), x=4, y=ray.put(5))) == (1, (2, 3), {"x": 4, "y": 5})

    def test_typed_varargs(self):
        @ray.remote([str, int], [int])
        def count(text, *numbers):
            return len(numbers)

        assert ray.get([count.remote("a"), count.remote("a", 1, 2, 3)]) == [0, 3]
        with pytest.raises(TypeError, match=r"one of \*numbers"):
            count.remote("a", 1, "two")

    def test_references_at_the_top_become_values_and_inside_containers_stay_references(self):
        inner = ray.put("value")
        value, (nested,), mapping = ray.get(identity_of_three.remote(inner, [inner], x={"key": inner}))
        assert value == "value"
        assert nested == inner
        assert mapping["key"] == inner
        assert ray.get(mapping["key"]) == "value"

    def test_the_same_reference_twice(self):
        ref = ray.put([1])
        assert ray.get(identity_of_three.remote(ref, ref, x=ref)) == ([1], [1], [1])

    def test_values_are_snapshots(self):
        value = [1]
        ref = identity.remote(value)
        stored = ray.put(value)
        value.append(2)
        assert ray.get(ref) == ray.get(stored) == [1]

    @pytest.mark.parametrize("size", [0, 1, 1000, 100_000, 5_000_000])
    def test_arguments_and_results_of_any_size(self, size):
        data = os.urandom(size)
        assert ray.get(identity.remote(data)) == data
        array = np.arange(size)
        assert np.array_equal(ray.get(identity.remote(array)), array)

    def test_many_arguments(self):
        @ray.remote
        def total(*numbers):
            return sum(numbers)

        assert ray.get(total.remote(*range(3000))) == sum(range(3000))
        assert ray.get(total.remote(*[ray.put(number) for number in range(500)])) == sum(range(500))

    def test_odd_values(self):
        values = [
            None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**200, 0.0, -0.0, float("inf"), "", "é\U0001f600", "\ud800",
            "\0", b"", b"\0", (), [], {}, set(), 1j, ..., int, NotImplemented, range(3), slice(1), Exception, np.float32(1),
        ]  # fmt: skip
        for value in values:
            result = ray.get(identity.remote(value))
            assert type(result) is type(value)
            assert repr(result) == repr(value)

    def test_mutable_defaults_belong_to_the_worker(self):
        @ray.remote
        def f(seen=[]):  # noqa: B006 - the point
            seen.append(1)
            return len(seen)

        assert all(count >= 1 for count in ray.get([f.remote() for _ in range(8)]))
        assert f._function.__defaults__ == ([],)


@ray.remote
def identity_of_three(a, b, *, x):
    return a, b, x


class TestResults:
    def test_several_results_are_several_references(self):
        @ray.remote([int], [int, str, list])
        def three(n):
            return n, str(n), [n]

        refs = three.remote(1)
        assert isinstance(refs, list)
        assert ray.get(refs) == [1, "1", [1]]
        assert ray.get(identity.remote(refs[1])) == "1"

    def test_num_returns(self):
        @ray.remote(num_returns=2)
        def two(values):
            return values

        assert ray.get(two.remote((1, 2))) == [1, 2]
        assert ray.get(two.remote([1, 2])) == [1, 2]
        for wrong in ((1,), (1, 2, 3), 1, None):
            for ref in two.remote(wrong):
                with pytest.raises(ValueError, match=r"num_returns=2"):
                    ray.get(ref)

    def test_one_result_may_be_a_tuple(self):
        assert ray.get(identity.remote((1, 2))) == (1, 2)

    def test_no_results(self, tmp_path):
        @ray.remote([str], [])
        def touch(path):
            open(path, "w").close()

        @ray.remote(num_returns=0)
        def untyped(path):
            open(path, "w").close()

        assert touch.remote(str(tmp_path / "a")) is None
        assert untyped.remote(str(tmp_path / "b")) is None
        wait_until(lambda: len(os.listdir(tmp_path)) == 2)

    def test_a_typed_function_that_returns_a_reference_returns_the_value_behind_it(self):
        @ray.remote([int], [int])
        def f(n):
            return n if n == 0 else g.remote(n - 1)

        @ray.remote([int], [int])
        def g(n):
            return f.remote(n)

        assert ray.get(f.remote(4)) == 0

    def test_an_untyped_function_that_returns_a_reference_returns_the_reference(self):
        @ray.remote
        def f():
            return identity.remote(7)

        inner = ray.get(f.remote())
        assert isinstance(inner, ray.ObjectRef)
        assert ray.get(inner) == 7

    def test_the_value_behind_a_returned_reference_is_checked(self):
        @ray.remote([], [int])
        def f():
            return identity.remote("x")

        with pytest.raises(TypeError, match="Return value 0"):
            ray.get(f.remote())


class TestFunctions:
    def test_closures_lambdas_and_local_classes(self):
        factor = 3

        @dataclasses.dataclass
        class Point:
            x: int

        @ray.remote
        def scale(point):
            return Point(point.x * factor)

        assert ray.get(scale.remote(Point(2))) == Point(6)
        assert ray.get(ray.remote(lambda x: x + 1).remote(1)) == 2

    def test_redefinition(self):
        results = []
        for number in range(3):

            @ray.remote
            def f(number=number):
                return number

            results.append(f.remote())
        assert ray.get(results) == [0, 1, 2]

    def test_globals_are_captured_at_the_first_call(self):
        box = {"n": 1}

        @ray.remote
        def f():
            return box["n"]

        assert ray.get(f.remote()) == 1
        box["n"] = 2
        assert ray.get(f.remote()) == 1

    def test_recursion(self):
        @ray.remote
        def fib(n):
            return n if n < 2 else sum(ray.get([fib.remote(n - 1), fib.remote(n - 2)]))

        assert ray.get(fib.remote(9)) == 34

    def test_nested_calls_deeper_than_there_are_workers(self):
        @ray.remote
        def down(n):
            return 0 if n == 0 else 1 + ray.get(down.remote(n - 1))

        assert ray.get(down.remote(20)) == 20

    def test_nested_calls_as_wide_as_deep(self):
        @ray.remote
        def tree(depth):
            return 1 if depth == 0 else 1 + sum(ray.get([tree.remote(depth - 1) for _ in range(3)]))

        assert ray.get(tree.remote(4)) == (3**5 - 1) // 2

    def test_a_task_passes_references_on_without_waiting(self):
        @ray.remote
        def chain(ref, n):
            return ref[0] if n == 0 else ray.get(chain.remote([add.remote(ref[0], 1)], n - 1))

        assert ray.get(ray.get(chain.remote([ray.put(0)], 10))) == 10

    def test_a_call_from_many_threads(self):
        results = {}

        def work(number):
            results[number] = ray.get([add.remote(number, n) for n in range(50)])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {number: [number + n for n in range(50)] for number in range(8)}

    def test_what_a_remote_function_shows_of_itself(self):
        def f(a, b=1):
            """Adds."""
            return a + b

        remote = ray.remote(f)
        assert remote._function is f
        assert remote.__doc__ == "Adds."
        assert not hasattr(remote, "__name__")
        assert "f" in repr(remote)

    def test_a_remote_function_can_be_pickled(self):
        copy = cloudpickle.loads(cloudpickle.dumps(add))
        assert ray.get(copy.remote(1, 2)) == 3
        with pytest.raises(TypeError):
            copy.remote(1, "x")
        assert ray.get(identity.remote(add))._function_name == add._function_name

    @pytest.mark.usefixtures("nothing_submitted")
    def test_an_untyped_function_cannot_be_called_directly(self):
        with pytest.raises(TypeError, match=r"cannot be called directly. Instead of running '.*identity\(\)', try .*\.remote\(\)"):
            identity(1)

    def test_a_typed_function_can_be_called_directly(self):
        assert ray.get(add(1, 2)) == 3

    def test_old_spelling(self):
        assert ray.get(identity._remote(args=[1], num_cpus=2)) == 1
        assert ray.get(identity._remote([], {"x": 3})) == 3


class TestDecorator:
    @pytest.mark.parametrize(
        "thing",
        [len, functools.partial(print), print, "text", [].append, object(), type("C", (), {"__call__": print})()],
    )
    def test_what_is_neither_function_nor_class_is_refused(self, thing):
        with pytest.raises(TypeError, match="must be applied to either a function or a class"):
            ray.remote(num_cpus=1)(thing)

    @pytest.mark.parametrize("thing", [len, functools.partial(print), [].append])
    def test_without_parentheses_too(self, thing):
        with pytest.raises(TypeError, match="must be applied to either a function or a class"):
            ray.remote(thing)

    @pytest.mark.parametrize("args", [(), (3,), ([int],), ([int], [int], [int]), ([int], int), (print, print)])
    def test_uses_that_nobody_knows_are_refused(self, args):
        with pytest.raises(AssertionError, match=r"@ray\.remote"):
            ray.remote(*args)

    def test_async_functions_are_refused(self):
        async def f():
            pass

        with pytest.raises(ValueError, match="async def"):
            ray.remote(f)

    def test_type_lists_that_do_not_fit_are_refused(self):
        for lists in (([int], [int]), ([int, int, int], [int])):
            with pytest.raises(TypeError, match=r"2 parameter\(s\)"):
                ray.remote(*lists)(lambda a, b: None)
        with pytest.raises(TypeError, match="is not a type"):
            ray.remote([3], [int])(lambda a: None)
        with pytest.raises(TypeError, match=r"\*\*names"):
            ray.remote([int], [int])(lambda **names: None)


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "error"),
        [
            ({"num_cpus": "1"}, TypeError),
            ({"num_cpus": True}, TypeError),
            ({"num_cpus": -1}, ValueError),
            ({"num_cpus": 0.00001}, ValueError),
            ({"num_cpus": float("nan")}, ValueError),
            ({"num_gpus": -1}, ValueError),
            ({"num_gpus": "all"}, TypeError),
            ({"memory": -1}, ValueError),
            ({"memory": "1g"}, TypeError),
            ({"resources": {"CPU": 1}}, ValueError),
            ({"resources": {"GPU": 1}}, ValueError),
            ({"resources": {"x": -1}}, ValueError),
            ({"resources": ["x"]}, TypeError),
            ({"num_returns": -1}, ValueError),
            ({"num_returns": "many"}, ValueError),
            ({"num_returns": "streaming"}, ValueError),
            ({"num_returns": 1.5}, TypeError),
            ({"max_retries": -2}, ValueError),
            ({"max_retries": "3"}, TypeError),
            ({"retry_exceptions": 1}, TypeError),
            ({"retry_exceptions": [1]}, (TypeError, ValueError)),
            ({"max_calls": -1}, ValueError),
            ({"name": 3}, TypeError),
            ({"runtime_env": 3}, TypeError),
            ({"accelerator_type": 3}, TypeError),
            ({"object_store_memory": 100}, ValueError),
            ({"_generator_backpressure_num_objects": 0}, ValueError),
            ({"unheard_of": 1}, ValueError),
            ({"max_restarts": 1}, ValueError),
        ],
    )
    def test_wrong_options_are_refused_when_they_are_given(self, option, error):
        with pytest.raises(error) as caught:
            ray.remote(**option)(lambda: None)
        assert next(iter(option)) in str(caught.value)
        with pytest.raises(error):
            identity.options(**option)

    def test_unknown_options_are_named(self):
        with pytest.raises(ValueError, match="Invalid option keyword num_cpu for remote functions"):
            ray.remote(num_cpu=1)(lambda: None)

    @pytest.mark.parametrize(
        "option",
        [
            {"num_cpus": 1.5},
            {"num_cpus": 0},
            {"num_cpus": None},
            {"max_retries": -1},
            {"max_retries": 0},
            {"name": "n"},
            {"memory": 1.5},
            {"num_returns": None},
            {"retry_exceptions": True},
            {"retry_exceptions": [ValueError]},
            {"scheduling_strategy": "SPREAD"},
            {"runtime_env": {}},
            {"enable_task_events": False},
            {"resources": {}},
        ],
    )
    def test_good_options(self, option):
        assert ray.get(identity.options(**option).remote(1)) == 1
        assert ray.get(ray.remote(**option)(lambda x: x).remote(2)) == 2

    def test_options_of_a_call_stand_over_those_of_the_function(self):
        @ray.remote(num_returns=2)
        def pair():
            return 1, 2

        assert ray.get(pair.remote()) == [1, 2]
        assert ray.get(pair.options(num_returns=1).remote()) == (1, 2)
        assert ray.get(pair.remote()) == [1, 2]

    def test_options_have_remote_and_no_further_options(self):
        chosen = identity.options(num_cpus=1)
        assert not hasattr(chosen, "options")

    def test_max_calls_is_for_the_decorator_only(self):
        with pytest.raises(ValueError, match="max_calls"):
            identity.options(max_calls=1)

    def test_num_returns_must_agree_with_the_types(self):
        with pytest.raises(ValueError, match="num_returns=1"):
            ray.remote([int], [int, int], num_returns=1)(lambda x: (x, x))

    def test_typed_functions_take_options(self):
        @ray.remote([int], [int], num_cpus=2)
        def f(n):
            return n

        assert ray.get(f.remote(1)) == 1
        with pytest.raises(TypeError):
            f.options(num_cpus=1).remote("x")

    def test_what_can_never_run_fails(self):
        for option, words in (
            ({"num_cpus": 5}, "CPU: 5"),
            ({"resources": {"tpu": 1}}, "tpu: 1"),
            ({"num_gpus": 1}, "GPU: 1"),
        ):
            with pytest.raises(TaskUnschedulableError, match=rf"{words}, which no node of this cluster has \(node 0 has CPU: 4"):
                ray.get(identity.options(**option).remote(1))

    def test_a_task_holds_what_it_asks_for(self, gate):
        first = visit_alone.remote(gate, 1)
        wait_until(lambda: gate.visitors == ["visitor 1"])
        second = visit_alone.remote(gate, 2)
        small = visit.remote(gate, 3)
        assert ray.wait([second, small], timeout=0.05) == ([], [second, small])
        assert gate.visitors == ["visitor 1"]
        gate.open()
        assert ray.get([first, second, small]) == [1, 2, 3]


# -- when they run ---------------------------------------------------------------------------------------------------------


class TestScheduling:
    def test_independent_tasks_run_at_the_same_time(self, gate):
        refs = [visit.remote(gate, name) for name in range(4)]
        wait_until(lambda: len(gate.visitors) == 4)
        gate.open()
        assert ray.get(refs) == [0, 1, 2, 3]

    def test_no_more_tasks_run_than_there_are_workers(self, gate):
        refs = [visit.remote(gate, name) for name in range(6)]
        wait_until(lambda: len(gate.visitors) == 4)
        assert ray.wait(refs, timeout=0.05)[0] == []
        assert len(gate.visitors) == 4
        gate.open()
        assert ray.get(refs) == list(range(6))

    def test_a_task_waits_for_its_inputs(self, gate):
        late = visit.remote(gate, "late")
        dependent = identity.remote(late)
        assert ray.get(identity.remote("other")) == "other"
        assert ray.wait([dependent], timeout=0)[0] == []
        gate.open()
        assert ray.get(dependent) == "late"

    def test_waiting_tasks_hold_no_worker(self, gate):
        late = visit.remote(gate, "late")
        waiting = [identity.remote(late) for _ in range(20)]
        assert ray.get([identity.remote(n) for n in range(20)]) == list(range(20))
        gate.open()
        assert ray.get(waiting) == ["late"] * 20

    def test_one_worker_runs_tasks_in_order_of_submission(self):
        code, out, err = run_driver("""
            ray.services.start_ray_local(num_workers=1)
            order = []
            @ray.remote
            def f(n, path):
                with open(path, "a") as file:
                    file.write(f"{n} ")
            import tempfile
            with tempfile.NamedTemporaryFile() as file:
                ray.get([f.remote(n, file.name) for n in range(200)])
                print(open(file.name).read() == " ".join(map(str, range(200))) + " ")
        """)
        assert (code, out, err) == (0, "True\n", "")

    def test_calls_return_at_once_while_nothing_can_run(self):
        code, out, err = run_driver("""
            ray.services.start_ray_local(num_workers=0)
            @ray.remote
            def f(x):
                return x
            refs = [f.remote(n) for n in range(10_000)]
            refs.append(f.remote(refs[0]))
            print(len(refs), ray.wait(refs, timeout=0)[0], ray.get(ray.put(5)))
        """)
        assert (code, out) == (0, "10001 [] 5\n")
        assert re.fullmatch(r"raio: A task waits for ever: it asks for CPU: 1, .* start the cluster with more\.\n", err)

    def test_a_long_chain(self):
        ref = ray.put(0)
        for _ in range(2000):
            ref = add.remote(ref, 1)
        assert ray.get(ref) == 2000

    def test_fan_in_and_fan_out(self):
        @ray.remote
        def total(*numbers):
            return sum(numbers)

        root = ray.put(1)
        layer = [add.remote(root, n) for n in range(300)]
        assert ray.get(total.remote(*layer)) == sum(range(1, 301))


# -- errors ----------------------------------------------------------------------------------------------------------------


class Custom(Exception):
    def __init__(self, text, code):
        super().__init__(text)
        self.code = code

    def __reduce__(self):
        return Custom, (self.args[0], self.code)


class TestErrors:
    def test_an_error_is_of_the_users_class_and_of_ours(self):
        with pytest.raises(ZeroDivisionError) as caught:
            ray.get(divide.remote(1, 0))
        error = caught.value
        assert isinstance(error, RayTaskError)
        assert type(error).__name__ == "RayTaskError(ZeroDivisionError)"
        assert type(error.cause) is ZeroDivisionError
        assert error.args == (error.cause,)

    def test_the_remote_traceback_comes_first(self):
        with pytest.raises(ZeroDivisionError) as caught:
            ray.get(divide.remote(1, 0))
        head, *trace = str(caught.value).splitlines()
        assert re.match(r"divide\(\) \(pid=\d+, ip=[\d.]+\)", head)
        assert trace[0] == "Traceback (most recent call last):"
        assert re.match(r'  File ".*test_tasks\.py", line \d+, in divide', trace[1])
        assert "return a / b" in trace[2]
        assert trace[-1] == "ZeroDivisionError: division by zero"
        assert not any("/ray/" in line for line in trace)

    def test_attributes_of_the_users_error_are_there(self):
        with pytest.raises(Custom, match="broken") as caught:
            ray.get(fail.remote(Custom("broken", 42)))
        assert caught.value.code == 42
        assert caught.value.cause.code == 42

    def test_errors_travel_along_dependencies(self):
        bad = divide.remote(1, 0)
        third = identity.remote(identity.remote(identity.remote(bad)))
        with pytest.raises(ZeroDivisionError) as caught:
            ray.get(third)
        assert "in divide" in str(caught.value)
        assert type(caught.value.cause) is ZeroDivisionError

    def test_a_task_with_a_failed_input_does_not_run(self, tmp_path):
        @ray.remote
        def touch(x):
            (tmp_path / "ran").touch()

        with pytest.raises(ZeroDivisionError):
            ray.get(touch.remote(divide.remote(1, 0)))
        assert not (tmp_path / "ran").exists()

    def test_errors_of_nested_calls_name_one_class_only(self):
        @ray.remote
        def outer():
            return ray.get(divide.remote(1, 0))

        with pytest.raises(ZeroDivisionError) as caught:
            ray.get(outer.remote())
        assert type(caught.value).__name__ == "RayTaskError(ZeroDivisionError)"
        assert "in outer" in str(caught.value)
        assert "in divide" in str(caught.value)

    def test_get_of_many_raises_as_soon_as_one_has_failed(self, gate):
        never = visit.remote(gate, "never")
        with pytest.raises(ZeroDivisionError):
            ray.get([never, divide.remote(1, 0)], timeout=10)

    def test_an_error_can_be_got_again_and_again(self):
        ref = divide.remote(1, 0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                ray.get(ref)
            with pytest.raises(ZeroDivisionError):
                ray.get([ref])

    def test_errors_that_are_values_are_values(self):
        assert repr(ray.get(ray.put(ValueError("x")))) == "ValueError('x')"
        assert repr(ray.get(identity.remote(ValueError("x")))) == "ValueError('x')"

    def test_several_results_share_the_error(self):
        @ray.remote(num_returns=2)
        def f():
            raise KeyError("k")

        for ref in f.remote():
            with pytest.raises(KeyError):
                ray.get(ref)

    @pytest.mark.parametrize("make", [lambda: KeyboardInterrupt(), lambda: GeneratorExit("x"), lambda: StopIteration(3)])
    def test_unusual_exceptions_arrive(self, make):
        with pytest.raises((RayTaskError, StopIteration)) as caught:
            ray.get(fail.remote(make()))
        assert type(make()).__name__ in str(caught.value)

    def test_causes_and_notes_are_part_of_the_text(self):
        @ray.remote
        def f():
            try:
                {}["key"]
            except KeyError as error:
                error.add_note("a note")
                raise ValueError("second") from error

        with pytest.raises(ValueError, match="second") as caught:
            ray.get(f.remote())
        assert "KeyError: 'key'" in str(caught.value)
        assert "a note" in str(caught.value)
        assert "direct cause" in str(caught.value)

    def test_exception_groups(self):
        with pytest.raises(ExceptionGroup) as caught:
            ray.get(fail.remote(ExceptionGroup("two", [ValueError(1), TypeError(2)])))
        assert [type(error) for error in caught.value.exceptions] == [ValueError, TypeError]

    def test_an_error_that_cannot_be_pickled_still_says_everything(self):
        @ray.remote
        def f():
            error = ValueError("full of locks")
            error.lock = threading.Lock()
            raise error

        with pytest.raises(RayTaskError, match="full of locks"):
            ray.get(f.remote())

    def test_an_error_that_cannot_be_read_back_still_says_everything(self):
        class Odd(Exception):
            def __init__(self, a, b):
                super().__init__(f"{a} and {b}")

        @ray.remote
        def f():
            raise Odd(1, 2)

        with pytest.raises(RayTaskError, match="1 and 2"):
            ray.get(f.remote())

    @pytest.mark.usefixtures("nothing_submitted")
    def test_an_argument_that_cannot_be_pickled_names_the_part_at_fault(self):
        class Holder:
            def __init__(self):
                self.lock = threading.Lock()

        with pytest.raises(TypeError, match=r"\.lock"):
            identity.remote(Holder())
        with pytest.raises(TypeError, match=r"lock"):
            ray.put({"a": [Holder()]})

    def test_a_function_that_cannot_be_pickled_names_the_part_at_fault(self):
        lock = threading.Lock()

        @ray.remote
        def f():
            return lock

        with pytest.raises(TypeError, match="lock") as caught:
            f.remote()
        assert "f" in str(caught.value)

    def test_a_result_that_cannot_be_pickled_names_the_part_at_fault(self):
        @ray.remote
        def f():
            return {"key": threading.Lock()}

        with pytest.raises(TypeError, match=r"\['key'\]"):
            ray.get(f.remote())

    def test_system_exit_in_a_task(self):
        @ray.remote(max_retries=0)
        def leave():
            raise SystemExit(3)

        with pytest.raises(ray.exceptions.RayError):
            ray.get(leave.remote())
        assert ray.get(identity.remote(1)) == 1


@ray.remote
def divide(a, b):
    return a / b


# -- get, put, wait --------------------------------------------------------------------------------------------------------


class TestGet:
    def test_lists(self):
        one, two = ray.put(1), ray.put(2)
        assert ray.get([]) == []
        assert ray.get([two, one, two]) == [2, 1, 2]

    @pytest.mark.parametrize("wrong", [(), {}, set(), 3, None, "x", iter([])])
    def test_what_is_neither_a_reference_nor_a_list(self, wrong):
        with pytest.raises(ValueError, match="must either be an ObjectRef or a list"):
            ray.get(wrong)

    def test_a_tuple_of_references(self):
        with pytest.raises(ValueError, match="must either be an ObjectRef or a list"):
            ray.get((ray.put(1),))

    @pytest.mark.parametrize("wrong", [3, None, [], "x"])
    def test_a_list_with_something_else(self, wrong):
        with pytest.raises(TypeError, match="Attempting to call `get` on the value"):
            ray.get([ray.put(1), wrong])

    def test_timeouts(self, gate):
        late = visit.remote(gate, 1)
        for timeout in (0, 0.01):
            with pytest.raises(GetTimeoutError, match="Get timed out") as caught:
                ray.get(late, timeout=timeout)
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(GetTimeoutError):
                ray.get([ray.put(1), late], timeout=timeout)
        there = ray.put(2)
        assert ray.get(there, timeout=0) == 2
        gate.open()
        assert ray.get(late, timeout=-1) == 1
        assert ray.get(late, timeout=None) == 1
        assert ray.get([late, there], timeout=0) == [1, 2]

    @pytest.mark.parametrize("wrong", ["1", [1]])
    def test_a_timeout_is_a_number(self, wrong):
        with pytest.raises(TypeError):
            ray.get(ray.put(1), timeout=wrong)

    def test_the_second_argument_of_2016_is_ignored(self):
        assert ray.get(ray.put(1, None), None) == 1

    def test_many(self):
        assert ray.get([identity.remote(n) for n in range(3000)]) == list(range(3000))


class TestPut:
    def test_a_reference_cannot_be_put(self):
        ref = ray.put(1)
        with pytest.raises(TypeError, match="Calling 'put' on an"):
            ray.put(ref)
        (inner,) = ray.get(ray.put([ref]))
        assert inner == ref

    def test_each_put_makes_another_object(self):
        assert ray.put(1) != ray.put(1)


class TestWait:
    def test_ready_and_rest_keep_the_order_given(self, gate):
        late = [visit.remote(gate, n) for n in range(2)]
        there = [ray.put(n) for n in range(3)]
        ready, rest = ray.wait([late[0], *there, late[1]], num_returns=3)
        assert (ready, rest) == (there, late)

    def test_no_more_than_asked_for_are_ready(self):
        refs = [ray.put(n) for n in range(4)]
        assert ray.wait(refs) == (refs[:1], refs[1:])
        assert ray.wait(refs, num_returns=3) == (refs[:3], refs[3:])
        assert ray.wait(refs, 4) == (refs, [])

    def test_nothing_to_wait_for(self):
        assert ray.wait([]) == ([], [])
        assert ray.wait([], num_returns=5) == ([], [])
        with pytest.raises(ValueError, match="timeout"):
            ray.wait([], timeout=-1)

    def test_timeouts(self, gate):
        late, there = visit.remote(gate, 1), ray.put(1)
        assert ray.wait([late], timeout=0) == ([], [late])
        assert ray.wait([late, there], num_returns=2, timeout=0.01) == ([there], [late])
        gate.open()
        assert ray.wait([late, there], num_returns=2, timeout=None) == ([late, there], [])

    def test_failed_tasks_are_ready(self):
        bad = divide.remote(1, 0)
        assert ray.wait([bad]) == ([bad], [])

    @pytest.mark.parametrize("wrong", [(), 3, None, "x", {}])
    def test_only_lists(self, wrong):
        with pytest.raises(TypeError, match="list"):
            ray.wait(wrong)

    def test_only_references(self):
        with pytest.raises(TypeError):
            ray.wait(ray.put(1))
        with pytest.raises(TypeError):
            ray.wait([ray.put(1), 3])

    def test_only_distinct_ones(self):
        ref = ray.put(1)
        with pytest.raises(ValueError, match="unique"):
            ray.wait([ref, ref])

    def test_integers_of_numpy(self):
        ref = ray.put(1)
        assert ray.wait([ref], num_returns=np.int64(1)) == ([ref], [])

    @pytest.mark.parametrize("wrong", [0, -1, 3, 1.0, None, "1"])
    def test_how_many(self, wrong):
        with pytest.raises(ValueError, match=r"num_returns|number of objects"):
            ray.wait([ray.put(1), ray.put(2)], num_returns=wrong)

    def test_as_completed(self, gate):
        late, bad = visit.remote(gate, "late"), divide.remote(1, 0)
        there = [identity.remote(n) for n in range(3)]
        seen = []
        for ref in ray.as_completed([late, bad, *there]):
            seen.append(ref)
            if len(seen) == 4:
                gate.open()
        assert seen[-1] == late
        assert set(seen) == {late, bad, *there}

    def test_as_completed_in_time(self, gate):
        there, late = ray.put(1), visit.remote(gate, 1)
        completed = ray.as_completed([late, there], timeout=0.05)
        assert next(completed) == there
        with pytest.raises(GetTimeoutError, match="1 of 2"):
            next(completed)

    def test_as_completed_takes_any_iterable(self, gate):
        late = visit.remote(gate, 1)
        completed = ray.as_completed((ref for ref in (ray.put(1), late)), timeout=0.05)
        next(completed)
        with pytest.raises(GetTimeoutError, match="1 of 2"):
            next(completed)


class TestFutures:
    def test_await(self):
        async def main():
            assert await add.remote(1, 2) == 3
            assert await asyncio.gather(*[identity.remote(n) for n in range(100)]) == list(range(100))
            with pytest.raises(ZeroDivisionError):
                await divide.remote(1, 0)
            assert await ray.put("there") == "there"

        asyncio.run(main())

    def test_a_timeout_of_asyncio_does_not_cancel_the_task(self, gate):
        async def main():
            late = visit.remote(gate, 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(late, 0.01)
            gate.open()
            assert await late == 1

        asyncio.run(main())

    def test_asyncio_as_completed_and_wait(self):
        async def main():
            futures = [identity.remote(n).as_future() for n in range(5)]
            assert sorted([await future for future in asyncio.as_completed(futures)]) == list(range(5))

        asyncio.run(main())

    def test_concurrent_futures(self, gate):
        from concurrent.futures import wait

        late = visit.remote(gate, "late").future()
        assert add.remote(1, 2).future().result() == 3
        assert isinstance(divide.remote(1, 0).future().exception(), ZeroDivisionError)
        assert not late.done()
        gate.open()
        assert wait([late]).done == {late}
        assert late.result() == "late"

    def test_callbacks(self):
        outcomes = []
        identity.remote(5)._on_completed(outcomes.append)
        wait_until(lambda: outcomes == [5])
        divide.remote(1, 0)._on_completed(outcomes.append)
        wait_until(lambda: len(outcomes) == 2)
        assert isinstance(outcomes[1], ZeroDivisionError)


class TestReferences:
    def test_equality_and_hash(self):
        ref = identity.remote(1)
        copy = ray.get(identity.remote([ref]))[0]
        assert copy == ref
        assert copy is not ref
        assert {copy, ref} == {ref}
        assert ref != ray.put(1)
        assert ref != 1
        assert bool(ref)

    def test_ids(self):
        ref = ray.put(1)
        assert ray.ObjectID is ray.ObjectRef
        assert len(ref.hex()) == 56
        assert ray.ObjectRef(ref.binary()) == ray.ObjectRef.from_hex(ref.hex()) == ref
        assert ray.get(ray.ObjectRef(ref.binary())) == 1
        assert ray.ObjectRef.nil().is_nil()
        with pytest.raises(ValueError, match="length 28, got 1"):
            ray.ObjectRef(b"x")

    def test_what_a_reference_is_not(self):
        ref = ray.put(1)
        for misuse in (iter, len, int, float):
            with pytest.raises(TypeError):
                misuse(ref)
        with pytest.raises(TypeError):
            ref + 1

    def test_a_reference_in_a_closure(self):
        ref = ray.put([1, 2])

        @ray.remote
        def f():
            return ray.get(ref)

        assert ray.get(f.remote()) == [1, 2]

    def test_what_a_closure_has_captured_outlives_the_function(self, gate):
        def call():
            ref = ray.put([1, 2])

            @ray.remote
            def f(gate):
                gate.wait()
                return ray.get(ref)

            return f.remote(gate)

        result = call()
        gc.collect()
        gate.open()
        assert ray.get(result) == [1, 2]


class TestContext:
    def test_a_task_knows_its_id_its_name_and_its_job(self):
        @ray.remote
        def who():
            context = ray.get_runtime_context()
            return context.get_task_id(), context.get_task_name(), context.get_job_id()

        ref = who.remote()
        assert ray.get(ref) == (ref.task_id().hex(), "who", ray.get_runtime_context().get_job_id())
        assert ref.hex().startswith(ref.task_id().hex())

    def test_the_driver_runs_no_task(self):
        assert ray.get_runtime_context().get_task_id() is None

    def test_a_task_is_in_the_cluster_and_cannot_end_it(self):
        @ray.remote(max_retries=0)
        def leave():
            ray.shutdown()
            return ray.is_initialized()

        assert ray.get(leave.remote()) is True

    def test_a_task_cannot_start_another_cluster(self):
        @ray.remote
        def start(**options):
            ray.init(**options)

        with pytest.raises(RuntimeError, match=r"called ray\.init twice"):
            ray.get(start.remote())
        assert ray.get(start.remote(ignore_reinit_error=True)) is None


class TestCancel:
    def test_a_task_that_waits_never_runs(self, gate):
        busy = [visit.remote(gate, n) for n in range(4)]
        wait_until(lambda: len(gate.visitors) == 4)
        queued = visit.remote(gate, "never")
        dependent = identity.remote(queued)
        ray.cancel(queued)
        with pytest.raises(TaskCancelledError):
            ray.get(queued)
        with pytest.raises(TaskCancelledError):
            ray.get(dependent)
        gate.open()
        assert ray.get(busy) == [0, 1, 2, 3]
        assert "visitor never" not in gate.visitors

    def test_a_task_that_runs_is_interrupted(self, gate):
        running = visit.remote(gate, 1)
        wait_until(lambda: gate.visitors)
        ray.cancel(running)
        with pytest.raises(TaskCancelledError):
            ray.get(running)
        assert ray.get([identity.remote(n) for n in range(8)]) == list(range(8)), "all workers are of use again"

    def test_force_ends_what_does_not_listen(self, gate):
        @ray.remote
        def stubborn():
            while True:
                try:
                    gate.visit("stubborn")
                except KeyboardInterrupt:
                    continue

        ref = stubborn.remote()
        wait_until(lambda: gate.visitors)
        ray.cancel(ref, force=True)
        with pytest.raises((TaskCancelledError, ray.exceptions.WorkerCrashedError)):
            ray.get(ref)

    def test_children_go_too(self, gate):
        @ray.remote
        def child():
            try:
                gate.visit("child")
            finally:
                gate.path.with_name("child has ended").touch()

        @ray.remote
        def parent():
            return ray.get(child.remote())

        ref = parent.remote()
        wait_until(lambda: gate.visitors)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        wait_until(gate.path.with_name("child has ended").exists)

    def test_what_is_finished_stays(self):
        ref = identity.remote(1)
        assert ray.get(ref) == 1
        ray.cancel(ref)
        assert ray.get(ref) == 1
        ray.cancel(ray.put(1))

    @pytest.mark.parametrize("wrong", [3, None, [], "x"])
    def test_only_references(self, wrong):
        with pytest.raises(TypeError, match=r"ray\.kill"):
            ray.cancel(wrong)


# -- programs of their own -------------------------------------------------------------------------------------------------


class TestOutput:
    def test_what_workers_print_appears_with_name_and_pid(self):
        code, out, err = run_driver("""
            ray.init(num_cpus=1)
            @ray.remote
            def speak():
                print("hello")
                print("two\\nlines")
                os.system("echo from a child")
                print("trouble", file=sys.stderr)
                print("no newline", end="", flush=True)
                return os.getpid()
            pid = ray.get(speak.remote())
            ray.shutdown()
            print(pid)
        """)
        *lines, pid = out.splitlines()
        assert code == 0
        expected = ["hello", "two", "lines", "no newline", "from a child"]
        assert sorted(lines) == sorted(f"(speak pid={pid}) {text}" for text in expected)
        assert err == f"(speak pid={pid}) trouble\n"

    def test_a_line_that_is_not_ended_appears_when_its_task_has(self):
        with Driver("""
            ray.init(num_cpus=1)
            @ray.remote
            def speak(text):
                print(text, end="")
            @ray.remote
            class Threads:
                def speak(self, text):
                    print(text, end="")
            @ray.remote
            class Loop:
                async def speak(self, text):
                    print(text, end="")
            ray.get(speak.remote("from a task"))
            ray.get(Threads.options(max_concurrency=2).remote().speak.remote("from a thread"))
            ray.get(Loop.remote().speak.remote("from a loop"))
            sys.stdin.read()
        """) as driver:
            lines = [driver.line() for _ in range(3)]
            driver.close_input()
            code, _, err = driver.end()
        assert (code, err) == (0, "")
        assert sorted(line.split(") ")[1] for line in lines) == ["from a loop", "from a task", "from a thread"]

    def test_without_log_to_driver_it_does_not(self):
        code, out, err = run_driver("""
            ray.init(num_cpus=1, log_to_driver=False)
            ray.get(ray.remote(lambda: print("hello")).remote())
            print("end")
        """)
        assert (code, out, err) == (0, "end\n", "")


class TestMain:
    def test_everything_may_be_defined_in_the_main_program(self):
        code, out, err = run_driver("""
            class Number:
                def __init__(self, n):
                    self.n = n
            def helper(number):
                return Number(number.n + STEP)
            STEP = 10
            class Bad(Exception):
                pass
            @ray.remote
            def f(number):
                if number.n < 0:
                    raise Bad("negative")
                return helper(number)
            @ray.remote([Number], [Number])
            def g(number):
                return number
            ray.init(num_cpus=2)
            print(ray.get(f.remote(Number(1))).n, ray.get(g.remote(Number(5))).n)
            try:
                ray.get(f.remote(Number(-1)))
            except Bad as error:
                print(type(error.cause) is Bad)
        """)
        assert (code, out, err) == (0, "11 5\nTrue\n", "")

    def test_calls_before_a_start_start_a_cluster(self):
        code, out, err = run_driver("""
            @ray.remote
            def f(x):
                return x
            print(ray.is_initialized(), ray.get(f.remote(1)), ray.is_initialized())
        """)
        assert (code, out, err) == (0, "False 1 True\n", "")

    def test_a_function_is_of_use_in_the_next_cluster(self):
        code, out, err = run_driver("""
            @ray.remote
            def f(x):
                return x
            for _ in range(3):
                with ray.init(num_cpus=1):
                    ref = f.remote(1)
                    print(ray.get(ref))
            ray.init(num_cpus=1)
            for use in (lambda: ray.get(ref), lambda: f.remote(ref), lambda: ray.wait([ref]), lambda: ray.cancel(ref)):
                try:
                    use()
                except ValueError as error:
                    print("stopped" in str(error))
        """)
        assert (code, out, err) == (0, "1\n1\n1\nTrue\nTrue\nTrue\nTrue\n", "")

    def test_wrong_starts(self):
        code, out, err = run_driver("""
            def attempt(start):
                try:
                    start()
                except Exception as error:
                    print(type(error).__name__)
                else:
                    print("started")
            attempt(lambda: ray.services.start_ray_local(num_workers=-1))
            attempt(lambda: ray.services.start_ray_local(num_workers="ten"))
            attempt(lambda: ray.services.start_ray_local(num_objstores=0))
            attempt(lambda: ray.init(object_store_memory=2**60))
            attempt(lambda: ray.init(num_cpus=-1))
            attempt(lambda: ray.init(unheard_of=1))
            attempt(lambda: ray.init(address="10.0.0.1:6379"))
            attempt(lambda: ray.init(num_cpus=1))
            attempt(lambda: ray.init(num_cpus=1))
            attempt(lambda: ray.services.start_ray_local(num_workers=1))
            attempt(lambda: ray.init(ignore_reinit_error=True))
            ray.shutdown()
            ray.shutdown()
            print(ray.is_initialized())
        """)
        refused = "ValueError TypeError ValueError ValueError ValueError RuntimeError ConnectionError".split()
        assert out.split() == [*refused, "started", "RuntimeError", "RuntimeError", "started", "False"]
        assert code == 0
        (line,) = err.splitlines()  # the log tells that the second one was let pass
        assert "ray.init() again" in line
