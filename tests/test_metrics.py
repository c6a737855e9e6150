"""`ray.util.metrics`: what may be recorded, and what is refused."""

import pickle

import pytest

import ray
from ray.util.metrics import Counter, Gauge, Histogram

KINDS = (Counter, Gauge, lambda *given, **options: Histogram(*given, boundaries=[1.0, 10.0], **options))


def record(metric, value=1.0, **options):
    method = getattr(metric, {"Counter": "inc", "Gauge": "set", "Histogram": "observe"}[type(metric).__name__])
    method(value, **options)


def test_counter():
    counter = Counter("test_counter", description="counts", tag_keys=("a", "b"))
    counter.set_default_tags({"a": "1"})
    counter.inc(tags={"b": "x"})
    counter.inc(2.5, {"a": "2", "b": "x"})
    counter.inc(tags={"b": "x"})
    assert counter.snapshot() == {("1", "x"): 2.0, ("2", "x"): 2.5}
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=">0"):
            counter.inc(wrong, {"b": "x"})


def test_gauge():
    gauge = Gauge("test_gauge")
    gauge.set(3)
    gauge.set(-1.5)
    gauge.set(None)
    assert gauge.snapshot() == {(): -1.5}


def test_histogram():
    histogram = Histogram("test_histogram", boundaries=[10.0, 1.0])
    for value in (0.5, 1.0, 5, 100):
        histogram.observe(value)
    assert histogram.snapshot() == {(): {"count": 4, "sum": 106.5, "buckets": [2, 1, 1]}}
    assert histogram.info["boundaries"] == [1.0, 10.0]
    for wrong in (None, [], [0, 1], [-1.0]):
        with pytest.raises(ValueError, match="boundaries"):
            Histogram("test_histogram_wrong", boundaries=wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_metric_refuses(kind):
    with pytest.raises(ValueError, match="Empty name"):
        kind("")
    for wrong in (["a"], "a", {"a"}):
        with pytest.raises(TypeError, match="tuple"):
            kind("test_tags", tag_keys=wrong)
    with pytest.raises(TypeError, match="str"):
        kind("test_tags", tag_keys=(1,))
    metric = kind("test_tags", tag_keys=("a",))
    with pytest.raises(ValueError, match="Missing value for tag key"):
        record(metric)
    with pytest.raises(ValueError, match="Unrecognized tag key"):
        record(metric, tags={"a": "1", "b": "2"})
    with pytest.raises(TypeError, match="str"):
        record(metric, tags={"a": 1})
    with pytest.raises(TypeError, match="int or float"):
        record(metric, value="1", tags={"a": "1"})
    with pytest.raises(ValueError, match="Unrecognized"):
        metric.set_default_tags({"b": "1"})
    with pytest.raises(TypeError, match="str"):
        metric.set_default_tags({"a": 1})
    assert metric.snapshot() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_info(kind):
    metric = kind("test_info", description="about", tag_keys=("a",))
    assert metric.set_default_tags({"a": "1"}) is metric
    told = {"name": "test_info", "description": "about", "tag_keys": ("a",), "default_tags": {"a": "1"}}
    assert told.items() <= metric.info.items()


@pytest.mark.parametrize("name", ["a-b", "1a", "a b"])
def test_a_name_that_nothing_could_read(name):
    with pytest.warns(UserWarning, match="Invalid metric name"):
        counter = Counter(name)
    counter.inc()
    assert counter.snapshot() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_copies_record_together(kind):
    metric = kind("test_copies", tag_keys=("a",)).set_default_tags({"a": "1"})
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.info == metric.info
    record(copy, 4)
    record(metric, 4)
    assert metric.snapshot() == copy.snapshot() != {}


def test_metrics_travel(two_workers):
    counter = Counter("test_travel")

    @ray.remote
    class Server:
        def __init__(self):
            self.counter = counter

        def serve(self):
            self.counter.inc()
            return self.counter.snapshot()

    server = Server.remote()
    assert ray.get([server.serve.remote() for _ in range(2)]) == [{(): 1.0}, {(): 2.0}]
    assert counter.snapshot() == {}
