"""Options of remote functions: what `@ray.remote(...)` and `.options(...)` accept, checked when they are given."""

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
    "resources": ((dict,), lambda value: _are_resources(value), "a dict of names to numbers from 0 on, without CPU and GPU"),
    "retry_exceptions": ((bool, list, tuple), lambda value: _are_exceptions(value), "True, False, or a list of exception classes"),
    "runtime_env": ((dict,), None, ""),
    "scheduling_strategy": ((object,), None, ""),
    "_generator_backpressure_num_objects": ((int,), lambda value: value != 0, "a whole number other than 0"),
    "_labels": ((dict,), None, ""),
}


def check_task_options(given, for_options_call=False):
    """The options, checked.

    Raises:
        ValueError: unknown, or out of range. TypeError: of the wrong type.
    """
    for name, value in given.items():
        if name not in _TASK_OPTIONS:
            known = ", ".join(sorted(option for option in _TASK_OPTIONS if not option.startswith("_")))
            raise ValueError(f"Invalid option keyword {name} for remote functions. Valid ones are {known}.")
        if name == "max_calls" and for_options_call:
            raise ValueError("Setting 'max_calls' is not supported in '.options()'.")
        if value is None:
            continue
        types, check, wanted = _TASK_OPTIONS[name]
        numeric_bool = isinstance(value, bool) and bool not in types and object not in types
        if not isinstance(value, types) or numeric_bool:
            names = " or ".join(kind.__name__ for kind in types)
            raise TypeError(f"The type of keyword '{name}' must be {names}, but received type {type(value).__name__}.")
        if check is not None and not check(value):
            raise ValueError(f"The keyword '{name}' must be {wanted}, got {value!r}.")
    return {name: value for name, value in given.items() if value is not None}


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


def _are_resources(value):
    return all(
        isinstance(name, str) and name not in ("CPU", "GPU") and isinstance(amount, (int, float)) and _is_quantity(amount)
        for name, amount in value.items()
    )
