"""Actors: classes, arguments, handles, what their methods know; with real processes."""

import os
import time

import pytest

import ray
from actor_classes import Counter, later, wait_for_end
from ray.actor import ActorClassInheritanceException
from support import is_alive


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


# -- classes, arguments, results ----------------------------------------------------------------------------------------


def test_state_and_keywords():
    counter = Counter.remote(10)
    assert ray.get([counter.add.remote(), counter.add.remote(by=5), counter.add.remote(1)]) == [11, 16, 17]
    assert ray.get(Counter.remote(n=3).read.remote()) == 3


def test_a_process_of_its_own():
    pids = ray.get([Counter.remote().pid.remote() for _ in range(3)])
    assert len({*pids, os.getpid()}) == 4


def test_inheritance():
    class Base:
        def __init__(self, x):
            self.x = x

        def get(self):
            return self.x

    @ray.remote
    class Derived(Base):
        def __init__(self, x, y):
            super().__init__(x)
            self.y = y

        def both(self):
            return self.get(), self.y

    actor = Derived.remote(1, 2)
    assert ray.get([actor.get.remote(), actor.both.remote()]) == [1, (1, 2)]


def test_static_and_class_methods_and_attributes():
    counter = Counter.remote()
    assert ray.get([counter.twice.remote(4), counter.start.remote()]) == [8, 5]
    assert (Counter.START, Counter.twice(3), Counter.start()) == (5, 6, 5)


def test_number_of_results():
    counter = Counter.remote()
    assert ray.get(counter.pair.remote()) == [1, 2]
    assert ray.get(counter.pair.options(num_returns=1).remote()) == (1, 2)
    assert counter.nothing.options(num_returns=0).remote() is None
    with pytest.raises(ValueError, match="num_returns"):
        counter.pair.options(num_returns=-1)


def test_arguments_are_checked_at_the_call():
    with pytest.raises(TypeError, match="too many positional"):
        Counter.remote(1, 2)
    with pytest.raises(TypeError, match="unexpected keyword"):
        Counter.remote(m=2)
    counter = Counter.remote()
    with pytest.raises(TypeError, match="too many positional"):
        counter.add.remote(1, 2)
    with pytest.raises(TypeError, match="missing a required argument"):
        counter.slow.remote()

    @ray.remote
    class Empty:
        pass

    with pytest.raises(TypeError):
        Empty.remote(1)
    Empty.remote()


def test_direct_calls_are_refused():
    with pytest.raises(TypeError, match="cannot be instantiated directly"):
        Counter()
    counter = Counter.remote()
    with pytest.raises(TypeError, match="cannot be called directly"):
        counter.add()


def test_a_remote_class_is_no_base_class():
    with pytest.raises(ActorClassInheritanceException, match="Inheriting from actor classes is not currently supported"):

        class Sub(Counter):
            pass

    assert issubclass(ActorClassInheritanceException, TypeError)


def test_unknown_methods_and_attributes():
    counter = Counter.remote()
    with pytest.raises(AttributeError):
        counter.nosuch  # noqa: B018
    with pytest.raises(AttributeError):
        counter.n  # noqa: B018
    assert {"add", "read", "pair"} <= set(dir(counter))


def test_what_dir_shows():
    public = {name for name in dir(Counter) if not name.startswith("_")}
    assert {"remote", "options", "add", "twice", "START"} <= public

    @ray.remote
    class One:
        def method(self):
            pass

    assert set(dir(One.remote())) == {"__init__", "method", "__ray_ready__", "__ray_call__", "__ray_terminate__"}
    assert {"remote", "options"} <= set(dir(One.remote().method))


def test_what_is_known_of_a_class_and_a_handle():
    chosen = ray.remote(num_cpus=0, max_restarts=2)(Counter.__ray_actor_class__)
    metadata = chosen.__ray_metadata__
    assert (metadata.class_name, metadata.num_cpus, metadata.max_restarts) == ("Counter", 0, 2)
    assert metadata.modified_class is Counter.__ray_actor_class__
    assert "add" in metadata.method_meta.methods
    assert isinstance(chosen, ray.actor.ActorClass)
    counter = chosen.remote()
    assert isinstance(counter, ray.actor.ActorHandle)
    assert isinstance(counter.add, ray.actor.ActorMethod)
    assert counter._ray_method_num_returns["pair"] == 2
    assert counter._ray_actor_creation_function_descriptor.class_name == "Counter"
    assert "by" in [parameter.name for parameter in counter._ray_method_signatures["add"]]


def test_the_old_spelling():
    counter = Counter._remote(args=[1], kwargs={}, num_cpus=0)
    assert ray.get(counter.add._remote(args=[2])) == 3
    assert ray.get(counter.add._remote([], {"by": 3})) == 6
    assert ray.get(counter.pair._remote(num_returns=1)) == (1, 2)


def test_method_decorator():
    @ray.method
    def plain(self):
        pass

    assert plain.__name__ == "plain"
    with pytest.raises(AssertionError):
        ray.method(nonsense=1)
    with pytest.raises(AssertionError):
        ray.method(2)
    with pytest.raises(ValueError, match="num_returns"):
        ray.method(num_returns=-1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"nonsense": 1}, ValueError),
        ({"num_returns": 2}, ValueError),
        ({"max_restarts": -2}, ValueError),
        ({"max_restarts": "1"}, TypeError),
        ({"max_concurrency": 0}, ValueError),
        ({"lifetime": "for ever"}, ValueError),
        ({"name": ""}, ValueError),
        ({"name": 3}, TypeError),
        ({"num_cpus": -1}, ValueError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"concurrency_groups": {"io": 2}}, ValueError),
    ],
)
def test_options_are_checked(options, error):
    with pytest.raises(error):
        Counter.options(**options)


