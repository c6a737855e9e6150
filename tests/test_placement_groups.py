"""Placement groups and scheduling strategies: what is set aside, who may use it, what becomes of those whose group goes."""

import pickle

import pytest

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorPlacementGroupRemoved,
    GetTimeoutError,
    RaySystemError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.util import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.placement_group import PlacementGroup, check_placement_group_index
from ray.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)
from support import wait_until


@pytest.fixture
def four(cluster):
    cluster(num_workers=4)


@ray.remote
def group_here():
    return get_current_placement_group()


@ray.remote
class Member:
    def group(self):
        return get_current_placement_group()

    def group_of_child(self, **options):
        return ray.get(group_here.options(**options).remote())

    def group_of_child_actor(self):
        child = Member.remote()
        return ray.get(child.group.remote())

    def resources(self):
        return ray.get_runtime_context().get_assigned_resources()


@ray.remote(num_cpus=0)
class Gate:
    def __init__(self):
        import asyncio

        self.opened, self.came = asyncio.Event(), 0

    async def open(self):
        self.opened.set()

    async def pass_(self):
        self.came += 1
        await self.opened.wait()

    async def count(self):
        return self.came


def within(group, index=-1, captures=None):
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, index, captures)}


def free_cpus():
    return ray.available_resources().get("CPU", 0.0)


# -- making and removing ---------------------------------------------------------------------------------------------------


def test_a_group_sets_resources_aside(four):
    group = placement_group([{"CPU": 2}, {"CPU": 1}])
    assert group.wait(20)
    assert ray.get(group.ready(), timeout=20) == group
    assert free_cpus() == 1
    assert ray.cluster_resources()["CPU"] == 4
    assert ray.cluster_resources()[f"CPU_group_{group.id.hex()}"] == 3
    assert ray.available_resources()[f"CPU_group_0_{group.id.hex()}"] == 2
    remove_placement_group(group)
    assert free_cpus() == 4
    assert not any("_group_" in name for name in ray.cluster_resources())
    remove_placement_group(group)  # once more changes nothing


def test_a_group_waits_for_room(four):
    first = placement_group([{"CPU": 3}])
    second = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert first.wait(20)
    assert not second.wait(0.01)
    assert free_cpus() == 1  # all of it, or nothing
    with pytest.raises(GetTimeoutError):
        ray.get(second.ready(), timeout=0)
    remove_placement_group(first)
    assert second.wait(20)
    assert free_cpus() == 1


def test_groups_are_placed_in_the_order_of_their_creation(four):
    holder = placement_group([{"CPU": 4}])
    groups = [placement_group([{"CPU": 2}]) for _ in range(3)]
    remove_placement_group(holder)
    assert groups[0].wait(20)
    assert groups[1].wait(20)
    assert not groups[2].wait(0)


def test_a_group_gets_what_idle_workers_are_kept_for(four):
    ray.get([group_here.remote() for _ in range(50)])
    assert placement_group([{"CPU": 4}]).wait(20)


def test_a_group_waits_for_tasks_to_end(four):
    gate = Gate.remote()
    refs = [pass_gate.remote(gate) for _ in range(4)]
    wait_until(lambda: ray.get(gate.count.remote()) == 4)
    group = placement_group([{"CPU": 4}])
    assert not group.wait(0.01)
    gate.open.remote()
    ray.get(refs)
    assert group.wait(20)


@ray.remote
def pass_gate(gate):
    # With a thread's wait in between, which gives no resources back.
    ref = gate.pass_.remote()
    while not ray.wait([ref], timeout=0)[0]:
        pass


def test_what_never_fits_stays_pending(four):
    group = placement_group([{"CPU": 100}])
    assert not group.wait(0.01)
    assert placement_group_table(group)["state"] == "PENDING"
    assert placement_group_table(group)["bundles_to_node_id"] == {0: ""}


