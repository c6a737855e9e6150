"""Rows of the lists: one class per kind of thing. `row.name` and `row["name"]` are the same."""

from dataclasses import asdict, dataclass, field, fields

#: Rows a list has at most, and by default.
MAX_LIMIT = 10_000
DEFAULT_LIMIT = 100
DEFAULT_RPC_TIMEOUT = 30


def detail():
    """A field that only `detail=True` fills."""
    return field(default=None, metadata={"detail": True})


class StateSchema:
    """What all rows offer."""

    def __getitem__(self, key):
        try:
            return getattr(self, key)
        except AttributeError:
            raise KeyError(key) from None

    def get(self, key, default=None):
        return getattr(self, key, default)

    def asdict(self):
        return asdict(self)

    @classmethod
    def columns(cls):
        """set[str]: names of all fields."""
        return {entry.name for entry in fields(cls)}

    @classmethod
    def base_columns(cls):
        """set[str]: names of the fields that are filled without `detail=True`."""
        return {entry.name for entry in fields(cls) if not entry.metadata.get("detail")}


@dataclass
class ActorState(StateSchema):
    actor_id: str
    class_name: str
    state: str  # DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING, DEAD
    job_id: str
    name: str
    node_id: str | None
    pid: int
    ray_namespace: str
    death_cause: dict | None = detail()
    num_restarts: int | None = detail()
    is_detached: bool | None = detail()
    repr_name: str | None = detail()
    placement_group_id: str | None = detail()
    required_resources: dict | None = detail()


@dataclass
class TaskState(StateSchema):
    task_id: str
    attempt_number: int
    name: str
    state: str  # PENDING_ARGS_AVAIL, PENDING_NODE_ASSIGNMENT, RUNNING, FINISHED, FAILED
    job_id: str
    actor_id: str | None
    type: str  # NORMAL_TASK, ACTOR_TASK
    func_or_class_name: str
    parent_task_id: str | None
    node_id: str | None
    worker_id: str | None
    worker_pid: int | None
    error_type: str | None
    error_message: str | None = detail()
    required_resources: dict | None = detail()
    placement_group_id: str | None = detail()
    start_time_ms: int | None = detail()
    end_time_ms: int | None = detail()
    creation_time_ms: int | None = detail()


@dataclass
class NodeState(StateSchema):
    node_id: str
    node_ip: str
    is_head_node: bool
    state: str  # ALIVE, DEAD
    state_message: str | None
    node_name: str
    resources_total: dict
    labels: dict
    start_time_ms: int | None = detail()
    end_time_ms: int | None = detail()


@dataclass
class WorkerState(StateSchema):
    worker_id: str
    is_alive: bool
    worker_type: str  # WORKER, DRIVER
    exit_type: str | None
    node_id: str
    ip: str
    pid: int
    exit_detail: str | None = detail()
    #: What it does, in words.
    activity: str | None = detail()


@dataclass
class ObjectState(StateSchema):
    object_id: str
    object_size: int
    task_status: str
    reference_type: str
    call_site: str
    type: str  # DRIVER, WORKER: whose reference it is
    pid: int
    ip: str


@dataclass
class PlacementGroupState(StateSchema):
    placement_group_id: str
    name: str
    creator_job_id: str
    state: str  # PENDING, CREATED, RESCHEDULING, REMOVED
    bundles: list | None = detail()
    is_detached: bool | None = detail()
    stats: dict | None = detail()


@dataclass
class JobState(StateSchema):
    job_id: str
    submission_id: str | None
    type: str
    status: str
    entrypoint: str
    driver_info: dict | None
    message: str | None = None


@dataclass
class RuntimeEnvState(StateSchema):
    runtime_env: dict
    success: bool
    node_id: str
    creation_time_ms: int | None = None
    ref_cnt: int | None = detail()
    error: str | None = detail()
