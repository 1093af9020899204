"""scikit-learn's callbacks with every solver: each iteration is a task, has a model at its end, and may end the fit."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

callback = pytest.importorskip("sklearn.callback", reason="callbacks need scikit-learn 1.9")
ProgressBar, ScoringMonitor = callback.ProgressBar, callback.ScoringMonitor
MANY_COLUMNS = 2000


class Recorder:
    """A callback that stores the calls of its hooks, and ends a fit after `ends_after` iterations."""

    def __init__(self, ends_after=None):
        self.ends_after, self.begun, self.ended, self.models, self.torn_down = ends_after, [], [], [], 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_id if context.parent else "fit")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.ended.append(context.task_id if context.parent else "fit")
        if context.parent and fitted_estimator is not None:
            self.models.append(fitted_estimator)
            return len(self.models) == self.ends_after
        return False


def _sparse_rows(rng):
    X = sp.random(400, MANY_COLUMNS, density=0.01, format="csr", random_state=0)
    return X, (np.asarray(X[:, :20].sum(axis=1)).ravel() + 0.1 * rng.normal(size=400) > 0.1).astype(int)


FITS = {
    "newton": lambda data, rng: (GDClassifier(), *data),
    "sgd": lambda data, rng: (GDClassifier(solver="sgd", random_state=0), *data),
    "adam": lambda data, rng: (GDClassifier(solver="adam", random_state=0), *data),
    "dual": lambda data, rng: (GDClassifier(alpha=1e-2, random_state=0), *_sparse_rows(rng)),
    "dual, then gd": lambda data, rng: (GDClassifier(alpha=1e-4, tol=1e-10, max_iter=3, random_state=0), *_sparse_rows(rng)),
    "row space": lambda data, rng: (GDClassifier(), rng.normal(size=(40, 1500)), np.arange(40) % 2),
    "working sets": lambda data, rng: (GDClassifier(penalty="l1", alpha=0.05), rng.normal(size=(60, 3000)), np.arange(60) % 2),
    "not smooth": lambda data, rng: (GDClassifier("hinge"), *data),
    "explicit rate": lambda data, rng: (GDClassifier(solver="gd", learning_rate="constant", eta0=1e-6, max_iter=9), *data),
    "least squares": lambda data, rng: (GDRegressor(), data[0], data[1].astype(float)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("fit", FITS)
def test_every_iteration_is_a_task_with_a_model(fit, two_classes, rng):
    """There is one model for each entry of the loss curve after the first, and the last model is the result of the fit."""
    model, X, y = FITS[fit](two_classes, rng)
    recorder = Recorder()
    model.set_callbacks(recorder).fit(X, y)
    assert len(recorder.models) == len(model.loss_curve_) - 1 >= 1
    assert recorder.begun == ["fit", *range(len(recorder.models) + 1)]
    assert recorder.ended == [*range(len(recorder.models) + 1), "fit"]
    assert recorder.torn_down == 1
    if fit not in ("not smooth", "sgd", "adam", "explicit rate"):  # the result of these may differ from the last iterate
        assert_allclose(recorder.models[-1].coef_, model.coef_, rtol=1e-9, atol=1e-12)
    assert all(other.predict(X).shape == y.shape for other in recorder.models)
    alone = clone(model).set_callbacks().fit(X, y)
    assert_array_equal(alone.coef_, model.coef_)  # callbacks do not change the result
    assert alone.loss_curve_ == model.loss_curve_


@pytest.mark.parametrize("fit", FITS)
def test_a_callback_ends_a_fit(fit, two_classes, rng):
    """The callback ends the fit after the first iteration, without a warning."""
    model, X, y = FITS[fit](two_classes, rng)
    recorder = Recorder(ends_after=1)
    model.set_callbacks(recorder).fit(X, y)
    assert model.n_iter_ == 1
    assert len(model.loss_curve_) == len(model.time_curve_) == 2
    assert_array_equal(model.coef_, recorder.models[0].coef_)
    assert recorder.ended[-1] == "fit"
    assert recorder.torn_down == 1


def test_hooks_see_the_data(two_classes):
    X, y = two_classes
    seen = {}

    class Looks(Recorder):
        def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None):
            seen.update(X=X, y=y, metadata=metadata)

    weights = np.arange(1.0, len(y) + 1.0)
    GDClassifier().set_callbacks(Looks()).fit(X, y, weights)
    assert_array_equal(seen["X"], X)
    assert_array_equal(seen["y"], y)
    assert_array_equal(seen["metadata"]["sample_weight"], weights)


def test_a_failing_callback_leaves_the_estimator_as_it_was(two_classes):
    class Fails(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("no")

    callback = Fails()
    model = GDClassifier().set_callbacks(callback)
    with pytest.raises(RuntimeError, match="no"):
        model.fit(*two_classes)
    assert callback.torn_down == 1
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "_callback_fit_ctx")


@pytest.mark.parametrize("solver", ["auto", "sgd"])
def test_scores_are_monitored_in_pipelines(solver, two_classes):
    X, y = two_classes
    monitor = ScoringMonitor(scoring="neg_log_loss")
    pipeline = make_pipeline(StandardScaler(), GDClassifier(solver=solver).set_callbacks(monitor)).fit(X, y)
    scores = [row["neg_log_loss"] for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(scores) == pipeline[-1].n_iter_
    assert scores[-1] == pytest.approx(np.mean(np.log(pipeline.predict_proba(X)[np.arange(len(y)), y])))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_searches_show_their_progress(n_jobs, two_classes, capfd):
    X, y = two_classes
    search = GridSearchCV(GDClassifier(solver="sgd"), {"alpha": [1e-3, 1e-1]}, n_jobs=n_jobs, cv=2)
    search.set_callbacks(ProgressBar()).fit(X, y)
    assert capfd.readouterr().out.count("GDClassifier - fit") >= 5
    assert pickle.loads(pickle.dumps(search.best_estimator_)).score(X, y) > 0.5


def test_frames_keep_their_names(two_classes):
    X, y = two_classes
    monitor = ScoringMonitor(scoring="accuracy")
    GDClassifier().set_callbacks(monitor).fit(pd.DataFrame(X, columns=list("abcdef")), y)
    assert len(monitor.get_logs().data) > 2
