"""A fixed set of actors that share the work of a list."""

import ray
from ray.exceptions import ActorDiedError


class ActorPool:
    """Spreads calls over actors: each works on one call at a time, further ones wait for the next that is idle.

    Args:
        actors (list[ray.actor.ActorHandle]): the actors.

    >>> @ray.remote
    ... class Doubler:
    ...     def double(self, x):
    ...         return 2 * x
    >>> pool = ActorPool([Doubler.remote(), Doubler.remote()])
    >>> list(pool.map(lambda actor, x: actor.double.remote(x), [1, 2, 3]))
    [2, 4, 6]
    """

    def __init__(self, actors):
        self._idle = list(actors)
        self._actor_of = {}  # what fn returned -> (index, actor)
        self._refs = {}  # index -> what fn returned
        self._next_index = 0
        self._next_to_return = 0
        self._unordered = set()  # indexes that get_next_unordered has taken out of turn
        self._waiting = []

    def map(self, fn, values):
        """The results of `fn(actor, value)` for each value, in order. Everything is submitted at once.

        Results of earlier submissions that nobody has taken are dropped.
        """
        self._drain()
        for value in values:
            self.submit(fn, value)

        def results():
            while self.has_next():
                yield self.get_next()

        return results()

    def map_unordered(self, fn, values):
        """As `map`, in the order in which the results come to exist."""
        self._drain()
        for value in values:
            self.submit(fn, value)

        def results():
            while self.has_next():
                yield self.get_next_unordered()

        return results()

    def submit(self, fn, value):
        """Has an actor run `fn(actor, value)`, which returns a reference or a list of them; when one is idle."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        ref = fn(actor, value)
        self._actor_of[_key(ref)] = (self._next_index, actor)
        self._refs[self._next_index] = ref
        self._next_index += 1

    def has_next(self):
        """bool: whether results are outstanding."""
        return bool(self._actor_of)

    def get_next(self, timeout=None, ignore_if_timedout=False):
        """The result of the earliest submission that was not taken yet.

        Args:
            timeout (float | None): seconds to wait.
            ignore_if_timedout (bool): a submission that is late is forgotten, and its actor used for others.

        Raises:
            StopIteration: nothing is outstanding.
            TimeoutError: the time is over.
            ValueError: results were taken out of turn before.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._next_to_return in self._unordered:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        ref = self._refs[self._next_to_return]
        late = timeout is not None and not _is_ready(ref, timeout)
        if late and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        del self._refs[self._next_to_return]
        self._next_to_return += 1
        _, actor = self._actor_of.pop(_key(ref))
        return self._take(ref, actor, late)

    def get_next_unordered(self, timeout=None, ignore_if_timedout=False):
        """The next result that exists, whichever submission it is of. As `get_next` otherwise."""
        if not self.has_next():
            raise StopIteration("No more results to get")
        first_refs = {(key[0] if isinstance(key, tuple) else key): key for key in self._actor_of}
        ready, _ = ray.wait(list(first_refs), num_returns=1, timeout=timeout)
        late = not ready
        if late and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        key = first_refs[ready[0]] if ready else next(iter(self._actor_of))
        index, actor = self._actor_of.pop(key)
        ref = self._refs.pop(index)
        self._unordered.add(index)
        while self._next_to_return in self._unordered and not self._refs:
            self._unordered.discard(self._next_to_return)
            self._next_to_return += 1
        return self._take(ref, actor, late)

    def _take(self, ref, actor, late):
        if late:
            self._give_back(actor)
            raise TimeoutError("Timed out waiting for result. The submission is forgotten.")
        try:
            result = ray.get(ref)
        except ActorDiedError:
            raise  # it is of no more use
        except BaseException:
            self._give_back(actor)
            raise
        self._give_back(actor)
        return result

    def _give_back(self, actor):
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.pop(0))

    def _drain(self):
        while self.has_next():
            try:
                self.get_next_unordered(timeout=0, ignore_if_timedout=True)
            except TimeoutError:
                pass

    def has_free(self):
        """bool: whether an actor is idle and nothing waits."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self):
        """An idle actor, taken out of the pool; None when there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor):
        """Adds an actor.

        Raises:
            ValueError: it is in the pool already.
        """
        if actor in self._idle or any(actor == busy for _, busy in self._actor_of.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._give_back(actor)


def _key(ref):
    return tuple(ref) if isinstance(ref, list) else ref


def _is_ready(ref, timeout):
    refs = ref if isinstance(ref, list) else [ref]
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=timeout)
    return len(ready) == len(refs)
