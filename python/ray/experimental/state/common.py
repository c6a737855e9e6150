"""The old place of `ray.util.state.common`."""

from ray.util.state.common import *  # noqa: F403 - the names are those there
