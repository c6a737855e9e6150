"""Fixtures: clusters, and the check that a test leaves nothing behind.

The test process gets its own place for session directories and a mark in its environment, which everything it starts inherits: so
several test runs on one machine do not see each other, and what a test leaves is found wherever it hid.
"""

import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from pathlib import Path

import pytest

from support import MARK, WATCHDOG_S, ours, wait_until

os.environ[MARK] = uuid.uuid4().hex
_FAILED = pytest.StashKey[bool]()

# A shell that runs us in the background has us ignore Ctrl-C, and what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_place():
    """Sessions go to a directory of this run; it must be empty at the end."""
    place = tempfile.mkdtemp(prefix="raio-")
    os.environ["XDG_RUNTIME_DIR"] = place
    yield
    shutil.rmtree(place)


@pytest.fixture(scope="module", autouse=True)
def _functions_travel_by_value(request):
    """Workers need not import the test's module, which would import pytest."""
    if request.module.__name__.endswith("_unit"):
        yield  # without a cluster; among them are tests of what is written by name
        return
    import cloudpickle

    import actor_classes
    import support

    modules = (request.module, support, actor_classes)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(autouse=True)
def nothing_left(_own_place, request):
    """Fails a test that leaves a process, an open descriptor, a file of a session, or a name in /dev/shm."""
    before = _open_things()
    if before.processes:  # a cluster that a wider fixture started: looked at when that has ended
        yield
        return
    yield
    import gc

    gc.collect()
    if request.node.stash.get(_FAILED, False):  # its traceback holds references, and those the connection
        before.descriptors = None
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not _open_things().beyond(before), watchdog=WATCHDOG_S / 4)
    left = _open_things().beyond(before)
    if left:
        for pid in _open_things().processes:
            with contextlib.suppress(OSError):
                os.kill(pid, 9)
        pytest.fail("left behind:\n" + "\n".join(left), pytrace=False)


@pytest.fixture
def cluster():
    """Starts clusters: `cluster(num_workers=2)`; the last one is stopped at the end."""
    import ray

    def start(num_workers=2, **others):
        ray.services.start_ray_local(num_workers=num_workers, **others)
        wait_until(lambda: len(ray._core.cluster_info()["workers"]) == num_workers)

    yield start
    ray.shutdown()


@pytest.fixture
def two_workers(cluster):
    """A running cluster of two workers and one store."""
    cluster(num_workers=2)


@pytest.fixture
def two_stores(cluster):
    """A running cluster of two stores with two workers each."""
    cluster(num_workers=4, num_objstores=2)


class _open_things:
    """What there is just now that could be left behind."""

    def __init__(self):
        self.processes = ours()
        self.descriptors = {}
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the one that listed them
                self.descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
        # Others of this machine use it too; that no process of ours maps anything there is shown in test_security.py.
        self.shared_names = {name for name in os.listdir("/dev/shm") if name.startswith(("ray", "raio", "objstore"))}
        self.files = {str(path) for path in (Path(os.environ["XDG_RUNTIME_DIR"]) / "ray").rglob("*")}

    def beyond(self, before):
        left = [f"process {row}" for pid, row in self.processes.items() if pid not in before.processes]
        opened = self.descriptors.items() if before.descriptors is not None else ()
        left += [f"descriptor {name}: {to}" for name, to in opened if before.descriptors.get(name) != to]
        left += [f"/dev/shm/{name}" for name in self.shared_names - before.shared_names]
        left += [f"file {path}" for path in self.files - before.files]
        return left
