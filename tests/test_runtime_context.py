"""`ray.get_runtime_context()`, asked in a driver, a task, and actors of each kind."""

import os

import pytest

import ray

HEX = set("0123456789abcdef")


def is_hex(text, digits):
    return isinstance(text, str) and len(text) == digits and set(text) <= HEX


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    ray.init(num_cpus=2, namespace="of this test")
    yield
    ray.shutdown()


@ray.remote
def ids():
    context = ray.get_runtime_context()
    return {
        "job": context.get_job_id(),
        "node": context.get_node_id(),
        "worker": context.get_worker_id(),
        "task": context.get_task_id(),
        "actor": context.get_actor_id(),
        "actor_name": context.get_actor_name(),
        "task_name": context.get_task_name(),
        "resources": context.get_assigned_resources(),
        "namespace": context.namespace,
        "gcs_address": context.gcs_address,
        "labels": context.get_node_labels(),
        "session": context.get_session_name(),
        "accelerators": context.get_accelerator_ids(),
        "group": context.get_placement_group_id(),
    }


@ray.remote
class Actor:
    def ids(self):
        context = ray.get_runtime_context()
        return {
            "task": context.get_task_id(),
            "task_name": context.get_task_name(),
            "function": context.get_task_function_name(),
            "actor": context.get_actor_id(),
            "name": context.get_actor_name(),
            "resources": context.get_assigned_resources(),
            "restarted": context.was_current_actor_reconstructed,
        }

    def me(self):
        return ray.get_runtime_context().current_actor

    def pid(self):
        return os.getpid()

    def die(self):
        os._exit(1)


class TestInTheDriver:
    def test_ids(self):
        context = ray.get_runtime_context()
        assert is_hex(context.get_job_id(), 8)
        assert is_hex(context.get_node_id(), 56)
        assert is_hex(context.get_worker_id(), 56)
        assert context.get_actor_id() is None
        assert context.get_actor_name() is None
        assert context.get_task_name() is None
        assert context.get_task_function_name() is None
        assert context.get_placement_group_id() is None
        assert context.namespace == "of this test"

    def test_there_is_no_task(self):
        import logging

        told = []
        handler = logging.Handler()
        handler.emit = told.append
        logging.getLogger("ray").addHandler(handler)
        try:
            assert ray.get_runtime_context().get_task_id() is None
        finally:
            logging.getLogger("ray").removeHandler(handler)
        assert [record.levelname for record in told] == ["WARNING"]

    def test_what_is_only_for_actors_and_tasks(self):
        context = ray.get_runtime_context()
        for name in ("current_actor", "was_current_actor_reconstructed"):
            with pytest.raises(RuntimeError, match="only available in an actor"):
                getattr(context, name)
        with pytest.raises(AssertionError):
            context.get_assigned_resources()
        with pytest.raises(RuntimeError):
            context.is_canceled()

    def test_accelerators_of_every_kind_have_a_key(self):
        found = ray.get_runtime_context().get_accelerator_ids()
        assert {"GPU", "TPU", "neuron_cores", "HPU", "NPU"} <= set(found)
        assert not any(found.values())
        assert ray.get_gpu_ids() == []

    def test_ids_as_objects_are_deprecated(self):
        context = ray.get_runtime_context()
        for name, kind in (("job_id", ray.JobID), ("node_id", ray.NodeID), ("task_id", ray.TaskID)):
            with pytest.warns(DeprecationWarning, match=name):
                assert isinstance(getattr(context, name), kind)
        with pytest.warns(DeprecationWarning, match="get_actor_id"):
            assert context.actor_id is None
        with pytest.warns(DeprecationWarning, match="get_placement_group_id"):
            assert context.current_placement_group_id.is_nil()
        with pytest.warns(DeprecationWarning, match=r"get\(\)"):
            assert set(context.get()) == {"job_id", "node_id", "namespace"}


class TestInATask:
    def test_ids(self):
        ref = ids.remote()
        found, here = ray.get(ref), ray.get_runtime_context()
        assert found["task"] == ref.task_id().hex()
        assert is_hex(found["task"], 48)
        assert found["job"] == here.get_job_id()
        assert found["node"] == here.get_node_id()
        assert is_hex(found["worker"], 56)
        assert found["worker"] != here.get_worker_id()
        assert found["actor"] is None
        assert found["actor_name"] is None
        assert found["task_name"] == "ids"
        assert found["namespace"] == "of this test"
        assert found["gcs_address"] == here.gcs_address
        assert found["labels"] == here.get_node_labels()
        assert found["session"] == here.get_session_name()
        assert found["accelerators"] == here.get_accelerator_ids()

    def test_a_placement_group(self):
        @ray.remote(num_cpus=1)
        def look():
            context = ray.get_runtime_context()
            return context.get_placement_group_id(), context.should_capture_child_tasks_in_placement_group

        assert ray.get(look.remote()) == (None, False)
        group = ray.util.placement_group([{"CPU": 1}])
        ray.get(group.ready())
        strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)
        assert ray.get(look.options(scheduling_strategy=strategy).remote()) == (group.id.hex(), True)
        ray.util.remove_placement_group(group)

    def test_resources(self):
        assert ray.get(ids.remote())["resources"] == {"CPU": 1.0}


class TestInAnActor:
    def test_ids(self):
        actor = Actor.options(name="somebody").remote()
        ref = actor.ids.remote()
        found = ray.get(ref)
        assert found["actor"] == actor._actor_id.hex()
        assert is_hex(found["actor"], 32)
        assert found["name"] == "somebody"
        assert found["task"] == ref.task_id().hex()
        assert found["task_name"] == "Actor.ids"
        assert found["function"].endswith(".Actor.ids")
        assert found["resources"] == {}
        assert found["restarted"] is False

    def test_without_a_name(self):
        assert ray.get(Actor.remote().ids.remote())["name"] == ""

    def test_resources_that_were_asked_for(self):
        assert ray.get(Actor.options(num_cpus=1).remote().ids.remote())["resources"] == {"CPU": 1.0}

    def test_its_own_handle(self):
        actor = Actor.remote()
        me = ray.get(actor.me.remote())
        assert me == actor
        assert ray.get(me.pid.remote()) == ray.get(actor.pid.remote())

    def test_after_a_restart(self):
        actor = Actor.options(max_restarts=1, max_task_retries=1).remote()
        first = ray.get(actor.pid.remote())
        actor.die.options(max_task_retries=0).remote()
        assert ray.get(actor.pid.remote()) != first
        assert ray.get(actor.ids.remote())["restarted"] is True
