"""Every error that raio raises, as one tree under :class:`RayError`.

Reading order: how an error survives a trip between processes (`RayError`), the error of a user's own code
(`RayTaskError`), everything that can happen to tasks, actors, objects and nodes, and at the end the four functions
that workers and drivers use: `make_task_error`, `dump_error`, `load_error`, `portable_cause`.

Invariants:

* No error calls its ``__init__`` when it is unpickled. Attributes travel as they are, so a constructor may ask for
  whatever reads best at the place that raises.
* The user's exception travels inside a `RayTaskError` as bytes of its own. If these bytes cannot be read on the other
  side (a module is missing there), only ``.cause`` is replaced; name, text and traceback still arrive.
* Nothing here imports more than `os` and `sys` before an error exists.
"""

# ruff: noqa: BLE001, S110 - user code runs in __str__, __reduce__ and class creation; no failure there may hide the error

import os
import sys

_PACKAGE_DIR = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Files of ours whose errors are about the user's values: their frames explain nothing to the user.
_CHECKS = (_PACKAGE_DIR + "signatures.py", _PACKAGE_DIR + "serialization.py")
# Longer remote tracebacks lose their middle: an exception text may hold a whole dataset.
_MAX_TEXT_CHARS = 256 * 1024
_HEAP_TYPE_FLAG = 1 << 9  # CPython's Py_TPFLAGS_HEAPTYPE: clear for the types written in C inside the interpreter


class RayError(Exception):
    """Base of every error that the engine itself raises.

    Picklable with all its attributes by pickle and cloudpickle, whatever its constructor asks for.

    Example:
        >>> try:
        ...     ray.get(ref, timeout=1)
        ... except ray.exceptions.RayError as error:
        ...     print(error)
    """

    _default: str | None = None  # the message of an error raised without one

    def __init__(self, *args):
        if not args and self._default is not None:
            args = (self._default,)
        super().__init__(*args)

    def __reduce__(self):
        return _restore, (type(self), self.args, dict(self.__dict__))

    # A user's class that a task error is combined with may define this one, and pickle prefers it to __reduce__.
    def __reduce_ex__(self, protocol):
        return self.__reduce__()

    def to_bytes(self):
        """The error as bytes. Never fails; see `dump_error`."""
        return dump_error(self)

    @staticmethod
    def from_bytes(data):
        """The error that `to_bytes` wrote. Never fails; see `load_error`."""
        return load_error(data)


class CrossLanguageError(RayError):
    """An error came from code in another language."""

    _default = (
        "A call into another language failed. Only Python tasks and actors run here; check that the name given "
        "belongs to a Python function or class."
    )


# ---------------------------------------------------------------------------------------------------------------------
# The user's own errors
# ---------------------------------------------------------------------------------------------------------------------

_TASK_ERROR_FIELDS = ("function_name", "traceback_str", "cause", "proctitle", "pid", "ip", "actor_repr", "actor_id")


