"""Options of remote functions, actors and methods: what `@ray.remote(...)` and `.options(...)` accept, checked."""

import os


def _counting(name, *, least, infinite=False, also_infinite=""):
    """A check of a count: what it takes, in words, or None when the value is right."""
    allowed = "None, 0, -1, or a positive integer, where -1 means without limit" if infinite else "None, 0, or a positive integer"
    if least == 1:
        allowed = "None, -1 (no limit), or a positive integer" if also_infinite else "None or a positive integer"

    def check(value):
        right = value >= least or ((infinite or also_infinite) and value == -1)
        return None if right else f"The keyword '{name}' only accepts {allowed}, got {value!r}."

    return check


def _quantity(name):
    def check(value):
        return _check_quantity(name, value)

    return check


def _check_quantity(name, value):
    if not value >= 0:  # NaN too
        return f"The quantity of resource {name} cannot be negative, got {value!r}."
    if value == float("inf"):
        return f"The quantity of resource {name} must be finite."
    if abs(round(value * 10_000) - value * 10_000) >= 1e-6:
        return f"The precision of the fractional quantity of resource {name} cannot go beyond 0.0001, got {value!r}."
    return None


def _must_be(name, right, wanted):
    def check(value):
        return None if right(value) else f"The keyword '{name}' must be {wanted}, got {value!r}."

    return check


def _check_resources(resources):
    for name, amount in resources.items():
        if not isinstance(name, str):
            raise TypeError(f"The names in the keyword 'resources' must be strings, got {name!r}.")
        if name in ("CPU", "GPU"):
            return "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword."
        if isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise TypeError(f"The quantity of resource {name} in the keyword 'resources' must be a number, got {amount!r}.")
        wrong = _check_quantity(name, amount)
        if wrong:
            return f"{wrong} (It is in the keyword 'resources'.)"
    return None


def _check_returns(value):
    if value in ("dynamic", "streaming") if isinstance(value, str) else value >= 0:
        return None
    return (
        'The keyword \'num_returns\' only accepts None, a non-negative integer, or, for generators, "streaming" or "dynamic", '
        f"got {value!r}."
    )


def _check_exceptions(value):
    if isinstance(value, bool):
        return None
    wanted = "retry_exceptions must be either a boolean or a list of exceptions"
    for kind in value:
        if not isinstance(kind, type):
            raise TypeError(f"{wanted}, but {kind!r} is no class.")
        if not issubclass(kind, Exception):
            return f"{wanted}, but {kind.__name__} is no subclass of Exception."
    return None


def _check_groups(value):
    for name, limit in value.items():
        if not isinstance(name, str) or type(limit) is not int or limit < 1:
            return f"The keyword 'concurrency_groups' must be a dict of names to whole numbers from 1 on, got {name!r}: {limit!r}."
    return None


def _check_environment(value):
    """Checks what can be said of a runtime environment without looking at the machine."""
    variables = value.get("env_vars")
    if variables is not None:
        if not isinstance(variables, dict):
            raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(variables).__name__}.")
        for name, text in variables.items():
            if not isinstance(name, str) or not isinstance(text, str):
                raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {name!r}: {text!r}.")
            if not name or "=" in name or "\0" in name + text:
                return f"runtime_env['env_vars'] has {name!r}: {text!r}, which no environment variable can be."
    places = value.get("py_modules") or []
    places = [value.get("working_dir"), *(places if isinstance(places, (list, tuple)) else [places])]
    for place in places:
        if isinstance(place, (str, os.PathLike)) and "://" not in str(place):
            return (
                f"{str(place)!r} is not a valid URI. Passing directories or modules to be dynamically uploaded is only supported "
                "at the job level, as ray.init(runtime_env=...)."
            )
    return None


def _check_strategy(value):
    # What a string says is looked at when a task is submitted.
    if not isinstance(value, str) and type(value).__module__ != "ray.util.scheduling_strategies":
        raise TypeError(
            "The type of keyword 'scheduling_strategy' must be str or a class of ray.util.scheduling_strategies, but received type "
            f"{type(value).__name__}."
        )
    return None


