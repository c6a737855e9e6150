"""Placement groups: resources set aside, all at once, for the tasks and actors that name the group.

A group is a list of bundles. Once every bundle has found a node, the node has the bundle's resources under names of the group's own
(`CPU_group_<id>`, and `CPU_group_0_<id>` for bundle 0), and a task in the group asks for those instead of the plain ones. Everything
else, waiting, leases, explanations, works on those names as on any other.
"""

from ray import _core

_STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")

# What each bundle has of the resource that marks membership, and how much of it a task takes that asks for nothing else.
_MARK = "bundle"
_MARK_SHARE = 0.001


class PlacementGroup:
    """A handle of a placement group; may travel anywhere.

    Attributes:
        id (ray.PlacementGroupID): names it.
    """

    def __init__(self, id, bundle_cache=None):
        self.id = id
        self._bundles = bundle_cache

    @staticmethod
    def empty():
        """PlacementGroup: none at all; a task with it belongs to no group."""
        return PlacementGroup(_id_class().nil())

    @property
    def is_empty(self):
        """bool: whether it stands for no group."""
        return self.id.is_nil()

    @property
    def bundle_specs(self):
        """list[dict[str, float]]: what each bundle has."""
        if self._bundles is None:
            row = None if self.is_empty else _row(self.id)
            self._bundles = [] if row is None else row["bundles"]
        return [dict(bundle) for bundle in self._bundles]

    @property
    def bundle_count(self):
        """int: how many bundles it has."""
        return len(self.bundle_specs)

    def ready(self):
        """A reference to this handle, which exists once every bundle has its resources.

        Returns:
            ray.ObjectRef: for `ray.get` and `ray.wait`. It fails with TaskPlacementGroupRemoved when the group is removed before.
        """
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = PlacementGroupSchedulingStrategy(self)
        return _ready_task().options(num_cpus=0, scheduling_strategy=strategy).remote(self)

    def wait(self, timeout_seconds=30):
        """Waits until every bundle has its resources.

        Args:
            timeout_seconds (float | None): how long at most; None and -1: for ever.

        Returns:
            bool: whether they have; False too when the group was removed.
        """
        forever = timeout_seconds is None or timeout_seconds < 0
        return _core.await_group(self.id.hex(), None if forever else float(timeout_seconds)) == "CREATED"

    def __eq__(self, other):
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return f"PlacementGroup({self.id.hex()})"

    def __reduce__(self):
        return PlacementGroup, (self.id, self._bundles)


def placement_group(
    bundles,
    strategy=None,
    name="",
    lifetime=None,
    _soft_target_node_id=None,
    bundle_label_selector=None,
    topology_strategy=None,
):
    """Asks for resources to be set aside together. Returns at once; `wait()` and `ready()` tell when they are.

    Args:
        bundles (list[dict[str, float]]): what is to be set aside; each bundle lies on one node.
        strategy (str | None): "PACK" (on few nodes if possible; the default), "SPREAD" (on many if possible), "STRICT_PACK" (on one),
            "STRICT_SPREAD" (each on another).
        name (str): for `get_placement_group`.
        lifetime (str | None): "detached": it outlives the program that made it.

    Returns:
        PlacementGroup

    Raises:
        ValueError: the bundles, the strategy or the lifetime are none, or the name is taken.
        ray.exceptions.RaySystemError: this process is in no cluster.

    >>> group = placement_group([{"CPU": 1}])
    >>> group.wait(timeout_seconds=10)
    True
    >>> remove_placement_group(group)
    """
    _check_connected()
    if strategy is not None and topology_strategy is not None:
        raise ValueError("Give a placement group strategy= or topology_strategy=, not both.")
    strategy = "PACK" if strategy is None else strategy
    if strategy not in _STRATEGIES:
        raise ValueError(f"Invalid placement group strategy {strategy!r}. Supported strategies are: {', '.join(_STRATEGIES)}.")
    if lifetime not in (None, "detached"):
        raise ValueError(f"placement group `lifetime` argument must be either `None` or 'detached', got {lifetime!r}.")
    _check_bundles(bundles)
    if _soft_target_node_id is not None and strategy != "STRICT_PACK":
        raise ValueError(f"_soft_target_node_id goes with the STRICT_PACK strategy only, not with {strategy}.")
    if bundle_label_selector is not None and len(bundle_label_selector) not in (0, len(bundles)):
        raise ValueError(
            f"Invalid bundle label selector {bundle_label_selector}: it must have as many entries as there are bundles, "
            f"{len(bundles)}, or be empty."
        )
    from ray.runtime_context import current_namespace

    chosen = _new_id()
    amounts = [{key: float(amount) for key, amount in bundle.items() if amount > 0} for bundle in bundles]
    refused = _core.create_group(
        chosen.hex(),
        name=name or "",
        namespace=current_namespace(),
        strategy=strategy,
        bundles=[list(bundle.items()) for bundle in amounts],
        detached=lifetime == "detached",
    )
    if refused:
        raise ValueError(refused)
    return PlacementGroup(chosen, amounts)


def _check_bundles(bundles):
    if not isinstance(bundles, list):
        raise ValueError(f"The placement group's bundles must be a list, got {type(bundles)}: {bundles!r}.")
    if not bundles:
        raise ValueError("The placement group's `bundles` argument cannot contain an empty list.")
    for bundle in bundles:
        if not isinstance(bundle, dict):
            raise ValueError(f"Bundles must be a list of resource dictionaries, got {bundle!r} among them.")
        for name, amount in bundle.items():
            numeric = isinstance(amount, (int, float)) and not isinstance(amount, bool)
            if not isinstance(name, str) or not numeric or not 0 <= amount < float("inf"):
                raise ValueError(f"A bundle holds amounts from 0 on by name, got {name!r}: {amount!r} in {bundle!r}.")
        if not any(bundle.values()):
            raise ValueError(
                f"Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: {bundles}. "
                "Leave such a bundle out."
            )


