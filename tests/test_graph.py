"""The computation graph: what was submitted is what is drawn. Structure is read from .dot files; of others, how they begin."""

import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

import ray
from support import run_driver, wait_until


class Dot:
    """A .dot file as a graph: labels of boxes and ovals, and arrows between them."""

    def __init__(self, text):
        nodes = re.findall(r'^  "?([\w-]+)"? \[shape=(box|ellipse), label="(.*?)"', text, re.MULTILINE)
        self.label = {name: label.replace("\\n", " ") for name, _, label in nodes}
        self.boxes = [self.label[name] for name, shape, _ in nodes if shape == "box"]
        self.ovals = [self.label[name] for name, shape, _ in nodes if shape == "ellipse"]
        self.arrows = {"dotted": [], "solid": []}
        for start, end, style in re.findall(r'^  "?([\w-]+)"? -> "?([\w-]+)"?( \[.*?\])?;', text, re.MULTILINE):
            kind = "dotted" if "style=dotted" in style else "solid"
            self.arrows[kind].append((self.label[start], self.label[end]))

    @property
    def launches(self):
        return sorted(self.arrows["dotted"])

    @property
    def flow(self):
        return sorted(self.arrows["solid"])


@pytest.fixture
def graph(tmp_path):
    """Draws the graph and reads it."""

    def draw():
        path = tmp_path / "graph.dot"
        ray.visualize_computation_graph(file_path=path)
        return Dot(path.read_text())

    return draw


@ray.remote([float], [int])
def sleep(n):
    time.sleep(n)
    return 0


@ray.remote
def zeros(n):
    return [0] * n


@ray.remote
def dot(a, b):
    return sum(map(int.__mul__, a, b))


class TestStructure:
    def test_ten_independent_tasks_as_in_the_first_picture_of_the_tutorial(self, two_workers, graph):
        assert ray.get([sleep.remote(0.0) for _ in range(10)]) == [0] * 10
        drawn = graph()
        tasks = [f"{number} sleep" for number in range(10)]
        assert drawn.boxes == ["op-root", *tasks]
        assert drawn.ovals == [str(number) for number in range(10)]
        assert drawn.launches == [("op-root", task) for task in tasks]
        assert drawn.flow == [(task, str(number)) for number, task in enumerate(tasks)]

    def test_dependencies_as_in_the_second_picture_of_the_tutorial(self, two_workers, graph):
        dot.remote(zeros.remote(10), zeros.remote(10))
        drawn = graph()
        assert drawn.boxes == ["op-root", "0 zeros", "1 zeros", "2 dot"]
        assert drawn.ovals == ["0", "1", "2"]
        assert drawn.launches == [("op-root", "0 zeros"), ("op-root", "1 zeros"), ("op-root", "2 dot")]
        assert drawn.flow == [("0", "2 dot"), ("0 zeros", "0"), ("1", "2 dot"), ("1 zeros", "1"), ("2 dot", "2")]

    def test_nested_launches_start_at_the_task_that_launched(self, two_workers, graph):
        @ray.remote
        def parent():
            return ray.get([child.remote(n) for n in range(2)])

        @ray.remote
        def child(n):
            return n

        assert ray.get(parent.remote()) == [0, 1]
        wait_until(lambda: len(graph().boxes) == 4)
        assert graph().launches == [("0 parent", "1 child"), ("0 parent", "2 child"), ("op-root", "0 parent")]

    def test_what_was_put_is_an_oval_of_its_own(self, two_workers, graph):
        stored = ray.put([1, 2])
        assert ray.get(dot.remote(stored, stored)) == 5
        drawn = graph()
        assert drawn.ovals == ["0", "1 put"]
        assert ("1 put", "0 dot") in drawn.flow
        assert ("op-root", "1 put") in drawn.launches

    def test_several_results_and_none(self, two_workers, graph):
        @ray.remote(num_returns=2)
        def two():
            return 1, 2

        @ray.remote(num_returns=0)
        def nothing(a):
            pass

        nothing.remote(two.remote()[1])
        drawn = graph()
        assert drawn.flow == [("0 two", "0"), ("0 two", "1"), ("1", "1 nothing")]

    def test_tasks_stay_in_the_graph_when_their_references_are_gone(self, two_workers, graph):
        ref = zeros.remote(1)
        ray.get(ref)
        del ref
        assert graph().boxes == ["op-root", "0 zeros"]

    def test_failed_and_cancelled_tasks_are_drawn_too(self, two_workers, graph):
        bad = dot.remote(1, 2)
        late = sleep.remote(60.0)
        ray.cancel(late)
        for ref in (bad, late):
            with pytest.raises(ray.exceptions.RayError):
                ray.get(ref)
        assert graph().boxes == ["op-root", "0 dot", "1 sleep"]

    def test_a_cluster_that_has_done_nothing(self, two_workers, graph):
        drawn = graph()
        assert (drawn.boxes, drawn.ovals) == (["op-root"], [])

    def test_each_cluster_has_its_own(self, cluster, graph):
        for _ in range(2):
            cluster(num_workers=1)
            ray.get(zeros.remote(1))
            assert graph().boxes == ["op-root", "0 zeros"]
            ray.shutdown()

    def test_odd_names(self, two_workers, graph, tmp_path):
        @ray.remote
        def größe():
            pass

        refs = [größe.remote(), ray.remote(lambda: 0).remote()]
        ray.wait(refs, num_returns=2)
        assert graph().boxes == ["op-root", "0 größe", "1 <lambda>"]
        ray.visualize_computation_graph(file_path=str(tmp_path / "graph.svg"))
        assert "&lt;lambda&gt;" in (tmp_path / "graph.svg").read_text()

    def test_ten_thousand_tasks_are_grouped(self, two_workers, graph, tmp_path):
        leaves = [zeros.remote(1) for _ in range(9000)]
        pairs = [dot.remote(*leaves[at : at + 2]) for at in range(0, 2000, 2)]
        ray.wait(pairs, num_returns=len(pairs))
        drawn = graph()
        assert len(drawn.boxes) < 20, "a person can still read it"
        counted = Counter()
        for box in drawn.boxes[1:]:
            name, count = re.match(r"(?:\d+ )?(\w+)(?: × ([\d,]+))?", box).groups()  # noqa: RUF001
            counted[name] += int(count.replace(",", "")) if count else 1
        assert counted == {"zeros": 9000, "dot": 1000}
        for ending in ("png", "svg", "pdf"):
            path = tmp_path / f"graph.{ending}"
            ray.visualize_computation_graph(file_path=path)
            assert path.stat().st_size < 100_000


