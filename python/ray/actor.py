"""Actors: what `@ray.remote` makes of a class, the handles of its instances, and their methods.

An actor is one instance in a process of its own. A handle is light and may travel anywhere; calls go straight from the
caller's process to the actor's. `ray.actor_worker` is the other end.
"""

import threading
from functools import cached_property
from typing import NamedTuple

from ray import _core, options, placement, serialization
from ray.remote_function import check_of
from ray.signatures import make_signature


class ActorClassInheritanceException(TypeError):
    """A remote class was used as a base class."""


#: Methods every actor has.
SPECIAL_METHODS = ("__ray_ready__", "__ray_call__", "__ray_terminate__")


class ActorClass:
    """A class whose instances live in processes of their own. Made by `@ray.remote`; `.remote(...)` makes an actor.

    >>> @ray.remote
    ... class Counter:
    ...     def __init__(self):
    ...         self.n = 0
    ...     def add(self, by=1):
    ...         self.n += by
    ...         return self.n
    >>> counter = Counter.remote()
    >>> ray.get([counter.add.remote(), counter.add.remote(10)])
    [1, 11]
    """

    def __init__(self, cls, chosen, typed=False):
        self.__ray_actor_class__ = cls
        self.__ray_metadata__ = _Metadata(cls, chosen, typed)
        self.__wrapped__ = cls
        self.__doc__ = cls.__doc__
        self.__name__ = cls.__name__
        self.__qualname__ = cls.__qualname__
        self.__module__ = cls.__module__

    def remote(self, *args, **kwargs):
        """Makes an actor and returns a handle at once.

        Raises:
            TypeError: the arguments do not fit the constructor.
            ray.exceptions.ActorAlreadyExistsError: the name is taken.
        """
        return self.__ray_metadata__.create(args, kwargs, {})

    def options(self, **changes):
        """The same class with other options: an object with `.remote`.

        Raises:
            ValueError, TypeError: an option is unknown or out of range.
        """
        return _WithOptions(self, options.check_actor_options(changes, for_options_call=True))

    def _remote(self, args=(), kwargs=None, **changes):
        return self.options(**changes).remote(*args, **(kwargs or {}))

    def __call__(self, *args, **kwargs):
        name = self.__ray_metadata__.class_name
        raise TypeError(f"Actors cannot be instantiated directly. Instead of '{name}()', use '{name}.remote()'.")

    def __getattr__(self, name):
        # Class attributes, static and class methods.
        try:
            cls = self.__dict__["__ray_actor_class__"]
        except KeyError:  # while it is being unpickled
            raise AttributeError(name) from None
        return getattr(cls, name)

    def __dir__(self):
        return sorted({*object.__dir__(self), *dir(self.__ray_actor_class__)})

    def __mro_entries__(self, bases):
        raise ActorClassInheritanceException(
            f"Inheriting from actor classes is not currently supported, and {self.__ray_metadata__.class_name} is one. "
            "Inherit from the class as it was before @ray.remote, and decorate the subclass."
        )

    def __reduce__(self):
        metadata = self.__ray_metadata__
        return _rebuild_class, (metadata.modified_class, metadata.chosen, metadata.typed)

    def __repr__(self):
        return f"ActorClass({self.__ray_metadata__.class_name})"


class _WithOptions:
    """What `.options()` returns: `.remote` with these options."""

    def __init__(self, actor_class, changes):
        self._actor_class = actor_class
        self._changes = changes

    def remote(self, *args, **kwargs):
        return self._actor_class.__ray_metadata__.create(args, kwargs, self._changes)


def _rebuild_class(cls, chosen, typed):
    return ActorClass(cls, chosen, typed)


