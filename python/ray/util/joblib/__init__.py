"""joblib's `Parallel` over a cluster: `register_ray()`, then `joblib.parallel_backend("ray")`."""


def register_ray():
    """Makes "ray" a backend of joblib.

    >>> import joblib
    >>> register_ray()
    >>> with joblib.parallel_backend("ray", n_jobs=2):
    ...     joblib.Parallel()(joblib.delayed(abs)(x) for x in [-1, 2])
    [1, 2]

    Raises:
        ImportError: joblib is not installed.
    """
    try:
        from joblib.parallel import register_parallel_backend
    except ImportError as error:
        raise ImportError("register_ray() needs joblib. To install it: pip install joblib") from error
    from ray.util.joblib.ray_backend import RayBackend

    register_parallel_backend("ray", RayBackend)


__all__ = ["register_ray"]
