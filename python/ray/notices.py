"""The background thread of a process: prints what workers write, and calls back when awaited objects exist."""

import sys
import threading

from ray import _core

_thread = None
_by_loop = False
_lock = threading.Lock()
_output = None  # an `Output`, once a worker has written something
_is_output_shown = True
_callbacks: dict[tuple[int, int, int], list] = {}
# Seconds between two looks at whether the cluster is still there.
_PATIENCE_S = 1.0


def handled_by_loop():
    """An event loop of this process calls `handle_now` itself: no thread is needed."""
    global _by_loop
    _by_loop = True


def handle_now():
    """Handles what has arrived, without waiting."""
    for notice in _core.next_notices(0.0) or ():
        _handle_safely(notice)


def start():
    """Starts the thread, if it does not run."""
    global _thread
    if _by_loop:
        return
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="ray-notices", daemon=True)
            _thread.start()


def show_output(shown):
    """Whether what workers write is printed here."""
    global _is_output_shown
    _is_output_shown = shown


def stop():
    """Waits until what had arrived when the cluster ended has been handled."""
    global _output
    if _thread is not None and _thread is not threading.current_thread():
        _thread.join(timeout=2.0)
    if _output is not None:
        _output.flush()
        _output = None


def forget():
    """In the child of a fork: the thread is the parent's."""
    global _thread, _output
    _thread = _output = None
    _callbacks.clear()


def when_ready(ref, callback):
    """Calls `callback()` from the background thread once the object exists; at once, from here, if it does."""
    start()
    with _lock:
        _callbacks.setdefault(ref._key, []).append((ref, callback))
    if not _core.watch(ref):
        _ready(ref._key)


def _run():
    while (notices := _core.next_notices(_PATIENCE_S)) is not None:
        for notice in notices:
            _handle_safely(notice)
        if _output is not None:
            _output.tick()


def _handle_safely(notice):
    try:
        _handle(notice)
    except Exception as error:  # noqa: BLE001 - one bad callback must not silence the others
        print(f"raio: a callback or the output of a worker could not be handled: {error!r}", file=sys.__stderr__)


def _handle(notice):
    if notice.kind == "log":
        _print(notice)
    elif notice.kind == "ready":
        _ready(notice.object)
    elif notice.kind == "warning":
        print(f"raio: {notice.text}", file=sys.stderr)


def _ready(key):
    with _lock:
        waiting = _callbacks.pop(key, [])
    for _, callback in waiting:
        callback()


def _print(notice):
    global _output
    if not _is_output_shown:
        return
    if notice.dropped_bytes:
        print(f"raio: {notice.dropped_bytes} bytes of output were dropped: this process did not keep up.", file=sys.stderr)
    if _output is None:
        from ray.output import Output

        _output = Output()
    _output.show(notice.pid, notice.stderr, notice.text)