class _Metadata:
    """What is known of a remote class."""

    is_cross_language = False

    def __init__(self, cls, chosen, typed):
        self.modified_class = cls
        self.class_name = cls.__name__
        self.chosen = chosen
        self.typed = typed
        self._blob = None

    # Made when first needed: while a class that refers to itself is being unpickled, it has no methods yet.
    @cached_property
    def description(self):
        return describe(self.modified_class, self.typed)

    @cached_property
    def constructor(self):
        return _constructor_signature(self.modified_class, self.typed)

    @property
    def method_meta(self):
        return self.description

    @property
    def actor_creation_function_descriptor(self):
        return Descriptor(self.modified_class.__module__, self.class_name, "__init__")

    def __getattr__(self, name):
        chosen = self.__dict__.get("chosen", {})
        if name in options.ACTOR_OPTIONS:
            return chosen.get(name)
        raise AttributeError(name)

    def create(self, args, kwargs, changes):
        """Makes an actor."""
        args, kwargs = self.constructor.bind(args, kwargs)
        if self.typed:
            from ray.remote_function import _declared_type

            self.constructor.check_arguments(args, kwargs, _declared_type)
        chosen = {**self.chosen, **changes}
        options.check_actor_combination(chosen, self.description.is_async)
        from ray.runtime_context import current_namespace, default_actor_lifetime

        if not _core.is_connected():
            from ray.api import _auto_init

            _auto_init()
        chosen.setdefault("lifetime", default_actor_lifetime())
        name, namespace = chosen.get("name") or "", chosen.get("namespace") or current_namespace()
        if name and chosen.get("get_if_exists"):
            while True:
                handle = find(name, namespace)
                if handle is not None:
                    return handle
                try:
                    return self._create(args, kwargs, chosen, name, namespace)
                except ValueError as error:
                    from ray.exceptions import ActorAlreadyExistsError

                    if not isinstance(error, ActorAlreadyExistsError):
                        raise
        return self._create(args, kwargs, chosen, name, namespace)

    def _create(self, args, kwargs, chosen, name, namespace):
        description = self.description.with_options(chosen)
        needed, running, group = placement.place_actor(chosen, *options.actor_resources(chosen), self.class_name)
        details = {
            "name": name,
            "namespace": namespace,
            "max_concurrency": options.max_concurrency_of(chosen, description.is_async),
            "groups": dict(chosen.get("concurrency_groups") or {}),
            "resources": dict(options.actor_resources(chosen)[1]),
            "placement_group": group,
            "handle": description.pickled(),
        }
        claim = _core.create_actor(
            (self._class_argument(), serialization.dumps(details), *args),
            kwargs,
            class_name=self.class_name,
            name=name,
            namespace=namespace,
            detached=chosen.get("lifetime") == "detached",
            max_restarts=chosen.get("max_restarts", 0),
            calls_at_once=details["max_concurrency"] + sum(details["groups"].values()),
            placement=needed,
            running=running,
            environment=[*_core.inherited_environment(), *options.environment_of(chosen)],
            handle=details["handle"],
        )
        return ActorHandle(claim, description)

    def _class_argument(self):
        """The pickled class: as bytes, or stored once per cluster when it is large."""
        if self._blob is None:
            import cloudpickle

            try:
                with serialization.collecting() as references:
                    blob = cloudpickle.dumps(self.modified_class)
            except Exception as error:
                raise serialization.describe_failure(self.modified_class, f"actor class {self.class_name}", error) from error
            serialization.warn_if_large(len(blob), self.class_name)
            # An actor may be made, or made again, at any time: what the class has captured stays.
            for reference in references:
                serialization.note_out_of_band(reference)
            self._blob = blob
        if len(self._blob) <= _LARGE_CLASS_BYTES:
            return self._blob
        return serialization.stored_once(self, self._blob)


# Above this a class is stored once instead of travelling with each creation.
_LARGE_CLASS_BYTES = 4096


# ---------------------------------------------------------------------------------------------------------------------
# What a class offers
# ---------------------------------------------------------------------------------------------------------------------


class Descriptor(NamedTuple):
    """Where a method, or a constructor, is from."""

    module_name: str
    class_name: str
    function_name: str


class MethodDescription:
    """One method, as its callers see it."""

    __slots__ = ("_natives", "chosen", "name", "signature")

    def __init__(self, name, signature, chosen):
        self.name = name
        self.signature = signature
        #: What `@ray.method` said, and what the kind of function implies.
        self.chosen = chosen
        self._natives = {}

    @property
    def returns(self):
        """How many references a call returns when nothing else is said."""
        chosen = self.chosen.get("num_returns")
        chosen = self.signature.num_returns if chosen is None else chosen
        return 1 if chosen is None else chosen

    def __getstate__(self):
        return self.name, self.signature, self.chosen

    def __setstate__(self, state):
        self.name, self.signature, self.chosen = state
        self._natives = {}


