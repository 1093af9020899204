"""Fits find the minimum that scikit-learn's and SciPy's solvers find, on raw data too, and without a warning."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from problems import sparse_logistic_regression
from scipy.optimize import minimize
from sklearn import datasets
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

STORAGES = [np.asarray, sp.csr_matrix]
SOLVERS = ["auto", "gd", "sgd", "adam"]


def assert_same_coefficients(model, expected, X):
    """Effects are equal to 1e-5 of the largest; the effect of a column is its coefficient times its standard deviation."""
    X = np.asarray(X.todense()) if sp.issparse(X) else X
    W, b = np.atleast_2d(expected.coef_), np.atleast_1d(expected.intercept_)
    difference = np.atleast_2d(model.coef_) - W
    largest = np.abs(W * X.std(axis=0)).max()
    assert np.abs(difference * X.std(axis=0)).max() <= 1e-5 * largest
    assert np.abs(model.intercept_ - b + difference @ X.mean(axis=0)).max() <= 1e-5 * (
        largest + np.abs(b + W @ X.mean(axis=0)).max()
    )


def assert_not_above(objective, model, expected, X, y, weights=None):
    """Our objective exceeds theirs by at most 1e-8 of it."""
    ours = objective(model, X, y, weights)
    assert ours <= objective(model, X, y, weights, expected.coef_, expected.intercept_) * (1 + 1e-8)


# ---------------------------------------------------------------- logistic regression
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, {0: 3.0, 1: 0.5, 2: 1.0}, "balanced"])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_logistic_regression(data, class_weight, weighted, storage, request, rng, objective):
    X, y = request.getfixturevalue(data)
    X = storage(X)
    if isinstance(class_weight, dict):
        class_weight = {label: class_weight[label] for label in np.unique(y)}
    weights = rng.uniform(0.1, 3.0, len(y)) if weighted else np.ones(len(y))
    s = weights
    if class_weight == "balanced":
        s = weights * (weights.sum() / (y.max() + 1) / np.bincount(y, weights=weights))[y]
    elif class_weight is not None:
        s = weights * np.array([class_weight[label] for label in y])
    C = 0.7
    expected = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-13).fit(X, y, s)
    model = GDClassifier(alpha=1 / (C * s.sum()), tol=1e-10, class_weight=class_weight)
    model.fit(X, y, weights if weighted else None)
    assert_same_coefficients(model, expected, X)
    assert_not_above(objective, model, expected, X, y, s)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_logistic_regression_by_lbfgs(data, fit_intercept, request, objective):
    """A peer with a different algorithm, with and without an intercept, standardised so that it converges."""
    X, y = request.getfixturevalue(data)
    X = StandardScaler().fit_transform(X)
    expected = LogisticRegression(C=2.0, tol=1e-9, max_iter=10_000, fit_intercept=fit_intercept).fit(X, y)
    model = GDClassifier(alpha=1 / (2.0 * len(y)), tol=1e-10, fit_intercept=fit_intercept).fit(X, y)
    assert_same_coefficients(model, expected, X)
    assert_not_above(objective, model, expected, X, y)


@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_logistic_regression_without_penalty(data, request, objective):
    X, y = request.getfixturevalue(data)
    expected = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13).fit(X, y)
    model = GDClassifier(penalty=None, tol=1e-10).fit(X, y)
    assert_same_coefficients(model, expected, X)
    assert_not_above(objective, model, expected, X, y)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_sparse_logistic_regression(data, l1_ratio, storage, request, objective):
    X, y = request.getfixturevalue(data)
    X, alpha = storage(StandardScaler().fit_transform(X)), 0.02
    expected = sparse_logistic_regression(
        C=1 / (alpha * len(y)), l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=100_000
    ).fit(X, y)
    model = GDClassifier(penalty="elasticnet", l1_ratio=l1_ratio, alpha=alpha, tol=1e-10).fit(X, y)
    assert_not_above(objective, model, expected, X, y)
    assert_allclose(objective(model, X, y), objective(model, X, y, None, expected.coef_, expected.intercept_), rtol=1e-8)
    assert_allclose(model.coef_, expected.coef_, atol=1e-4)


def test_sparse_logistic_regression_by_liblinear(two_classes, objective):
    """Without an intercept, which liblinear penalises."""
    X, y = two_classes
    X = StandardScaler().fit_transform(X)
    expected = sparse_logistic_regression(
        C=1 / (0.02 * len(y)), solver="liblinear", tol=1e-10, max_iter=10_000, fit_intercept=False
    ).fit(X, y)
    model = GDClassifier(penalty="l1", alpha=0.02, tol=1e-10, fit_intercept=False).fit(X, y)
    assert_not_above(objective, model, expected, X, y)
    assert_allclose(model.coef_, expected.coef_, atol=1e-5)
    assert np.array_equal(model.coef_ == 0, expected.coef_ == 0)


# ---------------------------------------------------------------- linear regression
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_penalised_least_squares(penalty, targets, weighted, storage, regression, rng, objective):
    X, y = regression
    if targets == 2:
        y = np.column_stack([y, 100.0 * X[:, 1] - X[:, 4] + rng.normal(size=len(y))])
    weights = rng.uniform(0.1, 3.0, len(y)) if weighted else None
    n, alpha = len(y) if weights is None else weights.sum(), 0.05
    expected = {
        "l2": Ridge(alpha=alpha * n, solver="cholesky"),
        "l1": Lasso(alpha=alpha, tol=1e-14, max_iter=100_000),
        "elasticnet": ElasticNet(alpha=alpha, l1_ratio=0.3, tol=1e-14, max_iter=100_000),
    }[penalty]
    # Peers are fitted to dense X, because their sparse solvers stop early.
    expected.fit(X, y, weights)
    model = GDRegressor(penalty=penalty, alpha=alpha, l1_ratio=0.3 if penalty == "elasticnet" else None, tol=1e-10)
    model.fit(storage(X), y, weights)
    assert_same_coefficients(model, expected, X)
    assert_not_above(objective, model, expected, X, y, weights)
    assert np.array_equal(model.coef_ == 0, expected.coef_ == 0)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("storage", STORAGES)
def test_ordinary_least_squares(storage, fit_intercept, regression):
    X, y = regression
    expected = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    model = GDRegressor(penalty=None, tol=1e-10, fit_intercept=fit_intercept).fit(storage(X), y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("epsilon", [0.1, 1.5])
def test_huber_regression(epsilon, weighted, regression, rng, objective):
    X, y = regression
    X, y = StandardScaler().fit_transform(X), y + 30.0 * (rng.random(len(y)) < 0.1)
    weights = rng.uniform(0.1, 3.0, len(y)) if weighted else np.ones(len(y))
    model = GDRegressor("huber", epsilon=epsilon, alpha=0.01, tol=1e-10).fit(X, y, weights)

    def value(p):
        return objective(model, X, y, weights, p[:-1], p[-1:])

    def gradient(p):
        r = weights * np.clip(X @ p[:-1] + p[-1] - y, -epsilon, epsilon) / weights.sum()
        return np.append(X.T @ r + 0.01 * p[:-1], r.sum())

    best = minimize(value, np.zeros(7), jac=gradient, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-10, "maxiter": 10_000})
    assert np.abs(gradient(best.x)).max() <= 1e-8
    assert objective(model, X, y, weights) <= best.fun * (1 + 1e-8)
    assert_allclose(np.append(model.coef_, model.intercept_), best.x, atol=1e-4 * np.abs(best.x).max())


# ---------------------------------------------------------------- raw data, default parameters
@pytest.mark.parametrize(("name", "accuracy"), [("breast_cancer", 0.97), ("wine", 0.99), ("iris", 0.97), ("digits", 0.99)])
def test_raw_data_is_classified_without_a_warning(name, accuracy):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GDClassifier().fit(X, y).score(X, y) >= accuracy


@pytest.mark.parametrize(("loss", "scaled"), [("squared_error", True), ("squared_error", False), ("huber", False)])
def test_raw_diabetes_is_fitted_without_a_warning(loss, scaled):
    X, y = datasets.load_diabetes(return_X_y=True, scaled=scaled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GDRegressor(loss).fit(X, y).score(X, y) >= 0.5


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_raw_data_has_the_minimum_of_newton(name, objective):
    """The scales of the columns differ by 1e5, and lbfgs does not converge."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    expected = LogisticRegression(solver="newton-cholesky", tol=1e-13).fit(X, y)
    model = GDClassifier(alpha=1 / len(y), tol=1e-10).fit(X, y)
    assert_same_coefficients(model, expected, X)
    assert_not_above(objective, model, expected, X, y)


