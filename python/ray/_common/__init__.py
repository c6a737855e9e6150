"""Names that other libraries import although they are not public, where newer releases of the API have put them."""

_MODULES = ("test_utils", "utils")


def __getattr__(name):
    if name in _MODULES:
        import importlib

        return importlib.import_module(f"ray._common.{name}")
    raise AttributeError(f"module 'ray._common' has no attribute {name!r}")
