"""`ray.util.state`: lists, filters, single rows, summaries."""

import os

import pytest

import ray
from ray.util import placement_group, remove_placement_group
from ray.util.state import (
    StateApiClient,
    get_actor,
    get_job,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_cluster_events,
    list_jobs,
    list_nodes,
    list_objects,
    list_placement_groups,
    list_runtime_envs,
    list_tasks,
    list_workers,
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)
from ray.util.state.exception import RayStateApiException
from support import wait_until


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


@ray.remote(num_cpus=0)
class Gate:
    def __init__(self):
        import asyncio

        self.opened = asyncio.Event()

    async def open(self):
        self.opened.set()

    async def wait(self):
        await self.opened.wait()

    async def ping(self):
        return os.getpid()


@ray.remote
def double(x):
    return 2 * x


@ray.remote(max_retries=0)
def fail():
    raise ValueError("no")


@ray.remote
def await_gate(gate):
    ray.get(gate.wait.remote())
    return 1


def tasks(**wanted):
    return [row for row in list_tasks(limit=10_000) if all(row[key] == value for key, value in wanted.items())]


def test_actors():
    assert list_actors() == []
    gate = Gate.options(name="a gate").remote()
    pid = ray.get(gate.ping.remote())
    (row,) = list_actors()
    assert row.actor_id == row["actor_id"] == gate._actor_id.hex()
    assert (row.class_name, row.state, row.name, row.pid) == ("Gate", "ALIVE", "a gate", pid)
    assert row.node_id == ray.nodes()[0]["NodeID"]
    assert row.job_id == ray.get_runtime_context().get_job_id()
    assert row.ray_namespace == ray.get_runtime_context().namespace
    assert row.num_restarts is None
    assert list_actors(detail=True)[0].num_restarts == 0
    assert get_actor(row.actor_id).asdict()["class_name"] == "Gate"
    assert get_actor("00" * 16) is None
    ray.kill(gate)
    wait_until(lambda: get_actor(row.actor_id).state == "DEAD")
    assert "killed" in str(get_actor(row.actor_id).death_cause)


def test_tasks():
    ref = double.remote(1)
    ray.get(ref)
    with pytest.raises(ValueError, match="no"):
        ray.get(fail.remote())
    done = get_task(ref)
    assert done.task_id == ref.task_id().hex()
    assert get_task(done.task_id).name == done.name == "double"
    assert (done.state, done.type, done.func_or_class_name) == ("FINISHED", "NORMAL_TASK", "double")
    (failed,) = tasks(name="fail")
    assert failed.state == "FAILED"
    assert failed.error_type
    assert get_task("00" * 24) is None


def test_tasks_that_run_and_wait():
    gate = Gate.remote()
    first = await_gate.remote(gate)
    second = double.remote(first)
    wait_until(lambda: get_task(first).state == "RUNNING")
    assert get_task(second).state == "PENDING_ARGS_AVAIL"
    assert tasks(type="ACTOR_TASK", name="Gate.wait")
    gate.open.remote()
    assert ray.get(second) == 2
    assert get_task(first).state == "FINISHED"


def test_tasks_know_who_submitted_them():
    @ray.remote
    def parent():
        return ray.get(double.remote(1))

    ref = parent.remote()
    ray.get(ref)
    assert [row.parent_task_id for row in tasks(name="double")] == [ref.task_id().hex()]
    assert get_task(ref).parent_task_id is None


def test_nodes():
    (row,) = list_nodes()
    assert row.node_id == ray.nodes()[0]["NodeID"]
    assert (row.state, row.is_head_node) == ("ALIVE", True)
    assert row.resources_total["CPU"] == 2
    assert get_node(row.node_id) == row
    assert get_node("00" * 27 + "ff") is None


def test_workers():
    rows = list_workers()
    assert sorted(row.worker_type for row in rows) == ["DRIVER", "WORKER", "WORKER"]
    (driver,) = [row for row in rows if row.worker_type == "DRIVER"]
    assert driver.pid == os.getpid()
    assert driver.worker_id == ray.get_runtime_context().get_worker_id()
    pid = ray.get(Gate.remote().ping.remote())
    worker = next(row for row in list_workers() if row.pid == pid)
    assert worker.is_alive
    assert get_worker(worker.worker_id).pid == pid


