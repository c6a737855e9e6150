"""Processes that die, hang up, fork, flood or are interrupted: everything ends with a value or an error that says what died."""

import contextlib
import ctypes
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ray
from ray.exceptions import (
    ClusterUnavailableError,
    DeadlockError,
    GetTimeoutError,
    ObjectLostError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from support import (
    Driver,
    Members,
    Process,
    attempts,
    below,
    is_alive,
    members,
    note_attempt,
    processes,
    resident_bytes,
    run_driver,
    wait_until,
)

#: A get that has not ended by then hangs. Only ever reached by tests that fail.
STUCK_S = 30


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "attempts")


@ray.remote
def pid():
    return os.getpid()


@ray.remote
def add(a, b):
    return a + b


@ray.remote
def sleep(seconds):
    time.sleep(seconds)


def still_works():
    """The cluster runs tasks on every worker it should have, and moves large objects."""
    assert ray.get([add.remote(number, 1) for number in range(20)], timeout=STUCK_S) == list(range(1, 21))
    assert int(ray.get(ray.put(np.arange(200_000)))[-1]) == 199_999


# ---- a worker dies in a task


def die_by_kill():
    os.kill(os.getpid(), signal.SIGKILL)


def die_by_segfault():
    ctypes.string_at(0)


def die_by_exit():
    os._exit(3)


def die_by_abort():
    os.abort()


def die_by_system_exit():
    sys.exit(4)


def die_of_stack():
    """Recursion in C, which no recursion limit of Python's sees."""
    import threading

    def deeper(depth):
        return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(deeper)(depth + 1)

    sys.setrecursionlimit(10**9)
    threading.stack_size(64 << 10)
    thread = threading.Thread(target=deeper, args=(0,))
    thread.start()
    thread.join()


DEATHS = {
    "kill": (die_by_kill, "SIGKILL"),
    "segfault": (die_by_segfault, "SIGSEGV"),
    "abort": (die_by_abort, "SIGABRT"),
    "_exit": (die_by_exit, "exit code 3"),
    "sys.exit": (die_by_system_exit, "exit code 4"),
    "stack": (die_of_stack, "SIGSEGV"),
}


def dying(how, log, times=None):
    """A task that notes its attempt, says something, and dies; from attempt `times` + 1 on it returns how many there were."""

    def die():
        note_attempt(log, os.getpid())
        if times is not None and len(attempts(log)) > times:
            return len(attempts(log))
        print(f"last words of {os.getpid()}", file=sys.stderr, flush=True)
        how()

    return ray.remote(die)


@pytest.mark.parametrize("how", DEATHS)
def test_a_task_that_kills_its_worker_is_retried_and_then_given_up(two_workers, log, how):
    die, words = DEATHS[how]
    started = time.monotonic()
    with pytest.raises(WorkerCrashedError) as caught:
        ray.get(dying(die, log).remote(), timeout=STUCK_S)
    assert time.monotonic() - started < STUCK_S / 3
    pids = attempts(log)
    assert len(pids) == len(set(pids)) == 4, "max_retries is 3 unless told otherwise, each attempt in a new process"
    text = str(caught.value)
    assert words in text
    assert f"last words of {pids[-1]}" in text
    assert f"pid {pids[-1]}" in text
    assert "4 times" in text
    assert "die" in text
    still_works()


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_retries_are_counted(two_workers, log, retries):
    with pytest.raises(WorkerCrashedError):
        ray.get(dying(die_by_kill, log).options(max_retries=retries).remote(), timeout=STUCK_S)
    assert len(attempts(log)) == retries + 1
    still_works()


def test_a_retry_that_succeeds_is_not_noticed(two_workers, log):
    assert ray.get(dying(die_by_kill, log, times=2).remote(), timeout=STUCK_S) == 3


def test_retries_without_end(two_workers, log):
    assert ray.get(dying(die_by_exit, log, times=6).options(max_retries=-1).remote(), timeout=STUCK_S) == 7


def test_an_exception_is_not_retried(two_workers, log):
    @ray.remote
    def fail():
        note_attempt(log)
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        ray.get(fail.remote(), timeout=STUCK_S)
    assert isinstance(caught.value, RayTaskError)
    assert len(attempts(log)) == 1


def test_a_crash_travels_along_dependencies(two_workers, log):
    ref = dying(die_by_exit, log).options(max_retries=0).remote()
    for _ in range(3):
        ref = add.remote(ref, 1)
    with pytest.raises(RayError) as caught:
        ray.get(ref, timeout=STUCK_S)
    assert "exit code 3" in str(caught.value)
    assert len(attempts(log)) == 1
    still_works()


