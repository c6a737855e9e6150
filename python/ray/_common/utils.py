"""Small helpers that programs import from here."""

from ray.cluster import memory_bytes


def binary_to_hex(identifier):
    """str: bytes as hexadecimal digits."""
    return identifier.hex()


def hex_to_binary(hex_identifier):
    """bytes: from hexadecimal digits."""
    return bytes.fromhex(hex_identifier)


def get_system_memory():
    """int: bytes of memory this process may use."""
    return memory_bytes()


def load_class(path):
    """A class or function by its dotted name.

    Raises:
        ValueError: the name has no module.
    """
    import importlib

    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"You need to pass a valid path like mymodule.provider_class, got {path!r}.")
    return getattr(importlib.import_module(module), name)


def get_or_create_event_loop():
    """The running event loop, or a new one that becomes this thread's."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop


def get_ray_temp_dir():
    """str: where sessions are made, if nothing else is said."""
    import os
    import tempfile

    return os.environ.get("RAY_TMPDIR") or os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
