"""The actor's end: makes the instance, and decides where its calls run.

Calls of an ordinary actor run one after the other on the main thread; the loop is native (`_core.run_worker`) and only
asks this module to make the instance. With `max_concurrency` above 1 or concurrency groups the native loop hands each
call to `dispatch`, which gives it to a pool of threads. A class with an `async def` method has the main thread for its
event loop: `run_loop`.
"""

import contextvars
import os

from ray import _core, serialization

_instance = None
_class_name = ""
_key = None
_details: dict = {}
_restarts = 0
_actor_id = None
_groups_of_methods: dict = {}
_pools: dict = {}

#: The call that runs in this thread or task, in actors that run many at a time.
current_call = contextvars.ContextVar("ray_current_call", default=None)


class ActorExit(SystemExit):
    """Raised by `exit_actor`."""


def class_name():
    return _class_name


def is_actor():
    return _actor_id is not None


def exit_actor():
    """See `ray.actor.exit_actor`."""
    from ray.runtime_context import _actor

    if _actor() is None:
        raise TypeError("exit_actor() can only be called in an actor: this process is none.")
    raise ActorExit(0)


def say_goodbye():
    """Calls the instance's `__ray_shutdown__`, if it has one: the process ends, and not because it was killed."""
    goodbye = getattr(type(_instance), "__ray_shutdown__", None)
    if goodbye is not None:
        try:
            goodbye(_instance)
        except Exception:  # noqa: BLE001 - it ends all the same
            import traceback

            traceback.print_exc()


def construct(actor_id, key, restarts, args, kwargs):
    """Makes the instance. `args` are the pickled class, the pickled details, then the constructor's.

    Returns:
        tuple: where calls run ("calls", "threads" or "loop"), and the methods: (id, callable, name, result split) each.
    """
    global _instance, _class_name, _key, _details, _restarts, _actor_id
    import pickle

    blob, details, *args = args
    _key, _restarts, _actor_id = key, restarts, actor_id
    _details = serialization.loads(details)
    description = handle().__dict__["_description"]
    _class_name = description.class_name
    from ray import process_title, task_setting, worker_main

    if _details["placement_group"] is not None:
        _core.enter_group(*_details["placement_group"])
    task_setting.settle_threads(_details["resources"].get("CPU", 0))

    worker_main.output_name = _class_name
    process_title.set_title(f"ray::{_class_name}.__init__")
    cls = pickle.loads(blob)
    _instance = cls.__new__(cls, *args, **kwargs) if cls.__new__ is not object.__new__ else object.__new__(cls)
    if isinstance(_instance, cls):
        _instance.__init__(*args, **kwargs)
    process_title.set_title(f"ray::{_class_name}")
    worker_main.output_name = _output_name(_instance) or _class_name
    from ray.actor import method_id

    methods = []
    for name, method in description.methods.items():
        number = method_id(description.module, description.class_name, name)
        callable_ = _special(name) if name.startswith("__ray_") else getattr(_instance, name)
        methods.append((number, callable_, f"{_class_name}.{name}", method.signature.split_results))
        _groups_of_methods[number] = method.chosen.get("concurrency_group")
    if description.is_async:
        return "loop", methods
    if _details["max_concurrency"] > 1 or _details["groups"]:
        return "threads", methods
    return "calls", methods


def _output_name(instance):
    """What the actor's class says that it is called, in one line; None when it says nothing."""
    if type(instance).__repr__ is object.__repr__:
        return None
    try:
        return repr(instance).replace("\n", " ")[:_LONGEST_NAME]
    except Exception:  # noqa: BLE001 - user code; a name is not worth an actor
        return None


# A dataclass may hold, and show, anything.
_LONGEST_NAME = 200


def _special(name):
    own = getattr(type(_instance), name, None)
    if own is not None:
        return getattr(_instance, name)
    return {"__ray_ready__": lambda: True, "__ray_call__": _call, "__ray_terminate__": exit_actor}[name]


def _call(function, /, *args, **kwargs):
    return function(_instance, *args, **kwargs)


def handle():
    """A handle of this actor, which does not keep it alive."""
    from ray.actor import _rebuild_handle

    return _rebuild_handle(_key, _details["handle"], True)


def _group_of(call):
    """The name of the group a call runs in; None for the default one.

    Raises:
        ValueError: there is no such group.
    """
    group = call.group or _groups_of_methods.get(call.method_id)
    if group is not None and group not in _details["groups"]:
        raise ValueError(f"The actor has no concurrency group {group!r}; its groups are {sorted(_details['groups'])}.")
    return group


# ---------------------------------------------------------------------------------------------------------------------
# Threads
# ---------------------------------------------------------------------------------------------------------------------


def dispatch(call):
    """Gives a call to the threads of its group."""
    try:
        group = _group_of(call)
    except ValueError as error:
        call.fail(error)
        return
    pool = _pools.get(group)
    if pool is None:
        from concurrent.futures import ThreadPoolExecutor

        threads = _details["max_concurrency"] if group is None else _details["groups"][group]
        pool = _pools[group] = ThreadPoolExecutor(threads, thread_name_prefix=f"ray-{group or 'default'}")
    pool.submit(_run_on_thread, call)


