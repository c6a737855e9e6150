"""Actors that run several calls at a time: on threads, on an event loop, in groups."""

import asyncio
import os
import sys
import threading

import pytest

import ray
from actor_classes import Async, Log, later, wait_for_end, wait_for_file
from ray.exceptions import ActorDiedError, RayTaskError
from support import wait_until


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


# -- threads ------------------------------------------------------------------------------------------------------------


@ray.remote
class Meeting:
    """Threads that can only go on together."""

    def __init__(self):
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
    @ray.remote(max_concurrency=3)
    class Plain:
        def __init__(self):
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


@pytest.mark.parametrize("how", ["leave", "sys_exit"])
def test_a_thread_ends_the_actor(how):
    @ray.remote(max_concurrency=2, max_restarts=-1)
    class Leaves:
        def leave(self):
            ray.actor.exit_actor()

        def sys_exit(self):
            sys.exit(0)

        def stay(self):
            threading.Event().wait()

        def pid(self):
            return os.getpid()

    leaves = Leaves.remote()
    pid = ray.get(leaves.pid.remote())
    stays = leaves.stay.remote()
    for ref in (getattr(leaves, how).remote(), stays):
        with pytest.raises(ActorDiedError):
            ray.get(ref)
    with pytest.raises(ActorDiedError):
        ray.get(leaves.pid.remote())
    wait_for_end(pid)


# -- event loops --------------------------------------------------------------------------------------------------------


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


def test_an_async_actor_does_not_hold_calls_behind_a_late_argument(tmp_path):
    actor = Async.remote()
    late = actor.echo.remote(wait_for_file.remote(tmp_path / "go", "late"))
    assert ray.get(actor.echo.remote("soon")) == "soon"
    assert not ray.wait([late], timeout=0)[0]
    (tmp_path / "go").touch()
    assert ray.get(late) == "late"


@pytest.mark.parametrize("options", [{"max_concurrency": 2}, {"allow_out_of_order_execution": True}])
def test_calls_overtake_one_with_a_late_argument_where_order_is_not_kept(options, tmp_path):
    log = Log.options(**options).remote()
    late = log.write.remote(wait_for_file.remote(tmp_path / "go", "late"))
    assert ray.get(log.write.remote("soon")) == 1
    (tmp_path / "go").touch()
    assert ray.get(late) == 2
    assert ray.get(log.read.remote()) == ["soon", "late"]


def test_order_cannot_be_asked_of_actors_that_run_many_calls():
    with pytest.raises(ValueError, match="allow_out_of_order_execution"):
        Async.options(allow_out_of_order_execution=False).remote()
    with pytest.raises(ValueError, match="allow_out_of_order_execution"):
        Log.options(allow_out_of_order_execution=False, max_concurrency=2).remote()


def test_plain_methods_share_the_thread_of_the_event_loop():
    @ray.remote
    class Mixed:
        def plain(self):
            return threading.get_ident(), threading.current_thread() is threading.main_thread()

        async def coroutine(self):
            return threading.get_ident(), asyncio.get_running_loop() is asyncio.get_event_loop()

    mixed = Mixed.remote()
    (plain, is_main), (coroutine, is_same_loop) = ray.get([mixed.plain.remote(), mixed.coroutine.remote()])
    assert plain == coroutine
    assert (is_main, is_same_loop) == (True, True)


def test_whatever_an_async_method_raises_leaves_the_actor_alive():
    @ray.remote
    class Raises:
        async def work(self, kind):
            raise kind("oh")

        async def ping(self):
            return "pong"

    raises = Raises.remote()
    for kind in (BaseException, KeyboardInterrupt, asyncio.CancelledError, StopIteration, GeneratorExit):
        with pytest.raises(RayTaskError):
            ray.get(raises.work.remote(kind))
        assert ray.get(raises.ping.remote()) == "pong"


def test_a_blocking_wait_in_an_async_method_works_and_is_warned_of(capfd):
    @ray.remote
    class Blocks:
        async def work(self, refs):
            ray.wait(refs)
            return ray.get(refs[0])

    blocks = Blocks.remote()
    assert ray.get([blocks.work.remote([ray.put(i)]) for i in range(2)]) == [0, 1]
    told = ""

    def is_told():
        nonlocal told
        told += capfd.readouterr().err
        return "inside async actor" in told

    wait_until(is_told)
    assert told.count("inside async actor") == 1


def test_time_limits_of_asyncio_do_not_stop_what_they_waited_for(tmp_path):
    @ray.remote
    class Impatient:
        async def work(self, go):
            ref = wait_for_file.remote(go, "done")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ref, 0.01)
            go.touch()
            return await ref

    assert ray.get(Impatient.remote().work.remote(tmp_path / "go")) == "done"


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
    wait_for_end(pid)


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
