"""The Python blocks of README.md and the guide run as they stand, and print what stands behind each `print`."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import ray

ROOT = Path(__file__).resolve().parent.parent

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: `print(something)  # what it prints`
PROMISE = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
OUTPUT_OF_A_WORKER = re.compile(r"\(\S+ pid=\d+\) ")


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_the_blocks_run_and_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # pictures go there
    text = (ROOT / name).read_text()
    namespace = {"__name__": "__main__"}
    try:
        blocks = list(BLOCK.finditer(text))
        assert blocks
        for block in blocks:
            # Lines are counted as in the file, so that a traceback points there.
            lines_before = text.count("\n", 0, block.start(1))
            code = compile("\n" * lines_before + block[1], name, "exec")
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, namespace)
            printed = [line for line in out.getvalue().splitlines() if not OUTPUT_OF_A_WORKER.match(line)]
            assert printed == PROMISE.findall(block[1]), f"{name}, line {lines_before + 1}"
    finally:
        namespace.clear()
        ray.shutdown()


def test_the_documents_link_to_files_that_exist():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [
        (document, target) for document in documents for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    ]
    assert links
    assert [f"{document.name}: {target}" for document, target in links if not (document.parent / target).exists()] == []
