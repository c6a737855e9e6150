"""Names that are not public and that other libraries use all the same."""

import os
import subprocess
import sys

import pytest

import ray
from ray._common.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    kill_actor_and_wait_for_failure,
    run_string_as_driver,
    wait_for_condition,
    wait_for_pid_to_exit,
)


def test_every_module_imports_by_itself():
    modules = [
        "ray._common.test_utils",
        "ray._common.utils",
        "ray._private.client_mode_hook",
        "ray._private.internal_api",
        "ray._private.ray_constants",
        "ray._private.runtime_env.constants",
        "ray._private.services",
        "ray._private.state",
        "ray._private.test_utils",
        "ray._private.utils",
        "ray._private.worker",
        "ray._raylet",
        "ray.experimental.queue",
        "ray.worker",
    ]
    for module in modules:
        subprocess.run([sys.executable, "-W", "error", "-c", f"import {module}"], check=True)


class TestGlobalWorker:
    def test_without_a_cluster(self):
        worker = ray._private.worker.global_worker
        assert worker.connected is False
        assert worker.mode is None
        assert worker.node is None
        assert ray._private.worker._global_node is None
        with pytest.raises(ray.exceptions.RaySystemError):
            worker.check_connected()

    def test_in_the_driver(self, two_workers):
        worker, context = ray._private.worker.global_worker, ray.get_runtime_context()
        assert worker.connected
        assert worker.mode == ray.SCRIPT_MODE
        assert worker.worker_id.hex() == context.get_worker_id()
        assert worker.current_job_id.hex() == context.get_job_id()
        assert worker.actor_id.is_nil()
        assert worker.current_task_id.is_nil()
        assert worker.namespace == context.namespace
        assert worker.node.address_info["session_dir"] == worker.node.get_session_dir_path()
        assert os.path.isdir(worker.node.get_logs_dir_path())
        assert worker.node.node_ip_address == "127.0.0.1"
        assert worker.gcs_client.address == context.gcs_address

    def test_in_a_task_and_an_actor(self, two_workers):
        @ray.remote
        def task():
            worker = ray._private.worker.global_worker
            return worker.mode, worker.current_task_id.hex(), worker.core_worker.get_current_task_id().hex()

        ref = task.remote()
        assert ray.get(ref) == (ray.WORKER_MODE, ref.task_id().hex(), ref.task_id().hex())

        @ray.remote
        class Actor:
            def look(self):
                return ray._private.worker.global_worker.actor_id.hex()

        actor = Actor.remote()
        assert ray.get(actor.look.remote()) == actor._actor_id.hex()

    def test_the_old_place_leads_to_it_and_says_so_once(self):
        import logging

        told = []
        handler = logging.Handler()
        handler.emit = told.append
        logging.getLogger("ray").addHandler(handler)
        try:
            ray.worker._warned.clear()
            assert ray.worker.global_worker is ray._private.worker.global_worker
            assert ray.worker.global_worker is ray._private.worker.global_worker
        finally:
            logging.getLogger("ray").removeHandler(handler)
        assert ["deprecated" in record.getMessage() for record in told] == [True]

    def test_hooks_run_after_init(self):
        ran = []
        ray._private.worker._post_init_hooks.append(lambda: ran.append(ray.is_initialized()))
        try:
            ray.init(num_cpus=0)
            assert ran == [True]
        finally:
            ray._private.worker._post_init_hooks.clear()
            ray.shutdown()


def test_the_table_of_actors(two_workers):
    @ray.remote
    class Named:
        def pid(self):
            return os.getpid()

    actor = Named.options(name="somebody").remote()
    pid = ray.get(actor.pid.remote())
    row = ray._private.state.actors(actor._actor_id.hex())
    assert (row["ActorClassName"], row["Name"], row["State"], row["Pid"], row["NumRestarts"]) == (
        "Named",
        "somebody",
        "ALIVE",
        pid,
        0,
    )
    assert ray.state.actors()[actor._actor_id.hex()] == row
    assert ray._private.state.state.actor_table(actor._actor_id) == row
    assert ray.state.actors("00" * 16) == {}
    kill_actor_and_wait_for_failure(actor)
    wait_for_pid_to_exit(pid)
    assert not os.path.exists(f"/proc/{pid}/cwd")


