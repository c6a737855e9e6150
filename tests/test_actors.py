"""Actors: state, order, handles, names, ends and new beginnings, threads and event loops; with real processes."""

import asyncio
import os
import signal
import sys
import time

import pytest

import ray
from ray.actor import ActorClassInheritanceException
from ray.exceptions import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorHandleNotFoundError,
    PendingCallsLimitExceeded,
    RayActorError,
    RayTaskError,
    TaskCancelledError,
)
from support import wait_until


@ray.remote
class Counter:
    START = 5

    def __init__(self, n=0):
        self.n = n

    def add(self, by=1):
        self.n += by
        return self.n

    def read(self):
        return self.n

    def pid(self):
        return os.getpid()

    def fail(self):
        raise ValueError("no")

    def slow(self, seconds):
        time.sleep(seconds)
        return self.n

    @staticmethod
    def twice(x):
        return 2 * x

    @classmethod
    def start(cls):
        return cls.START

    @ray.method(num_returns=2)
    def pair(self):
        return 1, 2

    def nothing(self):
        return None

    def leave(self):
        ray.actor.exit_actor()

    def sys_exit(self):
        sys.exit(0)

    def handle(self):
        return ray.get_runtime_context().current_actor


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


def state_of(handle):
    rows = [row for row in ray._core.list_actors() if row["actor_id"] == handle._actor_id.hex()]
    return rows[0]["state"] if rows else None


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


# -- classes, arguments, results ---------------------------------------------------------------------------------------


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
    with pytest.raises(ActorClassInheritanceException):

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


# -- order -------------------------------------------------------------------------------------------------------------


@ray.remote
class Log:
    def __init__(self):
        self.lines = []

    def write(self, line):
        self.lines.append(line)
        return len(self.lines)

    def read(self):
        return self.lines


@ray.remote
def later(value, seconds=0.3):
    time.sleep(seconds)
    return value


def test_calls_run_in_order():
    log = Log.remote()
    for line in range(1000):
        log.write.remote(line)
    assert ray.get(log.read.remote()) == list(range(1000))


def test_calls_run_in_order_while_an_argument_is_not_ready():
    log = Log.remote()
    log.write.remote("first")
    log.write.remote(later.remote("second"))
    log.write.remote("third")
    assert ray.get(log.read.remote()) == ["first", "second", "third"]


def test_a_failed_argument_fails_only_its_call():
    counter, log = Counter.remote(), Log.remote()
    failed = log.write.remote(counter.fail.remote())
    log.write.remote("next")
    with pytest.raises(ValueError, match="no"):
        ray.get(failed)
    assert ray.get(log.read.remote()) == ["next"]


def test_a_constructor_waits_for_its_arguments():
    assert ray.get(Counter.remote(later.remote(7)).read.remote()) == 7
    # Even on the only CPU.
    assert ray.get(Counter.options(num_cpus=2).remote(later.remote(8)).read.remote()) == 8


# -- failures ----------------------------------------------------------------------------------------------------------


def test_an_exception_of_a_method_leaves_the_actor_alive():
    counter = Counter.remote()
    with pytest.raises(ValueError, match="no") as caught:
        ray.get(counter.fail.remote())
    assert isinstance(caught.value, RayTaskError)
    assert ray.get(counter.add.remote()) == 1


def test_an_exception_of_the_constructor():
    @ray.remote
    class Broken:
        def __init__(self):
            raise KeyError("unfinished")

        def method(self):
            pass

    broken = Broken.remote()
    with pytest.raises(ActorDiedError, match="unfinished") as caught:
        ray.get(broken.method.remote())
    assert caught.value.actor_init_failed
    assert isinstance(caught.value.cause, KeyError)
    assert caught.value.actor_id == broken._actor_id.hex()
    with pytest.raises(ActorDiedError):
        ray.get(broken.method.remote())


def test_killing():
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    running = counter.slow.remote(100)
    ray.kill(counter)
    for ref in (running, counter.read.remote()):
        with pytest.raises(ActorDiedError, match=r"ray\.kill"):
            ray.get(ref)
    wait_until(lambda: not is_alive(pid))
    with pytest.raises(ValueError, match="only supported for actors"):
        ray.kill("counter")


def test_a_crash():
    counter = Counter.remote()
    os.kill(ray.get(counter.pid.remote()), signal.SIGKILL)
    with pytest.raises(RayActorError):
        ray.get([counter.slow.remote(100), counter.read.remote()])


