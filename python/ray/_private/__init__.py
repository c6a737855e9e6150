"""Names that other libraries import although they are not public. Each module is a thin view of what is implemented elsewhere."""

_MODULES = (
    "client_mode_hook",
    "internal_api",
    "ray_constants",
    "runtime_env",
    "services",
    "state",
    "test_utils",
    "utils",
    "worker",
)


def __getattr__(name):
    if name in _MODULES:
        import importlib

        return importlib.import_module(f"ray._private.{name}")
    raise AttributeError(f"module 'ray._private' has no attribute {name!r}")
