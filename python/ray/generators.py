"""Functions that yield: what their calls return. The generator of a stream itself is native (`_core.ObjectRefGenerator`)."""

from ray import _core

_CO_GENERATOR, _CO_ASYNC_GENERATOR = 0x20, 0x200


def yields(function):
    """bool: whether it is a generator function, `async` or not."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return bool(flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR))


def results_of(num_returns, is_generator):
    """What a call returns, as the native side wants it.

    Args:
        num_returns (int | str | None): what was chosen.
        is_generator (bool): the function yields.

    Returns:
        tuple[str, int]: "fixed", "streaming" or "dynamic", and the number of references.
    """
    if num_returns is None:
        num_returns = "streaming" if is_generator else 1
    if num_returns == "streaming":
        return "streaming", 0
    if num_returns == "dynamic":
        return "dynamic", 1
    return "fixed", num_returns


def most_untaken(limit):
    """The limit of `_generator_backpressure_num_objects` as a number; 0 for none."""
    return limit if limit is not None and limit > 0 else 0


class DynamicObjectRefGenerator:
    """The value of a task with `num_returns="dynamic"`: references to all that it yielded, each handed out once.

    If the function raised, the last of them is the failure: `ray.get` of it raises.

    >>> @ray.remote(num_returns="dynamic")
    ... def squares(n):
    ...     for i in range(n):
    ...         yield i * i
    >>> refs = ray.get(squares.remote(3))
    >>> len(refs)
    3
    >>> [ray.get(ref) for ref in refs]
    [0, 1, 4]
    """

    def __init__(self, refs):
        self._refs = list(refs)

    def __iter__(self):
        while self._refs:
            yield self._refs.pop(0)

    def __len__(self):
        return len(self._refs)


async def next_async(generator, timeout_s=None):
    """The next reference of a generator, or nil when the time is over.

    Raises:
        StopAsyncIteration: there is none.
    """
    import asyncio

    from ray.awaiting import until_ready

    loop = asyncio.get_running_loop()
    deadline = None if timeout_s is None or timeout_s < 0 else loop.time() + timeout_s
    while True:
        ref, at_end = generator._try_next()
        if ref is not None:
            return ref
        if at_end:
            raise StopAsyncIteration
        arrival = until_ready(generator._get_next_ref())
        left = None if deadline is None else max(0.0, deadline - loop.time())
        done, _ = await asyncio.wait([arrival], timeout=left)
        if not done:
            arrival.cancel()
            return _core.ObjectRef.nil()
