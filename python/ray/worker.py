"""The old home of much that is now elsewhere: `ray.worker.global_worker` and its like, and `ray.worker.cleanup()` of 2016."""

_warned: set[str] = set()


def cleanup():
    """Ends the cluster, as `ray.shutdown`."""
    from ray import cluster

    cluster.stop()


def __getattr__(name):
    from ray._private import worker

    value = getattr(worker, name)
    if name not in _warned:
        _warned.add(name)
        import logging

        logging.getLogger("ray").warning("ray.worker.%s is deprecated: use the public API, or ray._private.worker.%s.", name, name)
    return value
