"""Behind `ray.init`: its arguments checked, the cluster started or joined, the process prepared for it."""

import os

from ray import _core, cluster
from ray.modes import PYTHON_MODE

# Keywords of today's API, and of 2016, that programs pass and that change nothing here.
_ACCEPTED = {
    "cgroup_path",
    "object_spilling_directory",
    "proxy_server_url",
    "redis_max_memory",
    "system_reserved_cpu",
    "system_reserved_memory",
    "webui_host",
    "_driver_object_store_memory",
    "_enable_object_reconstruction",
    "_metrics_export_port",
    "_node_name",
    "_plasma_directory",
    "_redis_password",
    "_redis_username",
    "_skip_env_hook",
    "_tracing_startup_hook",
}
# What only the one who starts a cluster can say.
_FOR_STARTING = ("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "_system_config")


def start(options):
    """Does what `ray.init` was asked for.

    Args:
        options (dict): its arguments; those nobody named are in "others".

    Returns:
        ray.context.RayContext
    """
    from ray.context import RayContext

    others = options.pop("others")
    _check(options, others)
    job = _job_of(options)
    if _core.is_connected():
        if options["ignore_reinit_error"]:
            _logger().info("Calling ray.init() again after it has already been called: the cluster there is stays.")
            return RayContext()
        raise RuntimeError(
            "Maybe you called ray.init twice by accident? This process is in a cluster already. This error can be suppressed by "
            "passing in 'ignore_reinit_error=True' or by calling 'ray.shutdown()' prior to 'ray.init()'."
        )
    _configure_logging(options)
    if options["local_mode"] or options["driver_mode"] == PYTHON_MODE:
        from ray import local_mode

        returns_values = options["driver_mode"] == PYTHON_MODE
        local_mode.start(options["num_cpus"], options["resources"], returns_values=returns_values)
    else:
        session = _address(options)
        log_to_driver = options["log_to_driver"]
        if log_to_driver is None:
            log_to_driver = os.environ.get("RAY_LOG_TO_DRIVER", "1") not in ("0", "false", "False")
        _raise_descriptor_limit()
        if session is None:
            _start_cluster(options, others, job, log_to_driver)
        else:
            _join_cluster(session, options, others, log_to_driver)
    _settle(options, job)
    return RayContext()


def _check(options, others):
    """Raises for what is wrong in itself, before anything is touched."""
    unknown = sorted(set(others) - _ACCEPTED - {"_memory", "_node_ip_address", "_system_config", "_temp_dir"})
    if "storage" in unknown:
        raise RuntimeError("storage is no longer supported: keep what must last in files, or in a store of your own.")
    if "allow_multiple" in unknown:
        raise RuntimeError("allow_multiple is only for clients of a remote cluster (ray://), which do not exist here.")
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")
    for name in ("namespace",):
        if options[name] is not None and not isinstance(options[name], str):
            raise TypeError(f"{name} must be None or a string, got {type(options[name])}.")
    if options["namespace"] == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
    if not isinstance(others.get("_system_config") or {}, dict):
        raise TypeError(f"The _system_config must be a dict, got {type(others['_system_config'])}.")
    _check_amounts(options["resources"])
    labels = options["labels"]
    if labels is not None and not (
        isinstance(labels, dict) and all(isinstance(word, str) for pair in labels.items() for word in pair)
    ):
        raise ValueError(f"labels must be a dict of strings to strings, got {labels!r}.")
    isolation = [name for name in ("cgroup_path", "system_reserved_cpu", "system_reserved_memory") if others.get(name) is not None]
    if isolation and not options["enable_resource_isolation"]:
        raise ValueError(f"{', '.join(isolation)} can only be set with enable_resource_isolation=True.")


def _check_amounts(resources):
    if resources is None:
        return
    if not isinstance(resources, dict):
        raise TypeError(f"resources must be a dict of names to numbers, got {resources!r}.")
    for name, amount in resources.items():
        if name in ("CPU", "GPU", "memory", "object_store_memory"):
            keyword = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "_memory"}.get(name, name)
            raise ValueError(f"Use the keyword '{keyword}' instead of {name!r} in 'resources'.")
        if not isinstance(name, str) or isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise TypeError(f"resources must be a dict of names to numbers, got {name!r}: {amount!r}.")
        if amount < 0:
            raise ValueError(f"Resource quantities cannot be negative: {name!r} is {amount}.")


