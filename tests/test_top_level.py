"""The names of the package: which there are, what they do before a cluster exists, which of them start one."""

import json
import re
import subprocess
import sys

import pytest

import ray

NAMES = """
    init shutdown is_initialized remote get put wait cancel kill get_actor method nodes cluster_resources available_resources
    get_gpu_ids get_runtime_context timeline LoggingConfig ObjectRef ObjectID ActorID TaskID JobID NodeID WorkerID PlacementGroupID
    FunctionID ActorClassID ClusterID UniqueID Language SCRIPT_MODE WORKER_MODE SPILL_WORKER_MODE RESTORE_WORKER_MODE LOCAL_MODE
    __version__ __commit__ exceptions actor remote_function runtime_context util types cloudpickle experimental job_config internal
    runtime_env worker state serialization ray_constants _private _raylet
""".split()


@pytest.fixture
def no_cluster():
    assert not ray.is_initialized()
    yield
    ray.shutdown()


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_there(name):
    assert getattr(ray, name) is not None
    assert name in dir(ray)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ray' has no attribute 'no_such_name'"):
        ray.no_such_name  # noqa: B018


def test_submodules_are_attributes_of_a_fresh_import():
    code = (
        "import ray; ray.exceptions.RayTaskError; ray.util.queue; ray._private.worker.global_worker; ray._raylet.ObjectRef; "
        "ray.runtime_env.RuntimeEnv; ray.experimental.internal_kv; ray._private.services.get_node_ip_address"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_version_reads_as_a_recent_release():
    assert re.fullmatch(r"2\.\d+\.\d+", ray.__version__)


def test_modes_have_the_numbers_programs_compare_with():
    assert (ray.SCRIPT_MODE, ray.WORKER_MODE, ray.SPILL_WORKER_MODE, ray.RESTORE_WORKER_MODE) == (0, 1, 2, 3)


def test_languages():
    python = ray.Language.PYTHON
    assert repr(python) == "PYTHON"
    assert python == ray.Language(0) != ray.Language.JAVA
    assert python.value() == 0


@pytest.mark.parametrize("ask", [ray.nodes, ray.cluster_resources, ray.available_resources], ids=lambda ask: ask.__name__)
def test_questions_about_the_cluster_start_none(no_cluster, ask):
    with pytest.raises(ray.exceptions.RaySystemError, match=r"Ray has not been started yet"):
        ask()
    assert not ray.is_initialized()


def test_a_timeline_starts_none(no_cluster):
    with pytest.raises(RuntimeError, match="has not been started"):
        ray.timeline()
    assert not ray.is_initialized()


def test_leaving_before_there_was_anything(no_cluster):
    assert ray.shutdown() is None
    assert ray.shutdown() is None


@ray.remote
def one():
    return 1


@ray.remote
class One:
    pass


def _get_actor():
    with pytest.raises(ValueError, match="Failed to look up actor"):
        ray.get_actor("nobody")


STARTERS = {
    "put": lambda: ray.put(1),
    "get": lambda: ray.get([]),
    "task": lambda: one.remote(),
    "actor": lambda: One.remote(),
    "get_actor": _get_actor,
    "get_gpu_ids": lambda: ray.get_gpu_ids(),
    "get_runtime_context": lambda: ray.get_runtime_context(),
    "list_named_actors": lambda: ray.util.list_named_actors(),
}


@pytest.mark.parametrize("name", STARTERS)
def test_calls_that_start_a_cluster(no_cluster, monkeypatch, name):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})  # one worker is enough
    STARTERS[name]()
    assert ray.is_initialized()


def test_no_call_starts_a_cluster_where_that_is_turned_off(no_cluster, monkeypatch):
    monkeypatch.setenv("RAY_ENABLE_AUTO_CONNECT", "0")
    for name in ("put", "task", "actor", "get_actor", "get_runtime_context"):
        with pytest.raises(RuntimeError, match=r"Call ray\.init\(\) first"):
            STARTERS[name]()
    assert not ray.is_initialized()


def test_what_nodes_say(two_stores):
    rows = ray.nodes()
    assert len(rows) == 2
    assert len({row["NodeID"] for row in rows}) == 2
    for row in rows:
        assert row["Alive"] is row["alive"] is True
        assert len(row["NodeID"]) == 56
        assert row["Resources"]["CPU"] == 2.0
        assert row["Labels"]["ray.io/node-id"] == row["NodeID"]
        assert {"NodeManagerAddress", "NodeManagerHostname", "ObjectStoreSocketName", "NodeName", "DeathReason"} <= set(row)
    total = ray.cluster_resources()
    assert total["CPU"] == 4.0
    assert total["node:__internal_head__"] == 1.0
    assert total["memory"] > 0
    assert total["object_store_memory"] > 0


