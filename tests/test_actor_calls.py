"""Calls of actors: their order, their limits, stopping them."""

import time

import pytest

import ray
from actor_classes import Async, Counter, Log, later
from ray.exceptions import PendingCallsLimitExceeded, TaskCancelledError


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


# -- order --------------------------------------------------------------------------------------------------------------


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


# -- cancelling ---------------------------------------------------------------------------------------------------------


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


def test_max_pending_calls():
    counter = Counter.options(max_pending_calls=2).remote()
    refs = [counter.slow.remote(0.5) for _ in range(2)]
    with pytest.raises(PendingCallsLimitExceeded):
        counter.read.remote()
    ray.get(refs)
    assert ray.get(counter.read.remote()) == 0
