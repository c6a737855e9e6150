"""Remote functions: what `@ray.remote` makes of a function."""

from ray import _core, options, placement
from ray.signatures import NOT_A_REFERENCE, make_signature


def make_remote(args, keywords):
    """`ray.remote` itself: tells its four uses apart."""
    if len(args) == 1 and not keywords and callable(args[0]):
        return _decorate(args[0], {}, None, None, False)
    if len(args) == 2 and isinstance(args[0], list) and isinstance(args[1], list):
        options.check_task_options(keywords)
        return lambda function: _decorate(function, keywords, args[0], args[1], True)
    if args or not keywords:
        raise AssertionError(
            "The @ray.remote decorator must be applied either with no arguments and no parentheses, for example '@ray.remote', "
            "with options as keywords, like '@ray.remote(num_returns=2)', or with two lists of types, like "
            "'@ray.remote([int], [str])'."
        )
    typed = bool(keywords.pop("typed", False))
    options.check_known(keywords)
    return lambda function: _decorate(function, keywords, None, None, typed)


def _decorate(function, given, arg_types, return_types, typed):
    import inspect

    if inspect.iscoroutinefunction(function):
        raise ValueError(
            "'async def' should not be used for remote tasks. Wrap the async function in asyncio.run, or make it a method of an "
            "actor."
        )
    if inspect.isclass(function):
        if arg_types is not None:
            raise TypeError(
                "Lists of types are for functions. The methods of a class declare types by annotations: @ray.remote(typed=True)."
            )
        from ray.actor import ActorClass

        return ActorClass(function, options.check_actor_options(given), typed)
    checked = options.check_task_options(given)
    if not inspect.isfunction(function):
        raise TypeError(f"The @ray.remote decorator must be applied to either a function or a class, got {function!r}.")
    return RemoteFunction(function, checked, arg_types, return_types, typed)


class RemoteFunction:
    """A function whose calls run in worker processes. Made by `@ray.remote`; called with `.remote(...)`.

    >>> @ray.remote
    ... def add(a, b):
    ...     return a + b
    >>> ray.get(add.remote(1, 2))
    3
    """

    def __init__(self, function, chosen, arg_types=None, return_types=None, typed=False):
        signature = make_signature(function, arg_types, return_types, typed=typed, num_returns=chosen.get("num_returns"))
        self._function = function
        self._function_name = signature.name
        self._default_options = chosen
        self._signature = signature
        self._declaration = (arg_types, return_types, typed)
        self._check = check_of(signature)
        self._blob = None
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        #: The call: checks the arguments, submits a task, returns references at once.
        self.remote = self._caller(chosen)

    def __getattr__(self, name):
        """Options as libraries read them: `f._num_returns`, `f._max_retries`."""
        chosen = self.__dict__.get("_default_options")
        if chosen is not None and options.is_task_option(name.removeprefix("_")) and name.startswith("_"):
            defaults = {"num_returns": 1, "max_retries": options.max_retries_of(chosen), "max_calls": 0, "retry_exceptions": False}
            return chosen.get(name[1:], defaults.get(name[1:]))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __call__(self, *args, **kwargs):
        if self._declaration[0] is not None:
            return self.remote(*args, **kwargs)  # the first dialect of 2016 called its typed functions directly
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self._function_name}()', "
            f"try '{self._function_name}.remote()'."
        )

    def options(self, **changes):
        """The same function with other options: an object with `.remote`.

        Raises:
            ValueError, TypeError: an option is unknown or out of range.
        """
        checked = options.check_task_options(changes, for_options_call=True)
        return _WithOptions(self._caller({**self._default_options, **checked}), self)

    def _remote(self, args=(), kwargs=None, **changes):
        return self.options(**changes).remote(*args, **(kwargs or {}))

    def _caller(self, chosen):
        signature = self._signature
        returns = chosen.get("num_returns")
        if returns is None:
            returns = signature.num_returns
        if isinstance(returns, str):
            self._refuse_stream(returns)
        returns = 1 if returns is None else returns
        declared = list(signature.returns) if signature.typed and signature.returns is not None else [None] * returns
        resources, group = placement.place(chosen, options.resources_of(chosen), signature.name)
        return _core.Caller(
            check=self._check,
            declared=declared[:returns],
            returns=returns,
            resources=resources,
            max_retries=options.max_retries_of(chosen),
            export=self._export,
            call_options=options.call_options_of(chosen, captures=group is not None and group[1]),
            capturable=not placement.says_where(chosen),
        )

    def _refuse_stream(self, returns):
        import inspect

        if inspect.isgeneratorfunction(self._function):
            raise NotImplementedError(
                f"{self._function_name}: num_returns={returns!r} is not available yet. Give the number of values it yields, "
                "or return a list."
            )
        raise ValueError(f"num_returns={returns!r} is for generator functions, and {self._function_name} is none.")

    def _export(self):
        """The function as other processes get it, made at the first call: (id, name, pickle)."""
        if self._blob is None:
            import cloudpickle

            from ray import serialization

            try:
                with serialization.collecting() as references:
                    blob = cloudpickle.dumps((self._function, self._signature))
            except Exception as error:  # user code runs in __reduce__ and may raise anything
                raise serialization.describe_failure(self._function, f"function {self._function_name}", error) from error
            serialization.warn_if_large(len(blob), self._function_name)
            # A worker may load the function at any time: what its closure has captured stays.
            for reference in references:
                serialization.note_out_of_band(reference)
            self._blob = blob
        from hashlib import blake2b

        digest = blake2b(self._blob, digest_size=8).digest()
        return int.from_bytes(digest, "little"), self._signature.short_name, self._blob

    def __reduce__(self):
        return _rebuild, (self._function, self._default_options, *self._declaration)

    def __repr__(self):
        return f"<remote function {self._function_name}>"


class _WithOptions:
    """What `.options()` returns: `.remote` with these options."""

    def __init__(self, caller, function):
        self.remote = caller
        self._remote_function = function


def _rebuild(function, chosen, arg_types, return_types, typed):
    return RemoteFunction(function, chosen, arg_types, return_types, typed)


def check_of(signature):
    """The native check of a call's arguments, for a function or a method."""

    def bind(args, kwargs):
        args, kwargs = signature.bind(args, kwargs)
        signature.check_arguments(args, kwargs, _declared_type)
        return args, kwargs

    return _core.Check(
        plain=None if signature.plain is None else [_class_or_none(entry) for entry in signature.plain],
        rest=_class_or_none(signature.var_plain) if signature.has_varargs else None,
        has_rest=signature.has_varargs,
        required=signature.required,
        positional_only_ok=not signature.required_keywords,
        typed=signature.typed,
        bind=bind,
    )


def _class_or_none(entry):
    return None if entry is None or entry is object else entry


def _declared_type(value):
    """What a reference declares its value to be: None when unknown, NOT_A_REFERENCE when it is none."""
    return value.declared_type if isinstance(value, _core.ObjectRef) else NOT_A_REFERENCE
