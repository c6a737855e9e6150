"""The backend: each batch of joblib's is a call of a `ray.util.multiprocessing.Pool`."""

from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

import ray
from ray.util.multiprocessing import Pool


class RayBackend(AutoBatchingMixin, ParallelBackendBase):
    """Has joblib's calls run by actors of a cluster, which is started if there is none.

    Args:
        nesting_level (int): how deep in other calls of joblib this is.
        ray_remote_args (dict | None): options of the actors.
    """

    supports_retrieve_callback = True
    supports_return_generator = True
    supports_timeout = True

    def __init__(self, nesting_level=None, inner_max_num_threads=None, ray_remote_args=None, **others):
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **others)
        self.ray_remote_args = ray_remote_args
        self._pool = None

    def effective_n_jobs(self, n_jobs):
        """int: how many calls run at a time; -1 means as many as the cluster has CPUs.

        Raises:
            ValueError: n_jobs is 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        if not ray.is_initialized():
            ray.init()
        cpus = int(ray.cluster_resources()["CPU"])
        return max(cpus + 1 + n_jobs, 1)

    def configure(self, n_jobs=1, parallel=None, prefer=None, require=None, **others):
        """Starts the pool; how many calls run at a time."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self._pool = Pool(processes=n_jobs, ray_remote_args=self.ray_remote_args)
        self.parallel = parallel
        return n_jobs

    def submit(self, func, callback=None):
        """Runs a batch; `callback` is called with the result, or with the error."""
        return self._pool.apply_async(func, callback=callback, error_callback=callback)

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out):
        """What a callback was called with, as the result it is."""
        if isinstance(out, BaseException):
            raise out
        return out

    def terminate(self):
        """Ends the pool."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    def abort_everything(self, ensure_ready=True):
        """Ends what runs; with `ensure_ready`, a new pool is there for what comes."""
        self.terminate()
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)