def remove_placement_group(placement_group):
    """Gives a group's resources back. What runs in it is ended; what waits for it fails with TaskPlacementGroupRemoved, or
    ActorPlacementGroupRemoved."""
    assert placement_group is not None
    _check_connected()
    _core.remove_group(placement_group.id.hex())


def get_placement_group(placement_group_name):
    """The group of this name.

    Raises:
        ValueError: there is none.
    """
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    _auto_init()
    from ray.runtime_context import current_namespace

    here = current_namespace()
    for row in _core.group_rows():
        if row["name"] == placement_group_name and row["namespace"] == here and row["state"] != "REMOVED":
            return PlacementGroup(_id_class().from_hex(row["group"]), row["bundles"])
    raise ValueError(
        f"Failed to look up placement group with name: {placement_group_name}. It was not created in namespace {here!r}, or it has "
        "been removed."
    )


def get_current_placement_group():
    """The group that the running task or actor belongs to.

    Returns:
        PlacementGroup | None: None on a driver, and outside of groups.
    """
    _auto_init()
    found = _core.current_group()
    return None if found is None else PlacementGroup(_id_class().from_hex(found[0]))


def placement_group_table(placement_group=None):
    """What is known of one group, or of all.

    Returns:
        dict: with a group, its "placement_group_id", "name", "bundles" (by index), "bundles_to_node_id", "strategy", "state"
            ("PENDING", "CREATED", "RESCHEDULING" or "REMOVED") and "stats"; {} when it is not known. Without one, such dicts by id.
    """
    _check_connected()
    if placement_group is None:
        return {row["group"]: _table_of(row) for row in _core.group_rows()}
    row = _row(placement_group.id)
    return {} if row is None else _table_of(row)


def check_placement_group_index(placement_group, bundle_index):
    """Raises ValueError when a group has no such bundle; -1 stands for any."""
    assert placement_group is not None
    if placement_group.is_empty:
        if bundle_index != -1:
            raise ValueError(f"If placement group is not set, the value of bundle index must be -1, got {bundle_index}.")
        return
    count = placement_group.bundle_count
    if not -1 <= bundle_index < count:
        raise ValueError(
            f"placement group bundle index {bundle_index} is invalid. Valid placement group indexes: 0-{count - 1}, or -1 for any."
        )


def resources_in_group(group, index, amounts, what):
    """What a task asks for in a group instead of plain resources, as (name, amount) pairs.

    Args:
        group (PlacementGroup): which.
        index (int): the bundle to run in; -1: whichever has room.
        amounts (list[tuple[str, float]]): the plain ones.
        what (str): the task or actor, for the error.

    Raises:
        ValueError: no bundle could ever hold this, or there is no such bundle.
    """
    check_placement_group_index(group, index)
    bundles = group.bundle_specs
    wanted = dict(amounts)
    candidates = bundles if index == -1 else bundles[index : index + 1]
    if not any(all(bundle.get(name, 0.0) >= amount for name, amount in wanted.items()) for bundle in candidates):
        asked = ", ".join(f"{name}: {amount:g}" for name, amount in wanted.items())
        raise ValueError(
            f"Cannot schedule {what} with the placement group because the resource request {{{asked}}} cannot fit into any bundles "
            f"for the placement group, {bundles}. Ask for less, or make the group with a bundle that has this much."
        )
    return grouped(amounts, group.id.hex(), index)


def grouped(amounts, group, index):
    """Plain amounts under a group's names, as (name, amount) pairs."""
    amounts = list(amounts) or [(_MARK, _MARK_SHARE)]
    names = [(f"{name}_group_{group}", amount) for name, amount in amounts]
    if index >= 0:
        names += [(f"{name}_group_{index}_{group}", amount) for name, amount in amounts]
    return names


def plain_name(name):
    """A resource's name without the group it belongs to."""
    return name.split("_group_")[0]


def _row(id):
    wanted = id.hex()
    return next((row for row in _core.group_rows() if row["group"] == wanted), None)


def _table_of(row):
    latency_ms = row["created_after_ms"]
    states = {"PENDING": "NO_RESOURCES", "CREATED": "FINISHED", "REMOVED": "REMOVED", "RESCHEDULING": "NO_RESOURCES"}
    return {
        "placement_group_id": row["group"],
        "name": row["name"],
        "bundles": dict(enumerate(row["bundles"])),
        "bundles_to_node_id": {index: "" if node is None else f"{node:056x}" for index, node in enumerate(row["nodes"])},
        "strategy": row["strategy"],
        "state": row["state"],
        "stats": {
            "end_to_end_creation_latency_ms": latency_ms,
            "scheduling_latency_ms": latency_ms,
            "scheduling_attempt": row["attempts"],
            "highest_retry_delay_ms": 0.0,
            "scheduling_state": states[row["state"]],
        },
    }


def _id_class():
    from ray.ids import PlacementGroupID

    return PlacementGroupID


def _new_id():
    import os

    job = (_core.identity()[3] or 1).to_bytes(4, "little")
    return _id_class()(os.urandom(_id_class().SIZE - len(job)) + job)


def _ready_task():
    """The task behind `ready()`: it runs in the group, hence not before there is one."""
    global _ready
    if _ready is None:
        import ray

        @ray.remote
        def placement_group_ready(group):
            return group

        _ready = placement_group_ready
    return _ready


_ready = None


def _check_connected():
    if not _core.is_connected():
        from ray.exceptions import RaySystemError

        raise RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")


def _auto_init():
    if not _core.is_connected():
        from ray.api import _auto_init as start

        start()
