"""References as futures: `await ref`, `ref.future()`, callbacks."""

from ray import _core, notices


def on_completed(ref, callback):
    """Calls `callback(value or exception)` from a background thread when the object exists."""

    def ready():
        try:
            outcome = _core.get(ref)
        except BaseException as error:  # noqa: BLE001 - whatever the task raised is the outcome
            outcome = error
        callback(outcome)

    notices.when_ready(ref, ready)


def as_concurrent_future(ref):
    """A `concurrent.futures.Future` of the value; cancelling it does not cancel the task."""
    from concurrent.futures import Future

    future = Future()

    def ready():
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(_core.get(ref))
        except BaseException as error:  # noqa: BLE001 - whatever the task raised is the outcome
            future.set_exception(error)

    notices.when_ready(ref, ready)
    return future


def as_future(ref):
    """An `asyncio.Future` of the value in the running loop; cancelling it (a time-out, say) does not cancel the task."""

    def outcome(future):
        try:
            future.set_result(_core.get(ref))
        except StopIteration as error:
            future.set_exception(RuntimeError(f"the task raised {error!r}"))  # asyncio refuses to carry a StopIteration
        except BaseException as error:  # noqa: BLE001 - whatever the task raised is the outcome
            future.set_exception(error)

    return _future(ref, outcome)


def until_ready(ref):
    """An `asyncio.Future` in the running loop that is done when the object exists, whatever it is."""
    return _future(ref, lambda future: future.set_result(None))


def _future(ref, settle):
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle_once():
        if not future.done():
            settle(future)

    def ready():
        try:
            loop.call_soon_threadsafe(settle_once)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody waits any more

    notices.when_ready(ref, ready)
    return future