@pytest.mark.parametrize("how", ["leave", "sys_exit"])
def test_exiting(how):
    counter = Counter.options(max_restarts=-1).remote()
    assert ray.get(counter.read.remote()) == 0
    with pytest.raises(ActorDiedError):
        ray.get(getattr(counter, how).remote())
    wait_until(lambda: state_of(counter) == "DEAD")
    with pytest.raises(ActorDiedError):
        ray.get(counter.read.remote())


def test_exit_actor_outside_an_actor():
    with pytest.raises(TypeError):
        ray.actor.exit_actor()


def test_terminating_after_queued_calls(tmp_path):
    mark = tmp_path / "atexit"

    @ray.remote
    class Tidy:
        def __init__(self):
            import atexit

            atexit.register(mark.write_text, "ran")

        def work(self):
            time.sleep(0.1)
            return "done"

    tidy = Tidy.remote()
    refs = [tidy.work.remote() for _ in range(3)]
    end = tidy.__ray_terminate__.remote()
    assert ray.get(refs) == ["done"] * 3
    with pytest.raises(ActorDiedError):
        ray.get(end)
    wait_until(mark.exists)


def test_handles_of_a_stopped_cluster(cluster):
    counter = Counter.remote()
    ray.shutdown()
    cluster(num_workers=1)
    with pytest.raises(ActorHandleNotFoundError):
        ray.kill(counter)
    with pytest.raises(ActorHandleNotFoundError):
        counter.add.remote()
    assert ray.get(Counter.remote().add.remote()) == 1


# -- restarts ----------------------------------------------------------------------------------------------------------


def test_a_restart_makes_the_actor_anew():
    counter = Counter.options(max_restarts=1).remote(ray.put(40))
    assert ray.get(counter.add.remote()) == 41
    first = ray.get(counter.pid.remote())
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: _tried(counter.pid) not in (None, first))
    assert ray.get(counter.add.remote()) == 41
    os.kill(ray.get(counter.pid.remote()), signal.SIGKILL)
    wait_until(lambda: state_of(counter) == "DEAD")
    with pytest.raises(ActorDiedError):
        ray.get(counter.read.remote())


def _tried(method):
    try:
        return ray.get(method.remote())
    except RayActorError:
        return None


def test_calls_are_tried_again(tmp_path):
    @ray.remote(max_restarts=-1, max_task_retries=2)
    class Fragile:
        def work(self):
            attempts = len(list(tmp_path.iterdir()))
            (tmp_path / str(attempts)).touch()
            if attempts < 2:
                os._exit(1)
            return attempts, ray.get_runtime_context().was_current_actor_reconstructed

    assert ray.get(Fragile.remote().work.remote()) == (2, True)


def test_killing_with_a_restart():
    counter = Counter.options(max_restarts=1).remote()
    first = ray.get(counter.pid.remote())
    ray.kill(counter, no_restart=False)
    assert ray.get(counter.pid.remote()) != first


# -- handles -----------------------------------------------------------------------------------------------------------


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
    wait_until(lambda: not is_alive(pid))


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
    wait_until(lambda: not is_alive(pid))


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
    wait_until(lambda: not is_alive(pid))


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


# -- names -------------------------------------------------------------------------------------------------------------


def test_names():
    counter = Counter.options(name="one").remote(1)
    found = ray.get_actor("one")
    assert found == counter
    assert ray.get(found.add.remote()) == 2
    with pytest.raises(ActorAlreadyExistsError):
        Counter.options(name="one").remote()
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("two")
    with pytest.raises(ValueError, match="non-empty"):
        ray.get_actor("")
    with pytest.raises(ValueError, match="not a valid namespace"):
        ray.get_actor("one", namespace="")
    with pytest.raises(TypeError):
        ray.get_actor("one", namespace=3)
    assert ray.util.list_named_actors() == ["one"]
    ray.kill(counter)
    wait_until(lambda: ray.util.list_named_actors() == [])
    Counter.options(name="one").remote()


def test_a_found_handle_does_not_keep_the_actor():
    counter = Counter.options(name="one").remote()
    found = ray.get_actor("one")
    pid = ray.get(found.pid.remote())
    del counter
    wait_until(lambda: not is_alive(pid))
    with pytest.raises(ActorDiedError):
        ray.get(found.read.remote())


def test_get_if_exists():
    named = Counter.options(name="one", get_if_exists=True)
    one, two = named.remote(5), named.remote(6)
    assert one == two
    assert ray.get(two.read.remote()) == 5
    with pytest.raises(ValueError, match="get_if_exists"):
        Counter.options(get_if_exists=True).remote()


