"""Training frameworks ask here for the machine's address."""

from ray.services import get_node_ip_address

__all__ = ["get_node_ip_address"]
