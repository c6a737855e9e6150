"""What a task finds in its environment: variables it was given, GPUs, the number of threads for numeric libraries.

A task's variables are set when it begins and taken back when it ends, so that the next task of the worker does not see
them. Libraries that read theirs once, when they are loaded, keep what the first task gave them; give such tasks
`max_calls=1`, or an actor.
"""

import os
import re

from ray import accelerators

_THREADS = "OMP_NUM_THREADS"
_NOSET = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"

# Whether the user left the number of threads to us.
_sets_threads = False


def settle_worker(environment):
    """Prepares a worker that has just been forked. `environment` is what an actor was given, and stays."""
    global _sets_threads
    variables = _expanded(environment)
    os.environ.update(variables)
    _sets_threads = _THREADS not in os.environ
    if _sets_threads:
        os.environ[_THREADS] = "1"
    if accelerators.VISIBLE not in variables:
        _set(accelerators.VISIBLE, accelerators.assign(()))


def settle_actor(devices):
    """Gives an actor its GPUs, for life."""
    if devices:
        _set(accelerators.VISIBLE, accelerators.assign(devices))


def settle_threads(cpus):
    """Lets an actor's numeric libraries use as many threads as it has CPUs."""
    if _sets_threads and cpus >= 2:
        os.environ[_THREADS] = str(int(cpus))


def begin(environment, devices, cpus):
    """Sets up what a task was given.

    Args:
        environment (list[tuple[str, str]]): its variables; `${NAME}` in a value is what the worker's variable says.
        devices (list[int] | None): its GPUs, if it has some.
        cpus (int): its whole CPUs.

    Returns:
        Callable: undoes it.
    """
    variables = _expanded(environment)
    changed = {*variables}
    if cpus > 1 and _sets_threads:
        changed.add(_THREADS)
    if devices or _NOSET in variables:
        changed.add(accelerators.VISIBLE)
    before = {name: os.environ.get(name) for name in changed}

    def undo():
        for name, value in before.items():
            _set(name, value)
        if devices:
            accelerators.assign(())

    if cpus > 1 and _sets_threads:
        os.environ[_THREADS] = str(cpus)
    os.environ.update(variables)
    if devices or (_NOSET in variables and accelerators.VISIBLE not in variables):
        _set(accelerators.VISIBLE, accelerators.assign(devices or ()))
    return undo


def _set(name, value):
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _expanded(environment):
    def worker_value(match):
        return os.environ.get(match.group(1), "")

    return {name: re.sub(r"\$\{(\w+)\}", worker_value, value) for name, value in environment}
