"""Python values as bytes, and back.

`dumps` takes the fast road first: the C pickler of the standard library, which writes classes and functions by name.
Workers cannot import the driver's ``__main__``, and cannot look up lambdas and local classes at all; what holds such
things is written again with cloudpickle, by value. Arrays and other large buffers stay outside of the bytes (pickle
protocol 5), so that whoever stores the value copies them once, straight to where they belong.

Two things must not happen twice when a value is written twice: handing a buffer to ``buffer_callback``, and noting a
reference that the value contains. Both are collected on the side and handed over at the end.

The second half of the module explains failures: which attribute of which object cannot be written, and what to do.

This module knows nothing about the object store, and of references only that they call `note_reference` while they
are being pickled.
"""

import sys
from _thread import _local

_FunctionType = type(lambda: None)
_MethodType = type((lambda self: None).__get__(0))

PROTOCOL = 5
LARGE_FUNCTION_BYTES = 10 * 1024 * 1024
MAX_FUNCTION_BYTES = 100 * 1024 * 1024
# From this size on, bytes at the top of a value are worth a detour that saves a copy of them.
_OUT_OF_BAND_BYTES = 64 * 1024


def _pickle_dumps(*args, **kwargs):
    """`pickle.dumps`, put in the place of this function on first use: `import ray` does not load pickle."""
    global _pickle_dumps
    from pickle import dumps as _pickle_dumps

    return _pickle_dumps(*args, **kwargs)


_by_value_modules = None  # cloudpickle's registry of modules to be written by value, once cloudpickle is loaded
_serializers: dict[type, tuple] = {}  # class -> (serializer, deserializer)
_cloud_pickler = None  # cloudpickle's pickler with our dispatch table; None: to be made again


# ---------------------------------------------------------------------------------------------------------------------
# Values to bytes, and back
# ---------------------------------------------------------------------------------------------------------------------


def dumps(value, buffer_callback=None):
    """A value as bytes.

    Args:
        value: anything that pickle or cloudpickle can carry.
        buffer_callback (Callable | None): called with a `pickle.PickleBuffer` for each buffer that is left outside of
            the bytes, in order, after everything has been written; what it returns is ignored. Without it, all buffers
            go into the bytes.

    Returns:
        bytes: pickle protocol 5, for `loads`.

    Raises:
        Exception: whatever the value's own code raises, usually TypeError, PicklingError or AttributeError;
            `describe_failure` turns it into words.

    Example:
        >>> buffers = []
        >>> data = dumps({"x": 1}, buffers.append)
        >>> loads(data, buffers)
        {'x': 1}
    """
    references = _collections.current
    if references is None:
        # A trial that is thrown away must not pin references either.
        with collecting() as references:
            data = dumps(value, buffer_callback)
        for reference in references:
            note_out_of_band(reference)
        return data
    buffers = None if buffer_callback is None else []
    if buffers is not None and type(value) in (bytes, bytearray) and len(value) >= _OUT_OF_BAND_BYTES:
        value = _Bytes(value)
    mark = len(references)
    data = None
    if not _serializers and not (_by_value_modules or (_by_value_modules is None and _writes_modules_by_value())):
        try:
            if buffers is None:
                data = _pickle_dumps(value, PROTOCOL)
            else:
                data = _pickle_dumps(value, PROTOCOL, buffer_callback=buffers.append)
            if b"__main__" in data:
                data = None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - cloudpickle decides whether it is an error
            data = None
    if data is None:
        _forget(references, mark, buffers)
        data = _dump_by_value(value, buffers)
    elif buffers is not None and b"_reconstruct" in data and "numpy" in sys.modules:
        # Arrays that numpy by itself copies into the bytes: strided ones, dates.
        _forget(references, mark, buffers)
        data = _dump_arrays(value, buffers)
    if buffers:
        for buffer in buffers:
            buffer_callback(buffer)
    return data


def pack(value, what):
    """A value as the native side wants it: bytes, buffers left outside, references found inside.

    Args:
        value: anything.
        what (str): what the value is to the user, for the error ("argument", "put value").

    Returns:
        tuple[bytes, list[pickle.PickleBuffer], list[ray.ObjectRef]]

    Raises:
        TypeError: it cannot be written; the text names the part at fault and what to try.
    """
    buffers = []
    with collecting() as references:
        try:
            data = dumps(value, buffers.append)
        except Exception as error:  # user code runs in __reduce__ and may raise anything
            raise describe_failure(value, what, error) from error
    return data, buffers, references


