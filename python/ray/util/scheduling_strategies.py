"""Where tasks and actors are to run: values for the option `scheduling_strategy`."""


class PlacementGroupSchedulingStrategy:
    """In a placement group.

    Args:
        placement_group (PlacementGroup): which.
        placement_group_bundle_index (int): the bundle; -1: whichever has room.
        placement_group_capture_child_tasks (bool | None): tasks and actors it submits belong to the group too, unless they say
            otherwise.

    Raises:
        ValueError: the group has no such bundle, or `placement_group` is None.
    """

    def __init__(self, placement_group, placement_group_bundle_index=-1, placement_group_capture_child_tasks=None):
        if placement_group is None:
            raise ValueError(
                "`placement_group` needs to be an instance of PlacementGroup, got None. Without a group, leave scheduling_strategy "
                "out."
            )
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    def __repr__(self):
        return f"PlacementGroupSchedulingStrategy({self.placement_group!r}, {self.placement_group_bundle_index})"


class NodeAffinitySchedulingStrategy:
    """On a certain node.

    Args:
        node_id (str | ray.NodeID): which.
        soft (bool): run elsewhere when the node is not there; otherwise the task fails with TaskUnschedulableError then.

    Raises:
        ValueError: the id is malformed, or the options contradict each other.
    """

    def __init__(self, node_id, soft, _spill_on_unavailable=False, _fail_on_unavailable=False):
        from ray.ids import NodeID

        if isinstance(node_id, NodeID):
            node_id = node_id.hex()
        try:
            parsed = NodeID(bytes.fromhex(node_id))
        except (TypeError, ValueError) as error:
            raise ValueError(f"Invalid node_id {node_id!r}: {error}. ray.nodes() lists the ids there are.") from None
        if parsed.is_nil():
            raise ValueError("Invalid node_id: the nil id names no node. ray.nodes() lists the ids there are.")
        if _spill_on_unavailable and not soft:
            raise ValueError("_spill_on_unavailable cannot be set when soft is False. Please set soft to True to use it.")
        if _fail_on_unavailable and soft:
            raise ValueError("_fail_on_unavailable cannot be set when soft is True. Please set soft to False to use it.")
        self.node_id = parsed.hex()
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable

    def __repr__(self):
        return f"NodeAffinitySchedulingStrategy({self.node_id!r}, soft={self.soft})"


class In:
    """The label has one of these values."""

    def __init__(self, *values):
        _check_values("In", values)
        self.values = list(values)

    def matches(self, value):
        return value in self.values


class NotIn:
    """The label has none of these values, or is not there."""

    def __init__(self, *values):
        _check_values("NotIn", values)
        self.values = list(values)

    def matches(self, value):
        return value not in self.values


class Exists:
    """The label is there."""

    def matches(self, value):
        return value is not None


class DoesNotExist:
    """The label is not there."""

    def matches(self, value):
        return value is None


class NodeLabelSchedulingStrategy:
    """On a node with certain labels.

    Args:
        hard (dict[str, In | NotIn | Exists | DoesNotExist]): what a node must have.
        soft (dict | None): what it should have, if there is such a node.

    Raises:
        ValueError: both are empty, or a condition is none of the four.
    """

    def __init__(self, hard, *, soft=None):
        self.hard = _checked_conditions(hard, "hard")
        self.soft = _checked_conditions(soft, "soft")
        if not self.hard and not self.soft:
            raise ValueError("The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty.")


def _check_values(name, values):
    if not values:
        raise ValueError(f"The `{name}` condition needs at least one value.")
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"Type of value in position of `{name}` must be str, got {type(value)}: {value!r}.")


def _checked_conditions(conditions, which):
    if conditions is None:
        return {}
    if not isinstance(conditions, dict):
        raise ValueError(f"The {which} parameter must be a dict of labels to conditions, got {conditions!r}.")
    for label, condition in conditions.items():
        if not isinstance(label, str):
            raise ValueError(f"The names of labels must be strings, got {label!r} in {which}.")
        if not isinstance(condition, (In, NotIn, Exists, DoesNotExist)):
            raise ValueError(
                f"The condition of label {label!r} must be In, NotIn, Exists or DoesNotExist, got {condition!r} in {which}."
            )
    return dict(conditions)
