"""Local mode: every task runs in this process, as soon as it is called. For debugging.

`ray.init(local_mode=True)` starts no process. The functions of `ray._core` that talk to a cluster are replaced, in this
process, by those below, so that the calls of a real cluster pay nothing for it; `ray.shutdown()` puts them back. What
users see stays the same: references, copies of arguments and results, errors that surface at `ray.get`.

With `driver_mode=ray.PYTHON_MODE`, as in 2016, there are no references either: a call returns the value itself.

What differs: one thing happens at a time, in the order of the calls. Whoever waits for what a later call does waits for ever.
"""

import os
import sys
import threading
import weakref

from ray import _core, exceptions, serialization

# The cluster number of references made here; no real cluster has it.
_CLUSTER = 1
_session = None  # the `_Session`, while local mode is on


def is_active():
    """bool: whether this process runs its tasks itself."""
    return _session is not None


def start(num_cpus=None, resources=None, *, returns_values=False):
    """Turns local mode on.

    Args:
        num_cpus (int | None), resources (dict[str, float] | None): what the cluster seems to have.
        returns_values (bool): calls return values instead of references.

    Raises:
        RuntimeError: this process is in a cluster already.
    """
    global _session
    if _core.is_connected():
        raise RuntimeError("A cluster has been started already in this process. Call ray.shutdown() before starting another.")
    count = len(os.sched_getaffinity(0)) if num_cpus is None else num_cpus
    _session = _Session({"CPU": float(count), **(resources or {})}, returns_values)
    _session.install()


def stop():
    """Turns local mode off."""
    global _session
    session, _session = _session, None
    session.uninstall()
    serialization.unpin()


def submit(function, returns, args, kwargs):
    """Runs a task. Called by the native side for `function.remote(...)` where there is no cluster."""
    return _session.run_task(function, returns, args, kwargs or {})


def reference_of(seq, index):
    """A reference read from a pickle."""
    return _session.reference(seq, index)


class _Running:
    """What runs: the task of a thread."""

    def __init__(self, task, name, actor):
        self.task = task
        self.name = name
        self.actor = actor


class _Outcome:
    """An object: the pickled value, with the references inside, or an error."""

    __slots__ = ("buffers", "data", "error", "references")

    def __init__(self, value=None, what="result", error=None):
        self.error = None if error is None else exceptions.dump_error(error)
        if error is None:
            self.data, buffers, self.references = serialization.pack(value, what)
            # Frozen, as objects in the store are: arrays come back read-only.
            self.buffers = [bytes(buffer.raw()) for buffer in buffers]

    def value(self):
        if self.error is not None:
            raise exceptions.load_error(self.error)
        value = serialization.loads(self.data, self.buffers)
        if isinstance(value, exceptions.RayError):
            raise value
        return value


