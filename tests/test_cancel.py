"""What `ray.cancel` does to tasks and calls, wherever they are."""

import asyncio
import os
import time

import pytest

import ray
from ray.exceptions import GetTimeoutError, RayTaskError, TaskCancelledError, WorkerCrashedError
from support import attempts, is_alive, note_attempt, wait_until


@pytest.fixture(autouse=True)
def a_cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


ENDINGS = {False: (TaskCancelledError,), True: (TaskCancelledError, WorkerCrashedError, RayTaskError)}

force = pytest.mark.parametrize("force", [False, True], ids=["interrupted", "forced"])


@ray.remote
def forever(path):
    note_attempt(path, "began")
    try:
        while True:
            time.sleep(0.01)
    finally:
        note_attempt(path, "ended")


@ray.remote
def unpack(box):
    return ray.get(box[0])


@ray.remote
def identity(x):
    return x


@ray.remote(num_cpus=0)
class Sleeper:
    def sleep(self, path):
        note_attempt(path, "began")
        while not ray.get_runtime_context().is_canceled():
            time.sleep(0.005)
        note_attempt(path, "ended")
        return "asked"

    def quick(self):
        return "quick"


@ray.remote(num_cpus=0)
class AsyncSleeper:
    async def sleep(self, path):
        note_attempt(path, "began")
        try:
            await asyncio.sleep(60)
        finally:
            note_attempt(path, "ended")

    async def quick(self):
        return "quick"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "what happened"


def began(path):
    wait_until(lambda: "began" in attempts(path))


def ended(path):
    wait_until(lambda: "ended" in attempts(path))


# -- tasks -----------------------------------------------------------------------------------------------------------------


