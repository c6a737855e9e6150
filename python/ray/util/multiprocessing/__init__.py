"""A pool of processes with the methods of `multiprocessing.Pool`; its processes are actors."""

from multiprocessing import JoinableQueue, TimeoutError

from ray.util.multiprocessing.pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
