"""What does a task cost in what can be counted: system calls, wake-ups, bytes? A busy machine changes them little.

System calls, and bytes through sockets and pipes, are counted by strace, which slows everything it looks at; wake-ups
(the kernel's "voluntary context switches") and bytes through raio's rings are counted in runs without it. Instructions
of the pure cores are counted by callgrind, which gives the same number each time.
"""

import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from engines import noop
from harness import BYTES, COUNT, Question, Row, Skip, processes

question = Question("counts", __doc__)

ENGINES = ("raio", "pool", "ray")
TASKS = {"raio": (2_000, 20_000), "pool": (500, 2_000), "ray": (100, 500)}
"""How many of each kind: one at a time, and many at once."""


@question.measure(
    Row("sync_wakeups", "wake-ups for a task, one at a time: all processes", COUNT),
    Row("pipelined_wakeups", "wake-ups for a task, many at once: all processes", COUNT),
    Row("sync_ring_bytes", "bytes through rings for a task, one at a time: there and back", BYTES),
    Row("pipelined_ring_bytes", "bytes through rings for a task, many at once: there and back", BYTES),
    engines=ENGINES,
)
def untraced(engine, quick):
    measured = {}
    for kind, count, work in _works(engine):
        before = _switches_and_ring_bytes()
        work()
        after = _switches_and_ring_bytes()
        switches, ring_bytes = ((late - early) / count for early, late in zip(before, after, strict=True))
        measured[f"{kind}_wakeups"] = switches, f"{count:,} tasks"
        if engine.name == "raio":
            measured[f"{kind}_ring_bytes"] = ring_bytes, f"{count:,} tasks"
    return measured


@question.measure(
    Row("sync_calls", "system calls for a task, one at a time: all processes", COUNT),
    Row("pipelined_calls", "system calls for a task, many at once: all processes", COUNT),
    Row("pipelined_calls_driver", "system calls for a task, many at once: driver", COUNT),
    Row("pipelined_calls_worker", "system calls for a task, many at once: the busiest other process", COUNT),
    Row("sync_socket_bytes", "bytes through sockets and pipes for a task, one at a time", BYTES),
    Row("pipelined_socket_bytes", "bytes through sockets and pipes for a task, many at once", BYTES),
    engines=ENGINES,
)
def traced(engine, quick):
    if reason := why_not_traced():
        raise Skip(reason)
    measured = {}
    for kind, count, work in _works(engine):
        counts = trace(work)
        total = sum(process.total() for process in counts.values())
        measured[f"{kind}_calls"] = total / count, _breakdown(counts, count)
        measured[f"{kind}_socket_bytes"] = sum(process.bytes_written for process in counts.values()) / count
        if kind == "pipelined":
            others = [pid for pid in counts if pid != os.getpid()]
            busiest = max(others, key=lambda pid: counts[pid].total())
            measured["pipelined_calls_driver"] = counts[os.getpid()].total() / count
            measured["pipelined_calls_worker"] = counts[busiest].total() / count, counts[busiest].name
    return measured


@question.measure(
    Row("core_process", "instructions for a task in the driver's state machine, from submit to result", COUNT),
    Row("core_scheduler", "instructions for a task in the scheduler's state machine", COUNT),
    engines=("raio",),
)
def cores(engine, quick):
    built = subprocess.run(
        ["cargo", "build", "--release", "--locked", "--quiet", "-p", "ray-core", "--example", "count_tasks"], cwd=ROOT, check=False
    )
    if built.returncode:
        raise Skip("the cores could not be built")
    program = ROOT / "target/release/examples/count_tasks"
    return {f"core_{core}": instructions(program, core) for core in ("process", "scheduler")}


ROOT = Path(__file__).resolve().parent.parent


def instructions(program, core, tasks=10_240):
    """float: instructions one of the cores takes for a task; see crates/ray-core/examples/count_tasks.rs."""
    if shutil.which("valgrind") is None:
        raise Skip("needs valgrind")
    few = 1_024

    def count(n):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), core, str(n)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        return int(re.search(r"Collected : (\d+)", said)[1])

    return (count(few + tasks) - count(few)) / tasks


