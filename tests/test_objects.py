"""Objects: what can be put, what `get` gives, who keeps it alive, when its memory comes back."""

import array
import collections
import dataclasses
import datetime
import decimal
import fractions
import gc
import pickle
import uuid

import numpy as np
import pytest

import ray
from ray.exceptions import GetTimeoutError, ObjectStoreFullError, RayTaskError
from support import wait_until

MIB = 1 << 20


def stats():
    return ray._core.store_stats()


def nothing_stored():
    """The store holds no object, the scheduler knows of none, and neither does this process."""
    gc.collect()
    counters = ray._core.counters()
    return (
        stats()["objects"] == 0
        and stats()["used_bytes"] == 0
        and counters["shared_objects"] == 0
        and counters["local_objects"] == 0
    )


@pytest.fixture
def all_given_back(cluster):
    """Two workers; after the test, and without waiting for the end of the cluster, nothing may be stored."""
    cluster(num_workers=2)
    yield
    wait_until(nothing_stored)


@dataclasses.dataclass
class Pair:
    first: object
    second: object = None


Point = collections.namedtuple("Point", "x y")

PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    2**62,
    -(2**63),
    2**63,
    2**64,
    -(2**200),
    10**5000,
    0.0,
    -0.0,
    1e308,
    float("inf"),
    1 + 2j,
    "",
    "text",
    "äöü 漢字 🦀",
    "nul \0 inside",
    "lone \ud800 surrogate",
    "x" * 100_000,
    b"",
    b"\0\xff" * 1000,
    bytearray(b"abc"),
    (),
    (1,),
    [],
    [[[]]],
    {},
    {"a": {"b": [1, (2, {3})]}},
    {1: None, (1, 2): "tuple key", None: 0, True: "equal to 1"},  # noqa: F601
    set(),
    {1, 2, 3},
    frozenset({1, "a"}),
    range(5, 50, 3),
    slice(1, None, 2),
    ...,
    NotImplemented,
    int,
    len,
    datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
    datetime.timedelta(days=-1, microseconds=1),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=5),
    collections.OrderedDict(b=1, a=2),
    collections.Counter("hello"),
    collections.deque([1, 2], maxlen=3),
    collections.defaultdict(list, {"a": [1]}),
    array.array("d", [1.5, 2.5]),
    Point(1, 2),
    Pair(1, [Pair(2)]),
]


@pytest.mark.parametrize("travels", ["stored", "as argument and result"])
def test_plain_values_come_back_equal_and_of_the_same_type(all_given_back, travels):
    echo = ray.remote(lambda value: value)
    for value in PLAIN:
        ref = ray.put(value) if travels == "stored" else echo.remote(value)
        back = ray.get(ref)
        assert back == value
        assert type(back) is type(value)


def test_values_that_equal_nothing_keep_their_bits(all_given_back):
    nan = ray.get(ray.put(float("nan")))
    assert nan != nan
    assert str(ray.get(ray.put(-0.0))) == "-0.0"


def test_code_travels(all_given_back):
    captured = 10
    function = ray.get(ray.put(lambda value: value + captured))
    assert function(1) == 11

    class Local:
        def method(self):
            return captured

    assert ray.get(ray.put(Local())).method() == 10
    error = ray.get(ray.put(ValueError("as a value")))
    assert isinstance(error, ValueError)
    assert error.args == ("as a value",)


def test_identity_inside_one_value_is_kept(all_given_back):
    shared = [1]
    circle = [shared, shared]
    circle.append(circle)
    back = ray.get(ray.put(circle))
    assert back[0] is back[1]
    assert back[2] is back


def test_each_get_of_a_mutable_value_gives_a_new_one(all_given_back):
    ref = ray.put([1, [2]])
    first, second = ray.get([ref, ref])
    assert first == second
    first[1].append(3)
    assert second == [1, [2]]
    assert ray.get(ref) == [1, [2]]


