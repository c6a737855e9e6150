"""Signatures of remote functions: what a call may look like, checked before anything is submitted.

`make_signature` looks at a function once, when it is decorated. The `Signature` it returns answers two questions on
every call: do the arguments fit the parameters (`Signature.bind`), and have they the declared types
(`Signature.check_arguments`). The worker asks a third one after the call (`Signature.check_results`).

Where types come from: two lists (``@ray.remote([int, int], [int])``) or, on request, the annotations.

How a type is checked:

* A class is checked by ``issubclass(type(value), cls)``: subclasses pass, ``True`` passes as int, ``1`` does not pass
  as float. Signatures that hold only classes publish them as `Signature.plain`, so that the native call path compares
  pointers and comes here only to word the error.
* ``int | None`` and other unions of classes are the same check against several classes.
* Everything else (``list[int]``, ``Literal``, ``Callable``, type variables, ...) is decided by beartype, imported when
  the first such form is seen. beartype looks at one random element of a container; since a call must not be wrong by
  chance, the elements of built-in containers are all looked at here.

This module knows nothing about references except through one function that callers pass in, see `NOT_A_REFERENCE`.
"""

import sys

POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = range(5)  # as in `inspect`

_FunctionType = type(lambda: None)
_GenericAlias = type(list[int])
_UnionType = type(int | str)
_CO_VARARGS, _CO_VARKEYWORDS = 0x04, 0x08
_CO_GENERATOR, _CO_ASYNC_GENERATOR = 0x20, 0x200
_MAX_REPR_CHARS = 80


class _NotAReference:
    def __repr__(self):
        return "NOT_A_REFERENCE"

    def __reduce__(self):
        return "NOT_A_REFERENCE"


NOT_A_REFERENCE = _NotAReference()
"""What a ``declared_type_of_ref`` function returns for something that is a value, not a reference."""


class Parameter:
    """One parameter of a remote function.

    Attributes:
        name (str): as in the ``def``.
        kind (int): one of the five constants above, equal to those of `inspect.Parameter`.
        required (bool): no default, and neither ``*args`` nor ``**kwargs``.
        form: the declared type as the user wrote it; None if any value will do.
    """

    __slots__ = ("form", "kind", "name", "required")

    def __init__(self, name, kind, required, form=None):
        self.name = name
        self.kind = kind
        self.required = required
        self.form = form

    def __repr__(self):
        stars = {VAR_POSITIONAL: "*", VAR_KEYWORD: "**"}.get(self.kind, "")
        text = stars + self.name
        return text if self.form is None else f"{text}: {describe_type(self.form)}"

    def __reduce__(self):
        return Parameter, (self.name, self.kind, self.required, self.form)


def make_signature(function, arg_types=None, return_types=None, *, typed=False, num_returns=None, method=False):
    """The `Signature` of a function, made once when it is decorated.

    Args:
        function (Callable): the Python function; callables without a readable signature take anything.
        arg_types (list | None), return_types (list | None): types as two lists, one entry per parameter and one per
            return value. With ``*args``, its entry holds for each of the extra arguments.
        typed (bool): without lists: take the annotations as types. Parameters without annotation are not checked.
        num_returns (int | str | None): the option of that name, if the user gave it.
        method (bool): the first parameter is ``self`` and not part of the call.

    Returns:
        Signature

    Raises:
        TypeError: the lists do not match the parameters, or an entry is no type.
        ValueError: ``num_returns`` contradicts the return types.
        ImportError: a type needs beartype, which is not installed (``pip install raio[typing]``).

    Example:
        >>> def add(a, b=0):
        ...     return a + b
        >>> signature = make_signature(add, [int, int], [int])
        >>> signature.bind((1,), {"b": 2})
        ((1,), {'b': 2})
        >>> signature.check_arguments((1, "x"))
        Traceback (most recent call last):
        TypeError: Argument 1 ('b') for function __main__.add has type str but an argument of type int was expected...
    """
    short_name, name = _names(function)
    params = _parameters(function, method)
    if arg_types is None and return_types is None:
        signature = Signature(name, short_name, params, None, num_returns, False)
        if typed:
            signature._take_annotations(function, method)
        return signature
    if not isinstance(arg_types, (list, tuple)) or not isinstance(return_types, (list, tuple)):
        raise TypeError(
            f"{name}: give two lists, the types of the arguments and the types of the results: "
            f"@ray.remote([int, int], [int]); got {_short_repr(arg_types)} and {_short_repr(return_types)}"
        )
    _check_list(name, params, arg_types)
    if num_returns is not None and num_returns != len(return_types):
        raise ValueError(f"{name}: num_returns={num_returns}, but {len(return_types)} return type(s) are declared")
    arg_types, return_types = ([type(None) if t is None else t for t in types] for types in (arg_types, return_types))
    for param, form in zip(params, arg_types, strict=True):
        param.form = form
    signature = Signature(name, short_name, params, tuple(return_types), len(return_types), True)
    if any(map(_names_a_type, (*arg_types, *return_types))):
        signature._pending = lambda: signature._take_strings(function)
    signature._settle(first=True)
    return signature


