"""What every file of questions is made of: rows, engines to ask, and a process of its own to ask one engine in.

A file of questions is a program: ``python bench/tasks.py raio`` asks raio alone and prints what it measured. `run.py`
runs them all, each in a fresh process, for every engine, again and again, and makes one table of it. This module
imports nothing but the standard library.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Environment variable by which every process of a measurement can be recognised, whoever its parent is.
MARK = "RAIO_BENCH_MARK"


@dataclass(frozen=True)
class Unit:
    """How a number is read: which direction is better, and how it is written."""

    name: str
    less_is_better: bool


SECONDS = Unit("s", True)
PER_SECOND = Unit("/s", False)
BYTES = Unit("B", True)
BYTES_PER_SECOND = Unit("B/s", False)
SHARE = Unit("share", False)
PERCENT = Unit("%", True)
TIMES = Unit("x", True)
COUNT = Unit("", True)
UNITS = {unit.name: unit for unit in (SECONDS, PER_SECOND, BYTES, BYTES_PER_SECOND, SHARE, PERCENT, TIMES, COUNT)}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    unit: Unit


class Skip(Exception):
    """Raised by a measurement an engine cannot take part in; the text is the reason."""


@dataclass
class Measurement:
    """A function that measures some rows."""

    function: object
    rows: tuple
    engines: tuple
    #: In a process, and with a cluster, of its own, which the function starts itself.
    alone: bool
    #: Left out of quick runs for these engines: it would take a minute.
    slow: tuple

    @property
    def name(self):
        return self.function.__name__


class Question:
    """The measurements of one file.

    >>> question = Question("tasks", "What does a task cost?", workers=2)
    >>> @question.measure(Row("sync", "no-op task, one at a time", SECONDS))
    ... def one_at_a_time(engine, quick):
    ...     return {"sync": 1e-6}
    """

    def __init__(self, name, text, workers=2):
        self.name = name
        self.text = text
        self.workers = workers
        self.measurements = []

    def measure(self, *rows, engines=("raio", "pool", "loky", "dask", "ray"), alone=False, slow=()):
        def add(function):
            self.measurements.append(Measurement(function, rows, engines, alone, slow))
            return function

        return add

    def full_name(self, row):
        """str: a row's name in the table of all; one with a dot belongs to another question."""
        return row if "." in row else f"{self.name}.{row}"

    def rows(self):
        """dict[str, Row]: by full name."""
        return {self.full_name(row.name): row for m in self.measurements for row in m.rows}

    def groups(self, engine, quick, wanted=lambda row: True):
        """list[list[str]]: measurements by name; each list shares a process.

        Args:
            wanted: which rows, by full name; a measurement with one of them is asked.
        """
        asked = [
            m
            for m in self.measurements
            if engine in m.engines and not (quick and engine in m.slow) and any(wanted(self.full_name(row.name)) for row in m.rows)
        ]
        together = [m.name for m in asked if not m.alone]
        return ([together] if together else []) + [[m.name] for m in asked if m.alone]

    def main(self):
        """The program: asks one engine, prints what it measured, or writes it as lines of JSON for `run.py`."""
        parser = argparse.ArgumentParser(description=self.text)
        parser.add_argument("engine")
        parser.add_argument("--only", help="names of measurements, separated by commas")
        parser.add_argument("--quick", action="store_true", help="less often, and smaller where it takes long")
        parser.add_argument("--into", help="file for lines of JSON; standard output otherwise")
        options = parser.parse_args()
        os.environ.setdefault(MARK, f"{os.getpid()}-{time.time_ns()}")
        names = (
            options.only.split(",") if options.only else [n for group in self.groups(options.engine, options.quick) for n in group]
        )
        out = open(options.into, "w") if options.into else sys.stdout
        self._ask(options.engine, [m for m in self.measurements if m.name in names], options.quick, out)
        out.flush()

    def _ask(self, name, measurements, quick, out):
        from engines import make_engine

        def say(row, **what):
            print(json.dumps({"row": row and self.full_name(row), "engine": name, **what}), file=out, flush=True)

        engine = make_engine(name)
        say("", version=engine.version(), python=sys.version.split()[0])
        for measurement in measurements:
            try:
                if measurement.alone:
                    engine.stop()
                elif not engine.started:
                    engine.start(self.workers)
                    engine.warm_up(self.workers)
                for row, value in measurement.function(engine, quick).items():
                    value, note = value if isinstance(value, tuple) else (value, None)
                    say(row, value=value, **({"note": note} if note else {}))
            except Skip as reason:
                for row in measurement.rows:
                    say(row.name, skipped=str(reason))
            except Exception as error:  # noqa: BLE001 - whatever an engine fails with is a finding; the next question is asked all the same
                traceback.print_exc()
                text = " ".join(str(error).split())[:200]
                for row in measurement.rows:
                    say(row.name, skipped=f"failed: {type(error).__name__}: {text}")
            gc.collect()
        engine.stop()


def rate_of(batch, seconds, most, least=100):
    """Calls a second when `batch(n)` makes n of them; n grows until a batch takes long enough, or is the largest.

    Returns:
        tuple[float, str]: the rate of the last batch, and a note of how large it was.
    """
    count = least
    batch(count)  # what is only started when first needed does not count
    while True:
        begin = time.perf_counter()
        batch(count)
        took = time.perf_counter() - begin
        if took >= seconds / 3 or count >= most:
            return count / took, f"{count:,} calls"
        count = min(most, max(2 * count, int(count * seconds / max(took, 1e-6) * 0.8)))


def times_of(call, seconds, most=20_000, least=10):
    """list[float]: sorted durations of single calls, as many as fit into the time."""
    now = time.perf_counter
    times = []
    until = now() + seconds
    while len(times) < most:
        begin = now()
        call()
        end = now()
        times.append(end - begin)
        if end > until and len(times) >= least:
            break
    return sorted(times)


def median(values):
    return statistics.median(values)


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def timed(call):
    """float: seconds one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def processes():
    """dict[int, str]: this process and all that belong to it, however they were started, with a name each."""
    parents = {}
    names = {}
    marked = set()
    mark = f"{MARK}={os.environ.get(MARK, '')}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        pid = int(entry)
        try:
            with open(f"/proc/{pid}/stat") as file:
                before, _, after = file.read().rpartition(")")
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue
        names[pid] = before.partition("(")[2]
        parents[pid] = int(after.split()[1])
        if mark in environment:
            marked.add(pid)
    mine = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if pid in marked or parent in mine} - mine
        if not more:
            return {pid: names.get(pid, "?") for pid in sorted(mine)}
        mine |= more


def pss_bytes(pid):
    """int: memory of a process, shared pages divided among those who share them; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # it ended meanwhile
    return 0


def cpu_seconds(pid):
    """float: processor time of a process so far; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