def test_tasks_queued_behind_a_crash_are_not_charged(cluster, log):
    """They were in the ring of the worker that died and had not begun: with no retries allowed they still all run, once."""
    cluster(num_workers=1)
    once = ray.remote(max_retries=0)(lambda number: note_attempt(f"{log}-{number}") or number)
    crash = dying(die_by_kill, log).options(max_retries=2).remote()
    refs = [once.remote(number) for number in range(50)]
    assert ray.get(refs, timeout=STUCK_S) == list(range(50))
    with pytest.raises(WorkerCrashedError):
        ray.get(crash, timeout=STUCK_S)
    assert len(attempts(log)) == 3
    assert [len(attempts(f"{log}-{number}")) for number in range(50)] == [1] * 50


def test_what_a_dead_worker_had_finished_counts(cluster, log):
    cluster(num_workers=1)
    done = [add.remote(number, 0) for number in range(100)]
    crash = dying(die_by_kill, log).options(max_retries=0).remote()
    assert ray.get(done, timeout=STUCK_S) == list(range(100))
    with pytest.raises(WorkerCrashedError):
        ray.get(crash, timeout=STUCK_S)


def test_large_results_outlive_their_worker(cluster):
    cluster(num_workers=1)
    ref, where = ray.remote(num_returns=2)(lambda: (np.arange(1 << 20), os.getpid())).remote()
    worker = ray.get(where)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not is_alive(worker))
    assert int(ray.get(ref, timeout=STUCK_S)[-1]) == (1 << 20) - 1
    assert ray.get(add.remote(1, 2), timeout=STUCK_S) == 3
    del ref
    gc.collect()
    wait_until(lambda: ray._core.store_stats()["objects"] == 0)


def test_objects_of_a_dead_worker_that_nobody_else_held_are_freed(cluster):
    cluster(num_workers=1)

    @ray.remote(max_retries=0)
    def put_and_die():
        kept = [ray.put(np.zeros(1 << 17)) for _ in range(5)]
        ray._core.store_stats()  # comes back when the store has counted them
        os._exit(len(kept))

    with pytest.raises(WorkerCrashedError, match="exit code 5"):
        ray.get(put_and_die.remote(), timeout=STUCK_S)
    wait_until(lambda: ray._core.store_stats()["objects"] == 0)
    still_works()


def test_objects_of_a_dead_worker_that_others_hold_stay(cluster):
    cluster(num_workers=2)

    @ray.remote(max_retries=0)
    def put_two():
        return os.getpid(), [ray.put(np.full(1 << 17, 1.0))], ray.put(np.full(1 << 17, 2.0))

    worker, (first,), second = ray.get(put_two.remote(), timeout=STUCK_S)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in [row["pid"] for row in ray._core.cluster_info()["workers"]])
    # The value outlives its owner where the engine can keep it so; else the error says that its owner died. Never another value.
    for ref, expected in ((first, 1.0), (second, 2.0)):
        with contextlib.suppress(ObjectLostError):
            assert set(ray.get(ref, timeout=STUCK_S)[:100]) == {expected}
    del ref, first, second
    gc.collect()
    wait_until(lambda: ray._core.store_stats()["objects"] == 0)


def test_the_owner_of_an_unfinished_object_dies(two_workers, log):
    @ray.remote
    def slow():
        time.sleep(60)

    @ray.remote(max_retries=0)
    def parent():
        return os.getpid(), [slow.remote()]

    worker, (ref,) = ray.get(parent.remote(), timeout=STUCK_S)
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(ObjectLostError, match="owner"):
        ray.get(ref, timeout=STUCK_S)


def test_an_idle_worker_is_replaced(two_workers):
    before = set(members().workers)
    victim = ray.get(pid.remote())
    assert victim in before
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(set(members().workers) - {victim}) == 2)
    assert len(before & set(members().workers)) == 1
    still_works()


def test_all_workers_killed_at_once_again_and_again(two_workers, log):
    @ray.remote(max_retries=-1)
    def slow(number):
        note_attempt(log)
        time.sleep(0.05)
        return number

    refs = [slow.remote(number) for number in range(20)]
    for _ in range(4):
        wait_until(lambda: members().workers)
        for worker in members().workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.1)
    assert ray.get(refs, timeout=STUCK_S) == list(range(20))
    assert len(attempts(log)) >= 20
    wait_until(lambda: len(members().workers) == 2)


