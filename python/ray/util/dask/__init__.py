"""dask's collections computed by remote functions: `enable_dask_on_ray()`, or `scheduler=ray_dask_get`."""

import importlib.util

if importlib.util.find_spec("dask") is None:
    raise ImportError("ray.util.dask needs dask. To install it: pip install dask")

from ray.util.dask.callbacks import ProgressBarCallback, RayDaskCallback, local_ray_callbacks, unpack_ray_callbacks
from ray.util.dask.scheduler import disable_dask_on_ray, enable_dask_on_ray, ray_dask_get, ray_dask_get_sync, ray_dask_persist

__all__ = [
    "ProgressBarCallback",
    "RayDaskCallback",
    "disable_dask_on_ray",
    "enable_dask_on_ray",
    "local_ray_callbacks",
    "ray_dask_get",
    "ray_dask_get_sync",
    "ray_dask_persist",
    "unpack_ray_callbacks",
]
