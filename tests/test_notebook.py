"""A notebook: output of tasks appears below the cell, the graph is shown inline, and an interrupt ends a cell, not the cluster."""

import asyncio
import re
import threading

import nbformat
import pytest
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from support import wait_until

START = """
import time, ray
ray.init(num_cpus=2)

@ray.remote([int, int], [int])
def add(a, b):
    print("adding", a, b)
    return a + b
"""


def run(*cells):
    """Executes a notebook of these cells; gives it back with the outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (*cells, "ray.shutdown()")])
    NotebookClient(notebook, kernel_name="python3", timeout=None).execute()
    return notebook.cells[: len(cells)]


def text(cell, stream="stdout"):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == stream)


def results(cell):
    return [output.data for output in cell.outputs if output.output_type == "execute_result"]


def pictures(cell):
    return [output.data["image/svg+xml"] for output in cell.outputs if output.output_type == "display_data"]


@pytest.fixture(scope="module", autouse=True)
def _loop_of_jupyter():
    """It makes one event loop and keeps it: before tests begin, so that none is said to have left it."""
    ensure_event_loop()


def test_tasks_and_what_they_print():
    _, call, again = run(
        START,
        "ref = add.remote(1, 2)\nray.get(ref)",
        "ray.get([add.remote(n, n) for n in range(3)])",
    )
    assert results(call)[0]["text/plain"] == "3"
    assert results(again)[0]["text/plain"] == "[0, 2, 4]"


def test_what_tasks_print_appears_below_the_cell():
    _, call = run(START, "ray.get(add.remote(1, 2))\nray.shutdown()")
    assert re.fullmatch(r"\(add pid=\d+\) adding 1 2\n", text(call))


def test_the_graph_is_shown_inline(tmp_path):
    path = tmp_path / "graph.svg"
    _, _, *graphs = run(
        START,
        "ray.get(add.remote(1, 2))",
        "ray.visualize_computation_graph(view=True)\nprint('after')",
        "ray.visualize_computation_graph()",
        f"ray.visualize_computation_graph(file_path={str(path)!r}, view=True)",
        f"ray.visualize_computation_graph(file_path={str(path)!r})",
    )
    shown = [pictures(cell) for cell in graphs]
    assert [len(cell) for cell in shown] == [1, 1, 1, 0]
    assert ">op-root<" in shown[0][0]
    assert shown[0] == shown[1] == shown[2]
    assert ">op-root<" in path.read_text()


def test_a_function_defined_again_in_a_later_cell():
    *_, first, _, second = run(
        START,
        "@ray.remote\ndef f():\n    return helper()\n\ndef helper():\n    return 1",
        "ray.get(f.remote())",
        "@ray.remote\ndef f():\n    return helper() + 1",
        "ray.get(f.remote())",
    )
    assert [results(first)[0]["text/plain"], results(second)[0]["text/plain"]] == ["1", "2"]


def test_await_in_a_cell():
    _, cell = run(START, "await add.remote(1, 2)")
    assert results(cell)[0]["text/plain"] == "3"


def test_an_error_of_a_task_is_shown_with_its_own_traceback():
    with pytest.raises(CellExecutionError, match="ZeroDivisionError") as caught:
        run(START, "@ray.remote\ndef divide(a, b):\n    return a / b\n\nray.get(divide.remote(1, 0))")
    assert "in divide" in str(caught.value)


def test_an_interrupt_ends_the_cell_and_nothing_else():
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source)
            for source in (
                START,
                "@ray.remote\ndef late():\n    time.sleep(3600)\n\nref = late.remote()",
                "print('waiting', flush=True)\nray.get(ref)",
                "ray.get(add.remote(1, 2))",
                "ray.shutdown()",
            )
        ]
    )
    client = NotebookClient(notebook, kernel_name="python3", timeout=None, allow_errors=True)
    threading.Thread(target=interrupt_when_waiting, args=(client, notebook.cells[2])).start()
    client.execute()
    errors = [output for output in notebook.cells[2].outputs if output.output_type == "error"]
    assert [error.ename for error in errors] == ["KeyboardInterrupt"]
    assert results(notebook.cells[3])[0]["text/plain"] == "3"


def interrupt_when_waiting(client, cell):
    wait_until(lambda: "waiting" in text(cell), watchdog=50)
    asyncio.run(client.km.interrupt_kernel())
