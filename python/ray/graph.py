"""Drawing the computation graph."""

import os

from ray import _core

_FORMATS = (".pdf", ".svg", ".png", ".dot")


def visualize_computation_graph(file_path=None, view=False):
    """Draws every task and object so far.

    Boxes are tasks, ovals are objects; dotted arrows say who launched whom, solid ones what makes and what needs what.

    Args:
        file_path (str | None): where to; the ending chooses .pdf, .svg, .png or .dot. None: below the cell in a notebook,
            elsewhere a temporary .pdf, whose path is printed.
        view (bool): show it: below the cell in a notebook, elsewhere in the viewer of the desktop, if there is one.

    Raises:
        ValueError: another ending. RaySystemError: no cluster.

    >>> ray.visualize_computation_graph(file_path="graph.svg")
    """
    if not _core.is_connected():
        from ray.exceptions import RaySystemError

        raise RaySystemError("There is no computation graph: Ray has not been started. Call ray.init() first.")
    path = None if file_path is None else os.fspath(file_path)
    ending = ".pdf" if path is None else os.path.splitext(path)[1].lower()
    if ending not in _FORMATS:
        raise ValueError(f"file_path must end in one of {', '.join(_FORMATS)}, got {path!r}.")
    tasks, objects, note = _numbered()
    if (view or path is None) and _in_notebook():
        from IPython.display import SVG, display

        display(SVG(_core.draw_graph(tasks, objects, note, "svg").decode()))
        if path is None:
            return
        view = False
    if path is None:
        import tempfile

        handle, path = tempfile.mkstemp(prefix="computation-graph-", suffix=ending)
        os.close(handle)
    with open(path, "wb") as file:
        file.write(_core.draw_graph(tasks, objects, note, ending[1:]))
    if file_path is None or view:
        print(f"The computation graph ({len(tasks):,} {'task' if len(tasks) == 1 else 'tasks'}) is in {path}")
    if view:
        _open(path)


def _numbered():
    """The graph with small numbers, in order of submission, for tasks and for objects."""
    names, rows, folded = _core.graph()
    number_of = {row[0]: number for number, row in enumerate(rows)}
    tasks, objects, object_numbers = [], [], {}

    def number_object(key, is_put, creator):
        if key not in object_numbers:
            object_numbers[key] = len(object_numbers)
            objects.append((object_numbers[key], is_put, creator))
        return object_numbers[key]

    for number, (task, function, parent, returns, inputs, state, _) in enumerate(rows):
        # Inputs nobody in the graph made were put; outputs of the graph's tasks are numbered in order of submission.
        outputs = [number_object((*task, index), False, None) for index in range(returns)]
        tasks.append([number, names.get(function, "?"), number_of.get(parent), state, outputs, inputs])
    for task in tasks:
        keys = task[5]
        for key in keys:
            maker = number_of.get(key[:2])
            if maker is not None and key not in object_numbers:  # an item of a stream, which does not say how many there will be
                tasks[maker][4].append(number_object(key, False, None))
        task[5] = [number_object(key, key[:2] not in number_of, None) for key in keys]
    note = None
    if folded:
        counts = ", ".join(f"{name} × {count:,}" for name, count in folded.items())  # noqa: RUF001
        note = f"Finished tasks folded away because there were too many: {counts}"
    return [tuple(task) for task in tasks], objects, note


def _in_notebook():
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def _open(path):
    """Shows a file with the desktop's viewer, if there is a desktop."""
    import shutil
    import subprocess

    opener = shutil.which("xdg-open")
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if opener and has_display:
        # Through a shell, which does not wait for it: the viewer is nobody's child here, and stays when this program ends.
        subprocess.run(["/bin/sh", "-c", '"$0" "$1" >/dev/null 2>&1 &', opener, path], start_new_session=True, check=False)