def loads(data, buffers=()):
    """The value that `dumps` wrote.

    Args:
        data (bytes-like): from `dumps`. buffers (Iterable): the buffers, in order; arrays become views of them, and
            are read-only if they are.

    Returns:
        the value.

    Raises:
        ModuleNotFoundError: a class or function of the value is in a module that cannot be imported here. Other
            exceptions come from the value's own code, or from bytes that `dumps` did not write.
    """
    import pickle

    return pickle.loads(data, buffers=buffers)


def warn_if_large(n_bytes, name):
    """Complain about a function or class whose pickled form is large: it caught data that belongs into the store.

    Args:
        n_bytes (int): size of the pickled function. name (str): its name.

    Raises:
        ValueError: more than 100 MiB. Between 10 and 100 MiB there is a UserWarning.
    """
    if n_bytes <= LARGE_FUNCTION_BYTES:
        return
    mebibytes = n_bytes / (1024 * 1024)
    advice = (
        "It probably uses a large value from the code around it, which is sent along. Store the value once with "
        "ray.put() and pass the reference as an argument."
    )
    if n_bytes > MAX_FUNCTION_BYTES:
        raise ValueError(f"{name} is too large to be sent to workers: {mebibytes:.0f} MiB, at most 100 MiB. {advice}")
    import warnings

    warnings.warn(f"{name} is very large: {mebibytes:.0f} MiB are sent to each worker. {advice}", stacklevel=3)


def _dump_arrays(value, buffers):
    """The C pickler, with our own way for arrays."""
    import copyreg
    import io
    import pickle

    file = io.BytesIO()
    pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=buffers.append)
    pickler.dispatch_table = {**copyreg.dispatch_table, sys.modules["numpy"].ndarray: _reduce_array}
    pickler.dump(value)
    return file.getvalue()


def _dump_by_value(value, buffers):
    """The general way: cloudpickle, with the user's serializers and our own way for arrays."""
    import io

    file = io.BytesIO()
    _cloud_pickler_now()(file, PROTOCOL, None if buffers is None else buffers.append).dump(value)
    return file.getvalue()


def _cloud_pickler_now():
    global _cloud_pickler
    if _cloud_pickler is None or _cloud_pickler.knows_numpy != ("numpy" in sys.modules):
        _cloud_pickler = _make_cloud_pickler()
    return _cloud_pickler


def _make_cloud_pickler():
    from collections import ChainMap

    import cloudpickle

    table = {cls: _reducer(*functions) for cls, functions in _serializers.items()}
    numpy = sys.modules.get("numpy")
    # While numpy is still being imported by another thread, its class may not be there yet.
    array_class = getattr(numpy, "ndarray", None)
    if array_class is not None:
        table.setdefault(array_class, _reduce_array)

    attributes = {
        "dispatch_table": ChainMap(table, cloudpickle.Pickler.dispatch_table),
        "knows_numpy": array_class is not None,
    }
    return type("Pickler", (cloudpickle.Pickler,), attributes)


def _writes_modules_by_value():
    global _by_value_modules
    if _by_value_modules is None:
        module = sys.modules.get("cloudpickle.cloudpickle")
        if module is None:
            return False
        _by_value_modules = getattr(module, "_PICKLE_BY_VALUE_MODULES", ())
    return bool(_by_value_modules)


def _forget(references, mark, buffers):
    del references[mark:]
    if buffers:
        buffers.clear()


class _Bytes:
    """Large bytes, to be left outside of the pickle."""

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        from pickle import PickleBuffer

        return type(self.value), (PickleBuffer(self.value),)


def _reduce_array(array):
    """Arrays that numpy pickles by copying them into the bytes, as a buffer and how to look at it."""
    if array.dtype.hasobject or array.dtype.itemsize == 0:
        return array.__reduce_ex__(PROTOCOL)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = array.copy(order="C")
    reduced = array.__reduce_ex__(PROTOCOL)
    if getattr(reduced[0], "__name__", "") != "_reconstruct":
        return reduced
    # Dates and times do not export their buffer; the same bytes without a type do.
    order = "C" if array.flags.c_contiguous else "F"
    raw = array.ravel(order="K").view(f"V{array.dtype.itemsize}")
    return _restore_array, (raw, array.dtype, array.shape, order)


