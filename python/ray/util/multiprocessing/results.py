"""What the methods of a pool return: results of batches, put together again."""

import collections
import queue
import threading
import time
from multiprocessing import TimeoutError
from multiprocessing.pool import MaybeEncodingError  # type: ignore[attr-defined]  # it is there

import ray
from ray.exceptions import RayError


class PoolTaskError(Exception):
    """A call raised. Iterators give it in the place of the call's result.

    Attributes:
        underlying (Exception): what it raised; its cause shows the traceback of the other process.
    """

    def __init__(self, underlying):
        super().__init__(underlying)
        self.underlying = underlying

    def __reduce__(self):
        import traceback

        from ray import serialization

        text = "".join(traceback.format_exception(self.underlying))
        error = self.underlying
        try:
            # Errors are user code like any other: some are written and cannot be read again.
            serialization.loads(serialization.dumps(error))
        except Exception as fault:  # noqa: BLE001 - whatever its own code raises
            error = MaybeEncodingError(fault, error)
        return _rebuild_error, (error, text)


class RemoteTraceback(Exception):
    """Shows where an exception was raised, in the words of that process."""

    def __str__(self):
        return f'\n"""\n{self.args[0]}"""'


def _rebuild_error(underlying, text):
    underlying.__cause__ = RemoteTraceback(text)
    return PoolTaskError(underlying)


class Callbacks:
    """The thread of a pool that calls users' callbacks, as soon as there is one to call."""

    def __init__(self):
        self._events = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._awaited = 0
        self._closed = False
        self._thread = None

    def expect(self, refs, call):
        """Has `call()` called when all references are ready."""
        with self._lock:
            self._awaited += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ray-pool-callbacks", daemon=True)
                self._thread.start()
        left = len(refs)
        if not refs:
            self._events.put(call)
        lock = threading.Lock()

        def one_is_ready(_):
            nonlocal left
            with lock:
                left -= 1
                done = left == 0
            if done:
                self._events.put(call)

        for ref in refs:
            ref.future().add_done_callback(one_is_ready)

    def close(self):
        """Nothing more will be expected."""
        self._closed = True
        self._events.put(None)

    def join(self):
        """Waits until everything expected was called."""
        if self._thread is not None:
            self._thread.join()

    def _run(self):
        while not (self._closed and self._awaited == 0):
            call = self._events.get()
            if call is not None:
                try:
                    call()
                finally:
                    with self._lock:
                        self._awaited -= 1


class AsyncResult:
    """The result of a call, or of many, that may not be there yet."""

    def __init__(self, refs, callbacks, callback=None, error_callback=None, single=False):
        self._refs = refs
        self._single = single
        self._called = None
        if callback is not None or error_callback is not None:
            self._called = threading.Event()
            callbacks.expect(refs, lambda: self._call(callback, error_callback))

    def _call(self, callback, error_callback):
        try:
            value, error = self._outcome()
            chosen = callback if error is None else error_callback
            if chosen is not None:
                chosen(value if error is None else error)
        finally:
            self._called.set()

    def _outcome(self):
        """(value, None) or (None, error); waits."""
        values = []
        for ref in self._refs:
            try:
                batch = ray.get(ref)
            except RayError as error:  # the process, not the call
                return None, error
            for value in batch:
                if isinstance(value, PoolTaskError):
                    return None, value.underlying
            values += batch
        return (values[0] if self._single else values), None

    def wait(self, timeout=None):
        """Waits until the result is there and its callback was called, or the time (seconds) is over."""
        began = time.monotonic()
        if self._refs:
            ray.wait(self._refs, num_returns=len(self._refs), timeout=timeout)
        if self._called is not None:
            self._called.wait(None if timeout is None else max(0.0, timeout - (time.monotonic() - began)))

    def ready(self):
        """bool: whether the result is there, be it an error."""
        if self._called is not None and not self._called.is_set():
            return False
        return not self._refs or len(ray.wait(self._refs, num_returns=len(self._refs), timeout=0)[0]) == len(self._refs)

    def successful(self):
        """bool: whether no call raised.

        Raises:
            ValueError: the result is not there yet.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._outcome()[1] is None

    def get(self, timeout=None):
        """The result.

        Args:
            timeout (float | None): seconds to wait.

        Raises:
            multiprocessing.TimeoutError: the time is over.
            whatever a call raised; ray.exceptions.RayError when its process ended.
        """
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError(f"The result was not there after {timeout} s.")
        value, error = self._outcome()
        if error is not None:
            raise error
        return value


class IMapIterator:
    """Results in the order of the items."""

    def __init__(self, submit_next, ahead):
        self._submit_next = submit_next
        self._pending = collections.deque()  # (reference to a batch's results, its length)
        self._results = collections.deque()
        for _ in range(ahead):
            self._top_up()

    def _top_up(self):
        batch = self._submit_next()
        if batch is not None:
            self._pending.append(batch)

    def __iter__(self):
        return self

    def __next__(self):
        return self.next()

    def next(self, timeout=None):
        """The next result; an error in the place of a call that raised.

        Raises:
            StopIteration: there are no more.
            multiprocessing.TimeoutError: it was not there in time (seconds).
        """
        if not self._results:
            if not self._pending:
                raise StopIteration
            ref, length = self._take(timeout)
            try:
                self._results.extend(ray.get(ref))
            except RayError as error:  # the process, not a call
                self._results.extend([error] * length)
            self._top_up()
        return self._results.popleft()

    def _take(self, timeout):
        """The batch whose results are next, once they are there."""
        ref, _ = self._pending[0]
        if not ray.wait([ref], timeout=timeout)[0]:
            raise TimeoutError(f"The next result was not there after {timeout} s.")
        return self._pending.popleft()


class UnorderedIMapIterator(IMapIterator):
    """Results in the order in which batches end."""

    def _take(self, timeout):
        ready, _ = ray.wait([ref for ref, _ in self._pending], timeout=timeout)
        if not ready:
            raise TimeoutError(f"No result was there after {timeout} s.")
        at = next(at for at, (ref, _) in enumerate(self._pending) if ref == ready[0])
        batch = self._pending[at]
        del self._pending[at]
        return batch