def _job_of(options):
    """The `JobConfig` of this driver: what `job_config` and the arguments say together."""
    from ray.job_config import JobConfig
    from ray.runtime_env import as_runtime_env, merged

    job = options["job_config"]
    if job is None:
        job = JobConfig()
    elif isinstance(job, dict):
        job = JobConfig(**job)
    elif not isinstance(job, JobConfig):
        raise TypeError(f"job_config must be a ray.job_config.JobConfig or a dict, got {type(job)}.")
    given = JobConfig.from_environment()
    environment = as_runtime_env(options["runtime_env"])
    if options["runtime_env"] is not None and job.runtime_env:
        environment = merged(as_runtime_env(job.runtime_env), environment, "job_config and runtime_env")
    elif options["runtime_env"] is None:
        environment = as_runtime_env(job.runtime_env)
    if given is not None:
        environment = merged(as_runtime_env(given.runtime_env), environment, "the job and ray.init()")
        job.metadata = {**given.metadata, **job.metadata}
        job.ray_namespace = job.ray_namespace or given.ray_namespace
    job.runtime_env = environment
    if options["namespace"] is not None:
        job.ray_namespace = options["namespace"]
    return job


def _address(options):
    """The session directory of the cluster to join; None to start one.

    Raises:
        ConnectionError: there is none, and one was asked for.
    """
    from ray import sessions

    address, older = options["address"], options["scheduler_address"]
    if options["start_ray_local"] and (address or older):
        raise ValueError("start_ray_local=True starts a cluster, an address means one that runs already: give one of them.")
    address = address or older
    if address is None and not options["start_ray_local"]:
        address = os.environ.get("RAY_ADDRESS") or None
    if address is None or address == "local":
        return None
    return sessions.find(address)


def _start_cluster(options, others, job, log_to_driver):
    from ray.runtime_env import prepare

    num_cpus = options["num_cpus"]
    if isinstance(num_cpus, float) and num_cpus.is_integer():
        num_cpus = int(num_cpus)
    memory = others.get("_memory")
    if memory is not None and (isinstance(memory, bool) or not isinstance(memory, (int, float)) or memory < 0):
        raise ValueError(f"_memory must be a number of bytes from 0 on, got {memory!r}.")
    prepared = prepare(job.runtime_env)
    if options["logging_config"] is not None:
        prepared.environment.update(options["logging_config"].for_workers())
    resources = dict(options["resources"] or {})
    if memory is not None:
        resources["memory"] = memory
    cluster.start(
        num_workers=options["num_workers"] if num_cpus is None else num_cpus,
        num_objstores=options["num_objstores"] or 1,
        num_gpus=options["num_gpus"],
        resources=resources,
        store_bytes=options["object_store_memory"],
        log_to_driver=log_to_driver,
        place=others.get("_temp_dir"),
        prepared=prepared,
    )


def _join_cluster(session, options, others, log_to_driver):
    for name in _FOR_STARTING:
        if options.get(name, others.get(name)) is not None:
            what = "num_cpus and num_gpus" if name in ("num_cpus", "num_gpus") else name
            raise ValueError(f"When connecting to an existing cluster, {what} must not be provided: the one who started it said.")
    cluster.join(session, log_to_driver=log_to_driver)


def _settle(options, job):
    """What is done once the process is in the cluster."""
    from ray import runtime_context

    runtime_context.set_job(job, labels=options["labels"])
    if options["logging_config"] is not None:
        options["logging_config"].apply()
    _take_sigterm()
    import sys

    worker = sys.modules.get("ray._private.worker")
    for hook in worker._post_init_hooks if worker is not None else ():
        hook()


def _logger():
    import logging

    return logging.getLogger("ray")


def _configure_logging(options):
    """Sets up the logger "ray": its level, and a handler that writes to standard error."""
    import logging

    logger = logging.getLogger("ray")
    if not options["configure_logging"]:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        return
    logger.setLevel(logging.INFO if options["logging_level"] is None else options["logging_level"])
    mine = next((handler for handler in logger.handlers if isinstance(handler, _Handler())), None)
    if mine is None:
        mine = _Handler()()
        logger.addHandler(mine)
        logger.propagate = False
    mine.setFormatter(logging.Formatter(options["logging_format"] or _LOG_FORMAT))


_LOG_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
_handler_class = None


def _Handler():
    """The class of our handler: it writes to the standard error there is when it writes."""
    global _handler_class
    if _handler_class is None:
        import logging
        import sys

        class Handler(logging.StreamHandler):
            def __init__(self):
                logging.Handler.__init__(self)

            @property
            def stream(self):
                return sys.stderr

        _handler_class = Handler
    return _handler_class


def _take_sigterm():
    """Has SIGTERM end the driver as `sys.exit` does, so that the cluster is ended in order. A handler of the user's stays."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    owner = os.getpid()

    def end(number, frame):
        if os.getpid() != owner:  # in a child of a fork, which has nothing to put in order
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise SystemExit(number)

    signal.signal(signal.SIGTERM, end)


def _raise_descriptor_limit():
    """Each segment of shared memory and each channel is an open file."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


_MOST_FILES = 65536
