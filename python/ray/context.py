"""What `ray.init` returns, and what it accepts without acting on it."""

from ray import _core, cluster

# Keywords of today's API that programs pass and that change nothing here.
_ACCEPTED = {
    "configure_logging",
    "dashboard_host",
    "dashboard_port",
    "driver_mode",
    "enable_resource_isolation",
    "job_config",
    "labels",
    "log_to_driver",
    "logging_config",
    "logging_format",
    "node_ip_address",
    "scheduler_address",
    "_memory",
    "_metrics_export_port",
    "_node_ip_address",
    "_node_name",
    "_plasma_directory",
    "_redis_password",
    "_redis_username",
    "_system_config",
    "_temp_dir",
}


def check_unknown(keywords):
    """Raises RuntimeError for keywords of `ray.init` that nobody knows."""
    unknown = sorted(set(keywords) - _ACCEPTED)
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")


class RayContext:
    """The cluster `ray.init` started. `with ray.init():` ends it at the end of the block."""

    dashboard_url = None

    def __init__(self):
        import sys

        import ray

        self.python_version = ".".join(map(str, sys.version_info[:3]))
        self.ray_version = ray.__version__
        self.ray_commit = ray.__commit__
        session = cluster.session_dir() or ""
        self.address_info = {
            "address": session,
            "gcs_address": session,
            "node_ip_address": "127.0.0.1",
            "session_dir": session,
            "node_id": f"{_core.identity()[1]:056x}",
            "webui_url": None,
        }

    def __getitem__(self, key):
        return self.address_info[key]

    def get(self, key, default=None):
        return self.address_info.get(key, default)

    def disconnect(self):
        """Ends the cluster."""
        cluster.stop()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        cluster.stop()

    def __repr__(self):
        return f"RayContext(session={self.address_info['session_dir']!r})"
