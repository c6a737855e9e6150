"""The build backend (PEP 517): maturin builds the extension, this adds the native daemons to the package.

maturin builds either an extension or programs, not both in one wheel. So every wheel begins with cargo building the
daemons and their copies in ``python/ray/_bin``, from where maturin packs them (``tool.maturin.include`` in
pyproject.toml). Being inside the package they are found by ``__file__``, and put nothing on anybody's PATH. The sources
of both are in the sdist because the extension depends on the daemons' library.

The daemons have a cargo profile of their own, where a panic aborts. It shares no compiled dependency with the
extension's, which costs half a minute of a cold build on two cores. The release profile would save nothing of it: the
extension asks for more features of the same crates, so cargo compiles most of them twice either way.

Run as a program, it calls one hook and shows the compilers' progress: ``backend.py build_wheel DIRECTORY``.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import maturin
from maturin import (  # the hooks that need no daemons; pip looks them up here
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "python" / "ray" / "_bin"
DAEMONS = {"scheduler", "objstore"}


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    build_daemons()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    build_daemons()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def build_daemons():
    command = ["cargo", "build", "--locked", "--profile", "daemon", "-p", "ray-daemon", "--bins"]
    # Wherever cargo was told to put its results, its messages say where they are.
    command += ["--message-format", "json-render-diagnostics"]
    messages = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    programs = [Path(path) for path in (json.loads(message).get("executable") for message in messages) if path]
    if {program.name for program in programs} != DAEMONS:
        raise SystemExit(f"cargo built {sorted(p.name for p in programs)}, and the package needs {sorted(DAEMONS)}")
    BIN.mkdir(exist_ok=True)
    for program in programs:
        # Copied aside and renamed: a daemon that runs from here (an editable install) keeps its file.
        copy = shutil.copyfile(program, BIN / f".{program.name}")
        copy.chmod(0o755)
        os.replace(copy, BIN / program.name)


if __name__ == "__main__":
    hook, directory = sys.argv[1:]
    Path(directory).mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    globals()[hook](directory)
