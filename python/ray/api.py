"""The functions every program uses: init, shutdown, remote, put, get, wait, cancel, explain."""

from ray import _core, cluster

#: Called with the name of the function before one that blocks; set in actors with an event loop, which it would block.
_before_blocking = None


def init(
    address=None,
    *,
    num_cpus=None,
    num_gpus=None,
    resources=None,
    labels=None,
    object_store_memory=None,
    local_mode=False,
    ignore_reinit_error=False,
    include_dashboard=None,
    dashboard_host="127.0.0.1",
    dashboard_port=None,
    job_config=None,
    configure_logging=True,
    logging_level=None,
    logging_format=None,
    logging_config=None,
    log_to_driver=None,
    namespace=None,
    runtime_env=None,
    enable_resource_isolation=False,
    start_ray_local=None,
    num_workers=None,
    num_objstores=None,
    scheduler_address=None,
    node_ip_address=None,
    driver_mode=None,
    **others,
):
    """Starts a cluster on this machine, or joins one that runs here.

    Args:
        address (str | None): "local" to start one; "auto" to join the youngest; or the address of one to join, as its context
            tells it. None: as the environment variable RAY_ADDRESS says, else one is started.
        num_cpus (int | None): tasks that run at once, when each takes one CPU; the number of CPUs this process may use by default.
        num_gpus (int | None): GPUs to hand out.
        resources (dict[str, float] | None): further resources by name.
        labels (dict[str, str] | None): labels of the node.
        object_store_memory (int | None): bytes objects may take; 30 % of the machine's memory by default.
        local_mode (bool): no processes are started: every task runs in this process, as soon as it is called. For debugging.
        ignore_reinit_error (bool): a second call changes nothing, and returns.
        job_config (ray.job_config.JobConfig | dict | None): what holds for all this program does.
        configure_logging (bool), logging_level (int | str | None), logging_format (str | None): the logger "ray"; False takes its
            handlers away.
        logging_config (ray.LoggingConfig | None): how the root logger writes, here and in workers.
        log_to_driver (bool | None): whether output of workers appears here; None: as RAY_LOG_TO_DRIVER says, else it does.
        namespace (str | None): where names of actors are unique; one of its own by default.
        runtime_env (dict | ray.runtime_env.RuntimeEnv | None): what the workers have: environment variables, a working directory,
            modules.
        include_dashboard, dashboard_host, dashboard_port, enable_resource_isolation: accepted; there is no dashboard.
        start_ray_local, num_workers, num_objstores, scheduler_address, node_ip_address, driver_mode: the words of 2016.
            `num_workers` is `num_cpus`, `scheduler_address` is `address`, `num_objstores` divides the workers among so many stores,
            and `driver_mode=ray.PYTHON_MODE` calls functions directly.
        others: `_temp_dir`, where the session directory goes; `_memory`, bytes of the resource "memory"; `_system_config` and
            others that programs pass are accepted.

    Returns:
        ray.context.RayContext: usable in `with`, which ends the cluster.

    Raises:
        RuntimeError: a cluster was started already, or a keyword is unknown.
        ConnectionError: there is no cluster at `address`.
        ValueError, TypeError: a value is out of range or of the wrong type.

    >>> with ray.init(num_cpus=2):
    ...     ray.get(ray.put(1))
    1
    """
    from ray.starting import start

    return start(dict(locals()))


def _auto_init():
    """Starts a cluster for a call that needs one, as today's API does. Called by the native side."""
    import os

    if os.environ.get("RAY_ENABLE_AUTO_CONNECT", "1") == "0":
        raise RuntimeError("Ray has not been started yet. Call ray.init() first.")
    init()


def shutdown(*, wait_for_processes=False, _exiting_interpreter=False):
    """Ends the cluster this process started, or leaves the one it has joined. May be called at any time.

    Returns when everything is down. References and handles made before are of no more use; remote functions and classes are.
    """
    cluster.stop()


