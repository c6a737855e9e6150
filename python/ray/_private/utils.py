"""Small helpers that programs import from here."""

from ray._common.utils import binary_to_hex, get_system_memory, hex_to_binary, load_class
from ray.cluster import memory_bytes

__all__ = [
    "binary_to_hex",
    "get_num_cpus",
    "get_system_memory",
    "get_used_memory",
    "hex_to_binary",
    "load_class",
]


def get_num_cpus(override_docker_cpu_warning=False):
    """int: CPUs this process may use."""
    import os

    return len(os.sched_getaffinity(0))


def get_used_memory():
    """int: bytes of this machine's memory that are in use."""
    with open("/proc/meminfo") as file:
        rows = dict(line.split(":") for line in file)
    return memory_bytes() - int(rows["MemAvailable"].split()[0]) * 1024


def get_visible_accelerator_ids():
    """dict[str, list[str]]: the accelerators of what runs here, by kind."""
    from ray.runtime_context import RuntimeContext

    return RuntimeContext().get_accelerator_ids()
