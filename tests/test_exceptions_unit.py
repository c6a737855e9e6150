"""`ray.exceptions` by itself, without a cluster: the tree, the words, and the way of an error between processes."""

import asyncio
import builtins
import doctest
import importlib
import inspect
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import cloudpickle
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
RayError, RayTaskError = exceptions.RayError, exceptions.RayTaskError

# name -> bases, in order
TREE = {
    "RayError": (Exception,),
    "RayTaskError": ("RayError",),
    "TaskCancelledError": ("RayError",),
    "WorkerCrashedError": ("RayError",),
    "RayActorError": ("RayError",),
    "ActorDiedError": ("RayActorError",),
    "ActorUnavailableError": ("RayActorError",),
    "ActorUnschedulableError": ("RayError",),
    "TaskUnschedulableError": ("RayError",),
    "GetTimeoutError": ("RayError", TimeoutError),
    "ObjectLostError": ("RayError",),
    "OwnerDiedError": ("ObjectLostError",),
    "ObjectReconstructionFailedError": ("ObjectLostError",),
    "ObjectFetchTimedOutError": ("ObjectLostError",),
    "ObjectFreedError": ("ObjectLostError",),
    "ReferenceCountingAssertionError": ("ObjectLostError", AssertionError),
    "ObjectStoreFullError": ("RayError",),
    "OutOfDiskError": ("RayError",),
    "OutOfMemoryError": ("RayError",),
    "NodeDiedError": ("RayError",),
    "LocalRayletDiedError": ("RayError",),
    "RaySystemError": ("RayError",),
    "RuntimeEnvSetupError": ("RayError",),
    "PendingCallsLimitExceeded": ("RayError",),
    "TaskPlacementGroupRemoved": ("RayError",),
    "ActorPlacementGroupRemoved": ("RayError",),
    "ActorAlreadyExistsError": (ValueError, "RayError"),
    "ActorHandleNotFoundError": (ValueError, "RayError"),
    "AsyncioActorExit": ("RayError",),
    "PlasmaObjectNotAvailable": ("RayError",),
    "ObjectRefStreamEndOfStreamError": ("RayError",),
    "StreamingGeneratorReplayInconsistentError": ("RayError",),
    "CrossLanguageError": ("RayError",),
    "AuthenticationError": ("RayError",),
    "RpcError": ("RayError",),
    "UserCodeException": ("RayError",),
    "UnserializableException": ("RayError",),
    "OufOfBandObjectRefSerializationException": ("RayError",),
    "RayChannelError": ("RayError",),
    "RayChannelTimeoutError": ("RayChannelError", TimeoutError),
    "RayCgraphCapacityExceeded": ("RayError",),
    "RayDirectTransportError": ("RayError",),
    "DeadlockError": ("RayError",),
    "TaskTimeoutError": ("RayError", TimeoutError),
    "ClusterUnavailableError": ("RayError",),
    "RayConnectionError": ("RayError",),
}

ENGINE_ERRORS = [cls for cls in exceptions.RAY_EXCEPTION_TYPES if cls is not RayTaskError]


# -- errors that users might define -----------------------------------------------------------------------------------


class NeedsArguments(Exception):
    """The usual way to break pickling: what `__init__` asks for is not what `args` holds."""

    default = "class"

    def __init__(self, code, *, detail):
        super().__init__(f"code {code}: {detail}")
        self.code = code
        self.detail = detail
        self.default = "instance"

    def describe(self):
        return f"{self.code}/{self.detail}"


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code):
        super().__init__("slotted")
        self.code = code


class OwnReduce(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)
        self.total = a + b

    def __reduce__(self):
        return OwnReduce, self.args


class OwnReduceEx(OwnReduce):
    def __reduce_ex__(self, protocol):
        return OwnReduceEx, self.args


class OwnNew(Exception):
    def __new__(cls, code):
        error = super().__new__(cls, code)
        error.code = code
        return error


class OwnOSError(OSError):
    def __init__(self, number, host, port):
        super().__init__(number, "refused", f"{host}:{port}")
        self.host = host


class Final(Exception):
    def __init_subclass__(cls, **kwargs):
        if "RayTaskError" in cls.__name__:
            raise TypeError("Final is final")