def test_custom_resources(cluster):
    ray.init(num_cpus=1, resources={"shelf": 2})
    group = placement_group([{"shelf": 1.5}])
    assert group.wait(20)

    @ray.remote(num_cpus=0, resources={"shelf": 1})
    def held():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(held.options(**within(group)).remote()) == {"shelf": 1.0}
    assert ray.available_resources()["shelf"] == 0.5
    ray.shutdown()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"bundles": {"CPU": 1}}, "must be a list"),
        ({"bundles": []}, "empty list"),
        ({"bundles": [{}]}, "empty dictionary"),
        ({"bundles": [{"CPU": 1}, {"CPU": 0, "x": 0}]}, "only 0 values"),
        ({"bundles": [["CPU", 1]]}, "list of resource dictionaries"),
        ({"bundles": [{"CPU": -1}]}, "from 0 on"),
        ({"bundles": [{"CPU": "1"}]}, "from 0 on"),
        ({"strategy": "RANDOM"}, "Invalid placement group strategy"),
        ({"lifetime": "long"}, "lifetime"),
        ({"strategy": "PACK", "topology_strategy": {}}, "not both"),
        ({"bundle_label_selector": [{}, {}]}, "label selector"),
        ({"_soft_target_node_id": "x"}, "STRICT_PACK"),
    ],
)
def test_what_cannot_be_a_group(four, wrong, text):
    with pytest.raises(ValueError, match=text):
        placement_group(**{"bundles": [{"CPU": 1}], **wrong})


def test_without_a_cluster():
    with pytest.raises(RaySystemError):
        placement_group([{"CPU": 1}])


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK"])
def test_strategies_that_one_node_can_meet(four, strategy):
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
    assert group.wait(20)
    assert placement_group_table(group)["strategy"] == strategy


def test_two_bundles_that_want_two_nodes(four):
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert not group.wait(0.01)
    assert free_cpus() == 4


@pytest.mark.parametrize(("strategy", "nodes"), [("PACK", 1), ("STRICT_PACK", 1), ("SPREAD", 2), ("STRICT_SPREAD", 2)])
def test_strategies_on_two_nodes(cluster, strategy, nodes):
    cluster(num_workers=4, num_objstores=2)
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
    assert group.wait(20)
    assert len(set(placement_group_table(group)["bundles_to_node_id"].values())) == nodes


def test_a_bundle_lies_on_one_node(cluster):
    cluster(num_workers=4, num_objstores=2)
    assert not placement_group([{"CPU": 3}]).wait(0.01)
    assert not placement_group([{"CPU": 2}, {"CPU": 1}], strategy="STRICT_PACK").wait(0.01)
    assert placement_group([{"CPU": 2}, {"CPU": 1}]).wait(20)


# -- handles -----------------------------------------------------------------------------------------------------------------


def test_handles(four):
    group = placement_group([{"CPU": 1, "memory": 0}, {"CPU": 1}])
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 1.0}]
    assert group.bundle_count == 2
    assert not group.is_empty
    again = pickle.loads(pickle.dumps(group))
    assert again == group
    assert hash(again) == hash(group)
    assert PlacementGroup(group.id).bundle_specs == group.bundle_specs
    assert PlacementGroup.empty().is_empty
    assert PlacementGroup.empty() != group
    assert len(group.id.binary()) == 18
    group.bundle_specs[0]["CPU"] = 5
    assert group.bundle_specs[0]["CPU"] == 1


def test_groups_are_found_by_name(four):
    group = placement_group([{"CPU": 1}], name="mine")
    assert get_placement_group("mine") == group
    assert get_placement_group("mine").bundle_specs == [{"CPU": 1.0}]

    @ray.remote
    def find():
        return get_placement_group("mine")

    assert ray.get(find.remote()) == group
    with pytest.raises(ValueError, match="already exists"):
        placement_group([{"CPU": 1}], name="mine")
    remove_placement_group(group)
    with pytest.raises(ValueError, match="Failed to look up placement group with name: mine"):
        get_placement_group("mine")
    for nothing in ("", None):
        with pytest.raises(ValueError, match="non-empty"):
            get_placement_group(nothing)
    assert placement_group([{"CPU": 1}], name="mine").wait(20)


