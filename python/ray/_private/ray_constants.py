"""Constants that programs read. Those of parts that do not exist here have the values of today's API."""

import os

ID_SIZE = 28
REDIS_DEFAULT_USERNAME = ""
REDIS_DEFAULT_PASSWORD = ""
MEMORY_RESOURCE_UNIT_BYTES = 1
DEFAULT_OBJECT_STORE_MEMORY_PROPORTION = float(os.environ.get("RAY_DEFAULT_OBJECT_STORE_MEMORY_PROPORTION", "0.3"))
DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES = int(os.environ.get("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(200 * 10**9)))
OBJECT_STORE_MINIMUM_MEMORY_BYTES = 75 * 1024 * 1024
DEFAULT_DASHBOARD_IP = "127.0.0.1"
DEFAULT_DASHBOARD_PORT = 8265
DEFAULT_PORT = 6379
FUNCTION_SIZE_WARN_THRESHOLD = 10 * 1024 * 1024
FUNCTION_SIZE_ERROR_THRESHOLD = 100 * 1024 * 1024
GPU = "GPU"
HEAD_NODE_RESOURCE_NAME = "node:__internal_head__"
RESOURCE_CONSTRAINT_PREFIX = "accelerator_type:"
LOGGER_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
LOGGER_LEVEL = "info"
LOG_PREFIX_ACTOR_NAME = ":actor_name:"
LOG_PREFIX_TASK_NAME = ":task_name:"
RAY_ADDRESS_ENVIRONMENT_VARIABLE = "RAY_ADDRESS"
RAY_NAMESPACE_ENVIRONMENT_VARIABLE = "RAY_NAMESPACE"
RAY_RUNTIME_ENV_ENVIRONMENT_VARIABLE = "RAY_RUNTIME_ENV"
WORKER_PROCESS_TYPE_IDLE_WORKER = "ray::IDLE"
CUDA_VISIBLE_DEVICES_ENV_VAR = "CUDA_VISIBLE_DEVICES"


def env_integer(name, default):
    """int: an environment variable."""
    return int(os.environ.get(name, default))


def env_float(name, default):
    """float: an environment variable."""
    return float(os.environ.get(name, default))


def env_bool(name, default):
    """bool: an environment variable, true for "1" and "true"."""
    return os.environ[name].lower() in ("1", "true") if name in os.environ else default