def _restore_array(raw, dtype, shape, order):
    return raw.view(dtype).reshape(shape, order=order)


# ---------------------------------------------------------------------------------------------------------------------
# Serializers of the user's
# ---------------------------------------------------------------------------------------------------------------------


def register_serializer(cls, *, serializer, deserializer):
    """Use own functions for the instances of a class, in this process.

    Args:
        cls (type): the class itself; instances of its subclasses are not concerned.
        serializer (Callable): takes the instance and returns something that can be pickled.
        deserializer (Callable): takes what ``serializer`` returned and makes the instance. It travels with the data,
            so whoever reads it need not register anything.

    Raises:
        TypeError: ``cls`` is no class, or one of the functions cannot be called.

    Example:
        >>> import threading
        >>> class Counter:
        ...     def __init__(self, n=0):
        ...         self.n, self.lock = n, threading.Lock()
        >>> register_serializer(Counter, serializer=lambda counter: counter.n, deserializer=Counter)
        >>> loads(dumps(Counter(3))).n
        3
        >>> deregister_serializer(Counter)
    """
    global _cloud_pickler
    if not isinstance(cls, type):
        raise TypeError(f"register_serializer() takes a class, got {_short_repr(cls)}")
    for name, function in (("serializer", serializer), ("deserializer", deserializer)):
        if not callable(function):
            raise TypeError(f"register_serializer(): {name}= must be a function, got {_short_repr(function)}")
    _serializers[cls] = (serializer, deserializer)
    _cloud_pickler = None


def deregister_serializer(cls):
    """Undo `register_serializer`. Does nothing if the class is not registered."""
    global _cloud_pickler
    _serializers.pop(cls, None)
    _cloud_pickler = None


def _reducer(serializer, deserializer):
    return lambda value: (deserializer, (serializer(value),))


# ---------------------------------------------------------------------------------------------------------------------
# References inside of values
# ---------------------------------------------------------------------------------------------------------------------


class _Collections(_local):
    current = None  # the list that references are noted in, by this thread


_collections = _Collections()
_out_of_band_hook = None
_pinned: dict = {}
_stored: dict = {}


class collecting:
    """Collect the references that are pickled inside of the block, by this thread.

    Blocks nest: a reference goes to the innermost one. Use each instance once.

    Returns:
        list: of the references, in the order in which they were met, filled while the block runs.

    Example:
        >>> with collecting() as references:
        ...     data = dumps([1, 2])
        >>> references
        []
    """

    __slots__ = ("_outer",)

    def __enter__(self):
        self._outer = _collections.current
        _collections.current = references = []
        return references

    def __exit__(self, *error):
        _collections.current = self._outer


def note_reference(reference):
    """Called by a reference while it is pickled. Outside of any collection it is out of band."""
    references = _collections.current
    if references is None:
        note_out_of_band(reference)
    else:
        references.append(reference)


def note_out_of_band(reference):
    """A reference was pickled where nobody counts it: the object stays for as long as this process lives.

    Raises:
        OufOfBandObjectRefSerializationException: ``RAY_allow_out_of_band_object_ref_serialization=0`` is set.
    """
    if _out_of_band_hook is not None:
        _out_of_band_hook(reference)
        return
    import os

    if os.environ.get("RAY_allow_out_of_band_object_ref_serialization", "1").lower() in ("0", "false"):
        from ray.exceptions import OufOfBandObjectRefSerializationException

        raise OufOfBandObjectRefSerializationException()
    _pinned.setdefault(reference, reference)


def stored_once(owner, blob):
    """A reference to bytes stored once per cluster; `owner` is what they belong to."""
    if owner not in _stored:
        from ray import _core

        _stored[owner] = _core.put(blob)
    return _stored[owner]


def unpin():
    """Let go of all references that were pickled out of band or stored for good: their cluster has been stopped."""
    _pinned.clear()
    _stored.clear()


def set_out_of_band_hook(hook):
    """Replace what `note_out_of_band` does.

    Args:
        hook (Callable | None): called with the reference; None for the default, which pins it.

    Returns:
        the hook before.
    """
    global _out_of_band_hook
    before, _out_of_band_hook = _out_of_band_hook, hook
    return before


# ---------------------------------------------------------------------------------------------------------------------
# Explaining failures
# ---------------------------------------------------------------------------------------------------------------------

_MAX_DEPTH = 24
_MAX_WIDTH = 1000  # parts looked at per object
_MAX_TRIALS = 5000
_MAX_SECONDS = 5.0
_MAX_REPR_CHARS = 80


