"""Numbers that a program counts and measures: `Counter`, `Gauge`, `Histogram`.

They are recorded in the process that records them; `Metric.snapshot` reads them there. Nothing collects them over the network.
"""

import bisect
import re
import threading
import warnings

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Metric:
    """What the three kinds have in common.

    Args:
        name (str): names it for people and for whatever reads it: letters, digits, underscores and colons.
        description (str): says what it is.
        tag_keys (tuple[str, ...] | None): the tags every record has.

    Raises:
        ValueError: the name is empty. TypeError: the keys are no tuple of strings.
    """

    def __init__(self, name, description="", tag_keys=None):
        if not name:
            raise ValueError("Empty name is not allowed. Please provide a metric name.")
        if not isinstance(name, str):
            raise TypeError(f"The name of a metric must be a string, got {type(name)}.")
        if tag_keys is not None and not isinstance(tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(tag_keys)}.")
        for key in tag_keys or ():
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}: {key!r}.")
        self._name = name
        self._description = description
        self._tag_keys = tag_keys or ()
        self._default_tags = {}
        # A name that cannot be told apart from others where it is read is not worth an error where it is written.
        self._discards = not _NAME.fullmatch(name)
        if self._discards:
            warnings.warn(
                f"Invalid metric name: {name}. Metric will be discarded and data will not be collected or published. Metric names "
                "can only contain letters, numbers, _, and :. Metric names cannot start with numbers.",
                UserWarning,
                stacklevel=3,
            )

    def set_default_tags(self, default_tags):
        """Values for tags that a record does not give.

        Args:
            default_tags (dict[str, str]): by key.

        Returns:
            the metric itself.

        Raises:
            ValueError: a key is none of the metric's. TypeError: a value is no string.
        """
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}. The tag keys of {self._name} are {self._tag_keys}.")
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)} for {key}.")
        self._default_tags = dict(default_tags)
        return self

    @property
    def info(self):
        """dict: "name", "description", "tag_keys" and "default_tags"."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": dict(self._default_tags),
        }

    def snapshot(self):
        """dict: what was recorded in this process, by the values of the tags in the order of `tag_keys`."""
        with _lock:
            return {tags: _copied(value) for tags, value in _recorded.get(self._key, {}).items()}

    @property
    def _key(self):
        return type(self).__name__, self._name

    def _record(self, tags, change):
        """Applies `change` to what is recorded under these tags: it takes the old value, or None, and returns the new one."""
        values = self._tag_values(tags)
        if self._discards:
            return
        with _lock:
            recorded = _recorded.setdefault(self._key, {})
            recorded[values] = change(recorded.get(values))

    def _tag_values(self, tags):
        if tags is not None and not isinstance(tags, dict):
            raise TypeError(f"Tags must be a dict of strings to strings, got {type(tags)}.")
        for key, value in (tags or {}).items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}. The tag keys of {self._name} are {self._tag_keys}.")
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)} for {key}.")
        given = {**self._default_tags, **(tags or {})}
        missing = [key for key in self._tag_keys if key not in given]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}. Give them, or set default tags.")
        return tuple(given[key] for key in self._tag_keys)

    def __getstate__(self):
        return self._name, self._description, self._tag_keys, self._default_tags, self._discards

    def __setstate__(self, state):
        self._name, self._description, self._tag_keys, self._default_tags, self._discards = state


class Counter(Metric):
    """A number that only grows.

    >>> requests = Counter("requests", tag_keys=("route",))
    >>> requests.inc(tags={"route": "/"})
    >>> requests.snapshot()
    {('/',): 1.0}
    """

    def inc(self, value=1.0, tags=None):
        """Adds to it.

        Raises:
            TypeError: the value is no number. ValueError: it is not positive; or the tags are not the metric's.
        """
        _check_number(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}: a counter only grows.")
        self._record(tags, lambda old: (old or 0.0) + value)


class Gauge(Metric):
    """A number that goes up and down: the last one that was set."""

    def set(self, value, tags=None):
        """Sets it; None changes nothing.

        Raises:
            TypeError: the value is no number. ValueError: the tags are not the metric's.
        """
        if value is None:
            return
        _check_number(value)
        self._record(tags, lambda old: float(value))


class Histogram(Metric):
    """How many of the observed values lie between which boundaries.

    Args:
        boundaries (list[float]): positive; a value counts below the first one it does not exceed.

    Raises:
        ValueError: there are no boundaries, or not all are positive.
    """

    def __init__(self, name, description="", boundaries=None, tag_keys=None):
        super().__init__(name, description, tag_keys)
        if not boundaries:
            raise ValueError("boundaries argument should be provided when using the Histogram class, like boundaries=[1.0, 2.0].")
        for boundary in boundaries:
            _check_number(boundary)
            if boundary <= 0:
                raise ValueError(f"Invalid `boundaries` argument at {boundary}: all of them must be positive.")
        self.boundaries = sorted(boundaries)

    @property
    def info(self):
        """dict: as of other metrics, and "boundaries"."""
        return {**super().info, "boundaries": self.boundaries}

    def observe(self, value, tags=None):
        """Counts a value.

        Raises:
            TypeError: it is no number. ValueError: the tags are not the metric's.
        """
        _check_number(value)
        at = bisect.bisect_left(self.boundaries, value)

        def change(old):
            found = old or {"count": 0, "sum": 0.0, "buckets": [0] * (len(self.boundaries) + 1)}
            found["count"] += 1
            found["sum"] += value
            found["buckets"][at] += 1
            return found

        self._record(tags, change)

    def __getstate__(self):
        return super().__getstate__(), self.boundaries

    def __setstate__(self, state):
        common, self.boundaries = state
        super().__setstate__(common)


# (kind, name) -> tag values -> what was recorded. Copies of a metric, however they came here, record together.
_recorded: dict = {}
_lock = threading.Lock()


def _check_number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"value must be int or float, got {type(value)}.")


def _copied(value):
    return {**value, "buckets": list(value["buckets"])} if isinstance(value, dict) else value


__all__ = ["Counter", "Gauge", "Histogram", "Metric"]