def is_initialized():
    """bool: whether this process is in a cluster."""
    return _core.is_connected()


def remote(*args, **options):
    """Makes a function remote.

    ``@ray.remote`` alone, or with options as keywords (``@ray.remote(num_cpus=2)``), makes an untyped remote function. Two lists,
    ``@ray.remote([int, int], [int])``, declare the types of arguments and results, checked at the call.
    ``@ray.remote(typed=True)`` takes them from the annotations.

    Raises:
        TypeError: what is decorated is neither a function nor a class, or a type list does not fit the function.
        ValueError: an option is unknown or out of range.

    >>> @ray.remote
    ... def double(x):
    ...     return 2 * x
    >>> ray.get(double.remote(21))
    42
    """
    from ray.remote_function import make_remote

    return make_remote(args, options)


def put(value, worker=None, *, _owner=None, _tensor_transport=None):
    """Stores a value; it can never change from then on.

    Args:
        value: anything cloudpickle can carry. Arrays and other large buffers are copied once, into shared memory.

    Returns:
        ray.ObjectRef: a reference to it.

    Raises:
        TypeError: the value is a reference, or cannot be pickled; the text names the part at fault.
        ray.exceptions.ObjectStoreFullError: there is no room; the text says what fills the store.

    >>> ref = ray.put([1, 2, 3])
    """
    if _owner is not None:
        raise ValueError("ray.put no longer takes _owner: an object belongs to the process that puts it.")
    return _core.put(value)


def get(object_refs, worker=None, *, timeout=None, _use_object_store=False):
    """The value of a reference, or the values of a list of them; waits until they exist.

    Arrays are read-only views of shared memory, which stays as long as they live.

    Args:
        object_refs (ray.ObjectRef | list[ray.ObjectRef]): what to get.
        timeout (float | None): seconds to wait; 0 only looks; None and -1 wait for ever.

    Raises:
        ray.exceptions.RayTaskError: the task raised; also an instance of the class it raised.
        ray.exceptions.GetTimeoutError: the time is over.
        ray.exceptions.DeadlockError: the wait can never end.
        ValueError: neither a reference nor a list. TypeError: an element is no reference.

    >>> ray.get([ray.put(1), ray.put(2)])
    [1, 2]
    """
    if _before_blocking is not None:
        _before_blocking("get")
    return _core.get(object_refs, timeout)


def wait(object_refs, num_returns=1, timeout=None, fetch_local=True):
    """Splits references into those whose objects exist and the others, waiting until enough do.

    Args:
        object_refs (list[ray.ObjectRef]): distinct references.
        num_returns (int): how many to wait for, and the most that are returned as ready.
        timeout (float | None): seconds; 0 only looks; None waits for ever.

    Returns:
        tuple[list[ray.ObjectRef], list[ray.ObjectRef]]: ready ones and the rest, both in the order given. Those of failed tasks are
            ready.

    Raises:
        TypeError: not a list of references. ValueError: duplicates, or num_returns or timeout out of range.

    >>> ready, rest = ray.wait([ray.put(1), ray.put(2)], num_returns=2)
    >>> len(ready), len(rest)
    (2, 0)
    """
    if not isinstance(object_refs, list):
        raise TypeError(f"wait() expected a list of ray.ObjectRef, got {type(object_refs)}.")
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}.")
    if not object_refs:
        return [], []
    if not hasattr(num_returns, "__index__") or num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(object_refs):
        raise ValueError(f"num_returns cannot be greater than the number of ray_waitables provided ({len(object_refs)}).")
    if _before_blocking is not None:
        _before_blocking("wait")
    return _core.wait(object_refs, num_returns, timeout)