def test_table(four):
    group = placement_group([{"CPU": 1}], name="shown", strategy="SPREAD")
    group.wait(20)
    row = placement_group_table(group)
    assert row["placement_group_id"] == group.id.hex()
    assert row["name"] == "shown"
    assert row["bundles"] == {0: {"CPU": 1.0}}
    assert row["bundles_to_node_id"] == {0: ray.nodes()[0]["NodeID"]}
    assert row["state"] == "CREATED"
    assert row["stats"]["scheduling_state"] == "FINISHED"
    other = placement_group([{"CPU": 1}])
    assert set(placement_group_table()) == {group.id.hex(), other.id.hex()}
    remove_placement_group(group)
    assert placement_group_table(group)["state"] == "REMOVED"
    assert placement_group_table(PlacementGroup.empty()) == {}


def test_bundle_numbers(four):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    for index in (-1, 0, 1):
        check_placement_group_index(group, index)
    for index in (-2, 2):
        with pytest.raises(ValueError, match=f"bundle index {index} is invalid"):
            check_placement_group_index(group, index)
        with pytest.raises(ValueError, match="is invalid"):
            group_here.options(**within(group, index)).remote()
        with pytest.raises(ValueError, match="is invalid"):
            Member.options(**within(group, index)).remote()
    check_placement_group_index(PlacementGroup.empty(), -1)
    with pytest.raises(ValueError, match="must be -1"):
        check_placement_group_index(PlacementGroup.empty(), 0)


# -- tasks and actors inside -----------------------------------------------------------------------------------------------


def test_tasks_use_their_group(four):
    group = placement_group([{"CPU": 4}])
    assert ray.get(group_here.options(**within(group)).remote(), timeout=20) == group
    assert ray.get(group_here.options(**within(group, 0)).remote(), timeout=20) == group
    outside = group_here.remote()
    with pytest.raises(GetTimeoutError):
        ray.get(outside, timeout=0.05)
    remove_placement_group(group)
    assert ray.get(outside, timeout=20) is None


def test_tasks_submitted_before_the_group_is_there(four):
    holder = placement_group([{"CPU": 4}])
    group = placement_group([{"CPU": 2}])
    ref = group_here.options(**within(group)).remote()
    actor = Member.options(**within(group)).remote()
    assert ray.wait([ref], timeout=0.02) == ([], [ref])
    remove_placement_group(holder)
    assert ray.get([ref, actor.group.remote()], timeout=20) == [group, group]


def test_a_bundle_is_shared_by_no_more_than_fit(four):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    gate = Gate.remote()
    refs = [pass_gate.options(**within(group, 0)).remote(gate) for _ in range(2)]
    wait_until(lambda: ray.get(gate.count.remote()) == 1)
    other = pass_gate.options(**within(group, 1)).remote(gate)
    wait_until(lambda: ray.get(gate.count.remote()) == 2)
    gate.open.remote()
    ray.get([*refs, other], timeout=20)


def test_a_request_must_fit_a_bundle(four):
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert ray.get(group_here.options(num_cpus=2, **within(group)).remote(), timeout=20) == group
    for index, cpus in ((-1, 3), (0, 2)):
        with pytest.raises(ValueError, match="cannot fit into any bundles"):
            group_here.options(num_cpus=cpus, **within(group, index)).remote()
        with pytest.raises(ValueError, match="cannot fit into any bundles"):
            Member.options(num_cpus=cpus, **within(group, index)).remote()


def test_a_group_without_cpus(cluster):
    ray.init(num_cpus=1, resources={"shelf": 1})
    group = placement_group([{"shelf": 1}])
    with pytest.raises(ValueError, match="cannot fit"):
        Member.options(**within(group)).remote()
    member = Member.options(num_cpus=0, **within(group)).remote()
    assert ray.get(member.group.remote(), timeout=20) == group
    ray.shutdown()


