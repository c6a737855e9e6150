"""The old place of `ray.util.state.exception`."""

from ray.util.state.exception import *  # noqa: F403 - the names are those there