def test_a_thread_left_running_does_not_matter(two_workers):
    @ray.remote
    def leave_a_thread():
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return True

    assert ray.get([leave_a_thread.remote() for _ in range(4)], timeout=STUCK_S) == [True] * 4
    still_works()


# ---- daemons die


def outcome_of(refs):
    """Each reference to its end: a value, or an error of the engine."""
    found = []
    for ref in refs:
        try:
            found.append(ray.get(ref, timeout=STUCK_S))
        except GetTimeoutError:
            raise AssertionError("a get hung") from None
        except (RayError, ValueError) as error:
            found.append(error)
    return found


def test_the_scheduler_is_killed(two_workers):
    refs = [sleep.remote(60) for _ in range(5)]
    before = members()
    os.kill(before.scheduler, signal.SIGKILL)
    for error in outcome_of(refs):
        assert isinstance(error, ClusterUnavailableError)
        assert "scheduler" in str(error)
    wait_until(lambda: not [pid for pid in before.all if is_alive(pid)])
    with pytest.raises(ClusterUnavailableError):
        ray.get(add.remote(1, 2), timeout=STUCK_S)
    ray.shutdown()
    ray.services.start_ray_local(num_workers=1)
    still_works()


def test_the_only_object_store_is_killed(two_workers):
    stored = ray.put(np.zeros(1 << 20))
    refs = [sleep.remote(60) for _ in range(5)]
    before = members()
    os.kill(before.objstores[0], signal.SIGKILL)
    for error in outcome_of(refs):
        assert isinstance(error, RayError)
        assert "objstore" in str(error) or "object store" in str(error)
    outcome_of([stored])
    with pytest.raises(RayError):
        ray.put(np.zeros(50 << 20))
    wait_until(lambda: not [pid for pid in before.all if is_alive(pid)])


def test_the_zygote_is_killed(two_workers):
    refs = [sleep.remote(60) for _ in range(5)]
    before = members()
    os.kill(before.zygotes[0], signal.SIGKILL)
    for error in outcome_of(refs):
        assert isinstance(error, RayError)
        assert "workers" in str(error)
    wait_until(lambda: not [pid for pid in before.all if is_alive(pid)])


@pytest.mark.parametrize("victim", ["objstores", "zygotes"])
def test_one_of_two_nodes_is_lost(two_stores, victim):
    @ray.remote
    def make():
        time.sleep(0.02)  # so that the four that are asked for at once run on four workers
        return ray._core.identity()[1], ray.put(np.arange(1 << 17))

    made = {}
    while len(made) < 2:
        made.update(ray.get([make.remote() for _ in range(4)], timeout=STUCK_S))
    before = members()
    command = {pid: " ".join(Process(pid).command[-8:]) for pid in getattr(before, victim)}
    of_node_1 = [pid for pid, text in command.items() if text.endswith(" 1") or "--node 1" in text]
    os.kill(of_node_1[0], signal.SIGKILL)
    wait_until(lambda: [row["alive"] for row in ray._core.cluster_info()["nodes"]] == [True, False])
    still_works()
    assert int(ray.get(made[0], timeout=STUCK_S)[-1]) == (1 << 17) - 1
    (lost,) = outcome_of([made[1]])
    assert isinstance(lost, ObjectLostError)
    assert "node 1" in str(lost)
    assert {ray.get(ray.remote(lambda: ray._core.identity()[1]).remote()) for _ in range(6)} == {0}


@pytest.mark.parametrize("victim", ["objstores", "zygotes"])
def test_a_daemon_that_dies_before_it_is_ready(victim):
    ray.services.start_ray_local(num_workers=1)
    try:
        wait_until(lambda: getattr(members(), victim), pause=0)
        for pid in getattr(members(), victim):
            os.kill(pid, signal.SIGKILL)
        (error,) = outcome_of([sleep.remote(60)])
        assert isinstance(error, ClusterUnavailableError)
        assert "last node" in str(error)
    finally:
        ray.shutdown()


WORKLOAD = """
import numpy as np
from ray.exceptions import RayError, GetTimeoutError

@ray.remote(max_retries=-1)
def small(x): return x + 1

@ray.remote(max_retries=-1)
def large(n): return np.full(n, 1.0)

@ray.remote(max_retries=-1)
def nested(n): return sum(ray.get([small.remote(number) for number in range(n)]))

seed = int(sys.argv[1])
ray.services.start_ray_local(num_workers=2, num_objstores=1 + seed % 2)
print(ray.cluster.session_dir(), flush=True)
rounds = 0
try:
    while True:
        refs = [small.remote(number) for number in range(50)]
        refs += [large.remote(100_000), nested.remote(5), ray.put(np.zeros(50_000))]
        refs.append(small.remote(refs[0]))
        got = ray.get(refs, timeout=20)
        assert got[:50] == list(range(1, 51)) and got[50].sum() == 100_000 and got[51] == 15 and got[53] == 2, got[53]
        rounds += 1
except GetTimeoutError:
    print("HUNG", rounds, flush=True)
except RayError as error:
    print(type(error).__name__, str(error).splitlines()[0], flush=True)
"""


