"""Asks every question of every engine, by turns and again and again; makes one table of it: text, JSON and a picture.

    make bench                                     all of it: about a quarter of an hour
    make bench QUICK=1                             once, and smaller where it takes long
    make bench ROWS=tasks,objects.put REPEAT=5     some rows
    make bench PEERS=raio,ray                      some engines

Each measurement runs in a fresh process; raio in the environment this program runs in, the peers in one of their own.
"""

import argparse
import importlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import HERE, MARK, UNITS

ROOT = HERE.parent
QUESTIONS = ("startup", "tasks", "actors", "objects", "waiting", "queued", "counts", "floors")
#: In the order of the table: raio, floors, peers.
ENGINES = {
    "raio": "raio",
    "ring": "bare ring",
    "pipe": "Pipe",
    "memcpy": "memcpy",
    "pool": "ProcessPool",
    "loky": "loky",
    "dask": "Dask",
    "ray": "Ray",
}
FLOORS = ("ring", "pipe", "memcpy")
#: Installed into the environment of the peers.
PEERS = ("loky", "dask", "ray")
#: Asked every other time: they take most of an hour otherwise, and are hundreds of times away.
SLOW = ("dask", "ray")
#: No process of ours takes longer, on a quiet machine, by far.
PATIENCE_S = 240


def main():
    options = parse()
    questions = [importlib.import_module(name).question for name in QUESTIONS]
    wanted = selection(options.rows)
    engines = [name for name in ENGINES if name in options.peers]
    pythons = dict.fromkeys(engines, sys.executable)
    if not options.no_picture or set(engines) & set(PEERS):
        peers_python = install_peers(options.venv)
        pythons.update(dict.fromkeys(PEERS, peers_python))
    if "ring" in engines:
        build_ring()

    facts = machine()
    table = {row: {"title": about.title, "unit": about.unit.name, "engines": {}} for row, about in all_rows(questions)}
    begin = time.monotonic()
    for repetition in range(options.repeat):
        for question in questions:
            for engine, group in interleaved(question, engines, options.quick, wanted):
                if engine in SLOW and repetition % 2:
                    continue
                show(f"{repetition + 1}/{options.repeat} {question.name} {engine} {', '.join(group)}", options)
                for line in ask(pythons[engine], question.name, engine, group, options.quick):
                    note_down(table, facts, line)
    show("", options)
    facts["took_s"] = round(time.monotonic() - begin)
    facts["load_after"] = os.getloadavg()[0]

    rows = {name: row for name, row in table.items() if row["engines"] and wanted(name)}
    for row in rows.values():
        for cell in row["engines"].values():
            summarise(cell)
    report = {"facts": facts, "quick": options.quick, "repeat": options.repeat, "rows": rows}
    text = render(report)
    print(text)
    write(report, text, options)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="questions or rows, or beginnings of their names, separated by commas")
    parser.add_argument("--peers", default="", help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--repeat", type=int, help="how often; 3, or 1 when quick")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-picture", action="store_true", help="and no environment to draw it in")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-bench", help="environment of the peers")
    parser.add_argument("--into", type=Path, default=HERE / "results")
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.quick else 3)
    options.whole = not options.rows and not options.peers and not options.quick
    options.peers = options.peers.split(",") if options.peers else list(ENGINES)
    if unknown := set(options.peers) - set(ENGINES):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}; there are {', '.join(ENGINES)}")
    return options


def selection(text):
    beginnings = tuple(part for part in text.split(",") if part)
    return lambda row: not beginnings or row.startswith(beginnings)


def all_rows(questions):
    # What a floor measures is named by the question it belongs to; that question's words stand in the table.
    rows = {}
    for question in questions:
        for name, row in question.rows().items():
            rows.setdefault(name, row)
    order = {name: position for position, name in enumerate(QUESTIONS)}
    return sorted(rows.items(), key=lambda item: order[item[0].partition(".")[0]])


def interleaved(question, engines, quick, wanted):
    """Pairs of engine and group. Engines take turns: what disturbs the machine for a while disturbs all of them."""
    groups = {engine: question.groups(engine, quick, wanted) for engine in engines}
    for position in range(max(map(len, groups.values()), default=0)):
        for engine in engines:
            if position < len(groups[engine]):
                yield engine, groups[engine][position]


