"""A queue that any number of drivers, tasks and actors put into and take out of."""

import asyncio
import queue

import ray


class Empty(queue.Empty):
    """Nothing is in the queue."""


class Full(queue.Full):
    """There is no room in the queue."""


class Queue:
    """First in, first out, in an actor of its own. Handles of it may travel anywhere.

    Args:
        maxsize (int): items it holds at most; 0 for any number.
        actor_options (dict | None): options of the actor.

    >>> q = Queue(maxsize=2)
    >>> q.put("a")
    >>> q.get()
    'a'
    """

    def __init__(self, maxsize=0, actor_options=None):
        self.maxsize = maxsize
        self.actor = ray.remote(_QueueActor).options(**(actor_options or {})).remote(maxsize)

    def __len__(self):
        return self.size()

    def size(self):
        """int: how many items are in it."""
        return ray.get(self.actor.qsize.remote())

    def qsize(self):
        """int: how many items are in it."""
        return self.size()

    def empty(self):
        """bool"""
        return ray.get(self.actor.empty.remote())

    def full(self):
        """bool"""
        return ray.get(self.actor.full.remote())

    def put(self, item, block=True, timeout=None):
        """Adds an item.

        Args:
            block (bool): wait for room. timeout (float | None): seconds to wait at most.

        Raises:
            Full: there is no room (in time). ValueError: the timeout is negative.
        """
        if not block:
            return self.put_nowait(item)
        _check_timeout(timeout)
        _raise_if(ray.get(self.actor.put.remote(item, timeout)), Full)

    async def put_async(self, item, block=True, timeout=None):
        """As `put`, to be awaited."""
        if not block:
            _raise_if(await self.actor.put_nowait.remote(item), Full)
            return
        _check_timeout(timeout)
        _raise_if(await self.actor.put.remote(item, timeout), Full)

    def get(self, block=True, timeout=None):
        """Takes the oldest item.

        Args:
            block (bool): wait for one. timeout (float | None): seconds to wait at most.

        Raises:
            Empty: there is none (in time). ValueError: the timeout is negative.
        """
        if not block:
            return self.get_nowait()
        _check_timeout(timeout)
        return _item(ray.get(self.actor.get.remote(timeout)))

    async def get_async(self, block=True, timeout=None):
        """As `get`, to be awaited."""
        if not block:
            return _item(await self.actor.get_nowait.remote())
        _check_timeout(timeout)
        return _item(await self.actor.get.remote(timeout))

    def put_nowait(self, item):
        """Adds an item, or raises Full."""
        _raise_if(ray.get(self.actor.put_nowait.remote(item)), Full)

    def get_nowait(self):
        """Takes the oldest item, or raises Empty."""
        return _item(ray.get(self.actor.get_nowait.remote()))

    def put_nowait_batch(self, items):
        """Adds all items, or none and raises Full.

        Raises:
            TypeError: not iterable.
        """
        try:
            items = list(items)
        except TypeError:
            raise TypeError(f"Argument 'items' must be an iterable, got {type(items)}.") from None
        if not ray.get(self.actor.put_nowait_batch.remote(items)):
            raise Full(f"Cannot add {len(items)} items to queue of size {self.qsize()} and maxsize {self.maxsize}.")

    def get_nowait_batch(self, num_items):
        """Takes that many items, or none and raises Empty.

        Raises:
            TypeError: not a whole number. ValueError: negative.
        """
        if isinstance(num_items, bool) or not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an integer.")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative.")
        found, items = ray.get(self.actor.get_nowait_batch.remote(num_items))
        if not found:
            raise Empty(f"Cannot get {num_items} items from queue of size {self.qsize()}.")
        return items

    def shutdown(self, force=False, grace_period_s=5):
        """Ends the queue's actor: at once, or after the calls it was sent, and then within the grace period."""
        if self.actor is None:
            return
        actor, self.actor = self.actor, None
        if force:
            ray.kill(actor, no_restart=True)
            return
        done = actor.__ray_terminate__.remote()
        ended, _ = ray.wait([done], timeout=grace_period_s)
        if not ended:
            ray.kill(actor, no_restart=True)


def _check_timeout(timeout):
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


def _raise_if(failed, error):
    if failed:
        raise error


def _item(found):
    if not found:
        raise Empty
    return found[0]


class _QueueActor:
    """The queue itself. That there is no room, or no item, it says with results, not with exceptions."""

    def __init__(self, maxsize):
        self.maxsize = maxsize
        self.queue = asyncio.Queue(maxsize)

    def qsize(self):
        return self.queue.qsize()

    def empty(self):
        return self.queue.empty()

    def full(self):
        return self.queue.full()

    async def put(self, item, timeout=None):
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except TimeoutError:
            return True
        return False

    async def get(self, timeout=None):
        try:
            return [await asyncio.wait_for(self.queue.get(), timeout)]
        except TimeoutError:
            return []

    def put_nowait(self, item):
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            return True
        return False

    def get_nowait(self):
        try:
            return [self.queue.get_nowait()]
        except asyncio.QueueEmpty:
            return []

    def put_nowait_batch(self, items):
        if self.maxsize > 0 and len(items) + self.qsize() > self.maxsize:
            return False
        for item in items:
            self.queue.put_nowait(item)
        return True

    def get_nowait_batch(self, num_items):
        if num_items > self.qsize():
            return False, []
        return True, [self.queue.get_nowait() for _ in range(num_items)]