@pytest.mark.parametrize("victim", ["objstore", "scheduler", "zygote", "driver", "worker"])
def test_sigkill_at_a_random_moment(victim):
    for _ in range(3):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        moment = random.Random(seed)
        with Driver(WORKLOAD, seed) as driver:
            session = driver.line()
            time.sleep(moment.uniform(0, 0.3))
            cluster = Members(session)
            choice = {
                "objstore": cluster.objstores,
                "scheduler": [cluster.scheduler],
                "zygote": cluster.zygotes,
                "driver": [driver.pid],
                "worker": cluster.workers,
            }[victim]
            if not choice:  # not there yet
                continue
            os.kill(moment.choice(choice), signal.SIGKILL)
            if victim == "worker" or (seed % 2 and victim in ("objstore", "zygote")):
                time.sleep(0.3)  # it goes on, on the other node or with a new worker
                if driver.process.poll() is None:
                    driver.send(signal.SIGINT)
                _, out, errors = driver.end()
                assert "HUNG" not in out
            elif victim == "driver":
                driver.process.wait(10)
            else:
                code, out, errors = driver.end()
                assert code == 0, errors
                assert out.startswith(("ClusterUnavailableError", "ObjectLostError", "WorkerCrashedError", "RayTaskError")), (
                    out + errors
                )
            gone = time.monotonic()
            wait_until(lambda cluster=cluster: not [pid for pid in cluster.all if is_alive(pid)])
            print("everything gone after", time.monotonic() - gone)
            if victim != "driver":  # which cannot tidy up; the next start does
                assert not Path(session).exists()


def test_what_a_killed_driver_left_is_removed_at_the_latest_by_the_next_start():
    with Driver(WORKLOAD, 0) as driver:
        session = Path(driver.line())
        cluster = Members(session)
        driver.send(signal.SIGKILL)
        wait_until(lambda: not [pid for pid in cluster.all if is_alive(pid)])
    code, _, errors = run_driver("ray.init(num_cpus=1); ray.shutdown()")
    assert (code, errors) == (0, "")
    assert not session.exists()


def test_driver_and_scheduler_killed_together():
    with Driver(WORKLOAD, 1) as driver:
        session = Path(driver.line())
        cluster = Members(session)
        os.kill(driver.pid, signal.SIGKILL)
        os.kill(cluster.scheduler, signal.SIGKILL)
        wait_until(lambda: not [pid for pid in cluster.all if is_alive(pid)])
    run_driver("ray.init(num_cpus=1); ray.shutdown()")
    assert not session.exists()


def test_killall_scheduler_objstore_python(cluster):
    """The tutorial's way of ending a cluster: SIGTERM to all, by name (here only to those of this cluster)."""
    with Driver(WORKLOAD, 1) as driver:
        session = driver.line()
        wait_until(lambda: len(Members(session).workers) >= 2)
        found = Members(session)
        names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in found.all}
        others = sorted(name for name in names.values() if name != "python")
        assert others == ["objstore", "objstore", "scheduler"]
        assert len(names) >= len(others) + 4  # two that start workers, two workers, and more while tasks wait
        for pid in [driver.pid, *found.all]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        driver.end()
        wait_until(lambda: not [pid for pid in found.all if is_alive(pid)])
    run_driver("ray.init(num_cpus=1); ray.shutdown()")


def test_the_daemons_contain_no_python(two_workers):
    found = members()
    for pid in (found.scheduler, *found.objstores):
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "libc" in mapped
        assert "libpython" not in mapped
        assert "_core.abi3" not in mapped


def test_a_stopped_worker_harms_nobody(two_workers):
    victim = members().workers[0]
    os.kill(victim, signal.SIGSTOP)
    time.sleep(0.1)
    os.kill(victim, signal.SIGCONT)
    still_works()


# ---- what tasks start


