"""Saying something once."""

import time

_PERIOD_S = 60.0

_said: set = set()
_disabled = False
_periodic = False
_last_said = 0.0


def log_once(key):
    """Whether this is the first time in this process that something is to be said under this key.

    Args:
        key (str): names the thing to be said.

    Returns:
        bool: True for the first call with the key, False for later ones.

    >>> log_once("a-warning-of-mine"), log_once("a-warning-of-mine")
    (True, False)
    """
    global _last_said
    if _disabled:
        return False
    now = time.monotonic()
    if key not in _said:
        _said.add(key)
        _last_said = now
        return True
    if _periodic and now - _last_said > _PERIOD_S:
        _said.clear()  # from the next call on, everything may be said again
        _last_said = now
    return False


def disable_log_once_globally():
    """From now on `log_once` says False, whatever the key."""
    global _disabled
    _disabled = True


def enable_periodic_logging():
    """From now on `log_once` forgets what was said when nothing new came for a minute."""
    global _periodic
    _periodic = True


def reset_log_once(key):
    """Makes `log_once` forget a key."""
    _said.discard(key)
