"""`Pool`: the methods of `multiprocessing.Pool`, over actors.

Work travels in batches: a batch is a list of arguments, run one after the other by one actor. A batch goes to the actor that has the
fewest ahead of it, to each in turn where they have as many.
A call that raises does not spoil its batch: the others' results come, and in its place a `PoolTaskError`.
"""

import collections
import itertools
import logging
import os
import threading

import ray
from ray import _core
from ray.util.multiprocessing.results import AsyncResult, Callbacks, IMapIterator, PoolTaskError, UnorderedIMapIterator

logger = logging.getLogger(__name__)

__all__ = ["AsyncResult", "IMapIterator", "Pool", "PoolTaskError", "UnorderedIMapIterator"]

# Batches an actor gets of one map, when nobody says how long they are to be: enough to even out calls of different length.
_BATCHES_PER_PROCESS = 4
# Batches an actor has ahead of it while an iterator is read: one to run, one to follow at once.
_BATCHES_AHEAD = 2


class Pool:
    """A fixed number of processes that share the calls of functions. Starts a cluster if there is none.

    Args:
        processes (int | None): how many; by default as many as the cluster has CPUs.
        initializer (Callable | None): called in each process when it starts, with `initargs`.
        initargs (Iterable | None): its arguments.
        maxtasksperchild (int | None): a process is replaced after this many batches.
        context: accepted for compatibility; changes nothing.
        ray_address (str | None): the cluster to join, when this program is in none.
        ray_remote_args (dict | None): options of the actors, which hold no CPU by default.

    Raises:
        ValueError: `processes` is not positive, or more than the cluster has CPUs.

    >>> with Pool(2) as pool:
    ...     pool.map(lambda x: x * x, range(4))
    [0, 1, 4, 9]
    """

    def __init__(
        self,
        processes=None,
        initializer=None,
        initargs=None,
        maxtasksperchild=None,
        context=None,
        ray_address=None,
        ray_remote_args=None,
    ):
        if processes is not None and processes <= 0:
            raise ValueError(f"Processes in the pool must be >0, got {processes}.")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if context is not None:
            logger.warning("The 'context' argument of a Pool changes nothing here: its processes are actors.")
        self._initializer = initializer
        self._initargs = tuple(initargs or ())
        self._maxtasksperchild = maxtasksperchild
        self._ray_remote_args = {"num_cpus": 0, **(ray_remote_args or {})}
        self._closed = False
        self._lock = threading.Lock()  # joblib submits from the thread that calls its callbacks, too
        self._ending = []  # references that become ready when an actor has ended
        self._callbacks = Callbacks()
        self._processes = _start_cluster(processes, ray_address)
        self._actors = [self._start_actor() for _ in range(self._processes)]
        # Of the actor that is at this place now: batches sent in all, and those it may not have ended.
        self._sent = [0] * self._processes
        self._unfinished = [collections.deque() for _ in range(self._processes)]
        self._turn = 0
        ray.get([actor.ping.remote() for actor in self._actors])

    def _start_actor(self):
        return ray.remote(_PoolActor).options(**self._ray_remote_args).remote(self._initializer, self._initargs)

    def _end_actor(self, actor):
        """Ends an actor after what it was sent."""
        self._ending.append(actor.__ray_terminate__.remote())

    def _submit(self, function, batch, star):
        """Sends a batch to an actor; a reference to the list of results."""
        with self._lock:
            at = self._next_actor()
            if self._maxtasksperchild is not None and self._sent[at] >= self._maxtasksperchild:
                self._end_actor(self._actors[at])
                self._actors[at] = self._start_actor()
                self._sent[at] = 0
                self._unfinished[at].clear()
            self._sent[at] += 1
            ref = self._actors[at].run_batch.remote(function, batch, star)
            self._unfinished[at].append(ref)
            return ref

    def _next_actor(self):
        """Whose turn it is among those with the least to do."""
        best = None
        for step in range(self._processes):
            at = (self._turn + step) % self._processes
            left = self._unfinished[at]
            while left and _core.is_ready(left[0]):
                left.popleft()
            if best is None or len(left) < len(self._unfinished[best]):
                best = at
            if not left:
                break
        self._turn = (best + 1) % self._processes
        return best

    def _check_running(self):
        if self._closed:
            raise ValueError("Pool not running")

    # -- one call ------------------------------------------------------------------------------------------------------

    def apply(self, func, args=None, kwargs=None):
        """The result of `func(*args, **kwargs)`, run by one of the processes."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(self, func, args=None, kwargs=None, callback=None, error_callback=None):
        """As `apply`, without waiting.

        Args:
            callback (Callable | None): called with the result, in a thread of this process.
            error_callback (Callable | None): called with the exception instead, when there is one.

        Returns:
            AsyncResult
        """
        self._check_running()
        refs = [self._submit(func, [(tuple(args or ()), kwargs or {})], None)]
        return AsyncResult(refs, self._callbacks, callback, error_callback, single=True)

    # -- many calls, all at once -----------------------------------------------------------------------------------------

    def map(self, func, iterable, chunksize=None):
        """The results of `func(item)` for each item, in order.

        Args:
            chunksize (int | None): calls per batch; a quarter of what each process has to do by default.

        Raises:
            whatever the first call that raised did.
        """
        return self.map_async(func, iterable, chunksize).get()

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """As `map`, without waiting: an AsyncResult. `callback` gets the whole list."""
        return self._map(func, iterable, chunksize, callback, error_callback, star=False)

    def starmap(self, func, iterable, chunksize=None):
        """As `map`, with the items unpacked: `func(*item)`."""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(self, func, iterable, callback=None, error_callback=None, chunksize=None):
        """As `starmap`, without waiting: an AsyncResult."""
        # multiprocessing has chunksize third; the other order came with this API. Both are told apart by type.
        if isinstance(callback, int):
            callback, error_callback, chunksize = error_callback, chunksize, callback
        return self._map(func, iterable, chunksize, callback, error_callback, star=True)

    def _map(self, func, iterable, chunksize, callback, error_callback, star):
        self._check_running()
        items = list(iterable)
        if chunksize is None:
            chunksize = max(1, -(-len(items) // (self._processes * _BATCHES_PER_PROCESS)))
        _check_chunksize(chunksize)
        function = ray.put(func)
        refs = [self._submit(function, items[at : at + chunksize], star) for at in range(0, len(items), chunksize)]
        return AsyncResult(refs, self._callbacks, callback, error_callback)

    # -- many calls, as they are asked for ---------------------------------------------------------------------------------

    def imap(self, func, iterable, chunksize=1):
        """The results of `func(item)`, in order, each as soon as it is there. Items are taken as results are.

        A call that raised gives a PoolTaskError in its place, and the iterator goes on.

        Returns:
            an iterator; its `next(timeout=...)` raises `multiprocessing.TimeoutError` when the time is over.
        """
        return self._imap(func, iterable, chunksize, IMapIterator)

    def imap_unordered(self, func, iterable, chunksize=1):
        """As `imap`, with batches in the order in which they end."""
        return self._imap(func, iterable, chunksize, UnorderedIMapIterator)

    def _imap(self, func, iterable, chunksize, kind):
        self._check_running()
        _check_chunksize(chunksize)
        items, function = iter(iterable), ray.put(func)

        def submit_next():
            batch = list(itertools.islice(items, chunksize))
            return (self._submit(function, batch, False), len(batch)) if batch else None

        return kind(submit_next, self._processes * _BATCHES_AHEAD)

    # -- the end -------------------------------------------------------------------------------------------------------------

    def close(self):
        """Takes no more calls; the processes end when they have done what they were given."""
        if not self._closed:
            self._closed = True
            for actor in self._actors:
                self._end_actor(actor)
            self._callbacks.close()

    def terminate(self):
        """Ends the processes at once. What they were doing fails with ActorDiedError."""
        if not _core.is_connected():  # its cluster has ended, and it with that
            self._closed = True
            self._callbacks.close()
            self._forget()
            return
        self.close()
        for actor in self._actors:
            ray.kill(actor)
        self.join()

    def join(self):
        """Waits until the processes have ended.

        Raises:
            ValueError: the pool was neither closed nor terminated.
        """
        if not self._closed:
            raise ValueError("Pool is still running")
        if self._ending:
            ray.wait(self._ending, num_returns=len(self._ending))
        self._callbacks.join()
        self._forget()

    def _forget(self):
        """Handles and references keep what they stand for: a pool that has ended wants nothing kept."""
        self._actors.clear()
        self._unfinished.clear()
        self._ending.clear()

    def __enter__(self):
        self._check_running()
        return self

    def __exit__(self, *error):
        self.terminate()

    def __reduce__(self):
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")


def _start_cluster(processes, address):
    """Joins or starts a cluster if this process is in none; how many processes the pool has."""
    if not ray.is_initialized():
        if address not in (None, "local") or (address is None and "RAY_ADDRESS" in os.environ):
            ray.init(address)
        else:
            ray.init(num_cpus=processes)
    cpus = int(ray.cluster_resources()["CPU"])
    if processes is None:
        processes = cpus
    if processes <= 0:
        raise ValueError(f"Processes in the pool must be >0, and this cluster has {cpus} CPUs.")
    if processes > cpus:
        raise ValueError(
            f"Tried to start a pool with {processes} processes on an existing ray cluster, but there are only {cpus} CPUs in the "
            "ray cluster. Ask for fewer processes, or start the cluster with more CPUs."
        )
    return processes


def _check_chunksize(chunksize):
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize}")


class _PoolActor:
    """One process of a pool."""

    def __init__(self, initializer, initargs):
        if initializer is not None:
            initializer(*initargs)

    def ping(self):
        return True

    def run_batch(self, function, batch, star):
        """The results of a batch, an error in the place of a call that raised.

        Args:
            star (bool | None): whether items are unpacked; None: an item is (args, kwargs).
        """
        return [_run(function, item, star) for item in batch]


def _run(function, item, star):
    try:
        if star is None:
            args, kwargs = item
            return function(*args, **kwargs)
        return function(*item) if star else function(item)
    except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
        return PoolTaskError(error)