def test_objects():
    small, large = ray.put(1), ray.put(b"x" * 100_000)
    rows = {row.object_id: row for row in list_objects()}
    assert rows[large.hex()].object_size >= 100_000
    assert rows[small.hex()].object_size < 1000
    assert rows[small.hex()].reference_type == "LOCAL_REFERENCE"
    assert [row.object_id for row in get_objects(large.hex())] == [large.hex()]
    gone = large.hex()
    del large
    assert get_objects(gone) == []
    assert summarize_objects()["cluster"]["total_objects"] == len(list_objects())


def test_placement_groups():
    group = placement_group([{"CPU": 1}], name="g")
    group.wait(20)
    (row,) = list_placement_groups(detail=True)
    assert (row.placement_group_id, row.name, row.state) == (group.id.hex(), "g", "CREATED")
    assert row.bundles[0]["unit_resources"] == {"CPU": 1.0}
    assert list_placement_groups()[0].bundles is None
    remove_placement_group(group)
    assert get_placement_group(group.id.hex()).state == "REMOVED"
    assert list_placement_groups(filters=[("state", "!=", "REMOVED")]) == []


def test_jobs_and_what_there_is_none_of():
    (job,) = list_jobs()
    assert job.status == "RUNNING"
    assert get_job(job.job_id) == job
    assert list_runtime_envs() == []
    assert list_cluster_events() == []


def test_filters():
    gates = [Gate.options(name=f"gate {at}").remote() for at in range(3)]
    ray.get([gate.ping.remote() for gate in gates])
    assert len(list_actors(filters=[("state", "=", "ALIVE")])) == 3
    assert len(list_actors(filters=[("state", "=", "alive"), ("name", "!=", "gate 1")])) == 2
    assert list_actors(filters=[("pid", "=", str(ray.get(gates[0].ping.remote())))])[0].name == "gate 0"
    assert list_actors(filters=[("state", "=", "DEAD")]) == []
    assert len(list_actors(limit=2)) == 2
    with pytest.raises(ValueError, match="predicate"):
        list_actors(filters=[("state", ">", "ALIVE")])
    with pytest.raises(ValueError, match="no field 'nonesuch'"):
        list_actors(filters=[("nonesuch", "=", "1")])


@pytest.mark.parametrize("limit", [10_001, -1, "5", True])
def test_limits(limit):
    with pytest.raises(ValueError, match="limit"):
        list_tasks(limit=limit)


def test_summaries():
    gates = [Gate.remote() for _ in range(2)]
    ray.get([gate.ping.remote() for gate in gates])
    ray.get([double.remote(x) for x in range(5)])
    found = summarize_tasks()["cluster"]
    assert found["summary"]["double"]["state_counts"] == {"FINISHED": 5}
    assert found["summary"]["Gate.ping"]["type"] == "ACTOR_TASK"
    assert (found["total_tasks"], found["total_actor_tasks"]) == (5, 2)
    assert summarize_actors()["cluster"]["summary"]["Gate"]["state_counts"] == {"ALIVE": 2}
    assert summarize_actors()["cluster"]["total_actors"] == 2


def test_client():
    client = StateApiClient()
    assert [row.state for row in client.list("nodes")] == ["ALIVE"]
    assert client.get("nodes", ray.nodes()[0]["NodeID"]).is_head_node
    assert client.summary("actors")["cluster"]["total_actors"] == 0
    with pytest.raises(RayStateApiException, match="nonesuch"):
        client.list("nonesuch")


def test_the_old_place():
    from ray.experimental.state import api

    assert api.list_nodes is list_nodes
    assert api.get_actor is get_actor


def test_rows_are_like_dictionaries():
    (row,) = list_nodes()
    with pytest.raises(KeyError):
        row["nonesuch"]
    assert row.get("nonesuch", 5) == 5


def test_without_a_cluster():
    ray.shutdown()
    with pytest.raises(ConnectionError):
        list_nodes()