def test_a_change_after_put_or_submission_is_not_seen(all_given_back):
    total = ray.remote(lambda values: float(sum(values)))
    values, numbers, large = [1, 2], np.ones(10), np.ones(MIB // 8)
    refs = [ray.put(values), ray.put(numbers), ray.put(large)]
    sums = [total.remote(values), total.remote(numbers), total.remote(large)]
    values.append(100)
    numbers += 100
    large += 100
    assert [float(np.sum(back)) for back in ray.get(refs)] == [3.0, 10.0, MIB // 8]
    assert ray.get(sums) == [3.0, 10.0, MIB // 8]


# ---- arrays

DTYPES = [
    *np.typecodes["AllInteger"],
    *np.typecodes["AllFloat"],
    "?",
    "S5",
    "U5",
    "V7",
    "M8[ns]",
    "M8[D]",
    "m8[us]",
    ">i4",
    "<f8",
    [("a", "i4"), ("b", "f8", (2, 2)), ("c", "U3")],
    {"names": ["x", "y"], "formats": ["i1", "f8"], "offsets": [0, 16], "itemsize": 32},
    np.dtype([("nested", [("deep", "i2")])], align=True),
]


def filled(dtype, shape):
    """An array of this dtype with bytes in it that differ, none of them a NaN that would differ from itself."""
    dtype = np.dtype(dtype)
    raw = (np.arange(int(np.prod(shape)) * dtype.itemsize) % 50).astype("u1").tobytes()
    if dtype.kind in "MmfdgGcU?" or dtype.fields:
        made = np.zeros(shape, dtype)
        if dtype.kind in "fcg":
            made += np.arange(made.size).reshape(shape)
        return made
    return np.frombuffer(raw, dtype).reshape(shape)


def same(back, sent):
    assert type(back) is type(sent)
    assert back.dtype == sent.dtype
    assert back.shape == sent.shape
    assert back.tobytes() == sent.tobytes()


@pytest.mark.parametrize("count", [3, 20_000], ids=["small", "large"])
def test_every_dtype(all_given_back, count):
    arrays = [filled(dtype, (count,)) for dtype in DTYPES]
    for sent, back in zip(arrays, ray.get([ray.put(sent) for sent in arrays]), strict=True):
        same(back, sent)
        with pytest.raises(ValueError, match="read-only"):
            back[0] = sent[0]


def layouts(side):
    block = np.arange(side * side * 2, dtype="f4").reshape(side, side, 2)
    yield "0-d", np.array(7.5)
    yield "0-d structured", np.array((1, 2.5), dtype="i4,f8")
    yield "empty", np.empty((0, 5), "i8")
    yield "no axis left", np.empty((3, 0, 2))
    yield "Fortran", np.asfortranarray(block[..., 0])
    yield "strided", block[::2, ::3, 1]
    yield "negative strides", block[::-1, ::-1]
    yield "transposed", block.transpose(2, 0, 1)
    yield "broadcast", np.broadcast_to(np.arange(side), (4, side))
    yield "contiguous part", block[1:]
    read_only = block.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    yield "of bytes", np.frombuffer(bytes(range(256)) * side, "u1")
    yield "long", np.arange(side * 100, dtype="i2")


@pytest.mark.parametrize("side", [4, 120], ids=["small", "large"])
def test_every_layout(all_given_back, side):
    for name, sent in layouts(side):
        back = ray.get(ray.put(sent))
        same(back, sent)
        assert not back.flags.writeable, name
        assert back.flags.f_contiguous or not sent.flags.f_contiguous, name
        result = ray.get(ray.remote(lambda value: value).remote(sent))
        same(result, sent)


def test_arrays_of_python_objects(all_given_back):
    sent = np.array([1, "two", None, [3, 4], {"five": 6}], dtype=object)
    back = ray.get(ray.put(sent))
    assert back.dtype == object
    assert list(back) == list(sent)


def test_other_kinds_of_arrays(all_given_back):
    masked = np.ma.masked_array(np.arange(50_000), mask=np.arange(50_000) % 2 == 0)
    back = ray.get(ray.put(masked))
    assert type(back) is np.ma.MaskedArray
    assert np.array_equal(back.mask, masked.mask)
    assert int(back.sum()) == int(masked.sum())
    matrix = np.arange(10_000.0).reshape(100, 100).view(np.recarray)
    same(ray.get(ray.put(matrix)), matrix)
    scalar = ray.get(ray.put(np.float32(1.5)))
    assert type(scalar) is np.float32


def inside(array):
    return {
        "dict": {"a": array},
        "list": [1, [array]],
        "tuple": (array, "x"),
        "dataclass": Pair(array, [array]),
        "several": [array, array[: array.size // 2].copy(), array[::-1]],
    }


@pytest.mark.parametrize("kind", ["dict", "list", "tuple", "dataclass", "several"])
def test_arrays_inside_containers_are_not_copied(all_given_back, kind):
    array = np.arange(MIB // 8)
    ref = ray.put(inside(array)[kind])

    def dig(value):
        if isinstance(value, np.ndarray):
            return value
        inner = (
            value.first if isinstance(value, Pair) else next(iter(value.values() if isinstance(value, dict) else reversed(value)))
        )
        return dig(inner if not isinstance(inner, str) else value[0])

    first, second = dig(ray.get(ref)), dig(ray.get(ref))
    assert np.shares_memory(first, second)
    assert not first.flags.writeable


def test_two_gets_are_two_views_of_the_same_memory(all_given_back):
    ref = ray.put(np.arange(MIB))
    first, second = ray.get(ref), ray.get(ref)
    assert first is not second
    assert first.ctypes.data == second.ctypes.data
    assert np.shares_memory(first, second)
    assert first.ctypes.data % 64 == 0


@pytest.mark.parametrize("size", [10, MIB], ids=["small", "large"])
def test_a_view_cannot_be_written(all_given_back, size):
    view = ray.get(ray.put(np.zeros(size)))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        view += 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True
    copy = view.copy()
    copy[0] = 1
    assert view[0] == 0


def test_a_task_cannot_write_its_argument_either(all_given_back):
    @ray.remote
    def write(array):
        try:
            array[0] = 1
        except ValueError as error:
            return str(error)

    ref = ray.put(np.zeros(MIB))
    assert "read-only" in ray.get(write.remote(ref))
    assert "read-only" in ray.get(write.remote(np.zeros(MIB // 8)))
    assert ray.get(ref)[0] == 0


def test_a_view_outlives_its_reference_and_every_other(all_given_back):
    views = []
    for number in range(5):
        ref = ray.put(np.full(MIB // 8, number))
        views.append(ray.get(ref)[10:])
        del ref
    gc.collect()
    # What is put now must not land where the views are.
    for _ in range(20):
        ray.put(np.full(MIB // 8, -1))
    assert [int(view.min()) for view in views] == [0, 1, 2, 3, 4]
    assert [int(view.max()) for view in views] == [0, 1, 2, 3, 4]
    assert stats()["used_bytes"] >= 5 * MIB
    del views[1:]
    wait_until(lambda: stats()["objects"] == 1)
    assert int(views[0].max()) == 0


def test_a_view_of_a_result_outlives_its_reference(all_given_back):
    make = ray.remote(lambda number: np.full(MIB // 8, number))
    views = [ray.get(make.remote(number)) for number in range(5)]
    for _ in range(5):
        ray.get(make.remote(-1))
    assert [int(view.min()) for view in views] == [0, 1, 2, 3, 4]


def test_a_view_outlives_the_cluster(cluster):
    cluster(num_workers=1)
    mine = ray.get(ray.put(np.arange(MIB)))
    others = ray.get(ray.remote(lambda: np.arange(MIB)).remote())
    ray.shutdown()
    assert int(mine[-1]) == int(others[-1]) == MIB - 1


def test_64_mib(all_given_back):
    sent = np.random.default_rng(1).integers(0, 256, 64 * MIB, "u1")
    total = int(sent.sum())
    ref = ray.put(sent)
    assert stats()["used_bytes"] >= 64 * MIB
    assert int(ray.get(ref).sum()) == total
    assert ray.get(ray.remote(lambda array: int(array.sum())).remote(ref)) == total
    doubled = ray.remote(lambda array: array * 2).remote(ref)
    assert np.array_equal(ray.get(doubled), sent * 2)
    text = "x" * (64 * MIB)
    assert ray.get(ray.put(text)) == text
    raw = bytes(64 * MIB)
    assert ray.get(ray.put(raw)) == raw


def test_buffers_of_other_kinds(all_given_back):
    raw = np.arange(MIB, dtype="u1").tobytes()
    buffer = pickle.PickleBuffer(raw)
    assert bytes(ray.get(ray.put(buffer))) == raw
    assert ray.get(ray.put(bytearray(raw))) == bytearray(raw)
    assert ray.get(ray.put(array.array("q", range(100_000)))) == array.array("q", range(100_000))


def test_memoryviews_are_refused_with_a_reason_or_come_back(all_given_back):
    try:
        back = ray.get(ray.put(memoryview(b"abc")))
    except TypeError as error:
        assert "memoryview" in str(error)
    else:
        assert bytes(back) == b"abc"


def test_arrow_tables(all_given_back):
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "number": pa.array(range(100_000)),
            "text": pa.array([None if row % 7 == 0 else f"row {row}" for row in range(100_000)]),
            "list": pa.array([[row] * (row % 3) for row in range(100_000)]),
        }
    )
    ref = ray.put(table)
    back, again = ray.get([ref, ref])
    assert back.equals(table)
    address = [column["number"].chunk(0).buffers()[1].address for column in (back, again)]
    assert address[0] == address[1], "read without a copy"
    assert ray.get(ray.remote(lambda rows: rows.num_rows).remote(ref)) == 100_000
    assert ray.get(ray.remote(lambda rows: rows.slice(10, 20)).remote(ref)).equals(table.slice(10, 20))
    del back, again


# ---- references


def test_references_are_hashable_comparable_and_print_as_the_tutorial_shows(all_given_back):
    ref, other = ray.put(1), ray.put(1)
    assert repr(ref).startswith("<ray.ObjRef at 0x")
    assert ref == ref
    assert ref != other
    assert len({ref, other, ref}) == 2
    assert isinstance(ref, ray.ObjectRef)


def test_references_inside_values_keep_what_they_refer_to_alive(all_given_back):
    outer = ray.put({"inner": [ray.put(np.arange(MIB)), ray.put("small")]})
    for _ in range(3):
        ray.put(np.zeros(MIB))
    inner = ray.get(outer)["inner"]
    del outer
    assert int(ray.get(inner[0])[-1]) == MIB - 1
    assert ray.get(inner[1]) == "small"


def test_references_inside_arguments_and_results(all_given_back):
    @ray.remote
    def swap(pair):
        return [pair[1], pair[0], ray.put(np.full(MIB, 3)), ray.put("new")]

    first, second, third, fourth = ray.get(swap.remote([ray.put(np.full(MIB, 1)), ray.put(np.full(MIB, 2))]))
    assert [int(ray.get(ref)[0]) for ref in (first, second, third)] == [2, 1, 3]
    assert ray.get(fourth) == "new"


def test_a_reference_handed_through_many_hands(all_given_back):
    @ray.remote
    def pass_on(box, hops):
        return box if hops == 0 else pass_on.remote(box, hops - 1)

    box = pass_on.remote([ray.put(np.arange(MIB))], 4)
    while isinstance(box, ray.ObjectRef):
        box = ray.get(box)
    assert int(ray.get(box[0])[-1]) == MIB - 1


def test_references_of_references(all_given_back):
    ref = ray.put(np.arange(MIB))
    for _ in range(10):
        ref = ray.put([ref])
    for _ in range(10):
        (ref,) = ray.get(ref)
    assert int(ray.get(ref)[5]) == 5


# ---- memory comes back


def test_memory_of_what_was_put(all_given_back):
    refs = [ray.put(np.zeros(MIB // 8)) for _ in range(20)]
    assert stats()["objects"] == 20
    assert stats()["used_bytes"] >= 20 * MIB
    del refs[5:]
    wait_until(lambda: stats()["objects"] == 5)
    reserved = stats()["reserved_bytes"]
    for _ in range(10):
        for _ in range(20):
            ray.put(np.zeros(MIB // 8))
        wait_until(lambda: stats()["objects"] == 5)
    assert stats()["reserved_bytes"] <= reserved + 16 * MIB, "freed memory is used again"


def test_memory_of_results_large_and_small(all_given_back):
    make = ray.remote(lambda count: np.zeros(count))
    refs = [make.remote(count) for count in (1, 10, MIB // 8, MIB)]
    ray.get(refs)
    assert stats()["used_bytes"] >= 9 * MIB
    del refs
    wait_until(nothing_stored)
    for _ in range(100):
        ray.get(make.remote(MIB // 8))
    wait_until(nothing_stored)


def test_results_dropped_before_they_exist(all_given_back):
    @ray.remote
    def make(count, pause):
        import time

        time.sleep(pause)
        return np.zeros(count)

    for count in (1, MIB // 8):
        refs = [make.remote(count, 0.02) for _ in range(20)]
        del refs
    done = make.remote(1, 0)
    ray.get(done)
    del done
    wait_until(nothing_stored)


def test_results_nobody_ever_looked_at(all_given_back):
    make = ray.remote(num_returns=3)(lambda: (np.zeros(MIB // 8), 1, [ray.put(np.zeros(MIB // 8))]))
    refs = [make.remote() for _ in range(10)]
    ray.wait([group[0] for group in refs], num_returns=10)
    del refs
    wait_until(nothing_stored)


def test_large_arguments_by_value_are_freed_after_the_call(all_given_back):
    length = ray.remote(lambda array: len(array))
    assert ray.get([length.remote(np.zeros(MIB // 8)) for _ in range(10)]) == [MIB // 8] * 10


def test_a_failed_task_keeps_nothing(all_given_back):
    @ray.remote
    def fail(array):
        raise ValueError(array.shape)

    for _ in range(5):
        with pytest.raises(ValueError, match="131072"):
            ray.get(fail.remote(np.zeros(MIB // 8)))


def test_what_a_task_puts_and_forgets(all_given_back):
    @ray.remote
    def put_and_forget():
        kept = [ray.put(np.zeros(MIB // 8)) for _ in range(5)]
        return len(kept)

    assert ray.get([put_and_forget.remote() for _ in range(6)]) == [5] * 6


# ---- a full store


def test_a_full_store_says_what_fills_it_and_goes_on(cluster):
    cluster(num_workers=2, object_store_memory=64 * MIB)
    refs = [ray.put(np.zeros(8 * MIB // 8)) for _ in range(4)]
    with pytest.raises(ObjectStoreFullError) as caught:
        refs += [ray.put(np.zeros(8 * MIB // 8)) for _ in range(20)]
    text = str(caught.value)
    assert "64" in text
    assert "MiB" in text or "bytes" in text
    assert ray.get(ray.remote(lambda: "small things still work").remote()) == "small things still work"
    assert all(ray.get(ref)[0] == 0 for ref in refs)
    del refs
    wait_until(lambda: stats()["objects"] == 0)
    again = [ray.put(np.ones(8 * MIB // 8)) for _ in range(4)]
    assert all(ray.get(ref)[0] == 1 for ref in again)


def test_a_full_store_in_a_task(cluster):
    cluster(num_workers=2, object_store_memory=64 * MIB)
    make = ray.remote(lambda count: np.zeros(count))
    with pytest.raises(RayTaskError) as caught:
        ray.get(make.remote(100 * MIB // 8))
    assert isinstance(caught.value.cause, ObjectStoreFullError)
    del caught
    assert len(ray.get(make.remote(MIB))) == MIB
    wait_until(nothing_stored)


def test_memory_one_process_is_done_with_serves_another(cluster):
    """The driver's segments are empty but still its own: the store asks for them back when another needs the room."""
    cluster(num_workers=2, object_store_memory=100 * MIB)
    for _ in range(5):
        ray.put(np.zeros(60 * MIB // 8))
        wait_until(nothing_stored)
        assert len(ray.get(ray.remote(lambda: np.zeros(60 * MIB // 8)).remote())) == 60 * MIB // 8
        wait_until(nothing_stored)


def test_an_object_larger_than_the_store(cluster):
    cluster(num_workers=1, object_store_memory=16 * MIB)
    with pytest.raises(ObjectStoreFullError):
        ray.put(np.zeros(17 * MIB // 8))
    assert ray.get(ray.put(np.ones(MIB // 8)))[0] == 1


def test_a_budget_no_machine_has():
    with pytest.raises(ValueError, match="GiB of memory"):
        ray.init(object_store_memory=1 << 50)
    with pytest.raises(ValueError, match="positive"):
        ray.init(object_store_memory=0)
    assert not ray.is_initialized()


# ---- get


def test_get_waits_and_times_out(all_given_back):
    @ray.remote
    def slow():
        import time

        time.sleep(0.5)
        return "done"

    ref = slow.remote()
    for timeout in (0, 0.01):
        with pytest.raises(GetTimeoutError):
            ray.get(ref, timeout=timeout)
    assert ray.get(ref, timeout=30) == "done"
    assert ray.get(ref, timeout=0) == "done"


def test_get_of_what_is_no_reference(all_given_back):
    for wrong in (1, None, "ref", (ray.put(1),), {ray.put(1)}):
        with pytest.raises(ValueError, match="Invalid type of object refs"):
            ray.get(wrong)
    with pytest.raises(TypeError, match=r"which is not an ray\.ObjectRef"):
        ray.get([ray.put(1), 2])
    with pytest.raises(TypeError, match="not allowed"):
        ray.put(ray.put(1))
    assert ray.get([]) == []


def test_ten_thousand_references_in_one_get(all_given_back):
    echo = ray.remote(lambda value: value)
    assert ray.get([ray.put(number) for number in range(10_000)]) == list(range(10_000))
    assert ray.get([echo.remote(number) for number in range(10_000)]) == list(range(10_000))
    arrays = ray.get([ray.put(np.full(100, number)) for number in range(10_000)])
    assert [int(array[-1]) for array in arrays] == list(range(10_000))
    ref = ray.put(5)
    assert ray.get([ref] * 10_000) == [5] * 10_000


def test_a_task_with_ten_thousand_arguments(all_given_back):
    total = ray.remote(lambda *numbers: sum(numbers))
    refs = [ray.put(number) for number in range(10_000)]
    assert ray.get(total.remote(*refs)) == sum(range(10_000))
    assert ray.get(total.remote(*range(10_000))) == sum(range(10_000))


def test_a_task_with_three_thousand_returns(all_given_back):
    refs = ray.remote(num_returns=3000)(lambda: list(range(3000))).remote()
    assert len(refs) == 3000
    assert ray.get(refs) == list(range(3000))


def test_an_object_that_holds_ten_thousand_references(all_given_back):
    outer = ray.put([ray.put(number) for number in range(10_000)])
    assert ray.get(ray.get(outer)) == list(range(10_000))
    assert ray.get(ray.remote(lambda refs: sum(ray.get(refs))).remote(outer)) == sum(range(10_000))


# ---- two stores


@ray.remote
def here():
    return ray._core.identity()[1]


@ray.remote
def make_here(count):
    import time

    time.sleep(0.02)  # so that the four that are asked for at once run on four workers
    return ray._core.identity()[1], ray.put(np.arange(count))


@ray.remote
def look(array):
    return ray._core.identity()[1], int(array[-1])


@ray.remote
def look_slowly(array, pause):
    import time

    time.sleep(pause)
    return ray._core.identity()[1], int(array[-1])


@ray.remote
def stats_here():
    import time

    time.sleep(0.02)
    return ray._core.identity()[1], ray._core.store_stats()


def stats_of_both():
    """The counts of both stores, by node."""
    found = {}
    while len(found) < 2:
        found.update(ray.get([stats_here.remote() for _ in range(4)]))
    return found


def made_at(node, count=MIB):
    """A reference to an object in the store of this node."""
    while True:
        for at, ref in ray.get([make_here.remote(count) for _ in range(4)]):
            if at == node:
                return ref


def both_empty():
    gc.collect()
    return all(row["objects"] == 0 and row["used_bytes"] == 0 for row in stats_of_both().values())


def test_workers_are_divided_among_the_stores(two_stores):
    nodes = [row["node"] for row in ray._core.cluster_info()["workers"]]
    assert sorted(nodes) == [0, 0, 1, 1]


def test_an_object_of_the_other_store_is_copied_once(two_stores):
    ref = made_at(1)
    before = stats()["fetched"]
    views = [ray.get(ref) for _ in range(5)]
    assert all(int(view[-1]) == MIB - 1 for view in views)
    assert np.shares_memory(views[0], views[4])
    assert stats()["fetched"] == before + 1
    assert ray.get([look.remote(ref) for _ in range(20)])[0][1] == MIB - 1
    assert stats()["fetched"] == before + 1
    assert stats_of_both()[1]["fetched"] == 0
    del views, ref
    wait_until(both_empty)


def test_an_object_is_copied_once_however_many_wait(two_stores):
    import threading

    ref = made_at(1, 4 * MIB)
    found = []
    threads = [threading.Thread(target=lambda ref: found.append(int(ray.get(ref)[-1])), args=(ref,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    tasks = [look_slowly.remote(ref, 0.05) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert found == [4 * MIB - 1] * 8
    assert {last for _, last in ray.get(tasks)} == {4 * MIB - 1}
    assert stats()["fetched"] == 1
    del ref, tasks, threads
    wait_until(both_empty)


def test_the_worker_that_has_the_bytes_is_preferred(two_stores):
    for node in (1, 0, 1):
        ref = made_at(node, 8 * MIB)
        before = sum(row["fetched"] for row in stats_of_both().values())
        where = [ray.get(look.remote(ref))[0] for _ in range(10)]
        assert where.count(node) >= 8, where
        assert sum(row["fetched"] for row in stats_of_both().values()) <= before + 1
        del ref


def test_a_chain_of_tasks_across_stores(two_stores):
    grow = ray.remote(lambda array: array + 1)
    ref = made_at(1)
    for _ in range(20):
        ref = grow.remote(ref)
    assert int(ray.get(ref)[0]) == 20
    del ref
    wait_until(both_empty)


def test_references_to_the_other_store_inside_values(two_stores):
    box = ray.put([made_at(0), made_at(1)])
    total = ray.remote(lambda refs: sum(int(array[-1]) for array in ray.get(refs)))
    assert ray.get([total.remote(box) for _ in range(8)]) == [2 * (MIB - 1)] * 8
    del box
    wait_until(both_empty)


def test_a_store_too_full_for_a_copy(cluster):
    cluster(num_workers=4, num_objstores=2, object_store_memory=64 * MIB)
    ref = made_at(1, MIB)
    mine = ray.put(np.zeros(60 * MIB // 8))
    with pytest.raises(ObjectStoreFullError):
        ray.get(ref)
    del mine
    wait_until(lambda: stats()["objects"] == 0)
    assert int(ray.get(ref)[-1]) == MIB - 1
