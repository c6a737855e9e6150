"""`ray.signatures` by itself: which calls are accepted, which types, and what the errors say."""

# ruff: noqa: B023, F821, UP006, UP007, UP035, UP045 - old spellings of types are part of what is tested

import collections
import collections.abc
import doctest
import functools
import importlib
import inspect
import pickle
import random
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any, Callable, Generic, List, Literal, Optional, Protocol, TypeVar, Union

import cloudpickle
import numpy as np
import pytest
from numpy.typing import NDArray

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


signatures = load("signatures")
make = signatures.make_signature
NOT_A_REFERENCE = signatures.NOT_A_REFERENCE
T = TypeVar("T")


class Ref:
    """Stands for an object reference."""

    def __init__(self, declared=None):
        self.declared = declared


def declared_type(value):
    return value.declared if isinstance(value, Ref) else NOT_A_REFERENCE


def add(a, b):
    return a + b


def raises(match, error=TypeError):
    return pytest.raises(error, match=match)


# -- arity and keywords -----------------------------------------------------------------------------------------------


def test_facts_for_the_native_call_path():
    def f(a, b, /, c, d=1, *rest, e, g=2, **more): ...

    signature = make(f)
    assert signature.name == f"{__name__}.{f.__qualname__}"
    assert signature.short_name == "f"
    assert [p.name for p in signature.params] == ["a", "b", "c", "d", "rest", "e", "g", "more"]
    assert [p.kind for p in signature.params] == [int(p.kind) for p in inspect.signature(f).parameters.values()]
    assert (signature.required, signature.max_positional) == (3, 4)
    assert signature.has_varargs
    assert signature.has_varkw
    assert signature.required_keywords == ("e",)
    assert not signature.typed
    assert signature.plain == (None,) * 4
    assert signature.num_returns is None


def test_binding_returns_the_call_as_it_was():
    signature = make(add)
    args = (1, 2)
    assert signature.bind(args) == (args, {})
    assert signature.bind(args)[0] is args
    kwargs = {"b": 2}
    assert signature.bind((1,), kwargs) == ((1,), kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1,), {}, "missing a required argument: 'b'"),
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1, 2), {"y": 1}, "got an unexpected keyword argument 'y'"),
        ((1, 2), {"b": 1}, "multiple values for argument 'b'"),
    ],
)
def test_misfits_name_function_and_parameter(args, kwargs, message):
    with raises(message) as caught:
        make(add).bind(args, kwargs)
    assert str(caught.value).startswith(f"{__name__}.add(): ")


def test_positional_only_and_keyword_only():
    def f(a, /, *, b): ...

    signature = make(f)
    signature.bind((1,), {"b": 2})
    with raises("missing a required argument: 'b'"):
        signature.bind((1,))
    with raises("'a' parameter is positional only, but was passed as a keyword"):
        signature.bind((), {"a": 1, "b": 2})
    with raises("missing a required argument: 'a'"):
        signature.bind((), {"b": 2})


SHAPES = [
    lambda: None,
    lambda a: None,
    lambda a, b=1: None,
    lambda a=1, b=2: None,
    lambda *a: None,
    lambda a, *b: None,
    lambda a, b=1, *c: None,
    lambda **a: None,
    lambda a, **b: None,
    lambda a, *b, c, d=1: None,
    lambda a, /, b, *, c: None,
    lambda a, b=1, /, c=2, *d, e=3, **f: None,
    lambda *, a, b=1: None,
    functools.partial(lambda a, b, c=1: None, 1),
    functools.partial(lambda a, b, c=1: None, b=1),
]


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_accepts_exactly_what_python_accepts(number):
    function = SHAPES[number]
    signature, reference = make(function), inspect.signature(function)
    chance = random.Random(number)
    for _ in range(400):
        args = tuple(range(chance.randrange(4)))
        kwargs = dict.fromkeys(chance.sample("abcdefg", chance.randrange(4)), 0)
        try:
            function(*args, **kwargs)
        except TypeError:
            with pytest.raises(TypeError) as caught:
                signature.bind(args, kwargs)
            got = str(caught.value)
            if signature.params and signature.params[0].kind == signatures.POSITIONAL_ONLY:
                continue  # each Python words these in its own way
            with pytest.raises(TypeError) as caught:
                reference.bind(*args, **kwargs)
            assert str(caught.value).replace(" keyword-only", "") in got, (args, kwargs)
        else:
            assert signature.bind(args, kwargs) == (args, kwargs)


