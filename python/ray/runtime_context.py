"""Who and where the running code is."""

from ray import _core


class RuntimeContext:
    """See `ray.get_runtime_context`."""

    def _identity(self):
        identity = _core.identity()
        if identity is None:
            raise RuntimeError("Ray has not been started yet. Call ray.init() first.")
        return identity

    def get_job_id(self):
        """str: the job, 8 hexadecimal digits."""
        return (self._identity()[3] or 1).to_bytes(4, "little").hex()

    def get_node_id(self):
        """str: this node, 56 hexadecimal digits."""
        return f"{self._identity()[1]:056x}"

    def get_worker_id(self):
        """str: this process, 56 hexadecimal digits."""
        return f"{self._identity()[0]:056x}"

    def get_task_id(self):
        """str | None: the task that runs here; None on a driver."""
        task = _core.running_task()
        return None if task is None else task.hex()

    def get_task_name(self):
        """str | None: the name of the function that runs here."""
        return _core.current_function_name()

    def get_actor_id(self):
        """None: this process is no actor."""
        return None


_CONTEXT = RuntimeContext()


def get_runtime_context():
    """The context of the running code."""
    if not _core.is_connected():
        from ray.api import _auto_init

        _auto_init()
    return _CONTEXT