class FinalMeta(type):
    def __new__(mcs, name, bases, namespace):
        if any(isinstance(base, FinalMeta) for base in bases):
            raise TypeError(f"{bases} cannot be subclassed")
        return super().__new__(mcs, name, bases, namespace)


class FinalByMeta(Exception, metaclass=FinalMeta):
    pass


class WithProperties(Exception):
    """Uses names that task errors use too."""

    @property
    def cause(self):
        raise RuntimeError("not this one")

    @property
    def upper(self):
        return self.args[0].upper() if isinstance(self.args[0], str) else str(self.args[0]).upper()


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


class LoadsBadly(Exception):
    def __reduce__(self):
        return _fail, ()


def _fail():
    raise RuntimeError("cannot be built again")


class UserGroup(ExceptionGroup):
    def __new__(cls, message, errors, code):
        group = super().__new__(cls, message, errors)
        group.code = code
        return group

    def derive(self, errors):
        return UserGroup(self.message, errors, self.code)


def task_error(error, name="f", **more):
    """The task error for an exception raised here."""
    try:
        raise error
    except BaseException as caught:
        return exceptions.make_task_error(caught, name, 7, "10.0.0.1", **more)


def dual(error, **more):
    return task_error(error, **more).as_instanceof_cause()


HOPS = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "pickle 2": lambda error: pickle.loads(pickle.dumps(error, 2)),
    "cloudpickle": lambda error: cloudpickle.loads(cloudpickle.dumps(error)),
    "stored": lambda error: exceptions.load_error(exceptions.dump_error(error)),
    "bytes": lambda error: RayError.from_bytes(error.to_bytes()),
}


@pytest.fixture(params=HOPS, name="hop")
def _hop(request):
    return HOPS[request.param]


# -- the tree ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TREE)
def test_tree_has_each_class_with_its_bases(name):
    bases = tuple(getattr(exceptions, base) if isinstance(base, str) else base for base in TREE[name])
    assert getattr(exceptions, name).__bases__ == bases


def test_list_of_types_is_the_whole_tree():
    assert {cls.__name__ for cls in exceptions.RAY_EXCEPTION_TYPES} == set(TREE)


def sample(parameter):
    """A plausible argument, by the name of the parameter."""
    return {
        "cause": "it was killed",
        "actor_init_failed": True,
        "preempted": True,
        "stderr_lines": ["one", "two"],
        "signal": 11,
        "exit_code": 3,
        "pid": 17,
        "attempts": 4,
        "cycle": ["f()", "g()"],
        "timeout_s": 1.5,
        "rpc_code": 14,
    }.get(parameter, f"<{parameter}>")