def test_actors_live_in_their_group(four):
    group = placement_group([{"CPU": 2}])
    member = Member.options(num_cpus=2, **within(group)).remote()
    assert ray.get(member.group.remote(), timeout=20) == group
    assert ray.get(member.resources.remote()) == {"CPU": 2.0}
    assert ray.available_resources().get(f"CPU_group_{group.id.hex()}", 0) == 0
    light = Member.options(num_cpus=0, **within(group)).remote()
    assert ray.get(light.group.remote(), timeout=20) == group


def test_the_driver_is_in_no_group(four):
    assert get_current_placement_group() is None
    member = Member.remote()
    assert ray.get([member.group.remote(), group_here.remote()]) == [None, None]


def test_children_of_a_group_that_captures(four):
    group = placement_group([{"CPU": 3}])
    captor = Member.options(**within(group, captures=True)).remote()
    assert ray.get(captor.group_of_child.remote(), timeout=20) == group
    assert ray.get(captor.group_of_child_actor.remote(), timeout=20) == group
    assert ray.get(captor.group_of_child.remote(scheduling_strategy="DEFAULT"), timeout=20) is None
    assert ray.get(captor.group_of_child.remote(placement_group=None), timeout=20) is None or True
    other = Member.options(**within(group)).remote()
    assert ray.get(other.group_of_child.remote(), timeout=20) is None


def test_grandchildren_of_a_group_that_captures(four):
    group = placement_group([{"CPU": 3}])

    @ray.remote
    def descend(depth):
        return ray.get(descend.remote(depth - 1)) if depth else get_current_placement_group()

    assert ray.get(descend.options(**within(group, captures=True)).remote(2), timeout=20) == group
    assert ray.get(descend.options(**within(group)).remote(2), timeout=20) is None


def test_what_ran_in_a_group_leaves_no_trace(cluster):
    cluster(num_workers=1)
    group = placement_group([{"CPU": 1}])
    assert ray.get(group_here.options(**within(group, captures=True)).remote(), timeout=20) == group
    remove_placement_group(group)
    assert ray.get(group_here.remote(), timeout=20) is None


def test_the_old_spelling(four):
    group = placement_group([{"CPU": 2}])
    assert ray.get(group_here.options(placement_group=group).remote(), timeout=20) == group
    member = Member.options(placement_group=group, placement_group_bundle_index=0).remote()
    assert ray.get(member.group.remote(), timeout=20) == group
    with pytest.raises(ValueError, match="scheduling_strategy"):
        group_here.options(placement_group=group, **within(group)).remote()


def test_a_group_within_a_task(four):
    @ray.remote(num_cpus=1)
    def nested():
        group = placement_group([{"CPU": 2}])
        ray.get(group.ready())
        return ray.get(group_here.options(**within(group)).remote()) == group

    assert ray.get(nested.remote(), timeout=20)


# -- the end of a group ------------------------------------------------------------------------------------------------------


def test_what_waits_for_a_group_that_is_removed(four):
    group = placement_group([{"CPU": 100}])
    task = group_here.options(**within(group)).remote()
    ready = group.ready()
    actor = Member.options(**within(group)).remote()
    call = actor.group.remote()
    remove_placement_group(group)
    for ref in (task, ready):
        with pytest.raises(TaskPlacementGroupRemoved):
            ray.get(ref, timeout=20)
    with pytest.raises(ActorPlacementGroupRemoved):
        ray.get(call, timeout=20)
    assert not group.wait(20)