def _never(text):
    return lambda value: text


def _limit(name):
    return _must_be(name, lambda value: 0 < value < float("inf"), "a positive number of seconds")


# What tasks and actors have in common. name: (accepted types, check that returns what is wrong, or None)
_COMMON_OPTIONS = {
    "accelerator_type": ((str,), None),
    "enable_task_events": ((bool,), None),
    "fallback_strategy": ((list,), None),
    "label_selector": ((dict,), None),
    "memory": ((int, float), _quantity("memory")),
    "num_cpus": ((int, float), _quantity("num_cpus")),
    "num_gpus": ((int, float), _quantity("num_gpus")),
    "placement_group": ((object,), None),
    "placement_group_bundle_index": ((int,), None),
    "placement_group_capture_child_tasks": ((bool,), None),
    "resources": ((dict,), _check_resources),
    "runtime_env": ((dict,), _check_environment),
    "scheduling_strategy": ((object,), _check_strategy),
    "_labels": ((dict,), None),
}

_TASK_OPTIONS = {
    **_COMMON_OPTIONS,
    "max_calls": ((int,), _counting("max_calls", least=0)),
    "max_retries": ((int,), _counting("max_retries", least=0, infinite=True)),
    "name": ((str,), None),
    "num_returns": ((int, str), _check_returns),
    "object_store_memory": ((int, float), _never("Setting 'object_store_memory' is not implemented for tasks.")),
    "retry_exceptions": ((bool, list, tuple), _check_exceptions),
    "timeout": ((int, float), _limit("timeout")),
    "_generator_backpressure_num_objects": (
        (int,),
        _must_be("_generator_backpressure_num_objects", lambda value: value > 0 or value == -1, "positive, or -1"),
    ),
    "_num_objects_per_yield": ((int,), _counting("_num_objects_per_yield", least=1)),
}


#: What `@ray.remote` and `.options()` accept for classes.
ACTOR_OPTIONS = {
    **_COMMON_OPTIONS,
    "allow_out_of_order_execution": ((bool,), None),
    "concurrency_groups": ((dict,), _check_groups),
    "enable_tensor_transport": ((bool,), None),
    "get_if_exists": ((bool,), None),
    "lifetime": (
        (str,),
        _must_be("lifetime", lambda value: value in ("detached", "non_detached"), "one of 'detached', 'non_detached' and None"),
    ),
    "max_concurrency": ((int,), _counting("max_concurrency", least=1)),
    "max_pending_calls": ((int,), _counting("max_pending_calls", least=1, also_infinite=True)),
    "max_restarts": ((int,), _counting("max_restarts", least=0, infinite=True)),
    "max_task_retries": ((int,), _counting("max_task_retries", least=0, infinite=True)),
    "name": ((str,), _must_be("name", lambda value: value != "", "no empty string: an actor's name cannot be an empty string")),
    "namespace": ((str,), _must_be("namespace", lambda value: value != "", 'a string; "" is not a valid namespace')),
    "object_store_memory": ((int, float), _quantity("object_store_memory")),
    "_actor_generator_backpressure_num_objects": (
        (int,),
        _must_be("_actor_generator_backpressure_num_objects", lambda value: value > 0 or value == -1, "positive, or -1"),
    ),
}

#: What `@ray.method` and a method's `.options()` accept.
_METHOD_OPTIONS = {
    "concurrency_group": ((str,), None),
    "enable_task_events": ((bool,), None),
    "max_task_retries": ((int,), _counting("max_task_retries", least=0, infinite=True)),
    "name": ((str,), None),
    "num_returns": ((int, str), _check_returns),
    "retry_exceptions": ((bool, list, tuple), _check_exceptions),
    "tensor_transport": ((str,), None),
    "timeout": ((int, float), _limit("timeout")),
    "_generator_backpressure_num_objects": _TASK_OPTIONS["_generator_backpressure_num_objects"],
    "_num_objects_per_yield": _TASK_OPTIONS["_num_objects_per_yield"],
}

