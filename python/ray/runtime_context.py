"""Who and where the running code is."""

import sys

from ray import _core

_NAMESPACE_KEY = b"ray:namespace"
_RUNTIME_ENV_KEY = b"ray:runtime_env"
_LABELS_KEY = b"ray:labels"
_LIFETIME_KEY = b"ray:default_actor_lifetime"

#: Every kind of accelerator that programs ask about by name.
_ACCELERATORS = ("GPU", "TPU", "neuron_cores", "HPU", "NPU", "RBLN", "FURIOSA", "METAX", "TT")

_cluster = None  # the cluster that `_known` is of
_known: dict = {}  # what this process knows of its job, by key


def set_job(job, labels=None):
    """What this program, its tasks and actors share. The words of a driver that only joins a cluster stay its own.

    Args:
        job (ray.job_config.JobConfig): its namespace, runtime environment, and default lifetime of actors.
        labels (dict[str, str] | None): of the nodes.
    """
    import json

    from ray import cluster

    said = {}
    if job.ray_namespace:
        said[_NAMESPACE_KEY] = job.ray_namespace
    elif not cluster.is_owner():
        said[_NAMESPACE_KEY] = f"anonymous-{_core.identity()[2]:016x}-{_core.identity()[3]}"
    if job.runtime_env:
        said[_RUNTIME_ENV_KEY] = job.runtime_env.serialize()
    if labels:
        said[_LABELS_KEY] = json.dumps(labels)
    if job._default_actor_lifetime == "detached":
        said[_LIFETIME_KEY] = "detached"
    # Workers were started with the variables of the cluster's owner; the tasks of others bring theirs.
    joined = {} if cluster.is_owner() or not job.runtime_env else job.runtime_env.env_vars()
    _core.inherit_environment(list(joined.items()))
    for key, value in said.items():
        if cluster.is_owner():
            _core.key_value("put", key, value.encode())
        _of_this_cluster()[key] = value


def set_namespace(namespace):
    """The namespace of this program, which its tasks and actors share."""
    _core.key_value("put", _NAMESPACE_KEY, namespace.encode())
    _of_this_cluster()[_NAMESPACE_KEY] = namespace


def _of_this_cluster():
    """What is known of the job in the cluster this process is in now."""
    global _cluster
    cluster = _core.identity()[2]
    if _cluster != cluster:
        _cluster = cluster
        _known.clear()
    return _known


def _told(key):
    """What the driver said, or None."""
    known = _of_this_cluster()
    if key not in known:
        found = _core.key_value("get", key)
        known[key] = found[0].decode() if found else None
    return known[key]


def current_namespace():
    """str: the namespace in which actors are named and looked up."""
    # Without one a program has its own, which nobody guesses and everyone in the cluster can work out.
    return _told(_NAMESPACE_KEY) or f"anonymous-{_core.identity()[2]:016x}"


def default_actor_lifetime():
    """str | None: the lifetime of actors that say nothing about it."""
    return _told(_LIFETIME_KEY)


def node_labels():
    """dict[str, str]: what `ray.init(labels=...)` said, and the node's id."""
    import json

    return {"ray.io/node-id": f"{_core.identity()[1]:056x}", **json.loads(_told(_LABELS_KEY) or "{}")}


def _actor():
    """`ray.actor_worker`, when this process is an actor; in local mode the actor that runs."""
    local_mode = sys.modules.get("ray.local_mode")
    if local_mode is not None and local_mode.is_active():
        return local_mode.running_actor()
    module = sys.modules.get("ray.actor_worker")
    return module if module is not None and module.is_actor() else None


def _required_actor():
    actor = _actor()
    if actor is None:
        raise RuntimeError("This method is only available in an actor.")
    return actor


def _call():
    """The call that runs here, in an actor that runs many."""
    module = _actor()
    return None if module is None else module.current_call.get()


def _is_worker():
    """Whether this process runs tasks or is an actor."""
    module = sys.modules.get("ray.worker_main")
    return module is not None and module.is_worker