class TestFiles:
    BEGINNINGS = {".pdf": b"%PDF-", ".svg": b"<?xml", ".png": b"\x89PNG\r\n", ".dot": b"digraph"}

    @pytest.mark.parametrize("ending", [*BEGINNINGS, ".PNG"])
    def test_the_ending_chooses_the_format(self, two_workers, tmp_path, ending, capfd):
        ray.get(dot.remote(zeros.remote(1), zeros.remote(1)))
        path = tmp_path / f"graph{ending}"
        assert ray.visualize_computation_graph(file_path=str(path)) is None
        assert path.read_bytes().startswith(self.BEGINNINGS[ending.lower()])
        assert capfd.readouterr() == ("", ""), "the path is known to whoever gave it"

    @pytest.mark.parametrize("name", ["graph", "graph.jpg", "graph.pdf.gz", "pdf", ""])
    def test_another_ending_is_refused(self, two_workers, tmp_path, name, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match=r"must end in one of \.pdf, \.svg, \.png, \.dot"):
            ray.visualize_computation_graph(file_path=name)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_cannot_be_written(self, two_workers, tmp_path):
        with pytest.raises(FileNotFoundError):
            ray.visualize_computation_graph(file_path=tmp_path / "nowhere" / "graph.svg")

    def test_without_a_cluster(self):
        with pytest.raises(ray.exceptions.RaySystemError, match="not been started"):
            ray.visualize_computation_graph(file_path="graph.svg")

    @pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz reads what we wrote where it is installed")
    def test_graphviz_understands_the_dot_file(self, two_workers, tmp_path):
        import subprocess

        ray.get(dot.remote(zeros.remote(1), ray.put([1])))
        ray.visualize_computation_graph(file_path=tmp_path / "graph.dot")
        drawn = subprocess.run(["dot", "-Tplain", tmp_path / "graph.dot"], capture_output=True, text=True, check=True).stdout
        assert drawn.count("\nnode ") == 6


class TestViewing:
    PROGRAM = """
        ray.init(num_cpus=1)
        ray.get(ray.remote(lambda: 1).remote())
        assert ray.visualize_computation_graph(view=True) is None
    """

    def run(self, tmp_path, **environment):
        code, out, err = run_driver(self.PROGRAM, environment={"TMPDIR": str(tmp_path), **environment})
        assert (code, err) == (0, "")
        (picture,) = tmp_path.glob("*.pdf")
        assert picture.read_bytes().startswith(b"%PDF-")
        assert out == f"The computation graph (1 task) is in {picture}\n"
        return picture

    def test_without_a_display_it_says_where_the_picture_is(self, tmp_path):
        self.run(tmp_path, DISPLAY="", WAYLAND_DISPLAY="")

    def test_without_graphviz_and_without_a_viewer(self, tmp_path):
        self.run(tmp_path, PATH="/nowhere", DISPLAY=":0")

    def test_with_a_display_the_viewer_opens_it(self, tmp_path):
        viewer = tmp_path / "xdg-open"
        viewer.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part && mv {tmp_path}/opened.part {tmp_path}/opened\n')
        viewer.chmod(0o700)
        picture = self.run(tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin", DISPLAY=":0", PYTHONWARNINGS="error")
        wait_until((tmp_path / "opened").exists)
        assert Path((tmp_path / "opened").read_text().strip()) == picture