class Description:
    """The methods of a class, as its callers see them. Handles carry it, so it must not need the class."""

    def __init__(self, class_name, module, methods, is_async, chosen=None):
        self.class_name = class_name
        self.module = module
        self.methods = methods
        self.is_async = is_async
        #: Options of the actor that concern its callers.
        self.chosen = chosen or {}
        self._pickled = None

    def __getstate__(self):
        return self.class_name, self.module, self.methods, self.is_async, self.chosen

    def __setstate__(self, state):
        self.class_name, self.module, self.methods, self.is_async, self.chosen = state
        self._pickled = None

    @property
    def signatures(self):
        return {name: list(method.signature.params) for name, method in self.methods.items()}

    def with_options(self, chosen):
        """The same for an actor with these options."""
        ours = {name: chosen[name] for name in ("max_task_retries", "max_pending_calls") if name in chosen}
        concurrent = self.is_async or chosen.get("max_concurrency", 1) > 1 or bool(chosen.get("concurrency_groups"))
        if chosen.get("allow_out_of_order_execution", concurrent):
            ours["unordered"] = True
        if not ours:
            return self
        key = tuple(sorted(ours.items()))
        with _lock:
            known = _with_options.setdefault(self, {})
            if key not in known:
                known[key] = Description(self.class_name, self.module, self.methods, self.is_async, ours)
            return known[key]

    def pickled(self):
        if self._pickled is None:
            data = serialization.dumps(self)
            self._pickled = data
            with _lock:
                _descriptions.setdefault(data, self)
        return self._pickled

    def native(self, method, changes=None):
        """The method as the native side wants it."""
        changes = changes or {}
        said = ((name, tuple(value) if isinstance(value, list) else value) for name, value in changes.items())
        key = (*sorted(said, key=lambda pair: pair[0]), *sorted(self.chosen.items()))
        native = method._natives.get(key)
        if native is None:
            chosen = {**method.chosen, **changes}
            native = method._natives[key] = self._make_native(method, chosen, changes)
        return native

    def _make_native(self, method, chosen, changes):
        signature = method.signature
        returns = chosen.get("num_returns")
        if returns is None:
            returns = signature.num_returns
        if isinstance(returns, str):
            raise NotImplementedError(f"num_returns={returns!r} is not possible for methods of actors yet.")
        returns = 1 if returns is None else returns
        declared = list(signature.returns) if signature.typed and signature.returns is not None else []
        return _core.Method(
            check=check_of(signature),
            id=method_id(self.module, self.class_name, method.name),
            name=f"{self.class_name}.{method.name}",
            returns=returns,
            declared=declared[:returns],
            max_retries=chosen.get("max_task_retries", self.chosen.get("max_task_retries", 0)),
            unordered=self.chosen.get("unordered", False),
            max_pending=self.chosen.get("max_pending_calls", -1),
            call_options=options.method_call_options(chosen, changes.get("concurrency_group")),
        )


_lock = threading.Lock()
_descriptions = {}  # pickled -> Description
_with_options = {}  # Description -> {options: Description}


def describe(cls, typed=False):
    """The `Description` of a class."""
    import inspect

    methods, is_async = {}, False
    for name in dir(cls):
        raw = inspect.getattr_static(cls, name)
        function = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
        if not inspect.isfunction(function) or name in ("__init_subclass__", "__class_getitem__"):
            continue
        is_async |= inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        chosen = getattr(function, "__ray_method_options__", {})
        signature = make_signature(
            function, typed=typed, num_returns=chosen.get("num_returns"), method=not isinstance(raw, staticmethod)
        )
        methods[name] = MethodDescription(name, signature, chosen)
    for name in SPECIAL_METHODS:
        if name not in methods:
            methods[name] = MethodDescription(name, make_signature(_SPECIAL_SIGNATURES[name]), {})
    return Description(cls.__name__, cls.__module__, methods, is_async)


_SPECIAL_SIGNATURES = {
    "__ray_ready__": lambda: None,
    "__ray_call__": lambda function, /, *args, **kwargs: None,
    "__ray_terminate__": lambda: None,
}


def method_id(module, class_name, name):
    """A number that names a method wherever its class is loaded."""
    from hashlib import blake2b

    digest = blake2b(f"{module}.{class_name}.{name}".encode(), digest_size=8, person=b"method").digest()
    return int.from_bytes(digest, "little")


def _constructor_signature(cls, typed):
    import inspect

    function = cls.__init__
    if function is object.__init__:
        function = cls.__new__ if inspect.isfunction(cls.__new__) else _no_arguments
    signature = make_signature(function, typed=typed, method=True)
    signature.name = f"{cls.__module__}.{cls.__qualname__}.__init__"
    return signature


def _no_arguments(self):
    pass


# ---------------------------------------------------------------------------------------------------------------------
# Handles
# ---------------------------------------------------------------------------------------------------------------------