def instances(cls):
    yield cls()
    yield cls("some text")
    parameters = inspect.signature(cls.__init__).parameters.values()
    arguments = {
        p.name: sample(p.name) for p in parameters if p.name != "self" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if arguments:
        yield cls(**arguments)


@pytest.mark.parametrize("cls", ENGINE_ERRORS, ids=lambda cls: cls.__name__)
def test_engine_errors_survive_every_hop_with_their_fields(cls, hop):
    for error in instances(cls):
        error.add_note("seen by the driver")
        error.extra = 5
        again = hop(hop(error))
        assert type(again) is cls
        assert (str(again), again.args, again.__dict__) == (str(error), error.args, error.__dict__)
        with pytest.raises(cls):
            raise again


@pytest.mark.parametrize("cls", ENGINE_ERRORS, ids=lambda cls: cls.__name__)
def test_engine_errors_without_arguments_explain_themselves(cls):
    if cls is RayError:
        assert cls().args == ()
    elif cls is not exceptions.ObjectRefStreamEndOfStreamError and cls is not exceptions.AsyncioActorExit:
        assert len(str(cls())) > 60
    assert "some text" in str(cls("some text"))


def test_subclasses_of_users_are_picklable_whatever_their_constructor(hop):
    again = hop(UserRayError(1, b=2))
    assert type(again) is UserRayError
    assert (again.a, again.b, str(again)) == (1, 2, "1 and 2")


class UserRayError(RayError):
    def __init__(self, a, *, b):
        super().__init__(f"{a} and {b}")
        self.a, self.b = a, b


def test_timeouts_are_built_in_timeouts():
    assert issubclass(exceptions.GetTimeoutError, builtins.TimeoutError)
    assert str(exceptions.GetTimeoutError()).startswith("Get timed out: some object(s) not ready.")
    with pytest.raises(TimeoutError, match=r"f\(\) ran longer than its timeout of 2 s"):
        raise exceptions.TaskTimeoutError(function_name="f", timeout_s=2)


def test_worker_crash_says_how_where_and_what_it_wrote():
    error = exceptions.WorkerCrashedError(signal=9, pid=17, function_name="m.f", attempts=4, stderr_lines="first\nlast words\n")
    assert (error.signal, error.pid, error.attempts) == ("SIGKILL", 17, 4)
    assert error.stderr_lines == ["first", "last words"]
    for part in ("pid 17", "m.f()", "SIGKILL", "4 times", "memory", "last words"):
        assert part in str(error)
    assert "exit code 3" in str(exceptions.WorkerCrashedError(exit_code=3))
    assert "signal 77" in str(exceptions.WorkerCrashedError(signal=77))
    assert str(exceptions.WorkerCrashedError("just this")) == "just this"


def test_actor_errors_carry_the_actor():
    failed = exceptions.ActorDiedError(task_error(ValueError("no"), "A.__init__", actor_id="ab"), class_name="A")
    assert failed.actor_init_failed
    assert failed.actor_id == "ab"
    assert isinstance(failed.cause.cause, ValueError)
    assert "ValueError: no" in str(failed)
    killed = exceptions.ActorDiedError("it was killed by ray.kill()", actor_id=b"\x01\x02", name="counter")
    assert not killed.actor_init_failed
    assert killed.actor_id == "0102"
    assert "ray.kill()" in str(killed)
    assert "name: counter" in str(killed)
    assert "0102" in str(exceptions.ActorUnavailableError("restarting", b"\x01\x02"))


def test_failed_actor_creation_survives_every_hop(hop):
    error = exceptions.ActorDiedError(dual(NeedsArguments(1, detail="x")), class_name="A")
    again = hop(error)
    assert again.actor_init_failed
    assert isinstance(again.cause, NeedsArguments)
    assert str(again) == str(error)


def test_deadlock_shows_the_circle():
    text = str(exceptions.DeadlockError(["f() [1]", "g() [2]"]))
    assert text.index("f() [1]") < text.index("waits for g() [2]") < text.rindex("waits for f() [1]")


def test_lost_objects_name_object_and_reason():
    error = exceptions.ObjectReconstructionFailedError("abc", reason="max_retries=0", call_site="here.py:3")
    assert error.reason == "max_retries=0"
    for part in ("abc", "max_retries=0", "here.py:3"):
        assert part in str(error)


# -- task errors ------------------------------------------------------------------------------------------------------


def test_dual_is_both_and_named_after_both():
    error = dual(ValueError("no"))
    assert isinstance(error, RayTaskError)
    assert isinstance(error, ValueError)
    assert type(error).__name__ == "RayTaskError(ValueError)"
    assert repr(error.cause) == "ValueError('no')"
    assert error.args == (error.cause,)
    assert (error.function_name, error.pid, error.ip) == ("f", 7, "10.0.0.1")
    assert error.as_instanceof_cause() is error
    assert type(error) is type(dual(ValueError("again")))


def test_text_starts_with_place_and_ends_with_the_users_words():
    text = str(dual(ValueError("user text"), name="work"))
    lines = text.splitlines()
    assert lines[0] == "work() (pid=7, ip=10.0.0.1)"
    assert lines[1] == "Traceback (most recent call last):"
    assert "test_exceptions_unit.py" in lines[2]
    assert lines[-1] == "ValueError: user text"
    text = str(dual(ValueError("x"), name="Counter.inc", actor_id="ab", actor_repr="Counter(3)"))
    assert text.startswith("Counter.inc() (pid=7, ip=10.0.0.1, actor_id=ab, repr=Counter(3))\n")


def test_constructor_as_users_of_the_api_call_it():
    error = RayTaskError(function_name="f", traceback_str="Traceback\nValueError: x", cause=ValueError("x"))
    assert error.pid == os.getpid()
    assert error.proctitle == "ray::f()"
    assert str(error).startswith("f() (pid=")
    assert str(error).endswith("ValueError: x")
    with pytest.raises(TypeError, match="must be an exception"):
        RayTaskError("f", "tb", "no exception")


USER_ERRORS = {
    "built in": lambda: ValueError("x", 2),
    "needs arguments": lambda: NeedsArguments(5, detail="deep"),
    "slots": lambda: Slotted(5),
    "own reduce": lambda: OwnReduce(1, 2),
    "own reduce_ex": lambda: OwnReduceEx(1, 2),
    "own new": lambda: OwnNew(5),
    "os error": lambda: FileNotFoundError(2, "gone", "a.txt"),
    "own os error": lambda: OwnOSError(111, "host", 80),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "import": lambda: ImportError("no", name="mod", path="/x"),
    "key": lambda: KeyError("k"),
    "stop": lambda: StopIteration(4),
    "same names": lambda: WithProperties("text"),
    "local class": lambda: type("Local", (Exception,), {})("local"),
    "attribute": lambda: AttributeError("no", name="n", obj=None),
}


@pytest.mark.parametrize("make", USER_ERRORS.values(), ids=USER_ERRORS)
def test_users_errors_survive_every_hop(make, hop):
    original = make()
    first = dual(original)
    error = hop(hop(hop(first)))
    cls = type(original)
    assert type(error).__name__ == f"RayTaskError({cls.__name__})"
    assert isinstance(error, RayTaskError)
    assert isinstance(error, cls)
    assert type(error.cause) is cls
    assert error.cause.args == original.args
    assert error.cause.__dict__ == original.__dict__
    assert str(error.cause) == str(original)
    assert error.args == (error.cause,)
    assert str(error) == str(first)
    with pytest.raises(cls) as caught:
        raise error
    assert caught.value is error


def test_attributes_are_those_of_the_cause(hop):
    error = hop(dual(NeedsArguments(5, detail="deep")))
    assert (error.code, error.detail, error.default, error.describe()) == (5, "deep", "instance", "5/deep")
    assert hop(dual(Slotted(5))).code == 5
    missing = hop(dual(FileNotFoundError(2, "gone", "a.txt")))
    assert (missing.errno, missing.strerror, missing.filename) == (2, "gone", "a.txt")
    assert hop(dual(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))).reason == "bad"
    assert hop(dual(ImportError("no", name="mod"))).name == "mod"
    refused = hop(dual(OwnOSError(111, "host", 80)))
    assert (refused.host, refused.errno, refused.filename) == ("host", 111, "host:80")
    assert hop(dual(WithProperties("text"))).upper == "TEXT"
    assert isinstance(hop(dual(WithProperties("text"))).cause, WithProperties)
    with pytest.raises(AttributeError):
        error.nothing_like_this  # noqa: B018


