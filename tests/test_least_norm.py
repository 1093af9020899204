"""Least squares of dependent columns have the solution of least norm, as LinearRegression and LAPACK do."""

import warnings

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from problems import LOSSES, SQUARED, objective_of, random_theta
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skgd import GDRegressor
from skgd.losses.regression import Huber, SquaredError
from skgd.models.least_norm import matters, shortened
from skgd.models.quasi_newton import QuasiNewton

STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])
INTERCEPT = pytest.mark.parametrize("fit_intercept", [False, True])
KINDS = ["copies", "dummies", "constant", "scales", "wide", "wide scales", "wide copies", "very wide"]
KIND = pytest.mark.parametrize("kind", KINDS)


def dependent(kind):
    """X whose columns depend on one another."""
    rng = np.random.default_rng(0)
    Z, wide = rng.normal(size=(50, 4)), rng.normal(size=(20, 60)) + rng.normal(size=60)
    return {
        "copies": lambda: np.column_stack([Z, 3.0 * Z[:, 0], Z[:, 1], Z[:, 2] - Z[:, 3]]),
        "dummies": lambda: np.column_stack([Z, np.eye(5)[rng.integers(5, size=50)], np.eye(3)[rng.integers(3, size=50)]]),
        "constant": lambda: np.column_stack([Z, Z[:, 0] + Z[:, 1], np.full(50, 3.0), np.zeros(50)]),
        "scales": lambda: np.column_stack([Z, Z @ rng.normal(size=(4, 3))]) * np.logspace(-3.0, 3.0, 7) + 0.01,
        "wide": lambda: wide,
        "wide scales": lambda: wide * np.logspace(-4.0, 4.0, 60),
        "wide copies": lambda: np.column_stack([wide, 5.0 * wide[:, 0], np.full(20, 2.0)])[[*range(20), 3, 4]],
        "very wide": lambda: rng.normal(size=(60, 1200)) * np.logspace(-1.0, 1.0, 1200),  # too wide for matrices of all columns
    }[kind]()


def targets_of(X, seed=1):
    return 3.0 + np.random.default_rng(seed).normal(size=(len(X), 2))


def weights_of(weighted, X):
    return np.random.default_rng(2).uniform(0.1, 3.0, len(X)) if weighted else None


def shortest(X, Y, weights, fit_intercept, cond=1e-13):
    """W and b by a singular value decomposition of the centred and weighted data."""
    s = np.ones(len(X)) if weights is None else weights
    mean, level = (np.average(A, axis=0, weights=s) if fit_intercept else np.zeros(A.shape[1]) for A in (X, Y))
    root = np.sqrt(s)[:, None]
    W = la.lstsq(root * (X - mean), root * (Y - level), cond=cond)[0]
    return W, level - mean @ W


def null_part(X, seed=3):
    """A column of W that X maps to a constant."""
    null = la.null_space(X - X.mean(axis=0))
    return null @ np.random.default_rng(seed).normal(size=null.shape[1])


def assert_equal_to(model, W, b, tol):
    assert_allclose(model.coef_.T, W, rtol=0.0, atol=tol * np.abs(W).max())
    assert_allclose(model.intercept_, b, rtol=tol, atol=tol * np.abs(b).max())


# ---------------------------------------------------------------- fits
@STORAGE
@WEIGHTED
@INTERCEPT
@KIND
def test_coefficients_are_those_of_a_singular_value_decomposition(kind, fit_intercept, weighted, storage):
    X = dependent(kind)
    Y, weights = targets_of(X), weights_of(weighted, X)
    model = GDRegressor(penalty=None, tol=1e-10, fit_intercept=fit_intercept).fit(storage(X), Y, weights)
    assert_equal_to(model, *shortest(X, Y, weights, fit_intercept), tol=1e-7)


