"""A dask graph as remote functions: a task per node, references as its edges. Values never pass through the program that computes."""

from collections.abc import Mapping

import dask
from dask._task_spec import Alias, DataNode, convert_legacy_graph

import ray
from ray.util.dask.callbacks import local_ray_callbacks, unpack_ray_callbacks


def enable_dask_on_ray(shuffle="tasks", use_shuffle_optimization=True):
    """Makes `ray_dask_get` dask's scheduler, until `disable_dask_on_ray`; in a `with` block until its end.

    Args:
        shuffle (str | None): how dask's data frames shuffle.
        use_shuffle_optimization (bool): accepted for compatibility; shuffles are computed as dask plans them.

    >>> import dask
    >>> with enable_dask_on_ray():
    ...     dask.delayed(sum)([1, 2]).compute()
    3
    """
    settings = {"scheduler": ray_dask_get}
    if shuffle:
        settings["dataframe.shuffle.method"] = shuffle
    return dask.config.set(settings)


def disable_dask_on_ray():
    """Leaves the choice of the scheduler to dask again."""
    return dask.config.set({"scheduler": None, "dataframe.shuffle.method": None})


def ray_dask_get(dsk, keys, **kwargs):
    """Computes keys of a dask graph in a cluster, which is started if there is none.

    Args:
        dsk (Mapping): the graph. keys: a key, or nested lists of keys.
        ray_callbacks (list[RayDaskCallback] | None): hooks, besides those that are active.
        ray_persist (bool): give references instead of values.
        ray_remote_args (dict | None): options of the tasks; those of `dask.annotate(ray_remote_args=...)` come on top.

    Returns:
        the values, nested as `keys` are.

    Raises:
        ValueError: `resources` is given, a word of other schedulers.
        whatever a task raised.
    """
    if kwargs.pop("resources", None) or "resources" in (kwargs.get("annotations") or {}):
        raise ValueError(
            "The dask-on-ray scheduler does not take resources=. Give ray_remote_args={'resources': ...} or {'num_cpus': ...}."
        )
    if not ray.is_initialized():
        ray.init()
    options, for_key = kwargs.get("ray_remote_args") or {}, _annotated(dsk)
    with local_ray_callbacks(kwargs.get("ray_callbacks")) as callbacks:
        hooks = unpack_ray_callbacks(callbacks)
        refs = _submit(dsk, keys, hooks, lambda key: {**options, **for_key.get(key, {})})
        wanted = list(_flatten(keys))
        for hook in hooks.ray_postsubmit_all or ():
            hook([refs[key] for key in wanted], dsk)
        if kwargs.get("ray_persist"):
            values = {key: refs[key] for key in wanted}
        else:
            values = dict(zip(wanted, _values([refs[key] for key in wanted]), strict=True))
        result = _nested(keys, values)
        for hook in hooks.ray_finish or ():
            hook(result)
        return result


def ray_dask_get_sync(dsk, keys, **kwargs):
    """As `ray_dask_get`, one task after the other; for finding faults."""
    options = {**kwargs.pop("ray_remote_args", {}), "num_cpus": 1}
    if not ray.is_initialized():
        ray.init()
    refs = _submit(dsk, keys, unpack_ray_callbacks(None), lambda key: options, wait=True)
    return _nested(keys, {key: _values([refs[key]])[0] for key in _flatten(keys)})


def ray_dask_persist(*collections, **kwargs):
    """As `dask.persist`, with the values left in the cluster: the collections hold references."""
    return dask.persist(*collections, scheduler=ray_dask_get, ray_persist=True, **kwargs)


def _submit(dsk, keys, hooks, options_for, wait=False):
    """A reference, or a value that is at hand, for every key the wanted ones depend on."""
    graph = convert_legacy_graph(dict(dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__()))
    refs = {}
    for key in _in_order(graph, list(_flatten(keys))):
        node = graph[key]
        if isinstance(node, Alias):
            refs[key] = refs[node.target]
        elif isinstance(node, DataNode):
            refs[key] = node.value if isinstance(node.value, ray.ObjectRef) else ray.put(node.value)
        else:
            refs[key] = _submit_task(key, node, refs, hooks, options_for(key))
            if wait and isinstance(refs[key], ray.ObjectRef):
                ray.wait([refs[key]])
    return refs


def _submit_task(key, node, refs, hooks, options):
    dependencies = sorted(node.dependencies, key=str)
    inputs = tuple(refs[dependency] for dependency in dependencies)
    for hook in hooks.ray_presubmit or ():
        value = hook(node, key, inputs)
        if value is not None:
            return value
    around = (hooks.ray_pretask, hooks.ray_posttask) if hooks.ray_pretask or hooks.ray_posttask else None
    task = _remote().options(name=f"dask:{key}", **options)
    ref = task.remote(node, key, around, dependencies, *inputs)
    for hook in hooks.ray_postsubmit or ():
        hook(node, key, inputs, ref)
    return ref


def _run(node, key, around, names, *values):
    """What runs in a worker: one node of the graph."""
    if around is None:
        return node(dict(zip(names, values, strict=True)))
    before, after = around
    states = [hook(key, values) for hook in before or ()]
    result = node(dict(zip(names, values, strict=True)))
    states += [None] * (len(after or ()) - len(states))
    for hook, state in zip(after or (), states, strict=False):
        hook(key, result, state)
    return result


def _remote():
    global _task
    if _task is None:
        _task = ray.remote(_run)
    return _task


_task = None


def _in_order(graph, wanted):
    """The keys that `wanted` need, each after those it needs itself."""
    found, done = [], set()
    waiting = [(key, False) for key in reversed(wanted)]
    while waiting:
        key, inputs_are_done = waiting.pop()
        if key in done:
            continue
        if inputs_are_done:
            done.add(key)
            found.append(key)
            continue
        if key not in graph:
            raise KeyError(key)
        waiting.append((key, True))
        waiting += [(dependency, False) for dependency in graph[key].dependencies if dependency not in done]
    return found


def _annotated(dsk):
    """Options that `dask.annotate` gave tasks, by key."""
    if hasattr(dsk, "__dask_annotations__"):
        annotations = dsk.__dask_annotations__()
    else:  # a graph made by hand
        annotations = {}
        for layer in getattr(dsk, "layers", {}).values():
            for name, value in (layer.annotations or {}).items():
                annotations.setdefault(name, {}).update(dict.fromkeys(layer, value))
    if annotations.get("resources"):
        raise ValueError("The dask-on-ray scheduler does not take resources annotations. Annotate with ray_remote_args.")
    return annotations.get("ray_remote_args", {})


def _values(refs):
    """The values of references; what is none stands for itself."""
    awaited = [ref for ref in refs if isinstance(ref, ray.ObjectRef)]
    values = iter(ray.get(awaited))
    return [next(values) if isinstance(ref, ray.ObjectRef) else ref for ref in refs]


def _flatten(keys):
    if isinstance(keys, list):
        for key in keys:
            yield from _flatten(key)
    else:
        yield keys


def _nested(keys, values):
    """As dask wants it: a tuple for each list of keys."""
    return tuple(_nested(key, values) for key in keys) if isinstance(keys, list) else values[keys]
