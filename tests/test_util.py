"""Names directly under `ray.util`, and the small modules beside them."""

import importlib
import io
import re
import threading
import warnings

import pytest

import ray
import ray.util
from ray.util import as_completed, map_unordered, rpdb
from ray.util.annotations import Deprecated, DeveloperAPI, PublicAPI, RayDeprecationWarning
from support import wait_until


@ray.remote
def identity(x):
    return x


@ray.remote
def fail():
    raise ValueError("no")


@ray.remote(num_cpus=0)
class Gate:
    """Holds callers until it is opened; counts those who came."""

    def __init__(self):
        import asyncio

        self.opened = asyncio.Event()
        self.came = 0

    async def open(self):
        self.opened.set()

    async def wait(self, x=None):
        self.came += 1
        await self.opened.wait()
        return x

    async def count(self):
        return self.came


# -- names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ray.util.__all__)
def test_every_name_is_there(name):
    assert getattr(ray.util, name) is not None


@pytest.mark.parametrize("name", sorted(ray.util._LAZY_MODULES - {"dask", "joblib"}))
def test_every_module_can_be_imported(name):
    assert getattr(ray.util, name) is importlib.import_module(f"ray.util.{name}")


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        _ = ray.util.nonesuch


def test_a_function_with_the_name_of_its_module():
    from ray.util.placement_group import PlacementGroup

    assert PlacementGroup.empty().is_empty
    assert callable(ray.util.placement_group)


def test_address_of_this_machine_before_there_is_a_cluster():
    assert not ray.is_initialized()
    assert ray.util.get_node_ip_address().count(".") == 3


def test_nobody_comes_through_a_proxy():
    assert ray.util.client.ray.is_connected() is False
    assert ray.util.client.num_connected_contexts() == 0


def test_accelerators():
    from ray.util import accelerators
    from ray.util.accelerators import NVIDIA_TESLA_V100

    assert NVIDIA_TESLA_V100 == "V100"
    assert accelerators.NVIDIA_A100 == "A100"
    with pytest.warns(RayDeprecationWarning, match="NVIDIA_A100"):
        assert accelerators.NVIDIA_TESLA_A100 == "A100"
    with pytest.raises(AttributeError):
        _ = accelerators.NVIDIA_ABACUS


# -- results as they come --------------------------------------------------------------------------------------------------


def test_as_completed(two_workers):
    assert sorted(as_completed([identity.remote(x) for x in range(25)])) == list(range(25))
    refs = [identity.remote(x) for x in range(3)]
    assert set(as_completed(refs, yield_obj_refs=True)) == set(refs)
    assert list(as_completed([])) == []


def test_as_completed_keeps_the_order_of_what_is_waited_for_together(two_workers):
    refs = [ray.put(x) for x in range(12)]
    assert list(as_completed(refs, chunk_size=5)) == list(range(12))


def test_as_completed_does_not_wait_for_the_slow(two_workers):
    gate = Gate.remote()
    results = as_completed([gate.wait.remote(0), identity.remote(1), identity.remote(2)], chunk_size=1)
    assert {next(results), next(results)} == {1, 2}
    gate.open.remote()
    assert list(results) == [0]


def test_as_completed_raises_what_a_task_raised(two_workers):
    with pytest.raises(ValueError, match="no"):
        list(as_completed([fail.remote()]))


@pytest.mark.parametrize("wrong", [{"chunk_size": 0}, {"num_returns": 2}])
def test_as_completed_with_what_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        as_completed([], **wrong)


def test_map_unordered(two_workers):
    assert sorted(map_unordered(identity, range(250))) == list(range(250))
    assert sorted(map_unordered(identity, range(9), backpressure_size=None)) == list(range(9))
    gate = Gate.remote()
    gate.open.remote()
    assert sorted(map_unordered(gate.wait, range(5), backpressure_size=2, chunk_size=1)) == list(range(5))


def test_map_unordered_submits_no_more_than_asked(two_workers):
    gate = Gate.remote()
    taken = []

    def items():
        for x in range(10):
            taken.append(x)
            yield x

    results = map_unordered(gate.wait, items(), backpressure_size=3, chunk_size=1)
    gate.open.remote()
    first = next(results)
    assert len(taken) < 10
    assert sorted([first, *results]) == list(range(10))


@pytest.mark.parametrize("wrong", [{"backpressure_size": 0}, {"chunk_size": 0}, {"num_returns": 2}])
def test_map_unordered_with_what_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        map_unordered(identity, [], **wrong)


# -- actors by name ----------------------------------------------------------------------------------------------------------