def test_what_the_driver_adds_stays(hop):
    error = dual(ValueError("x"))
    error.add_note("from the driver")
    error.tag = "t"
    again = hop(error)
    assert again.__notes__ == ["from the driver"]
    assert again.tag == "t"
    assert not hasattr(again.cause, "__notes__")


def test_same_class_can_be_raised_anew():
    error = dual(ValueError("x"))
    another = type(error)("other text")
    assert isinstance(another, ValueError)
    assert another.cause.args == ("other text",)
    assert "other text" in str(another)


@pytest.mark.parametrize("original", [Final("x"), FinalByMeta("x")], ids=["final", "metaclass"])
def test_classes_that_cannot_be_subclassed_leave_a_plain_task_error(original, hop):
    error = hop(dual(original))
    assert type(error) is RayTaskError
    assert type(error.cause) is type(original)
    assert str(error).endswith(": x")


@pytest.mark.parametrize("original", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError()])
def test_interrupts_never_come_back_as_interrupts(original, hop):
    error = hop(dual(original))
    assert type(error) is RayTaskError
    assert type(error.cause) is type(original)
    if isinstance(original, SystemExit):
        assert error.cause.code == 3


def test_engine_errors_that_a_task_met_are_both_too(hop):
    error = hop(dual(exceptions.ActorDiedError("gone", actor_id="ab")))
    assert isinstance(error, exceptions.ActorDiedError)
    assert type(error).__name__ == "RayTaskError(ActorDiedError)"
    assert error.actor_id == error.cause.actor_id == "ab"