@ray.remote
def start_family(log):
    """A child, a grandchild, a daemon that forked twice into a session of its own, and one that ignores polite signals."""
    script = (
        "import os, sys, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if len(sys.argv) > 2:\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "elif os.fork() == 0: pass\n"
        "os.environ.clear()\n"
        "handle = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "os.write(handle, f'{os.getpid()}\\n'.encode())\n"
        "time.sleep(1000)\n"
    )
    subprocess.Popen([sys.executable, "-S", "-c", script, log])
    subprocess.run([sys.executable, "-S", "-c", script, log, "daemon"])
    while len(attempts(log)) < 3:
        time.sleep(0.01)
    return os.getpid()


def test_what_tasks_started_ends_with_their_worker(cluster, log):
    cluster(num_workers=1)
    worker = ray.get(start_family.remote(log), timeout=STUCK_S)
    family = [int(line) for line in attempts(log)]
    assert all(is_alive(pid) for pid in family)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not [pid for pid in family if is_alive(pid)])
    still_works()


def test_what_tasks_started_ends_with_the_cluster(cluster, log):
    cluster(num_workers=2)
    ray.get(start_family.remote(log), timeout=STUCK_S)
    family = [int(line) for line in attempts(log)]
    ray.shutdown()
    assert not [pid for pid in family if is_alive(pid)]


@pytest.mark.parametrize("victim", ["driver", "scheduler"])
def test_what_tasks_started_ends_when_others_are_killed(log, victim):
    code = f"""
    sys.path[:] = {sys.path!r}
    import cloudpickle, support
    cloudpickle.register_pickle_by_value(support)
    start_family = cloudpickle.loads(bytes.fromhex(sys.stdin.readline()))
    ray.services.start_ray_local(num_workers=1)
    print(ray.cluster.session_dir(), flush=True)
    ray.get(start_family.remote({log!r}))
    print("started", flush=True)
    time.sleep(1000)
    """
    import cloudpickle

    with Driver(code) as driver:
        driver.process.stdin.write(cloudpickle.dumps(start_family).hex() + "\n")
        driver.process.stdin.flush()
        session = driver.line()
        assert driver.line() == "started"
        family = [int(line) for line in attempts(log)]
        cluster = Members(session)
        os.kill(driver.pid if victim == "driver" else cluster.scheduler, signal.SIGKILL)
        wait_until(lambda: not [pid for pid in (*cluster.all, *family) if is_alive(pid)])
    run_driver("ray.init(num_cpus=1); ray.shutdown()")


# ---- Ctrl-C, signals and the end of the interpreter

READY = "print('ready', flush=True)\n"

INTERRUPTED_IN = {
    "get": "refs = [f.remote(1000) for _ in range(4)]\n" + READY + "ray.get(refs)\n",
    "get of one": "ref = f.remote(1000)\n" + READY + "ray.get(ref)\n",
    "wait": "refs = [f.remote(1000)]\n" + READY + "ray.wait(refs)\n",
    "submission": READY + "while True: f.remote(0)\n",
    "put": READY + "while True: ray.put(bytes(1000_000))\n",
    "user code": READY + "time.sleep(1000)\n",
    "nested": "refs = [g.remote() for _ in range(4)]\n" + READY + "ray.get(refs)\n",
    "a full store": READY
    + "kept = []\nwhile True:\n"
    + "    try: kept.append(ray.put(bytes(20_000_000)))\n    except ray.exceptions.ObjectStoreFullError: pass\n",
}


@pytest.mark.parametrize("where", INTERRUPTED_IN)
def test_ctrl_c_ends_a_driver_cleanly(where):
    code = """
    ray.services.start_ray_local(num_workers=2, object_store_memory=100_000_000)
    print(ray.cluster.session_dir(), flush=True)
    @ray.remote
    def f(seconds): time.sleep(seconds)
    @ray.remote
    def g(): return ray.get(f.remote(1000))
    """
    import textwrap

    with Driver(textwrap.dedent(code) + INTERRUPTED_IN[where]) as driver:
        session = driver.line()
        assert driver.line() == "ready"
        time.sleep(0.05)
        cluster = Members(session)
        sent = time.monotonic()
        driver.send(signal.SIGINT)
        code, _, errors = driver.end()
        print("ended after", time.monotonic() - sent)
        assert code == -signal.SIGINT, errors
        assert errors.count("Traceback (most recent call last)") == 1, errors
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert "raio" not in errors
        assert "Exception ignored" not in errors
        assert not [pid for pid in cluster.all if is_alive(pid)]
        assert not Path(session).exists()