class _Session:
    """The objects and actors of one time in local mode."""

    def __init__(self, resources, returns_values):
        self.resources = resources
        self.returns_values = returns_values
        self.lock = threading.RLock()
        self.next_seq = 1
        self.known = weakref.WeakValueDictionary()  # (seq, index) -> the one reference of this process
        self.outcomes = weakref.WeakKeyDictionary()  # reference -> _Outcome
        self.actors = {}  # number -> _LocalActor
        self.key_values = {}
        self.running = threading.local()
        self.before = {}

    # -- in the place of the native functions --------------------------------------------------------------------------

    def install(self):
        for name in _REPLACED:
            self.before[name] = getattr(_core, name)
            setattr(_core, name, getattr(self, f"core_{name}"))

    def uninstall(self):
        for name, function in self.before.items():
            setattr(_core, name, function)
        for actor in self.actors.values():
            actor.end()

    def core_is_connected(self):
        return True

    def core_identity(self):
        return (0, 0, _CLUSTER, 1)

    def core_put(self, value):
        if isinstance(value, _core.ObjectRef):
            raise TypeError(
                "Calling 'put' on an ray.ObjectRef is not allowed: it already refers to a stored object. Pass the reference "
                "itself, or put it inside a list to store the reference as a value."
            )
        if self.returns_values:
            return value
        return self.keep(self.take_number(), 0, _Outcome(value, "put value"))

    def core_get(self, refs, timeout=None):
        if self.returns_values:
            return refs
        if isinstance(refs, _core.ObjectRef):
            return self.outcome(refs).value()
        if not isinstance(refs, list):
            raise ValueError(
                f"Invalid type of object refs, {type(refs)}, is given. 'object_refs' must either be an ObjectRef or a list of "
                "ObjectRefs."
            )
        for ref in refs:
            if not isinstance(ref, _core.ObjectRef):
                raise TypeError(f"Attempting to call `get` on the value {ref!r:.100}, which is not an ray.ObjectRef.")
        return [self.outcome(ref).value() for ref in refs]

    def core_wait(self, refs, num_returns, timeout):
        if self.returns_values:
            return refs[:num_returns], refs[num_returns:]
        for ref in refs:
            if not isinstance(ref, _core.ObjectRef):
                raise TypeError("wait() expected a list of ray.ObjectRef: an element is something else.")
        if len(set(refs)) != len(refs):
            raise ValueError("Wait requires a list of unique ray_waitables.")
        return refs[:num_returns], refs[num_returns:]

    def core_is_ready(self, ref):
        return bool(self.outcome(ref))

    def core_watch(self, ref):
        return not self.core_is_ready(ref)  # no notice will come: it exists

    def core_cancel(self, ref, force, recursive):
        """Nothing: whatever there is a reference to has ended."""

    def core_is_actor_call(self, ref):
        return False

    def core_running_task(self):
        running = self.now()
        return None if running is None else running.task

    def core_current_function_name(self):
        running = self.now()
        return None if running is None else running.name

    def core_is_cancelled(self):
        return False

    def core_cluster_info(self):
        node = {
            "node": 0,
            "alive": True,
            "store_socket": "",
            "store_capacity_bytes": 0,
            "total": dict(self.resources),
            "available": dict(self.resources),
        }
        return {"nodes": [node], "workers": [], "drivers": 1}

    def core_counters(self):
        return {"local_objects": len(self.outcomes)}

    def core_task_times(self):
        return []  # nobody measures here: a profiler sees this process as a whole

    def core_key_value(self, operation, key, value=None, overwrite=True):
        table = self.key_values
        if operation == "put":
            if overwrite or key not in table:
                table[key] = value
        elif operation == "get":
            return [table[key]] if key in table else []
        elif operation == "delete":
            table.pop(key, None)
        else:
            return sorted(found for found in table if found.startswith(key))
        return []

    def core_next_notices(self, patience):
        return None

    def core_create_actor(self, args, kwargs, *, class_name, name, namespace, handle, max_restarts, **others):
        blob, _details, *args = args
        if name and self.core_find_actor(namespace, name) is not None:
            raise exceptions.ActorAlreadyExistsError(
                f"The name {name} (namespace={namespace}) is already taken. Choose another, look the actor up with "
                "ray.get_actor(), or create it with get_if_exists=True."
            )
        number = self.take_number()
        if isinstance(blob, _core.ObjectRef):
            blob = self.outcome(blob).value()
        actor = self.actors[number] = _LocalActor(self, number, class_name, name, namespace, handle, max_restarts, blob)
        actor.make = lambda: self.copied(args, kwargs)
        actor.begin()
        return _LocalClaim(actor, weak=False)

    def core_rebuild_actor(self, key, class_name, weak):
        return _LocalClaim(self.actors[key[1]], weak)

    def core_find_actor(self, namespace, name):
        for actor in self.actors.values():
            if actor.name == name and actor.namespace == namespace and not actor.is_dead:
                return actor.key, actor.pickled_handle
        return None

    def core_list_actors(self):
        return [
            {
                "actor_id": actor.id.hex(),
                "class_name": actor.class_name,
                "name": actor.name,
                "namespace": actor.namespace,
                "state": "DEAD" if actor.is_dead else "ALIVE",
                "pid": os.getpid(),
                "node": 0,
                "restarts": actor.restarts,
                "death_cause": "" if actor.died is None else str(actor.died),
            }
            for actor in self.actors.values()
        ]

    # -- objects -------------------------------------------------------------------------------------------------------

    def take_number(self):
        with self.lock:
            self.next_seq += 1
            return self.next_seq - 1

    def reference(self, seq, index):
        ref = self.known.get((seq, index))
        if ref is None:
            ref = self.known[seq, index] = _core.ObjectRef(_id(seq, 28, index + 1))
        return ref

    def keep(self, seq, index, outcome):
        ref = self.reference(seq, index)
        self.outcomes[ref] = outcome
        return ref

    def outcome(self, ref):
        found = self.outcomes.get(ref)
        if found is None:
            raise ValueError(
                "This object reference belongs to a cluster that has been stopped, or to nothing: no such object is here."
            )
        return found

    def copied(self, args, kwargs):
        """Arguments as the callee gets them: values of references, and copies of everything else."""
        return [self._copy(value) for value in args], {name: self._copy(value) for name, value in kwargs.items()}

    def _copy(self, value):
        if isinstance(value, _core.ObjectRef):
            return self.outcome(value).value()
        return _Outcome(value, "argument").value()

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def now(self):
        stack = getattr(self.running, "stack", ())
        return stack[-1] if stack else None

    def run(self, task, name, actor, call, returns, split):
        """Runs something and returns what its caller gets: references, or the value."""
        stack = self.running.__dict__.setdefault("stack", [])
        stack.append(_Running(task, name, actor))
        try:
            value = call()
            if self.returns_values:
                return value
            results = split(value, returns)
            outcomes = [_Outcome(result, "result") for result in results]
        except SystemExit as end:
            outcomes = self.failed(returns, actor.died if actor is not None and actor.is_dead else _crashed(name, end))
        except Exception as error:  # user code
            if self.returns_values:
                raise
            wrapped = exceptions.make_task_error(error, name, pid=os.getpid(), ip="127.0.0.1", tb=error.__traceback__)
            outcomes = self.failed(returns, wrapped)
        finally:
            stack.pop()
        return self.results(int.from_bytes(task[:8], "little"), outcomes)

    def failed(self, returns, error):
        """What becomes of the results of a call that has none."""
        if self.returns_values:
            raise error
        return [_Outcome(error=error)] * returns

    def results(self, seq, outcomes):
        refs = [self.keep(seq, index, outcome) for index, outcome in enumerate(outcomes)]
        return None if not refs else refs[0] if len(refs) == 1 else refs

    def run_task(self, function, returns, args, kwargs):
        signature = function._signature

        def call():
            given, named = self.copied(args, kwargs)
            if signature.typed:
                signature.check_arguments(given, named)
            return function._function(*given, **named)

        def split(value, count):
            results = signature.split_results(value, count)
            if signature.typed:
                signature.check_results(results)
                results = [self.outcome(value).value() if isinstance(value, _core.ObjectRef) else value for value in results]
            return results

        return self.run(_id(self.take_number(), 24), signature.short_name, None, call, returns, split)