def _run_on_thread(call):
    if call.cancelled:
        call.fail(_cancelled_error(), True)
        return
    token = current_call.set(call)
    try:
        exit_wanted = call.run()
    finally:
        current_call.reset(token)
        _core.finish_output()
    if exit_wanted is not None:
        _core.leave_actor(_key, exit_wanted.code in (None, 0))


def drain():
    """Waits until the threads have run everything."""
    for pool in _pools.values():
        pool.shutdown(wait=True)


# ---------------------------------------------------------------------------------------------------------------------
# Event loop
# ---------------------------------------------------------------------------------------------------------------------


class _Share:
    """How many calls of one group may be under way, and those that wait for their turn."""

    __slots__ = ("active", "limit", "waiting")

    def __init__(self, limit):
        from collections import deque

        self.limit = limit
        self.active = 0
        self.waiting = deque()


def run_loop(mailbox):
    """Runs the calls of an actor with coroutines on an event loop in the main thread, until it ends."""
    import asyncio

    from ray import api, notices

    loop = asyncio.SelectorEventLoop(_make_selector(mailbox))
    _Server.current = server = _Server(mailbox, loop)
    loop._selector.server = server
    asyncio.set_event_loop(loop)
    notices.handled_by_loop()
    if os.environ.get("RAY_WARN_BLOCKING_GET_INSIDE_ASYNC", "1") != "0":
        api._before_blocking = _warn_of_blocking
    try:
        loop.run_forever()
    finally:
        asyncio.set_event_loop(None)


def _warn_of_blocking(function):
    """Says once that an async method waits in a way that stops all the others."""
    import asyncio
    import logging

    from ray import api

    if asyncio._get_running_loop() is None:
        return  # a thread of its own may wait as it likes
    api._before_blocking = None
    logging.getLogger("ray").warning(
        f"Using blocking ray.{function} inside async actor. This blocks the event loop: no other call of the actor goes on "
        "meanwhile. Use `await` on the reference, or asyncio.gather on several."
    )


class _Server:
    """Turns what arrives into tasks of the event loop."""

    current = None

    def __init__(self, mailbox, loop):
        self.mailbox = mailbox
        self.loop = loop
        self.tasks = {}
        self.finishing = False
        self.shares = {None: _Share(_details["max_concurrency"])}
        for name, limit in _details["groups"].items():
            self.shares[name] = _Share(limit)

    def take(self):
        """Begins what has arrived. True when there was something."""
        calls, cancelled, finish, end = self.mailbox.take()
        self.finishing |= finish
        if end:
            self.loop.stop()
            return True
        for call in calls:
            try:
                share = self.shares[_group_of(call)]
            except ValueError as error:
                call.fail(error)
                continue
            if share.active < share.limit:
                self.begin(call, share)
            else:
                share.waiting.append(call)
        for key in cancelled:
            self.cancel(key)
        if self.finishing and not self.tasks:
            self.loop.stop()
        return bool(calls or cancelled or finish)

    def begin(self, call, share):
        share.active += 1
        self.tasks[call.key] = self.loop.create_task(self.drive(call, share))

    def cancel(self, key):
        task = self.tasks.get(key)
        if task is not None:
            task.cancel()
            return
        for share in self.shares.values():
            for call in share.waiting:
                if call.key == key:
                    share.waiting.remove(call)
                    call.fail(_cancelled_error(), True)
                    return

    async def drive(self, call, share):
        """One call, from its arguments to its result."""
        current_call.set(call)
        try:
            value = call.start()
            if hasattr(value, "__await__"):
                value = await value
        except SystemExit as end:
            _core.leave_actor(_key, end.code in (None, 0))
            self.loop.stop()
        except BaseException as error:  # noqa: BLE001 - whatever the method raised is the outcome
            from asyncio import CancelledError

            call.fail(error, isinstance(error, CancelledError))
        else:
            call.finish(value)
        finally:
            del self.tasks[call.key]
            share.active -= 1
            if share.waiting and share.active < share.limit:
                self.begin(share.waiting.popleft(), share)
            if not self.tasks:
                _core.finish_output()
                if self.finishing:
                    self.loop.stop()


def _cancelled_error():
    from asyncio import CancelledError

    return CancelledError()


def _make_selector(mailbox):
    """A selector that looks for calls before and after it sleeps: they come through shared memory."""
    import selectors

    from ray import notices

    class Selector(selectors.DefaultSelector):
        server = None

        def select(self, timeout=None):
            slept = 0 if timeout is not None and timeout <= 0 else mailbox.before_sleep()
            if slept == 0:
                ready = super().select(0)
            else:
                if slept == 2 and (timeout is None or timeout > _BRIEFLY_S):
                    timeout = _BRIEFLY_S
                try:
                    ready = super().select(timeout)
                finally:
                    mailbox.after_sleep(slept)
            notices.handle_now()
            self.server.take()
            # The bell has no callback of asyncio's; it may still be ringing from before a turn without sleep.
            return [(key, events) for key, events in ready if key.fd != bell]

    selector = Selector()
    bell = mailbox.fileno()
    selector.register(bell, selectors.EVENT_READ)
    return selector


# Where another thread of the process sleeps on the bell, the loop looks by itself this often.
_BRIEFLY_S = 0.002
