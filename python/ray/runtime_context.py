"""Who and where the running code is."""

import sys

from ray import _core

_NAMESPACE_KEY = b"ray:namespace"
_namespace = None  # (cluster, namespace)


def set_namespace(namespace):
    """The namespace of this program, which its tasks and actors share."""
    global _namespace
    _core.key_value("put", _NAMESPACE_KEY, namespace.encode())
    _namespace = (_core.identity()[2], namespace)


def current_namespace():
    """str: the namespace in which actors are named and looked up."""
    global _namespace
    cluster = _core.identity()[2]
    if _namespace is None or _namespace[0] != cluster:
        found = _core.key_value("get", _NAMESPACE_KEY)
        # Without one a program has its own, which nobody guesses and everyone in the cluster can work out.
        _namespace = (cluster, found[0].decode() if found else f"anonymous-{cluster:016x}")
    return _namespace[1]


def _actor():
    """`ray.actor_worker`, when this process is an actor."""
    module = sys.modules.get("ray.actor_worker")
    return module if module is not None and module.is_actor() else None


def _call():
    """The call that runs here, in an actor that runs many."""
    module = _actor()
    return None if module is None else module.current_call.get()


class RuntimeContext:
    """See `ray.get_runtime_context`."""

    def _identity(self):
        identity = _core.identity()
        if identity is None:
            raise RuntimeError("Ray has not been started yet. Call ray.init() first.")
        return identity

    def get_job_id(self):
        """str: the job, 8 hexadecimal digits."""
        return (self._identity()[3] or 1).to_bytes(4, "little").hex()

    def get_node_id(self):
        """str: this node, 56 hexadecimal digits."""
        return f"{self._identity()[1]:056x}"

    def get_worker_id(self):
        """str: this process, 56 hexadecimal digits."""
        return f"{self._identity()[0]:056x}"

    def get_task_id(self):
        """str | None: the task that runs here; None on a driver."""
        call = _call()
        task = _core.running_task() if call is None else call.task_id
        return None if task is None else task.hex()

    def get_task_name(self):
        """str | None: the name of the function that runs here, such as "Actor.method"."""
        call = _call()
        return _core.current_function_name() if call is None else call.name

    def get_task_function_name(self):
        """str | None: as `get_task_name`, with the module of an actor's class before it."""
        name, actor = self.get_task_name(), _actor()
        return name if name is None or actor is None else f"{actor.handle()._description.module}.{name}"

    def get_actor_id(self):
        """str | None: the actor this process is, 32 hexadecimal digits."""
        actor = _actor()
        return None if actor is None else actor._actor_id.hex()

    def get_actor_name(self):
        """str | None: the actor's name, "" when it has none; None outside actors."""
        actor = _actor()
        return None if actor is None else actor._details["name"]

    @property
    def namespace(self):
        """str: where names of actors are unique."""
        self._identity()
        return current_namespace()

    @property
    def current_actor(self):
        """A handle of the actor this process is; it does not keep the actor alive.

        Raises:
            RuntimeError: this process is no actor.
        """
        actor = _actor()
        if actor is None:
            raise RuntimeError("This method is only available in an actor.")
        return actor.handle()

    @property
    def was_current_actor_reconstructed(self):
        """bool: whether the actor has been restarted.

        Raises:
            RuntimeError: this process is no actor.
        """
        actor = _actor()
        if actor is None:
            raise RuntimeError("This method is only available in an actor.")
        return actor._restarts > 0

    def get_assigned_resources(self):
        """dict[str, float]: what the running task, or the actor, holds."""
        actor = _actor()
        if actor is not None:
            return dict(actor._details["resources"])
        assert _core.running_task() is not None, "This method can only be called in a task or an actor."
        held = _core.held_resources()
        return {"CPU": 1.0} if held is None else held

    def is_canceled(self):
        """bool: whether the caller of the running task does not want its results any more.

        Raises:
            RuntimeError: on a driver, or in an actor with an event loop, whose calls are interrupted instead.
        """
        actor = _actor()
        if actor is None and _core.running_task() is None:
            raise RuntimeError("is_canceled() can only be asked in a task or an actor's method.")
        if actor is not None and actor._Server.current is not None:
            raise RuntimeError("is_canceled() is not for actors with an event loop: asyncio.CancelledError is raised there.")
        call = _call()
        return _core.is_cancelled() if call is None else call.cancelled


_CONTEXT = RuntimeContext()


def get_runtime_context():
    """The context of the running code."""
    if not _core.is_connected():
        from ray.api import _auto_init

        _auto_init()
    return _CONTEXT
