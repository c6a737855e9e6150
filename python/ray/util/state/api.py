"""Lists, single things and summaries. Each question is answered from what the scheduler and this process know at that moment."""

from ray.util.state import sources
from ray.util.state.common import DEFAULT_LIMIT, DEFAULT_RPC_TIMEOUT, MAX_LIMIT
from ray.util.state.exception import RayStateApiException, ServerUnavailable


def _make_list(kind, of_what):
    def function(
        address=None,
        filters=None,
        limit=DEFAULT_LIMIT,
        timeout=DEFAULT_RPC_TIMEOUT,
        detail=False,
        raise_on_missing_output=True,
        _explain=False,
    ):
        return _list(kind, filters, limit, detail)

    function.__name__ = function.__qualname__ = f"list_{kind}"
    function.__doc__ = f"""{of_what}

    Args:
        filters (list[tuple[str, str, Any]] | None): (name of a field, "=" or "!=", value); all must hold.
        limit (int): rows at most, up to 10000.
        detail (bool): fill every field; some are None otherwise.
        address, timeout, raise_on_missing_output, _explain: accepted for compatibility; change nothing.

    Raises:
        ValueError: a filter or the limit cannot be. ConnectionError: this process is in no cluster.
    """
    return function


list_actors = _make_list("actors", "Actors that are or were.")
list_tasks = _make_list("tasks", "Tasks and calls of actors, in the order of their submission.")
list_nodes = _make_list("nodes", "Nodes that are or were.")
list_workers = _make_list("workers", "Processes that run tasks or are actors, and this program.")
list_objects = _make_list("objects", "Objects that this process refers to.")
list_placement_groups = _make_list("placement_groups", "Placement groups that are or were.")
list_jobs = _make_list("jobs", "This program, as a job.")
list_runtime_envs = _make_list("runtime_envs", "Environments that are installed on nodes.")
list_cluster_events = _make_list("cluster_events", "Events of the cluster, of which none are kept.")