def test_small_helpers():
    from ray._private import utils

    assert utils.binary_to_hex(utils.hex_to_binary("ff00")) == "ff00"
    assert utils.load_class("collections.OrderedDict").__name__ == "OrderedDict"
    with pytest.raises(ValueError, match="valid path"):
        utils.load_class("no_module")
    assert utils.get_num_cpus() == len(os.sched_getaffinity(0))
    assert 0 < utils.get_used_memory() < utils.get_system_memory() * 4
    assert ray.ray_constants.REDIS_DEFAULT_PASSWORD == ""
    from ray._private.runtime_env import constants

    assert constants.RAY_JOB_CONFIG_JSON_ENV_VAR == "RAY_JOB_CONFIG_JSON_ENV_VAR"


def test_hooks_of_the_client_change_nothing():
    from ray._private.client_mode_hook import client_mode_hook, client_mode_wrap, disable_client_hook

    with disable_client_hook():
        assert client_mode_wrap(client_mode_hook(len)) is len


class TestWaiting:
    def test_until_it_is_so(self):
        rest = iter([False, ValueError("not yet"), True])

        def condition():
            value = next(rest)
            if isinstance(value, Exception):
                raise value
            return value

        wait_for_condition(condition, retry_interval_ms=1)
        assert next(rest, "none left") == "none left"

    def test_in_vain(self):
        with pytest.raises(RuntimeError, match=r"The condition wasn't met before the timeout expired\.[\s\S]*ZeroDivisionError"):
            wait_for_condition(lambda: 1 / 0, timeout=0.01, retry_interval_ms=1)
        with pytest.raises(ZeroDivisionError):
            wait_for_condition(lambda: 1 / 0, raise_exceptions=True)

    def test_in_an_event_loop(self):
        import asyncio

        async def program():
            event = asyncio.Event()
            asyncio.get_running_loop().call_soon(event.set)
            await async_wait_for_condition(event.is_set, retry_interval_ms=1)

            async def true():
                return True

            await async_wait_for_condition(true)
            with pytest.raises(RuntimeError, match="wasn't met"):
                await async_wait_for_condition(lambda: False, timeout=0.01, retry_interval_ms=1)

        asyncio.run(program())

    def test_a_signal_holds_up_tasks(self, two_workers):
        @ray.remote
        def waits(signal):
            ray.get(signal.wait.remote())
            return "went on"

        signal = SignalActor.remote()
        ref = waits.remote(signal)
        wait_for_condition(lambda: ray.get(signal.cur_num_waiters.remote()) == 1, retry_interval_ms=5)
        assert ray.wait([ref], timeout=0) == ([], [ref])
        ray.get(signal.send.remote())
        assert ray.get(ref) == "went on"

    def test_a_semaphore(self, two_workers):
        semaphore = Semaphore.remote(value=1)
        ray.get(semaphore.acquire.remote())
        assert ray.get(semaphore.locked.remote())
        second = semaphore.acquire.remote()
        assert ray.wait([second], timeout=0)[0] == []
        ray.get(semaphore.release.remote())
        ray.get(second)

    def test_a_driver_of_its_own(self):
        assert run_string_as_driver("import ray; print('in', ray.is_initialized())") == "in False\n"
        with pytest.raises(subprocess.CalledProcessError) as caught:
            run_string_as_driver("raise SystemExit(3)")
        assert caught.value.returncode == 3


def test_classes_of_the_native_module():
    from ray import _raylet

    assert _raylet.ObjectRef is ray.ObjectRef
    assert _raylet.ActorID is ray.ActorID
    assert issubclass(ray.NodeID, _raylet.BaseID)


def test_the_store_in_words(two_workers):
    from ray._private.internal_api import memory_summary, store_stats_summary

    assert "Object store: " in store_stats_summary()
    assert "local_objects" in memory_summary()