#: What may stand for `scheduling_strategy`, besides the classes of `ray.util.scheduling_strategies`.
_STRATEGIES = ("DEFAULT", "SPREAD")


def check_task_options(given, for_options_call=False):
    """The options, checked.

    Raises:
        ValueError: unknown, or out of range. TypeError: of the wrong type.
    """
    for name in ("max_calls", "_num_objects_per_yield"):
        if for_options_call and name in given:
            raise ValueError(f"Setting '{name}' is not supported in '.options()'.")
    return _checked(given, _TASK_OPTIONS, "remote functions", ValueError)


def is_task_option(name):
    """bool: whether remote functions have an option of this name."""
    return name in _TASK_OPTIONS


def check_known(given):
    """Checks what can be checked before it is known whether a function or a class is decorated."""
    for name in given:
        if name not in _TASK_OPTIONS and name not in ACTOR_OPTIONS:
            check_task_options({name: given[name]})


def check_actor_options(given, for_options_call=False):
    """The options of an actor, checked.

    Raises:
        ValueError: unknown, or out of range. TypeError: of the wrong type.
    """
    if for_options_call and "concurrency_groups" in given:
        raise ValueError("Setting 'concurrency_groups' is not supported in '.options()'.")
    checked = _checked(given, ACTOR_OPTIONS, "actors", ValueError)
    if "object_store_memory" in checked:
        import warnings

        warnings.warn("'object_store_memory' of actors changes nothing.", DeprecationWarning, stacklevel=4)
    return checked


def check_actor_combination(chosen, is_async):
    """Checks what options of an actor say together.

    Raises:
        ValueError: they contradict each other.
    """
    if chosen.get("get_if_exists") and not chosen.get("name"):
        raise ValueError("The actor name must be specified to use `get_if_exists`.")
    if chosen.get("lifetime") == "detached" and not chosen.get("name") and chosen.get("get_if_exists"):
        raise ValueError("A detached actor can only be found by its name.")
    concurrent = is_async or chosen.get("max_concurrency", 1) > 1
    if chosen.get("allow_out_of_order_execution") is False and concurrent:
        raise ValueError("allow_out_of_order_execution=False is not possible for actors that run several calls at a time.")
    check_submission(chosen)


def check_submission(chosen):
    """Checks what is only looked at when a task is submitted or an actor made.

    Raises:
        ValueError: a strategy or an amount that cannot be.
    """
    strategy = chosen.get("scheduling_strategy")
    if isinstance(strategy, str) and strategy not in _STRATEGIES:
        raise ValueError(
            f"Invalid scheduling_strategy value {strategy!r}. Valid values are 'DEFAULT', 'SPREAD', and the classes of "
            "ray.util.scheduling_strategies."
        )
    gpus = chosen.get("num_gpus") or 0
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(
            f"GPU resource quantities >1 must be whole numbers. The specified quantity {gpus} is invalid: a part of a GPU can be "
            "shared, but not beside whole ones."
        )
    group = chosen.get("placement_group", "default")
    if chosen.get("placement_group_bundle_index", -1) != -1 and group in ("default", None):
        raise ValueError("If placement group is not set, the value of bundle index must be -1.")


def check_method_options(given, error_for_unknown):
    """The options of a method, checked."""
    return _checked(given, _METHOD_OPTIONS, "methods of actors", error_for_unknown)


def _checked(given, table, of_what, error_for_unknown):
    for name, value in given.items():
        if name not in table:
            known = ", ".join(sorted(option for option in table if not option.startswith("_")))
            raise error_for_unknown(f"Invalid option keyword {name} for {of_what}. Valid ones are {known}.")
        if value is None:
            continue
        types, check = table[name]
        numeric_bool = isinstance(value, bool) and bool not in types and object not in types
        if not isinstance(value, types) or numeric_bool:
            names = " or ".join(kind.__name__ for kind in types)
            raise TypeError(f"The type of keyword '{name}' must be {names}, but received type {type(value).__name__}.")
        wrong = None if check is None else check(value)
        if wrong:
            raise ValueError(wrong)
    if given.get("scheduling_strategy") is not None and given.get("placement_group", "default") not in ("default", None):
        raise ValueError(
            "Placement groups should be specified via the scheduling_strategy option. The placement_group option is deprecated."
        )
    return {name: value for name, value in given.items() if value is not None}