def test_nested_failures_do_not_nest_their_names(hop):
    inner = hop(dual(ValueError("deep"), name="g"))
    outer = hop(dual(inner, name="f"))
    assert type(outer).__name__ == "RayTaskError(ValueError)"
    assert type(outer.cause) is ValueError
    text = str(outer)
    assert text.startswith("f() (pid=7")
    assert "g() (pid=7" in text
    assert text.endswith("ValueError: deep")
    by_hand = RayTaskError("f", "tb", inner).as_instanceof_cause()
    assert type(by_hand).__name__ == "RayTaskError(ValueError)"


def test_groups_stay_groups(hop):
    error = hop(dual(ExceptionGroup("several", [ValueError("a"), NeedsArguments(1, detail="b")])))
    assert type(error).__name__ == "RayTaskError(ExceptionGroup)"
    assert isinstance(error, ExceptionGroup)
    assert error.message == "several"
    caught = []
    try:
        raise error
    except* ValueError as group:
        caught.append([str(e) for e in group.exceptions])
    except* NeedsArguments as group:
        caught.append([e.code for e in group.exceptions])
    assert caught == [["a"], [1]]
    assert "several" in str(error)
    user = hop(dual(UserGroup("mine", [KeyError("k")], 3)))
    assert isinstance(user, UserGroup)
    assert user.code == 3
    assert isinstance(user.cause, UserGroup)
    matched, rest = user.split(KeyError)
    assert rest is None
    assert len(matched.exceptions) == 1


def test_group_with_an_interrupt_is_plain(hop):
    error = hop(dual(BaseExceptionGroup("bad", [KeyboardInterrupt()])))
    assert type(error) is RayTaskError
    assert isinstance(error.cause, BaseExceptionGroup)


@pytest.mark.parametrize("cls", [Unpicklable, LoadsBadly])
def test_what_cannot_be_sent_arrives_as_words(cls, hop):
    error = hop(dual(cls("precious words")))
    assert type(error) is RayTaskError
    stand_in = error.cause
    assert isinstance(stand_in, exceptions.UnserializableException)
    assert cls.__name__ in stand_in.type_name
    assert stand_in.text == "precious words"
    assert "precious words" in stand_in.original_stack_trace
    assert str(error).endswith(f"{cls.__name__}: precious words")


def test_chain_and_notes_arrive_as_text(hop):
    def fail():
        try:
            {}["missing"]
        except KeyError as error:
            failure = ValueError("outer")
            failure.add_note("look at the input file")
            raise failure from error

    try:
        fail()
    except ValueError as caught:
        text = str(hop(exceptions.make_task_error(caught, "f").as_instanceof_cause()))
    assert "KeyError: 'missing'" in text
    assert "direct cause" in text
    assert text.endswith("ValueError: outer\nlook at the input file")


def test_frames_of_the_engine_are_left_out():
    source = "def run(function):\n    return function()\n"
    scope = {}
    exec(compile(source, str(Path(exceptions.__file__).parent / "worker_main.py"), "exec"), scope)
    try:
        scope["run"](lambda: 1 / 0)
    except ZeroDivisionError as caught:
        trace = caught.__traceback__.tb_next
        text = exceptions.make_task_error(caught, "f", tb=trace).traceback_str
        assert "worker_main" not in text
        assert "<lambda>" in text
    scope = {}
    exec(
        compile("def run():\n    raise OSError('ours')\n", str(Path(exceptions.__file__).parent / "x.py"), "exec"),
        scope,
    )
    try:
        scope["run"]()
    except OSError as caught:
        assert "x.py" in exceptions.make_task_error(caught, "f", tb=caught.__traceback__.tb_next).traceback_str


