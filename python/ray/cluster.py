"""Starts and stops the cluster on this machine: sizes it, runs the scheduler, joins it, takes it down at exit."""

import os
import sys

from ray import _core

_session_dir = None
_session_of_worker = None  # a worker neither ends nor leaves the cluster it is in
_is_owner = False
_prepared = None
_registered = False

# A store takes this part of the memory there is, unless told otherwise.
_STORE_SHARE = 0.3
# Seconds within which a cluster that is asked to end has ended; after that it is killed.
_PATIENCE_S = 5.0


def session_dir():
    """The directory of the running cluster's sockets, or None."""
    return _session_dir or _session_of_worker


def start(
    *,
    num_workers=None,
    num_objstores=1,
    num_gpus=None,
    resources=None,
    store_bytes=None,
    log_to_driver=True,
    place=None,
    prepared=None,
):
    """Starts scheduler, object stores and workers as processes and joins them.

    Args:
        num_workers (int | None): worker processes kept ready, and tasks of one CPU that run at once; None: one per CPU of the
            machine.
        num_objstores (int): object stores; workers are divided among them as evenly as can be.
        store_bytes (int | None): budget of each store.
        log_to_driver (bool): whether output of workers appears here.
        place (str | None): where the session directory goes; None: where the environment says.
        prepared (ray.runtime_env.Prepared | None): what the workers begin with. It is removed with the cluster.

    Raises:
        RuntimeError: already started, or the processes do not start.
        ValueError, TypeError: a number is out of range or no number.
    """
    global _session_dir, _is_owner, _prepared
    _refuse_second()
    if num_workers is None:
        num_workers = len(os.sched_getaffinity(0))
    _check_count("num_workers", num_workers, 0)
    _check_count("num_objstores", num_objstores, 1)
    budget = _store_budget(store_bytes, num_objstores)
    # What the stores leave is for the tasks, which hold as much of it as their option `memory` says.
    amounts = {"memory": (memory_bytes() - budget * num_objstores) // num_objstores, **(resources or {})}
    gpus = _gpus(num_gpus)
    if gpus:
        amounts["GPU"] = gpus
    nodes = []
    for number in range(num_objstores):
        workers = num_workers // num_objstores + (number < num_workers % num_objstores)
        pairs = [("CPU", float(workers)), *((name, float(amount)) for name, amount in amounts.items())]
        nodes.append((pairs, workers, budget))
    binaries = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin")
    if place is not None:
        place = os.fspath(place)
        if not os.path.isabs(place):
            raise ValueError(f"_temp_dir must be an absolute path, got {place!r}.")
        os.makedirs(place, exist_ok=True)
    command, environment = _zygote_command(prepared), [] if prepared is None else list(prepared.environment.items())
    # Tasks no node can ever run fail, unless there are no workers at all: then the user wants to look at the graph.
    _session_dir = os.fspath(_core.start_cluster(binaries, nodes, command, num_workers > 0, environment, place))
    _is_owner, _prepared = True, prepared
    # The first call needs it to carry its function. Now it costs nobody's time: the zygote is busy importing on another core.
    import cloudpickle  # noqa: F401

    try:
        _join(_session_dir, "owner")
    except BaseException:
        _core.stop_cluster(0.0)
        _session_dir = None
        raise
    _begin(log_to_driver)


def join(session, *, log_to_driver=True):
    """Joins a cluster that another process of this machine has started.

    Args:
        session (str): its session directory.
        log_to_driver (bool): whether output of workers appears here, too.

    Raises:
        ConnectionError: it is gone.
    """
    global _session_dir, _is_owner
    _refuse_second()
    from ray.exceptions import RayConnectionError

    try:
        _join(session, "driver")
    except RayConnectionError as error:
        raise ConnectionError(f"The cluster in {session} could not be joined: {error}") from error
    _session_dir, _is_owner = session, False
    import cloudpickle  # noqa: F401

    _begin(log_to_driver)


def _refuse_second():
    if _core.is_connected():
        raise RuntimeError("A cluster has been started already in this process. Call ray.shutdown() before starting another.")


def _begin(log_to_driver):
    """What is done once the process is in a cluster."""
    from ray import notices

    notices.show_output(log_to_driver)
    if log_to_driver:
        notices.start()
    _register()


def stop():
    """Ends the cluster this process started, or leaves the one it has joined.

    Does nothing outside a cluster, and in a worker: the cluster is not its to end.
    """
    global _session_dir, _prepared
    if not _core.is_connected():
        return
    local_mode = sys.modules.get("ray.local_mode")
    if local_mode is not None and local_mode.is_active():
        local_mode.stop()
        return
    if _session_dir is None:
        return
    notices = sys.modules.get("ray.notices")
    _core.disconnect(_is_owner, _PATIENCE_S)
    if _is_owner:
        _core.stop_cluster(_PATIENCE_S)
    if notices is not None:
        notices.stop()  # after the last output of workers has been printed
    serialization = sys.modules.get("ray.serialization")
    if serialization is not None:
        serialization.unpin()
    _core.forget()
    _session_dir = None
    if _prepared is not None:
        _prepared.remove()
        _prepared = None


def is_owner():
    """Whether this process has started the cluster it is in."""
    return _is_owner and _session_dir is not None


def _join(session, role, spawn=0):
    """Connects with all signals blocked, so that the I/O thread inherits that and Python's handlers run in the main thread."""
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        _core.connect(session, role, spawn)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _register():
    global _registered
    if not _registered:
        import atexit

        atexit.register(stop)
        os.register_at_fork(after_in_child=_forget_in_child)
        _registered = True


def _forget_in_child():
    global _session_dir, _prepared
    _core.after_fork_in_child()
    _session_dir = _prepared = None
    notices = sys.modules.get("ray.notices")
    if notices is not None:
        notices.forget()


def _zygote_command(prepared=None):
    """Runs `ray.zygote` with this process's interpreter, flags and module path: what can be imported here can be imported there."""
    import subprocess

    path = [os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path]
    move = ""
    if prepared is not None:
        path = [*prepared.python_path, *path]
        move = "" if prepared.working_dir is None else f"import os; os.chdir({prepared.working_dir!r}); "
    code = f"import sys; sys.path[:] = {path!r}; {move}from ray import zygote; zygote.main()"
    flags = subprocess._args_from_interpreter_flags()
    return [sys.executable, *flags, "-c", code]


def _check_count(name, value, least):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def _gpus(asked):
    """How many GPUs there are to hand out."""
    from ray import accelerators

    if asked is None:
        return accelerators.detected_gpus()
    visible = accelerators.visible_gpus()
    if visible is not None and asked > len(visible):
        raise ValueError(
            f"num_gpus is {asked}, but {accelerators.VISIBLE} names {len(visible)} ({','.join(visible) or 'none'}). Ask for less, "
            "or change the variable before the program starts."
        )
    return asked


def _store_budget(asked, stores):
    memory = memory_bytes()
    if asked is None:
        return int(memory * _STORE_SHARE) // stores
    if isinstance(asked, bool) or not isinstance(asked, (int, float)) or asked <= 0:
        raise ValueError(f"object_store_memory must be a positive number of bytes, got {asked!r}.")
    if asked * stores > memory:
        wanted, there = asked * stores / 2**30, memory / 2**30
        raise ValueError(
            f"object_store_memory is {wanted:.1f} GiB in all, but this machine has {there:.1f} GiB of memory (as far as this "
            "process may use it). Ask for less."
        )
    return int(asked)


def memory_bytes():
    """int: memory this process may use: the machine's, or less where a control group says so."""
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) * 1024
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(limit) as file:
                memory = min(memory, int(file.read()))
        except (OSError, ValueError):
            continue  # not this kind of control group, or no limit ("max")
    return memory