# ---------------------------------------------------------------------------------------------------------------------
# What the options come to
# ---------------------------------------------------------------------------------------------------------------------


def max_concurrency_of(chosen, is_async):
    """Calls of an actor that may run at a time."""
    return chosen.get("max_concurrency", 1000 if is_async else 1)


def actor_resources(chosen):
    """What an actor needs to be placed, and what it holds while it lives; (name, amount) pairs each.

    With nothing said about it, an actor needs a CPU to be placed and none to live: so actors that mostly wait do not
    keep tasks from running, and still do not all begin at once.
    """
    if chosen.get("resources") or any(name in chosen for name in ("num_cpus", "num_gpus", "accelerator_type")):
        held = resources_of(chosen)
        return held, held
    held = [(name, amount) for name, amount in resources_of(chosen) if name != "CPU"]
    return [("CPU", 1.0), *held], held


def resources_of(chosen):
    """What a task holds while it runs, as (name, amount) pairs."""
    amounts = {"CPU": float(chosen.get("num_cpus", 1))}
    if chosen.get("num_gpus"):
        amounts["GPU"] = float(chosen["num_gpus"])
    if chosen.get("memory"):
        amounts["memory"] = float(int(chosen["memory"]))
    if chosen.get("accelerator_type"):
        # Next to nothing of it: any number of tasks may share the kind of a GPU.
        amounts[f"accelerator_type:{chosen['accelerator_type']}"] = 0.001
    for name, amount in chosen.get("resources", {}).items():
        amounts[name] = float(amount)
    return [(name, amount) for name, amount in amounts.items() if amount > 0]


def environment_of(chosen):
    """Environment variables asked for, as (name, value) pairs."""
    return list(((chosen.get("runtime_env") or {}).get("env_vars") or {}).items())


def max_retries_of(chosen):
    """Executions after the first that may be tried when a worker dies."""
    default = int(os.environ.get("RAY_TASK_MAX_RETRIES", "3"))
    return chosen.get("max_retries", default)


def call_options_of(chosen, captures=False):
    """How to get at what workers must know of a task's options, when it is submitted first; None when there is nothing.

    Returns:
        Callable[[], dict] | None: the dict as the native side takes it. It raises ValueError for what `check_submission` finds.
    """
    concerned = ("max_calls", "name", "num_gpus", "placement_group_bundle_index", "retry_exceptions", "runtime_env")
    if not captures and not any(chosen.get(name) for name in (*concerned, "scheduling_strategy", "timeout")):
        return None

    def call_options():
        check_submission(chosen)
        # GPU memory is given back only when a process ends.
        most = chosen.get("max_calls", 1 if chosen.get("num_gpus") else 0)
        return {"max_calls": most, "environment": environment_of(chosen), "captures": captures, **_for_any_call(chosen)}

    return call_options


def method_call_options(chosen, group):
    """What an actor must know of a call of a method, as the native side takes it."""
    return {"group": group, **_for_any_call(chosen)}


def _for_any_call(chosen):
    said = {}
    if chosen.get("name"):
        said["name"] = chosen["name"]
    if chosen.get("timeout"):
        said["timeout"] = float(chosen["timeout"])
    retry = chosen.get("retry_exceptions")
    if isinstance(retry, (list, tuple)):
        import cloudpickle

        from ray.exceptions import TaskTimeoutError

        said["retry"] = cloudpickle.dumps(tuple(retry)), issubclass(TaskTimeoutError, tuple(retry))
    elif retry:
        said["retry"] = True
    return said
