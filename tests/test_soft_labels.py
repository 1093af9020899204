"""Soft labels: a row with probabilities of the classes counts as one row of each class, weighted by its probability."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skgd import GDClassifier

STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])


@pytest.fixture(params=[2, 3], ids=["two classes", "three classes"])
def soft(request, three_classes, rng):
    """X, probabilities and weights, and the same data with each row repeated for every class, with labels and weights."""
    X, _ = three_classes
    P = rng.dirichlet(np.ones(request.param), len(X))
    s = rng.uniform(0.5, 2.0, len(X))
    labels = np.tile(np.arange(request.param), len(X))
    return X, P, s, np.repeat(X, request.param, axis=0), labels, (s[:, None] * P).ravel()


@STORAGE
@pytest.mark.parametrize("solver", ["auto", "gd", "sgd", "adam"])
def test_probabilities_are_weighted_labels(solver, storage, soft):
    X, P, s, X_repeated, labels, weights = soft
    tol = {"sgd": 1e-8, "adam": 1e-5}.get(solver, 1e-11)
    model = GDClassifier(solver=solver, tol=tol, random_state=0).fit(storage(X), P, s)
    expected = GDClassifier(tol=1e-11).fit(X_repeated, labels, weights)
    assert_array_equal(model.classes_, expected.classes_)
    assert_allclose(model.loss_curve_[-1], expected.loss_curve_[-1], rtol=max(2.0 * tol, 1e-9))
    assert_allclose(model.predict_proba(X), expected.predict_proba(X), atol=max(np.sqrt(tol), 1e-7))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5}])
def test_the_class_weight_of_a_row_is_its_expected_class_weight(class_weight, soft):
    X, P, s, *_ = soft
    model = GDClassifier(class_weight=class_weight, tol=1e-11).fit(X, P, s)
    expected_counts = s @ P
    class_weights = (
        s.sum() / (P.shape[1] * expected_counts) if class_weight == "balanced" else np.array([2.0, 0.5, 1.0])[: P.shape[1]]
    )
    expected = GDClassifier(tol=1e-11).fit(X, P, s * (P @ class_weights))
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6)


def test_probabilities_of_zero_and_one_are_labels(three_classes):
    X, y = three_classes
    soft, hard = GDClassifier(tol=1e-11).fit(X, np.eye(3)[y]), GDClassifier(tol=1e-11).fit(X, y)
    assert_allclose(soft.coef_, hard.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("columns", [2, 3])
def test_dual_coordinate_ascent_fits_soft_labels(columns, rng):
    """X has many columns and few non-zeros in a row, so the default solver is dual coordinate ascent."""
    X = sp.random(400, 2000, density=0.01, format="csr", random_state=0)
    P = rng.dirichlet(np.ones(columns), 400)
    model = GDClassifier(alpha=0.01, tol=1e-8).fit(X, P)
    again = GDClassifier(solver="gd", alpha=0.01, tol=1e-10).fit(X, P)
    assert_allclose(model.loss_curve_[-1], again.loss_curve_[-1], rtol=2e-8)


def test_early_stopping_with_probabilities(three_classes):
    X, y = three_classes
    P = 0.9 * np.eye(3)[y] + 0.1 / 3
    model = GDClassifier(early_stopping=True, random_state=0).fit(X, P)
    assert model.best_validation_score_ > 0.5
    held_out = GDClassifier(early_stopping=True, scoring="loss").fit(X, P, X_val=X, y_val=P)
    assert held_out.best_validation_score_ == pytest.approx(
        -np.mean(-(P * held_out.predict_log_proba(X)).sum(axis=1)), rel=1e-6
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda P: P * 2.0, r"its row 0, \[.*\], is not non-negative with the sum 1"),
        (lambda P: P - [[0.0, 2.0, -2.0]], "is not non-negative"),
        (lambda P: np.where(np.arange(3) == 2, 0.0, P / P[:, :2].sum(axis=1, keepdims=True)), "Class 2 has probability 0"),
        (lambda P: np.where(P == P[5, 1], np.nan, P), "NaN"),
    ],
)
def test_errors_name_rows_and_classes_that_are_no_distribution(spoil, message, three_classes, rng):
    X, _ = three_classes
    with pytest.raises(ValueError, match=message):
        GDClassifier().fit(X, spoil(rng.dirichlet(np.ones(3), len(X))))
