"""`ray.serialization` by itself: what survives, what is copied, what is noted, and what the errors say."""

# ruff: noqa: B008 - values that cannot be pickled are made in odd ways

import collections
import dataclasses
import doctest
import enum
import functools
import importlib
import io
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "ray"


def load(name):
    """A module of the package, also where the package's native part has not been built."""
    try:
        return importlib.import_module(f"ray.{name}")
    except ImportError:
        package = types.ModuleType("ray")
        package.__path__ = [str(PACKAGE)]
        sys.modules["ray"] = package
        return importlib.import_module(f"ray.{name}")


exceptions = load("exceptions")
serialization = load("serialization")
dumps, loads = serialization.dumps, serialization.loads


class Ref:
    """Stands for an object reference: tells when it is pickled."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        serialization.note_reference(self)
        return Ref, (self.name,)


@dataclasses.dataclass
class Point:
    x: object
    y: object = None


class Color(enum.Enum):
    RED = 1


def there_and_back(value):
    """Through out-of-band buffers that nobody may write to, as the object store has them."""
    buffers = []
    data = dumps(value, buffers.append)
    return loads(data, [memoryview(buffer.raw()).toreadonly() for buffer in buffers]), buffers


@pytest.fixture(name="out_of_band")
def _out_of_band():
    seen = []
    before = serialization.set_out_of_band_hook(seen.append)
    yield seen
    serialization.set_out_of_band_hook(before)


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        2.5,
        "text",
        b"bytes",
        (1, [2, {"k": {3}}]),
        Point(1, 2),
        Color.RED,
        range(3),
        len,
        collections.OrderedDict(a=1),
        "__main__",
        b"x" * 200_000,
        bytearray(b"x" * 200_000),
        frozenset([1]),
        float,
        np.float32(3),
    ],
    ids=lambda value: str(value)[:20],
)
def test_values_come_back(value):
    for again in (there_and_back(value)[0], loads(dumps(value))):
        assert again == value
        assert type(again) is type(value)


def test_ordinary_values_do_without_cloudpickle():
    code = (
        f"import sys, types; package = types.ModuleType('ray'); package.__path__ = [{str(PACKAGE)!r}]\n"
        "sys.modules['ray'] = package\nfrom ray.serialization import dumps, loads\n"
        "import collections\nloads(dumps([1, collections.OrderedDict(), len], [].append))\n"
        "print('cloudpickle' in sys.modules)\nassert loads(dumps(lambda: 3))() == 3\n"
        "print('cloudpickle' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout == "False\nTrue\n"


def test_functions_and_classes_without_a_name_go_by_value():
    class Local:
        def double(self, x):
            return 2 * x

    base = 10
    assert loads(dumps(lambda x: x + base))(1) == 11
    assert loads(dumps([Local()]))[0].double(4) == 8
    assert dumps(Point) == pickle.dumps(Point, 5)


def test_main_module_goes_by_value_and_other_modules_by_name(tmp_path):
    (tmp_path / "helper.py").write_text("class Helper:\n    pass\ndef helped():\n    return 'helped'\n")
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            f"""
            import sys, types
            package = types.ModuleType("ray")
            package.__path__ = [{str(PACKAGE)!r}]
            sys.modules["ray"] = package
            from ray.serialization import dumps
            import helper, os

            class Mine:
                def __init__(self, x):
                    self.x = x
                def value(self):
                    return scale * self.x

            scale = 3
            def function(x):
                return Mine(x).value(), helper.helped()

            with open(sys.argv[1], "wb") as file:
                file.write(dumps([Mine(2), function, helper.Helper(), helper.helped]))
            """
        )
    )
    subprocess.run([sys.executable, str(tmp_path / "program.py"), str(tmp_path / "out")], check=True)
    data = (tmp_path / "out").read_bytes()
    with pytest.raises(ModuleNotFoundError):
        loads(data)
    sys.path.insert(0, str(tmp_path))
    try:
        mine, function, helper, helped = loads(data)
        assert mine.value() == 6
        assert function(4) == (12, "helped")
        assert type(helper) is sys.modules["helper"].Helper
        assert helped is sys.modules["helper"].helped
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("helper", None)


def test_modules_registered_by_value():
    module = types.ModuleType("registered_module")
    exec("def f():\n    return 'by value'", module.__dict__)
    sys.modules["registered_module"] = module
    cloudpickle.register_pickle_by_value(module)
    try:
        data = dumps([module.f])
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules["registered_module"]
    assert loads(data)[0]() == "by value"


# -- buffers ----------------------------------------------------------------------------------------------------------

ARRAYS = {
    "plain": np.arange(6.0),
    "two dimensions": np.arange(6).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(20).reshape(4, 5)[:, ::2],
    "negative": np.arange(5)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "no dimension": np.array(3.5),
    "empty": np.zeros((0, 3)),
    "half": np.arange(3, dtype="f2"),
    "long double": np.arange(3, dtype="g"),
    "bool": np.array([True, False]),
    "complex": np.array([1j]),
    "big endian": np.arange(3, dtype=">i4"),
    "text": np.array(["a", "bc"]),
    "bytes": np.array([b"a", b"bc"]),
    "void": np.zeros(3, "V5"),
    "record": np.zeros(3, [("a", "i4"), ("b", "f8", (2,))]),
    "dates": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "dates, fortran": np.asfortranarray(np.zeros((2, 3), "M8[s]")),
    "date without dimension": np.array("2020-01-01", "M8[D]"),
    "durations": np.arange(4).astype("m8[ms]")[::2],
    "record of dates": np.zeros(2, [("a", "M8[s]"), ("b", "i4")]),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"a": [Point(a)]}, lambda a: [lambda: None, a]], ids="123")
def test_arrays_of_every_kind_stay_outside_and_come_back_read_only(name, wrap):
    array = ARRAYS[name]
    again, buffers = there_and_back(wrap(array))
    while not isinstance(again, np.ndarray):
        again = again["a"] if isinstance(again, dict) else again.x if isinstance(again, Point) else again[-1]
    assert len(buffers) == 1
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert np.array_equal(again, array) or "NaT" in str(array)
    assert str(again) == str(array)
    assert not again.flags.writeable


def test_arrays_share_the_memory_of_the_buffers():
    array = np.arange(1000)
    buffers = []
    data = dumps({"a": array, "b": array[::2]}, buffers.append)
    assert len(data) < 1000
    assert np.shares_memory(np.frombuffer(buffers[0], int), array)  # nothing was copied on the way out
    stored = bytearray(buffers[0].raw())
    again = loads(data, [memoryview(stored), buffers[1]])
    assert np.shares_memory(again["a"], np.frombuffer(stored, int))


def test_arrays_of_objects_and_subclasses_stay_inside():
    for array in (np.array([1, "a", None], object), np.ma.masked_array([1, 2], [True, False])):
        again, _ = there_and_back({"a": array})
        assert type(again["a"]) is type(array)
        assert again["a"].tolist() == array.tolist()
    strings = np.array(["a", "bb"], dtype=np.dtypes.StringDType())
    assert there_and_back(strings)[0].tolist() == ["a", "bb"]


def test_large_bytes_stay_outside():
    for value in (b"x" * 100_000, bytearray(100_000)):
        buffers = []
        assert len(dumps(value, buffers.append)) < 200
        assert len(buffers) == 1
    assert len(dumps(b"x" * 100_000)) > 100_000


def test_buffers_go_inside_without_a_callback():
    again = loads(dumps({"a": np.arange(5)}))
    assert again["a"].tolist() == [0, 1, 2, 3, 4]


def test_failed_attempts_hand_over_nothing():
    class Local:
        pass

    buffers = []
    value = [np.arange(4), np.arange(5), Local()]  # the C pickler meets the arrays, then gives up
    data = dumps(value, buffers.append)
    assert [len(buffer.raw()) for buffer in buffers] == [32, 40]
    assert [a.tolist() for a in loads(data, buffers)[:2]] == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]
    buffers.clear()
    with pytest.raises(TypeError):
        dumps([np.arange(4), threading.Lock()], buffers.append)
    assert buffers == []


# -- references -------------------------------------------------------------------------------------------------------


def test_references_are_collected_once_and_in_order(out_of_band):
    class Local:
        pass

    a, b, c = Ref("a"), Ref("b"), Ref("c")
    for value in ([a, {"k": b}, (c, a)], [a, b, c, Local()], [a, b, c, np.arange(6)[::2]], [a, b, c, "__main__"]):
        with serialization.collecting() as references:
            dumps(value, [].append)
        assert references == [a, b, c]
    assert out_of_band == []


def test_failures_leave_the_collection_as_it_was():
    a, b = Ref("a"), Ref("b")
    with serialization.collecting() as references:
        dumps(a)
        with pytest.raises(TypeError):
            dumps([b, threading.Lock()])
        assert references == [a, b]  # what the last attempt saw: the caller drops the collection of a failure
        dumps(b)


def test_collections_nest():
    inner_seen = []

    class PutsInside:
        """Stores something of its own while it is pickled."""

        def __reduce__(self):
            with serialization.collecting() as inner:
                dumps(Ref("inner"))
            inner_seen.extend(reference.name for reference in inner)
            return str, ()

    a, b = Ref("a"), Ref("b")
    with serialization.collecting() as references:
        dumps([a, PutsInside(), b])
    assert references == [a, b]
    assert set(inner_seen) == {"inner"}


def test_collections_belong_to_their_thread(out_of_band):
    started, finish = threading.Event(), threading.Event()
    results = {}

    def other():
        with serialization.collecting() as references:
            started.set()
            assert finish.wait(30)
            dumps(Ref("theirs"))
        results["theirs"] = [reference.name for reference in references]

    thread = threading.Thread(target=other)
    thread.start()
    assert started.wait(30)
    with serialization.collecting() as mine:
        dumps(Ref("mine"))
    dumps(Ref("loose"))
    finish.set()
    thread.join()
    assert [reference.name for reference in mine] == ["mine"]
    assert results["theirs"] == ["theirs"]
    assert [reference.name for reference in out_of_band] == ["loose"]


def test_collection_ends_with_an_error(out_of_band):
    with pytest.raises(ZeroDivisionError), serialization.collecting():
        raise ZeroDivisionError
    dumps(Ref("after"))
    assert len(out_of_band) == 1


def test_references_outside_of_collections(out_of_band):
    ref = Ref("a")
    cloudpickle.dumps(ref)
    assert out_of_band == [ref]
    dumps([ref, lambda: None])  # written twice, noted once
    assert out_of_band == [ref, ref]
    with pytest.raises(TypeError):
        dumps([ref, threading.Lock()])
    assert out_of_band == [ref, ref]


def test_references_out_of_band_are_pinned_or_refused(monkeypatch):
    ref = Ref("pinned")
    pickle.dumps(ref)
    assert ref in serialization._pinned
    del serialization._pinned[ref]
    monkeypatch.setenv("RAY_allow_out_of_band_object_ref_serialization", "0")
    with pytest.raises(exceptions.OufOfBandObjectRefSerializationException):
        pickle.dumps(ref)
    with pytest.raises(exceptions.OufOfBandObjectRefSerializationException):
        dumps([ref])
    with serialization.collecting():
        dumps(ref)


def test_explaining_notes_nothing(out_of_band):
    with serialization.collecting() as references:
        serialization.explain_unpicklable([Ref("a"), threading.Lock()], "x")
        serialization.inspect_serializability([Ref("a")], print_file=io.StringIO())
    assert references == []
    assert out_of_band == []
    exceptions.RayTaskError("f", "tb", ValueError(Ref("a")))
    assert out_of_band == []


# -- own serializers --------------------------------------------------------------------------------------------------


class Locked:
    def __init__(self, n):
        self.n = n
        self.lock = threading.Lock()


class LockedChild(Locked):
    pass


@pytest.fixture(name="locked_registered")
def _locked_registered():
    serialization.register_serializer(Locked, serializer=lambda value: value.n, deserializer=lambda n: Locked(n + 100))
    yield
    serialization.deregister_serializer(Locked)


@pytest.mark.usefixtures("locked_registered")
def test_own_serializers_travel_with_the_data():
    buffers = []
    data = dumps({"a": [Locked(1), Point(Locked(2))], "b": np.arange(4)[::2]}, buffers.append)
    assert len(buffers) == 1
    serialization.deregister_serializer(Locked)
    again = loads(data, buffers)
    assert again["a"][0].n == 101
    assert again["a"][1].x.n == 102
    with pytest.raises(TypeError):
        dumps(Locked(1))


@pytest.mark.usefixtures("locked_registered")
def test_own_serializers_are_for_the_exact_class():
    dumps(Locked(1))
    with pytest.raises(TypeError):
        dumps(LockedChild(1))


def test_own_serializer_for_a_class_that_pickles_anyway():
    serialization.register_serializer(Point, serializer=lambda p: (p.y, p.x), deserializer=lambda xy: Point(*xy))
    try:
        assert loads(dumps(Point(1, 2))) == Point(2, 1)
    finally:
        serialization.deregister_serializer(Point)
    assert loads(dumps(Point(1, 2))) == Point(1, 2)
    serialization.deregister_serializer(Point)


def test_wrong_serializers_are_refused():
    with pytest.raises(TypeError, match="takes a class"):
        serialization.register_serializer(3, serializer=str, deserializer=int)
    with pytest.raises(TypeError, match="deserializer= must be a function"):
        serialization.register_serializer(int, serializer=str, deserializer=3)


# -- explanations -----------------------------------------------------------------------------------------------------


class Handler:
    def __init__(self):
        self.level = 3
        self.lock = threading.Lock()


class Log:
    def __init__(self):
        self.name = "log"
        self.handlers = [Handler()]


class Model:
    def __init__(self):
        self.weights = np.zeros(10)
        self.logger = Log()


class Slots:
    __slots__ = ("fine", "lock")

    def __init__(self):
        self.fine = 1
        self.lock = threading.Lock()


class KeepsSome:
    def __init__(self):
        self.dropped = threading.Lock()
        self.kept = {"deep": [threading.Lock()]}

    def __getstate__(self):
        return {"kept": self.kept}


class Refuses:
    def __init__(self):
        self.innocent = threading.Lock()

    def __reduce__(self):
        raise ValueError("I stay here")


Pair = collections.namedtuple("Pair", "left right")


def make_closure():
    model = Model()

    def f(x):
        return model, x

    return f


def with_inner_global():
    code = "import threading\nstate = {'lock': threading.Lock()}\nfine = 1\ndef f():\n    return lambda: (state, fine)\n"
    scope = {"__name__": "__main__"}
    exec(code, scope)
    return scope["f"]


def cyclic():
    a, b = [], {}
    a.append(b)
    b["a"], b["lock"] = a, threading.Lock()
    return a


def with_attribute():
    def f(): ...

    f.__module__ = "__main__"
    f.resource = threading.Lock()
    return f


LOCK = threading.Lock()
FAULTS = {
    "closure": (make_closure, "x.__closure__['model'].logger.handlers[0].lock"),
    "list": (lambda: [1, [2, threading.Lock()]], "x[1][1]"),
    "dict": (lambda: {"a": {"b": threading.Lock()}}, "x['a']['b']"),
    "key": (lambda: {threading.Lock(): 1}, "x.keys()[<unlocked _thread.lock object at "),
    "set": (lambda: {threading.Lock()}, "x[<unlocked _thread.lock object at "),
    "deque": (lambda: collections.deque([1, threading.Lock()]), "x[1]"),
    "named tuple": (lambda: Pair(1, threading.Lock()), "x.right"),
    "slots": (Slots, "x.lock"),
    "dataclass": (lambda: Point(1, threading.Lock()), "x.y"),
    "own state": (KeepsSome, "x.kept['deep'][0]"),
    "own reduce": (Refuses, "x (a "),
    "method": (lambda: Model().__init__, "x.__self__.logger.handlers[0].lock"),
    "partial": (lambda: functools.partial(print, 1, a=Handler()), "x.keywords['a'].lock"),
    "globals": (with_inner_global, "x.__globals__['state']['lock']"),
    "default": (lambda: lambda a=threading.Lock(): a, "x.__defaults__[0]"),
    "attribute of a function": (with_attribute, "x.resource"),
    "class": (lambda: type("C", (), {"shared": threading.Lock()}), "x.shared"),
    "cycle": (cyclic, "x[0]['lock']"),
    "exception": (lambda: ValueError("x", threading.Lock()), "x.__reduce__()[1]"),
    "itself": (threading.Lock, "x (a _thread.lock)"),
    "generator": (lambda: {"g": (i for i in range(3))}, "x['g'] (a generator). Try: pass a list"),
    "file": (lambda: [sys.stderr.buffer if hasattr(sys.stderr, "buffer") else open(os.devnull)], "x[0]"),
    "ordered": (lambda: collections.OrderedDict(a=threading.Lock()), "x['a']"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_finds_the_part_at_fault(name):
    make, path = FAULTS[name]
    text = serialization.explain_unpicklable(make(), "x")
    assert text.startswith(path), text
    assert ". Try: " in text


def test_nothing_to_explain():
    for value in (1, [Point(1)], make_closure.__code__.co_name, lambda: 1, logging.getLogger("x")):
        assert serialization.explain_unpicklable(value, "x") is None


def test_explaining_never_raises_and_ends():
    class Nasty:
        def __getattr__(self, name):
            raise RuntimeError(name)

        def __reduce__(self):
            raise RuntimeError("no")

        def __repr__(self):
            raise RuntimeError("no repr")

    deep = current = []
    for _ in range(100_000):
        current.append([])
        current = current[0]
    wide = [[threading.Lock()] for _ in range(20_000)]
    assert serialization.explain_unpicklable(Nasty(), "x").startswith("x (a ")
    assert "Nasty" in str(serialization.describe_failure(Nasty(), "the put value"))
    assert "nested too deeply" in serialization.explain_unpicklable(deep, "x")
    assert serialization.explain_unpicklable(wide, "x").startswith("x[0][0]")
    while deep:  # taken apart by hand: freeing 100,000 levels at once is hard on the stack
        deep = deep.pop()


def test_failures_in_words():
    value = Handler()
    with pytest.raises(TypeError) as caught:
        dumps(value)
    error = serialization.describe_failure(value, "the put value", caught.value)
    assert type(error) is TypeError
    assert error.__cause__ is caught.value
    text = str(error)
    assert text.startswith("Could not serialize the put value <")
    assert "Handler object at 0x" in text
    assert ">: cannot pickle '_thread.lock' object. The part at fault: value.lock (a _thread.lock). Try: " in text
    function = make_closure()
    text = str(serialization.describe_failure(function, "the function m.f"))
    assert "cannot pickle '_thread.lock' object" in text
    assert "The part at fault: f.__closure__['model'].logger.handlers[0].lock" in text


def test_inspect_serializability_prints_and_returns_the_faults():
    value = {"a": threading.Lock(), "b": [Handler(), 1], "c": 1}
    out = io.StringIO()
    fine, faults = serialization.inspect_serializability(value, name="state", print_file=out)
    assert fine is False
    assert {fault.path for fault in faults} == {"state['a']", "state['b'][0].lock"}
    assert {fault.name for fault in faults} == {"['a']", ".lock"}
    by_path = {fault.path: fault for fault in faults}
    assert by_path["state['a']"].obj is value["a"]
    assert by_path["state['a']"].parent is value
    assert by_path["state['b'][0].lock"].parent is value["b"][0]
    assert "state['b'][0].lock" in out.getvalue()
    assert "FailureTuple(state['a'] [obj=" in repr(by_path["state['a']"])
    assert by_path["state['a']"] in faults
    fine, faults = serialization.inspect_serializability(value, depth=1, print_file=out)
    assert {fault.path for fault in faults} == {"value['a']", "value['b']"}
    fine, faults = serialization.inspect_serializability(make_closure, print_file=out)
    assert (fine, faults) == (True, set())
    assert "make_closure can be serialized" in out.getvalue()


def test_one_fault_in_two_places_is_one_fault():
    lock = threading.Lock()
    _, faults = serialization.inspect_serializability([[lock], [lock]], print_file=io.StringIO())
    assert [fault.path for fault in faults] == ["value[0][0]"]


def test_large_functions():
    serialization.warn_if_large(10 * 1024 * 1024, "m.f")
    with pytest.warns(UserWarning, match=r"m\.f is very large: 50 MiB.*ray\.put"):
        serialization.warn_if_large(50 * 1024 * 1024, "m.f")
    with pytest.raises(ValueError, match=r"m\.f is too large to be sent to workers: 101 MiB"):
        serialization.warn_if_large(101 * 1024 * 1024, "m.f")


def test_examples_in_the_documentation():
    for name in ("dumps", "register_serializer", "collecting", "inspect_serializability"):
        globs = {**vars(serialization), "__name__": "__main__"}
        for example in doctest.DocTestFinder(recurse=False).find(getattr(serialization, name), name, globs=globs):
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0
