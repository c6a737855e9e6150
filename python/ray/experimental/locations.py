"""Where objects are."""

from ray import _core


def get_object_locations(obj_refs, timeout_ms=-1):
    """What is known of where objects are.

    Args:
        obj_refs (list[ray.ObjectRef]): which.
        timeout_ms (int): accepted.

    Returns:
        dict: per reference a dict with "node_ids" (list[str]; [] for one that does not exist yet), "object_size" (int | None) and
            "did_spill" (bool).
    """
    node = f"{_core.identity()[1]:056x}" if _core.is_connected() else None
    rows = {}
    for ref in obj_refs:
        exists = _core.is_ready(ref)
        rows[ref] = {"node_ids": [node] if exists else [], "object_size": None, "did_spill": False}
    return rows


def get_local_object_locations(obj_refs):
    """As `get_object_locations`."""
    return get_object_locations(obj_refs)
