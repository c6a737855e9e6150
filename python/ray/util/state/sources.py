"""Where the rows come from: what the scheduler answers, and what this process knows."""

import os

from ray import _core
from ray.util.state import common

_ADDRESS = "127.0.0.1"


def _actors():
    return [
        common.ActorState(
            actor_id=row["actor_id"],
            class_name=row["class_name"],
            state=row["state"],
            job_id=row["actor_id"][-8:],
            name=row["name"],
            node_id=_node_id(row["node"]) if row["pid"] else None,
            pid=row["pid"],
            ray_namespace=row["namespace"],
            death_cause={"reason": row["death_cause"]} if row["death_cause"] else None,
            num_restarts=row["restarts"],
            is_detached=row.get("detached"),
            repr_name="",
        )
        for row in _core.list_actors()
    ]


# As the graph says, and as this API does. A task whose inputs are there is queued for a worker, or on its way to one.
_TASK_STATES = {"pending": "PENDING_NODE_ASSIGNMENT", "running": "RUNNING", "finished": "FINISHED", "failed": "FAILED"}


def _tasks():
    names, rows, _ = _core.graph()
    cluster, job = _core.identity()[2], _job_id()
    classes = {row["class_name"] for row in _core.list_actors()}
    unfinished = {tuple(row[0]) for row in rows if row[5] in ("pending", "running")}

    def task_id(key):
        client, number = key
        return (number.to_bytes(8, "little") + client.to_bytes(4, "little") + cluster.to_bytes(8, "little")).hex() + job

    found = []
    for key, function, parent, _returns, inputs, state, *_times in rows:
        name = names.get(function, "")
        is_call = "." in name and name.split(".")[0] in classes
        waits = state == "pending" and any((client, number) in unfinished for client, number, _ in inputs)
        found.append(
            common.TaskState(
                task_id=task_id(key),
                attempt_number=0,
                name=name,
                state="PENDING_ARGS_AVAIL" if waits else _TASK_STATES[state],
                job_id=job,
                actor_id=None,
                type="ACTOR_TASK" if is_call else "NORMAL_TASK",
                func_or_class_name=name,
                parent_task_id=None if parent is None else task_id(parent),
                node_id=None,
                worker_id=None,
                worker_pid=None,
                error_type="TASK_EXECUTION_EXCEPTION" if state == "failed" else None,
            )
        )
    return found


def _nodes():
    from ray.state import nodes

    return [
        common.NodeState(
            node_id=row["NodeID"],
            node_ip=row["NodeManagerAddress"],
            is_head_node=index == 0,
            state="ALIVE" if row["Alive"] else "DEAD",
            state_message=row.get("DeathReasonMessage") or None,
            node_name=row["NodeName"],
            resources_total=row["Resources"],
            labels=row["Labels"],
        )
        for index, row in enumerate(nodes())
    ]


def _workers():
    found = [
        common.WorkerState(
            worker_id=f"{row['client']:056x}",
            is_alive=True,
            worker_type="WORKER",
            exit_type=None,
            node_id=_node_id(row["node"]),
            ip=_ADDRESS,
            pid=row["pid"],
            activity=row["state"],
        )
        for row in _core.cluster_info()["workers"]
    ]
    client, node, _, job = _core.identity()
    if job:
        this = common.WorkerState(f"{client:056x}", True, "DRIVER", None, _node_id(node), _ADDRESS, os.getpid())
        found.append(this)
    return found


def _objects():
    client, _, cluster, job = _core.identity()
    found = []
    for (owner, number, index), claims, state, size in _core.object_rows():
        task = number.to_bytes(8, "little") + owner.to_bytes(4, "little") + cluster.to_bytes(8, "little")
        status = {"expected": "PENDING_NODE_ASSIGNMENT", "failed": "FAILED"}.get(state, "FINISHED")
        found.append(
            common.ObjectState(
                object_id=task.hex() + _job_id() + (index + 1).to_bytes(4, "little").hex(),
                object_size=-1 if size is None else size,
                task_status=status,
                reference_type="LOCAL_REFERENCE" if claims else "PINNED_IN_MEMORY",
                call_site="disabled",
                type="DRIVER" if job else "WORKER",
                pid=os.getpid(),
                ip=_ADDRESS,
            )
        )
    return found


def _placement_groups():
    rows = []
    for row in _core.group_rows():
        bundles = [
            {"bundle_id": f"{row['group']}:{index}", "unit_resources": bundle, "node_id": None if node is None else _node_id(node)}
            for index, (bundle, node) in enumerate(zip(row["bundles"], row["nodes"], strict=True))
        ]
        rows.append(
            common.PlacementGroupState(
                placement_group_id=row["group"],
                name=row["name"],
                creator_job_id=_job_id(),
                state=row["state"],
                bundles=bundles,
                is_detached=row["detached"],
                stats={"end_to_end_creation_latency_ms": row["created_after_ms"], "scheduling_attempt": row["attempts"]},
            )
        )
    return rows


def _jobs():
    import shlex
    import sys

    info = {"id": _job_id(), "node_ip_address": _ADDRESS, "pid": str(os.getpid())}
    return [common.JobState(_job_id(), None, "DRIVER", "RUNNING", shlex.join(sys.argv), info)]


def _nothing():
    return []


def _node_id(node):
    return f"{node:056x}"


def _job_id():
    return (_core.identity()[3] or 1).to_bytes(4, "little").hex()


#: Kind of thing -> class of its rows, and where they come from.
SOURCES = {
    "actors": (common.ActorState, _actors),
    "tasks": (common.TaskState, _tasks),
    "nodes": (common.NodeState, _nodes),
    "workers": (common.WorkerState, _workers),
    "objects": (common.ObjectState, _objects),
    "placement_groups": (common.PlacementGroupState, _placement_groups),
    "jobs": (common.JobState, _jobs),
    "runtime_envs": (common.RuntimeEnvState, _nothing),
    "cluster_events": (None, _nothing),
}