class TestTasks:
    @force
    def test_one_that_runs(self, path, force):
        ref = forever.remote(path)
        began(path)
        ray.cancel(ref, force=force)
        with pytest.raises(ENDINGS[force]):
            ray.get(ref)
        assert ray.get([identity.remote(n) for n in range(10)]) == list(range(10))

    @force
    def test_one_that_waits_for_inputs_never_runs(self, path, force):
        slow = forever.remote(path)

        @ray.remote
        def never(x):
            note_attempt(path, "never")

        waits = never.remote(slow)
        began(path)
        ray.cancel(waits, force=force)
        with pytest.raises(TaskCancelledError):
            ray.get(waits)
        ray.cancel(slow)
        with pytest.raises(TaskCancelledError):
            ray.get(slow)
        assert "never" not in attempts(path)

    @force
    def test_one_that_waits_in_a_get(self, path, force):
        inner = forever.remote(path)
        outer = unpack.remote([inner])
        beyond = unpack.remote([outer])
        began(path)
        assert not ray.wait([beyond], timeout=0.1)[0]
        ray.cancel(outer, force=force)
        for ref in (outer, beyond):
            with pytest.raises(ENDINGS[force]):
                ray.get(ref)
        assert not ray.wait([inner], timeout=0)[0], "it was only waited for"
        ray.cancel(inner)
        ended(path)

    @force
    def test_all_who_depend_on_it(self, path, force):
        head = forever.remote(path)
        dependents = [identity.remote(head) for _ in range(3)] + [unpack.remote([head]) for _ in range(2)]
        began(path)
        ray.cancel(head, force=force)
        for ref in dependents:
            with pytest.raises(ENDINGS[force]):
                ray.get(ref)

    @force
    def test_its_children(self, path, force):
        @ray.remote
        def parent():
            child = forever.remote(path)
            ray.wait([child])

        ref = parent.remote()
        began(path)
        ray.cancel(ref, force=force)
        with pytest.raises(ENDINGS[force]):
            ray.get(ref)
        if not force:
            ended(path)
        assert ray.get(identity.options(num_cpus=4).remote(1)) == 1, "nothing of it holds a CPU"

    def test_its_children_are_left_alone_when_that_is_asked_for(self, path):
        @ray.remote
        def parent():
            child = forever.remote(path)
            ray.get(child)

        ref = parent.remote()
        began(path)
        ray.cancel(ref, recursive=False)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        with pytest.raises(AssertionError):
            wait_until(lambda: "ended" in attempts(path), watchdog=0.2)

    def test_one_that_another_process_made(self, path):
        @ray.remote
        def maker():
            return [forever.remote(path)]

        (ref,) = ray.get(maker.remote())
        began(path)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        ended(path)

    def test_from_another_process(self, path):
        ref = forever.remote(path)

        @ray.remote
        def canceller(box):
            ray.cancel(box[0])

        began(path)
        ray.get(canceller.remote([ref]))
        with pytest.raises(TaskCancelledError):
            ray.get(ref)

    def test_one_whose_arguments_are_just_being_read(self, path):
        class Slow:
            def __reduce__(self):
                return read_slowly, (path,)

        @ray.remote
        def never(x):
            note_attempt(path, "never")

        ref = never.remote(Slow())
        began(path)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        assert "never" not in attempts(path)

    def test_one_that_does_not_mind_ends_as_it_likes(self, path):
        @ray.remote
        def polite():
            note_attempt(path, "began")
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                return "asked" if ray.get_runtime_context().is_canceled() else "why?"

        ref = polite.remote()
        began(path)
        ray.cancel(ref)
        assert ray.get(ref) == "asked"

    def test_one_on_each_side_goes_on(self, tmp_path):
        paths = [tmp_path / str(n) for n in range(3)]
        refs = [forever.remote(path) for path in paths]
        for path in paths:
            began(path)
        ray.cancel(refs[1])
        with pytest.raises(TaskCancelledError):
            ray.get(refs[1])
        with pytest.raises(GetTimeoutError):
            ray.get([refs[0], refs[2]], timeout=0.1)
        for ref in (refs[0], refs[2]):
            ray.cancel(ref)
            with pytest.raises(TaskCancelledError):
                ray.get(ref)

    @force
    def test_many_in_all_states(self, path, force):
        busy = [forever.remote(path) for _ in range(4)]
        queued = [identity.remote(n) for n in range(200)]
        wait_until(lambda: attempts(path).count("began") == 4)
        for ref in queued[::2]:
            ray.cancel(ref, force=force)
        for ref in busy:
            ray.cancel(ref, force=force)
        for ref in (*busy, *queued[::2]):
            with pytest.raises(ENDINGS[force]):
                ray.get(ref)
        assert ray.get(queued[1::2]) == list(range(1, 200, 2))

    def test_twice_is_once(self, path):
        ref = forever.remote(path)
        began(path)
        for _ in range(5):
            ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        assert ray.get(identity.remote(1)) == 1

    def test_with_every_result(self, path):
        refs = forever.options(num_returns=3).remote(path)
        began(path)
        ray.cancel(refs[1])
        for ref in refs:
            with pytest.raises(TaskCancelledError):
                ray.get(ref)

    def test_force_ends_the_process(self, path):
        @ray.remote
        def stubborn():
            note_attempt(path, str(os.getpid()))
            note_attempt(path, "began")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass

        ref = stubborn.remote()
        began(path)
        ray.cancel(ref)
        assert not ray.wait([ref], timeout=0.2)[0]
        ray.cancel(ref, force=True)
        with pytest.raises(ENDINGS[True]):
            ray.get(ref)
        wait_until(lambda: not is_alive(int(attempts(path)[0])))
        assert len(attempts(path)) == 2, "it is not tried again"


def read_slowly(path):
    note_attempt(path, "began")
    time.sleep(60)


# -- calls of actors -------------------------------------------------------------------------------------------------------


kinds = pytest.mark.parametrize("kind", ["calls", "threads", "loop"])


def actor(kind):
    if kind == "loop":
        return AsyncSleeper.remote()
    return Sleeper.options(max_concurrency=1 if kind == "calls" else 2).remote()