def test_large_and_stored_arguments():
    data = b"x" * 3_000_000

    @ray.remote
    class Holder:
        def __init__(self, data, ref):
            self.data, self.ref = data, ref

        def sizes(self, more):
            return len(self.data), len(more), len(ray.get(self.ref[0]))

    holder = Holder.remote(ray.put(data), [ray.put(data)])
    assert ray.get(holder.sizes.remote(data)) == (3_000_000,) * 3
    holder = Holder.remote(data, [ray.put(data)])
    assert ray.get(holder.sizes.remote(ray.put(data))) == (3_000_000,) * 3


def test_a_large_class():
    blob = os.urandom(2_000_000)

    @ray.remote
    class Large:
        def size(self):
            return len(blob)

    assert ray.get([Large.remote().size.remote() for _ in range(2)]) == [2_000_000] * 2


# -- handles ------------------------------------------------------------------------------------------------------------


@ray.remote
def add_to(handle, by):
    return ray.get(handle.add.remote(by))


@ray.remote
def add_to_inside(box, by):
    return ray.get(box["handle"][0].add.remote(by))


def test_handles_travel():
    counter = Counter.remote()
    assert ray.get(add_to.remote(counter, 1)) == 1
    assert ray.get(add_to_inside.remote({"handle": [counter]}, 1)) == 2

    @ray.remote
    class Middle:
        def __init__(self, handle):
            self.handle = handle

        def add(self):
            return ray.get(self.handle.add.remote())

        def give(self):
            return self.handle

    middle = Middle.remote(counter)
    assert ray.get(middle.add.remote()) == 3
    again = ray.get(middle.give.remote())
    assert again == counter
    assert ray.get(again.add.remote()) == 4


def test_handles_compare_and_hash_and_show():
    one, two = Counter.remote(), Counter.remote()
    copy = ray.get(ray.put([one]))[0]
    assert (copy == one, hash(copy) == hash(one), one == two, len({one, two, copy})) == (True, True, False, 2)
    assert one != "one"
    digits = one._actor_id.hex()
    assert len(digits) == 32
    assert repr(one) == f"Actor(Counter, {digits})"
    assert one._ray_actor_id == one._actor_id


def test_an_actor_ends_with_its_last_handle_after_queued_calls():
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    refs = [counter.slow.remote(0.1) for _ in range(3)]
    del counter
    assert ray.get(refs) == [0, 0, 0]
    wait_for_end(pid)


def test_a_handle_dropped_at_once():
    assert ray.get(Counter.remote().add.remote(3)) == 3
    method = Counter.remote().add
    assert ray.get(method.remote(4)) == 4


def test_a_handle_inside_a_value_keeps_the_actor():
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    box = ray.put({"counter": counter})
    del counter
    time.sleep(0.3)
    assert is_alive(pid)
    counter = ray.get(box)["counter"]
    assert ray.get(counter.add.remote()) == 1
    del box
    time.sleep(0.3)
    assert is_alive(pid)
    del counter
    wait_for_end(pid)


def test_a_handle_inside_a_result_and_an_argument_keeps_the_actor():
    @ray.remote
    def make():
        return [Counter.remote(5)]

    @ray.remote
    def use(box, wait):
        time.sleep(0.3)
        return ray.get(box[0].add.remote())

    box = make.remote()
    assert ray.get(use.remote(ray.get(box), None)) == 6
    assert ray.get(use.remote(box, later.remote(1))) == 7
    counter = Counter.remote()
    result = use.remote([counter], later.remote(1))
    pid = ray.get(counter.pid.remote())
    del counter
    assert ray.get(result) == 1
    wait_for_end(pid)


def test_a_handle_captured_by_a_function():
    counter = Counter.remote()

    @ray.remote
    def captured():
        return ray.get(counter.add.remote())

    assert ray.get([captured.remote() for _ in range(3)]) in (
        [1, 2, 3],
        [2, 1, 3],
        [1, 3, 2],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    )


def test_an_actor_can_call_itself_through_others():
    @ray.remote
    class Ring:
        def __init__(self, rest):
            self.next = Ring.remote(rest - 1) if rest else None

        def length(self):
            return 1 + (ray.get(self.next.length.remote()) if self.next else 0)

    assert ray.get(Ring.remote(4).length.remote()) == 5


# -- special methods, context -------------------------------------------------------------------------------------------


def test_special_methods():
    counter = Counter.remote(2)
    assert ray.get(counter.__ray_ready__.remote()) is True
    assert ray.get(counter.__ray_call__.remote(lambda self, by: self.n * by, 10)) == 20


def test_runtime_context():
    @ray.remote
    class Asks:
        def ask(self):
            context = ray.get_runtime_context()
            return {
                "actor": context.get_actor_id(),
                "name": context.get_actor_name(),
                "task": context.get_task_name(),
                "function": context.get_task_function_name(),
                "handle": context.current_actor,
                "restarted": context.was_current_actor_reconstructed,
                "resources": context.get_assigned_resources(),
                "id": context.get_task_id(),
            }

    asks = Asks.options(name="asks").remote()
    told = ray.get(asks.ask.remote())
    assert told["actor"] == asks._actor_id.hex()
    assert told["name"] == "asks"
    assert told["task"] == "Asks.ask"
    assert told["function"].endswith(".Asks.ask")
    assert told["handle"] == asks
    assert (told["restarted"], told["resources"]) == (False, {})
    assert len(told["id"]) == 48
    assert ray.get(Asks.options(num_cpus=2).remote().ask.remote())["resources"] == {"CPU": 2.0}
    context = ray.get_runtime_context()
    assert (context.get_actor_id(), context.get_actor_name()) == (None, None)
    with pytest.raises(RuntimeError):
        context.current_actor  # noqa: B018
