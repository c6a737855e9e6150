"""`ray microbenchmark`: its rows, their names and their form."""

import re

import pytest

import ray
from ray import microbenchmark
from ray.cli import main

ROW = re.compile(r"^(.+) per second ([0-9.]+) \+- ([0-9.]+)$")

#: Programs look for these names.
NAMES = [
    "single client get calls (Plasma Store)",
    "single client put calls (Plasma Store)",
    "multi client put calls (Plasma Store)",
    "single client put gigabytes",
    "multi client put gigabytes",
    "single client tasks and get batch",
    "single client get object containing 10k refs",
    "single client wait 1k refs",
    "single client tasks sync",
    "single client tasks async",
    "multi client tasks async",
    "1:1 actor calls sync",
    "1:1 actor calls async",
    "1:1 actor calls concurrent",
    "1:n actor calls async",
    "n:n actor calls async",
    "n:n actor calls with arg async",
    "1:1 async-actor calls sync",
    "1:1 async-actor calls async",
    "1:1 async-actor calls with args async",
    "1:n async-actor calls async",
    "n:n async-actor calls async",
    "placement group create/removal",
]


def printed(capsys):
    """{name: rate} of the rows that were printed; every line is one."""
    rows = {}
    for line in capsys.readouterr().out.splitlines():
        found = ROW.match(line)
        assert found, line
        rows[found[1]] = float(found[2])
    return rows


def test_all_rows_are_there(cluster, monkeypatch):
    cluster(num_workers=2)
    seen = []

    def note(name, multiplier, work, seconds):
        seen.append(name)
        assert multiplier > 0
        assert callable(work)

    monkeypatch.setattr(microbenchmark, "_measure", note)
    # What is made ready is not measured here, and large things need not be made for it.
    monkeypatch.setenv("TESTS_TO_SKIP", "gigabytes,10k")
    microbenchmark.run()
    assert seen == [name for name in NAMES if "gigabytes" not in name and "10k" not in name]


@pytest.mark.parametrize(
    ("chosen", "skipped", "expected"),
    [
        ("single client put calls", "", ["single client put calls (Plasma Store)"]),
        ("tasks sync,actor calls sync", "async", ["single client tasks sync", "1:1 actor calls sync"]),
        ("placement group", "", ["placement group create/removal"]),
        ("n:n async-actor,wait 1k", "", ["single client wait 1k refs", "n:n async-actor calls async"]),
    ],
)
def test_rows_can_be_chosen(capsys, monkeypatch, chosen, skipped, expected):
    monkeypatch.setenv("TESTS_TO_RUN", chosen)
    monkeypatch.setenv("TESTS_TO_SKIP", skipped)
    assert main(["microbenchmark", "--seconds", "0.001"]) == 0
    rows = printed(capsys)
    assert list(rows) == expected
    assert all(rate > 0 for rate in rows.values())
    assert not ray.is_initialized()  # it ends the cluster it started


def test_a_cluster_that_is_there_is_used(cluster, capsys, monkeypatch):
    cluster(num_workers=2)
    monkeypatch.setenv("TESTS_TO_RUN", "tasks sync")
    assert microbenchmark.run(0.001)[0][0] == "single client tasks sync"
    assert ray.is_initialized()
    assert list(printed(capsys)) == ["single client tasks sync"]
