"""Ids as values: their sizes, ways to make them, and what is inside of which."""

import pickle

import pytest

import ray

SIZES = {
    "ObjectRef": 28,
    "TaskID": 24,
    "ActorID": 16,
    "JobID": 4,
    "PlacementGroupID": 18,
    "NodeID": 28,
    "WorkerID": 28,
    "FunctionID": 28,
    "ActorClassID": 28,
    "ClusterID": 28,
    "UniqueID": 28,
}


@pytest.mark.parametrize("name", SIZES)
class TestEveryKind:
    def test_bytes_and_digits(self, name):
        kind, size = getattr(ray, name), SIZES[name]
        data = bytes(range(size))
        one = kind(data)
        assert kind.size() == size
        assert one.binary() == data
        assert one.hex() == data.hex()
        assert one == kind.from_binary(data) == kind.from_hex(data.hex())
        assert hash(one) == hash(kind(data))
        assert one != kind(data[::-1])
        assert one != data

    def test_nil(self, name):
        kind = getattr(ray, name)
        assert kind.nil().is_nil()
        assert kind.nil().hex() == "ff" * SIZES[name]
        assert kind.nil() == kind.nil()
        assert not kind(bytes(SIZES[name])).is_nil()
        assert kind(bytes(SIZES[name])).binary() == bytes(SIZES[name])

    def test_wrong_lengths(self, name):
        with pytest.raises(ValueError, match=f"ID string needs to have length {SIZES[name]}, got 1"):
            getattr(ray, name)(b"x")

    def test_what_is_no_hexadecimal_is_nil(self, name):
        assert getattr(ray, name).from_hex("zz").is_nil()

    def test_pickles(self, name):
        one = getattr(ray, name)(bytes(range(SIZES[name])))
        assert pickle.loads(pickle.dumps(one)) == one

    def test_random_ones_differ(self, name):
        kind = getattr(ray, name)
        first, second = kind.from_random(), kind.from_random()
        assert first != second
        assert len(first.binary()) == SIZES[name]
        assert kind.from_binary(first.binary()) == first


def test_reprs_say_what_and_which():
    assert repr(ray.NodeID.nil()) == f"NodeID({'ff' * 28})"
    assert repr(ray.JobID.from_int(1)) == "JobID(01000000)"


def test_jobs_are_numbers():
    assert ray.JobID.from_int(258).hex() == "02010000"
    assert ray.JobID.from_int(258).int() == 258


def test_ids_of_different_kinds_differ():
    assert ray.NodeID.nil() != ray.WorkerID.nil()


@pytest.fixture(scope="module")
def small_cluster():
    ray.init(num_cpus=1)
    yield
    ray.shutdown()


@ray.remote
def whoami():
    return ray.get_runtime_context().get_task_id()


@ray.remote
class Empty:
    pass


@pytest.mark.usefixtures("small_cluster")
class TestReferences:
    def test_a_reference_knows_its_task_and_job(self):
        ref = whoami.remote()
        assert len(ref.hex()) == 56
        assert ref.task_id().hex() == ray.get(ref)
        assert ref.task_id().job_id() == ref.job_id() == ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
        assert ref.binary().startswith(ref.task_id().binary())

    def test_an_actor_knows_its_job(self):
        actor = Empty.remote()
        assert len(actor._actor_id.hex()) == 32
        assert actor._actor_id.job_id.hex() == ray.get_runtime_context().get_job_id()

    def test_a_reference_made_of_bytes_reads_the_object(self):
        ref = ray.put("value")
        same = ray.ObjectRef.from_hex(ref.hex())
        assert same == ref
        del ref
        assert ray.get(same) == "value"

    def test_what_nobody_records(self):
        ref = ray.put(1)
        assert ref.call_site() == ""
        assert ref.tensor_transport() is None
        assert ref.owner_address() == ray.put(2).owner_address() != b""
        assert ray.ObjectRef.nil().owner_address() == b""

    def test_callbacks(self):
        import queue

        told = queue.Queue()
        ref = whoami.remote()
        ref._on_completed(told.put)
        assert told.get(timeout=20) == ray.get(ref)
        ref._on_ready(lambda: told.put("ready"))
        assert told.get(timeout=20) == "ready"

    def test_references_are_true_and_nothing_else(self):
        assert ray.put(0)
        assert ray.ObjectRef.nil()
        for operation in (len, iter, int):
            with pytest.raises(TypeError):
                operation(ray.put(0))

    def test_a_reference_nobody_made_gets_nothing(self):
        with pytest.raises(ValueError, match="reference"):
            ray.get(ray.ObjectRef.from_random())