_REPLACED = [name.removeprefix("core_") for name in vars(_Session) if name.startswith("core_")]


def _id(seq, length, end=0):
    """Bytes of an id as real ones are laid out: number, client 0, cluster, job 1, and what comes after."""
    fields = seq.to_bytes(8, "little") + bytes(4) + _CLUSTER.to_bytes(8, "little") + (1).to_bytes(4, "little")
    return fields + end.to_bytes(length - 24, "little")


# ---------------------------------------------------------------------------------------------------------------------
# Actors
# ---------------------------------------------------------------------------------------------------------------------


class _Nothing:
    """No event loop serves calls, and no call is one of many."""

    current = None

    def get(self):
        return None


class _LocalActor:
    """An instance in this process. It stays until it is killed or local mode ends, also without a handle."""

    def __init__(self, session, number, class_name, name, namespace, handle, max_restarts, blob):
        self.session = session
        self.key = (0, number, _CLUSTER)
        self.id = number.to_bytes(8, "little") + bytes(4) + (1).to_bytes(4, "little")
        self.class_name = class_name
        self.name = name
        self.namespace = namespace
        self.pickled_handle = handle
        self.blob = blob
        self.restarts_left = max_restarts
        self.restarts = 0
        self.instance = None
        self.died = None
        self.loop = None
        # What `ray.runtime_context` asks of `ray.actor_worker`, which is this in a process of the actor's own.
        self._actor_id = self.id
        self._details = {"name": name, "resources": {}}

    _Server = current_call = _Nothing()

    @property
    def is_dead(self):
        return self.died is not None

    @property
    def _restarts(self):
        return self.restarts

    def begin(self):
        """Makes the instance; what its constructor raises is the actor's death."""
        import pickle

        def construct():
            cls = pickle.loads(self.blob)
            args, kwargs = self.make()
            self.instance = cls(*args, **kwargs)

        name = f"{self.class_name}.__init__"
        try:
            self.session.run(_id(self.session.take_number(), 24), name, self, self._raising(construct), 0, lambda value, count: [])
        except _InitFailed as failure:
            error = exceptions.make_task_error(failure.error, name, pid=os.getpid(), ip="127.0.0.1", tb=failure.error.__traceback__)
            self.die(exceptions.ActorDiedError(error, actor_id=self.id, class_name=self.class_name))

    def _raising(self, construct):
        def call():
            try:
                construct()
            except Exception as error:
                raise _InitFailed(error) from error

        return call

    def die(self, error):
        if self.died is None:
            self.died = error
        self.end()

    def end(self):
        self.instance = None
        if self.loop is not None and not self.loop.is_running():
            self.loop.close()
        self.loop = None

    def call(self, method, args, kwargs):
        """Runs a method."""
        session = self.session
        args, kwargs = method.check.bind(args, kwargs)
        returns = method.returns
        if self.died is not None:
            if session.returns_values:
                raise self.died
            return session.results(session.take_number(), [_Outcome(error=self.died)] * returns)
        name = method.name.rpartition(".")[2]

        def run():
            given, named = session.copied(args, kwargs)
            try:
                return self.finished(self.bound(name)(*given, **named))
            except SystemExit:
                self.die(exceptions.ActorDiedError("The actor has ended itself.", actor_id=self.id, class_name=self.class_name))
                raise

        return session.run(_id(session.take_number(), 24), method.name, self, run, returns, _split)

    def handle(self):
        """A handle of this actor."""
        from ray.actor import _rebuild_handle

        return _rebuild_handle(self.key, self.pickled_handle, True)

    def bound(self, name):
        if not hasattr(type(self.instance), name):
            instance = self.instance
            special = {
                "__ray_ready__": lambda: True,
                "__ray_call__": lambda function, /, *args, **kwargs: function(instance, *args, **kwargs),
                "__ray_terminate__": lambda: sys.exit(0),
            }
            if name in special:
                return special[name]
        return getattr(self.instance, name)

    def finished(self, value):
        """What a method gives in the end: a coroutine is run to its end, on a loop of the actor's own."""
        if not hasattr(value, "__await__"):
            return value
        import asyncio

        async def run():
            return await value

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.loop.run_until_complete(run())
        # The caller is in a loop itself, and a thread has one loop at a time.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self.loop.run_until_complete, run()).result()


