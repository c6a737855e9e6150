"""A store of bytes by key that everyone in the cluster shares. Keys and values are bytes; strings are taken as UTF-8."""

from ray import _core

_PREFIX = b"kv:"


def _internal_kv_initialized():
    """bool: whether this process is in a cluster."""
    return _core.is_connected()


def _internal_kv_get(key, *, namespace=None):
    """bytes | None: what was stored."""
    found = _core.key_value("get", _full(key, namespace))
    return found[0] if found else None


def _internal_kv_exists(key, *, namespace=None):
    """bool: whether something was stored."""
    return bool(_core.key_value("get", _full(key, namespace)))


def _internal_kv_put(key, value, overwrite=True, *, namespace=None):
    """bool: whether something was there before. Then it is replaced only with `overwrite`."""
    key = _full(key, namespace)
    existed = bool(_core.key_value("get", key))
    _core.key_value("put", key, _bytes(value), overwrite)
    return existed


def _internal_kv_del(key, *, del_by_prefix=False, namespace=None):
    """int: how many keys were removed."""
    key = _full(key, namespace)
    keys = _core.key_value("list", key) if del_by_prefix else [key]
    removed = 0
    for one in keys:
        removed += bool(_core.key_value("get", one))
        _core.key_value("delete", one)
    return removed


def _internal_kv_list(prefix, *, namespace=None):
    """list[bytes]: the keys that begin so."""
    start = len(_full(b"", namespace))
    return [key[start:] for key in _core.key_value("list", _full(prefix, namespace))]


def _full(key, namespace):
    return _PREFIX + _bytes(namespace or b"") + b":" + _bytes(key)


def _bytes(text):
    return text.encode() if isinstance(text, str) else text