def as_completed(object_refs, timeout=None):
    """The references given, in the order in which their objects come to exist.

    Yields:
        ray.ObjectRef

    Raises:
        ray.exceptions.GetTimeoutError: not all of them exist in time.

    >>> sorted(ray.get(ref) for ref in ray.as_completed([ray.put(1), ray.put(2)]))
    [1, 2]
    """
    import time

    from ray.exceptions import GetTimeoutError

    until = None if timeout is None else time.monotonic() + timeout
    object_refs = list(object_refs)
    count = left = len(object_refs)
    if not object_refs:
        return
    completion = _core.Completion(object_refs)
    del object_refs  # what was handed out and dropped is free to go
    while left:
        came = completion.take(None if until is None else max(0.0, until - time.monotonic()))
        if not came:
            raise GetTimeoutError(f"{left} of {count} objects did not exist after {timeout} s.")
        left -= len(came)
        came.reverse()
        while came:
            yield came.pop()


def cancel(object_ref, *, force=False, recursive=True):
    """Stops the task an object comes from. One that has not started never runs; in one that runs KeyboardInterrupt is raised, or
    its worker is killed (`force`). Getting its results raises TaskCancelledError.

    Raises:
        TypeError: not a reference.

    >>> ray.cancel(ray.put(1))  # nothing to cancel: nothing happens
    """
    if isinstance(object_ref, _core.ObjectRefGenerator):
        object_ref = object_ref.completed()
    if not isinstance(object_ref, _core.ObjectRef):
        raise TypeError(f"ray.cancel() only supported for object refs. For actors, try ray.kill(). Got {type(object_ref)}.")
    if force and _core.is_actor_call(object_ref):
        raise ValueError("force=True is not supported for calls of actors: it would end the actor. Use ray.kill() for that.")
    _core.cancel(object_ref, force, recursive)


def explain(object_ref):
    """Says in words why an object does not exist yet, or what an actor does: which input is missing, who holds the workers,
    what runs and for how long, which calls come before.

    Args:
        object_ref (ray.ObjectRef | ray.actor.ActorHandle): what is waited for.

    Returns:
        str

    Raises:
        TypeError: neither a reference nor a handle.

    >>> "value" in ray.explain(ray.put([1]))
    True
    """
    if not isinstance(object_ref, _core.ObjectRef):
        from ray.actor import ActorHandle

        if isinstance(object_ref, ActorHandle):
            return object_ref._claim.explain()
        raise TypeError(f"ray.explain() expected a ray.ObjectRef or the handle of an actor, got {type(object_ref)}.")
    if _core.is_ready(object_ref):
        return "The object exists: ray.get returns its value at once."
    return _core.explain(object_ref)


def kill(actor, *, no_restart=True):
    """Ends an actor's process at once. Its calls fail with ActorDiedError.

    Args:
        actor (ray.actor.ActorHandle): which.
        no_restart (bool): it stays dead; False: as if it had crashed, so that it comes back if `max_restarts` allows.

    Raises:
        ValueError: not a handle of an actor, or of an earlier cluster.
    """
    from ray.actor import ActorHandle

    if not isinstance(actor, ActorHandle):
        raise ValueError(f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got {type(actor)}.")
    actor._claim.kill(no_restart)


def get_actor(name, namespace=None):
    """A handle of the actor of this name. It does not keep the actor alive.

    Args:
        name (str): as given to `.options(name=...)`.
        namespace (str | None): where to look; this program's own by default.

    Raises:
        ValueError: there is no such actor.
    """
    from ray import actor
    from ray.runtime_context import current_namespace

    if not isinstance(name, str) or not name:
        raise ValueError("Please supply a non-empty value to get_actor")
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError(f"namespace must be None or a string, got {type(namespace)}.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
    if not _core.is_connected():
        _auto_init()
    found = actor.find(name, namespace or current_namespace())
    if found is None:
        raise ValueError(
            f"Failed to look up actor with name '{name}'. There is none of this name in namespace "
            f"{namespace or current_namespace()!r}: it was not created yet, it has ended, or it has another namespace."
        )
    return found
