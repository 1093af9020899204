"""Tests that look like data: every loss, solver and penalty on synthetic data of the kinds that real sets have.

A fit that does not warn ends within 1.5 tol of the least objective that SciPy finds (tests/oracle.py).  Only sgd and adam may
warn, and solver="auto" where classes are separated and nothing is penalised.  ``SKGD_NIGHTLY=1`` runs all combinations.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from kinds import KINDS, LOSSES_OF, Kind, data_of
from numpy.testing import assert_allclose
from oracle import ALLOWED, LOG_LINK, LOSSES, Oracle, judged
from problems import FORMULAS, NIGHTLY
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, LogisticRegression, QuantileRegressor, Ridge

from skgd import GDClassifier, GDRegressor

PENALTIES = ["l2", "l1", "elasticnet", None]
SOLVERS = ["auto", "sgd", "adam"]
ITERATIONS = 500 if NIGHTLY else 200  # of L-BFGS-B, each time the oracle uses it
SEPARATED = "The classes are perfectly separated and nothing is penalised"
# A choice for every day: each kind of data has a few cases, and each loss, penalty and solver has one.  The hinge on text takes
# 49 s and on one-hot sequences with the elastic net 40 s, so these two are left to the night.
BY_DAY: list[tuple[str, str, str | None, str]] = [
    ("sequences", "squared_hinge", "l2", "auto"),
    ("standardised sequences", "hinge", "l2", "auto"),
    ("standardised sequences", "squared_hinge", "l2", "auto"),
    ("standardised sequences", "modified_huber", "l1", "auto"),
    ("wide", "log_loss", "l2", "auto"),
    ("standardised wide", "squared_hinge", "l1", "auto"),
    ("standardised wide", "squared_hinge", "l2", "auto"),
    ("standardised wide", "modified_huber", "elasticnet", "auto"),
    ("standardised wide", "hinge", None, "auto"),
    ("rare class", "log_loss", "l2", "auto"),
    ("rare class", "hinge", "elasticnet", "auto"),
    ("rare class, nearer", "hinge", "l2", "auto"),
    ("rare class, nearer", "log_loss", None, "auto"),
    ("text", "log_loss", "l2", "sgd"),
    ("text", "squared_hinge", "l2", "auto"),
    ("letters", "log_loss", "l2", "auto"),
    ("letters", "modified_huber", None, "auto"),
    ("lone row", "log_loss", "l2", "sgd"),
    ("lone row", "modified_huber", "l2", "sgd"),
    ("lone row", "hinge", "l1", "auto"),
    ("units of classes", "log_loss", "l1", "auto"),
    ("units of classes", "hinge", "l2", "sgd"),
    ("units of classes", "squared_hinge", None, "adam"),
    ("units", "epsilon_insensitive", "l2", "auto"),
    ("units", "huber", "elasticnet", "adam"),
    ("units", "squared_error", None, "sgd"),
    ("near copies", "quantile", None, "auto"),
    ("near copies", "squared_error", "l1", "auto"),
    ("ratings", "quantile", "l2", "auto"),
    ("ratings", "epsilon_insensitive", None, "auto"),
    ("ratings", "huber", "l2", "auto"),
    ("rare levels", "quantile", "l1", "auto"),
    ("rare levels", "squared_epsilon_insensitive", "l2", "sgd"),
    ("counts", "poisson", "elasticnet", "auto"),
    ("counts", "squared_epsilon_insensitive", "l1", "sgd"),
    ("claims", "gamma", "l1", "auto"),
    ("claims", "quantile", "l2", "auto"),
    ("claims", "squared_error", "elasticnet", "sgd"),
    ("slip of the pen", "poisson", "l2", "auto"),
    ("slip of the pen", "gamma", "elasticnet", "auto"),
    ("slip of the pen", "huber", "l2", "sgd"),
]


def by_night():
    """All combinations: sgd and adam have no automatic rates for losses of unbounded curvature."""
    return [
        (kind.name, loss, penalty, solver)
        for solver in SOLVERS
        for kind in KINDS.values()
        for loss in kind.losses
        for penalty in PENALTIES
        if solver == "auto" or loss not in LOG_LINK
    ]


def model_of(kind: Kind, loss: str, penalty: str | None, solver: str):
    """An estimator with these parameters and defaults otherwise; the quantile is in the tail, where rows are few."""
    parameters = {"penalty": penalty, "solver": solver, "random_state": 0 if solver in ("sgd", "adam") else None}
    if kind.task == "classes":
        return GDClassifier(loss, **parameters)
    return GDRegressor(loss, **parameters, **({"quantile": 0.9} if loss == "quantile" else {}))


# ---------------------------------------------------------------- fits
@pytest.mark.parametrize(("name", "loss", "penalty", "solver"), by_night() if NIGHTLY else BY_DAY)
def test_a_fit_ends_at_the_minimum_or_says_why_not(name, loss, penalty, solver):
    X, y = data_of(name)
    model = model_of(KINDS[name], loss, penalty, solver)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.fit(X, y)
    messages = [str(warning.message) for warning in said]
    assert {warning.category for warning in said} <= {ConvergenceWarning}, messages
    if messages and solver != "auto":
        return
    found = judged(model, X, y, ITERATIONS)
    if penalty is None and messages and messages[0].startswith(SEPARATED):
        assert found.lowest <= model.tol * model.loss_curve_[0]
        return
    assert not messages
    assert found.excess <= ALLOWED * model.tol, found


# ---------------------------------------------------------------- the data
def dense(X):
    return X.toarray() if sp.issparse(X) else X


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_kinds_are_what_they_say(kind):
    """They have as many rows as asked for, the same ones for the same seed, and targets that suit the task."""
    n = min(kind.rows, 400)
    (X, y), (same, same_y), (other, _) = (kind.generate(n, seed) for seed in (1, 1, 2))
    assert X.shape[0] == n == len(y)
    assert_allclose(dense(X), dense(same), rtol=0.0)
    assert_allclose(y, same_y, rtol=0.0)
    assert X.shape != other.shape or not np.array_equal(dense(X), dense(other))
    assert np.isfinite(dense(X)).all()
    assert np.ptp(dense(X), axis=0).min() > 0.0
    suits = {
        "classes": lambda y: np.array_equal(np.unique(y), np.arange(y.max() + 1)),
        "targets": lambda y: np.isfinite(y).all(),
        "counts": lambda y: (y >= 0.0).all() and np.array_equal(y, np.round(y)) and y.any(),
        "positive": lambda y: (y > 0.0).all(),
    }
    assert suits[kind.task](y)


def test_the_choice_of_the_day_meets_everything():
    kinds, losses, penalties, solvers = (set(values) for values in zip(*BY_DAY, strict=True))
    assert kinds == set(KINDS)
    assert losses == {loss for several in LOSSES_OF.values() for loss in several}
    assert penalties == set(PENALTIES)
    assert solvers == set(SOLVERS)
    assert set(BY_DAY) <= set(by_night())


# ---------------------------------------------------------------- the oracle
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_the_oracle(loss, rng):
    """Their values are those of the formulas, smoothed or not, and their derivatives those of differences."""
    z, parameters = rng.normal(size=1_000), {"epsilon": 0.3, "quantile": 0.5}
    if loss in LOSSES_OF["classes"]:
        y = rng.choice([0.0, 1.0] if loss == "log_loss" else [-1.0, 1.0], 1_000)
    else:
        y = rng.exponential(size=1_000)
    assert_allclose(LOSSES[loss](y, z, h=0.0, **parameters)[0], FORMULAS[loss](y, z, **parameters), rtol=1e-12, atol=1e-13)
    value, slope = LOSSES[loss](y, z, h=0.1, **parameters)
    assert np.abs(value - FORMULAS[loss](y, z, **parameters)).max() <= 0.1
    above, below = (LOSSES[loss](y, z + step, h=0.1, **parameters)[0] for step in (1e-6, -1e-6))
    assert_allclose(slope, (above - below) / 2e-6, atol=1e-4)


def test_the_quantile_loss_of_the_oracle_weighs_rows_above_and_below():
    value, slope = LOSSES["quantile"](0.0, np.array([-1.0, 1.0]), quantile=0.9, h=0.0)
    assert_allclose(value, [0.9, 0.1])
    assert_allclose(slope, [-0.9, 0.1])


def least(model, peer, X, y):
    """The least value that the oracle finds from constant scores, as a share of the objective of a fitted peer."""
    oracle = Oracle(model, X, y, iterations=2_000)
    coefficients = oracle.coordinates.of(np.atleast_2d(peer.coef_).T, np.atleast_1d(peer.intercept_))
    return oracle.lowest(oracle.constant()) / oracle.value(coefficients)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_the_oracle_finds_the_minimum_of_others(storage, regression, three_classes):
    """The oracle finds nothing lower, and nothing higher except by rounding or by what smoothing costs."""
    X, y = regression
    n = len(y)
    ridge, lasso = Ridge(alpha=0.1 * n).fit(X, y), ElasticNet(alpha=0.1, l1_ratio=0.15, tol=1e-10).fit(X, y)
    assert_allclose(least(GDRegressor(alpha=0.1), ridge, storage(X), y), 1.0, rtol=1e-9)
    assert_allclose(least(GDRegressor(penalty="elasticnet", alpha=0.1), lasso, storage(X), y), 1.0, rtol=1e-8)
    program = QuantileRegressor(alpha=0.1, quantile=0.9).fit(X, y)
    mine = GDRegressor("quantile", penalty="l1", alpha=0.1, quantile=0.9)
    assert 1.0 - 1e-9 <= least(mine, program, storage(X), y) <= 1.0 + 1e-4
    X, y = three_classes
    logistic = LogisticRegression(C=1.0 / (0.1 * len(y)), solver="newton-cg", tol=1e-10).fit(X, y)
    assert_allclose(least(GDClassifier(alpha=0.1), logistic, storage(X), y), 1.0, rtol=1e-9)
