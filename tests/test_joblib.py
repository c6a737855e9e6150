"""`ray.util.joblib`: programs written for joblib, scikit-learn among them, give the same results over a cluster."""

import os

import joblib
import pytest

import ray
from ray.util.joblib import register_ray


@pytest.fixture(autouse=True)
def _registered(cluster):
    cluster(num_workers=2)
    register_ray()


def square(x):
    return x * x


def test_calls_run_in_other_processes():
    with joblib.parallel_backend("ray", n_jobs=2):
        pids = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(4))
    assert os.getpid() not in pids


@pytest.mark.parametrize("n_jobs", [2, -1, -2, 1])
def test_results_are_in_order(n_jobs):
    with joblib.parallel_config("ray", n_jobs=n_jobs):
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(50)) == [x * x for x in range(50)]


def test_generators_are_read_as_results_come():
    with joblib.parallel_config("ray", n_jobs=2):
        results = joblib.Parallel(return_as="generator")(joblib.delayed(square)(x) for x in range(20))
        assert list(results) == [x * x for x in range(20)]


def test_an_error_is_raised_here():
    with joblib.parallel_config("ray", n_jobs=2), pytest.raises(ZeroDivisionError):
        joblib.Parallel()(joblib.delayed(lambda x: 1 / x)(x) for x in [1, 0])
    with joblib.parallel_config("ray", n_jobs=2):  # and the next call works
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in [3]) == [9]


def test_options_of_the_actors():
    with joblib.parallel_backend("ray", n_jobs=2, ray_remote_args={"num_cpus": 1}):
        found = joblib.Parallel()(joblib.delayed(lambda: ray.get_runtime_context().get_assigned_resources())() for _ in range(2))
    assert found == [{"CPU": 1.0}] * 2


def test_nothing_to_do():
    with pytest.raises(ValueError, match="n_jobs"), joblib.parallel_config("ray", n_jobs=0):
        joblib.Parallel()(joblib.delayed(square)(x) for x in range(2))


def test_grid_search_of_scikit_learn():
    """A program of others: the search finds the same, with the same scores, as in one process."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)

    def search():
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
        grid = {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}
        return GridSearchCV(model, grid, cv=3).fit(x, y)

    alone = search()
    with joblib.parallel_backend("ray", n_jobs=2):
        together = search()
    assert together.best_params_ == alone.best_params_
    assert together.cv_results_["mean_test_score"].tolist() == alone.cv_results_["mean_test_score"].tolist()
    assert together.predict(x).tolist() == alone.predict(x).tolist()