def explain_unpicklable(value, name="value"):
    """Which part of a value cannot be pickled, in words.

    Args:
        value: anything. name (str): what to call it.

    Returns:
        str | None: path, type and remedy, such as ``f.__closure__['model'].lock (a _thread.lock). Try: ...``;
        None if the value can be pickled. Never raises.
    """
    try:
        if "recursion" in _text_of(_failure(value)).lower():
            return f"{name}, which is nested too deeply. Try: make it flatter, or raise sys.setrecursionlimit()."
        faults = _find_faults(value, name, _MAX_DEPTH, most=1)
        if not faults:
            return None
        fault = faults[0]
        return f"{fault.path} (a {_class_name(type(fault.obj))}). Try: {_remedy(fault.obj)}"
    except Exception:  # noqa: BLE001 - an explanation must not fail
        return f"{name} (a {_class_name(type(value))}). Try: {_remedy(value)}"


def describe_failure(value, what, error=None):
    """The error to raise for a value that `dumps` refused.

    Args:
        value: the value. what (str): its role, such as ``"the put value"`` or ``"argument 'x' of f"``.
        error (BaseException | None): what `dumps` raised; found out if missing.

    Returns:
        TypeError: "Could not serialize the put value <...>: cannot pickle '_thread.lock' object. The part at fault:
        value.lock (a _thread.lock). Try: ..."
    """
    if error is None:
        error = _failure(value)
    text = f"Could not serialize {what} {_short_repr(value)}"
    reason = "" if error is None else _text_of(error)
    text += f": {reason}." if reason else "."
    part = explain_unpicklable(value, _name_of(value))
    if part is not None:
        text += f" The part at fault: {part}"
    failure = TypeError(text)
    failure.__cause__ = error
    return failure


class FailureTuple:
    """One part that cannot be pickled.

    Attributes:
        obj: the part itself. name (str): the last step of the way to it, or the name of the whole.
        path (str): the whole way. parent: the object it is a part of; None for the whole.
    """

    __slots__ = ("name", "obj", "parent", "path")

    def __init__(self, obj, name, parent, path=None):
        self.obj = obj
        self.name = name
        self.parent = parent
        self.path = name if path is None else path

    def __eq__(self, other):
        if not isinstance(other, FailureTuple):
            return NotImplemented
        return self.obj is other.obj and self.name == other.name and self.parent is other.parent

    def __hash__(self):
        return hash((id(self.obj), self.name, id(self.parent)))

    def __repr__(self):
        return f"FailureTuple({self.path} [obj={_short_repr(self.obj)}, parent={_short_repr(self.parent)}])"


def inspect_serializability(obj, name=None, depth=3, print_file=None):
    """Find out what in a value cannot be pickled, and print it.

    Args:
        obj: anything. name (str | None): what to call it.
        depth (int): how many steps to go down into attributes, closures and containers.
        print_file (file | None): where to print; by default to stdout.

    Returns:
        tuple[bool, set[FailureTuple]]: whether it can be pickled, and the parts that cannot: the deepest that were
        found within ``depth``.

    Example:
        >>> import threading
        >>> fine, faults = inspect_serializability({"lock": threading.Lock()}, name="state")  # doctest: +ELLIPSIS
        state cannot be serialized: cannot pickle '_thread.lock' object
          state['lock'] (a _thread.lock). Try: ...
        >>> fine, [fault.path for fault in faults]
        (False, ["state['lock']"])
    """
    name = name or _name_of(obj)
    error = _failure(obj)
    if error is None:
        print(f"{name} can be serialized", file=print_file)
        return True, set()
    faults = _find_faults(obj, name, depth, most=_MAX_WIDTH)
    print(f"{name} cannot be serialized: {_text_of(error)}", file=print_file)
    for fault in faults:
        print(f"  {fault.path} (a {_class_name(type(fault.obj))}). Try: {_remedy(fault.obj)}", file=print_file)
    return False, set(faults)


