"""Names and namespaces of actors, how long they live, what they hold."""

import os
import time

import pytest

import ray
from actor_classes import Counter, later, state_of, wait_for_end
from ray.exceptions import ActorAlreadyExistsError, ActorDiedError
from support import is_alive, wait_until


@pytest.fixture(autouse=True)
def _cluster(cluster):
    cluster(num_workers=2)


# -- names --------------------------------------------------------------------------------------------------------------


def test_names():
    counter = Counter.options(name="one").remote(1)
    found = ray.get_actor("one")
    assert found == counter
    assert ray.get(found.add.remote()) == 2
    with pytest.raises(ActorAlreadyExistsError):
        Counter.options(name="one").remote()
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("two")
    with pytest.raises(ValueError, match="non-empty"):
        ray.get_actor("")
    with pytest.raises(ValueError, match="not a valid namespace"):
        ray.get_actor("one", namespace="")
    with pytest.raises(TypeError):
        ray.get_actor("one", namespace=3)
    assert ray.util.list_named_actors() == ["one"]
    ray.kill(counter)
    wait_until(lambda: ray.util.list_named_actors() == [])
    Counter.options(name="one").remote()


def test_a_found_handle_does_not_keep_the_actor():
    counter = Counter.options(name="one").remote()
    found = ray.get_actor("one")
    pid = ray.get(found.pid.remote())
    del counter
    wait_for_end(pid)
    with pytest.raises(ActorDiedError):
        ray.get(found.read.remote())


def test_get_if_exists():
    named = Counter.options(name="one", get_if_exists=True)
    one, two = named.remote(5), named.remote(6)
    assert one == two
    assert ray.get(two.read.remote()) == 5
    with pytest.raises(ValueError, match="get_if_exists"):
        Counter.options(get_if_exists=True).remote()


def test_namespaces():
    here = Counter.options(name="one", namespace="a").remote(1)
    there = Counter.options(name="one", namespace="b").remote(2)
    assert ray.get(ray.get_actor("one", namespace="b").read.remote()) == 2
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("one")
    rows = ray.util.list_named_actors(all_namespaces=True)
    assert sorted(rows, key=lambda row: row["namespace"]) == [
        {"namespace": "a", "name": "one"},
        {"namespace": "b", "name": "one"},
    ]
    del here, there


def test_the_namespace_of_a_program():
    ray.shutdown()
    ray.init(num_cpus=1, namespace="mine")
    counter = Counter.options(name="one").remote(3)

    @ray.remote
    def look():
        return ray.get_runtime_context().namespace, ray.get(ray.get_actor("one").read.remote())

    assert ray.get(look.remote()) == ("mine", 3)
    del counter


def test_detached_actors_stay():
    Counter.options(name="stays", lifetime="detached").remote(9)
    time.sleep(0.3)
    assert ray.get(ray.get_actor("stays").read.remote()) == 9


def test_many_who_want_the_same_name_get_the_same_actor():
    @ray.remote(num_cpus=0)
    def find_or_make():
        made = Counter.options(name="one", get_if_exists=True, lifetime="detached").remote()
        return ray.get(made.pid.remote())

    assert len(set(ray.get([find_or_make.remote() for _ in range(10)]))) == 1
    ray.kill(ray.get_actor("one"))


def test_names_are_known_to_tasks_and_actors():
    counter = Counter.options(name="one").remote(3)

    @ray.remote
    class Looks:
        def look(self):
            return ray.get(ray.get_actor("one").read.remote())

    @ray.remote
    def look():
        return ray.get(ray.get_actor("one").read.remote())

    assert ray.get([look.remote(), Looks.remote().look.remote()]) == [3, 3]
    del counter


# -- who keeps an actor ------------------------------------------------------------------------------------------------


@ray.remote
class Holder:
    """Has the handles of other actors."""

    def make(self, busy):
        self.handle = Counter.remote()
        pid = ray.get(self.handle.pid.remote())
        if busy:
            self.handle.slow.remote(1000)
        return pid

    def take(self, handle):
        self.handle = handle

    def give(self):
        return self.handle

    def crash(self):
        os._exit(1)


@pytest.mark.parametrize("busy", [False, True])
def test_an_actor_ends_with_the_process_that_has_its_last_handle(busy):
    holder = Holder.remote()
    pid = ray.get(holder.make.remote(busy))
    assert is_alive(pid)
    holder.crash.remote()
    wait_for_end(pid)