def test_ctrl_c_while_it_starts():
    """At any moment of the start: no cluster is left, and no more is said than KeyboardInterrupt."""
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05):
        with Driver("print('go', flush=True)\nray.services.start_ray_local(num_workers=4)\ntime.sleep(1000)") as driver:
            assert driver.line() == "go"
            time.sleep(delay)
            driver.send(signal.SIGINT)
            code, _, errors = driver.end()
            assert code == -signal.SIGINT, errors
            assert errors.rstrip().endswith("KeyboardInterrupt"), errors
            assert errors.count("Traceback (most recent call last)") == 1, errors
            assert "Exception ignored" not in errors


def test_ctrl_c_of_the_terminal_goes_to_the_driver_alone(tmp_path):
    """The terminal sends it to the whole foreground process group; workers and daemons are not in it."""
    code = """
    ray.services.start_ray_local(num_workers=2)
    @ray.remote
    def f(path):
        open(path + "begun", "w").close()
        while not os.path.exists(path + "go"): time.sleep(0.01)
        return "done"
    path = sys.argv[1]
    ref = f.remote(path)
    while not os.path.exists(path + "begun"): time.sleep(0.01)
    try:
        print("ready", flush=True)
        time.sleep(1000)
    except KeyboardInterrupt:
        open(path + "go", "w").close()
        print(ray.get(ref), flush=True)
    """
    with Driver(code, f"{tmp_path}/", start_new_session=True) as driver:
        assert driver.line() == "ready"
        os.killpg(driver.pid, signal.SIGINT)
        code, out, errors = driver.end()
        assert (code, out, errors) == (0, "done\n", "")


