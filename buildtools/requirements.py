"""Prints what pyproject.toml asks for: ``requirements.py build``, or the name of an extra.

`build` is what builds the package and what the package needs to run. The package itself is never listed, also where one
extra includes another as ``raio[other]``: it is installed from the tree.
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]


def extra(name):
    for requirement in PROJECT["optional-dependencies"][name]:
        if nested := re.fullmatch(rf"{PROJECT['name']}\[(.*)\]", requirement):
            for other in nested[1].split(","):
                yield from extra(other.strip())
        else:
            yield requirement


def requirements(name):
    if name == "build":
        return [*PYPROJECT["build-system"]["requires"], *PROJECT["dependencies"]]
    return extra(name)


print(*requirements(sys.argv[1]), sep="\n")