class ActorHandle:
    """A handle of an actor. Its methods are called with `handle.method.remote(...)`.

    Handles compare and hash by the actor they stand for, and keep it alive wherever they travel. When the last one is
    gone the actor finishes the calls it was sent, then ends.
    """

    def __init__(self, claim, description):
        self.__dict__["_claim"] = claim
        self.__dict__["_description"] = description

    def __getattr__(self, name):
        description = self.__dict__.get("_description")
        method = None if description is None else description.methods.get(name)
        if method is None:
            kind = "its class" if description is None else description.class_name
            raise AttributeError(
                f"'ActorHandle' object has no attribute '{name}': {kind} has no such method, and a handle offers nothing else."
            )
        # Found without coming here next time. It holds the actor, not the handle, so that no cycle keeps the handle.
        method = self.__dict__[name] = ActorMethod(self._claim, description, method)
        return method

    @property
    def _actor_id(self):
        from ray.ids import ActorID

        return ActorID(self._claim.id)

    _ray_actor_id = _actor_id
    _ray_is_cross_language = False

    @property
    def _ray_weak_ref(self):
        return self._claim.weak

    @property
    def _ray_actor_creation_function_descriptor(self):
        return Descriptor(self._description.module, self._description.class_name, "__init__")

    @property
    def _ray_method_signatures(self):
        return self._description.signatures

    @property
    def _ray_method_num_returns(self):
        return {name: method.returns for name, method in self._description.methods.items()}

    @property
    def _ray_max_task_retries(self):
        return self._description.chosen.get("max_task_retries", 0)

    def __hash__(self):
        return hash(self._claim.id)

    def __eq__(self, other):
        return isinstance(other, ActorHandle) and self._claim.id == other._claim.id

    def __repr__(self):
        return f"Actor({self._description.class_name}, {self._claim.id.hex()})"

    def __dir__(self):
        return sorted({"__init__", *self._description.methods})

    def __reduce__(self):
        serialization.note_reference(self._claim)
        return _rebuild_handle, (self._claim.key, self._description.pickled(), self._claim.weak)

    def _remote(self, method_name, args=(), kwargs=None, **changes):
        return getattr(self, method_name)._remote(args, kwargs, **changes)


def _rebuild_handle(key, pickled, weak):
    description = _descriptions.get(pickled)
    if description is None:
        description = serialization.loads(pickled)
        description._pickled = pickled
        with _lock:
            description = _descriptions.setdefault(pickled, description)
    return ActorHandle(_core.rebuild_actor(key, description.class_name, weak), description)


class ActorMethod:
    """A method of an actor: `.remote(...)` calls it and returns references at once."""

    __slots__ = ("__weakref__", "_claim", "_description", "_method", "remote")

    def __init__(self, claim, description, method, changes=None):
        self._claim = claim
        self._description = description
        self._method = method
        #: The call: checks the arguments, sends them to the actor, returns references at once.
        self.remote = claim.caller(description.native(method, changes))

    def __call__(self, *args, **kwargs):
        name = self._method.name
        raise TypeError(
            f"Actor methods cannot be called directly. Instead of running 'object.{name}()', try 'object.{name}.remote()'."
        )

    def options(self, **changes):
        """The same method with other options: an object with `.remote`."""
        options.check_method_options(changes, TypeError)
        return ActorMethod(self._claim, self._description, self._method, changes)

    def _remote(self, args=(), kwargs=None, **changes):
        return self.options(**changes).remote(*args, **(kwargs or {}))

    def __dir__(self):
        return sorted({"remote", "options", *object.__dir__(self)})

    def __repr__(self):
        return f"<method {self._method.name} of actor {self._description.class_name}>"


def method(*args, **chosen):
    """Defaults for the calls of one method of an actor class, as a decorator.

    Args:
        num_returns (int): how many references a call returns.
        concurrency_group (str): the group of threads, or the share of the event loop, that runs it.
        max_task_retries (int): how often a call is tried again when the actor's process ends and the actor comes back.
        retry_exceptions (bool | list[type]): try again after these exceptions too, True: after any.
        timeout (float): seconds a call may run.

    >>> @ray.remote
    ... class Pair:
    ...     @ray.method(num_returns=2)
    ...     def both(self):
    ...         return 1, 2
    >>> ray.get(Pair.remote().both.remote())
    [1, 2]
    """
    if len(args) == 1 and not chosen and callable(args[0]):
        return args[0]
    if args or not chosen:
        raise AssertionError("The @ray.method decorator takes keywords, like '@ray.method(num_returns=2)'.")
    options.check_method_options(chosen, AssertionError)

    def decorate(function):
        function.__ray_method_options__ = chosen
        return function

    return decorate


# ---------------------------------------------------------------------------------------------------------------------
# Finding and ending actors
# ---------------------------------------------------------------------------------------------------------------------


def find(name, namespace):
    """A weak handle of the actor of this name, or None."""
    found = _core.find_actor(namespace, name)
    if found is None:
        return None
    key, pickled = found
    return _rebuild_handle(key, pickled, True)


def exit_actor():
    """Ends the actor that runs this code, on purpose: it is not restarted.

    Raises:
        TypeError: this is no actor.
    """
    from ray import actor_worker

    actor_worker.exit_actor()
