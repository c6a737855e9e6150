"""The cluster as it is: nodes, resources, actors, and when its tasks ran."""

from ray import _core


def _info():
    if not _core.is_connected():
        from ray.exceptions import RaySystemError

        raise RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")
    return _core.cluster_info()


def nodes():
    """The nodes that are or were, one dict each.

    Raises:
        RaySystemError: this process is in no cluster.
    """
    from ray.runtime_context import node_labels

    rows = []
    for node in _info()["nodes"]:
        node_id = f"{node['node']:056x}"
        rows.append(
            {
                "NodeID": node_id,
                "Alive": node["alive"],
                "alive": node["alive"],
                "NodeManagerAddress": _ADDRESS,
                "NodeManagerHostname": _hostname(),
                "NodeManagerPort": 0,  # there are no ports: processes talk over Unix sockets
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": node["store_socket"],
                "RayletSocketName": node["store_socket"],
                "MetricsExportPort": 0,
                "MetricsAgentPort": 0,
                "RuntimeEnvAgentPort": 0,
                "NodeName": _ADDRESS,
                "DeathReason": 0 if node["alive"] else 1,
                "DeathReasonMessage": "",
                "Resources": _amounts(node["total"], node) if node["alive"] else {},
                "Labels": {**node_labels(), "ray.io/node-id": node_id},
            }
        )
    return rows


def node_ids():
    """list[str]: the names of the resources that stand for a node each."""
    return [name for name in cluster_resources() if name.startswith("node:") and name != _HEAD]


def cluster_resources():
    """dict[str, float]: everything the nodes that are alive have.

    Raises:
        RaySystemError: this process is in no cluster.
    """
    return _sum("total")


def available_resources():
    """dict[str, float]: what is free; a resource that is used up is absent.

    Raises:
        RaySystemError: this process is in no cluster.
    """
    return {name: amount for name, amount in _sum("available").items() if amount > 0}


def total_resources_per_node():
    """dict[str, dict[str, float]]: what each node that is alive has, by its id."""
    return _per_node("total")


def available_resources_per_node():
    """dict[str, dict[str, float]]: what is free on each node that is alive, by its id."""
    return {
        node: {name: amount for name, amount in amounts.items() if amount > 0} for node, amounts in _per_node("available").items()
    }


def actors(actor_id=None):
    """Actors that are or were.

    Args:
        actor_id (str | None): only this one.

    Returns:
        dict[str, dict]: by id; for one that was asked for its row, or {} when there is none.
    """
    _info()
    rows = {}
    for row in _core.list_actors():
        rows[row["actor_id"]] = {
            "ActorID": row["actor_id"],
            "ActorClassName": row["class_name"],
            "IsDetached": row.get("detached", False),
            "Name": row["name"],
            "JobID": row["actor_id"][-8:],
            "Address": {"IPAddress": _ADDRESS, "Port": 0, "NodeID": f"{row['node']:056x}"},
            "OwnerAddress": {"IPAddress": _ADDRESS, "Port": 0, "NodeID": f"{0:056x}"},
            "State": row["state"],
            "NumRestarts": row["restarts"],
            "Pid": row["pid"],
            "DeathCause": row["death_cause"],
        }
    return rows if actor_id is None else rows.get(actor_id, {})


def timeline(filename=None):
    """What ran where and when, for the viewer at chrome://tracing (or ui.perfetto.dev): a row for each worker.

    A task is shown from when it began until its caller had the result.

    Args:
        filename (str | None): a file to write it to, as JSON.

    Returns:
        list[dict] | None: the events; None when they were written to a file.

    Raises:
        RuntimeError: this process is in no cluster.
    """
    if not _core.is_connected():
        raise RuntimeError("Ray has not been started yet. Call ray.init() before asking for its timeline.")
    pids = {worker["client"]: worker["pid"] for worker in _core.cluster_info()["workers"]}
    events = []
    for task, name, worker, submitted, began, ended, ok in _core.task_times():
        if worker == _NOWHERE:
            continue  # it failed without having run
        events.append(
            {
                "cat": "task",
                "name": name,
                "ph": "X",
                "ts": began,
                "dur": ended - began,
                "pid": _ADDRESS,
                "tid": f"worker:{pids.get(worker, worker)}",
                "cname": "generic_work" if ok else "terrible",
                "args": {"task_id": task.hex(), "name": name, "ok": ok, "submitted_us": submitted},
            }
        )
    if filename is None:
        return events
    import json

    with open(filename, "w") as file:
        json.dump(events, file)
    return None


def _per_node(kind):
    return {f"{node['node']:056x}": _amounts(node[kind], node) for node in _info()["nodes"] if node["alive"]}


def _sum(kind):
    total = {}
    for node in _info()["nodes"]:
        if node["alive"]:
            for name, amount in _amounts(node[kind], node).items():
                total[name] = total.get(name, 0.0) + amount
    return total


def _amounts(amounts, node):
    head = {_HEAD: 1.0} if node["node"] == 0 else {}
    return {
        "CPU": 0.0,
        **amounts,
        "object_store_memory": float(node["store_capacity_bytes"]),
        f"node:{_ADDRESS}": 1.0,
        **head,
    }


_ADDRESS = "127.0.0.1"
_HEAD = "node:__internal_head__"
# What the graph says of a task that has run nowhere.
_NOWHERE = 0


def _hostname():
    import socket

    return socket.gethostname()