def test_reads_functions_as_inspect_does():
    for function in SHAPES:
        ours = [(p.name, p.kind, p.required) for p in make(function).params]
        theirs = [
            (p.name, int(p.kind), p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
            for p in inspect.signature(function).parameters.values()
        ]
        assert ours == theirs


def test_wrappers_callables_methods_and_builtins():
    @functools.wraps(add)
    def wrapper(*args, **kwargs):
        return add(*args, **kwargs)

    with raises("too many positional arguments"):
        make(wrapper).bind((1, 2, 3))

    class Counter:
        def inc(self, n=1): ...

        def everything(*args): ...

        def __call__(self, x): ...

    method = make(Counter.inc, method=True)
    assert [p.name for p in method.params] == ["n"]
    assert make(Counter.everything, method=True).has_varargs
    assert [p.name for p in make(Counter()).params] == ["x"]
    assert make(functools.partial(add, 1)).short_name == "add"
    make(max).bind((1, 2, 3), {"key": None})  # no readable signature: anything goes
    assert make(len).required == 1


# -- types as two lists -----------------------------------------------------------------------------------------------


def test_types_as_lists():
    signature = make(add, [int, int], [int])
    assert signature.typed
    assert signature.plain == (int, int)
    assert signature.returns == signature.return_plain == (int,)
    assert signature.num_returns == 1
    signature.check_arguments((1, 2))
    signature.check_arguments((1,), {"b": 2})
    signature.check_arguments((True, 2))
    for args, kwargs in [((1, "x"), {}), ((1,), {"b": "x"})]:
        with raises("has type str but an argument of type int was expected: got 'x'") as caught:
            signature.check_arguments(args, kwargs)
        assert "'b'" in str(caught.value)
        assert f"{__name__}.add" in str(caught.value)
    with raises(r"Argument 1 \('b'\) for function"):
        signature.check_arguments((1, "x"))


def test_no_arguments_and_no_results():
    def nothing(): ...

    signature = make(nothing, [], [])
    assert signature.plain == ()
    assert signature.num_returns == 0
    assert signature.split_results(None) == ()
    signature.check_results(())
    with raises("0 return values", ValueError):
        signature.split_results(5)


def test_several_results():
    signature = make(lambda x: None, [float], [int, str, float])
    assert signature.num_returns == 3
    assert signature.split_results((1, "a", 2.0)) == (1, "a", 2.0)
    assert signature.split_results(iter([1, "a", 2.0])) == (1, "a", 2.0)
    for wrong in [(1, 2), [1, 2, 3, 4]]:
        with raises(f"Task returned {len(wrong)} objects, but num_returns=3.", ValueError):
            signature.split_results(wrong)
        with raises(f"Task returned {len(wrong)} objects, but num_returns=3.", ValueError):
            signature.check_results(wrong)
    with raises("Task returned 1 objects, but num_returns=3.", ValueError):
        signature.split_results(5)
    with raises("Task returned more than num_returns=3 objects.", ValueError):
        signature.split_results(iter(range(9)))
    with raises("Return value 1 of function .* has type int but a return value of type str was declared: got 2"):
        signature.check_results((1, 2, 3.0))
    signature.check_results((1, Ref(), Ref(float)), declared_type)
    with raises("Return value 2 .* is a reference to an object declared as str"):
        signature.check_results((1, "a", Ref(str)), declared_type)


def test_results_of_untyped_functions():
    signature = make(add)
    assert signature.split_results((1, 2)) == ((1, 2),)
    assert signature.split_results((1, 2), 2) == (1, 2)
    assert signature.split_results("anything", 0) == ()
    signature.check_results(("anything",))


@pytest.mark.parametrize(
    ("function", "arg_types", "bad"),
    [
        (lambda *a: None, [int], 2),
        (lambda a, *b: None, [str, int], 3),
    ],
)
def test_last_type_holds_for_all_extra_arguments(function, arg_types, bad):
    signature = make(function, arg_types, [str])
    args = ["x" if t is str else 1 for t in arg_types] + [1, 2, 3]
    signature.check_arguments(tuple(args))
    assert signature.var_plain is int
    args[bad] = "wrong"
    with raises(rf"Argument {bad} \(one of \*[ab]\)"):
        signature.check_arguments(tuple(args))
    signature.check_arguments(args[: len(arg_types) - 1])


def test_lists_must_fit_the_function():
    with raises(r"1 argument type\(s\) are declared, but the function has 2 parameter\(s\) \(a, b\)"):
        make(add, [int], [int])
    with raises("3 argument type"):
        make(add, [int, int, int], [int])
    with raises(r"cannot take \*\*b"):
        make(lambda a, **b: None, [int], [int])
    with raises("both"):
        make(lambda a=1, *b: None, [int, int], [int])
    with raises("two lists"):
        make(add, [int, int])
    with raises("two lists"):
        make(add, int, int)
    with raises("5 is not a type"):
        make(add, [int, 5], [int])
    with raises("is not a type"):
        make(add, [int, {}], [int])
    with raises("the type of return value 0: .* is not a type"):
        make(add, [int, int], [np])
    with raises("num_returns=2", ValueError):
        make(add, [int, int], [int], num_returns=2)


def test_defaults_and_keyword_only_with_lists():
    signature = make(lambda a, b=None, *, c=0: None, [int, str, float], [int])
    signature.bind((1,))
    signature.check_arguments((1,))
    signature.check_arguments((1,), {"c": 1.5})
    with raises("Argument 'c' .by keyword. .* pass 1.0"):
        signature.check_arguments((1,), {"c": 1})


# -- what passes for what ---------------------------------------------------------------------------------------------


class Animal:
    pass


class Dog(Animal):
    pass


class Box(Generic[T]):
    pass


class Speaks(Protocol):
    def speak(self): ...


@typing.runtime_checkable
class Swims(Protocol):
    def swim(self): ...


class Fish:
    def swim(self): ...


class EvenMeta(type):
    def __instancecheck__(cls, value):
        return isinstance(value, int) and value % 2 == 0


class Even(metaclass=EvenMeta):
    pass


class Movie(typing.TypedDict):
    title: str


UserId = typing.NewType("UserId", int)

PLAIN = [
    (int, [1, True, 10**30], [1.0, "1", None, np.int64(1)]),
    (float, [1.0, np.float64(1)], [1, True, np.float32(1), np.int64(1)]),
    (bool, [True], [1, 0, np.bool_(True)]),
    (complex, [1j], [1.0]),
    (str, ["", np.str_("x")], [b"", 1]),
    (list, [[1, "x"]], [(1,), np.zeros(2)]),
    (np.ndarray, [np.zeros(2), np.ma.masked_array([1])], [[1.0], 1.0]),
    (np.float32, [np.float32(1)], [1.0, np.float64(1)]),
    (np.integer, [np.int8(1), np.uint64(1)], [1, np.float32(1)]),
    (Animal, [Animal(), Dog()], [Animal, 1]),
    (Box, [Box()], [1]),
    (type(None), [None], [0]),
    (collections.abc.Sequence, [[], (), "", range(2)], [{}, 1, {1}]),
    (type, [int, Animal], [1]),
    (List, [[1, "x"]], [(1,)]),
    (Callable, [len, Animal], [1]),
]

ANYTHING = [Any, object]

FORMS = [
    (int | None, [1, None], ["x", 1.0]),
    (Optional[int], [1, None], ["x", 1.0]),
    (Union[int, str, np.ndarray], [1, "x", np.zeros(1)], [1.0, None]),
    (list[int], [[], [1, 2]], [["x"], (1,), [1] * 500 + ["x"]]),
    (List[int], [[], [1, 2]], [["x"], (1,), [1] * 500 + ["x"]]),
    (list[list[int]], [[[1], [2]]], [[[1], ["x"]], [1]]),
    (dict[str, int], [{}, {"a": 1}], [{1: 1}, {"a": "b"}, {str(i): i for i in range(99)} | {"x": None}]),
    (tuple[int, str], [(1, "a")], [(1,), (1, 2), [1, "a"], (1, "a", 2)]),
    (tuple[int, ...], [(), (1, 2, 3)], [(1, "x"), (*range(300), "x")]),
    (set[int], [{1}], [{"x"}, {*range(300), "x"}, [1]]),
    (collections.abc.Sequence[int], [[1], (1,)], [["x"], {1}, [1] * 500 + ["x"]]),
    (Optional[list[int]], [None, [1]], [["x"], [1] * 500 + ["x"], 1]),
    (list[int | None], [[1, None]], [["x"], [1] * 500 + ["x"]]),
    (Literal["a", 1], ["a", 1], ["b", 2]),
    (list[Literal["a"]], [["a"]], [["b"], ["a"] * 500 + ["b"]]),
    (Callable[[int], int], [len], [1]),
    (collections.abc.Callable[[int], int], [len], [1]),
    (type[Animal], [Dog], [int, Dog()]),
    (UserId, [5], ["x"]),
    (NDArray[np.float64], [np.zeros(2)], [np.zeros(2, int), [1.0]]),
    (typing.Annotated[int, "metadata"], [1], ["x"]),
    (Even, [2], [3, "x"]),
    (Swims, [Fish()], [1]),
    (Box[int], [Box()], [1]),
    (Movie, [{"title": "x"}], [1]),
]


def one(x): ...


def case_id(value):
    return signatures.describe_type(value) if not isinstance(value, list) else ""


@pytest.mark.parametrize(("form", "good", "bad"), PLAIN, ids=case_id)
def test_classes_are_checked_directly(form, good, bad):
    signature = make(one, [form], [form])
    assert isinstance(signature.plain[0], type)
    assert signature.return_plain == signature.plain
    accepts(signature, good, bad)


@pytest.mark.parametrize("form", ANYTHING, ids=case_id)
def test_any_takes_everything(form):
    signature = make(one, [form], [form])
    assert signature.plain == (None,)
    accepts(signature, [1, None, "x", Ref()], [])


@pytest.mark.parametrize(("form", "good", "bad"), FORMS, ids=case_id)
def test_forms_are_checked(form, good, bad):
    signature = make(one, [form], [form])
    assert signature.plain is None
    assert signature.return_plain is None
    accepts(signature, good, bad)


def accepts(signature, good, bad):
    for value in good:
        signature.check_arguments((value,))
        signature.check_arguments((), {"x": value})
        signature.check_argument(0, value)
        signature.check_argument("x", value)
        signature.check_results((value,))
    for value in bad:
        for check in (
            lambda: signature.check_arguments((value,)),
            lambda: signature.check_arguments((), {"x": value}),
            lambda: signature.check_argument(0, value),
            lambda: signature.check_argument("x", value),
            lambda: signature.check_results((value,)),
        ):
            with pytest.raises(TypeError) as caught:
                check()
            text = str(caught.value)
            assert f"{__name__}.one" in text
            assert signatures.describe_type(signature.params[0].form) in text
            assert len(text) < 500


def test_type_variables_and_plain_protocols():
    accepts(make(one, [T], [T]), [1, "x", None], [])
    bound = TypeVar("bound", bound=Animal)
    accepts(make(one, [bound], [bound]), [Dog()], [1])


def test_check_argument_of_unknown_parameters():
    signature = make(one, [int], [int])
    for where in (1, -1, "y"):
        with pytest.raises(LookupError):
            signature.check_argument(where, 1)


@pytest.mark.parametrize(
    ("form", "value", "hint"),
    [
        (float, 1, "pass 1.0"),
        (int, 2.0, "Pass 2."),
        (int, np.int64(3), r"int\(value\)"),
        (list, (1, 2), r"list\(value\)"),
        (np.ndarray, [1], r"numpy.array\(value\)"),
        (int, None, r"int \| None"),
        (str, b"x", "decode"),
        (Animal, Animal, "instance"),
    ],
)
def test_errors_say_what_to_do(form, value, hint):
    with raises(hint):
        make(one, [form], [int]).check_arguments((value,))


def test_errors_survive_odd_values():
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    signature = make(one, [int], [int])
    for value in (Odd(), "x" * 10**7, list(range(10**6)), np.zeros((1000, 1000)), {"a": Odd()}):
        with pytest.raises(TypeError) as caught:
            signature.check_arguments((value,))
        assert len(str(caught.value)) < 300


# -- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "expected", "may"),
    [
        (int, int, True),
        (bool, int, True),
        (int, float, False),
        (Dog, Animal, True),
        (Animal, Dog, False),
        (list, np.ndarray, False),
        (np.ndarray, np.ndarray, True),
        (NDArray[np.float64], np.ndarray, True),
        (np.ndarray, NDArray[np.float64], True),
        (NDArray[np.float64], list, False),
        (Any, int, True),
        (int, Any, True),
        (object, int, True),
        (int, object, True),
        (Optional[int], int, True),
        (int, Optional[int], True),
        (type(None), Optional[int], True),
        (str, Optional[int], False),
        (int | None, str | float, False),
        (Union[int, str], Union[str, bytes], True),
        (list[int], list[int], True),
        (list[int], list, True),
        (list, list[int], True),
        (list[int], list[str], False),
        (list[bool], list[int], True),
        (dict[str, int], dict[str, str], False),
        (List[int], list[int], True),
        (List, list, True),
        (tuple[int, str], tuple[int, int], False),
        (tuple[int, ...], tuple[int, str], True),
        (list[int], collections.abc.Sequence[int], True),
        (set[int], collections.abc.Sequence[int], False),
        (Literal["a"], str, True),
        (Literal["a"], int, False),
        (str, Literal["a"], True),
        (int, Literal["a"], False),
        (int, T, True),
        (UserId, int, True),
        (UserId, str, False),
        (typing.Annotated[int, 5], float, False),
        (Callable[[int], int], Callable[[str], str], True),
        (int, Callable[[int], int], False),
        (Fish, Swims, True),
        (Box[int], Box, True),
        (Box[int], Animal, False),
    ],
)
def test_declared_against_expected(declared, expected, may):
    assert signatures.may_hold(declared, expected) is may
    signature = make(one, [expected], [int])
    if may:
        signature.check_arguments((Ref(declared),), None, declared_type)
        signature.check_arguments((), {"x": Ref(declared)}, declared_type)
    else:
        with raises("is a reference to an object declared as") as caught:
            signature.check_arguments((Ref(declared),), None, declared_type)
        assert signatures.describe_type(declared) in str(caught.value)


