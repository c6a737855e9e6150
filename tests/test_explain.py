"""What `ray.explain` says of references and of actors, and how circles of waits through actors end."""

import os

import pytest

import ray
from actor_classes import Counter, wait_for_file
from ray.exceptions import ActorDiedError, DeadlockError
from support import wait_until


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


@ray.remote
class Waits:
    """Calls that end when the test says so, and calls of others."""

    def until(self, path):
        wait_until(path.exists, pause=0.02)

    def pid(self):
        return os.getpid()

    def call(self, handle, method, *args):
        return ray.get(getattr(handle, method).remote(*args))

    def call_myself(self, method):
        return ray.get(getattr(ray.get_runtime_context().current_actor, method).remote())


def explains(what, *words):
    """Waits until an explanation has these words, and returns it."""
    wait_until(lambda: all(word in ray.explain(what) for word in words))
    return ray.explain(what)


def test_a_task_that_runs(tmp_path):
    running = wait_for_file.remote(tmp_path / "go")
    explains(running, "wait_for_file", "has run for")
    assert "running" in [row[5] for row in ray._core.graph()[1]]
    (tmp_path / "go").touch()
    ray.get(running)
    assert ray.explain(running).startswith("The object exists")


def test_a_call_behind_others(tmp_path):
    waits = Waits.remote()
    pid = ray.get(waits.pid.remote())
    running = waits.until.remote(tmp_path / "go")
    queued = [waits.pid.remote() for _ in range(3)]
    explains(running, "Waits.until", "has run for", f"pid {pid}")
    explains(queued[0], "the next in its queue", "it runs Waits.until")
    explains(queued[2], "comes after 2 others", f"lives in process {pid}")
    explains(waits, "it runs Waits.until", "calls that wait for it: 3; the first is Waits.pid")
    (tmp_path / "go").touch()
    ray.get(queued)
    explains(waits, "it runs nothing", "no call waits for it")


def test_a_call_whose_argument_is_not_there(tmp_path):
    counter = Counter.remote()
    late = counter.add.remote(wait_for_file.remote(tmp_path / "go", 1))
    behind = counter.read.remote()
    explains(late, "Counter.add", "waits for", "wait_for_file", "which runs")
    explains(behind, "comes after 1 other", "it runs nothing")
    explains(counter, "the first is Counter.add", "which waits for")
    (tmp_path / "go").touch()
    assert ray.get(behind) == 1


def test_an_actor_that_finds_no_room():
    holds = Counter.options(num_cpus=2).remote()
    pid = ray.get(holds.pid.remote())
    waits = Counter.options(num_cpus=1, name="second").remote()
    text = explains(waits.read.remote(), "has not been created", "it needs CPU: 1", f"pid {pid}", "holds CPU: 2")
    assert 'named "second"' in text
    explains(waits, "of which are free CPU: 0", "calls that wait for it: 1")


def test_an_actor_that_is_being_made_and_made_again(tmp_path):
    @ray.remote(max_restarts=1)
    class Slow:
        def __init__(self, path):
            wait_until(path.exists, pause=0.02)

        def pid(self):
            return os.getpid()

    slow = Slow.remote(tmp_path / "go")
    call = slow.pid.remote()
    explains(call, "the constructor of actor Slow")
    (tmp_path / "go").touch()
    pid = ray.get(call)
    (tmp_path / "go").unlink()
    os.kill(pid, 9)
    explains(slow, "is being restarted (1 of 1)", "killed by signal 9")
    (tmp_path / "go").touch()
    wait_until(lambda: "1 restarts" in ray.explain(slow))
    ray.kill(slow)
    explains(slow, "is dead", "ray.kill")


def test_what_cannot_be_explained():
    with pytest.raises(TypeError, match=r"ray\.explain"):
        ray.explain(1)


# -- circles -----------------------------------------------------------------------------------------------------------


def test_an_actor_that_waits_for_itself():
    waits = Waits.remote()
    with pytest.raises(DeadlockError, match="waits for its turn in actor Waits"):
        ray.get(waits.call_myself.remote("pid"))
    ray.get(waits.pid.remote())


def test_actors_that_wait_for_each_other():
    one, two = Waits.remote(), Waits.remote()
    with pytest.raises(DeadlockError):
        ray.get(one.call.remote(two, "call", one, "pid"))
    free = Waits.options(max_concurrency=2).remote()
    assert ray.get(free.call.remote(two, "call", free, "pid")) == ray.get(free.pid.remote())


def test_an_actor_all_of_whose_threads_wait_for_it():
    @ray.remote(max_concurrency=2)
    class Meets:
        def __init__(self):
            import threading

            self.both = threading.Barrier(2)

        def work(self):
            self.both.wait()
            return ray.get(ray.get_runtime_context().current_actor.ping.remote())

        def ping(self):
            return "pong"

    meets = Meets.remote()
    outcomes = []
    for ref in [meets.work.remote(), meets.work.remote()]:
        try:
            outcomes.append(ray.get(ref))
        except DeadlockError:
            outcomes.append("deadlock")
    assert sorted(outcomes) == ["deadlock", "pong"]


def test_a_constructor_that_waits_for_its_own_actor():
    @ray.remote
    def ask(box):
        return ray.get(box[0].ping.remote())

    @ray.remote
    class Early:
        def __init__(self):
            ray.get(ask.remote([ray.get_runtime_context().current_actor]))

        def ping(self):
            return "pong"

    with pytest.raises(ActorDiedError, match="the constructor of actor Early"):
        ray.get(Early.remote().ping.remote())
