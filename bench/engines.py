"""raio and its peers behind one set of words, with no layer in between: what is called in a loop is their own callable.

`engine.task(function)` is what submits a call and returns a reference or future; `engine.get` takes one of those, or a
list of them.
"""

import functools
import importlib.metadata
import os
import platform

from harness import Skip


def make_engine(name):
    engine = {"raio": Raio, "ray": Ray, "dask": Dask, "loky": Loky, "pool": Pool}.get(name, Bare)()
    engine.name = name
    return engine


def noop():
    return None


class Engine:
    """What an engine must be able to do; here, what those do that cannot."""

    title = "?"
    #: Which of the words of `require` it can do.
    has = ()

    def __init__(self):
        self.started = False

    def start(self, workers):
        self.started = True

    def stop(self):
        if self.started:
            self.started = False
            self._stop()

    def _stop(self):
        pass

    def warm_up(self, workers):
        """Until every worker has run something."""
        call = self.task(noop)
        for _ in range(5):
            self.get([call() for _ in range(20 * workers)])

    def version(self):
        """str: what is installed; found without importing it, so that importing can be measured."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "from the source tree"

    def require(self, what):
        """Raises Skip unless the engine has it."""
        if what not in self.has:
            raise Skip(
                {
                    "references": "an argument cannot be the result of another task",
                    "store": "has no objects outside the driver",
                    "nesting": "a task cannot submit tasks",
                    "wait": "its wait returns all that are done, not one",
                    "actors": "has no actors",
                    "returns": "a task has one result",
                }[what]
            )


class RayLike(Engine):
    """raio and Ray: the same words."""

    has = ("references", "store", "nesting", "wait", "actors", "returns")

    def task(self, function, **options):
        import ray

        return (ray.remote(**options)(function) if options else ray.remote(function)).remote

    def actor(self, cls, **options):
        """Creates one and returns its handle."""
        import ray

        return (ray.remote(**options)(cls) if options else ray.remote(cls)).remote()

    @property
    def get(self):
        import ray

        return ray.get

    @property
    def put(self):
        import ray

        return ray.put

    @property
    def wait(self):
        import ray

        return ray.wait

    def spawner(self, function):
        """A task that submits many of another and gets them; it holds no CPU itself."""
        import ray

        inner = ray.remote(function)

        def spawn(count):
            import ray

            ray.get([inner.remote() for _ in range(count)])

        return self.task(spawn, num_cpus=0)

    def _stop(self):
        import ray

        ray.shutdown()


class Raio(RayLike):
    title = "raio"
    distribution = "raio"

    def start(self, workers):
        import ray

        if not hasattr(ray, "raio_version"):
            raise RuntimeError(f"{ray.__file__} is not raio's")
        ray.services.start_ray_local(num_workers=workers)
        self.started = True


class Ray(RayLike):
    title = "Ray"
    distribution = "ray"

    def start(self, workers):
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        if hasattr(ray, "raio_version"):
            raise RuntimeError(f"{ray.__file__} is raio's")
        ray.init(num_cpus=workers, include_dashboard=False, logging_level="ERROR")
        self.started = True


class Dask(Engine):
    title = "Dask"
    distribution = "distributed"
    has = ("references", "store", "nesting", "actors")

    def start(self, workers):
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        )
        self.client = Client(self.cluster)
        self.started = True

    def _stop(self):
        self.client.close()
        self.cluster.close()

    def task(self, function, **options):
        return functools.partial(self.client.submit, function, pure=False)

    def get(self, what):
        return self.client.gather(what) if isinstance(what, list) else what.result()

    def put(self, value):
        # A list would be scattered element by element.
        return self.client.scatter([value], hash=False)[0]

    def actor(self, cls, **options):
        return self.client.submit(cls, actor=True).result()

    def spawner(self, function):
        def spawn(count):
            from distributed import worker_client

            with worker_client() as client:
                client.gather([client.submit(function, pure=False) for _ in range(count)])

        return self.task(spawn)


class Pool(Engine):
    """concurrent.futures.ProcessPoolExecutor."""

    title = "ProcessPool"
    distribution = None

    def start(self, workers):
        from concurrent.futures import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(workers)
        self.started = True

    def _stop(self):
        self.pool.shutdown()

    def task(self, function, **options):
        return functools.partial(self.pool.submit, function)

    def get(self, what):
        return [future.result() for future in what] if isinstance(what, list) else what.result()

    def version(self):
        return platform.python_version() if self.distribution is None else super().version()


class Loky(Pool):
    title = "loky"
    distribution = "loky"

    def start(self, workers):
        from loky import get_reusable_executor

        self.pool = get_reusable_executor(workers, timeout=None)
        self.started = True

    def _stop(self):
        self.pool.shutdown(wait=True)


class Bare(Engine):
    """No engine at all: the floors start what they need themselves."""

    def warm_up(self, workers):
        pass

    def version(self):
        return platform.python_version()