def ask(python, question, engine, group, quick):
    """list[dict]: what one fresh process measured."""
    mark = f"{os.getpid()}-{time.time_ns()}"
    environment = {**os.environ, MARK: mark}
    if engine in PEERS:
        environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as directory:
        into, errors = Path(directory) / "lines", Path(directory) / "errors"
        command = [python, str(HERE / f"{question}.py"), engine, "--only", ",".join(group), "--into", str(into)]
        with open(errors, "w") as file:
            process = subprocess.Popen(
                command + ["--quick"] * quick,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=directory,
                start_new_session=True,
            )
            try:
                code = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = f"stopped after {PATIENCE_S} s"
        left = end_marked(mark)
        lines = [json.loads(line) for line in into.read_text().splitlines()] if into.exists() else []
        if code != 0:
            tail = "\n    ".join(errors.read_text(errors="replace").splitlines()[-8:])
            print(f"\n{engine} {question} {', '.join(group)}: {code}\n    {tail}", file=sys.stderr)
            if isinstance(code, str):
                lines.append({"group": (question, group), "engine": engine, "skipped": code})
        if left and engine == "raio":
            print(f"\nraio left processes behind after {question} {', '.join(group)}: {left}", file=sys.stderr)
    return lines


def end_marked(mark):
    """Ends what a measurement left behind: processes it started, known by their environment.

    Returns:
        list[int]: their ids.
    """
    entry = f"{MARK}={mark}".encode()
    left = []
    deadline = time.monotonic() + 2
    while True:
        left = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if entry in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    left.append(int(name))
            except OSError:
                continue  # gone, or somebody else's
        if not left:
            return []
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return left


def note_down(table, facts, line):
    engine = line["engine"]
    if "version" in line:
        facts["versions"][ENGINES[engine]] = line["version"]
        return
    if "group" in line:
        question, group = line["group"]
        question = importlib.import_module(question).question
        names = [question.full_name(row.name) for m in question.measurements if m.name in group for row in m.rows]
    else:
        names = [line["row"]]
    for name in names:
        cell = table[name]["engines"].setdefault(engine, {"values": []})
        if "value" in line:
            cell["values"].append(line["value"])
            cell.pop("skipped", None)
        elif not cell["values"]:
            cell["skipped"] = line["skipped"]
        if "note" in line:
            cell["note"] = line["note"]


def summarise(cell):
    values = cell["values"]
    if values:
        cell.update(median=statistics.median(values), least=min(values), most=max(values))


# The environment of the peers, and the ring.


def install_peers(venv):
    """str: the interpreter of the environment, made and filled when it is not there, or was filled for another list."""
    python = venv / "bin" / "python"
    wanted = (HERE / "peers.txt").read_text()
    done = venv / "installed.txt"
    if python.exists() and done.exists() and done.read_text() == wanted:
        return str(python)
    print(f"installing {', '.join(wanted.split())} into {venv}", file=sys.stderr)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels = str(venv / "wheels")

    def run(*command):
        subprocess.run(command, check=True, env=environment)

    if not python.exists():
        run(sys.executable, "-m", "venv", str(venv))
    # Kept, because their size is a row.
    run(*pip, "download", "--dest", wheels, "-r", str(HERE / "peers.txt"))
    run(*pip, "install", "--no-index", "--find-links", wheels, "-r", str(HERE / "peers.txt"))
    done.write_text(wanted)
    return str(python)


def build_ring():
    """Builds `ring_floor/`; without cargo, the ring's rows are skipped."""
    from floors import RING_DIRECTORY

    if shutil.which("cargo") is None:
        return
    manifest = str(HERE / "ring_floor" / "Cargo.toml")
    build = ["cargo", "build", "--release", "--quiet"]
    subprocess.run([*build, "--manifest-path", manifest, "--target-dir", str(RING_DIRECTORY)], check=True)
    shutil.copy(RING_DIRECTORY / "release" / "libring_floor.so", RING_DIRECTORY / "ring_floor.so")


# What is told besides figures.


def machine():
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) * 1024
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
        "load_before": os.getloadavg()[0],
        "versions": {},
    }