class _InitFailed(BaseException):
    """A constructor raised."""

    def __init__(self, error):
        self.error = error


def _split(value, count):
    if count == 1:
        return [value]
    if count == 0:
        return []
    try:
        results = list(value)
    except TypeError:
        results = [value]
    if len(results) != count:
        raise ValueError(f"Task returned {len(results)} objects, but num_returns={count}.")
    return results


class _LocalClaim:
    """The half of a handle that is native in a cluster."""

    def __init__(self, actor, weak):
        self._actor = actor
        self.weak = weak
        self.id = actor.id
        self.key = actor.key

    def caller(self, method):
        return lambda *args, **kwargs: self._here().call(method, args, kwargs)

    def _here(self):
        if self._actor.session is not _session:
            raise exceptions.ActorHandleNotFoundError(
                "This actor handle belongs to a cluster that has been stopped. Actors live as long as their cluster; create the "
                "actor again."
            )
        return self._actor

    def kill(self, no_restart):
        actor = self._here()
        if not no_restart and actor.restarts_left != 0:
            actor.restarts_left -= 1
            actor.restarts += 1
            actor.end()
            actor.begin()
            return
        actor.die(
            exceptions.ActorDiedError(
                "The actor is dead because it was killed by `ray.kill`.", actor_id=actor.id, class_name=actor.class_name
            )
        )


def running_actor():
    """The actor that runs in this thread, or None."""
    running = _session.now()
    return None if running is None else running.actor


def _crashed(name, end):
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return exceptions.WorkerCrashedError(exit_code=code, pid=os.getpid(), function_name=name, attempts=1)
