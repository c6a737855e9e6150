"""The old home of `ray.util.queue`."""

from ray.util.queue import *  # noqa: F403
from ray.util.queue import Queue

__all__ = ["Queue"]
