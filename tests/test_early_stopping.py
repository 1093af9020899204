"""Early stopping: the choice of the validation rows, their score, the end of the fit, and the coefficients that it keeps."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.monitoring.validation import Validation

SOLVERS = pytest.mark.parametrize("solver", ["auto", "gd", "sgd", "adam"])
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@SOLVERS
@STORAGE
@pytest.mark.parametrize("scoring", [None, "loss", "neg_log_loss", lambda model, X, y: model.score(X, y)])
def test_the_best_coefficients_are_kept(scoring, storage, solver, three_classes):
    X, y = three_classes
    model = GDClassifier(solver=solver, early_stopping=True, scoring=scoring, tol=1e-3).fit(
        storage(X[::2]), y[::2], X_val=storage(X[1::2]), y_val=y[1::2]
    )
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert len(model.validation_scores_) == len(model.loss_curve_) - 1
    loss = scoring in ("loss", "neg_log_loss")
    expected = -log_loss(y[1::2], model.predict_proba(X[1::2])) if loss else model.score(X[1::2], y[1::2])
    assert model.best_validation_score_ == pytest.approx(expected, rel=1e-9)


@SOLVERS
def test_rows_set_aside_are_not_used(solver, two_classes):
    """The fit equals a fit with the same split made by hand, whose rows stay in their order."""
    X, y = two_classes
    how = {"solver": solver, "early_stopping": True, "tol": 1e-3, "random_state": 3}
    model = GDClassifier(validation_fraction=0.3, **how).fit(X, y)
    train, test = next(StratifiedShuffleSplit(1, test_size=0.3, random_state=3).split(X, y))
    train, test = np.sort(train), np.sort(test)
    by_hand = GDClassifier(**how).fit(X[train], y[train], X_val=X[test], y_val=y[test])
    assert_array_equal(model.coef_, by_hand.coef_)
    assert model.validation_scores_ == by_hand.validation_scores_


def test_regressors_split_without_strata(regression):
    X, y = regression
    Y = np.column_stack([y, -y])
    model = GDRegressor("huber", early_stopping=True, random_state=0).fit(X, Y)
    train, test = next(ShuffleSplit(1, test_size=0.1, random_state=0).split(X))
    by_hand = GDRegressor("huber", early_stopping=True).fit(
        X[np.sort(train)], Y[np.sort(train)], X_val=X[np.sort(test)], y_val=Y[np.sort(test)]
    )
    assert_array_equal(model.coef_, by_hand.coef_)


@pytest.mark.parametrize("labels", [[0, 1], [-1, 1], ["no", "yes"], ["a", "b", "c"]])
def test_separable_classes_score_one_whatever_their_labels(labels):
    """scikit-learn's SGDClassifier compares labels 0 and 1 with classes -1 and 1 here."""
    rng = np.random.default_rng(0)
    codes = rng.integers(len(labels), size=300)
    X = 10.0 * np.eye(3)[codes] + rng.normal(size=(300, 3))
    model = GDClassifier(solver="sgd", early_stopping=True, random_state=0).fit(X, np.array(labels)[codes])
    assert model.best_validation_score_ == 1.0


def test_a_fit_ends_when_the_score_rises_no_more():
    """With few rows and many columns, the training loss keeps falling while the validation loss rises."""
    X, y = make_classification(200, 150, n_informative=5, flip_y=0.2, random_state=0)
    how = {"solver": "sgd", "penalty": None, "scoring": "loss", "tol": 1e-4, "random_state": 0}
    model = GDClassifier(early_stopping=True, n_iter_no_change=4, **how).fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    scores = np.array(model.validation_scores_)
    assert model.n_iter_ == len(scores) < 1000
    best = np.maximum.accumulate(np.append(-np.inf, scores))[:-1]
    waits = scores < best + 1e-4
    assert waits[-4:].all()
    assert not any(waits[i : i + 4].all() for i in range(len(waits) - 4))
    assert model.loss_curve_[-1] < model.loss_curve_[int(scores.argmax()) + 1]
    patient = GDClassifier(early_stopping=True, n_iter_no_change=30, **how).fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert patient.n_iter_ > model.n_iter_
    assert patient.validation_scores_[: len(scores)] == model.validation_scores_


@pytest.mark.parametrize("estimator", [GDClassifier, GDRegressor])
def test_the_tolerance_of_scores_is_an_absolute_difference(estimator):
    """This holds for scores of any size and sign.  The docstrings say so, because for the objective `tol` is relative."""
    scores = iter([-1000.0, -999.0, -998.95, -998.5])
    validation = Validation(lambda W, b: next(scores), tol=0.1, patience=1)
    assert [validation(k, np.zeros((1, 1)), np.zeros(1)) for k in range(4)] == [False, False, True, False]
    described = (
        estimator.__doc__.split("\ntol : ")[1].split("\nshuffle : ")[0],
        estimator.__doc__.split("early_stopping : ")[1],
    )
    assert "in the unit of that score" in " ".join(described[0].split())
    assert "an absolute difference" in " ".join(described[1].split())


def test_without_a_tolerance_the_score_never_ends_a_fit(two_classes):
    X, y = two_classes
    model = GDClassifier(solver="sgd", early_stopping=True, tol=None, max_iter=30, random_state=0).fit(X, y)
    assert model.n_iter_ == len(model.validation_scores_) == 30


