"""Where a task or an actor may run: what its options say about it, as names of resources that it asks for.

A placement group's resources have names of the group's own, and each node has a resource of its own, so that the scheduler, which
matches amounts by name, need not know of strategies.
"""

from ray import _core

# Next to nothing of it: any number of tasks may name the same node.
_SHARE = 0.001


def place(chosen, amounts, what):
    """What a task or actor asks for, given where it is to run.

    Args:
        chosen (dict): its options.
        amounts (list[tuple[str, float]]): what it asks for anywhere.
        what (str): the task or actor, for errors.

    Returns:
        tuple: the amounts it asks for there; and the group it belongs to, as (id, captures), or None.

    Raises:
        ValueError: what it asks for fits in no bundle of its group, or the group has no such bundle.
    """
    found = _group_of(chosen)
    if found is not None:
        from ray.util.placement_group import resources_in_group

        group, index, captures = found
        return resources_in_group(group, index, amounts, what), (group.id.hex(), captures)
    strategy = chosen.get("scheduling_strategy")
    if strategy is None or isinstance(strategy, str):
        return amounts, None
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy

    if isinstance(strategy, NodeAffinitySchedulingStrategy):
        return [*amounts, *_on_node(strategy.node_id, strategy.soft)], None
    if isinstance(strategy, NodeLabelSchedulingStrategy):
        return [*amounts, *_with_labels(strategy)], None
    return amounts, None


def place_actor(chosen, needed, held, class_name):
    """What an actor asks for, given where it is to live.

    Args:
        chosen (dict): its options.
        needed (list[tuple[str, float]]): what it asks for to be placed, and `held`: while it lives.

    Returns:
        tuple: both, as it asks for them there; and the group it belongs to, as (id, captures), or None.

    Raises:
        ValueError: as `place`.
    """
    if not says_where(chosen) and (group := captured()) is not None:
        from ray.util.placement_group import grouped

        return grouped(needed, group, -1), grouped(held, group, -1), (group, True)
    asked, group = place(chosen, needed, f"actor {class_name}")
    return asked, place(chosen, held, f"actor {class_name}")[0], group


def says_where(chosen):
    """Whether the options settle where it is to run, so that it does not belong to the group of what submits it."""
    return chosen.get("scheduling_strategy") is not None or chosen.get("placement_group", "default") != "default"


def captured():
    """The group that what is submitted here belongs to if it does not say where it is to run: its id, or None."""
    found = _core.current_group()
    return found[0] if found is not None and found[1] else None


def node_resource(node_id):
    """str: the resource that only this node has."""
    return f"node_id:{node_id}"


def is_node_resource(name):
    return name.startswith("node_id:")


def _group_of(chosen):
    """(group, bundle index, captures) when the options name a placement group."""
    from_strategy = chosen.get("scheduling_strategy")
    if from_strategy is not None and hasattr(from_strategy, "placement_group_bundle_index"):
        group = from_strategy.placement_group
        index = from_strategy.placement_group_bundle_index
        captures = from_strategy.placement_group_capture_child_tasks
    elif chosen.get("placement_group", "default") not in (None, "default"):
        group = chosen["placement_group"]
        index = chosen.get("placement_group_bundle_index", -1)
        captures = chosen.get("placement_group_capture_child_tasks")
    else:
        return None
    if group.is_empty:
        return None
    return group, index, bool(captures)


def _on_node(node_id, soft):
    if soft and not any(node["NodeID"] == node_id for node in _alive_nodes()):
        return []
    return [(node_resource(node_id), _SHARE)]


def _with_labels(strategy):
    nodes = _alive_nodes()
    fitting = [node for node in nodes if _fits(strategy.hard, node["Labels"])]
    if not fitting:
        conditions = ", ".join(f"{label} {type(condition).__name__}" for label, condition in strategy.hard.items())
        return [(f"a node with {conditions}", _SHARE)]
    preferred = [node for node in fitting if _fits(strategy.soft, node["Labels"])] or fitting
    # Whichever has room, when all will do.
    return [] if len(preferred) == len(nodes) else [(node_resource(preferred[0]["NodeID"]), _SHARE)]


def _fits(conditions, labels):
    return all(condition.matches(labels.get(label)) for label, condition in conditions.items())


def _alive_nodes():
    if not _core.is_connected():
        return []
    from ray.state import nodes

    return [node for node in nodes() if node["Alive"]]
