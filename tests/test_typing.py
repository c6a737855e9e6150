"""What mypy and pyright see: nothing wrong in good programs, and each mistake in bad ones."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ray

PROGRAMS = Path(__file__).parent / "typing"
PACKAGES = Path(ray.__file__).parent.parent


def mypy(program):
    """Lines with an error, as mypy counts them: {line: text}."""
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--allow-untyped-defs", program.name]
    # Installed packages are found without being told where; and mypy refuses to be told.
    path = {} if PACKAGES.name == "site-packages" else {"MYPYPATH": str(PACKAGES)}
    done = run(command, program, path)
    found = re.findall(rf"^{program.name}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert (done.returncode == 0) == (not found), done.stdout + done.stderr
    return {int(line): text for line, text in found}


def pyright(program):
    """The same, as pyright counts them."""
    settings = {"include": [program.name], "extraPaths": [str(PACKAGES)], "pythonVersion": "3.11"}
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run([sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"], program)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = [row for row in report["generalDiagnostics"] if row["severity"] == "error"]
    return {row["range"]["start"]["line"] + 1: row["message"] for row in found}


def copied(name, place):
    return Path(shutil.copy(PROGRAMS / name, place))


def run(command, program, environment=None):
    environment = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, cwd=program.parent, env=environment, check=False)


@pytest.mark.timeout(300)  # the first run of each reads the library's own stubs
@pytest.mark.parametrize("checker", [mypy, pyright])
class TestCheckers:
    def test_good_programs(self, checker, tmp_path):
        assert checker(copied("good.py", tmp_path)) == {}

    def test_bad_programs(self, checker, tmp_path):
        program = copied("bad.py", tmp_path)
        lines = program.read_text().splitlines()
        wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
        found = checker(program)
        assert set(found) == wrong, {lines[number - 1]: found.get(number) for number in set(found) ^ wrong}