def test_references_of_unknown_type_wait_for_the_worker():
    signature = make(add, [int, int], [int])
    signature.check_arguments((Ref(), 1), None, declared_type)
    signature.check_arguments((1,), {"b": Ref()}, declared_type)
    with raises("'b'"):
        signature.check_arguments((Ref(), "x"), None, declared_type)
    with raises("has type .*Ref but"):
        signature.check_arguments((Ref(), 1))


def test_chain_of_typed_functions():
    dot = make(lambda a, b: None, [np.ndarray, np.ndarray], [np.ndarray])
    with raises("reference to an object declared as int but an argument of type numpy.ndarray was expected"):
        dot.check_arguments((Ref(make(add, [int, int], [int]).returns[0]), np.zeros(2)), None, declared_type)


# -- annotations ------------------------------------------------------------------------------------------------------


def test_annotations_count_only_when_asked_for():
    def f(a: int, b: "str" = "", *c: float, d: bool = False, e, **g: bytes) -> list[int]: ...

    assert not make(f).typed
    make(f).check_arguments(("x",))
    signature = make(f, typed=True)
    assert signature.plain == (int, str)
    assert signature.var_plain is float
    assert signature.returns == (list[int],)
    assert signature.num_returns == 1
    signature.check_arguments((1, "x", 1.0), {"d": True, "e": object(), "g": b""})
    for args, kwargs, name in [
        (("x",), {}, "'a'"),
        ((1, 2), {}, "'b'"),
        ((1, "x", 2), {}, r"\*c"),
        ((1,), {"d": 1}, "'d'"),
        ((1,), {"other": 1}, "'other'"),
    ]:
        with raises(name):
            signature.check_arguments(args, kwargs)
    with raises("Return value 0"):
        signature.check_results((["x"],))


