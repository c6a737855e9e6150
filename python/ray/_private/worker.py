"""`global_worker` and its like: libraries ask it whether they run in a worker, and where the cluster is."""

from ray import _core
from ray.api import cancel, get, get_actor, init, is_initialized, kill, put, remote, shutdown, wait
from ray.context import BaseContext, RayContext
from ray.modes import LOCAL_MODE, RESTORE_WORKER_MODE, SCRIPT_MODE, SPILL_WORKER_MODE, WORKER_MODE

__all__ = [
    "LOCAL_MODE",
    "RESTORE_WORKER_MODE",
    "SCRIPT_MODE",
    "SPILL_WORKER_MODE",
    "WORKER_MODE",
    "BaseContext",
    "RayContext",
    "cancel",
    "get",
    "get_actor",
    "get_dashboard_url",
    "get_resource_ids",
    "global_worker",
    "init",
    "is_initialized",
    "kill",
    "put",
    "remote",
    "shutdown",
    "wait",
]

#: Called, without arguments, at the end of every `ray.init`.
_post_init_hooks: list = []
#: Whether a `ray.get` in an event loop has been warned of; libraries set it to keep the warning away.
blocking_get_inside_async_warned = False


class Worker:
    """This process, as a member of a cluster or of none."""

    @property
    def connected(self):
        return _core.is_connected()

    @property
    def mode(self):
        """One of the modes; None outside a cluster."""
        if not self.connected:
            return None
        import sys

        local_mode = sys.modules.get("ray.local_mode")
        if local_mode is not None and local_mode.is_active():
            return LOCAL_MODE
        from ray.runtime_context import _is_worker

        return WORKER_MODE if _is_worker() else SCRIPT_MODE

    @property
    def is_in_worker(self):
        return self.mode == WORKER_MODE

    def check_connected(self):
        """Raises RaySystemError outside a cluster."""
        if not self.connected:
            from ray.exceptions import RaySystemError

            raise RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")

    @property
    def worker_id(self):
        """bytes: this process."""
        from ray.ids import WorkerID

        return bytes.fromhex(_context().get_worker_id()) if self.connected else WorkerID.nil().binary()

    @property
    def current_node_id(self):
        from ray.ids import NodeID

        return NodeID.from_hex(_context().get_node_id())

    @property
    def current_job_id(self):
        from ray.ids import JobID

        return JobID.from_hex(_context().get_job_id()) if self.connected else JobID.nil()

    @property
    def current_task_id(self):
        from ray.ids import TaskID

        found = _context()._running_task_id()
        return TaskID.nil() if found is None else TaskID.from_hex(found)

    @property
    def actor_id(self):
        """ActorID: the actor this process is; the nil id if it is none."""
        from ray.ids import ActorID

        found = _context().get_actor_id()
        return ActorID.nil() if found is None else ActorID.from_hex(found)

    @property
    def actor_name(self):
        return _context().get_actor_name()

    @property
    def namespace(self):
        return _context().namespace

    @property
    def runtime_env(self):
        """str: the job's runtime environment, as JSON."""
        return _context().get_runtime_env_string()

    @property
    def node(self):
        return _Node() if self.connected else None

    @property
    def gcs_client(self):
        from ray._raylet import GcsClient

        return GcsClient(_context().gcs_address)

    @property
    def core_worker(self):
        self.check_connected()
        return self

    def get_current_task_id(self):
        return self.current_task_id

    def get_current_job_id(self):
        return self.current_job_id

    def get_current_node_id(self):
        return self.current_node_id

    def get_actor_id(self):
        return self.actor_id

    def get_worker_id(self):
        from ray.ids import WorkerID

        return WorkerID(self.worker_id)

    def get_placement_group_id(self):
        from ray.ids import PlacementGroupID

        found = _context().get_placement_group_id()
        return PlacementGroupID.nil() if found is None else PlacementGroupID.from_hex(found)

    def current_actor_is_asyncio(self):
        import sys

        module = sys.modules.get("ray.actor_worker")
        return module is not None and module._Server.current is not None


class _Node:
    """This node, as the cluster knows it."""

    node_ip_address = raylet_ip_address = "127.0.0.1"

    @property
    def address_info(self):
        from ray.context import address_info

        return address_info()

    @property
    def unique_id(self):
        return _context().get_node_id()

    node_id = unique_id

    @property
    def session_name(self):
        return _context().get_session_name()

    @property
    def gcs_address(self):
        return _context().gcs_address

    address = gcs_address

    def is_head(self):
        return _core.identity()[1] == 0

    def get_session_dir_path(self):
        return _context()._session()

    def get_temp_dir_path(self):
        return _context().get_temp_dir()

    def get_logs_dir_path(self):
        """str: where files of this session go. Output of workers is not kept: it goes to the driver."""
        return _context()._session()


def _context():
    from ray.runtime_context import RuntimeContext

    return RuntimeContext()


global_worker = Worker()


def get_dashboard_url():
    """None: there is no dashboard."""


def get_resource_ids():
    """dict[str, list[str]]: the accelerators of what runs here, by kind."""
    return _context().get_accelerator_ids()


def __getattr__(name):
    if name == "_global_node":
        return global_worker.node
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