def test_without_early_stopping_there_are_no_scores(two_classes):
    model = GDClassifier().fit(*two_classes)
    assert model.validation_scores_ is None
    assert model.best_validation_score_ is None


# ---------------------------------------------------------------- weights
@SOLVERS
@STORAGE
@pytest.mark.parametrize("scoring", [None, "loss"])
def test_weights_of_validation_rows_count(scoring, storage, solver, two_classes):
    """Validation rows of weight zero do not count, and rows of weight two count twice."""
    X, y = two_classes
    weights = np.arange(50) % 3
    fit = {"solver": solver, "early_stopping": True, "scoring": scoring, "random_state": 0}
    weighted = GDClassifier(**fit).fit(storage(X[50:]), y[50:], X_val=storage(X[:50]), y_val=y[:50], sample_weight_val=weights)
    repeated = GDClassifier(**fit).fit(
        storage(X[50:]), y[50:], X_val=storage(np.repeat(X[:50], weights, axis=0)), y_val=np.repeat(y[:50], weights)
    )
    assert_allclose(weighted.validation_scores_, repeated.validation_scores_, rtol=1e-12)
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-12)


@SOLVERS
def test_the_scale_of_weights_and_rows_without_weight_change_nothing(solver, two_classes, rng):
    X, y = two_classes
    fit = {"solver": solver, "early_stopping": True, "random_state": 0}
    weights = rng.uniform(0.5, 2.0, len(y))
    once, twice = (GDClassifier(**fit).fit(X, y, factor * weights) for factor in (1.0, 4.0))
    assert_allclose(once.coef_, twice.coef_, rtol=1e-12)
    junk = np.vstack([X, 1e3 * np.ones((20, 6))])
    with_junk = GDClassifier(**fit).fit(junk, np.append(y, np.arange(20) % 2), np.append(weights, np.zeros(20)))
    assert_array_equal(with_junk.coef_, once.coef_)


def test_class_weights_count_in_the_score(two_classes):
    X, y = two_classes
    model = GDClassifier(early_stopping=True, class_weight={0: 1.0, 1: 5.0}, scoring="loss").fit(X, y, X_val=X, y_val=y)
    weights = np.where(y == 1, 5.0, 1.0)
    assert model.best_validation_score_ == pytest.approx(-log_loss(y, model.predict_proba(X), sample_weight=weights), rel=1e-9)


# ---------------------------------------------------------------- pipelines and searches
def test_pipelines_transform_the_validation_set(two_classes):
    X, y = two_classes
    with sklearn.config_context(enable_metadata_routing=True):
        last = GDClassifier(early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("model", last)], transform_input=["X_val"])
        pipeline.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert pipeline[-1].best_validation_score_ == pipeline.score(X[100:], y[100:])


def test_it_works_in_a_grid_search(two_classes):
    search = GridSearchCV(GDClassifier(solver="sgd", early_stopping=True, random_state=0), {"alpha": [1e-4, 1e-1]}, cv=2)
    assert search.fit(*two_classes).best_score_ > 0.6


def test_names_of_the_validation_set_are_checked(two_classes):
    X, y = two_classes
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = GDClassifier(early_stopping=True).fit(frame, y, X_val=frame[:20], y_val=y[:20])
    assert_array_equal(model.feature_names_in_, frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        GDClassifier(early_stopping=True).fit(frame, y, X_val=frame[list("fedcba")], y_val=y)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("fit", "arguments", "message"),
    [
        ({}, {"X_val": 0, "y_val": 0}, "X_val is for early stopping: set early_stopping=True"),
        ({"early_stopping": True}, {"y_val": 0}, "y_val and sample_weight_val belong to X_val"),
        ({"early_stopping": True}, {"X_val": 0}, "requires y to be passed|y should be|y cannot be None"),
        ({"early_stopping": True, "validation_fraction": 0.999}, {}, "validation_fraction=0.999 of 150 rows aside"),
        ({"early_stopping": True, "scoring": "nonsense"}, {}, "nonsense"),
        ({"early_stopping": True, "scoring": lambda model, X, y: np.nan}, {}, "validation score is nan"),
    ],
)
def test_errors_name_what_is_wrong_with_the_validation(fit, arguments, message, two_classes):
    X, y = two_classes
    arguments = {name: X if name == "X_val" else y for name in arguments}
    model = GDClassifier(**fit)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **arguments)
    assert not hasattr(model, "coef_")


def test_errors_name_unknown_labels_and_rare_classes(two_classes):
    X, y = two_classes
    with pytest.raises(ValueError, match=r"The label 2 is none of the classes \[0, 1\]"):
        GDClassifier(early_stopping=True).fit(X, y, X_val=X, y_val=y + 1)
    rare = y.copy()
    rare[0] = 2
    with pytest.raises(ValueError, match="Change validation_fraction, or pass X_val"):
        GDClassifier(early_stopping=True).fit(X, rare)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        GDClassifier(early_stopping=True).fit(X, y, X_val=X, y_val=y, sample_weight_val=np.zeros(len(y)))
    counts = np.where(np.arange(len(y)) == 3, -1.0, 1.0)
    with pytest.raises(ValueError, match="row 3 of y_val holds -1"):
        GDRegressor("poisson", early_stopping=True).fit(X, y, X_val=X, y_val=counts)
