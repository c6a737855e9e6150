"""The environment variable in which a submitted job finds its configuration."""

from ray.job_config import VARIABLE as RAY_JOB_CONFIG_JSON_ENV_VAR

__all__ = ["RAY_JOB_CONFIG_JSON_ENV_VAR"]