def test_namespaces():
    here = Counter.options(name="one", namespace="a").remote(1)
    there = Counter.options(name="one", namespace="b").remote(2)
    assert ray.get(ray.get_actor("one", namespace="b").read.remote()) == 2
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("one")
    rows = ray.util.list_named_actors(all_namespaces=True)
    assert sorted(rows, key=lambda row: row["namespace"]) == [
        {"namespace": "a", "name": "one"},
        {"namespace": "b", "name": "one"},
    ]
    del here, there


def test_the_namespace_of_a_program():
    ray.shutdown()
    ray.init(num_cpus=1, namespace="mine")
    counter = Counter.options(name="one").remote(3)

    @ray.remote
    def look():
        return ray.get_runtime_context().namespace, ray.get(ray.get_actor("one").read.remote())

    assert ray.get(look.remote()) == ("mine", 3)
    del counter


def test_detached_actors_stay():
    Counter.options(name="stays", lifetime="detached").remote(9)
    time.sleep(0.3)
    assert ray.get(ray.get_actor("stays").read.remote()) == 9


# -- limits and resources ----------------------------------------------------------------------------------------------


def test_max_pending_calls():
    counter = Counter.options(max_pending_calls=2).remote()
    refs = [counter.slow.remote(0.5) for _ in range(2)]
    with pytest.raises(PendingCallsLimitExceeded):
        counter.read.remote()
    ray.get(refs)
    assert ray.get(counter.read.remote()) == 0


def test_actors_with_nothing_said_take_no_cpu_while_they_live():
    counters = [Counter.remote() for _ in range(5)]
    assert ray.get([counter.add.remote() for counter in counters]) == [1] * 5
    assert ray.get(later.remote(1, 0)) == 1


def test_actors_hold_what_they_ask_for():
    one = Counter.options(num_cpus=1).remote()
    two = Counter.options(num_cpus=1).remote()
    assert ray.get([one.read.remote(), two.read.remote()]) == [0, 0]
    assert ray.available_resources().get("CPU", 0) == 0
    three = Counter.options(num_cpus=1).remote()
    waits = three.add.remote()
    assert ray.wait([waits], timeout=0.3) == ([], [waits])
    ray.kill(one)
    assert ray.get(waits) == 1
    never = Counter.options(num_cpus=100).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError):
        ray.get(never.read.remote())


def test_an_environment_of_its_own():
    @ray.remote(runtime_env={"env_vars": {"RAIO_TEST_COLOUR": "blue"}})
    class Coloured:
        def colour(self):
            return os.environ.get("RAIO_TEST_COLOUR")

    assert ray.get(Coloured.remote().colour.remote()) == "blue"


# -- special methods, context ------------------------------------------------------------------------------------------


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


# -- threads -----------------------------------------------------------------------------------------------------------


@ray.remote
class Meeting:
    """Threads that can only go on together."""

    def __init__(self):
        import threading

        self.barrier = threading.Barrier(3)

    def meet(self):
        self.barrier.wait(20)
        return True

    @ray.method(concurrency_group="io")
    def aside(self):
        return "aside"

    def leave(self):
        ray.actor.exit_actor()


def test_threads():
    meeting = Meeting.options(max_concurrency=3).remote
    del meeting

    @ray.remote(max_concurrency=3)
    class Plain:
        def __init__(self):
            import threading

            self.barrier = threading.Barrier(3)

        def meet(self):
            self.barrier.wait(20)
            return ray.get(later.remote("met", 0))

        def fail(self):
            raise ValueError("thread")

        def leave(self):
            ray.actor.exit_actor()

        def names(self):
            context = ray.get_runtime_context()
            return context.get_task_name(), context.is_canceled()

    plain = Plain.remote()
    assert ray.get([plain.meet.remote() for _ in range(3)]) == ["met"] * 3
    with pytest.raises(ValueError, match="thread"):
        ray.get(plain.fail.remote())
    assert ray.get(plain.names.remote()) == ("Plain.names", False)
    with pytest.raises(ActorDiedError):
        ray.get(plain.leave.remote())


def test_concurrency_groups_of_threads():
    actor = ray.remote(concurrency_groups={"io": 1, "compute": 3})(Meeting.__ray_actor_class__).remote()
    waiting = actor.meet.options(concurrency_group="compute").remote()
    assert ray.get(actor.aside.remote()) == "aside"
    ray.get([waiting, *(actor.meet.options(concurrency_group="compute").remote() for _ in range(2))])
    with pytest.raises(ValueError, match="concurrency group"):
        ray.get(actor.aside.options(concurrency_group="none").remote())


# -- event loops -------------------------------------------------------------------------------------------------------