def test_softmax_beats_one_vs_rest_on_iris():
    X, y = datasets.load_iris(return_X_y=True)
    softmax = log_loss(y, GDClassifier().fit(X, y).predict_proba(X))
    assert softmax < 0.5 * log_loss(y, OneVsRestClassifier(GDClassifier()).fit(X, y).predict_proba(X))


# ---------------------------------------------------------------- exact zeros
@pytest.fixture
def many_columns():
    """X with thirty columns, of which three have an effect on y."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 30)) * rng.uniform(0.5, 2.0, 30) + rng.normal(size=30)
    return X, 2.0 * X[:, 3] - 1.5 * X[:, 11] + X[:, 20] + rng.normal(size=200)


@pytest.mark.parametrize("solver", ["auto", "gd"])
@pytest.mark.parametrize("storage", STORAGES)
def test_zeros_of_full_batches_are_those_of_the_lasso(storage, solver, many_columns):
    X, y = many_columns
    expected = Lasso(alpha=0.1, tol=1e-12).fit(X, y).coef_ == 0
    assert 10 <= expected.sum() <= 27
    assert np.array_equal(GDRegressor(solver=solver, penalty="l1", alpha=0.1).fit(storage(X), y).coef_ == 0, expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("storage", STORAGES)
def test_zeros_of_mini_batches_are_exact(storage, solver, many_columns):
    """At most a fifth of the Lasso's zeros are missed, and none of these by much."""
    X, y = many_columns
    expected = Lasso(alpha=0.1, tol=1e-12).fit(X, y).coef_
    coef = GDRegressor(solver=solver, penalty="l1", alpha=0.1, max_iter=100, random_state=0).fit(storage(X), y).coef_
    assert np.count_nonzero((coef == 0) & (expected == 0)) >= 0.8 * np.count_nonzero(expected == 0)
    assert_allclose(coef, expected, atol=0.02)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
def test_zeros_of_softmax(penalty, solver, many_columns):
    X, y = many_columns
    y = np.digitize(y, [-1.0, 3.0])
    ratio = 0.9 if penalty == "elasticnet" else None
    model = GDClassifier(solver=solver, penalty=penalty, l1_ratio=ratio, alpha=0.03, max_iter=100, random_state=0).fit(X, y)
    assert np.count_nonzero(model.coef_ == 0) >= 45
    assert (model.coef_[:, [3, 11, 20]] != 0).any(axis=0).all()
