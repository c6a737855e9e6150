"""Options of remote functions, actors and methods: what `@ray.remote(...)` and `.options(...)` accept, checked."""

import os

# name: (accepted types, check on the value or None, what the check wants)
_TASK_OPTIONS = {
    "accelerator_type": ((str,), None, ""),
    "enable_task_events": ((bool,), None, ""),
    "fallback_strategy": ((list,), None, ""),
    "label_selector": ((dict,), None, ""),
    "max_calls": ((int,), lambda value: value >= 0, "a whole number from 0 on (0: unlimited)"),
    "max_retries": ((int,), lambda value: value >= -1, "a whole number from -1 on (-1: without end)"),
    "memory": ((int, float), lambda value: value >= 0, "a number of bytes from 0 on"),
    "name": ((str,), None, ""),
    "num_cpus": ((int, float), lambda value: _is_quantity(value), "a number from 0 on with at most four decimals"),
    "num_gpus": ((int, float), lambda value: _is_quantity(value), "a number from 0 on with at most four decimals"),
    "num_returns": ((int, str), lambda value: _is_returns(value), "a whole number from 0 on"),
    "placement_group": ((object,), None, ""),
    "placement_group_bundle_index": ((int,), None, ""),
    "placement_group_capture_child_tasks": ((bool,), None, ""),
    "resources": (
        (dict,),
        lambda value: _are_resources(value),
        "a dict of names to numbers from 0 on, without CPU and GPU",
    ),
    "retry_exceptions": (
        (bool, list, tuple),
        lambda value: _are_exceptions(value),
        "True, False, or a list of exception classes",
    ),
    "runtime_env": ((dict,), None, ""),
    "scheduling_strategy": ((object,), None, ""),
    "_generator_backpressure_num_objects": ((int,), lambda value: value != 0, "a whole number other than 0"),
    "_labels": ((dict,), None, ""),
}


#: What `@ray.remote` and `.options()` accept for classes.
ACTOR_OPTIONS = {
    **{
        name: _TASK_OPTIONS[name]
        for name in (
            "accelerator_type",
            "enable_task_events",
            "fallback_strategy",
            "label_selector",
            "memory",
            "num_cpus",
            "num_gpus",
            "placement_group",
            "placement_group_bundle_index",
            "placement_group_capture_child_tasks",
            "resources",
            "runtime_env",
            "scheduling_strategy",
            "_labels",
        )
    },
    "allow_out_of_order_execution": ((bool,), None, ""),
    "concurrency_groups": ((dict,), lambda value: _are_groups(value), "a dict of names to whole numbers from 1 on"),
    "enable_tensor_transport": ((bool,), None, ""),
    "get_if_exists": ((bool,), None, ""),
    "lifetime": ((str,), lambda value: value in ("detached", "non_detached"), "'detached', 'non_detached' or None"),
    "max_concurrency": ((int,), lambda value: value >= 1, "a whole number from 1 on"),
    "max_pending_calls": (
        (int,),
        lambda value: value >= -1 and value != 0,
        "a whole number from 1 on, or -1 (no limit)",
    ),
    "max_restarts": ((int,), lambda value: value >= -1, "a whole number from -1 on (-1: without end)"),
    "max_task_retries": ((int,), lambda value: value >= -1, "a whole number from -1 on (-1: without end)"),
    "name": ((str,), lambda value: value != "", "not empty"),
    "namespace": ((str,), lambda value: value != "", "not empty"),
    "object_store_memory": ((int, float), None, ""),
    "_actor_generator_backpressure_num_objects": ((int,), lambda value: value > 0 or value == -1, "positive, or -1"),
}

#: What `@ray.method` and a method's `.options()` accept.
_METHOD_OPTIONS = {
    "concurrency_group": ((str,), None, ""),
    "enable_task_events": ((bool,), None, ""),
    "max_task_retries": ((int,), lambda value: value >= -1, "a whole number from -1 on (-1: without end)"),
    "name": ((str,), None, ""),
    "num_returns": ((int, str), lambda value: _is_returns(value), "a whole number from 0 on"),
    "retry_exceptions": ((bool, list, tuple), None, ""),
    "tensor_transport": ((str,), None, ""),
    "_generator_backpressure_num_objects": ((int,), lambda value: value != 0, "a whole number other than 0"),
    "_num_objects_per_yield": ((int,), None, ""),
}


def check_task_options(given, for_options_call=False):
    """The options, checked.

    Raises:
        ValueError: unknown, or out of range. TypeError: of the wrong type.
    """
    if for_options_call and "max_calls" in given:
        raise ValueError("Setting 'max_calls' is not supported in '.options()'.")
    return _checked(given, _TASK_OPTIONS, "remote functions", ValueError)


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
        types, check, wanted = table[name]
        numeric_bool = isinstance(value, bool) and bool not in types and object not in types
        if not isinstance(value, types) or numeric_bool:
            names = " or ".join(kind.__name__ for kind in types)
            raise TypeError(f"The type of keyword '{name}' must be {names}, but received type {type(value).__name__}.")
        if check is not None and not check(value):
            raise ValueError(f"The keyword '{name}' must be {wanted}, got {value!r}.")
    return {name: value for name, value in given.items() if value is not None}


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


def environment_of(chosen):
    """Environment variables a process of its own begins with, as (name, value) pairs.

    Raises:
        TypeError: a name or value is no string.
    """
    variables = (chosen.get("runtime_env") or {}).get("env_vars") or {}
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"runtime_env['env_vars'] must be a dict of strings to strings, got {name!r}: {value!r}.")
    return list(variables.items())


def resources_of(chosen):
    """What a task holds while it runs, as (name, amount) pairs."""
    amounts = {"CPU": float(chosen.get("num_cpus", 1))}
    if chosen.get("num_gpus"):
        amounts["GPU"] = float(chosen["num_gpus"])
    if chosen.get("memory"):
        amounts["memory"] = float(int(chosen["memory"]))
    for name, amount in chosen.get("resources", {}).items():
        amounts[name] = float(amount)
    return [(name, amount) for name, amount in amounts.items() if amount > 0]


def max_retries_of(chosen):
    """Executions after the first that may be tried when a worker dies."""
    default = int(os.environ.get("RAY_TASK_MAX_RETRIES", "3"))
    return chosen.get("max_retries", default)


def _is_quantity(value):
    return 0 <= value < float("inf") and abs(round(value * 10_000) - value * 10_000) < 1e-6


def _is_returns(value):
    return value in ("dynamic", "streaming") if isinstance(value, str) else value >= 0


def _are_exceptions(value):
    return isinstance(value, bool) or all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in value)


def _are_groups(value):
    return all(isinstance(name, str) and type(limit) is int and limit >= 1 for name, limit in value.items())


def _are_resources(value):
    return all(
        isinstance(name, str) and name not in ("CPU", "GPU") and isinstance(amount, (int, float)) and _is_quantity(amount)
        for name, amount in value.items()
    )