@dataclass
class Counts:
    """What one process asked of the kernel."""

    name: str
    calls: Counter = field(default_factory=Counter)
    bytes_written: int = 0

    def total(self):
        return sum(self.calls.values())


def why_not_traced():
    """str | None: why system calls cannot be counted here."""
    if shutil.which("strace") is None:
        return "needs strace"
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return f"strace may not trace: {probe.stderr.strip()}" if probe.returncode else None


def trace(work):
    """dict[int, Counts]: what this process, and each that belongs to it, asks of the kernel while `work` runs."""
    names = processes()
    counts = {pid: Counts(name) for pid, name in names.items()}
    owner = {int(thread): pid for pid in names for thread in _threads(pid)}
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "trace"
        targets = [option for pid in names for option in ("-p", str(pid))]
        tracer = subprocess.Popen(
            ["strace", "-f", "-a1", "-s0", "-o", str(out), *targets], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        attached = 0
        for line in tracer.stderr:
            if b"attached" in line:
                attached += 1
            elif b"Operation not permitted" in line:
                tracer.kill()
                tracer.wait()
                raise Skip("strace may not attach to a running process here (kernel.yama.ptrace_scope)")
            if attached >= len(names):
                break
        try:
            work()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.stderr.read()
            tracer.wait()
            tracer.stderr.close()
        for line in out.read_text(errors="replace").splitlines():
            _count(line, counts, owner)
    return counts


#: `4711  write(5, ""..., 8) = 8`, or in two pieces: `4711  read(3,  <unfinished ...>`, `4711  <... read resumed>) = 8`
_LINE = re.compile(r"(\d+)\s+(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<begun>\w+)\().*?(?:= (?P<result>-?\d+)[^=]*)?$")
_WRITES = {"write", "writev", "sendmsg", "sendto"}


def _count(line, counts, owner):
    if (match := _LINE.match(line)) is None:
        return
    thread = int(match[1])
    process = counts.get(owner.get(thread, thread))
    if process is None:
        return  # a process begun meanwhile
    if begun := match["begun"]:
        process.calls[begun] += 1
    if (begun or match["resumed"]) in _WRITES and match["result"]:
        process.bytes_written += max(0, int(match["result"]))


def voluntary_switches(pid):
    """int: how often threads of a process went to sleep, which is how often they were woken."""
    total = 0
    for thread in _threads(pid):
        try:
            text = Path(f"/proc/{pid}/task/{thread}/status").read_text()
        except OSError:
            continue  # it ended meanwhile
        total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.MULTILINE)[1])
    return total


def ring_bytes(pid):
    """int: bytes a process ever pushed into its rings, read from their headers; crates/ray-shm says what lies where."""
    total = 0
    seen = set()
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return 0
    for descriptor in descriptors:
        path = f"/proc/{pid}/fd/{descriptor}"
        try:
            if not os.readlink(path).startswith("/memfd:ray-channel"):
                continue
            with open(path, "rb") as file:
                header = file.read(136)
                inode = os.fstat(file.fileno()).st_ino
        except OSError:
            continue  # closed meanwhile
        if header[:8] == b"raychan\0" and inode not in seen:
            seen.add(inode)
            total += struct.unpack_from("<Q", header, 128)[0]
    return total


def _threads(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _switches_and_ring_bytes():
    pids = processes()
    return sum(map(voluntary_switches, pids)), sum(map(ring_bytes, pids))


def _works(engine):
    """Of each kind: its name, how many tasks, and what runs them."""
    call, get = engine.task(noop), engine.get
    one_by_one, at_once = TASKS[engine.name]

    def sync():
        for _ in range(one_by_one):
            get(call())

    def pipelined():
        get([call() for _ in range(at_once)])

    pipelined()
    return ("sync", one_by_one, sync), ("pipelined", at_once, pipelined)


def _breakdown(counts, tasks):
    """str: the processes that call most, and what."""
    parts = []
    for process in sorted(counts.values(), key=Counts.total, reverse=True)[:4]:
        most = ", ".join(f"{name} {count / tasks:.3f}" for name, count in process.calls.most_common(4))
        parts.append(f"{process.name} {process.total() / tasks:.3f} ({most})")
    return "; ".join(parts)


if __name__ == "__main__":
    question.main()
