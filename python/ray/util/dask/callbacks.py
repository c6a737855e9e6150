"""Hooks around the tasks of a dask graph."""

import contextlib
import sys
from collections import namedtuple

import ray

#: Hooks by name; what each is called with stands at the methods of the same name.
HOOKS = ("ray_presubmit", "ray_postsubmit", "ray_pretask", "ray_posttask", "ray_postsubmit_all", "ray_finish")
RayCallbacks = namedtuple("RayCallbacks", HOOKS)  # type: ignore[misc]  # the names stand above, once


class RayDaskCallback:
    """Base class of one's own hooks, or hooks as keywords: `RayDaskCallback(ray_pretask=function)`.

    In a `with` block it is active for what is computed inside. The methods that may be defined:

    - `_ray_presubmit(task, key, deps)`: before a task is submitted; a value other than None takes the place of its result.
    - `_ray_postsubmit(task, key, deps, object_ref)`: after.
    - `_ray_pretask(key, object_refs)`: in the worker, before the task; what it returns is given to the next.
    - `_ray_posttask(key, result, pre_state)`: in the worker, after it.
    - `_ray_postsubmit_all(object_refs, dsk)`: when all are submitted.
    - `_ray_finish(result)`: with the results.
    """

    ray_active: set = set()

    def __init__(self, **hooks):
        unknown = sorted(set(hooks) - set(HOOKS))
        if unknown:
            raise TypeError(f"There are no hooks {', '.join(unknown)}. There are {', '.join(HOOKS)}.")
        for name, function in hooks.items():
            if function is not None:
                setattr(self, f"_{name}", function)

    @property
    def _ray_callback(self):
        return RayCallbacks(*(getattr(self, f"_{name}", None) for name in HOOKS))

    def __enter__(self):
        self._hooks = self._ray_callback
        RayDaskCallback.ray_active.add(self._hooks)
        return self

    def __exit__(self, *error):
        RayDaskCallback.ray_active.discard(self._hooks)


def unpack_ray_callbacks(callbacks):
    """RayCallbacks: for each hook the functions that are to be called, None when there are none."""
    found = [callback._ray_callback if isinstance(callback, RayDaskCallback) else callback for callback in callbacks or ()]
    functions = ([getattr(hooks, name) for hooks in found if getattr(hooks, name)] for name in HOOKS)
    return RayCallbacks(*(listed or None for listed in functions))


@contextlib.contextmanager
def local_ray_callbacks(callbacks=None):
    """Takes the active callbacks away for the length of a block, which is given those that are to be called in it."""
    active, RayDaskCallback.ray_active = RayDaskCallback.ray_active, set()
    try:
        yield [*active, *(callbacks or ())]
    finally:
        RayDaskCallback.ray_active = active


class ProgressBarCallback(RayDaskCallback):
    """Shows on standard error how many tasks are done."""

    def _ray_postsubmit_all(self, object_refs, dsk):
        refs = list({ref for ref in object_refs if isinstance(ref, ray.ObjectRef)})
        done, total = 0, len(refs)
        while refs:
            ready, refs = ray.wait(refs, num_returns=min(len(refs), max(1, total // 50)))
            done += len(ready)
            filled = 40 * done // total
            print(f"\r[{'#' * filled}{' ' * (40 - filled)}] {done}/{total}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr, flush=True)