class RuntimeContext:
    """See `ray.get_runtime_context`."""

    def _identity(self):
        identity = _core.identity()
        if identity is None:
            raise RuntimeError("Ray has not been started yet. Call ray.init() first.")
        return identity

    def get(self):
        """dict: ids of job, node, namespace, and of task and actor if there are. Deprecated: ask for each by itself."""
        self._deprecated("get()", "its other methods")
        from ray.ids import ActorID, JobID, NodeID, TaskID

        job, node = JobID.from_hex(self.get_job_id()), NodeID.from_hex(self.get_node_id())
        context = {"job_id": job, "node_id": node, "namespace": self.namespace}
        if self._running_task_id() is not None:
            context["task_id"] = TaskID.from_hex(self._running_task_id())
        if self.get_actor_id() is not None:
            context["actor_id"] = ActorID.from_hex(self.get_actor_id())
        return context

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
        self._identity()
        if not _is_worker() and _core.running_task() is None:
            _logger().warning("This method is only available when the process is a worker. A driver runs no task.")
        return self._running_task_id()

    def _running_task_id(self):
        call = _call()
        task = _core.running_task() if call is None else call.task_id
        return None if task is None else task.hex()

    def get_task_name(self):
        """str | None: the name of the function that runs here, such as "Actor.method"."""
        call = _call()
        return _core.current_function_name() if call is None else call.name

    def get_task_function_name(self):
        """str | None: as `get_task_name`, with the module before it."""
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
        return _required_actor().handle()

    @property
    def was_current_actor_reconstructed(self):
        """bool: whether the actor has been restarted.

        Raises:
            RuntimeError: this process is no actor.
        """
        return _required_actor()._restarts > 0

    def get_assigned_resources(self):
        """dict[str, float]: what the running task, or the actor, holds.

        Raises:
            AssertionError: on a driver.
        """
        actor = _actor()
        if actor is not None:
            return dict(actor._details["resources"])
        assert _core.running_task() is not None, "This method can only be called in a task or an actor."
        held = _core.held_resources()
        return {"CPU": 1.0} if held is None else held

    def get_accelerator_ids(self):
        """dict[str, list[str]]: for every kind of accelerator, the ids of those this process may use."""
        from ray.accelerators import assigned_gpu_ids

        return {**{kind: [] for kind in _ACCELERATORS}, "GPU": [str(gpu) for gpu in assigned_gpu_ids()]}

    def get_resource_ids(self):
        """As `get_accelerator_ids`. Deprecated."""
        self._deprecated("get_resource_ids()", "get_accelerator_ids()")
        return self.get_accelerator_ids()

    @property
    def runtime_env(self):
        """ray.runtime_env.RuntimeEnv: what runs here with: what the job said, and the variables of the running task or actor."""
        from ray.runtime_env import RuntimeEnv

        return RuntimeEnv.deserialize(self.get_runtime_env_string())

    def get_runtime_env_string(self):
        """str: `runtime_env` as JSON."""
        self._identity()
        said, own = _told(_RUNTIME_ENV_KEY) or "{}", _core.inherited_environment()
        if not own:
            return said
        import json

        fields = json.loads(said)
        return json.dumps({**fields, "env_vars": {**fields.get("env_vars", {}), **dict(own)}}, sort_keys=True)

    @property
    def gcs_address(self):
        """str: the cluster's address, as `ray.init(address=...)` takes it."""
        from ray import cluster, sessions

        self._identity()
        session = cluster.session_dir()
        return "" if session is None else sessions.address_of(session)

    def get_placement_group_id(self):
        """str | None: the placement group of the running task or actor, 36 hexadecimal digits."""
        found = _core.current_group()
        return None if found is None else found[0]

    @property
    def should_capture_child_tasks_in_placement_group(self):
        """bool: whether tasks that are launched here run in the placement group that this code runs in; always true on a driver."""
        if not _is_worker():
            return True
        found = _core.current_group()
        return found is not None and bool(found[1])

    def get_node_labels(self):
        """dict[str, str]: the labels of this node."""
        self._identity()
        return node_labels()

    def get_session_name(self):
        """str: the name of the session directory."""
        import os

        return os.path.basename(self._session())

    def get_temp_dir(self):
        """str: where sessions are made."""
        import os

        return os.path.dirname(self._session())

    def _session(self):
        from ray import cluster

        self._identity()
        return cluster.session_dir() or ""

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

    # -- ids as objects, deprecated --------------------------------------------------------------------------------------

    def _deprecated(self, name, instead):
        import warnings

        warnings.warn(f"RuntimeContext.{name} is deprecated: use {instead}.", DeprecationWarning, stacklevel=3)

    @property
    def job_id(self):
        from ray.ids import JobID

        self._deprecated("job_id", "get_job_id()")
        return JobID.from_hex(self.get_job_id())

    @property
    def node_id(self):
        from ray.ids import NodeID

        self._deprecated("node_id", "get_node_id()")
        return NodeID.from_hex(self.get_node_id())

    @property
    def task_id(self):
        from ray.ids import TaskID

        self._deprecated("task_id", "get_task_id()")
        return TaskID.from_hex(self._running_task_id()) if self._running_task_id() else TaskID.nil()

    @property
    def actor_id(self):
        from ray.ids import ActorID

        self._deprecated("actor_id", "get_actor_id()")
        found = self.get_actor_id()
        return None if found is None else ActorID.from_hex(found)

    @property
    def current_placement_group_id(self):
        from ray.ids import PlacementGroupID

        self._deprecated("current_placement_group_id", "get_placement_group_id()")
        found = self.get_placement_group_id()
        return PlacementGroupID.nil() if found is None else PlacementGroupID.from_hex(found)


_CONTEXT = RuntimeContext()


def get_runtime_context():
    """The context of the running code."""
    if not _core.is_connected():
        from ray.api import _auto_init

        _auto_init()
    return _CONTEXT


def _logger():
    import logging

    return logging.getLogger("ray")
