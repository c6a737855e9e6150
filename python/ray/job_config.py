"""What a driver says about its job as a whole."""

import os


class JobConfig:
    """What holds for everything a driver does.

    Args:
        runtime_env (dict | None): its runtime environment.
        metadata (dict[str, str] | None): words about it.
        ray_namespace (str | None): where its actors are named.
        default_actor_lifetime (str): "non_detached", or "detached" for actors that outlive their handles.
        code_search_path (list[str] | str | None), jvm_options, _py_driver_sys_path: accepted.

    Raises:
        ValueError: another lifetime.
    """

    def __init__(
        self,
        jvm_options=None,
        code_search_path=None,
        runtime_env=None,
        _client_job=False,
        metadata=None,
        ray_namespace=None,
        default_actor_lifetime="non_detached",
        _py_driver_sys_path=None,
        _py_logging_config=None,
    ):
        self.jvm_options = jvm_options or []
        self.code_search_path = [code_search_path] if isinstance(code_search_path, str) else code_search_path or []
        self.metadata = dict(metadata or {})
        self.ray_namespace = ray_namespace
        self.set_runtime_env(runtime_env)
        self.set_default_actor_lifetime(default_actor_lifetime)

    def set_metadata(self, key, value):
        self.metadata[key] = value

    def set_runtime_env(self, runtime_env, validate=False):
        if validate:
            from ray.runtime_env import as_runtime_env

            runtime_env = as_runtime_env(runtime_env)
        self.runtime_env = {} if runtime_env is None else runtime_env

    def set_ray_namespace(self, ray_namespace):
        self.ray_namespace = ray_namespace

    def set_default_actor_lifetime(self, default_actor_lifetime):
        if default_actor_lifetime not in ("detached", "non_detached"):
            raise ValueError(f"Default actor lifetime must be one of `detached`, `non_detached`, got {default_actor_lifetime!r}.")
        self._default_actor_lifetime = default_actor_lifetime

    @classmethod
    def from_json(cls, given):
        """From a dict, as a job that was submitted carries it."""
        return cls(
            runtime_env=given.get("runtime_env"),
            metadata=given.get("metadata"),
            ray_namespace=given.get("ray_namespace"),
            default_actor_lifetime=given.get("default_actor_lifetime", "non_detached"),
            code_search_path=given.get("code_search_path"),
        )

    @classmethod
    def from_environment(cls):
        """What whoever started this driver says, or None."""
        text = os.environ.get(VARIABLE)
        if not text:
            return None
        import json

        return cls.from_json(json.loads(text))


#: Where a submitted job finds its configuration, as JSON.
VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