def test_list_named_actors(two_workers):
    assert ray.util.list_named_actors() == []
    here = Gate.options(name="here").remote()
    there = Gate.options(name="there", namespace="elsewhere").remote()
    nameless = Gate.remote()
    ray.get([gate.count.remote() for gate in (here, there, nameless)])
    assert ray.util.list_named_actors() == ["here"]
    found = ray.util.list_named_actors(all_namespaces=True)
    assert {"name": "there", "namespace": "elsewhere"} in found
    assert len(found) == 2


# -- pickling ------------------------------------------------------------------------------------------------------------------


class Locked:
    def __init__(self, x):
        self.x, self.lock = x, threading.Lock()


def test_own_serializers(two_workers):
    with pytest.raises(TypeError):
        ray.put(Locked(1))
    ray.util.register_serializer(Locked, serializer=lambda value: value.x, deserializer=Locked)
    try:
        assert ray.get(ray.put(Locked(1))).x == 1
        assert ray.get(back.remote([Locked(3)]))[0].x == 3
    finally:
        ray.util.deregister_serializer(Locked)
    with pytest.raises(TypeError):
        ray.put(Locked(1))


@ray.remote
def back(values):
    # Registration is the process's own: a worker that gives such a value back must have it, too.
    ray.util.register_serializer(Locked, serializer=lambda value: value.x, deserializer=Locked)
    return values


def test_what_cannot_be_pickled_is_found(capsys):
    lock = threading.Lock()

    def closure():
        return lock

    fine, faults = ray.util.inspect_serializability(closure, name="closure")
    assert not fine
    assert [fault.obj for fault in faults] == [lock]
    assert "closure cannot be serialized" in capsys.readouterr().out
    assert ray.util.inspect_serializability(1, print_file=None) == (True, set())


# -- the debugger ------------------------------------------------------------------------------------------------------------------


def test_a_debugger_in_a_worker(two_workers, capfd):
    @ray.remote
    def stops():
        secret = 41
        ray.util.pdb.set_trace()
        return secret + 1

    ref = stops.remote()
    seen = []

    def path():
        seen.append(capfd.readouterr().err)
        return re.search(r"ray\.util\.rpdb (\S+)", "".join(seen))

    place = wait_until(path).group(1)
    out = io.StringIO()
    rpdb.attach(place, stdin=io.StringIO("p secret\ncontinue\n"), stdout=out)
    assert "41" in out.getvalue()
    assert ray.get(ref) == 42


# -- saying things once ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _debug():
    from ray.util import debug

    saved = {name: getattr(debug, name) for name in ("_disabled", "_periodic", "_last_said")}
    said = set(debug._said)
    yield debug
    for name, value in saved.items():
        setattr(debug, name, value)
    debug._said.clear()
    debug._said.update(said)


def test_log_once(_debug):
    assert [ray.util.log_once("test-key") for _ in range(3)] == [True, False, False]
    assert ray.util.log_once("other-test-key")
    _debug.reset_log_once("test-key")
    assert ray.util.log_once("test-key")
    ray.util.disable_log_once_globally()
    assert not ray.util.log_once("third-test-key")


def test_log_once_a_minute(_debug):
    ray.util.enable_periodic_logging()
    assert ray.util.log_once("periodic-key")
    assert not ray.util.log_once("periodic-key")
    _debug._last_said -= 61
    assert not ray.util.log_once("periodic-key")  # this one makes it forget
    assert ray.util.log_once("periodic-key")


# -- annotations -----------------------------------------------------------------------------------------------------------------


def test_annotations_change_nothing_but_the_documentation():
    @PublicAPI
    def public():
        """Does it."""
        return 1

    @PublicAPI(stability="alpha")
    class Early:
        """Is it."""

    @DeveloperAPI
    def developer():
        return 2

    assert (public(), developer(), isinstance(Early(), Early)) == (1, 2, True)
    assert public.__doc__ == "Does it."
    assert "alpha" in Early.__doc__
    assert public._annotated == "public"
    with pytest.raises(ValueError, match="stability"):
        PublicAPI(stability="wobbly")


def test_deprecated():
    @Deprecated(message="Use new().", warning=True)
    def old(x):
        return x

    @Deprecated(warning=True)
    class Old:
        def __init__(self, x):
            self.x = x

    @Deprecated
    def quiet():
        return 1

    with pytest.warns(RayDeprecationWarning, match=r"old is deprecated.*Use new\(\)"):
        assert old(3) == 3
    with pytest.warns(RayDeprecationWarning, match="Old is deprecated"):
        assert Old(4).x == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quiet() == 1
    assert issubclass(RayDeprecationWarning, DeprecationWarning)


def test_what_libraries_import_and_need_not_have():
    from ray.data import from_pandas_refs

    with pytest.raises(NotImplementedError, match="not part of this engine"):
        from_pandas_refs([])