def test_an_actor_outlives_its_maker_if_somebody_else_has_a_handle():
    holder = Holder.remote()
    pid = ray.get(holder.make.remote(False))
    kept = ray.get(holder.give.remote())
    ray.kill(holder)
    with pytest.raises(ActorDiedError):
        ray.get(holder.give.remote())
    assert ray.get(kept.pid.remote()) == pid
    del kept
    wait_for_end(pid)


def test_an_actor_made_by_a_task_ends_with_the_task_unless_the_handle_goes_on():
    @ray.remote
    def make(give):
        made = Counter.remote()
        return ray.get(made.pid.remote()), made if give else None

    pid, _ = ray.get(make.remote(False))
    wait_for_end(pid)
    pid, made = ray.get(make.remote(True))
    assert ray.get(made.pid.remote()) == pid
    del made, _
    wait_for_end(pid)


def test_a_worker_with_nothing_to_do_stays_while_an_actor_of_its_lives():
    @ray.remote
    def keep():
        global kept
        kept = Counter.options(name="kept").remote()
        return ray.get(kept.read.remote())

    @ray.remote(num_cpus=2)
    def nest(depth):
        return ray.get(nest.remote(depth - 1)) if depth else ray.get(keep.remote())

    # The innermost tasks run in workers beyond the number asked for, which end after two seconds without work.
    assert ray.get(nest.remote(3)) == 0
    wait_until(lambda: len(ray._core.cluster_info()["workers"]) <= 4)
    assert ray.get(ray.get_actor("kept").read.remote()) == 0


def test_dead_actors_are_forgotten_in_the_end():
    def known():
        return len(ray._core.list_actors())

    first = Counter.remote()
    ray.kill(first)
    wait_until(lambda: state_of(first) == "DEAD")
    for _ in range(3):
        ray.get(Counter.remote().read.remote())
    wait_until(lambda: ray._core.counters()["live_actors"] == 0)
    assert known() == 4  # a short history is kept; how long it may grow is tested with the scheduler's state machine
    with pytest.raises(ActorDiedError, match=r"ray\.kill"):
        ray.get(first.read.remote())


# -- limits and resources -----------------------------------------------------------------------------------------------


def test_actors_with_nothing_said_take_no_cpu_while_they_live():
    counters = [Counter.remote() for _ in range(5)]
    assert ray.get([counter.add.remote() for counter in counters]) == [1] * 5
    assert ray.get(later.remote(1, 0)) == 1


@pytest.mark.parametrize("options", [{"resources": {}}, {"memory": 1000}, {"num_cpus": None}])
def test_what_does_not_count_as_asking_for_resources(options):
    counter = Counter.options(**options).remote()
    assert ray.get(counter.read.remote()) == 0
    wait_until(lambda: ray.available_resources().get("CPU") == 2)


@pytest.mark.parametrize("options", [{"num_gpus": 0}, {"num_cpus": 1}, {"resources": {"thing": 1}}])
def test_what_asks_for_a_cpu_for_life(options, cluster):
    ray.shutdown()
    ray.init(num_cpus=2, resources={"thing": 1})
    counter = Counter.options(**options).remote()
    assert ray.get(counter.read.remote()) == 0
    assert ray.available_resources()["CPU"] == 1


def test_actors_hold_what_they_ask_for():
    one = Counter.options(num_cpus=1).remote()
    two = Counter.options(num_cpus=1).remote()
    assert ray.get([one.read.remote(), two.read.remote()]) == [0, 0]
    assert ray.available_resources().get("CPU", 0) == 0
    three = Counter.options(num_cpus=1).remote()
    waits = three.add.remote()
    assert ray.wait([waits], timeout=0.3) == ([], [waits])
    ray.kill(one)
    assert ray.get(waits) == 1
    never = Counter.options(num_cpus=100).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError):
        ray.get(never.read.remote())


def test_an_environment_of_its_own():
    @ray.remote(runtime_env={"env_vars": {"RAIO_TEST_COLOUR": "blue"}})
    class Coloured:
        def colour(self):
            return os.environ.get("RAIO_TEST_COLOUR")

    assert ray.get(Coloured.remote().colour.remote()) == "blue"
