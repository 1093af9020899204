"""Supports: with an L1 penalty, the same coefficients are zero as with scikit-learn's solvers.

Columns are standardised, because scikit-learn's solvers need it.  They are linearly independent, so that there is one minimiser
and one support.  A gap of 1e-8 determines slopes up to about 1e-4 of the penalty.  No slope of a zero coefficient at the exact
minimum is that close to the penalty, unless a test says so.
"""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from problems import sparse_logistic_regression
from sklearn import datasets
from sklearn.linear_model import ElasticNet, Lasso
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

TOL = 1e-8
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])
# The penalty as a fraction of the smallest penalty for which all coefficients are zero.
FRACTIONS = pytest.mark.parametrize("fraction", [0.3, 0.1, 0.01, 0.001])


def bundled(name):
    """A data set of scikit-learn with standardised columns, without constant columns."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return StandardScaler().fit_transform(X[:, X.std(axis=0) > 0.0]), y


def wide(n=50, d=200):
    """More columns than rows, with half of the entries zero, and three targets that depend on two columns each."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.5)
    W = np.zeros((d, 3))
    W[[0, 1, 2, 10, 11, 150], [0, 1, 2, 0, 1, 2]] = [3.0, -2.0, 2.0, -1.5, 1.0, 4.0]
    return X, X @ W + 0.5 * rng.normal(size=(n, 3))


def regression(name):
    if name == "wide":
        X, Y = wide()
        return X, Y[:, 0]
    return bundled(name)


def weights_of(weighted, y):
    return np.random.default_rng(1).uniform(0.2, 3.0, len(y)) if weighted else None


def largest_slope(X, residuals, weights=None):
    """The largest slope of the mean loss at coefficients of zero; with a larger alpha, all coefficients are zero."""
    s = np.ones(len(X)) if weights is None else weights
    return np.abs((X - np.average(X, axis=0, weights=s)).T @ (s[:, None] * residuals.reshape(len(X), -1))).max() / s.sum()


def peer(X, y, alpha, l1_ratio=1.0, weights=None):
    """Coefficients of scikit-learn's coordinate descent, up to rounding.  X is dense: on sparse X it stops too early."""
    lasso = Lasso(alpha=alpha) if l1_ratio == 1.0 else ElasticNet(alpha=alpha, l1_ratio=l1_ratio)
    return lasso.set_params(tol=1e-14, max_iter=100_000).fit(X, y, weights).coef_


def assert_same_support(coef, expected):
    """The signs of all coefficients agree, and not all coefficients are zero."""
    assert_array_equal(np.sign(coef), np.sign(expected))
    assert expected.any()


# ---------------------------------------------------------------- least squares
@STORAGE
@WEIGHTED
@FRACTIONS
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("name", ["diabetes", "wide"])
def test_support_of_least_squares(name, l1_ratio, fraction, weighted, storage):
    X, y = regression(name)
    weights = weights_of(weighted, y)
    alpha = fraction * largest_slope(X, y - np.average(y, weights=weights), weights) / l1_ratio
    model = GDRegressor(penalty="elasticnet", l1_ratio=l1_ratio, alpha=alpha, tol=TOL).fit(storage(X), y, weights)
    assert_same_support(model.coef_, peer(X, y, alpha, l1_ratio, weights))


@STORAGE
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_supports_of_several_targets_equal_those_of_separate_fits(fit_intercept, storage):
    X, Y = wide()
    model = GDRegressor(penalty="l1", alpha=0.1, tol=TOL, fit_intercept=fit_intercept).fit(storage(X), Y)
    for coef, y in zip(model.coef_, Y.T, strict=True):
        expected = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000, fit_intercept=fit_intercept).fit(X, y)
        assert_same_support(coef, expected.coef_)


@STORAGE
@pytest.mark.parametrize("name", ["diabetes", "wide"])
def test_a_penalty_that_leaves_one_coefficient_or_none(name, storage):
    X, y = regression(name)
    least = largest_slope(X, y - y.mean())
    for alpha, size in ((1.001 * least, 0), (0.999 * least, 1)):
        model = GDRegressor(penalty="l1", alpha=alpha, tol=TOL).fit(storage(X), y)
        assert np.count_nonzero(model.coef_) == size