def test_a_resource_that_is_used_up_is_absent():
    with ray.init(num_cpus=1, resources={"thing": 1}):
        holder = One.options(resources={"thing": 1}, num_cpus=0).remote()
        ray.get(holder.__ray_ready__.remote())
        assert ray.cluster_resources()["thing"] == 1.0
        assert "thing" not in ray.available_resources()
        per_node = ray._private.state.available_resources_per_node()
        assert list(per_node) == [ray.nodes()[0]["NodeID"]]
        assert "thing" not in per_node[ray.nodes()[0]["NodeID"]]
        assert ray._private.state.total_resources_per_node()[ray.nodes()[0]["NodeID"]]["thing"] == 1.0


class TestLoggingConfig:
    @pytest.mark.parametrize("wrong", [{"encoding": "XML"}, {"additional_log_standard_attrs": ["no_such"]}])
    def test_refuses(self, wrong):
        with pytest.raises(ValueError, match=r"Invalid encoding|Unknown standard attributes"):
            ray.LoggingConfig(**wrong)

    def test_defaults(self):
        config = ray.LoggingConfig()
        assert (config.encoding, config.log_level, config.additional_log_standard_attrs) == ("TEXT", "INFO", [])


def test_a_timeline(two_workers, tmp_path):
    @ray.remote
    def work(rounds):
        return sum(range(rounds))

    @ray.remote
    def bad():
        raise ValueError

    ray.get([work.remote(100_000) for _ in range(3)])
    ray.wait([bad.remote()])
    events = ray.timeline()
    assert sorted(event["name"] for event in events) == ["bad", "work", "work", "work"]
    assert {event["args"]["ok"] for event in events if event["name"] == "work"} == {True}
    workers = {f"worker:{row['pid']}" for row in ray._core.cluster_info()["workers"]}
    for event in events:
        assert event["ph"] == "X"
        assert event["tid"] in workers
        assert event["args"]["submitted_us"] <= event["ts"]
    assert all(event["dur"] > 0 for event in events if event["name"] == "work")
    path = tmp_path / "timeline.json"
    assert ray.timeline(filename=str(path)) is None
    assert len(json.loads(path.read_text())) == 4


class TestInternalKv:
    def test_put_get_list_delete(self, two_workers):
        from ray.experimental import internal_kv as kv

        assert kv._internal_kv_initialized()
        assert kv._internal_kv_get("a") is None
        assert kv._internal_kv_put("a", "1") is False
        assert kv._internal_kv_put(b"a", b"2", overwrite=False) is True
        assert kv._internal_kv_get(b"a") == b"1"
        assert kv._internal_kv_put("a", b"3", overwrite=True) is True
        assert kv._internal_kv_get("a") == b"3"
        kv._internal_kv_put("ab", "x")
        assert sorted(kv._internal_kv_list("a")) == [b"a", b"ab"]
        assert kv._internal_kv_get("a", namespace="other") is None
        assert kv._internal_kv_exists("ab")
        assert kv._internal_kv_del("a", del_by_prefix=True) == 2
        assert not kv._internal_kv_exists("ab")

    def test_tasks_see_the_same(self, two_workers):
        from ray.experimental import internal_kv as kv

        kv._internal_kv_put("key", "value")

        @ray.remote
        def look():
            from ray.experimental.internal_kv import _internal_kv_get

            return _internal_kv_get("key")

        assert ray.get(look.remote()) == b"value"


def test_where_objects_are(two_workers):
    from ray.experimental import get_object_locations

    ref = ray.put(1)
    assert get_object_locations([ref])[ref]["node_ids"] == [ray.get_runtime_context().get_node_id()]


def test_progress_bars_count(capsys):
    from ray.experimental.tqdm_ray import tqdm

    assert list(tqdm(range(3), desc="steps")) == [0, 1, 2]
    assert capsys.readouterr().err.splitlines()[-1] == "steps: 3/3 it"
    bar = tqdm(total=5, desc="other")
    bar.update(2)
    bar.close()
    assert capsys.readouterr().err == "other: 2/5 it\n"
