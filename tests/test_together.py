"""Independent columns share passes, and each ends where it would have ended alone."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from problems import FORMULAS
from scipy.optimize import minimize
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.objective import Objective
from skgd.solvers import together

EPSILON = 0.5
CASES = [
    (GDClassifier, "squared_hinge"),
    (GDClassifier, "modified_huber"),
    (GDRegressor, "huber"),
    (GDRegressor, "poisson"),
]
EVERY_CASE = pytest.mark.parametrize(("estimator", "loss"), CASES)
PENALTIES = [{"alpha": 0.01}, {"penalty": "elasticnet", "alpha": 0.02, "l1_ratio": 0.5}]


@pytest.fixture(scope="module", name="X")
def standardised():
    """Standardised columns."""
    return StandardScaler().fit_transform(np.random.default_rng(6).normal(size=(150, 5)))


def targets(loss, X):
    """Labels of three classes, or two targets of which one is harder than the other."""
    rng = np.random.default_rng(7)
    z = X @ [1.0, -1.0, 0.5, 0.0, 0.2]
    if loss in ("squared_hinge", "modified_huber"):
        return np.digitize(z + rng.logistic(size=len(z)), [-1.0, 2.0])
    if loss == "poisson":
        return np.column_stack([rng.poisson(np.exp(z)), rng.poisson(np.exp(3.0 + 0.1 * z))]).astype(float)
    return np.column_stack([z + rng.normal(size=len(z)), 3.0 * z + rng.standard_t(1.5, size=len(z))])


def model_of(estimator, loss, **parameters):
    own = {"epsilon": EPSILON} if loss == "huber" else {}
    return estimator(loss, **own, **parameters)


def columns(estimator, y):
    """The columns, each as a target of its own."""
    return [y == k for k in range(3)] if estimator is GDClassifier else list(y.T)


@pytest.fixture
def passes(monkeypatch):
    """The number of columns in every pass over X."""
    counts, loss_parts = [], Objective.loss_parts

    def counted(objective, theta):
        counts.append(theta.shape[1])
        return loss_parts(objective, theta)

    monkeypatch.setattr(Objective, "loss_parts", counted)
    return counts


@pytest.mark.parametrize("penalty", PENALTIES, ids=["l2", "elastic net"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@EVERY_CASE
def test_columns_together_have_the_minimum_of_each_alone(estimator, loss, storage, penalty, X):
    y = targets(loss, X)
    both = model_of(estimator, loss, tol=1e-12, **penalty).fit(storage(X), y)
    total = 0.0
    for k, column in enumerate(columns(estimator, y)):
        alone = model_of(estimator, loss, tol=1e-12, **penalty).fit(storage(X), column)
        total += alone.loss_curve_[-1]
        assert_allclose(both.coef_[k], np.ravel(alone.coef_), atol=1e-5)
        assert_allclose(both.intercept_[k], alone.intercept_[0], atol=1e-5)
    assert_allclose(both.loss_curve_[-1], total, rtol=1e-11)
    assert both.converged_


@EVERY_CASE
def test_the_minimum_of_columns_together_is_that_of_scipy(estimator, loss, X):
    y, A = targets(loss, X), np.column_stack([X, np.ones(len(X))])
    model = model_of(estimator, loss, alpha=0.01, tol=1e-10).fit(X, y)
    total = 0.0
    for column in columns(estimator, y):
        target = 2.0 * column - 1.0 if estimator is GDClassifier else column

        def value(p, target=target):
            return FORMULAS[loss](target, A @ p, epsilon=EPSILON).mean() + 0.005 * p[:-1] @ p[:-1]

        total += min(minimize(value, np.zeros(6), method=method).fun for method in ("BFGS", "L-BFGS-B"))
    assert_allclose(model.loss_curve_[-1], total, rtol=1e-6)
    assert model.loss_curve_[-1] <= total * (1.0 + 1e-10)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
@EVERY_CASE
def test_the_curve_has_an_entry_for_every_iteration_and_ends_with_the_objective(estimator, loss, tol, X, objective):
    y = targets(loss, X)
    exact = model_of(estimator, loss, alpha=0.01, tol=1e-12).fit(X, y)
    model = model_of(estimator, loss, alpha=0.01, tol=tol).fit(X, y)
    assert len(model.loss_curve_) == model.n_iter_ + 1
    assert_allclose(model.loss_curve_[-1], objective(model, X, y), rtol=1e-10)
    assert np.diff(model.loss_curve_).max() <= 1e-12 * model.loss_curve_[0]
    assert model.loss_curve_[-1] <= (1.0 + tol) * exact.loss_curve_[-1]


def test_columns_that_have_ended_leave_the_passes(X, passes):
    """One target has outliers and takes more iterations than the other, which hardly differs from a constant."""
    rng = np.random.default_rng(9)
    y = np.column_stack([X[:, 0] + 0.1 * rng.normal(size=150), 100.0 * X[:, 1] + 1e3 * rng.standard_t(1.0, size=150)])
    model = model_of(GDRegressor, "huber", alpha=1e-3, tol=1e-8).fit(X, y)
    together_, alone = passes.copy(), []
    assert set(together_) == {1, 2}
    first = together_.index(1)
    assert together_[:first] == [2] * first
    for column in y.T:
        passes.clear()
        model_of(GDRegressor, "huber", alpha=1e-3, tol=1e-8).fit(X, column)
        alone.append(len(passes))
    assert alone[0] != alone[1]
    assert len(together_) < sum(alone)
    assert model.converged_


def test_columns_of_a_coupled_loss_stay_together(X, passes):
    y = targets("modified_huber", X)
    GDClassifier(alpha=0.01, tol=1e-8).fit(X, y)
    assert set(passes) == {3}


def test_too_few_iterations_end_all_columns(X):
    y = targets("huber", X)
    with pytest.warns(UserWarning, match="without reaching tol=1e-12"):
        model = model_of(GDRegressor, "huber", alpha=1e-3, tol=1e-12, max_iter=2).fit(X, y)
    assert model.n_iter_ == 2
    assert len(model.loss_curve_) == 3
    assert not model.converged_


@EVERY_CASE
def test_a_second_fit_goes_on_where_the_first_one_ended(estimator, loss, X):
    """The next fit, with another penalty, uses the cache of each column."""
    y = targets(loss, X)
    model = model_of(estimator, loss, alpha=0.02, tol=1e-10, warm_start=True).fit(X, y)
    warm = model.set_params(alpha=0.01).fit(X, y)
    cold = model_of(estimator, loss, alpha=0.01, tol=1e-10).fit(X, y)
    assert_allclose(warm.loss_curve_[-1], cold.loss_curve_[-1], rtol=1e-9)
    assert warm.loss_curve_[0] < cold.loss_curve_[0]
    assert len(warm.loss_curve_) == warm.n_iter_ + 1


def test_gaps_of_columns_add_up():
    """Gaps are weighted by the columns' objectives, and all columns must have converged."""
    theta = np.zeros((2, 1))
    solutions = [
        together.Solution(theta, 3, 0.1, True, bound=True),
        together.Solution(theta, 5, 0.02, True, bound=True),
    ]
    joined = together._joined(solutions, [1.0, 4.0], 5)
    assert joined.gap == pytest.approx((0.1 * 1.0 + 0.02 * 4.0) / 5.0)
    assert (joined.iterations, joined.converged, joined.bound) == (5, True, True)
    solutions[1] = solutions[1]._replace(converged=False, bound=False, remark="Why.")
    joined = together._joined(solutions, [1.0, 4.0], 5)
    assert (joined.converged, joined.bound, joined.remark) == (False, False, "Why.")