def test_annotated_none_and_nothing():
    def f(a: None, b) -> None: ...

    signature = make(f, typed=True)
    assert signature.plain == (type(None), None)
    signature.check_results((None,))
    with raises("None was declared"):
        signature.check_results((1,))
    assert make(add, typed=True).plain == (None, None)


def test_annotated_tuples_and_several_results():
    def f() -> tuple[int, str]: ...

    assert make(f, typed=True).returns == (tuple[int, str],)
    assert make(f, typed=True, num_returns=2).returns == (int, str)
    with raises("num_returns=3", ValueError):
        make(f, typed=True, num_returns=3)


def test_annotated_generators():
    def items() -> typing.Iterator[int]:
        yield 1

    signature = make(items, typed=True)
    assert signature.returns is None
    assert signature.item_form is int
    signature.check_item(1)
    with raises("Item 3 of the generator .* has type str but items of type int"):
        signature.check_item("x", 3)


def test_annotated_methods():
    class Counter:
        def add(self, n: int) -> "Counter": ...

    signature = make(Counter.add, typed=True, method=True)
    assert [p.name for p in signature.params] == ["n"]


def test_forward_references():
    scope = {}
    exec(
        "def f(a: 'Later', b: 'list[Later]' = ()) -> 'Later': ...\ndef g(a, b): ...\n",
        scope,
    )
    annotated = make(scope["f"], typed=True)
    listed = make(scope["g"], ["Later", List["Later"]], ["int"])
    for signature in (annotated, listed):
        assert signature.plain is None
        with raises("cannot be resolved: name 'Later' is not defined"):
            signature.check_arguments((1,))
    later = scope["Later"] = type("Later", (), {})
    for signature in (annotated, listed):
        signature.check_arguments((later(), [later()]))
        with raises("Later was expected"):
            signature.check_arguments((1,))
        with raises("'b'"):
            signature.check_arguments((later(), [1]))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is new in Python 3.12")