def get_actor(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """ActorState | None: the actor of this id (hexadecimal digits)."""
    return _get("actors", "actor_id", id)


def get_task(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """TaskState | None: the task of this id (hexadecimal digits), or the one this reference comes from."""
    return _get("tasks", "task_id", id if isinstance(id, str) else id.task_id().hex())


def get_node(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """NodeState | None: the node of this id."""
    return _get("nodes", "node_id", id)


def get_worker(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """WorkerState | None: the process of this id."""
    return _get("workers", "worker_id", id)


def get_placement_group(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """PlacementGroupState | None: the placement group of this id."""
    return _get("placement_groups", "placement_group_id", id)


def get_job(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """JobState | None: the job of this id."""
    return _get("jobs", "job_id", id)


def get_objects(id, address=None, timeout=DEFAULT_RPC_TIMEOUT, _explain=False):
    """list[ObjectState]: what is known of the object of this id."""
    return _list("objects", [("object_id", "=", id)], MAX_LIMIT, detail=True)


def summarize_tasks(address=None, timeout=DEFAULT_RPC_TIMEOUT, raise_on_missing_output=True, _explain=False):
    """dict: how many tasks of each function are in which state."""
    rows = _rows("tasks")
    summary = {}
    for row in rows:
        entry = summary.setdefault(
            row.func_or_class_name, {"func_or_class_name": row.func_or_class_name, "type": row.type, "state_counts": {}}
        )
        _count(entry["state_counts"], row.state)
    kinds = [row.type for row in rows]
    return {
        "cluster": {
            "summary": summary,
            "total_tasks": kinds.count("NORMAL_TASK"),
            "total_actor_tasks": kinds.count("ACTOR_TASK"),
            "total_actor_scheduled": kinds.count("ACTOR_CREATION_TASK"),
            "summary_by": "func_name",
        }
    }


def summarize_actors(address=None, timeout=DEFAULT_RPC_TIMEOUT, raise_on_missing_output=True, _explain=False):
    """dict: how many actors of each class are in which state."""
    rows = _rows("actors")
    summary = {}
    for row in rows:
        entry = summary.setdefault(row.class_name, {"class_name": row.class_name, "state_counts": {}})
        _count(entry["state_counts"], row.state)
    return {"cluster": {"summary": summary, "total_actors": len(rows), "summary_by": "class"}}


def summarize_objects(address=None, timeout=DEFAULT_RPC_TIMEOUT, raise_on_missing_output=True, _explain=False):
    """dict: how many objects this process refers to, and how large they are."""
    rows = _rows("objects")
    summary = {}
    for row in rows:
        entry = summary.setdefault(
            row.call_site,
            {
                "total_objects": 0,
                "total_size_mb": 0.0,
                "total_num_workers": 1,
                "total_num_nodes": 1,
                "task_state_counts": {},
                "ref_type_counts": {},
            },
        )
        entry["total_objects"] += 1
        entry["total_size_mb"] += max(row.object_size, 0) / 2**20
        _count(entry["task_state_counts"], row.task_status)
        _count(entry["ref_type_counts"], row.reference_type)
    total = sum(max(row.object_size, 0) for row in rows) / 2**20
    return {
        "cluster": {
            "summary": summary,
            "total_objects": len(rows),
            "total_size_mb": total,
            "callsite_enabled": False,
            "summary_by": "callsite",
        }
    }


class StateApiClient:
    """The same questions as methods.

    Args:
        address (str | None): accepted for compatibility; it is this process's cluster that is asked.
    """

    def __init__(self, address=None, cookies=None, headers=None):
        self.address = address

    def list(self, resource, options=None, raise_on_missing_output=True, _explain=False):
        """Rows of one kind, such as "actors"; `options` may have `filters`, `limit` and `detail`."""
        chosen = {name: getattr(options, name) for name in ("filters", "limit", "detail") if hasattr(options, name)}
        return _list(_kind(resource), chosen.get("filters"), chosen.get("limit", DEFAULT_LIMIT), chosen.get("detail", False))

    def get(self, resource, id, options=None, _explain=False):
        """One row, or None."""
        kind = _kind(resource)
        return get_objects(id) if kind == "objects" else _get(kind, f"{kind.removesuffix('s')}_id", id)

    def summary(self, resource, options=None, raise_on_missing_output=True, _explain=False):
        """A summary of "tasks", "actors" or "objects"."""
        summaries = {"tasks": summarize_tasks, "actors": summarize_actors, "objects": summarize_objects}
        return summaries[_kind(resource)]()


def _kind(resource):
    return str(getattr(resource, "value", resource)).replace("-", "_")


def _rows(kind):
    from ray import _core

    if not _core.is_connected():
        raise ConnectionError(
            "Could not find any running Ray instance: this process is in no cluster. Call ray.init() before asking for its state."
        )
    if kind not in sources.SOURCES:
        raise RayStateApiException(f"There are no {kind} to list. There are {', '.join(sorted(sources.SOURCES))}.")
    return sources.SOURCES[kind][1]()


def _list(kind, filters, limit, detail):
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ValueError(f"limit must be a whole number from 0 on, got {limit!r}.")
    if limit > MAX_LIMIT:
        raise ValueError(f"Given limit {limit} exceeds the supported limit {MAX_LIMIT}. Use a lower limit.")
    rows = _rows(kind)
    cls = sources.SOURCES[kind][0]
    for key, predicate, value in filters or ():
        if cls is not None and key not in cls.columns():
            raise ValueError(f"{kind} have no field {key!r} to filter by; they have {', '.join(sorted(cls.columns()))}.")
        if predicate not in ("=", "!="):
            raise ValueError(f"Unsupported filter predicate {predicate!r}. Available predicates: =, !=.")
        rows = [row for row in rows if _equal(row[key], value) == (predicate == "=")]
    rows = rows[:limit]
    if not detail and cls is not None:
        hidden = cls.columns() - cls.base_columns()
        for row in rows:
            for name in hidden:
                setattr(row, name, None)
    return rows


def _equal(have, wanted):
    """Whether a value is the one asked for; on the command line everything is a word, in whichever case."""
    return have == wanted or str(have).lower() == str(wanted).lower()


def _get(kind, key, id):
    found = [row for row in _rows(kind) if row[key] == id]
    return found[0] if found else None


def _count(counts, key):
    counts[key] = counts.get(key, 0) + 1


__all__ = [
    "RayStateApiException",
    "ServerUnavailable",
    "StateApiClient",
    "get_actor",
    "get_job",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_cluster_events",
    "list_jobs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_runtime_envs",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
]