class RayTaskError(RayError):
    """A task or an actor method raised an exception.

    `ray.get` raises ``error.as_instanceof_cause()``, which is a `RayTaskError` and an instance of the user's own class
    at once, so that both ``except RayTaskError`` and ``except ValueError`` catch it.

    Args:
        function_name (str): name of the task or ``Class.method``.
        traceback_str (str): the remote traceback, ending in ``Type: text``.
        cause (BaseException): what the user's code raised. One that cannot be pickled and read back is replaced by an
            `UnserializableException` with its type name, text and traceback.
        proctitle (str | None), pid (int | None), ip (str | None): the process it happened in; by default this one.
        actor_repr (str | None), actor_id (str | None): the actor it happened in.

    Attributes: the arguments above; ``args == (cause,)``. Unknown attributes are looked up on ``cause``.

    Raises:
        TypeError: ``cause`` is not an exception.

    Example:
        >>> @ray.remote
        ... def f():
        ...     raise ValueError("no")
        >>> try:
        ...     ray.get(f.remote())
        ... except ValueError as error:
        ...     print(type(error).__name__, repr(error.cause))
        RayTaskError(ValueError) ValueError('no')
    """

    def __init__(
        self,
        function_name,
        traceback_str,
        cause,
        proctitle=None,
        pid=None,
        ip=None,
        actor_repr=None,
        actor_id=None,
    ):
        if not isinstance(cause, BaseException):
            raise TypeError(f"RayTaskError: 'cause' must be an exception, got {type(cause).__name__}: {cause!r}")
        cause = portable_cause(cause, traceback_str)
        super().__init__(cause)
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle or f"ray::{_with_parens(function_name)}"
        self.pid = pid or os.getpid()
        self.ip = ip or "127.0.0.1"
        self.actor_repr = actor_repr
        self.actor_id = actor_id

    def as_instanceof_cause(self):
        """This error as an instance of the user's class too: what `ray.get` raises.

        Returns:
            RayTaskError: an instance of a class named ``RayTaskError(UserClass)``; or this error itself where there is
            nothing to combine: the cause is no `Exception` (`KeyboardInterrupt`, `SystemExit`), could not travel, or its
            class cannot be subclassed.
        """
        fields = {name: self.__dict__.get(name) for name in _TASK_ERROR_FIELDS}
        cause = fields["cause"]
        if _is_dual(type(self)) or not isinstance(cause, Exception):
            return self
        while isinstance(cause, RayTaskError):  # f called g, and g failed: the user's class is g's
            cause = cause.cause
        # The words of an exception that could not travel are none of the user's classes.
        if not isinstance(cause, Exception) or isinstance(cause, UnserializableException):
            return self
        fields["cause"] = cause
        try:
            return _new_dual(_dual_class(type(cause)), cause, fields, self.__dict__)
        except Exception:  # final classes, metaclasses with rules of their own, layouts that do not combine
            return self

    def __getattr__(self, name):
        # Called only for names that are nowhere on this error. Dunders stay out: add_note() and copy() would find the
        # cause's own.
        if not (name.startswith("__") and name.endswith("__")):
            cause = self.__dict__.get("cause")
            if cause is not None:
                return getattr(cause, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __str__(self):
        fields = self.__dict__
        where = f"pid={fields.get('pid')}, ip={fields.get('ip')}"
        if fields.get("actor_id"):
            where += f", actor_id={fields['actor_id']}"
        if fields.get("actor_repr"):
            where += f", repr={fields['actor_repr']}"
        text = f"{_with_parens(fields.get('function_name'))} ({where})"
        traceback_str = fields.get("traceback_str") or f"{type(fields.get('cause')).__name__}: {fields.get('cause')}"
        return f"{text}\n{traceback_str.strip()}"

    def __reduce__(self):
        fields = dict(self.__dict__)
        cause = fields.pop("cause", None)
        known = {name: fields.pop(name, None) for name in _TASK_ERROR_FIELDS if name != "cause"}
        copied = getattr(cause, "__dict__", None) or {}
        extra = {key: value for key, value in fields.items() if not (key in copied and copied[key] is value)}
        try:
            payload = _dump(cause)
        except Exception:
            payload = None
        extra_payload = None
        if extra:
            try:
                extra_payload = _dump(extra)
            except Exception:
                pass
        dual = _is_dual(type(self))
        cls = RayTaskError if dual else type(self)
        text = "" if cause is None else _one_line(cause)
        return _restore_task_error, (cls, dual, known, payload, text, extra_payload)


def _with_parens(name):
    name = str(name)
    return name if name.endswith(")") else name + "()"


def _is_dual(cls):
    return cls.__dict__.get("_ray_dual", False)


def _restore_task_error(cls, dual, known, payload, text, extra_payload):
    """Counterpart of `RayTaskError.__reduce__`; a cause that cannot be read here becomes an `UnserializableException`."""
    import pickle

    try:
        if payload is None:
            raise TypeError("it could not be pickled")
        cause = pickle.loads(payload)
        if not isinstance(cause, BaseException):
            raise TypeError(f"it was read back as {type(cause).__name__}")
    except Exception as reason:
        type_name, _, message = text.partition(": ")
        cause = UnserializableException(
            known.get("traceback_str") or text, type_name=type_name, text=message, reason=_one_line(reason)
        )
    error = Exception.__new__(cls)
    error.args = (cause,)
    error.__dict__.update(known, cause=cause)
    if extra_payload is not None:
        try:
            error.__dict__.update(pickle.loads(extra_payload))
        except Exception:
            pass
    return error.as_instanceof_cause() if dual else error


# ---------------------------------------------------------------------------------------------------------------------
# Tasks, workers, actors
# ---------------------------------------------------------------------------------------------------------------------


class TaskCancelledError(RayError):
    """The task was cancelled with `ray.cancel`, before or while it ran.

    Args:
        task_id: the task, or None.
        error_message (str | None): replaces the default text.
    """

    def __init__(self, task_id=None, error_message=None):
        self.task_id = task_id
        self.error_message = error_message
        if error_message is None:
            what = "This task or its dependency" if task_id is None else f"Task {task_id}"
            error_message = (
                f"{what} was cancelled: someone called ray.cancel() on it or on the task that launched it. "
                f"Its results will never exist; submit it again if you need them."
            )
        super().__init__(error_message)


class LocalRayletDiedError(RayError):
    """The scheduler of this node is gone."""

    _default = (
        "The scheduler process on this machine has ended while the task was waiting. It was probably killed, or its "
        "machine ran out of memory. Look at its log, then call ray.shutdown() and ray.init() to start a new cluster."
    )


class WorkerCrashedError(RayError):
    """The process that ran the task died, and no attempt is left.

    Args:
        message (str | None): replaces the text made from the fields below.
        signal (int | str | None): what killed it, as number or as name such as ``"SIGKILL"``.
        exit_code (int | None): its exit code, if no signal killed it.
        pid (int | None): its process id.
        function_name (str | None): the task.
        attempts (int | None): how many times the task was started.
        stderr_lines (list[str] | str): the last lines the process wrote to stderr.

    Example:
        >>> str(WorkerCrashedError(signal=9, pid=17, function_name="f", attempts=4)).splitlines()[0]
        'The worker process (pid 17) that ran f() was killed by SIGKILL. The task was started 4 times and is given up.'
    """

    def __init__(
        self,
        message=None,
        *,
        signal=None,
        exit_code=None,
        pid=None,
        function_name=None,
        attempts=None,
        stderr_lines=(),
    ):
        if isinstance(stderr_lines, str):
            stderr_lines = stderr_lines.splitlines()
        self.signal = _signal_name(signal)
        self.exit_code = exit_code
        self.pid = pid
        self.function_name = function_name
        self.attempts = attempts
        self.stderr_lines = [str(line).rstrip("\n") for line in stderr_lines]
        super().__init__(self._explain() if message is None else message)

    def _explain(self):
        text = "The worker process"
        if self.pid is not None:
            text += f" (pid {self.pid})"
        text += f" that ran {_with_parens(self.function_name)}" if self.function_name else " that ran the task"
        if self.signal:
            text += f" was killed by {self.signal}."
        elif self.exit_code is not None:
            text += f" ended with exit code {self.exit_code}."
        else:
            text += " died unexpectedly."
        if self.attempts:
            times = "once" if self.attempts == 1 else f"{self.attempts} times"
            text += f" The task was started {times} and is given up."
        text += "\n" + _death_advice(self.signal, self.exit_code)
        if self.stderr_lines:
            text += "\nThe last lines of its stderr:\n  " + "\n  ".join(self.stderr_lines)
        return text


class RayActorError(RayError):
    """An actor cannot take or finish a call.

    Args:
        actor_id (str | bytes | None): the actor, as hex digits or as bytes.
        error_msg (str | None): what happened.
        actor_init_failed (bool): the actor's ``__init__`` raised.
        preempted (bool): its node was taken away by its provider.

    Attributes: ``actor_id`` (hex digits or None), ``error_msg``, ``actor_init_failed``, ``preempted``.
    """

    BASE_ERROR_MSG = (
        "The actor died before this call could finish. Likely causes: its process crashed or was killed, its last "
        "handle went out of scope, or its node failed. Calls that were running may or may not have taken effect; "
        "max_restarts= starts such an actor again, max_task_retries= repeats its calls."
    )

    def __init__(self, actor_id=None, error_msg=None, actor_init_failed=False, preempted=False):
        self.actor_id = actor_id.hex() if isinstance(actor_id, (bytes, bytearray)) else actor_id
        if error_msg is None:
            error_msg = self.BASE_ERROR_MSG
            if self.actor_id is not None:
                error_msg += f"\n  actor_id: {self.actor_id}"
        self.error_msg = error_msg
        self.actor_init_failed = actor_init_failed
        self.preempted = preempted
        super().__init__(error_msg)


class ActorDiedError(RayActorError):
    """The actor is dead for good: its ``__init__`` failed, it was killed, or its restarts are used up.

    Args:
        cause (RayTaskError | str | None): the error of ``__init__``, or a text that says what happened.
        actor_id (str | bytes | None): the actor.
        error_msg (str | None): replaces the text made from the other arguments.
        actor_init_failed (bool | None): by default, whether ``cause`` is an exception.
        preempted (bool): its node was taken away.
        class_name, name, namespace (str | None): what the actor was called.
        pid (int | None), ip (str | None): where it ran.

    Attributes: those of `RayActorError`, ``cause`` (the exception of ``__init__``, or None), and the names above.
    """

    def __init__(
        self,
        cause=None,
        *,
        actor_id=None,
        error_msg=None,
        actor_init_failed=None,
        preempted=False,
        class_name=None,
        name=None,
        namespace=None,
        pid=None,
        ip=None,
    ):
        failure = cause if isinstance(cause, BaseException) else None
        if actor_init_failed is None:
            actor_init_failed = failure is not None
        if isinstance(actor_id, (bytes, bytearray)):
            actor_id = actor_id.hex()
        if actor_id is None and failure is not None:
            actor_id = getattr(failure, "actor_id", None)
        if error_msg is None:
            who = class_name or "its class"
            if failure is not None:
                error_msg = (
                    f"The actor died because of an error raised in its creation task: __init__ of {who} raised an exception, "
                    f"so no method of it can run. Fix the error below and create the actor again.\n{failure}"
                )
            elif cause:
                error_msg = str(cause)
            else:
                error_msg = self.BASE_ERROR_MSG
            known = (
                ("class_name", class_name),
                ("actor_id", actor_id),
                ("name", name),
                ("namespace", namespace),
                ("pid", pid),
                ("ip", ip),
            )
            error_msg += "".join(f"\n  {key}: {value}" for key, value in known if value)
        self.cause = failure
        self.class_name = class_name
        self.name = name
        self.namespace = namespace
        self.pid = pid
        self.ip = ip
        super().__init__(actor_id, error_msg, actor_init_failed, preempted)


class ActorUnavailableError(RayActorError):
    """The actor cannot be reached at the moment. The call may or may not have run.

    Args:
        error_message (str | None): what happened.
        actor_id (str | bytes | None): the actor.
    """

    def __init__(self, error_message=None, actor_id=None):
        text = error_message or "it is being restarted, or the connection to its process broke"
        who = "The actor" if actor_id is None else f"The actor {_hex(actor_id)}"
        super().__init__(
            actor_id,
            f"{who} is temporarily unavailable: {text}. The call may or may not have run. Call again when repeating "
            f"does no harm, or create the actor with max_task_retries=.",
        )


class RaySystemError(RayError):
    """The engine itself failed, or was used before it was started.

    Args:
        client_exc (str | BaseException | None): what happened.
        traceback_str (str | None): where.
    """

    def __init__(self, client_exc=None, traceback_str=None):
        if client_exc is None:
            client_exc = (
                "The engine failed internally. This is not an error of your code; the logs of scheduler and object "
                "store in the session directory say more."
            )
        self.client_exc = str(client_exc)
        self.traceback_str = traceback_str
        super().__init__(f"System error: {client_exc}" + (f"\n{traceback_str}" if traceback_str else ""))


class UserCodeException(RayError):
    """Code that the user registered with the engine (a callback or a hook) raised."""

    _default = "A function that you registered as a callback raised an exception; its own traceback is in the log."


class AuthenticationError(RayError):
    """The cluster refused this process."""

    _default = (
        "The cluster refused the connection: the token is missing or wrong, or the process belongs to another user. "
        "Check RAY_AUTH_MODE and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) on both sides."
    )

    def __init__(self, message=None):
        super().__init__(*(() if message is None else (message,)))


# ---------------------------------------------------------------------------------------------------------------------
# Objects
# ---------------------------------------------------------------------------------------------------------------------


class ObjectStoreFullError(RayError):
    """The object store has no room for a new object."""

    _default = (
        "The object store on this node is full, and nothing in it can be released. Delete references you no longer "
        "need, store less at a time, or start with a larger object_store_memory. `ray memory` lists what fills it."
    )


class OutOfDiskError(RayError):
    """The disk that objects are spilled to is full."""

    _default = (
        "The disk that holds spilled objects is full, so the object could not be created. Free space there, or point "
        "RAY_object_spilling_directory to a larger disk."
    )


class OutOfMemoryError(RayError):
    """The node ran short of memory, and the process of this task was ended to save the rest."""

    _default = (
        "The task was ended because its node was running out of memory. Ask for fewer tasks at once (a larger "
        "num_cpus= or memory= per task), use less memory in each, or use a node with more."
    )

    def __init__(self, message=None):
        super().__init__(*(() if message is None else (message,)))


class NodeDiedError(RayError):
    """A node of the cluster failed."""

    _default = (
        "The node that this task or actor needed has failed or left the cluster, so it cannot run there. Drop the "
        "affinity to that node, or submit again when it is back."
    )

    def __init__(self, message=None):
        super().__init__(*(() if message is None else (message,)))


class ObjectLostError(RayError):
    """All copies of an object are gone.

    Args:
        object_ref_hex (str | None): the object.
        owner_address: the process that created the reference, if known.
        call_site (str): where it was created; known if ``RAY_record_ref_creation_sites=1`` was set.
        detail (str | None): what happened, where more is known than the class says.
    """

    _reason = "all copies of it are gone, because the nodes or stores that held them failed"
    _advice = "Create it again; results of tasks come back by themselves while max_retries allows it."

    def __init__(self, object_ref_hex=None, owner_address=None, call_site="", detail=None):
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site or ""
        self.detail = detail
        super().__init__(self._explain())

    def _explain(self):
        what = "An object" if not self.object_ref_hex else f"Object {self.object_ref_hex}"
        text = f"{what} cannot be read: {(self.detail or self._reason).rstrip('.')}. {self._advice}"
        if self.call_site:
            text += f"\nThe reference was created at:\n{self.call_site}"
        return text


class ObjectFetchTimedOutError(ObjectLostError):
    """A copy exists somewhere, but could not be brought here in time."""

    _reason = "the nodes that should hold a copy did not deliver it in time"
    _advice = "Check the network between the nodes and the load on them, then call ray.get() again."


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """An object was released although a reference to it was still in use."""

    _reason = "it was already released although this reference was in use; this is an error of the engine"
    _advice = "Please report it, with the program if you can."


class ObjectFreedError(ObjectLostError):
    """The object was freed by hand."""

    _reason = "its memory was freed explicitly while references to it were left"
    _advice = "Free an object only when no reference to it will be used again."


class OwnerDiedError(ObjectLostError):
    """The process that created the reference is gone, and with it what is known about the object."""

    _reason = "the process that created its reference has ended, and the object belonged to it"
    _advice = "Keep that process alive as long as the reference is used, or have it return values instead of references."


class ObjectReconstructionFailedError(ObjectLostError):
    """The object was lost, and the task that made it could not be run again.

    Args:
        object_ref_hex (str | None): the object.
        reason (str | None): why, in words.
        owner_address, call_site: see `ObjectLostError`.
    """

    def __init__(self, object_ref_hex=None, reason=None, owner_address=None, call_site=""):
        self.reason = reason
        super().__init__(object_ref_hex, owner_address, call_site)

    @property
    def _reason(self):
        return f"all copies of it are gone, and it could not be made again ({self.reason or 'no reason was recorded'})"

    _advice = "Raise max_retries on the task that makes it, or keep the values it is made from."


class GetTimeoutError(RayError, TimeoutError):
    """`ray.get` waited for as long as its ``timeout`` allowed. Also a built-in `TimeoutError`."""

    _default = (
        "Get timed out: some object(s) not ready. The tasks that make them go on running; call ray.get() again to "
        "wait longer, or ray.wait() to see which are ready."
    )


class PlasmaObjectNotAvailable(RayError):
    """An object was not in the local store when it was looked for."""

    _default = "The object is not in this node's object store within the time given. Wait longer, or check its task."


class OufOfBandObjectRefSerializationException(RayError):
    """An object reference was pickled outside of the engine's view. (The spelling is the established one.)"""

    _default = (
        "An ObjectRef was pickled where the engine cannot follow it: with plain pickle, or captured by a remote "
        "function's closure. It could be freed while the copy is still in use. Pass the reference as an argument, or "
        "inside of one; RAY_allow_out_of_band_object_ref_serialization=1 allows it and keeps the object for ever."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Starting, placing, limits
# ---------------------------------------------------------------------------------------------------------------------


class RpcError(RayError):
    """A message to another process of the cluster failed.

    Args:
        message (str | None): what happened.
        rpc_code (int | None): the code of the transport.
    """

    _default = "A process of the cluster did not answer; it may have ended, or the network may be down. Try again."

    def __init__(self, message=None, rpc_code=None):
        self.rpc_code = rpc_code
        super().__init__(*(() if message is None else (message,)))


class AsyncioActorExit(RayError):
    """Raised inside an async actor by `ray.actor.exit_actor`; users never see it."""

    _default = "The actor ends because ray.actor.exit_actor() was called in it."


class RuntimeEnvSetupError(RayError):
    """The environment that a task or an actor asked for could not be built.

    Args:
        error_message (str | None): what failed.
    """

    def __init__(self, error_message=None):
        self.error_message = error_message
        text = "Failed to set up the runtime environment, so the task or actor was not started."
        text += f"\n{error_message}" if error_message else " Check the runtime_env= it was given."
        super().__init__(text)


class TaskPlacementGroupRemoved(RayError):
    """The placement group of the task was removed."""

    _default = (
        "The placement group that this task was to run in has been removed, so the task cannot start. Remove a group "
        "only after the results of its tasks are there."
    )


class ActorPlacementGroupRemoved(RayError):
    """The placement group of the actor was removed."""

    _default = (
        "The placement group that this actor belongs to has been removed, so the actor was ended or never started. "
        "Remove a group only when its actors are no longer used."
    )


class PendingCallsLimitExceeded(RayError):
    """The actor has ``max_pending_calls`` calls waiting already; this one was not submitted."""

    _default = (
        "The call was not submitted, because max_pending_calls calls through this handle are waiting already. Wait "
        "for some of them with ray.wait(), or raise the limit."
    )


class TaskUnschedulableError(RayError):
    """No node will ever be able to run the task.

    Args:
        error_message (str): what is missing.
    """

    def __init__(self, error_message="no node of the cluster fits what it asks for"):
        self.error_message = error_message
        super().__init__(
            f"The task is not schedulable: {error_message}. Ask for less, change its scheduling strategy, or add a node that fits."
        )


class ActorUnschedulableError(RayError):
    """No node will ever be able to run the actor.

    Args:
        error_message (str): what is missing.
    """

    def __init__(self, error_message="no node of the cluster fits what it asks for"):
        self.error_message = error_message
        super().__init__(
            f"The actor is not schedulable: {error_message}. Ask for less, change its scheduling strategy, or add a node that fits."
        )


class ActorAlreadyExistsError(ValueError, RayError):
    """An actor of this name exists in the namespace already. Also a `ValueError`."""

    def __init__(self, message=None):
        super().__init__(
            "An actor of this name already exists in the namespace. Choose another name, look it up with "
            "ray.get_actor(), or create it with get_if_exists=True."
            if message is None
            else message
        )


class ActorHandleNotFoundError(ValueError, RayError):
    """The handle belongs to a cluster that this process is no longer connected to. Also a `ValueError`."""

    def __init__(self, message=None):
        super().__init__(
            "The actor of this handle is not known here: the handle is from an earlier ray.init(). Create the actor "
            "again, or look it up with ray.get_actor()."
            if message is None
            else message
        )


# ---------------------------------------------------------------------------------------------------------------------
# Generators and channels
# ---------------------------------------------------------------------------------------------------------------------


class ObjectRefStreamEndOfStreamError(RayError):
    """A streaming generator has no further item; becomes `StopIteration` before users see it."""

    _default = "The generator has yielded all its items."


class StreamingGeneratorReplayInconsistentError(RayError):
    """A streaming generator that was run again yielded other items than the first time."""

    _default = (
        "A generator task was run again after a failure and yielded another number of items than the first time, so "
        "its results cannot be matched. Make the generator deterministic, or set max_retries=0 on it."
    )


class UnserializableException(RayError):
    """Stands for an exception that could not be sent as an object: its type, text and traceback as words.

    Args:
        original_stack_trace (str): the remote traceback.
        type_name (str | None): the class of the exception, with its module.
        text (str | None): ``str()`` of the exception.
        reason (str | None): why the object itself could not be sent.
    """

    def __init__(self, original_stack_trace="", *, type_name=None, text=None, reason=None):
        self.original_stack_trace = original_stack_trace
        self.type_name = type_name
        self.text = text
        self.reason = reason
        message = f"The original exception ({type_name or 'of unknown type'}) could not be sent as an object"
        message += f": {reason}." if reason else "."
        if text:
            message += f" It said: {text}"
        if original_stack_trace:
            message += f"\nOriginal traceback:\n{original_stack_trace}"
        message += (
            "\nTo catch it by its own class, keep only picklable values in the exception, and make its module "
            "importable on both sides."
        )
        super().__init__(message)


class RayChannelError(RayError):
    """A channel of a compiled graph failed."""

    _default = "A channel between two actors of a compiled graph was closed or failed; tear the graph down and rebuild."


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """Nothing arrived on a channel in time. Also a built-in `TimeoutError`."""

    _default = "Nothing arrived on the channel of a compiled graph in time. Give a longer timeout, or check its actors."


class RayCgraphCapacityExceeded(RayError):
    """A compiled graph has too many executions in flight."""

    _default = "The compiled graph holds as many unread results as it may. Read some of them before executing it again."


class RayDirectTransportError(RayError):
    """A tensor could not be moved directly between two devices."""

    _default = "A direct transfer between two devices failed. Check that both processes are alive and see the device."


# ---------------------------------------------------------------------------------------------------------------------
# Beyond the established tree
# ---------------------------------------------------------------------------------------------------------------------


class DeadlockError(RayError):
    """Tasks wait for one another in a circle; none of them can ever go on.

    Args:
        cycle (list[str] | str | None): who waits for whom, each waiting for the next and the last for the first; or a
            whole message.

    Attributes: ``cycle`` (list[str]).

    Example:
        >>> print(DeadlockError(["f() [task 1]", "g() [task 2]"]))
        Deadlock: these wait for one another, so none of them can go on:
          f() [task 1]
            waits for g() [task 2]
            waits for f() [task 1]
        Return references instead of waiting for them inside of a task, or break the circle.
    """

    def __init__(self, cycle=None):
        if cycle is None:
            cycle = "Deadlock: tasks wait for one another in a circle, so none of them can go on."
        if isinstance(cycle, str):
            self.cycle = []
            super().__init__(cycle)
            return
        self.cycle = [str(step) for step in cycle]
        lines = ["Deadlock: these wait for one another, so none of them can go on:"]
        lines += [f"  {step}" for step in self.cycle[:1]]
        lines += [f"    waits for {step}" for step in (*self.cycle[1:], *self.cycle[:1])]
        lines.append("Return references instead of waiting for them inside of a task, or break the circle.")
        super().__init__("\n".join(lines))


class TaskTimeoutError(RayError, TimeoutError):
    """The task ran longer than its ``timeout=`` and was ended. Also a built-in `TimeoutError`.

    Args:
        message (str | None): replaces the text made from the fields below.
        function_name (str | None): the task.
        timeout_s (float | None): the limit it had.
    """

    def __init__(self, message=None, *, function_name=None, timeout_s=None):
        self.function_name = function_name
        self.timeout_s = timeout_s
        if message is None:
            what = _with_parens(function_name) if function_name else "The task"
            limit = "its timeout" if timeout_s is None else f"its timeout of {timeout_s:g} s"
            message = f"{what} ran longer than {limit} and was ended. Give it more time with .options(timeout=...)."
        super().__init__(message)


class ClusterUnavailableError(RayError):
    """The cluster does not answer."""

    _default = (
        "The cluster cannot be reached: its scheduler has ended or does not answer. Check that it runs (`ray status`), "
        "or call ray.shutdown() and ray.init() to start a new one."
    )


class RayConnectionError(RayError):
    """This process is not connected to a cluster, or lost its connection."""

    _default = (
        "This process is not connected to a cluster. Call ray.init() or ray.services.start_ray_local() first; after "
        "ray.shutdown(), references of the stopped cluster are of no use any more."
    )


RAY_EXCEPTION_TYPES = [value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, RayError)]


# ---------------------------------------------------------------------------------------------------------------------
# For workers and drivers
# ---------------------------------------------------------------------------------------------------------------------


def make_task_error(exc, function_name, pid=None, ip=None, tb=None, *, proctitle=None, actor_repr=None, actor_id=None):
    """The `RayTaskError` for an exception that a task has just raised.

    The engine's frames above the user's code are left out; chained exceptions and notes stay as text.

    Args:
        exc (BaseException): the live exception.
        function_name (str): the task or ``Class.method``.
        pid (int | None), ip (str | None): this process, by default as the system names it.
        tb (traceback | None): by default ``exc.__traceback__``.
        proctitle, actor_repr, actor_id: see `RayTaskError`.

    Returns:
        RayTaskError: with the original exception as cause; for one that a nested `ray.get` raised, the innermost cause.
    """
    text = _format_traceback(exc, exc.__traceback__ if tb is None else tb)
    cause = exc
    while isinstance(cause, RayTaskError):
        cause = cause.cause
    return RayTaskError(function_name, text, cause, proctitle, pid, ip, actor_repr, actor_id)


def dump_error(error):
    """Any exception as bytes. Never fails: what cannot be pickled is written as text.

    Args:
        error (BaseException): usually a `RayError`.

    Returns:
        bytes: for `load_error`.
    """
    import pickle

    text = _clip(_safe_text(error) if isinstance(error, RayTaskError) else _one_line(error))
    try:
        payload = _dump(error)
    except Exception as reason:
        stand_in = UnserializableException(
            text, type_name=_class_name(error), text=_clip(_safe_text(error)), reason=_one_line(reason)
        )
        payload = pickle.dumps(stand_in, 5)
    return pickle.dumps((text, payload), 5)


def load_error(data):
    """The exception to raise for what `dump_error` wrote. Never fails.

    Args:
        data (bytes-like): from `dump_error`, or any pickled exception.

    Returns:
        BaseException: a `RayTaskError` comes back as an instance of its cause's class too; what cannot be read comes
        back as an `UnserializableException` with its text.
    """
    import pickle

    text = ""
    try:
        error = pickle.loads(data)
        if type(error) is tuple:
            text, payload = error
            error = pickle.loads(payload)
        if isinstance(error, RayTaskError):
            return error.as_instanceof_cause()
        if isinstance(error, BaseException):
            return error
        reason = f"{type(error).__name__} is not an exception"
    except Exception as failure:
        reason = _one_line(failure)
    return UnserializableException(text, type_name=text.partition(":")[0] or None, reason=reason)


def portable_cause(cause, traceback_str=""):
    """``cause`` itself if it survives pickling and unpickling, else an `UnserializableException` that stands for it.

    Args:
        cause (BaseException): the exception.
        traceback_str (str): the text to keep if the object cannot be kept.
    """
    try:
        if not isinstance(_load_quietly(_dump_quietly(cause)), BaseException):
            raise TypeError("it does not read back as an exception")
    except Exception as reason:
        return UnserializableException(
            traceback_str, type_name=_class_name(cause), text=_clip(_safe_text(cause)), reason=_one_line(reason)
        )
    return cause


# ---------------------------------------------------------------------------------------------------------------------
# Pickling of exceptions
# ---------------------------------------------------------------------------------------------------------------------


def _restore(cls, args, state):
    """Counterpart of `RayError.__reduce__`: attributes come back as they were, no constructor of ours or a user's runs."""
    base = _c_base(cls)
    error = base.__new__(cls, *args)
    base.__init__(error, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _c_base(cls):
    """The first class in the resolution order that is written in C inside the interpreter: it allocates instances."""
    for base in cls.__mro__:
        if not base.__flags__ & _HEAP_TYPE_FLAG:
            return base
    return BaseException


def _reduce_exception(error):
    """How to pickle an exception that says nothing about it itself, without calling its constructor when it is read.

    Python's own way calls the class with ``args``, which fails for every class whose ``__init__`` asks for something
    else, and forgets ``__slots__``.
    """
    cls = type(error)
    if isinstance(error, RayError) or not cls.__flags__ & _HEAP_TYPE_FLAG or cls.__module__ == "builtins":
        return NotImplemented
    base = _c_base(cls)
    for name in ("__reduce_ex__", "__reduce__", "__setstate__"):
        if getattr(cls, name) is not getattr(base, name):
            return NotImplemented
    import copyreg

    if cls in copyreg.dispatch_table:
        return NotImplemented
    reduced = base.__reduce__(error)
    arguments = reduced[1]
    if base is _group_base():
        arguments = (error.message, list(error.exceptions))
    try:
        base.__new__(cls, *arguments)
    except TypeError:  # an extension module's class that allocates in a way of its own
        return NotImplemented
    state = reduced[2] if len(reduced) > 2 and reduced[2] else {}
    slots = {}
    for name in copyreg._slotnames(cls):
        try:
            slots[name] = getattr(error, name)
        except AttributeError:
            pass
    return _rebuild_exception, (cls, arguments, error.args, state, slots)


def _rebuild_exception(cls, arguments, args, state, slots):
    base = _c_base(cls)
    error = base.__new__(cls, *arguments)
    base.__init__(error, *arguments)
    error.args = args
    for name, value in state.items():
        # ImportError and its like keep some of their attributes outside of __dict__.
        if _is_c_attribute(cls, name):
            BaseException.__setattr__(error, name, value)
        else:
            error.__dict__[name] = value
    for name, value in slots.items():
        BaseException.__setattr__(error, name, value)
    return error


def _is_c_attribute(cls, name):
    for base in cls.__mro__:
        if name in base.__dict__:
            return not base.__flags__ & _HEAP_TYPE_FLAG and hasattr(type(base.__dict__[name]), "__set__")
    return False


def _group_base():
    return BaseExceptionGroup


_picklers = None


def _pickler_classes():
    """Two picklers that know `_reduce_exception`: a plain one, and one that sends classes by value (made lazily)."""
    global _picklers
    if _picklers is None:
        import pickle

        class Plain(pickle.Pickler):
            def reducer_override(self, value):
                return _reduce_exception(value) if isinstance(value, BaseException) else NotImplemented

        def by_value():
            import cloudpickle

            class ByValue(cloudpickle.Pickler):
                def reducer_override(self, value):
                    if isinstance(value, BaseException):
                        reduced = _reduce_exception(value)
                        if reduced is not NotImplemented:
                            return reduced
                    return super().reducer_override(value)

            _picklers[1] = lambda: ByValue
            return ByValue

        _picklers = [Plain, by_value]
    return _picklers


def _dump(value):
    import io

    classes = _pickler_classes()
    try:
        buffer = io.BytesIO()
        classes[0](buffer, 5).dump(value)
        data = buffer.getvalue()
        if b"__main__" not in data:
            return data
    except Exception:
        pass
    buffer = io.BytesIO()
    classes[1]()(buffer, 5).dump(value)
    return buffer.getvalue()


def _dump_quietly(value):
    """`_dump` as a trial: object references inside are neither counted nor pinned."""
    serialization = sys.modules.get("ray.serialization")
    if serialization is None:
        return _dump(value)
    with serialization.collecting():
        return _dump(value)


def _load_quietly(data):
    import pickle

    return pickle.loads(data)


# ---------------------------------------------------------------------------------------------------------------------
# Classes that are a RayTaskError and the user's class at once
# ---------------------------------------------------------------------------------------------------------------------

_dual_classes = None  # the user's class -> our class, while errors of it are alive


def _dual_class(cause_class):
    global _dual_classes
    if _dual_classes is None:
        import weakref

        _dual_classes = weakref.WeakValueDictionary()
    found = _dual_classes.get(cause_class)
    if found is not None:
        return found
    name = f"RayTaskError({cause_class.__name__})"
    namespace = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": cause_class.__doc__,
        "__init__": _init_dual,
        "_ray_dual": True,
        "_ray_cause_class": cause_class,
    }
    for base in reversed(cause_class.__mro__):
        if base in (BaseException, Exception, object) or base is _group_base():
            continue
        for key, attribute in base.__dict__.items():
            # errno, filename, slots: stored inside of the cause, where no lookup by name on our instance finds them.
            if type(attribute).__name__ in ("member_descriptor", "getset_descriptor") and not key.startswith("__"):
                namespace[key] = _forward(key)
    for key in _TASK_ERROR_FIELDS:
        if hasattr(cause_class, key):  # the user's class has a property or default of this name: ours comes first
            namespace[key] = _own_field(key)
    cls = type(cause_class)(name, (RayTaskError, cause_class), namespace)
    try:
        _dual_classes[cause_class] = cls
    except TypeError:  # a metaclass without hash
        pass
    return cls


def _new_dual(cls, cause, fields, attributes):
    base = _c_base(cls)
    arguments = (cause.message, list(cause.exceptions)) if base is _group_base() else ()
    error = base.__new__(cls, *arguments)
    # Instance attributes of the cause would otherwise be hidden by defaults of the same name on its class.
    error.__dict__.update(getattr(cause, "__dict__", None) or {})
    error.__dict__.pop("__notes__", None)  # they are part of the remote traceback already
    ours = {**attributes, **fields}
    if isinstance(cause, RayError):  # the actor it is about, say, where the task itself ran in none
        ours = {name: value for name, value in ours.items() if value is not None or name not in cause.__dict__}
    error.__dict__.update(ours)
    error.args = (cause,)
    return error


def _init_dual(self, *args, **kwargs):
    """For code that makes another error of the class it caught: ``type(error)("text")``."""
    if args and isinstance(args[0], BaseException):
        cause = args[0]
    else:
        cause = type(self)._ray_cause_class(*args, **kwargs)
    fields = dict.fromkeys(_TASK_ERROR_FIELDS)
    fields.update(function_name="unknown", cause=cause, pid=os.getpid(), ip="127.0.0.1")
    self.__dict__.update(fields)
    self.args = (cause,)


def _forward(name):
    def get(self):
        return getattr(self.__dict__["cause"], name)

    def set(self, value):
        setattr(self.__dict__["cause"], name, value)

    return property(get, set)


def _own_field(name):
    def get(self):
        return self.__dict__.get(name)

    def set(self, value):
        self.__dict__[name] = value

    return property(get, set)


# ---------------------------------------------------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------------------------------------------------


def _format_traceback(exc, tb):
    try:
        import traceback

        report = traceback.TracebackException(type(exc), exc, tb, compact=True)
        _strip_engine_frames(report, set())
        return _clip("".join(report.format()).rstrip())
    except Exception as reason:  # a __str__ or a source file that cannot be read must not hide the error
        return f"{_one_line(exc)}\n(the traceback could not be written: {_one_line(reason)})"


def _strip_engine_frames(report, seen):
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    stack = report.stack
    first = 0
    while first < len(stack) and stack[first].filename.startswith(_PACKAGE_DIR):
        first += 1
    if first < len(stack) or (stack and stack[-1].filename in _CHECKS):
        del stack[:first]  # frames that are all ours stay: then the error is ours too
    _strip_engine_frames(report.__cause__, seen)
    _strip_engine_frames(report.__context__, seen)
    for inner in getattr(report, "exceptions", None) or ():
        _strip_engine_frames(inner, seen)


def _clip(text):
    if len(text) <= _MAX_TEXT_CHARS:
        return text
    half = _MAX_TEXT_CHARS // 2
    return f"{text[:half]}\n... [{len(text) - 2 * half} characters left out] ...\n{text[-half:]}"


def _safe_text(error):
    try:
        return str(error)
    except Exception:
        return "<the exception's own text could not be made>"


def _class_name(error):
    cls = type(error)
    return cls.__qualname__ if cls.__module__ in ("builtins", "__main__") else f"{cls.__module__}.{cls.__qualname__}"


def _one_line(error):
    return _clip(f"{_class_name(error)}: {_safe_text(error)}")


def _hex(value):
    return value.hex() if isinstance(value, (bytes, bytearray)) else value


def _signal_name(value):
    if value is None or isinstance(value, str):
        return value
    import signal

    try:
        return signal.Signals(value).name
    except ValueError:
        return f"signal {value}"


def _death_advice(signal_name, exit_code):
    if signal_name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"):
        return (
            "Likely cause: a crash in a native library that the task uses. Run the function in a plain Python process "
            "with faulthandler enabled to see where."
        )
    if signal_name == "SIGKILL":
        return (
            "Likely cause: the system ran out of memory and ended it, or somebody killed it. Run fewer tasks at once "
            "(a larger num_cpus= or memory= per task), or use less memory in each."
        )
    if signal_name:
        return "Likely cause: somebody sent it this signal. Raise max_retries= if such losses are expected."
    if exit_code is not None:
        return "Likely cause: the task, or a library it uses, called os._exit() or exit(). Return or raise instead."
    return (
        "Likely causes: it ran out of memory, a native library crashed, or somebody killed it. The log of the worker "
        "says more; raise max_retries= if such losses are expected."
    )
