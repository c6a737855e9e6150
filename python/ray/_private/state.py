"""Libraries read resources per node, actors and placement groups here; `ray.state` and `ray.util` hold the real thing."""

from ray.state import (
    actors,
    available_resources,
    available_resources_per_node,
    cluster_resources,
    node_ids,
    nodes,
    timeline,
    total_resources_per_node,
)

__all__ = [
    "actors",
    "available_resources",
    "available_resources_per_node",
    "cluster_resources",
    "node_ids",
    "nodes",
    "state",
    "timeline",
    "total_resources_per_node",
]


class GlobalState:
    """The same as methods."""

    def node_table(self):
        return nodes()

    def actor_table(self, actor_id=None):
        return actors(actor_id if actor_id is None or isinstance(actor_id, str) else actor_id.hex())

    def cluster_resources(self):
        return cluster_resources()

    def available_resources(self):
        return available_resources()

    def available_resources_per_node(self):
        return available_resources_per_node()

    def total_resources_per_node(self):
        return total_resources_per_node()

    def chrome_tracing_dump(self, filename=None):
        return timeline(filename)

    def placement_group_table(self, placement_group_id=None):
        """What is known of a placement group, by its id; of all without one."""
        from ray.util import placement_group_table

        table = placement_group_table()
        if placement_group_id is None:
            return table
        key = placement_group_id if isinstance(placement_group_id, str) else placement_group_id.hex()
        return table.get(key, {})


state = GlobalState()