def test_type_statements():
    scope = {}
    exec("type Maybe = int | None\ntype Pairs[T] = list[tuple[T, T]]\ntype Number = int\n", scope)
    accepts(make(one, [scope["Maybe"]], [scope["Maybe"]]), [1, None], [])
    assert make(one, [scope["Number"]], [int]).plain == (int,)
    signature = make(one, [scope["Maybe"]], [int])
    with raises("Maybe was expected"):
        signature.check_arguments(("x",))
    assert signatures.may_hold(scope["Maybe"], int)
    assert not signatures.may_hold(scope["Pairs"][int], int)
    assert signatures.may_hold(list, scope["Pairs"][int])


def test_forward_references_to_names_of_the_enclosing_function():
    class Local:
        pass

    def f(a: "Local"):
        return Local

    make(f, typed=True).check_arguments((Local(),))
    with raises("Local was expected"):
        make(f, typed=True).check_arguments((1,))


# -- the library behind the forms -------------------------------------------------------------------------------------


def run(code):
    head = (
        "import sys, types; package = types.ModuleType('ray');"
        f"package.__path__ = [{str(PACKAGE)!r}]; sys.modules['ray'] = package\n"
        "from ray.signatures import make_signature\ndef f(a, b): pass\n"
    )
    return subprocess.run([sys.executable, "-W", "error", "-c", head + code], check=False, capture_output=True, text=True)


