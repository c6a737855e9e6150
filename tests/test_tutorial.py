"""The tutorial does what it says: its code blocks, run as they stand, in the order in which a reader would type them."""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import ray
from support import ours, wait_until

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT.parent / "shared" / "tutorial.md"

# What the tutorial's blocks say, for a checkout that stands alone.
OWN_COPY = """
```python
import ray
ray.services.start_ray_local(num_workers=10)
```
```python
x = [1, 2, 3]
ray.put(x)  # prints <ray.ObjRef at 0x1031baef0>
```
```python
>>> ref = ray.put([1, 2, 3])
>>> ray.get(ref)  # prints [1, 2, 3]
```
```python
@ray.remote([int, int], [int])
def add(a, b):
  return a + b
```
```python
>>> ref = add.remote(1, 2)
>>> ray.get(ref)  # prints 3
```
```python
>>> add.remote(1, 2)
>>> add.remote(1, ray.put(2))
>>> add.remote(ray.put(1), ray.put(2))
```
```python
import time

# This takes 50 seconds.
for i in range(10):
  time.sleep(5)
```
```python
@ray.remote([int], [int])
def sleep(n):
  time.sleep(n)
  return 0
```
```python
result_refs = []
for i in range(10):
  result_refs.append(sleep.remote(5))

[ray.get(ref) for ref in result_refs]  # prints [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
```
```python
ray.visualize_computation_graph(view=True)
```
```python
import numpy as np

@ray.remote([list], [np.ndarray])
def zeros(shape):
  return np.zeros(shape)

@ray.remote([np.ndarray, np.ndarray], [np.ndarray])
def dot(a, b):
  return np.dot(a, b)
```
```python
aref = zeros.remote([10, 10])
bref = zeros.remote([10, 10])
cref = dot.remote(aref, bref)
```
"""


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """`time.sleep` that notes when each sleep began and ended, whichever process slept.

    Only workers forked after this see it, as a function that takes it along. Gives a function that reads the notes.
    """
    notes = tmp_path / "sleeps"
    really_sleep = time.sleep

    def sleep(seconds):
        began = time.monotonic()
        really_sleep(seconds)
        with open(notes, "a") as file:
            file.write(f"{os.getpid()} {seconds} {began} {time.monotonic()}\n")

    def read():
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [(int(pid), float(seconds), float(began), float(ended)) for pid, seconds, began, ended in map(str.split, lines)]

    return sleep, read


def test_the_blocks_of_the_tutorial_do_what_they_say(clock, capfd):
    sleep, sleeps = clock
    text = TUTORIAL.read_text() if TUTORIAL.exists() else OWN_COPY
    namespace = {"__name__": "__main__"}
    promises = 0
    try:
        for block in blocks(text):
            promises += run(block, namespace)
            if "import time" in block:
                namespace["time"] = Recording(sleep)
        assert promises == 4, "the tutorial says four times what is printed"

        refs = [namespace["add"].remote(*args) for args in ((1, 2), (1, ray.put(2)), (ray.put(1), ray.put(2)))]
        assert ray.get(refs) == [3, 3, 3], "by value or by reference, the lines have the same behaviour"

        intervals = [(began, ended) for _, seconds, began, ended in sleeps() if seconds == 5]
        assert len(intervals) == 10
        last_began, first_ended = max(began for began, _ in intervals), min(ended for _, ended in intervals)
        assert last_began < first_ended, "at some moment all ten slept"
        assert len({pid for pid, *_ in sleeps()}) == 10, "each in a worker of its own"

        assert np.array_equal(ray.get(namespace["cref"]), np.zeros((10, 10)))
    finally:
        ray.shutdown()
    assert "computation graph" in capfd.readouterr().out


def test_the_processes_have_the_names_that_the_tutorial_kills(cluster):
    cluster(num_workers=3)
    expected = {"scheduler": 1, "objstore": 1, "python": 4}  # three workers, and the process they are forked from
    wait_until(lambda: Counter(row.name for row in ours().values()) == expected)


def test_the_example_walks_through_the_tutorial():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("DISPLAY", None)
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "tutorial.py"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]" in done.stdout
    pictures = re.findall(r"\S+\.pdf", done.stdout)
    assert len(pictures) == 2
    for picture in map(Path, pictures):
        assert picture.read_bytes().startswith(b"%PDF")
        picture.unlink()


class Recording:
    """The module `time`, with another `sleep`; it travels into the remote function with the function's globals."""

    def __init__(self, sleep):
        self.sleep = sleep


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def is_serial_loop(statement):
    """ "This takes 50 seconds.": what a program without Ray would do."""
    return isinstance(statement, ast.For) and "time.sleep(5)" in ast.unparse(statement)


def run(block, namespace):
    """Runs a block as a reader would, and compares what its comments promise. Returns how many promises there were."""
    source = re.sub(r"^>>> ?", "", block, flags=re.MULTILINE)
    lines = source.splitlines()
    promises = 0
    for statement in ast.parse(source).body:
        if is_serial_loop(statement):
            continue
        promise = re.search(r"# prints (.*)$", lines[statement.end_lineno - 1])
        if not isinstance(statement, ast.Expr):
            assert promise is None
            exec(compile(ast.Module([statement], []), "tutorial", "exec"), namespace)
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            value = eval(compile(ast.Expression(statement.value), "tutorial", "eval"), namespace)
        print(printed.getvalue(), end="")
        if promise is not None:
            expected = re.sub(r"0x[0-9a-f]+", "0x[0-9a-f]+", re.escape(promise[1].strip()))
            assert re.fullmatch(expected, repr(value)), f"{lines[statement.end_lineno - 1]}: got {value!r}"
            promises += 1
    return promises
