"""Working sets, against scikit-learn's coordinate descent, and the conditions of a minimum."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import objective_of
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso

from skgd import GDClassifier, GDRegressor
from skgd.losses.cross_entropy import LogLoss
from skgd.losses.regression import SquaredError
from skgd.solvers import working_sets

STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])


@pytest.fixture(scope="module")
def wide():
    """60 rows of 1,500 columns.  Five columns matter, and two are the same."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1500)) * (rng.random((60, 1500)) < 0.5)
    X[:, 1] = X[:, 0]
    return X, 3.0 * X[:, 0] - 2.0 * X[:, 10:14].sum(axis=1) + rng.normal(size=60)


def slopes(X, residuals):
    """The gradient of the mean loss by the coefficients."""
    return X.T @ residuals / len(X)


def test_they_are_worthwhile_for_many_columns_and_an_l1_penalty(wide):
    X, _ = wide
    assert working_sets.is_worthwhile(objective_of(LogLoss(1), X, l1=0.1))
    assert working_sets.is_worthwhile(objective_of(SquaredError(1), X, l1=0.1))
    assert not working_sets.is_worthwhile(objective_of(LogLoss(1), X, l1=0.0))
    assert not working_sets.is_worthwhile(objective_of(LogLoss(1), X[:, :20], l1=0.1))


@STORAGE
def test_lasso(wide, storage):
    X, y = wide
    model = GDRegressor(penalty="l1", alpha=0.1, tol=1e-9).fit(storage(X), y)
    expected = Lasso(alpha=0.1, tol=1e-10, max_iter=100_000).fit(X, y)
    # The first two columns are the same, so only the sum of their coefficients is determined.
    np.testing.assert_allclose(model.predict(storage(X)), expected.predict(X), atol=1e-4)
    np.testing.assert_array_equal(model.coef_[2:] != 0.0, expected.coef_[2:] != 0.0)
    assert 5 < np.count_nonzero(model.coef_) < 60


def test_elastic_net(wide):
    X, y = wide
    model = GDRegressor(penalty="elasticnet", l1_ratio=0.5, alpha=0.2, tol=1e-10).fit(X, y)
    expected = ElasticNet(l1_ratio=0.5, alpha=0.2, tol=1e-12, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-5)


@STORAGE
def test_logistic_regression_meets_the_conditions_of_a_minimum(wide, storage):
    X, y = wide
    alpha = 0.02
    model = GDClassifier(penalty="l1", alpha=alpha, tol=1e-9).fit(storage(X), y > 0.0)
    w = model.coef_[0]
    residuals = model.predict_proba(storage(X))[:, 1] - (y > 0.0)
    slope, support = slopes(X, residuals), w != 0.0
    assert 5 < np.count_nonzero(support) < 60
    # A gap of 1e-9 allows slopes of sqrt(2 x curvature x gap), 1e-3 alpha here.
    np.testing.assert_allclose(slope[support], -alpha * np.sign(w[support]), atol=1e-4 * alpha)
    assert np.abs(slope[~support]).max() <= alpha * (1.0 + 1e-4)
    assert abs(residuals.mean()) < 1e-7


def test_softmax_meets_the_conditions_of_a_minimum(wide):
    X, y = wide
    classes = np.digitize(y, np.quantile(y, [0.33, 0.66]))
    alpha = 0.05
    model = GDClassifier(penalty="l1", alpha=alpha, tol=1e-9).fit(X, classes)
    residuals = model.predict_proba(X) - np.eye(3)[classes]
    slope, W = slopes(X, residuals).T, model.coef_
    np.testing.assert_allclose(slope[W != 0.0], -alpha * np.sign(W[W != 0.0]), atol=1e-4 * alpha)
    assert np.abs(slope[W == 0.0]).max() <= alpha * (1.0 + 1e-4)


@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-5])
def test_the_gap_is_at_most_tol(wide, tol):
    X, y = wide
    labels, alpha = y > 0.0, 0.005

    def objective(model):
        z = model.decision_function(X)
        return np.mean(np.logaddexp(0.0, z) - labels * z) + alpha * np.abs(model.coef_).sum()

    fits = [GDClassifier(penalty="l1", alpha=alpha, tol=t).fit(X, labels) for t in (tol, 1e-10)]
    assert objective(fits[0]) <= (1.0 + tol) * objective(fits[1])


def test_the_curve_falls_and_counts_iterations(wide):
    X, y = wide
    model = GDClassifier(penalty="l1", alpha=0.005).fit(X, y > 0.0)
    assert len(model.loss_curve_) == model.n_iter_ + 1
    assert (np.diff(model.loss_curve_) <= 1e-12).all()


def test_too_few_iterations_cause_a_warning(wide):
    X, y = wide
    model = GDClassifier(penalty="l1", alpha=0.005, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="after 3 iterations"):
        model.fit(X, y > 0.0)
    assert model.n_iter_ == 3


def test_a_warm_start_is_at_the_minimum_already(wide):
    X, y = wide
    model = GDRegressor(penalty="l1", alpha=0.1, tol=1e-6, warm_start=True).fit(X, y)
    support = model.coef_ != 0.0
    model.fit(X, y)
    assert model.n_iter_ <= 2
    np.testing.assert_array_equal(model.coef_ != 0.0, support)


@pytest.mark.parametrize(("y", "alpha"), [(np.full(60, 3.0), 0.1), (np.linspace(-1.0, 1.0, 60), 100.0)])
def test_a_constant_target_or_a_large_penalty_leaves_the_intercept_alone(wide, y, alpha):
    """The objective is zero, or no column ever enters the working set."""
    model = GDRegressor(penalty="l1", alpha=alpha).fit(wide[0], y)
    assert not model.coef_.any()
    assert model.intercept_ == pytest.approx(y.mean(), abs=1e-12)
