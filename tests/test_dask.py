"""`ray.util.dask`: dask's collections computed in a cluster give what dask gives."""

import operator
import os

import dask
import pytest

import ray
from ray.util.dask import (
    RayDaskCallback,
    disable_dask_on_ray,
    enable_dask_on_ray,
    ray_dask_get,
    ray_dask_get_sync,
    ray_dask_persist,
)


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


@dask.delayed
def add(a, b):
    return a + b


@dask.delayed
def pid(_):
    return os.getpid()


@dask.delayed
def fail(x):
    raise ValueError(f"no {x}")


def test_a_graph_is_computed():
    a = add(1, 2)
    total = add(a, add(a, 10))
    assert total.compute(scheduler=ray_dask_get) == 16
    assert dask.compute(a, total, [a, {"k": total}], scheduler=ray_dask_get) == (3, 16, [3, {"k": 16}])
    assert total.compute(scheduler=ray_dask_get_sync) == 16


def test_a_graph_as_dask_used_to_write_it():
    graph = {"x": 1, "y": (operator.add, "x", 2), "z": (sum, ["x", "y"]), "alias": "z"}
    assert ray_dask_get(graph, ["z", ["y", "alias"]]) == (4, (3, 4))
    assert ray_dask_get(graph, "x") == 1


def test_tasks_run_elsewhere():
    assert pid(1).compute(scheduler=ray_dask_get) != os.getpid()


def test_what_a_task_raised():
    with pytest.raises(ValueError, match="no 3"):
        add(1, fail(3)).compute(scheduler=ray_dask_get)


def test_it_can_be_the_scheduler():
    with enable_dask_on_ray():
        assert pid(1).compute() != os.getpid()
    enable_dask_on_ray()
    assert pid(1).compute() != os.getpid()
    disable_dask_on_ray()
    assert pid(1).compute(scheduler="sync") == os.getpid()
    assert dask.config.get("scheduler") is None


def test_a_bag_of_items():
    bag = pytest.importorskip("dask.bag").from_sequence(range(20), npartitions=4)
    assert bag.map(lambda x: x * x).filter(lambda x: x % 2 == 0).sum().compute(scheduler=ray_dask_get) == 1140


def test_options_of_tasks():
    @dask.delayed
    def held():
        return ray.get_runtime_context().get_assigned_resources()

    assert held().compute(scheduler=ray_dask_get, ray_remote_args={"num_cpus": 2}) == {"CPU": 2.0}
    with dask.annotate(ray_remote_args={"num_cpus": 2}):
        annotated = held()
    assert annotated.compute(scheduler=ray_dask_get) == {"CPU": 2.0}
    with pytest.raises(ValueError, match="resources"):
        held().compute(scheduler=ray_dask_get, resources={"CPU": 1})


def test_persisted_values_stay_in_the_cluster():
    (kept,) = ray_dask_persist(add(1, 2))
    assert add(kept, 4).compute(scheduler=ray_dask_get) == 7


def test_hooks():
    said = []

    class Mine(RayDaskCallback):
        def _ray_presubmit(self, task, key, deps):
            said.append("presubmit")

        def _ray_postsubmit(self, task, key, deps, object_ref):
            said.append("postsubmit")
            assert isinstance(object_ref, ray.ObjectRef)

        def _ray_postsubmit_all(self, object_refs, dsk):
            said.append("all")

        def _ray_finish(self, result):
            said.append(("finish", result))

    with Mine():
        assert add(1, 2).compute(scheduler=ray_dask_get) == 3
    assert said[:3] == ["presubmit", "postsubmit", "all"]
    assert said[3][0] == "finish"
    said.clear()
    assert add(1, 2).compute(scheduler=ray_dask_get) == 3
    assert said == []


def test_hooks_in_workers(tmp_path):
    place = tmp_path / "said"

    def before(key, object_refs):
        return "state"

    def after(key, result, pre_state):
        place.write_text(f"{result} {pre_state}")

    callback = RayDaskCallback(ray_pretask=before, ray_posttask=after)
    assert add(1, 2).compute(scheduler=ray_dask_get, ray_callbacks=[callback]) == 3
    assert place.read_text() == "3 state"
    with pytest.raises(TypeError, match="nonesuch"):
        RayDaskCallback(nonesuch=before)


def test_a_task_whose_result_is_known():
    with RayDaskCallback(ray_presubmit=lambda task, key, deps: 42):
        assert add(1, 2).compute(scheduler=ray_dask_get) == 42
