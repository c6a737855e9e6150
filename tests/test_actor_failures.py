"""How actors end: exceptions, crashes, kills, exits; and how they begin anew."""

import os
import signal
import sys
import time

import pytest

import ray
from actor_classes import Counter, state_of, wait_for_end
from ray.exceptions import ActorDiedError, ActorHandleNotFoundError, ActorUnavailableError, RayActorError, RayTaskError
from support import wait_until


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


# -- failures -----------------------------------------------------------------------------------------------------------


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
    wait_for_end(pid)
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


@pytest.mark.parametrize("how", ["last handle", "terminate", "kill"])
def test_what_runs_before_an_actor_ends(how, tmp_path):
    """Both `atexit` functions and `__ray_shutdown__`, unless the actor is killed."""

    @ray.remote
    class Tidy:
        def __init__(self):
            import atexit

            atexit.register((tmp_path / "atexit").touch)

        def __ray_shutdown__(self):
            (tmp_path / "shutdown").touch()

        def pid(self):
            return os.getpid()

    tidy = Tidy.remote()
    pid = ray.get(tidy.pid.remote())
    if how == "terminate":
        tidy.__ray_terminate__.remote()
    elif how == "kill":
        ray.kill(tidy)
    del tidy
    wait_for_end(pid)
    assert {path.name for path in tmp_path.iterdir()} == (set() if how == "kill" else {"atexit", "shutdown"})


def test_a_constructor_that_crashes():
    @ray.remote
    class Crashes:
        def __init__(self):
            print("last words", file=sys.stderr, flush=True)
            os._exit(3)

        def method(self):
            pass

    with pytest.raises(ActorDiedError, match="exited with code 3") as caught:
        ray.get(Crashes.remote().method.remote())
    assert not caught.value.actor_init_failed


def test_a_constructor_whose_argument_failed():
    counter = Counter.remote()
    depends = Counter.remote(counter.fail.remote())
    with pytest.raises(ActorDiedError, match="no") as caught:
        ray.get(depends.read.remote())
    assert caught.value.actor_init_failed


def test_calls_under_way_when_an_actor_comes_back_and_when_it_does_not():
    counter = Counter.options(max_restarts=1).remote()
    for error in (ActorUnavailableError, ActorDiedError):
        pid = ray.get(counter.pid.remote())
        running = counter.slow.remote(1000)
        wait_until(lambda: "Counter.slow" in ray.explain(counter))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(error):
            ray.get(running)


def test_calls_run_in_order_before_and_after_a_restart():
    @ray.remote(max_restarts=1)
    class Steps:
        def __init__(self):
            self.n = 0

        def step(self, crash):
            if crash:
                os._exit(1)
            self.n += 1
            return self.n

    steps = Steps.remote()
    refs = [steps.step.remote(i == 50) for i in range(200)]
    outcomes = []
    for ref in refs:
        try:
            outcomes.append(ray.get(ref))
        except RayActorError:
            outcomes.append(None)
    assert outcomes[:51] == [*range(1, 51), None]
    after = outcomes.index(1, 51) if 1 in outcomes[51:] else len(outcomes)
    assert set(outcomes[51:after]) <= {None}
    assert outcomes[after:] == list(range(1, len(outcomes) - after + 1))


# -- restarts -----------------------------------------------------------------------------------------------------------


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