def headline(report):
    """list[str]: machine, versions, and how it was measured."""
    facts = report["facts"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if name not in _OURS)
    lines = [
        f"{facts['date']}, raio commit {facts['commit']}",
        f"{facts['cores']} cores of {facts['processor']}, {facts['memory_bytes'] / 2**30:.0f} GiB, "
        f"Linux {facts['kernel']}, Python {facts['python']}",
        versions,
        f"Medians of {report['repeat']} (Dask, Ray: {(report['repeat'] + 1) // 2}){', quick' * report['quick']}; "
        f"load of the machine {facts['load_before']:.1f} before, {facts['load_after']:.1f} after; {facts['took_s']} s",
    ]
    if facts["load_before"] > 0.5 * facts["cores"]:
        lines.append("The machine was busy with other work: these figures are good for nothing but testing the program.")
    return lines


_OURS = {ENGINES[name] for name in FLOORS} | {ENGINES["pool"]}


# The table.


def render(report):
    parts = ["\n".join(headline(report))]
    parts.append("±: half the distance from least to most, of the median. (7x): raio is 7 times better; (1/7x): 7 times worse.")
    by_question = {}
    for name, row in report["rows"].items():
        by_question.setdefault(name.partition(".")[0], {})[name] = row
    for question, rows in by_question.items():
        text = (importlib.import_module(question).question.text or question).strip().splitlines()[0]
        parts.append(f"{question}: {text}\n\n{block(rows)}")
    return "\n\n".join(parts) + "\n"


def block(rows):
    engines = [name for name in ENGINES if any("median" in row["engines"].get(name, ()) for row in rows.values())]
    lines = [["", *(ENGINES[name] for name in engines)]]
    reasons = {}
    for name, row in rows.items():
        line = [row["title"]]
        raio = row["engines"].get("raio", {}).get("median")
        for engine in engines:
            cell = row["engines"].get(engine)
            if cell and "median" in cell:
                text = written(cell["median"], row["unit"])
                if len(cell["values"]) > 1 and cell["median"]:
                    text += f" ±{50 * (cell['most'] - cell['least']) / abs(cell['median']):.0f}%"
                if engine != "raio" and (times := ratio(raio, cell["median"], row["unit"])) is not None:
                    text += f" ({shortened(times)}x)" if times >= 1 else f" (1/{shortened(1 / times)}x)"
                line.append(text)
            else:
                line.append("-")
        for engine, cell in row["engines"].items():
            if "skipped" in cell:
                reasons.setdefault((ENGINES[engine], cell["skipped"]), []).append(name.partition(".")[2])
            elif "note" in cell:
                reasons.setdefault((ENGINES[engine], cell["note"]), []).append(name.partition(".")[2])
        lines.append(line)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "-" * sum(widths) + "-" * 2 * (len(widths) - 1))
    text += [f"  {engine}, {', '.join(names)}: {reason}" for (engine, reason), names in reasons.items()]
    return "\n".join(text)


def ratio(raio, other, unit):
    """float | None: how many times better raio is."""
    if not raio or not other:
        return None
    return other / raio if UNITS[unit].less_is_better else raio / other


def written(value, unit):
    """str: a figure as people read it."""
    if unit == "s":
        for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if value >= size:
                return f"{shortened(value / size)} {name}"
        return f"{shortened(value / 1e-9)} ns"
    if unit in ("B", "B/s"):
        for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if value >= size:
                return f"{shortened(value / size)} {name}{unit[1:]}"
        return f"{value:.0f} {unit}"
    if unit == "share":
        return f"{100 * value:.0f} %"
    if unit == "%":
        return f"{value:.1f} %"
    if unit == "/s":
        return f"{shortened(value)}/s"
    return f"{value:.2f}{'x' if unit == 'x' else ''}"


def shortened(value):
    """str: three digits that count, or thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def write(report, text, options):
    """The whole table is `latest`, and kept in the repository; any other goes beside it."""
    options.into.mkdir(parents=True, exist_ok=True)
    name = "latest" if options.whole else "partial"
    (options.into / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.into / f"{name}.txt").write_text(text)
    written_to = options.into / name
    if not options.no_picture:
        python = options.venv / "bin" / "python"
        command = [str(python), str(HERE / "picture.py"), str(written_to)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run(command, check=True, env=environment)
    print(f"{written_to}.*", file=sys.stderr)


def show(text, options):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
