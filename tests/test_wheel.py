"""The built wheel in a fresh environment of each Python on this machine: one wheel is meant for all of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import os
import sys

import ray


@ray.remote([int, int], [int])
def add(a, b):
    return a + b


if __name__ == "__main__":
    daemons = os.path.join(os.path.dirname(ray.__file__), "_bin")
    assert all(os.access(os.path.join(daemons, name), os.X_OK) for name in ("scheduler", "objstore"))
    assert not {"numpy", "beartype", "asyncio"} & set(sys.modules), "`import ray` imports too much"
    ray.services.start_ray_local(num_workers=2)
    values = [ray.get(add.remote(ray.put(number), 1)) for number in range(10)]
    assert values == list(range(1, 11)), values
    print("works on", sys.version)
"""


def pythons():
    """The usable Pythons by version, one of each: the one that runs this, those on the PATH, those of pyenv."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [sys.executable, *filter(None, map(shutil.which, names))]
    candidates += sorted(str(path) for path in pyenv.glob("versions/3.*/bin/python3"))
    found = {}
    for candidate in candidates:
        probe = (
            "import ensurepip, sys, sysconfig, venv;"
            "assert sys.version_info >= (3, 11) and not sysconfig.get_config_var('Py_GIL_DISABLED');"
            "print('%d.%d' % sys.version_info[:2])"
        )
        answer = subprocess.run([candidate, "-c", probe], capture_output=True, text=True)
        if answer.returncode == 0:
            found.setdefault(answer.stdout.strip(), candidate)
    return found


PYTHONS = pythons()


@pytest.mark.wheel
@pytest.mark.timeout(300)  # it installs packages
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_works_in_a_fresh_environment(version, tmp_path):
    wheels = list((ROOT / ".venv" / "wheel").glob("*.whl"))
    if not wheels:
        pytest.skip("no wheel was built; `make test` builds one")
    subprocess.run([PYTHONS[version], "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels], check=True)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ran = subprocess.run([python, "-I", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"works on {version}." in ran.stdout
    helped = subprocess.run([python.with_name("ray"), "--help"], capture_output=True, text=True, timeout=60)
    assert helped.returncode == 0, helped.stdout + helped.stderr