def _find_faults(value, name, depth, most):
    """The deepest parts that fail by themselves; [] if nothing fails."""
    from time import monotonic

    deadline = monotonic() + _MAX_SECONDS
    trials = 0
    found = []
    known = {}  # id -> whether it fails; the objects are kept alive by `alive`
    alive = []

    def fails(part):
        nonlocal trials
        key = id(part)
        if key not in known:
            trials += 1
            alive.append(part)
            known[key] = _failure(part) is not None
        return known[key]

    def walk(part, label, path, parent, left):
        on_the_way.add(id(part))
        explained = False
        if left > 0:
            for step, child in _parts(part):
                if trials >= _MAX_TRIALS or monotonic() > deadline or len(found) >= most:
                    break
                if _is_atom(child) or id(child) in on_the_way or not fails(child):
                    continue
                explained = True
                if id(child) not in done:
                    walk(child, step, path + step, part, left - 1)
        if not explained and len(found) < most:
            found.append(FailureTuple(part, label, parent, path))
        on_the_way.discard(id(part))
        done.add(id(part))

    on_the_way, done = set(), set()
    if fails(value):
        walk(value, name, name, None, depth)
    return found


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data):
        return len(data)


def _failure(value):
    """What pickling this value raises, or None. Leaves no trace in collections of references."""
    try:
        with collecting():
            _cloud_pickler_now()(_Nowhere(), PROTOCOL, lambda buffer: None).dump(value)
    except Exception as error:  # noqa: BLE001
        return error
    return None


def _is_atom(value):
    return value is None or type(value) in (bool, int, float, complex, str, bytes)


def _parts(value):
    """The parts of a value that are pickled with it, as (step of the path, part); at most `_MAX_WIDTH`. Never raises."""
    try:
        from itertools import islice

        yield from islice(_all_parts(value), _MAX_WIDTH)
    except Exception:  # noqa: BLE001 - properties, odd containers
        return


def _all_parts(value):
    cls = type(value)
    if isinstance(value, dict):
        for key, item in list(value.items()):
            yield f"[{_short_repr(key)}]", item
            yield f".keys()[{_short_repr(key)}]", key
        if cls is dict:
            return
    elif isinstance(value, (list, tuple)):
        fields = getattr(cls, "_fields", None)
        for index, item in enumerate(value):
            named = isinstance(fields, tuple) and index < len(fields)
            yield (f".{fields[index]}" if named else f"[{index}]"), item
    elif isinstance(value, (set, frozenset)) or cls.__name__ == "deque":
        for index, item in enumerate(list(value)):
            yield f"[{_short_repr(item) if cls.__name__ != 'deque' else index}]", item
    if cls is _FunctionType:
        yield from _function_parts(value)
    elif cls is _MethodType:
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif cls.__name__ == "partial" and hasattr(value, "keywords"):
        yield ".func", value.func
        yield from ((f".args{step}", part) for step, part in _all_parts(value.args))
        yield from ((f".keywords{step}", part) for step, part in _all_parts(value.keywords))
    elif isinstance(value, type):
        for key, attribute in list(value.__dict__.items()):
            if isinstance(attribute, (staticmethod, classmethod)):
                attribute = attribute.__func__
            if isinstance(attribute, property):
                for accessor in ("fget", "fset", "fdel"):
                    yield f".{key}.{accessor}", getattr(attribute, accessor)
            elif key not in ("__dict__", "__weakref__", "__doc__", "__module__"):
                yield f".{key}", attribute
        yield from ((f".__bases__[{index}]", base) for index, base in enumerate(value.__bases__) if base is not object)
    elif not isinstance(value, (dict, list, tuple, set, frozenset)) or hasattr(value, "__dict__"):
        yield from _attributes(value)


def _function_parts(function):
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f".__closure__[{name!r}]", cell.cell_contents
        except ValueError:  # empty
            pass
    for name in _global_names(code):
        if name in function.__globals__:
            yield f".__globals__[{name!r}]", function.__globals__[name]
    for index, default in enumerate(function.__defaults__ or ()):
        yield f".__defaults__[{index}]", default
    for name, default in (function.__kwdefaults__ or {}).items():
        yield f".__kwdefaults__[{name!r}]", default
    for name, attribute in list(function.__dict__.items()):
        yield f".{name}", attribute
    for name, annotation in (getattr(function, "__annotations__", None) or {}).items():
        yield f".__annotations__[{name!r}]", annotation


