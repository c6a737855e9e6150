"""The old place of `ray.util.state.api`."""

from ray.util.state.api import *  # noqa: F403 - the names are listed there
