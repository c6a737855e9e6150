"""What tests of real processes share: waiting, processes of a cluster, drivers as programs of their own."""

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

#: In the environment of the test process, hence of everything it starts, however well that hides.
MARK = "RAIO_TESTS"

#: Nothing takes this long, also on a busy machine; whoever waits longer is stuck.
WATCHDOG_S = 20.0


def wait_until(condition, watchdog=WATCHDOG_S, pause=0.005):
    """Waits until `condition()` is true and returns what it gave; AssertionError when the watchdog barks."""
    until = time.monotonic() + watchdog
    while not (value := condition()):
        if time.monotonic() > until:
            source = getattr(condition, "__name__", condition)
            raise AssertionError(f"after {watchdog} s still not so: {source}, line {condition.__code__.co_firstlineno}")
        time.sleep(pause)
    return value


class Process:
    """A row of /proc: pid, parent, state, name, command line."""

    def __init__(self, pid):
        text = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
        name, _, rest = text.partition("(")[2].rpartition(")")
        fields = rest.split()
        self.pid, self.name, self.state, self.parent = pid, name, fields[0], int(fields[1])
        self.command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]

    @property
    def is_zombie(self):
        return self.state in "ZX"

    @property
    def environment(self):
        return Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="replace").split("\0")

    def __repr__(self):
        return f"{self.pid} ({self.name}, {self.state}, child of {self.parent}) {' '.join(self.command)[:200]}"


def processes():
    """Every process, by pid."""
    rows = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                rows[int(entry)] = Process(int(entry))
    return rows


def below(root, rows=None):
    """The pids of everything `root` started, and of what that started."""
    rows = processes() if rows is None else rows
    children = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row.pid)
    found, waiting = [], [root]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def ours():
    """Processes that come from this test process, wherever they went, itself and its direct zombies' parents left out."""
    rows = processes()
    me = os.getpid()
    family = set(below(me, rows))
    mark = f"{MARK}={os.environ[MARK]}"
    found = {}
    for row in rows.values():
        if row.pid == me or (row.is_zombie and row.parent != me):
            continue
        if row.pid in family:
            found[row.pid] = row
            continue
        with contextlib.suppress(OSError):
            if mark in row.environment:
                found[row.pid] = row
    return found


def is_alive(pid):
    try:
        return not Process(pid).is_zombie
    except OSError:
        return False


def resident_bytes(pid):
    """Memory a process holds for itself; object memory is counted by the store."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


class Members:
    """The processes of one cluster, by what they are, as they are just now."""

    def __init__(self, session):
        rows = processes()
        session = str(session)
        named = [row for row in rows.values() if session in row.command and not row.is_zombie]
        self.scheduler = next((row.pid for row in named if row.name == "scheduler"), None)
        self.objstores = [row.pid for row in named if row.name == "objstore"]
        self.zygotes = [row.pid for row in named if row.name not in ("scheduler", "objstore") and row.parent == self.scheduler]
        # Those call themselves by what they run.
        self.workers = [row.pid for row in rows.values() if row.parent in self.zygotes and not row.is_zombie]

    @property
    def all(self):
        return [pid for pid in (self.scheduler, *self.objstores, *self.zygotes, *self.workers) if pid]


def members():
    """The processes of the cluster this process started."""
    from ray import cluster

    return Members(cluster.session_dir())


def attempts(path):
    """How often `note_attempt` was called with this path."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def note_attempt(path, text="x"):
    """Adds a line in one write, which no death can tear and no neighbour mix up."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


class Driver:
    """A Python program in a process of its own, `ray` imported; killed, and looked at, at the end of a `with` block."""

    def __init__(self, code, *arguments, flags=(), environment=None, **others):
        code = "import os, sys, time, signal, ray\n" + textwrap.dedent(code)
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **(environment or {})},
            **others,
        )
        self.pid = self.process.pid

    def line(self):
        """The next line of its output; fails with its errors when there is none."""
        line = self.process.stdout.readline()
        assert line, f"the driver ended: {self.process.communicate()[1]}"
        return line.rstrip("\n")

    def send(self, number):
        self.process.send_signal(number)

    def end(self, watchdog=WATCHDOG_S):
        """(exit code, rest of the output, errors), once it has ended by itself."""
        out, err = self.process.communicate(timeout=watchdog)
        return self.process.returncode, out, err

    def close_input(self):
        self.process.stdin.close()
        self.process.stdin = None  # communicate() would flush it

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()


def run_driver(code, *arguments, **others):
    """Runs a program to its end: (exit code, output, errors)."""
    with Driver(code, *arguments, **others) as driver:
        return driver.end()
