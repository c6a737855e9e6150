"""Loops over results in the order in which they come."""

import ray


def as_completed(refs, *, chunk_size=10, yield_obj_refs=False, **wait_kwargs):
    """The values of references, as they come to exist.

    Args:
        refs (list[ray.ObjectRef]): whose.
        chunk_size (int): how many to wait for at a time. Within what is waited for together, the order is that of `refs`.
        yield_obj_refs (bool): give the references, not the values.
        **wait_kwargs: for `ray.wait`, such as `timeout`; without `num_returns`.

    Yields:
        values, or references.

    Raises:
        ValueError: `chunk_size` is below 1, or `num_returns` is given.
        ray.exceptions.RayError: as `ray.get` does, for a task that failed.

    >>> sorted(as_completed([ray.put(1), ray.put(2)]))
    [1, 2]
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}.")
    if "num_returns" in wait_kwargs:
        raise ValueError("num_returns cannot be given to as_completed: use chunk_size, how many are waited for at a time.")
    return _as_completed(list(refs), chunk_size, yield_obj_refs, wait_kwargs)


def _as_completed(rest, chunk_size, yield_obj_refs, wait_kwargs):
    while rest:
        ready, rest = ray.wait(rest, num_returns=min(chunk_size, len(rest)), **wait_kwargs)
        yield from ready if yield_obj_refs else ray.get(ready)


def map_unordered(fn, items, *, backpressure_size=100, chunk_size=10, yield_obj_refs=False, **wait_kwargs):
    """Calls a remote function for each item, and gives the results as they come to exist.

    Args:
        fn: a remote function, or a method of an actor.
        items (Iterable): one argument per call.
        backpressure_size (int | None): calls under way at most; None for any number.
        chunk_size (int): how many to wait for at a time.
        yield_obj_refs (bool): give references, not values.
        **wait_kwargs: for `ray.wait`, such as `timeout`; without `num_returns`.

    Yields:
        values, or references.

    Raises:
        ValueError: a size is not positive, or `num_returns` is given.

    >>> @ray.remote
    ... def double(x):
    ...     return 2 * x
    >>> sorted(map_unordered(double, [1, 2, 3]))
    [2, 4, 6]
    """
    if backpressure_size is None:
        backpressure_size = float("inf")
    elif backpressure_size <= 0:
        raise ValueError(f"backpressure_size must be positive, got {backpressure_size}.")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}.")
    if "num_returns" in wait_kwargs:
        raise ValueError("num_returns cannot be given to map_unordered: use chunk_size, how many are waited for at a time.")
    return _map_unordered(fn, items, backpressure_size, chunk_size, yield_obj_refs, wait_kwargs)


def _map_unordered(fn, items, backpressure_size, chunk_size, yield_obj_refs, wait_kwargs):
    under_way = []
    for item in items:
        under_way.append(fn.remote(item))
        if len(under_way) >= backpressure_size:
            ready, under_way = ray.wait(under_way, num_returns=min(chunk_size, len(under_way)), **wait_kwargs)
            yield from ready if yield_obj_refs else ray.get(ready)
    yield from _as_completed(under_way, chunk_size, yield_obj_refs, wait_kwargs)