ENDS = {
    "the last line": ("", 0, ""),
    "sys.exit": ("sys.exit(5)", 5, ""),
    "an exception": ("raise ValueError('mine')", 1, "ValueError: mine"),
    "os._exit": ("os._exit(6)", 6, ""),
    "shutdown twice": ("ray.shutdown(); ray.shutdown()", 0, ""),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(10)", -signal.SIGTERM, ""),
    "__del__ at exit": (
        "class Late:\n    def __del__(self): ray.put(1)\nlate = Late()\nlate.self = late",
        0,
        None,
    ),
    "an exception in __del__": (
        "class Bad:\n    def __del__(self): raise ValueError('in del')\nbad = Bad()\nref = ray.put([1])",
        0,
        "in del",
    ),
    "atexit": ("import atexit\natexit.register(lambda: print(ray.get(f.remote(2))))", 0, ""),
    "references in globals": ("refs = [f.remote(number) for number in range(100)]\nview = ray.get(ray.put(bytes(10**6)))", 0, ""),
    "a thread in get": (
        "import threading\nthreading.Thread(target=lambda: ray.get(f.options(num_cpus=1).remote(0)), daemon=True).start()",
        0,
        None,  # the thread may be told that the cluster ended
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_the_interpreter_ends(how):
    last, expected, said = ENDS[how]
    code = "ray.services.start_ray_local(num_workers=2)\nprint(ray.cluster.session_dir(), flush=True)\n"
    code += "@ray.remote\ndef f(x): return x\nref = f.remote(1)\n"
    with Driver(code + last) as driver:
        session = driver.line()
        code, _, errors = driver.end()
        assert code == expected, errors
        if said == "":
            assert errors == ""
        elif said is not None:
            assert said in errors
        assert "panicked" not in errors
        wait_until(lambda: not Members(session).all)
        wait_until(lambda: how in ("os._exit", "SIGTERM") or not Path(session).exists())
    if how in ("os._exit", "SIGTERM"):
        run_driver("ray.init(num_cpus=1); ray.shutdown()")


# ---- several clusters


def test_a_second_cluster_after_the_first(cluster):
    sessions = set()
    for round in range(5):
        cluster(num_workers=1 + round % 2)
        sessions.add(ray.cluster.session_dir())
        still_works()
        ray.shutdown()
    assert len(sessions) == 5
    assert not ray.is_initialized()


def test_two_clusters_side_by_side(cluster):
    cluster(num_workers=2)
    mine = ray.put(np.arange(1 << 17))
    other = """
    ray.services.start_ray_local(num_workers=2)
    f = ray.remote(lambda x: x * 2)
    print(ray.get([f.remote(number) for number in range(100)])[-1], flush=True)
    sys.stdin.readline()
    """
    with Driver(other) as first, Driver(other) as second:
        assert first.line() == second.line() == "198"
        still_works()
        first.close_input()
        first.process.wait(10)
        still_works()
        second.send(signal.SIGKILL)
        second.process.wait(10)
        still_works()
    assert int(ray.get(mine)[-1]) == (1 << 17) - 1
    run_driver("ray.init(num_cpus=1); ray.shutdown()")


def test_start_says_what_is_wrong(cluster):
    for wrong, error, words in (
        ({"num_workers": -1}, ValueError, "num_workers must be at least 0, got -1"),
        ({"num_workers": "x"}, TypeError, "num_workers must be a whole number, got 'x'"),
        ({"num_workers": 1.5}, TypeError, "num_workers must be a whole number"),
        ({"num_workers": True}, TypeError, "num_workers must be a whole number"),
        ({"num_objstores": 0}, ValueError, "num_objstores must be at least 1"),
        ({"object_store_memory": -5}, ValueError, "object_store_memory must be a positive number"),
    ):
        with pytest.raises(error, match=words):
            ray.services.start_ray_local(**{"num_workers": 1, **wrong})
        assert not ray.is_initialized()
    cluster(num_workers=1)
    with pytest.raises(RuntimeError, match="already"):
        ray.services.start_ray_local(num_workers=1)
    with pytest.raises(RuntimeError, match="twice"):
        ray.init()
    still_works()


def test_references_of_a_stopped_cluster(cluster):
    cluster(num_workers=1)
    old, result = ray.put([1]), add.remote(1, 2)
    ray.shutdown()
    for use in (lambda: ray.get(old), lambda: ray.get([result]), lambda: ray.wait([old])):
        with pytest.raises(ValueError, match="stopped"):
            use()
    cluster(num_workers=1)
    for use in (lambda: ray.get(old), lambda: add.remote(old, 1), lambda: ray.put([old]), lambda: ray.cancel(result)):
        with pytest.raises(ValueError, match="stopped"):
            use()
    still_works()


def test_calls_before_start_and_after_stop(monkeypatch):
    monkeypatch.setenv("RAY_ENABLE_AUTO_CONNECT", "0")
    for _ in range(2):
        for call in (lambda: ray.put(1), lambda: add.remote(1, 2), lambda: ray.get([])):
            with pytest.raises(RuntimeError, match="has not been started"):
                call()
        ray.services.start_ray_local(num_workers=1)
        ray.shutdown()


# ---- fork


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_of_the_driver(two_workers):
    ref, view = ray.put([1]), ray.get(ray.put(np.arange(1 << 17)))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        lines = []
        try:
            for call in (lambda: ray.get(ref), lambda: ray.put(1), lambda: add.remote(1, 2), lambda: ray.wait([ref])):
                try:
                    call()
                    lines.append("no error")
                except BaseException as error:
                    lines.append(f"{type(error).__name__}: {error}")
            lines.append(f"view {view[-1]}")
            lines.append(str(ray.is_initialized()))
            ray.shutdown()
            del ref
            gc.collect()
        finally:
            os.write(write, "\n".join(lines).encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        *errors, view_of_child, initialized = file.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    assert len(errors) == 4
    assert all("forked" in line and "RuntimeError" in line for line in errors), errors
    assert view_of_child == f"view {(1 << 17) - 1}"
    assert initialized == "False"
    still_works()
    assert ray.get(ref) == [1]


def test_a_forked_child_that_ends_normally_leaves_the_parents_cluster_alone():
    code = """
    import warnings
    warnings.simplefilter("ignore")
    ray.services.start_ray_local(num_workers=1)
    f = ray.remote(lambda x: x + 1)
    print(ray.get(f.remote(1)), flush=True)
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    print(ray.get(f.remote(2)), flush=True)
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(abs, [-1, -2]), flush=True)
    print(ray.get(f.remote(3)), flush=True)
    """
    assert run_driver(code) == (0, "2\n3\n[1, 2]\n4\n", "")


def test_fork_in_a_task(two_workers, log):
    @ray.remote
    def fork():
        child = os.fork()
        if child == 0:
            try:
                ray.put([1])
                note_attempt(log, "no error")
            except BaseException as error:
                note_attempt(log, f"{type(error).__name__} {error}")
            os._exit(0)
        os.waitpid(child, 0)
        return ray.get(ray.put("parent works"))

    assert ray.get([fork.remote() for _ in range(4)], timeout=STUCK_S) == ["parent works"] * 4
    assert len(attempts(log)) == 4
    assert all("forked" in line for line in attempts(log)), attempts(log)
    still_works()


def test_a_forked_child_of_a_task_that_returns_from_it(two_workers, log):
    """The child runs out of the task: it must not speak for the worker."""

    @ray.remote
    def fork():
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return child != 0

    assert ray.get(fork.remote(), timeout=STUCK_S) is True
    still_works()


# ---- waiting


def test_a_cycle_of_waits_is_shown(two_workers, tmp_path):
    import cloudpickle

    @ray.remote
    def wait_for_the_one_in(path):
        while not os.path.exists(path):
            time.sleep(0.01)
        with open(path, "rb") as file:
            return ray.get(cloudpickle.loads(file.read()))

    first = wait_for_the_one_in.remote(str(tmp_path / "second"))
    second = wait_for_the_one_in.remote(str(tmp_path / "first"))
    for name, ref in (("first", first), ("second", second)):
        part = tmp_path / f"{name}.part"
        part.write_bytes(cloudpickle.dumps(ref))
        part.rename(tmp_path / name)
    errors = outcome_of([first, second])
    assert all(isinstance(error, RayError) for error in errors)
    assert any(isinstance(error, DeadlockError) for error in errors)
    text = "\n".join(str(error) for error in errors)
    assert "wait_for_the_one_in" in text
    still_works()


def test_a_task_that_waits_for_itself(two_workers, tmp_path):
    import cloudpickle

    @ray.remote
    def wait_for_myself(path):
        while not os.path.exists(path):
            time.sleep(0.01)
        with open(path, "rb") as file:
            return ray.get(cloudpickle.loads(file.read()))

    ref = wait_for_myself.remote(str(tmp_path / "self"))
    (tmp_path / "part").write_bytes(cloudpickle.dumps(ref))
    (tmp_path / "part").rename(tmp_path / "self")
    with pytest.raises(DeadlockError):
        ray.get(ref, timeout=STUCK_S)
    still_works()


def test_fifty_nested_tasks_on_one_worker(cluster):
    cluster(num_workers=1)

    @ray.remote
    def deeper(depth):
        return 0 if depth == 0 else 1 + ray.get(deeper.remote(depth - 1))

    assert ray.get(deeper.remote(50), timeout=STUCK_S) == 50
    wait_until(lambda: len(members().workers) <= 2)
    still_works()


def test_a_flood_of_output():
    """The driver gets what it can read; the rest is dropped and counted; nobody's memory grows by what was written."""
    code = """
    ray.services.start_ray_local(num_workers=2)
    print(ray.cluster.session_dir(), flush=True)
    @ray.remote
    def flood():
        for number in range(5_000):
            print("x" * 1000)
            print("y" * 1000, file=sys.stderr)
        os.write(1, b"z" * 1_000_000)
        return "done"
    print("RESULT", ray.get([flood.remote(), flood.remote()]), flush=True)
    sys.stdin.readline()
    """
    with Driver(code) as driver:
        session = driver.line()
        drain = threading.Thread(target=lambda: [None for _ in driver.process.stderr])
        drain.start()
        largest = 0
        cluster = Members(session)
        for line in driver.process.stdout:
            if "RESULT" in line:  # another thread prints what the tasks wrote: it may come in between
                break
            if random.random() < 0.001:
                largest = max(largest, resident_bytes(cluster.scheduler))
        assert "RESULT" in line
        assert largest < 64 << 20
        driver.close_input()
        threading.Thread(target=lambda: [None for _ in driver.process.stdout]).start()
        assert driver.process.wait(20) == 0
        drain.join()


def test_memory_does_not_grow(cluster):
    cluster(num_workers=2)
    echo = ray.remote(lambda value: value)

    def rounds(count):
        for _ in range(count):
            ray.get([echo.remote(number) for number in range(500)])
            ray.get([echo.remote(ray.put(np.zeros(20_000))) for _ in range(5)])
        gc.collect()

    def sizes():
        return {pid: resident_bytes(pid) for pid in (os.getpid(), *members().all)}

    rounds(10)
    before = sizes()
    rounds(40)
    after = sizes()
    assert before.keys() == after.keys()
    print({f"{Process(pid).name} {pid}": after[pid] - before[pid] for pid in before}, "bytes grown")
    grown = {Process(pid).name: (after[pid] - before[pid]) / 20_000 for pid in before if after[pid] - before[pid] > 16 << 20}
    assert not grown, "bytes a task"
    counters = ray._core.counters()
    assert counters["shared_objects"] == 0


def test_everything_below_the_driver_is_in_its_process_tree(two_workers):
    found = members()
    rows = processes()
    tree = set(below(os.getpid(), rows))
    assert set(found.all) <= tree
    assert rows[found.scheduler].parent == os.getpid()
