"""Facts of the hot path that can be counted: losing them shows on a busy machine too. `bench/counts.py` prints them.

The bounds are several times what was measured, and far below what one system call or wake-up for each task would make.
"""

import os
import sys
from pathlib import Path

import pytest

import ray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
import counts
import harness

TASKS = 10_000


@pytest.fixture
def pipelined(two_workers):
    """Runs many no-op tasks at once; connections and functions are where they belong already."""

    @ray.remote
    def noop():
        return None

    def run():
        ray.get([noop.remote() for _ in range(TASKS)])

    run()
    return run


@pytest.fixture
def one_at_a_time(two_workers):
    @ray.remote
    def noop():
        return None

    def run():
        for _ in range(500):
            ray.get(noop.remote())

    run()
    return run


@pytest.fixture
def traced():
    if reason := counts.why_not_traced():
        pytest.skip(reason)

    def trace(work):
        try:
            return counts.trace(work)
        except harness.Skip as reason:
            pytest.skip(str(reason))

    return trace


def test_pipelined_tasks_cost_hardly_any_system_calls(traced, pipelined):
    found = traced(pipelined)
    assert {"scheduler", "objstore"} <= {process.name for process in found.values()}
    per_thousand = {pid: 1000 * process.total() / TASKS for pid, process in found.items()}
    driver = per_thousand.pop(os.getpid())
    # Measured: 50 in the driver, 17 in the busiest worker, 8 in the scheduler.
    assert driver < 300, found
    assert max(per_thousand.values()) < 300, found
    assert sum(per_thousand.values()) < 600, found


def test_pipelined_tasks_say_little_to_the_scheduler(traced, pipelined):
    found = traced(pipelined)
    # Measured: 23 bytes a task, which are the reports the graph is made of.
    assert sum(process.bytes_written for process in found.values()) / TASKS < 100, found


def test_a_task_alone_costs_a_ring_and_an_answer(traced, one_at_a_time):
    found = traced(one_at_a_time)
    # Measured: six, when both sides sleep: each writes to the other's bell, sleeps on its own, and drains it.
    assert sum(process.total() for process in found.values()) / 500 < 15, found


def test_pipelined_tasks_wake_nobody(pipelined):
    before = wake_ups()
    pipelined()
    # Measured: 10 in a thousand tasks.
    assert 1000 * (wake_ups() - before) / TASKS < 150


def test_a_task_alone_wakes_worker_and_driver_at_most(one_at_a_time):
    before = wake_ups()
    one_at_a_time()
    # Two when both sleep; none when both spin.
    assert (wake_ups() - before) / 500 < 3


def test_a_task_and_its_answer_take_few_bytes(pipelined):
    before = sum(map(counts.ring_bytes, harness.processes()))
    pipelined()
    pushed = sum(map(counts.ring_bytes, harness.processes())) - before
    # Exactly 80 are measured: a header, no arguments, and the answer None.
    assert 32 * TASKS <= pushed <= 128 * TASKS


def test_a_link_of_a_chain_wakes_worker_and_driver_at_most(two_workers):
    @ray.remote
    def increment(value):
        return value + 1

    def run():
        reference = increment.remote(0)
        for _ in range(999):
            reference = increment.remote(reference)
        assert ray.get(reference) == 1000

    run()
    before = wake_ups()
    run()
    # Measured: 1.1 when the machine is busy, next to none when both can spin.
    assert (wake_ups() - before) / 1000 < 3


@pytest.mark.parametrize(("core", "most"), [("process", 80_000), ("scheduler", 10_000)])
def test_the_pure_cores_take_few_instructions_for_a_task(core, most):
    program = counts.ROOT / "target/debug/examples/count_tasks"  # the Rust tests build it
    if not program.exists():
        pytest.skip("cargo has not built the examples of the debug profile")
    try:
        found = counts.instructions(program, core)
    except harness.Skip as reason:
        pytest.skip(str(reason))
    # Measured, not optimised: 39,770 and 4,570; 2,700 and 430 in a release build.
    assert found < most


def wake_ups():
    return sum(map(counts.voluntary_switches, harness.processes()))
