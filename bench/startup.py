"""How long until the first result, how soon is all gone, and what does doing nothing cost?"""

import importlib.metadata
import re
import time
from pathlib import Path

from engines import noop
from harness import (
    BYTES,
    HERE,
    PERCENT,
    SECONDS,
    Question,
    Row,
    Skip,
    cpu_seconds,
    processes,
    pss_bytes,
    timed,
)

question = Question("startup", __doc__)


@question.measure(
    Row("import", "importing it", SECONDS),
    Row("start_2", "start to first result, 2 workers", SECONDS),
    Row("memory", "memory of all processes when idle (PSS), 2 workers", BYTES),
    Row("cpu", "processor time when idle, share of one core", PERCENT),
    Row("shutdown", "shutdown", SECONDS),
    alone=True,
)
def two_workers(engine, quick):
    measured = {"import": timed(lambda: _import(engine))}
    measured["start_2"] = timed(lambda: _first_result(engine, 2))
    engine.warm_up(2)
    time.sleep(2)
    pause = 2 if quick else 5
    tree = processes()
    before = {pid: cpu_seconds(pid) for pid in tree}
    time.sleep(pause)
    used = sum(max(0.0, cpu_seconds(pid) - before[pid]) for pid in tree)
    memory = {pid: pss_bytes(pid) for pid in tree}
    largest = sorted(tree, key=lambda pid: -memory[pid])[:6]
    names = ", ".join(f"{tree[pid]} {memory[pid] / 1e6:.0f}" for pid in largest)
    measured["memory"] = sum(memory.values()), f"{len(tree)} processes, the largest in MB: {names}"
    measured["cpu"] = 100 * used / pause
    measured["shutdown"] = timed(engine.stop)
    return measured


@question.measure(Row("start_10", "start to first result, 10 workers", SECONDS), alone=True)
def ten_workers(engine, quick):
    _import(engine)
    return {"start_10": timed(lambda: _first_result(engine, 10))}


@question.measure(Row("daemons", "memory of scheduler and object store when idle (PSS)", BYTES), engines=("raio",), alone=True)
def daemons(engine, quick):
    engine.start(2)
    engine.warm_up(2)
    time.sleep(1)
    found = {name: pss_bytes(pid) for pid, name in processes().items() if name in ("scheduler", "objstore")}
    note = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in found.items())
    return {"daemons": (sum(found.values()), note)}


@question.measure(
    Row("wheel", "size of the wheel", BYTES),
    Row("installed", "size installed, with what it requires", BYTES),
    engines=("raio", "loky", "dask", "ray"),
    alone=True,
)
def sizes(engine, quick):
    measured = {}
    distribution = engine.distribution
    wheel = _wheel(distribution)
    if wheel is not None:
        measured["wheel"] = wheel.stat().st_size, wheel.name
    try:
        needed = sorted(_closure(distribution))
        measured["installed"] = sum(map(_installed_bytes, needed)), f"{len(needed)} distributions"
    except importlib.metadata.PackageNotFoundError as error:
        if not measured:
            raise Skip("not installed as a package: run `make bench`") from error
    return measured


def _import(engine):
    __import__({"pool": "concurrent.futures.process", "dask": "distributed", "raio": "ray"}.get(engine.name, engine.name))


def _first_result(engine, workers):
    engine.start(workers)
    assert engine.get(engine.task(noop)()) is None


def _wheel(distribution):
    """Where `make bench` and `make wheel` leave wheels; the newest."""
    places = [HERE.parent / ".venv" / "wheel", HERE.parent / "dist", *(HERE.parent.glob(".venv-*/wheels"))]
    import sys

    places.append(Path(sys.prefix) / "wheels")
    found = [wheel for place in places for wheel in place.glob(f"{distribution}-*.whl")]
    return max(found, key=lambda wheel: wheel.stat().st_mtime, default=None)


def _closure(distribution):
    """The distributions installed because of this one, itself among them."""
    needed, left = set(), [distribution]
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in needed:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            if name == distribution:
                raise
            continue  # required only elsewhere: another system, another Python
        needed.add(name)
        left += [re.match(r"[\w.-]+", text)[0] for text in requirements if "extra ==" not in text]
    return needed


def _installed_bytes(name):
    files = importlib.metadata.files(name) or []
    return sum(Path(file.locate()).stat().st_size for file in files if Path(file.locate()).is_file())


if __name__ == "__main__":
    question.main()