@INTERCEPT
@WEIGHTED
@pytest.mark.parametrize("kind", ["copies", "dummies", "constant", "wide", "wide copies", "very wide"])
def test_coefficients_are_those_of_linear_regression(kind, weighted, fit_intercept):
    X = dependent(kind)
    y, weights = targets_of(X)[:, 0], weights_of(weighted, X)
    expected = LinearRegression(fit_intercept=fit_intercept).fit(X, y, weights)
    model = GDRegressor(penalty=None, fit_intercept=fit_intercept).fit(X, y, weights)
    assert_allclose(model.coef_, expected.coef_, atol=1e-10 * np.abs(expected.coef_).max())
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["copies", "wide"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_a_penalty_of_no_weight_is_none(penalty, kind):
    X = dependent(kind)
    y = targets_of(X)[:, 0]
    expected = GDRegressor(penalty=None).fit(X, y)
    assert_array_equal(GDRegressor(penalty=penalty, alpha=0.0).fit(X, y).coef_, expected.coef_)


@STORAGE
@pytest.mark.parametrize("kind", ["copies", "dummies", "scales", "wide", "wide copies", "very wide"])
def test_a_warm_start_loses_its_part_in_the_null_space(kind, storage):
    """The start is at the minimum, where no step is left, or far from it."""
    X = dependent(kind)
    Y = targets_of(X)
    W, b = shortest(X, Y, None, True)
    model = GDRegressor(penalty=None, tol=1e-10, warm_start=True).fit(storage(X), Y)
    for factor in (1.0, -2.0):
        shift = 5.0 * np.abs(W).max() * null_part(X)
        model.coef_ = factor * W.T + shift
        model.intercept_ = b - X.mean(axis=0) @ shift
        model.fit(storage(X), Y)
        assert_equal_to(model, W, b, tol=1e-7)


@INTERCEPT
@pytest.mark.parametrize("kind", ["copies", "dummies", "constant", "wide", "wide copies"])
def test_the_coordinates_of_steps_do_not_matter(kind, fit_intercept):
    X = dependent(kind)
    Y = targets_of(X)
    model = GDRegressor(penalty=None, tol=1e-10, fit_intercept=fit_intercept, standardize=False).fit(X, Y)
    assert_equal_to(model, *shortest(X, Y, None, fit_intercept), tol=1e-7)


@STORAGE
@pytest.mark.parametrize("kind", ["copies", "dummies", "wide"])
def test_float32(kind, storage):
    X = dependent(kind).astype(np.float32)
    Y = targets_of(X)
    model = GDRegressor(penalty=None, tol=1e-6).fit(storage(X), Y)
    assert_equal_to(model, *shortest(dependent(kind), Y, None, True), tol=1e-5)


# ---------------------------------------------------------------- what decides
def nearly_dependent(distance):
    """Two columns with this distance, and a target that their difference explains."""
    rng = np.random.default_rng(0)
    x, difference = rng.normal(size=(2, 100))
    return np.column_stack([x, x + distance * difference]), difference + 0.1 * rng.normal(size=100)


@pytest.mark.parametrize(("distance", "dependent"), [(1e-5, False), (1e-7, True)])
def test_columns_that_differ_by_a_millionth_are_dependent(distance, dependent):
    """LinearRegression agrees from scikit-learn 1.7 on."""
    X, y = nearly_dependent(distance)
    model, (W, _) = GDRegressor(penalty=None, tol=1e-7).fit(X, y), shortest(X, y[:, None], None, True, cond=1e-6)
    assert_allclose(model.coef_, W[:, 0], rtol=1e-4)
    assert (np.abs(model.coef_).max() < 1.0) == dependent


def test_a_direction_that_lowers_the_objective_is_not_taken_for_null(objective):
    """The start explains the target by a difference of 3e-7, which the Gram matrix does not resolve."""
    X, y = nearly_dependent(3e-7)
    W, b = shortest(X, y[:, None], None, True)
    model = GDRegressor(penalty=None, warm_start=True).fit(X, y)
    model.coef_, model.intercept_ = W[:, 0], b
    start = objective(model, X, y)
    assert objective(model.fit(X, y), X, y) <= (1.0 + model.tol) * start


@pytest.mark.parametrize("size", [1e-15, 1e15])
def test_copies_of_an_extreme_column_share_its_coefficient(size):
    """Found by drawing random problems: rounding of the null space became coefficients of 1e13."""
    rng = np.random.default_rng(0)
    X = np.column_stack([np.full(30, size), rng.normal(size=(30, 3)), np.full(30, size)])
    X = np.column_stack([X, X[:, 1]])  # and of an ordinary one
    y = X[:, 1] - X[:, 2] + rng.normal(size=30) + 1.0
    model = GDRegressor(penalty=None, fit_intercept=False).fit(X, y)
    expected = LinearRegression(fit_intercept=False).fit(X[:, [0, 1, 2, 3]] / [size, 1.0, 1.0, 1.0], y).coef_
    assert_allclose(model.coef_[[0, 4]], 0.5 * expected[0] / size, rtol=1e-6)
    assert_allclose(model.coef_[[1, 5]], 0.5 * expected[1], rtol=1e-6)
    assert_allclose(model.coef_[[2, 3]], expected[2:], rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_directions_that_are_nearly_null_cost_less_than_tol(seed):
    """Found by drawing random problems: sums of squares did not resolve null directions of columns that hardly vary."""
    rng = np.random.default_rng(seed)
    X = np.full((25, 6), -1e3) * [1.0, 1e7, 1.0, 1e7, 1.0, 1e7]
    X[[4, 5, 15], [0, 4, 2]] += rng.normal(size=3)
    X[[7, 8, 9], 3] += 1e7 * rng.normal(size=3)
    y = 0.5 * rng.normal(size=25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # about the offsets
        model = GDRegressor(alpha=0.0, fit_intercept=False).fit(X, y)
    assert_allclose(model.coef_[1], model.coef_[5], rtol=1e-3)
    assert model.loss_curve_[-1] == pytest.approx(0.5 * np.mean((X @ model.coef_ - y) ** 2), rel=1e-6)


@pytest.mark.parametrize("loss", [*SQUARED.values(), *LOSSES.values(), Huber(1)])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1)])
def test_it_matters_for_a_squared_loss_alone(l1, l2, loss):
    assert matters(objective_of(loss, l1=l1, l2=l2)) == (isinstance(loss, SquaredError) and l1 == l2 == 0.0)


def test_independent_columns_have_no_null_space():
    """Their coefficients are left as they are, without a pass over X."""
    objective = objective_of(SquaredError(1), l2=0.0)
    theta = random_theta(objective)
    null = QuasiNewton(objective, theta).base.null
    assert null.shape == (objective.d + 1, 0)
    assert shortened(objective, theta, null, 0.0) is theta
