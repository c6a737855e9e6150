"""Which GPUs the running task or actor may use, and how that is told to the libraries it uses.

The scheduler hands out logical GPUs, 0 to the number of them less one. Where the program itself was started with
`CUDA_VISIBLE_DEVICES`, logical GPU 0 is the first one of that list, and users are shown the names of the list.
"""

import os

#: The variable GPU libraries read when they are loaded.
VISIBLE = "CUDA_VISIBLE_DEVICES"

# Logical GPUs of the task or actor that runs here.
_assigned: tuple = ()
# What VISIBLE said before anything was assigned; None: nothing.
_original = os.environ.get(VISIBLE)


def get_gpu_ids():
    """The GPUs assigned to the task or actor that runs here; a program itself has none.

    Returns:
        list[int] | list[str]: their numbers; or their names, where the program was started with `CUDA_VISIBLE_DEVICES`.

    >>> ray.get_gpu_ids()
    []
    """
    from ray import _core

    if not _core.is_connected():
        from ray.api import _auto_init

        _auto_init()
    return assigned_gpu_ids()


def assigned_gpu_ids():
    """list[int] | list[str]: the GPUs assigned to the task or actor that runs here, as `get_gpu_ids` shows them."""
    names = visible_gpus()
    if names is None:
        return list(_assigned)
    return [names[number] for number in _assigned if number < len(names)]


def visible_gpus():
    """list[str] | None: what the program's own `CUDA_VISIBLE_DEVICES` names; None when it was not set."""
    return None if _original is None else [name.strip() for name in _original.split(",") if name.strip()]


def detected_gpus():
    """int: GPUs of this machine the program may use."""
    try:
        count = len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0
    names = visible_gpus()
    return count if names is None else min(count, len(names))


def assign(numbers):
    """Makes these logical GPUs the ones that may be used here.

    Returns:
        str | None: what `CUDA_VISIBLE_DEVICES` is to say now; None when it is not to be set.
    """
    global _assigned
    _assigned = tuple(numbers)
    if os.environ.get("RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES", "") not in ("", "0"):
        return _original
    if not _assigned and os.environ.get("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1") == "0":
        return _original
    return ",".join(str(name) for name in assigned_gpu_ids())