def test_forms_without_beartype_are_refused_at_decoration():
    code = "sys.modules['beartype'] = None\nmake_signature(f, [int, int | None], [int])\n"
    assert run(code).returncode == 0
    result = run(code + "make_signature(f, [int, list[int]], [int])")
    assert "ImportError: __main__.f: the type of parameter 'b': list[int]" in result.stderr
    assert "pip install raio[typing]" in result.stderr


def test_beartype_is_imported_for_forms_only():
    code = (
        "make_signature(f, [int, int | None], [str]).check_arguments((1, None))\n"
        "print([m for m in ('typing', 'inspect', 'beartype') if m in sys.modules])\n"
        "make_signature(f, [int, list[int]], [str])\nprint('beartype' in sys.modules)\n"
    )
    assert run(code).stdout == "[]\nTrue\n"


def test_signatures_travel():
    for signature in (
        make(add, [int, list[int]], [Optional[int]]),
        make(add),
        make(lambda *a: None, [int], [str]),
        make(lambda a, *, b=1: None, [int, Callable], []),
    ):
        for module in (pickle, cloudpickle):
            again = module.loads(module.dumps(signature))
            assert repr(again) == repr(signature)
            assert again.plain == signature.plain
            assert again.returns == signature.returns
            assert again.typed == signature.typed
    again = pickle.loads(pickle.dumps(make(add, [int, list[int]], [int])))
    with raises("'b'"):
        again.check_arguments((1, ["x"]))
    assert pickle.loads(pickle.dumps(NOT_A_REFERENCE)) is NOT_A_REFERENCE


def test_examples_in_the_documentation():
    for name in ("make_signature", "may_hold"):
        globs = {**vars(signatures), "__name__": "__main__"}
        for example in doctest.DocTestFinder(recurse=False).find(getattr(signatures, name), name, globs=globs):
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0
