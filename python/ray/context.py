"""What `ray.init` returns."""

from collections.abc import Mapping

from ray import _core, cluster


class BaseContext(Mapping):
    """A process's membership of a cluster, as a context manager and, for old programs, a mapping."""

    dashboard_url = None
    python_version = ray_version = ray_commit = ""

    def disconnect(self):
        """Leaves the cluster; ends it if this process has started it."""
        cluster.stop()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.disconnect()


class RayContext(BaseContext):
    """The cluster `ray.init` started or joined. `with ray.init():` ends it at the end of the block.

    Attributes:
        address_info (dict): where it is: "address", "node_ip_address", "session_dir", "node_id" and more.
        dashboard_url (None): there is no dashboard.
        python_version, ray_version, ray_commit (str): of this process.
    """

    def __init__(self):
        import sys

        import ray

        self.python_version = ".".join(map(str, sys.version_info[:3]))
        self.ray_version = ray.__version__
        self.ray_commit = ray.__commit__
        self.address_info = address_info()

    def __getitem__(self, key):
        import warnings

        text = f'Accessing values through ctx["{key}"] is deprecated. Use ctx.address_info["{key}"] instead.'
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.address_info[key]

    def get(self, key, default=None):
        return self.address_info.get(key, default)

    def __len__(self):
        return len(self.address_info)

    def __iter__(self):
        return iter(self.address_info)

    def __eq__(self, other):
        return isinstance(other, RayContext) and other.address_info == self.address_info

    __hash__ = None  # type: ignore[assignment]  # as a dict

    def __repr__(self):
        return (
            f"RayContext(dashboard_url={self.dashboard_url!r}, python_version={self.python_version!r}, "
            f"ray_version={self.ray_version!r}, ray_commit={self.ray_commit!r})"
        )

    def _repr_html_(self):
        from html import escape

        rows = (("Python version", self.python_version), ("Ray version", self.ray_version), ("Dashboard", self.dashboard_url))
        cells = "".join(f"<tr><td><b>{name}:</b></td><td>{escape(str(value))}</td></tr>" for name, value in rows)
        return f"<table>{cells}</table>"


def address_info():
    """dict: where the cluster is, in the words of today's API. What does not exist here is None, or 0 where it is a port."""
    from ray import sessions

    session = cluster.session_dir()
    address = None if session is None else sessions.address_of(session)
    store = next((node["store_socket"] for node in _core.cluster_info()["nodes"] if node["node"] == _core.identity()[1]), None)
    return {
        "node_ip_address": "127.0.0.1",
        "raylet_ip_address": "127.0.0.1",
        "redis_address": None,
        "object_store_address": store,
        "raylet_socket_name": None if session is None else f"{session}/scheduler.sock",
        "webui_url": None,
        "session_dir": session or "",
        "metrics_export_port": 0,
        "gcs_address": address,
        "address": address,
        "dashboard_agent_listen_port": 0,
        "node_id": f"{_core.identity()[1]:056x}",
    }
