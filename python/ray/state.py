"""The cluster as it is: nodes and resources."""

from ray import _core


def _info():
    if not _core.is_connected():
        from ray.exceptions import RaySystemError

        raise RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")
    return _core.cluster_info()


def nodes():
    """The nodes that are or were, one dict each."""
    rows = []
    for node in _info()["nodes"]:
        rows.append(
            {
                "NodeID": f"{node['node']:056x}",
                "Alive": node["alive"],
                "alive": node["alive"],
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": _hostname(),
                "NodeName": "127.0.0.1",
                "ObjectStoreSocketName": node["store_socket"],
                "Resources": _amounts(node["total"], node),
                "Labels": {},
            }
        )
    return rows


def cluster_resources():
    """dict[str, float]: everything the nodes that are alive have."""
    return _sum("total")


def available_resources():
    """dict[str, float]: what is free; a resource that is used up is absent."""
    return {name: amount for name, amount in _sum("available").items() if amount > 0}


def _sum(kind):
    total = {}
    for node in _info()["nodes"]:
        if node["alive"]:
            for name, amount in _amounts(node[kind], node).items():
                total[name] = total.get(name, 0.0) + amount
    return total


def _amounts(amounts, node):
    return {"CPU": 0.0, **amounts, "object_store_memory": float(node["store_capacity_bytes"]), "node:127.0.0.1": 1.0}


def _hostname():
    import socket

    return socket.gethostname()
