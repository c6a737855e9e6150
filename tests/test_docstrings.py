"""The examples in the docstrings of the public functions run, and print what they say."""

import doctest

import pytest

import ray


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


@pytest.mark.parametrize("name", ["put", "get", "wait", "remote", "as_completed", "cancel", "explain"])
def test_the_example_runs(name):
    function = getattr(ray, name)
    finder = doctest.DocTestFinder(recurse=False)
    examples = finder.find(function, name, globs={"ray": ray})
    assert any(test.examples for test in examples), f"ray.{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in examples:
        report = []
        failures, _ = runner.run(test, out=report.append)
        assert failures == 0, "".join(report)


def test_a_cluster_can_be_used_as_a_block():
    ray.shutdown()
    with ray.init(num_cpus=1):
        assert ray.get(ray.put(1)) == 1
    assert not ray.is_initialized()
    ray.init(num_cpus=2)