class TestCalls:
    @kinds
    def test_one_that_runs(self, path, kind):
        sleeper = actor(kind)
        ref = sleeper.sleep.remote(path)
        began(path)
        ray.cancel(ref)
        if kind == "loop":
            with pytest.raises(TaskCancelledError):
                ray.get(ref)
        else:
            assert ray.get(ref) == "asked"
        assert ray.get(sleeper.quick.remote()) == "quick"

    @kinds
    def test_force_is_for_tasks(self, path, kind):
        sleeper = actor(kind)
        ref = sleeper.sleep.remote(path)
        began(path)
        with pytest.raises(ValueError, match="force=True is not supported"):
            ray.cancel(ref, force=True)
        ray.cancel(ref)
        ended(path)

    @pytest.mark.parametrize("kind", ["calls", "threads"])
    def test_one_that_waits_for_its_turn_never_runs(self, tmp_path, kind):
        sleeper = actor(kind)
        busy = [sleeper.sleep.remote(tmp_path / str(n)) for n in range(1 if kind == "calls" else 2)]
        for number in range(len(busy)):
            began(tmp_path / str(number))
        queued = sleeper.sleep.remote(tmp_path / "queued")
        ray.cancel(queued)
        for ref in busy:
            ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(queued)
        assert ray.get(sleeper.quick.remote()) == "quick"
        assert not attempts(tmp_path / "queued")

    def test_one_that_waits_for_its_share_of_the_loop(self, tmp_path):
        sleeper = AsyncSleeper.options(max_concurrency=1).remote()
        first, second = (sleeper.sleep.remote(tmp_path / name) for name in ("first", "second"))
        began(tmp_path / "first")
        for ref in (second, first):
            ray.cancel(ref)
            with pytest.raises(TaskCancelledError):
                ray.get(ref)
        assert not attempts(tmp_path / "second")

    @kinds
    def test_one_that_waits_for_inputs_never_runs(self, path, tmp_path, kind):
        sleeper = actor(kind)
        slow = forever.remote(path)
        waits = sleeper.sleep.remote(slow)
        ray.cancel(waits)
        with pytest.raises(TaskCancelledError):
            ray.get(waits)
        assert ray.get(sleeper.quick.remote()) == "quick", "it was in nobody's way"
        ray.cancel(slow)

    def test_one_of_an_actor_that_is_not_there_yet(self, path):
        hog = [forever.remote(path) for _ in range(4)]
        wait_until(lambda: attempts(path).count("began") == 4)
        late = Sleeper.options(num_cpus=1).remote()
        ref = late.sleep.remote(path)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        for task in hog:
            ray.cancel(task)
        assert ray.get(late.quick.remote()) == "quick"

    @kinds
    def test_its_children(self, path, tmp_path, kind):
        if kind == "loop":

            @ray.remote(num_cpus=0)
            class Parent:
                async def run(self):
                    await forever.remote(path)
        else:

            @ray.remote(num_cpus=0, max_concurrency=1 if kind == "calls" else 2)
            class Parent:
                def run(self):
                    return ray.get(forever.remote(path))

        parent = Parent.remote()
        ref = parent.run.remote()
        began(path)
        ray.cancel(ref)
        with pytest.raises((TaskCancelledError, RayTaskError)):
            ray.get(ref)
        ended(path)

    @kinds
    def test_calls_that_are_children_of_a_task(self, path, kind):
        @ray.remote
        def parent(sleeper):
            return ray.get(sleeper.sleep.remote(path))

        sleeper = actor(kind)
        ref = parent.remote(sleeper)
        began(path)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        ended(path)
        assert ray.get(sleeper.quick.remote()) == "quick"

    def test_the_children_of_others_go_on(self, tmp_path):
        @ray.remote(num_cpus=0, max_concurrency=2)
        class Parent:
            def run(self, path):
                return ray.get(forever.remote(path))

        parent = Parent.remote()
        one, other = (parent.run.remote(tmp_path / name) for name in ("one", "other"))
        began(tmp_path / "one")
        began(tmp_path / "other")
        ray.cancel(one)
        ended(tmp_path / "one")
        assert not ray.wait([other], timeout=0.1)[0]
        ray.cancel(other)
        ended(tmp_path / "other")


class TestContext:
    def test_it_is_for_tasks_and_calls(self):
        with pytest.raises(RuntimeError):
            ray.get_runtime_context().is_canceled()

        @ray.remote
        class Asks:
            async def ask(self):
                return ray.get_runtime_context().is_canceled()

        with pytest.raises(RuntimeError):
            ray.get(Asks.remote().ask.remote())
        assert ray.get(ray.remote(lambda: ray.get_runtime_context().is_canceled()).remote()) is False
