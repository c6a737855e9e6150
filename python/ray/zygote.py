"""The zygote: a warm, single-threaded process from which workers are forked, so that ten cost milliseconds and share their pages.

It imports what every worker needs, then waits for the scheduler. It must never start a thread: a fork copies only the one that
forks.
"""

import os
import signal
import sys


def main():
    """Runs until the scheduler ends. In a forked child: runs the worker and never returns."""
    session, node = sys.argv[1], int(sys.argv[2])
    sys.argv = [""]
    import gc
    import pickle  # noqa: F401 - workers need these, and share them when they are loaded before the fork

    import cloudpickle  # noqa: F401

    from ray import _core, actor, actor_worker, logging_config, process_title, runtime_env, signatures, worker_main  # noqa: F401

    # The kernel sends it when the scheduler dies, however it dies: what the workers started must go too, so we do not just end.
    signal.signal(signal.SIGTERM, _terminated)
    link = _core.Zygote(session, node)
    gc.collect()
    gc.freeze()  # a collection in a worker would otherwise write to every page it shares with us
    while (request := _next(link)) is not None:
        spawn, environment = request
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:  # no more processes, or no memory: this one cannot be had, the others live
            os.write(err_write, f"a worker could not be forked: {error}\n".encode())
            pid = None
        if pid == 0:
            os.dup2(out_write, 1)
            os.dup2(err_write, 2)
            for descriptor in (out_read, out_write, err_read, err_write):
                os.close(descriptor)
            del link
            worker_main.main(session, spawn, dict(environment))
        os.close(out_write)
        os.close(err_write)
        if pid is None:
            link.not_spawned(spawn, out_read, err_read)
        else:
            link.spawned(spawn, pid, out_read, err_read)


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminated(number, frame):
    raise _Terminated


def _next(link):
    """The next worker to fork, or None when it is over and everything below this process has been killed."""
    try:
        return link.next_spawn()
    except _Terminated:
        link.kill_all()
        return None