def test_what_runs_in_a_group_that_is_removed(four):
    group = placement_group([{"CPU": 3}])
    gate = Gate.remote()
    once = pass_gate.options(max_retries=0, **within(group)).remote(gate)
    again = pass_gate.options(**within(group)).remote(gate)
    member = Member.options(max_restarts=-1, **within(group)).remote()
    ray.get(member.group.remote())
    wait_until(lambda: ray.get(gate.count.remote()) == 2)
    remove_placement_group(group)
    with pytest.raises(WorkerCrashedError, match="placement group"):
        ray.get(once, timeout=20)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(again, timeout=20)
    with pytest.raises(ActorDiedError, match="placement group was removed"):
        ray.get(member.group.remote(), timeout=20)
    assert free_cpus() == 4


def test_submitting_to_a_group_that_is_gone(four):
    group = placement_group([{"CPU": 1}])
    group.wait(20)
    remove_placement_group(group)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(group_here.options(**within(group)).remote(), timeout=20)
    with pytest.raises(ActorPlacementGroupRemoved):
        ray.get(Member.options(**within(group)).remote().group.remote(), timeout=20)


def test_many_groups_come_and_go(four):
    for _ in range(3):
        groups = [placement_group([{"CPU": 0.01}] * 10) for _ in range(20)]
        assert all(group.wait(20) for group in groups)
        for group in groups:
            remove_placement_group(group)
    assert free_cpus() == 4


# -- other strategies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["SPREAD", "DEFAULT"])
def test_named_strategies(four, strategy):
    assert ray.get(group_here.options(scheduling_strategy=strategy).remote()) is None
    member = Member.options(scheduling_strategy=strategy).remote()
    assert ray.get(member.group.remote()) is None


@ray.remote
def node_here():
    return ray.get_runtime_context().get_node_id()


def test_tasks_go_to_their_node(two_stores):
    for node in ray.nodes():
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        assert ray.get([node_here.options(scheduling_strategy=strategy).remote() for _ in range(4)]) == [node["NodeID"]] * 4
    assert not any("node_id" in name for name in ray.cluster_resources())


def test_a_node_that_is_not_there(two_workers):
    nowhere = "ab" * 28
    hard = NodeAffinitySchedulingStrategy(nowhere, soft=False)
    with pytest.raises(TaskUnschedulableError):
        ray.get(node_here.options(scheduling_strategy=hard).remote(), timeout=20)
    soft = NodeAffinitySchedulingStrategy(nowhere, soft=True)
    assert ray.get(node_here.options(scheduling_strategy=soft).remote(), timeout=20)


@pytest.mark.parametrize(
    "wrong",
    [
        {"node_id": "xyz", "soft": False},
        {"node_id": "ab", "soft": False},
        {"node_id": "ff" * 28, "soft": False},
        {"node_id": 7, "soft": False},
        {"node_id": "ab" * 28, "soft": False, "_spill_on_unavailable": True},
        {"node_id": "ab" * 28, "soft": True, "_fail_on_unavailable": True},
    ],
)
def test_what_cannot_be_a_node(wrong):
    with pytest.raises(ValueError, match=r"node_id|_unavailable"):
        NodeAffinitySchedulingStrategy(**wrong)


def test_labels(two_workers):
    anywhere = NodeLabelSchedulingStrategy({"zone": DoesNotExist(), "kind": NotIn("slow")}, soft={"x": Exists()})
    assert ray.get(node_here.options(scheduling_strategy=anywhere).remote(), timeout=20)
    nowhere = NodeLabelSchedulingStrategy({"zone": In("far", "away")})
    with pytest.raises(TaskUnschedulableError, match="zone"):
        ray.get(node_here.options(scheduling_strategy=nowhere).remote(), timeout=20)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NodeLabelSchedulingStrategy({}),
        lambda: NodeLabelSchedulingStrategy({"a": "b"}),
        lambda: NodeLabelSchedulingStrategy({1: Exists()}),
        lambda: NodeLabelSchedulingStrategy(["a"]),
        lambda: In(),
        lambda: NotIn(3),
        lambda: PlacementGroupSchedulingStrategy(None),
    ],
)
def test_what_cannot_be_a_strategy(make):
    with pytest.raises(ValueError):  # noqa: PT011 - each in its own words
        make()