@STORAGE
@FRACTIONS
@pytest.mark.parametrize("name", ["diabetes", "wide"])
def test_support_of_float32(name, fraction, storage):
    """The support is that of the rounded data, and that of the exact data except for coefficients close to the threshold."""
    X, y = regression(name)
    single = X.astype(np.float32)
    alpha = fraction * largest_slope(X, y - y.mean())
    model = GDRegressor(penalty="l1", alpha=alpha, tol=TOL).fit(storage(single), y)
    assert_same_support(model.coef_, peer(single.astype(float), y, alpha))
    exact = peer(X, y, alpha)
    slope = np.abs(X.T @ (y - y.mean() - (X - X.mean(axis=0)) @ exact)) / len(y)
    edge = (np.abs(slope - alpha) < 1e-5 * alpha) & (np.abs(exact) < 1e-5 * np.abs(exact).max())
    assert_array_equal((model.coef_ != 0.0)[~edge], (exact != 0.0)[~edge])


# ---------------------------------------------------------------- logistic regression
@cache
def classification(name, weighted, fraction):
    """Data, weights, alpha and the coefficients of saga; cached, because saga takes most of the time of these tests."""
    X, y = bundled(name) if name != "wide" else wide()
    if name == "wide":
        y = np.digitize(y[:, 0], np.quantile(y[:, 0], [0.3, 0.7]))
    elif name == "digits":
        X, y = X[:200], y[:200] % 3
    weights = weights_of(weighted, y)
    indicators = (y[:, None] == np.unique(y)).astype(float)
    alpha = fraction * largest_slope(X, indicators - np.average(indicators, axis=0, weights=weights), weights)
    return X, y, weights, alpha, saga(X, y, weights, alpha, 1.0)


def saga(X, y, weights, alpha, l1_ratio):
    C = 1.0 / (alpha * (len(y) if weights is None else weights.sum()))
    model = sparse_logistic_regression(C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-8, max_iter=100_000, random_state=0)
    return model.fit(X, y, weights).coef_


@STORAGE
@WEIGHTED
@pytest.mark.parametrize(
    ("name", "fraction"), [("breast_cancer", 0.3), ("breast_cancer", 0.1), ("wine", 0.1), ("digits", 0.2), ("wide", 0.2)]
)
def test_support_of_logistic_regression(name, fraction, weighted, storage):
    X, y, weights, alpha, expected = classification(name, weighted, fraction)
    model = GDClassifier(penalty="l1", alpha=alpha, tol=TOL).fit(storage(X), y, weights)
    assert_same_support(model.coef_, expected)
    assert not expected.all()


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_support_of_the_elastic_net_of_logistic_regression(name):
    X, y, _, alpha, _ = classification(name, False, 0.1)
    model = GDClassifier(penalty="elasticnet", l1_ratio=0.5, alpha=2.0 * alpha, tol=TOL).fit(X, y)
    assert_same_support(model.coef_, saga(X, y, None, 2.0 * alpha, 0.5))


@STORAGE
@pytest.mark.parametrize(("fraction", "tol"), [(0.5, TOL), (0.3, 1e-11), (0.1, TOL), (0.02, TOL)])
def test_support_of_logistic_regression_without_an_intercept(fraction, tol, storage):
    """Compare with liblinear, which penalises intercepts.  At 0.3, the slope of a zero is within 1.4e-4 of the penalty."""
    X, y = bundled("breast_cancer")
    alpha = fraction * largest_slope(X, y - y.mean())
    expected = sparse_logistic_regression(
        C=1.0 / (alpha * len(y)), solver="liblinear", tol=1e-10, max_iter=10_000, fit_intercept=False
    ).fit(X, y)
    model = GDClassifier(penalty="l1", alpha=alpha, tol=tol, fit_intercept=False).fit(storage(X), y)
    assert_same_support(model.coef_, expected.coef_)


@STORAGE
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_support_of_logistic_regression_of_float32(name, storage):
    X, y, _, alpha, expected = classification(name, False, 0.1)
    assert_same_support(GDClassifier(penalty="l1", alpha=alpha, tol=TOL).fit(storage(X.astype(np.float32)), y).coef_, expected)