def test_errors_whose_own_methods_fail():
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __str__

    error = dual(Rude("x"))
    assert isinstance(error, Rude)
    assert "Rude" in str(error)
    assert "Rude" in str(HOPS["stored"](error))


def test_huge_texts_are_shortened():
    error = dual(ValueError("x" * 10_000_000))
    assert len(str(error)) < 300_000
    assert "characters left out" in str(error)


def test_deep_recursion_is_reported():
    def down():
        down()

    try:
        down()
    except RecursionError as caught:
        error = exceptions.make_task_error(caught, "down").as_instanceof_cause()
    assert isinstance(error, RecursionError)
    assert len(str(error)) < 20_000


# -- stored errors ----------------------------------------------------------------------------------------------------


def test_storing_never_fails():
    stuck = exceptions.WorkerCrashedError("gone")
    stuck.lock = threading.Lock()
    again = exceptions.load_error(exceptions.dump_error(stuck))
    assert isinstance(again, RayError)
    assert "gone" in str(again)
    for data in (b"", b"nonsense", pickle.dumps(5), pickle.dumps(("text", b"nonsense")), pickle.dumps((1, 2, 3))):
        assert isinstance(exceptions.load_error(data), RayError)
    assert "text" in str(exceptions.load_error(pickle.dumps(("text", b"nonsense"))))
    plain = exceptions.load_error(exceptions.dump_error(ValueError("plain")))
    assert type(plain) is ValueError


def test_errors_of_another_programs_main_module_can_be_caught_here(tmp_path):
    script = tmp_path / "program.py"
    (tmp_path / "private_module.py").write_text("class Hidden(Exception):\n    pass\n")
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, types
            sys.path[:0] = [{str(tmp_path)!r}]
            package = types.ModuleType("ray")
            package.__path__ = [{str(PACKAGE)!r}]
            sys.modules["ray"] = package
            from ray import exceptions
            import private_module

            class Mine(Exception):
                def __init__(self, a, b):
                    super().__init__(f"{{a}} and {{b}}")
                    self.a = a

            for number, error in enumerate([Mine(1, 2), private_module.Hidden("secret")]):
                try:
                    raise error
                except Exception as caught:
                    data = exceptions.dump_error(exceptions.make_task_error(caught, "f").as_instanceof_cause())
                    open(sys.argv[1] + str(number), "wb").write(data)
            """
        )
    )
    subprocess.run([sys.executable, "-W", "error", str(script), str(tmp_path / "out")], check=True)
    mine = exceptions.load_error((tmp_path / "out0").read_bytes())
    assert type(mine).__name__ == "RayTaskError(Mine)"
    assert (mine.a, str(mine.cause)) == (1, "1 and 2")
    again = HOPS["pickle"](mine)
    assert isinstance(again, type(mine.cause))
    hidden = exceptions.load_error((tmp_path / "out1").read_bytes())
    assert type(hidden) is RayTaskError
    assert isinstance(hidden.cause, exceptions.UnserializableException)
    assert hidden.cause.type_name == "private_module.Hidden"
    assert hidden.cause.text == "secret"
    assert "private_module" in hidden.cause.reason
    assert str(hidden).endswith("Hidden: secret")


def test_many_threads_make_one_class():
    class Fresh(Exception):
        pass

    classes = []
    threads = [threading.Thread(target=lambda: classes.append(type(dual(Fresh("x"))))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(classes) == 8
    assert all(issubclass(cls, Fresh) for cls in classes)


def test_examples_in_the_documentation():
    for name in ("WorkerCrashedError", "DeadlockError"):
        globs = dict(vars(exceptions))
        for example in doctest.DocTestFinder(recurse=False).find(getattr(exceptions, name), name, globs=globs):
            assert doctest.DocTestRunner().run(example).failed == 0


def test_module_is_light():
    code = (
        f"import sys, types; package = types.ModuleType('ray'); package.__path__ = [{str(PACKAGE)!r}];"
        "sys.modules['ray'] = package; import os; before = set(sys.modules);"
        "import ray.exceptions, ray.signatures, ray.serialization; print(*sorted(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.split() == ["ray.exceptions", "ray.serialization", "ray.signatures"]
