"""Test suites of other projects import their helpers from here; they are in `ray._common.test_utils`."""

from ray._common.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    kill_actor_and_wait_for_failure,
    run_string_as_driver,
    run_string_as_driver_nonblocking,
    wait_for_condition,
    wait_for_num_actors,
    wait_for_pid_to_exit,
    wait_until_succeeded_without_exception,
)

__all__ = [
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "kill_actor_and_wait_for_failure",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "wait_for_condition",
    "wait_for_num_actors",
    "wait_for_pid_to_exit",
    "wait_until_succeeded_without_exception",
]