@ray.remote
class Async:
    def __init__(self):
        self.event = asyncio.Event()
        self.n = 0
        self.most = 0

    async def wait(self):
        self.n += 1
        self.most = max(self.most, self.n)
        await self.event.wait()
        self.n -= 1
        return "woken"

    async def wake(self):
        self.event.set()

    def plain(self, x):
        return x + 1

    async def echo(self, x):
        await asyncio.sleep(0)
        return x

    async def fail(self):
        raise ValueError("async")

    async def forward(self, ref):
        return await ref[0] + 1

    async def peak(self):
        return self.most

    async def forever(self):
        await asyncio.sleep(1000)

    async def leave(self):
        ray.actor.exit_actor()


def test_calls_of_an_async_actor_run_together():
    actor = Async.remote()
    waiting = [actor.wait.remote() for _ in range(500)]
    assert ray.get(actor.plain.remote(1)) == 2
    ray.get(actor.wake.remote())
    assert ray.get(waiting) == ["woken"] * 500
    assert ray.get(actor.peak.remote()) == 500


def test_an_async_actor_is_limited():
    actor = Async.options(max_concurrency=2).remote()
    assert ray.get([actor.echo.remote(i) for i in range(2000)]) == list(range(2000))
    waiting = [actor.wait.remote() for _ in range(2)]
    assert ray.wait([actor.plain.remote(1)], timeout=0.3)[0] == []
    del waiting


def test_exceptions_and_references_in_async_methods():
    actor = Async.remote()
    with pytest.raises(ValueError, match="async"):
        ray.get(actor.fail.remote())
    assert ray.get(actor.forward.remote([later.remote(1, 0)])) == 2
    assert ray.get([actor.forward.remote([actor.echo.remote(i)]) for i in range(50)]) == list(range(1, 51))


def test_an_async_actor_does_not_hold_calls_behind_a_late_argument():
    actor = Async.remote()
    late = actor.echo.remote(later.remote("late", 1))
    assert ray.get(actor.echo.remote("soon"), timeout=20) == "soon"
    assert not ray.wait([late], timeout=0)[0]
    assert ray.get(late) == "late"


def test_an_async_actor_ends():
    actor = Async.remote()
    assert ray.get(actor.echo.remote(1)) == 1
    with pytest.raises(ActorDiedError):
        ray.get(actor.leave.remote())
    actor = Async.remote()
    pid = ray.get(actor.__ray_call__.remote(lambda self: os.getpid()))
    ref = actor.echo.remote(5)
    del actor
    assert ray.get(ref) == 5
    wait_until(lambda: not is_alive(pid))


def test_groups_of_an_event_loop():
    @ray.remote(concurrency_groups={"io": 1})
    class Grouped:
        def __init__(self):
            self.running = 0

        @ray.method(concurrency_group="io")
        async def alone(self):
            self.running += 1
            await asyncio.sleep(0.01)
            running, self.running = self.running, self.running - 1
            return running

    actor = Grouped.remote()
    assert ray.get([actor.alone.remote() for _ in range(10)]) == [1] * 10


def test_await_in_the_driver():
    async def main():
        actor = Async.remote()
        assert await actor.echo.remote(1) == 1
        return await asyncio.gather(*(actor.echo.remote(i) for i in range(100)))

    assert asyncio.run(main()) == list(range(100))


# -- cancelling --------------------------------------------------------------------------------------------------------


def test_cancelling_a_call_that_waits_for_its_turn():
    counter = Counter.remote()
    counter.slow.remote(0.5)
    queued = counter.add.remote()
    ray.cancel(queued)
    with pytest.raises(TaskCancelledError):
        ray.get(queued)
    assert ray.get(counter.read.remote()) == 0


def test_cancelling_a_call_of_an_async_actor():
    actor = Async.remote()
    ref = actor.forever.remote()
    ray.get(actor.echo.remote(1))
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref)
    assert ray.get(actor.echo.remote(2)) == 2


def test_a_running_call_can_ask_whether_it_was_cancelled():
    @ray.remote
    class Patient:
        def wait(self):
            while not ray.get_runtime_context().is_canceled():
                time.sleep(0.01)
            return "stopped"

    for actor in (Patient.remote(), Patient.options(max_concurrency=2).remote()):
        ray.get(actor.__ray_ready__.remote())
        ref = actor.wait.remote()
        assert not ray.wait([ref], timeout=0.3)[0]
        with pytest.raises(ValueError, match="force"):
            ray.cancel(ref, force=True)
        ray.cancel(ref)
        assert ray.get(ref) == "stopped"