def _global_names(code):
    """Names that a function looks up in its module, also in functions inside of it."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names.update(dict.fromkeys(_global_names(constant)))
    return names


def _attributes(value):
    """Attributes of an object as far as its own way of pickling takes them along."""
    cls = type(value)
    own = getattr(value, "__dict__", None)
    own = own if isinstance(own, dict) else {}
    slots = _slots(value)
    custom = (
        cls.__reduce__ is not object.__reduce__
        or cls.__reduce_ex__ is not object.__reduce_ex__
        or getattr(cls, "__getstate__", None) is not getattr(object, "__getstate__", None)
    )
    if not custom and cls not in _serializers:
        yield from ((f".{key}", part) for key, part in list(own.items()))
        yield from ((f".{key}", part) for key, part in slots.items())
        return
    if cls in _serializers:
        yield f".<{cls.__name__} serializer>()", _serializers[cls][0](value)
        return
    reduced = value.__reduce_ex__(PROTOCOL)  # raises: then this object itself is at fault
    if not isinstance(reduced, tuple):
        return
    for part in reduced:
        yield from _named_by_attribute(part, own, slots)


def _named_by_attribute(part, own, slots):
    """A part of what ``__reduce__`` returned, under the name of the attribute it came from, if it came from one."""
    owners = {id(item): f".{key}" for key, item in (*own.items(), *slots.items())}
    if part is own:
        items = ((f".{key}", item) for key, item in own.items())
    elif isinstance(part, dict):
        items = ((owners.get(id(item), f".__getstate__()[{_short_repr(key)}]"), item) for key, item in part.items())
    elif isinstance(part, (list, tuple)):
        items = ((owners.get(id(item), f".__reduce__()[{index}]"), item) for index, item in enumerate(part))
    else:
        items = ((owners.get(id(part), ".__reduce__()"), part),)
    for step, item in items:
        if isinstance(item, dict) and id(item) not in owners:
            yield from _named_by_attribute(item, own, slots)
        else:
            yield step, item


def _slots(value):
    import copyreg

    found = {}
    for name in copyreg._slotnames(type(value)) or ():
        try:
            found[name] = getattr(value, name)
        except AttributeError:
            pass
    return found


_REMEDIES = (
    (
        ("lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "_RLock"),
        "create it inside of the task or actor, or leave it out in __getstate__ and make a new one in __setstate__.",
    ),
    (
        ("Thread", "ThreadPoolExecutor", "ProcessPoolExecutor", "Pool", "Process", "Popen", "SimpleQueue", "Queue"),
        "start it inside of the task or actor; threads, processes and queues stay in the process that made them.",
    ),
    (
        ("TextIOWrapper", "BufferedReader", "BufferedWriter", "BufferedRandom", "FileIO", "_TemporaryFileWrapper"),
        "pass the file's path and open it inside of the task.",
    ),
    (
        ("socket", "SSLSocket", "SSLContext", "Connection", "Cursor", "Session", "Engine", "Client"),
        "pass what is needed to connect, and open the connection inside of the task, or once in an actor.",
    ),
    (("generator", "async_generator", "coroutine"), "pass a list of its items, or the function that makes it."),
    (("frame", "traceback"), "pass its text, see traceback.format_exc()."),
    (
        ("dict_keys", "dict_values", "dict_items", "map", "filter", "zip"),
        "turn it into a list.",
    ),
    (("Logger",), "use logging.getLogger(name) inside of the function."),
    (("ReferenceType", "weakref", "WeakKeyDictionary", "WeakValueDictionary"), "pass the object itself."),
)


def _remedy(value):
    name = type(value).__name__
    for names, remedy in _REMEDIES:
        if name in names:
            return remedy
    return (
        "create it inside of the task or actor, leave it out in __getstate__, or teach raio to write it with "
        f"ray.util.register_serializer({name}, serializer=..., deserializer=...)."
    )


def _class_name(cls):
    return cls.__qualname__ if cls.__module__ in ("builtins", "__main__") else f"{cls.__module__}.{cls.__qualname__}"


def _name_of(value):
    try:
        name = value.__name__
    except Exception:  # noqa: BLE001 - most values have none
        return "value"
    return name if isinstance(name, str) and name.isidentifier() else "value"


def _text_of(error):
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001
        text = ""
    return (text or type(error).__name__).rstrip(".")


def _short_repr(value):
    """``repr(value)`` in at most 80 characters, of any object."""
    import reprlib

    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = _MAX_REPR_CHARS
    try:
        text = " ".join(shortener.repr(value).split("\n"))
    except Exception:  # noqa: BLE001
        text = object.__repr__(value)
    return text if len(text) <= _MAX_REPR_CHARS else text[: _MAX_REPR_CHARS - 3] + "..."
