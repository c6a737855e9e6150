"""Progress bars that work in tasks and actors: a line of text now and then, which reaches the driver as all output does."""

import sys
import time


class tqdm:
    """A progress bar.

    Args:
        iterable (Iterable | None): what to walk through.
        desc (str | None): what it is about.
        total (int | None): how many steps there are.
        unit (str): what a step is.
        position (int | None), others: accepted.
        flush_interval_s (float): seconds between two lines.
    """

    def __init__(self, iterable=None, desc=None, total=None, unit="it", position=None, flush_interval_s=1.0, **others):
        self._iterable = iterable
        self._desc = desc or ""
        self._total = total if total is not None or not hasattr(iterable, "__len__") else len(iterable)
        self._unit = unit
        self._interval_s = flush_interval_s
        self._done = 0
        self._last = time.monotonic()
        self._closed = False

    def set_description(self, desc):
        self._desc = desc

    def update(self, n=1):
        self._done += n
        if time.monotonic() - self._last >= self._interval_s:
            self.refresh()

    def refresh(self):
        """Writes the line."""
        self._last = time.monotonic()
        of = "" if self._total is None else f"/{self._total}"
        print(f"{self._desc + ': ' if self._desc else ''}{self._done}{of} {self._unit}", file=sys.stderr)

    def close(self):
        """Writes the line for the last time."""
        if not self._closed:
            self._closed = True
            self.refresh()

    @property
    def total(self):
        return self._total

    @total.setter
    def total(self, total):
        self._total = total

    @property
    def n(self):
        return self._done

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __iter__(self):
        if self._iterable is None:
            raise ValueError("This progress bar was made without an iterable: call update() instead.")
        for item in self._iterable:
            yield item
            self.update()
        self.close()


def safe_print(*args, **kwargs):
    """As `print`."""
    print(*args, **kwargs)
