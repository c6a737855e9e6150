"""What tests of programs for this API wait with: conditions, actors that hold others up, drivers as processes of their own."""

import asyncio
import os
import subprocess
import sys
import time

import ray


def wait_for_condition(condition_predictor, timeout=10, retry_interval_ms=100, raise_exceptions=False, **kwargs):
    """Waits until `condition_predictor(**kwargs)` is true.

    Args:
        condition_predictor (Callable): asked again and again; an exception counts as "not yet".
        timeout (float): seconds.
        retry_interval_ms (float): between two questions.
        raise_exceptions (bool): an exception is raised instead.

    Raises:
        RuntimeError: it was not so in time; the text holds the last exception.
    """
    until = time.monotonic() + timeout
    last = None
    while time.monotonic() <= until:
        try:
            if condition_predictor(**kwargs):
                return
            last = None
        except Exception:  # a condition that cannot be looked at yet does not hold yet
            if raise_exceptions:
                raise
            import traceback

            last = traceback.format_exc()
        time.sleep(retry_interval_ms / 1000)
    raise RuntimeError(_not_met(last))


async def async_wait_for_condition(condition_predictor, timeout=10, retry_interval_ms=100, **kwargs):
    """As `wait_for_condition`, without blocking the event loop; the condition may be a coroutine function.

    Raises:
        RuntimeError: it was not so in time.
    """
    until = time.monotonic() + timeout
    last = None
    while time.monotonic() <= until:
        try:
            met = condition_predictor(**kwargs)
            if await met if hasattr(met, "__await__") else met:
                return
            last = None
        except Exception:  # noqa: BLE001 - a condition that cannot be looked at yet does not hold yet
            import traceback

            last = traceback.format_exc()
        await asyncio.sleep(retry_interval_ms / 1000)
    raise RuntimeError(_not_met(last))


def _not_met(last):
    text = "The condition wasn't met before the timeout expired."
    return text if last is None else f"{text} Last exception: {last}"


def wait_until_succeeded_without_exception(
    func, exceptions, *args, timeout_ms=1000, retry_interval_ms=100, raise_last_ex=False, **kwargs
):
    """bool: whether a function came to return without one of these exceptions, in time."""
    until = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            func(*args, **kwargs)
            return True
        except exceptions:
            if time.monotonic() > until:
                if raise_last_ex:
                    raise
                return False
            time.sleep(retry_interval_ms / 1000)


@ray.remote(num_cpus=0)
class SignalActor:
    """Holds up whoever waits for it, until it is sent."""

    def __init__(self):
        self.ready_event = asyncio.Event()
        self.num_waiters = 0

    def send(self, clear=False):
        self.ready_event.set()
        if clear:
            self.ready_event.clear()

    async def wait(self, should_wait=True):
        if should_wait:
            self.num_waiters += 1
            try:
                await self.ready_event.wait()
            finally:
                self.num_waiters -= 1

    async def cur_num_waiters(self):
        return self.num_waiters


@ray.remote(num_cpus=0)
class Semaphore:
    """A semaphore for tasks."""

    def __init__(self, value=1):
        self._semaphore = asyncio.Semaphore(value=value)

    async def acquire(self):
        await self._semaphore.acquire()

    async def release(self):
        self._semaphore.release()

    async def locked(self):
        return self._semaphore.locked()


def run_string_as_driver(driver_script, env=None, encode="utf-8"):
    """Runs a program to its end, as a driver of its own.

    Args:
        driver_script (str): the program.
        env (dict | None): its environment; None: this one's.

    Returns:
        str: what it wrote, to standard output and error.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    process = run_string_as_driver_nonblocking(driver_script, env, stderr=subprocess.STDOUT, encode=encode)
    output = process.communicate()[0].decode(encode)
    if process.returncode:
        print(output, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, "a driver", output)
    return output


def run_string_as_driver_nonblocking(driver_script, env=None, stderr=subprocess.PIPE, encode="utf-8"):
    """subprocess.Popen: the same, without waiting for its end."""
    process = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env)
    process.stdin.write(driver_script.encode(encode))
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


def kill_actor_and_wait_for_failure(actor, timeout=10, retry_interval_ms=100):
    """Kills an actor and waits until it is dead.

    Raises:
        RuntimeError: it is not dead in time.
    """
    actor_id = actor._actor_id.hex()
    restarts = ray.state.actors(actor_id).get("NumRestarts", 0)
    ray.kill(actor)

    def is_gone():
        row = ray.state.actors(actor_id)
        return not row or row["State"] == "DEAD" or row["NumRestarts"] > restarts

    wait_for_condition(is_gone, timeout, retry_interval_ms)


def wait_for_num_actors(num_actors, state=None, timeout=10):
    """Waits until there are so many actors (in this state).

    Raises:
        RuntimeError: there are not, in time.
    """
    wait_for_condition(
        lambda: len([row for row in ray.state.actors().values() if state is None or row["State"] == state]) >= num_actors, timeout
    )


def wait_for_pid_to_exit(pid, timeout=20):
    """Waits until a process is gone.

    Raises:
        RuntimeError: it is not gone in time.
    """

    def is_gone():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
        except OSError:
            return True

    wait_for_condition(is_gone, timeout)


def is_process_alive(pid):
    """bool: whether there is a process of this number."""
    return os.path.exists(f"/proc/{pid}")
