"""What does a task cost while a million others wait: in time, and in memory of each process?"""

import os
import tempfile
import time
from pathlib import Path

from engines import noop
from harness import BYTES, SECONDS, TIMES, Question, Row, processes, pss_bytes, timed

question = Question("queued", __doc__)

#: How many tasks: a million for raio, and what the others do in bearable time.
COUNTS = {"raio": 1_000_000, "pool": 100_000, "loky": 20_000, "dask": 5_000, "ray": 20_000}


@question.measure(
    Row("submit", "submitting 1,000,000 no-op tasks, each", SECONDS),
    Row("drain", "running and getting them, each", SECONDS),
    Row("total", "submit and drain, each", SECONDS),
    Row("growth", "the cost of each with all queued, against 1,000 queued", TIMES),
    alone=True,
)
def time_of_each(engine, quick):
    engine.start(2)
    engine.warm_up(2)
    count = COUNTS[engine.name] // (4 if quick and engine.name != "raio" else 1)
    few = [_run(engine, 1000) for _ in range(3)]
    small = sorted(submit + drain for submit, drain in few)[1] / 1000
    submit, drain = _run(engine, count)
    note = f"{count:,} tasks"
    return {
        "submit": (submit / count, note),
        "drain": (drain / count, note),
        "total": ((submit + drain) / count, note),
        "growth": ((submit + drain) / count / small, note),
    }


@question.measure(
    Row("bytes_driver", "memory for each queued task: driver", BYTES),
    Row("bytes_worst", "memory for each queued task: the worst other process", BYTES),
    Row("bytes_all", "memory for each queued task: all processes", BYTES),
    alone=True,
)
def memory_of_each(engine, quick):
    engine.start(2)
    engine.warm_up(2)
    count = COUNTS[engine.name] // (4 if quick else 1)
    call, get, hold = engine.task(noop), engine.get, engine.task(_hold)
    with tempfile.TemporaryDirectory() as directory:
        gate = Path(directory) / "gate"
        gate.touch()
        holders = [hold(str(gate)) for _ in range(2)]
        time.sleep(1)
        before = {pid: pss_bytes(pid) for pid in processes()}
        references = [call() for _ in range(count)]
        time.sleep(2)  # until it has all arrived wherever it is kept
        names = processes()
        grown = {pid: max(0, pss_bytes(pid) - before.get(pid, 0)) for pid in names}
        gate.unlink()
        get(holders)
        get(references)
    me = os.getpid()
    worst = max((pid for pid in grown if pid != me), key=grown.get)
    rest = sorted((pid for pid in grown if pid != me), key=lambda pid: -grown[pid])[:4]
    note = f"{count:,} tasks; others: " + ", ".join(f"{names[pid]} {grown[pid] / count:.0f}" for pid in rest)
    return {
        "bytes_driver": (grown[me] / count, note),
        "bytes_worst": (grown[worst] / count, names[worst]),
        "bytes_all": sum(grown.values()) / count,
    }


def _run(engine, count):
    call, get = engine.task(noop), engine.get
    references = []
    submit = timed(lambda: references.extend([call() for _ in range(count)]))
    return submit, timed(lambda: get(references))


def _hold(gate):
    while os.path.exists(gate):
        time.sleep(0.01)


if __name__ == "__main__":
    question.main()