class Signature:
    """What calls of one remote function look like.

    Attributes:
        name (str): ``module.qualname``, for messages.
        short_name (str): ``__name__``, for the computation graph.
        params (tuple[Parameter, ...]): in order.
        required (int): the first so many positional parameters have no default.
        max_positional (int): number of named positional parameters.
        has_varargs, has_varkw (bool): ``*args`` and ``**kwargs`` exist.
        required_keywords (tuple[str, ...]): keyword-only parameters without default.
        typed (bool): something is to be checked beyond the number of arguments.
        plain (tuple | None): per positional parameter a class, or None for "any value"; None as a whole as soon as one
            of them is not decided by ``issubclass``, or is not known yet (a forward reference).
        var_plain (type | None): the class for each extra argument of ``*args``, None for "any value".
        returns (tuple | None): declared types of the results; None if nothing is declared.
        return_plain (tuple | None): like ``plain``, for the results.
        num_returns (int | str | None): number of results, if the types or the user said so.
        item_form: declared type of each item of a generator function, or None.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_item_test",
        "_limit",
        "_pending",
        "_positional_tests",
        "_return_tests",
        "_tests",
        "_var_test",
        "_varkw_test",
        "has_varargs",
        "has_varkw",
        "item_form",
        "max_positional",
        "name",
        "num_returns",
        "params",
        "plain",
        "required",
        "required_keywords",
        "return_plain",
        "returns",
        "short_name",
        "typed",
        "var_plain",
    )

    def __init__(self, name, short_name, params, returns, num_returns, typed, item_form=None):
        self.name = name
        self.short_name = short_name
        self.params = tuple(params)
        self.returns = returns
        self.num_returns = num_returns
        self.typed = typed
        self.item_form = item_form
        positional = [param for param in params if param.kind <= POSITIONAL_OR_KEYWORD]
        self.required = sum(param.required for param in positional)
        self.max_positional = len(positional)
        self.has_varargs = any(param.kind == VAR_POSITIONAL for param in params)
        self.has_varkw = any(param.kind == VAR_KEYWORD for param in params)
        self.required_keywords = tuple(p.name for p in params if p.kind == KEYWORD_ONLY and p.required)
        self.plain = (None,) * len(positional)
        self.var_plain = None
        self.return_plain = None
        self._limit = sys.maxsize if self.has_varargs else len(positional)
        self._accepted = frozenset(p.name for p in params if p.kind in (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY))
        self._pending = None  # resolves forward references; None once that is done
        self._tests = {}  # name of a parameter -> test of its form, or None
        self._positional_tests = ()
        self._var_test = self._varkw_test = self._item_test = None
        self._return_tests = ()

    def __repr__(self):
        text = f"<signature {self.name}({', '.join(map(repr, self.params))})"
        if self.returns is not None:
            text += f" -> [{', '.join(map(describe_type, self.returns))}]"
        return text + ">"

    def __reduce__(self):
        self._settle()
        arguments = (self.name, self.short_name, self.params, self.returns, self.num_returns, self.typed)
        return _rebuild, (*arguments, self.item_form)

    # -- the call ------------------------------------------------------------------------------------------------------

    def bind(self, args, kwargs=None):
        """Check that a call fits the parameters. Defaults are left to the call itself.

        Args:
            args (Sequence): positional arguments. kwargs (dict | None): keyword arguments.

        Returns:
            tuple: ``(args, kwargs)`` as they were given.

        Raises:
            TypeError: "missing a required argument: 'x'", "too many positional arguments", "multiple values for
                argument 'x'", "got an unexpected keyword argument 'y'", each after the function's name.
        """
        if not kwargs and self.required <= len(args) <= self._limit and not self.required_keywords:
            return args, {}
        problem = self._misfit(len(args), kwargs or {})
        if problem is not None:
            raise TypeError(f"{self.name}(): {problem}")
        return args, kwargs or {}

    def check_arguments(self, args, kwargs=None, declared_type_of_ref=None):
        """Check the types of arguments that `bind` has accepted.

        Args:
            args (Sequence), kwargs (dict | None): as given to `bind`.
            declared_type_of_ref (Callable | None): tells references from values. Called with an argument that does
                not pass as a value, it returns `NOT_A_REFERENCE`, or the type that the reference's producer declared,
                or None if that is not known; then the argument is checked when the task starts.

        Raises:
            TypeError: names function, parameter, expected type, given type and value.
        """
        if not self.typed:
            return
        if self._pending is not None:
            self._settle()
        plain = self.plain
        if plain is not None:
            for arg, cls in zip(args, plain, strict=False):  # defaults: there may be fewer arguments
                if type(arg) is not cls and cls is not None and not issubclass(type(arg), cls):
                    self._explain(args, kwargs, declared_type_of_ref)
                    return
        else:
            for arg, test in zip(args, self._positional_tests, strict=False):
                if test is not None and not test(arg):
                    self._explain(args, kwargs, declared_type_of_ref)
                    return
        rest = args[self.max_positional :] if self._var_test is not None else ()
        if rest and not all(map(self._var_test, rest)):
            self._explain(args, kwargs, declared_type_of_ref)
            return
        if kwargs:
            for name, value in kwargs.items():
                test = self._tests.get(name, self._varkw_test)
                if test is not None and not test(value):
                    self._explain(args, kwargs, declared_type_of_ref)
                    return

    def check_argument(self, index_or_name, value):
        """Check one argument.

        Args:
            index_or_name (int | str): position in the call, or name of the parameter.
            value: the argument.

        Raises:
            TypeError: as `check_arguments`; LookupError: there is no such parameter.
        """
        self._settle()
        if isinstance(index_or_name, int):
            if not 0 <= index_or_name < self._limit:
                raise LookupError(f"{self.name} has no parameter at position {index_or_name}")
            self._check_one(index_or_name, None, value, None)
            return
        names = [param.name for param in self.params]
        if index_or_name in names and self.params[names.index(index_or_name)].kind <= POSITIONAL_OR_KEYWORD:
            self._check_one(names.index(index_or_name), None, value, None)
        elif index_or_name in self._accepted or self.has_varkw:
            self._check_one(None, index_or_name, value, None)
        else:
            raise LookupError(f"{self.name} has no parameter {index_or_name!r}")

    # -- the results ---------------------------------------------------------------------------------------------------

    def split_results(self, value, num_returns=None):
        """What the function returned, as one value per reference.

        Args:
            value: the return value. num_returns (int | None): overrides the signature's own number.

        Returns:
            tuple: ``num_returns`` values; empty for 0.

        Raises:
            ValueError: the number does not match.
        """
        count = self.num_returns if num_returns is None else num_returns
        if count is None or count == 1 or isinstance(count, str):
            return (value,)
        if count == 0:
            if value is not None and self.typed:
                raise ValueError(
                    f"{self.name}: the function is declared with 0 return values, but it returned "
                    f"{_short_repr(value)}. Remove the return, or declare a type for it."
                )
            return ()
        if hasattr(value, "__next__"):
            values = []
            for item in value:
                if len(values) == count:
                    raise ValueError(f"{self.name}: Task returned more than num_returns={count} objects.")
                values.append(item)
        else:
            try:
                values = tuple(value) if hasattr(value, "__len__") else (value,)
            except TypeError:
                values = (value,)
        self._check_count(len(values), count, value)
        return tuple(values)

    def check_results(self, values, declared_type_of_ref=None):
        """Check number and types of the results, on the worker.

        Args:
            values (Sequence): one value per reference, see `split_results`.
            declared_type_of_ref (Callable | None): as for `check_arguments`; a typed function may return a reference.

        Raises:
            ValueError: "Task returned 3 objects, but num_returns=2."
            TypeError: names function, which result, expected type, given type and value.
        """
        count = self.num_returns
        if count.__class__ is int and len(values) != count:
            self._check_count(len(values), count, values)
        if not self.typed or self.returns is None:
            return
        self._settle()
        for index, (value, form, test) in enumerate(zip(values, self.returns, self._return_tests, strict=True)):
            if test is None or test(value):
                continue
            given = self._given(value, form, declared_type_of_ref)
            if given is not None:
                raise TypeError(
                    f"Return value {index} of function {self.name} {given} but a return value of type "
                    f"{describe_type(form)} was declared{_got(value, form, declared_type_of_ref)}"
                )

    def check_item(self, value, index=None):
        """Check one item that a generator function has yielded. Raises TypeError."""
        self._settle()
        if self._item_test is not None and not self._item_test(value):
            which = "An item" if index is None else f"Item {index}"
            raise TypeError(
                f"{which} of the generator {self.name} has type {describe_type(type(value))} but items of type "
                f"{describe_type(self.item_form)} were declared{_got(value, self.item_form, None)}"
            )

    # -- inside: types -------------------------------------------------------------------------------------------------

    def _take_annotations(self, function, method):
        """Types from annotations, now or, where a name is not defined yet, at the first call."""

        def resolve():
            hints = _annotations(function)
            for param in self.params:
                param.form = hints.get(param.name)
                if param.name in hints and hints[param.name] is None:
                    param.form = type(None)
            self._take_return_annotation(function, hints)

        self.typed = True
        self._pending = resolve
        self._settle(first=True)

    def _take_return_annotation(self, function, hints):
        if "return" not in hints:
            return
        form = type(None) if hints["return"] is None else hints["return"]
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        arguments = getattr(form, "__args__", None) or ()
        if flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR) or isinstance(self.num_returns, str):
            if flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR) and arguments:
                self.item_form = arguments[0]  # Iterator[T], Generator[T, ...]: T is what each reference holds
        elif self.num_returns in (None, 1):
            self.returns = (form,)
            self.num_returns = 1
        elif getattr(form, "__origin__", None) is tuple and len(arguments) == self.num_returns:
            self.returns = arguments if Ellipsis not in arguments else None
        elif getattr(form, "__origin__", None) is tuple and Ellipsis not in arguments:
            raise ValueError(
                f"{self.name}: num_returns={self.num_returns}, but the return annotation {describe_type(form)} has "
                f"{len(arguments)} values"
            )

    def _take_strings(self, function):
        """Entries of the two lists that are strings become what they name."""
        forms = {str(index): form for index, form in enumerate([p.form for p in self.params] + list(self.returns))}
        forms = _resolve({key: form for key, form in forms.items() if form is not None}, function)
        for index, param in enumerate(self.params):
            param.form = forms.get(str(index))
        start = len(self.params)
        self.returns = tuple(forms.get(str(start + index)) for index in range(len(self.returns)))

    def _settle(self, first=False):
        """Resolve what is pending and build the tests, once. A name unknown at decoration may be known at the call."""
        if not first and self._pending is None:
            return
        if self._pending is not None:
            try:
                self._pending()
            except NameError as error:
                if first:
                    self.plain = None
                    return
                raise TypeError(
                    f"{self.name}: a declared type cannot be resolved: {error}. Define or import it at the top level "
                    f"of the module of the function, or write the type itself instead of a string."
                ) from None
            self._pending = None
        self._build()

    def _build(self):
        compiled = [self._compiled(param.form, f"parameter {param.name!r}") for param in self.params]
        positional = compiled[: self.max_positional]
        self.plain = _classes_of(positional)
        self._positional_tests = tuple(test for _, test in positional)
        self._tests = {}
        for param, (cls, test) in zip(self.params, compiled, strict=True):
            if param.kind == VAR_POSITIONAL:
                self.var_plain, self._var_test = cls, test
                if test is not None and cls is None:
                    self.plain = None
            elif param.kind == VAR_KEYWORD:
                self._varkw_test = test
            else:
                self._tests[param.name] = test
        if self.returns is not None:
            compiled = [self._compiled(form, f"return value {index}") for index, form in enumerate(self.returns)]
            self.return_plain = _classes_of(compiled)
            self._return_tests = tuple(test for _, test in compiled)
        if self.item_form is not None:
            self._item_test = self._compiled(self.item_form, "the yielded items")[1]

    def _compiled(self, form, what):
        try:
            return _compile(form)
        except (TypeError, ImportError) as error:
            raise type(error)(f"{self.name}: the type of {what}: {error}") from None

    # -- inside: one call ----------------------------------------------------------------------------------------------

    def _misfit(self, count, kwargs):
        """What is wrong with a call of ``count`` positional arguments and these keywords, or None."""
        for index, param in enumerate(self.params):
            kind, name = param.kind, param.name
            if kind <= POSITIONAL_OR_KEYWORD and index < count:
                if kind == POSITIONAL_OR_KEYWORD and name in kwargs:
                    return f"multiple values for argument {name!r}"
            elif kind == POSITIONAL_ONLY:
                if param.required:
                    if name in kwargs and not self.has_varkw:
                        return f"{name!r} parameter is positional only, but was passed as a keyword"
                    return f"missing a required argument: {name!r}"
            elif param.required and name not in kwargs and count <= self._limit:
                return f"missing a required argument: {name!r}" + (" (keyword-only)" if kind == KEYWORD_ONLY else "")
        if count > self._limit:
            return f"too many positional arguments (at most {self._limit} can be given, {count} were)"
        if not self.has_varkw:
            for name in kwargs:
                if name not in self._accepted:
                    known = ", ".join(p.name for p in self.params if p.name in self._accepted)
                    return f"got an unexpected keyword argument {name!r}" + (f" (known: {known})" if known else "")
        return None

    def _explain(self, args, kwargs, declared_type_of_ref):
        """Raise for the first argument that does not pass, unless it is a reference that may hold the right thing."""
        for index, value in enumerate(args):
            self._check_one(index, None, value, declared_type_of_ref)
        for name, value in (kwargs or {}).items():
            self._check_one(None, name, value, declared_type_of_ref)

    def _check_one(self, index, name, value, declared_type_of_ref):
        if index is not None and index < self.max_positional:
            param = self.params[index]
            test = self._tests.get(param.name)
        elif index is not None:
            param = next(p for p in self.params if p.kind == VAR_POSITIONAL)
            test = self._var_test
        elif name in self._accepted:
            param = next(p for p in self.params if p.name == name)
            test = self._tests.get(name)
        else:
            param = self.params[-1]
            test = self._varkw_test
        if test is None or test(value):
            return
        given = self._given(value, param.form, declared_type_of_ref)
        if given is None:
            return
        if name is None and param.kind == VAR_POSITIONAL:
            which = f"Argument {index} (one of *{param.name})"
        elif name is None:
            which = f"Argument {index} ({param.name!r})"
        else:
            which = f"Argument {name!r} (by keyword)"
        raise TypeError(
            f"{which} for function {self.name} {given} but an argument of type {describe_type(param.form)} was "
            f"expected{_got(value, param.form, declared_type_of_ref)}"
        )

    @staticmethod
    def _given(value, form, declared_type_of_ref):
        """How to name what was given, or None if it is a reference that may hold the right thing."""
        declared = NOT_A_REFERENCE if declared_type_of_ref is None else declared_type_of_ref(value)
        if declared is NOT_A_REFERENCE:
            return f"has type {describe_type(type(value))}"
        if declared is None or may_hold(declared, form):
            return None
        return f"is a reference to an object declared as {describe_type(declared)}"

    def _check_count(self, given, count, value):
        if given != count:
            raise ValueError(
                f"{self.name}: Task returned {given} objects, but num_returns={count}. Return a tuple or list of "
                f"{count} values, one per declared result (returned: {_short_repr(value)})."
            )


def _classes_of(compiled):
    """The classes if classes decide everything, else None."""
    if any(cls is None and test is not None for cls, test in compiled):
        return None
    return tuple(cls for cls, _ in compiled)


def _rebuild(*fields):
    signature = Signature(*fields)
    if signature.typed:
        signature._build()
    return signature


# ---------------------------------------------------------------------------------------------------------------------
# Reading a function
# ---------------------------------------------------------------------------------------------------------------------


def _names(function):
    inner = function
    while not hasattr(inner, "__name__") and hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    short = getattr(inner, "__name__", None) or type(inner).__name__
    qualname = getattr(inner, "__qualname__", None) or short
    module = getattr(inner, "__module__", None)
    return short, f"{module}.{qualname}" if module else qualname


def _parameters(function, method):
    code = getattr(function, "__code__", None)
    if type(function) is _FunctionType and not function.__dict__.keys() & {"__wrapped__", "__signature__"}:
        params = _parameters_from_code(function, code)
    else:
        params = _parameters_from_inspect(function)
    if method and params and params[0].kind <= POSITIONAL_OR_KEYWORD:
        del params[0]
    return params


def _parameters_from_code(function, code):
    """The common case without `inspect`, whose import would cost more than the rest of the decoration."""
    names = code.co_varnames
    count, only, keywords = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    first_default = count - len(function.__defaults__ or ())
    params = [
        Parameter(name, POSITIONAL_ONLY if index < only else POSITIONAL_OR_KEYWORD, index < first_default)
        for index, name in enumerate(names[:count])
    ]
    rest = count + keywords
    if code.co_flags & _CO_VARARGS:
        params.append(Parameter(names[rest], VAR_POSITIONAL, False))
        rest += 1
    defaults = function.__kwdefaults__ or {}
    params += [Parameter(name, KEYWORD_ONLY, name not in defaults) for name in names[count : count + keywords]]
    if code.co_flags & _CO_VARKEYWORDS:
        params.append(Parameter(names[rest], VAR_KEYWORD, False))
    return params


def _parameters_from_inspect(function):
    import inspect

    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some callables written in C do not tell
        return [Parameter("args", VAR_POSITIONAL, False), Parameter("kwargs", VAR_KEYWORD, False)]
    variadic = (VAR_POSITIONAL, VAR_KEYWORD)
    return [Parameter(p.name, int(p.kind), p.default is p.empty and int(p.kind) not in variadic) for p in found]


def _check_list(name, params, arg_types):
    if params and params[-1].kind == VAR_KEYWORD:
        raise TypeError(
            f"{name}: a function with types as lists cannot take **{params[-1].name}, because no entry of the list "
            f"could describe it. Name the parameters, or use annotations with @ray.remote(typed=True)."
        )
    has_varargs = any(param.kind == VAR_POSITIONAL for param in params)
    if has_varargs and any(param.kind <= POSITIONAL_OR_KEYWORD and not param.required for param in params):
        raise TypeError(
            f"{name}: a function with types as lists cannot have both *args and parameters with defaults. Use "
            f"annotations with @ray.remote(typed=True)."
        )
    if len(arg_types) != len(params):
        listed = ", ".join(repr(Parameter(p.name, p.kind, p.required)) for p in params) or "none"
        raise TypeError(
            f"{name}: {len(arg_types)} argument type(s) are declared, but the function has {len(params)} parameter(s) "
            f"({listed}). Give one type for each" + (", the last one for all of *args." if has_varargs else ".")
        )


def _annotations(function):
    while not hasattr(function, "__annotations__") and hasattr(function, "func"):
        function = function.func
    hints = getattr(function, "__annotations__", None) or {}
    if all(hint is None or isinstance(hint, type) for hint in hints.values()):
        return dict(hints)
    return _resolve(hints, function)


def _resolve(hints, function):
    """Turn strings into the types they name, as `typing.get_type_hints` does, also for names of enclosing functions."""
    import typing

    inner = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    names = dict(getattr(inner, "__globals__", None) or vars(sys.modules.get(inner.__module__, sys)))
    code = getattr(inner, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(inner, "__closure__", None) or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # an empty cell: not assigned yet
            pass

    def holder():
        pass

    # get_type_hints refuses what is no type; such entries get a clearer message later.
    usable = {key: hint for key, hint in hints.items() if isinstance(hint, str) or callable(hint) or _is_form(hint)}
    holder.__annotations__ = usable
    return {**hints, **typing.get_type_hints(holder, globalns=names, include_extras=True)}


# ---------------------------------------------------------------------------------------------------------------------
# Types: one test per form
# ---------------------------------------------------------------------------------------------------------------------

_compiled: dict = {}


def _compile(form):
    """How to test a form.

    Args:
        form: a class or a typing form; None means "any value".

    Returns:
        tuple: ``(class or None, test or None)``. No test: any value passes. A class: ``issubclass`` is the whole test.

    Raises:
        TypeError: it is no type. ImportError: it needs beartype.
    """
    if form is None:
        return None, None
    try:
        return _compiled[form]
    except (KeyError, TypeError):  # not seen yet, or not hashable
        pass
    compiled = _compile_form(form)
    try:
        if len(_compiled) < 10_000:
            _compiled[form] = compiled
    except TypeError:
        pass
    return compiled


def _compile_form(form):
    if form is object or form is _typing("Any"):
        return None, None
    form = _without_brackets(form)
    if isinstance(form, type):
        check = type(form).__instancecheck__
        if check is type.__instancecheck__ or check is sys.modules["abc"].ABCMeta.__instancecheck__:
            try:
                issubclass(int, form)
                return form, _class_test(form)
            except TypeError:
                pass
        else:
            try:  # a metaclass with rules of its own decides about instances, not about their classes
                isinstance(None, form)
                return None, lambda value: isinstance(value, form)
            except TypeError:
                pass
    members = _union_members(form)
    if members is not None:
        classes = [type(None) if member is None else _compile_form_class(member) for member in members]
        if object in classes:
            return None, None
        if None not in classes:
            return None, _class_test(tuple(classes))
    if not _is_form(form):
        raise TypeError(f"{_short_repr(form)} is not a type. Give a class such as int, or a form such as list[int].")
    return None, _beartype_test(form)


def _compile_form_class(form):
    """The class that decides about this member of a union; `object` if it lets everything pass; None if no class does."""
    cls, test = _compile(form)
    return object if test is None else cls


def _class_test(classes):
    return lambda value: issubclass(type(value), classes)


def _beartype_test(form):
    try:
        from beartype.door import is_bearable
    except ImportError:
        raise ImportError(
            f"{describe_type(form)} is checked with the package 'beartype', which is not installed. Run: pip install raio[typing]"
        ) from None
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # typing.List and its like are deprecated spellings, and welcome here
            is_bearable(None, form)
    except Exception as error:  # noqa: BLE001 - beartype has many classes for "this is no type"
        raise TypeError(f"{describe_type(form)} cannot be checked: {error}") from None
    elements = _elements_test(form)
    if elements is None:
        return lambda value: is_bearable(value, form)
    return lambda value: is_bearable(value, form) and elements(value)


def _elements_test(form):
    """A test of all elements of a built-in container, None if the form says nothing about elements."""
    members = _union_members(form)
    if members is not None:
        tests = [_compile(type(None) if member is None else member)[1] for member in members]
        return lambda value: any(test is None or test(value) for test in tests)
    if _is_annotated(form):
        return _elements_test(form.__origin__)
    origin, arguments = getattr(form, "__origin__", None), getattr(form, "__args__", None) or ()
    if not isinstance(origin, type) or not arguments:
        return None
    if origin is tuple and Ellipsis not in arguments:
        tests = [_compile(argument)[1] for argument in arguments]
        return lambda value: all(test is None or test(item) for item, test in zip(value, tests, strict=False))
    if len(arguments) == 2 and issubclass(dict, origin) and origin is not tuple:
        key_test, value_test = _compile(arguments[0])[1], _compile(arguments[1])[1]
        return lambda value: (
            not isinstance(value, dict)
            or all((key_test is None or key_test(key)) and (value_test is None or value_test(item)) for key, item in value.items())
        )
    containers = (list, tuple, set, frozenset, dict)
    if not any(issubclass(container, origin) for container in containers):
        return None
    test = _compile(arguments[0])[1]
    if test is None:
        return None
    return lambda value: not isinstance(value, containers) or all(map(test, value))


def may_hold(declared, expected):
    """Whether an object declared as one form may be what another form asks for.

    Classes are decided by ``issubclass(declared, expected)``. A union may hold whatever one of its members may. Forms
    about which nothing certain can be said are let through; they are checked again when the task starts.

    Example:
        >>> may_hold(bool, int), may_hold(int, float), may_hold(list[int], list), may_hold(list, dict)
        (True, False, True, False)
    """
    declared, expected = _expanded(declared), _expanded(expected)
    if declared is None or expected is None or declared is expected:
        return True
    members = _union_members(declared)
    if members is not None:
        return any(may_hold(type(None) if member is None else member, expected) for member in members)
    members = _union_members(expected)
    if members is not None:
        return any(may_hold(declared, type(None) if member is None else member) for member in members)
    literals = _literal_values(declared)
    if literals is not None:
        test = _compile(expected)[1]
        return test is None or any(test(value) for value in literals)
    literals = _literal_values(expected)
    if literals is not None:
        test = _compile(declared)[1]
        return test is None or any(test(value) for value in literals)
    declared_class, expected_class = _class_of(declared), _class_of(expected)
    if declared_class is None or expected_class is None:
        return True
    try:
        if not issubclass(declared_class, expected_class):
            return False
    except TypeError:  # protocols that cannot be asked
        return True
    return _elements_may_hold(declared, expected)


def _elements_may_hold(declared, expected):
    given, wanted = getattr(declared, "__args__", None), getattr(expected, "__args__", None)
    if not given or not wanted or len(given) != len(wanted) or Ellipsis in given or Ellipsis in wanted:
        return True
    if declared.__origin__ not in (list, set, frozenset, dict, tuple) or declared.__origin__ is not expected.__origin__:
        return True
    return all(map(may_hold, given, wanted))


def _expanded(form):
    """A form without names around it: what a NewType, a type variable or Annotated stands for; None for "anything"."""
    form = _without_brackets(form)
    if form is None or form is object or form is _typing("Any"):
        return None
    if _is_annotated(form):
        return _expanded(form.__origin__)
    if hasattr(form, "__supertype__"):
        return _expanded(form.__supertype__)
    if type(getattr(form, "__origin__", None)).__name__ == "TypeAliasType":  # type Pair[T] = tuple[T, T]; Pair[int]
        return _expanded(form.__origin__.__value__)
    if hasattr(form, "__constraints__") and hasattr(form, "__bound__"):
        if form.__constraints__:
            return _typing("Union")[form.__constraints__]
        return _expanded(form.__bound__)
    return form


def _class_of(form):
    if isinstance(form, type):
        return form
    origin = getattr(form, "__origin__", None)
    return origin if isinstance(origin, type) else None


def _without_brackets(form):
    """``typing.List`` without brackets is ``list``; what ``type Name = ...`` has named is the type behind the name."""
    if type(form).__name__ == "TypeAliasType":
        return _without_brackets(form.__value__)
    if getattr(form, "__module__", None) == "typing" and not isinstance(form, type):
        origin = getattr(form, "__origin__", None)
        if isinstance(origin, type) and not hasattr(form, "__args__"):
            return origin
    return form


def _union_members(form):
    if type(form) is _UnionType:
        return form.__args__
    union = _typing("Union")
    return form.__args__ if union is not None and getattr(form, "__origin__", None) is union else None


def _literal_values(form):
    literal = _typing("Literal")
    return form.__args__ if literal is not None and getattr(form, "__origin__", None) is literal else None


def _is_annotated(form):
    return hasattr(form, "__metadata__") and hasattr(form, "__origin__") and not isinstance(form, type)


def _is_form(form):
    if isinstance(form, type) or issubclass(type(form), (_GenericAlias, _UnionType)) or hasattr(form, "__supertype__"):
        return True
    return type(form).__module__ in ("typing", "typing_extensions")


def _names_a_type(form):
    """Whether a form is a string, or has one inside, that is to be resolved."""
    if isinstance(form, str) or type(form).__name__ == "ForwardRef":
        return True
    if _literal_values(form) is not None:
        return False
    arguments = getattr(form, "__args__", None)
    return isinstance(arguments, tuple) and any(map(_names_a_type, arguments))


def _typing(name):
    """A name of `typing` if somebody has imported it; nobody can have used the name otherwise."""
    typing = sys.modules.get("typing")
    return None if typing is None else getattr(typing, name)


# ---------------------------------------------------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------------------------------------------------


def describe_type(form):
    """A type as people write it: ``int``, ``numpy.ndarray``, ``list[int]``, ``Optional[int]``."""
    if form is None or form is type(None):
        return "None" if form is not None else "Any"
    if isinstance(form, type):
        if form.__module__ in ("builtins", "__main__"):
            return form.__qualname__
        return f"{form.__module__}.{form.__qualname__}"
    try:
        return repr(form).replace("typing.", "")
    except Exception:  # noqa: BLE001
        return object.__repr__(form)


def _got(value, form, declared_type_of_ref):
    if declared_type_of_ref is not None and declared_type_of_ref(value) is not NOT_A_REFERENCE:
        return "."
    hint = _hint(value, form)
    return f": got {_short_repr(value)}." + (f" {hint}" if hint else "")


def _hint(value, form):
    """The likely remedy, or nothing."""
    cls = type(value)
    if isinstance(value, type):
        return f"This is the class itself; pass an instance, {value.__name__}(...)." if form is value else ""
    if cls is int and form is float:
        return f"An int is not taken for a float: pass {value}.0." if abs(value) < 10**15 else "Pass float(value)."
    if cls is float and form is int:
        return f"Pass {int(value)}." if value.is_integer() and abs(value) < 10**15 else "Pass int(value) or round(value)."
    if value is None:
        return f"If None is meant to be allowed, declare {describe_type(form)} | None."
    if cls.__module__ == "numpy" and form in (int, float, bool, complex, str) and getattr(value, "ndim", 1) == 0:
        return f"It is a numpy scalar: pass {form.__name__}(value), or declare numpy.{cls.__name__}."
    if form is list and (cls is tuple or hasattr(value, "tolist")):
        return "Pass list(value)." if cls is tuple else "Pass value.tolist()."
    if form is tuple and cls is list:
        return "Pass tuple(value)."
    if cls in (list, tuple) and getattr(form, "__module__", "") == "numpy" and getattr(form, "__name__", "") == "ndarray":
        return "Pass numpy.array(value)."
    if form is str and cls is bytes:
        return "Pass value.decode()."
    if form is bytes and cls is str:
        return "Pass value.encode()."
    return ""


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
