"""Starting a cluster in the words of the tutorial: `ray.services.start_ray_local(num_workers=10)`."""

from ray.modes import PYTHON_MODE, SCRIPT_MODE


def start_ray_local(
    num_workers: int = 0,
    worker_path: str | None = None,
    driver_mode: int = SCRIPT_MODE,
    *,
    num_objstores: int = 1,
    object_store_memory: int | None = None,
    mode: int | None = None,
) -> None:
    """Starts a scheduler, object stores and workers as processes of their own, and joins them. They end with this interpreter.

    Args:
        num_workers (int): worker processes. With 0, objects work and tasks wait for ever.
        worker_path: accepted for old programs; workers need no script any more.
        driver_mode (int): `ray.PYTHON_MODE` starts nothing: remote functions are then called directly, on copies of their
            arguments, and return values instead of references. Other modes are accepted for old programs.
        num_objstores (int): object stores on this machine, each with its part of the workers.
        object_store_memory (int | None): bytes each store may take.
        mode (int | None): as `driver_mode`.

    Raises:
        RuntimeError: a cluster has been started already.
        TypeError, ValueError: a number is out of range.

    >>> ray.services.start_ray_local(num_workers=2)
    """
    from ray import cluster

    if PYTHON_MODE in (mode, driver_mode):
        from ray import local_mode

        local_mode.start(returns_values=True)
        return
    cluster.start(num_workers=num_workers, num_objstores=num_objstores, store_bytes=object_store_memory)


def cleanup() -> None:
    """Ends the cluster, as `ray.shutdown`."""
    from ray import cluster

    cluster.stop()


def get_node_ip_address(address: str = "") -> str:
    """str: this machine's address, as other machines of its network would use it."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks the kernel which address it would use
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
