"""Bounds and estimates that were once false: well explained targets, other units, weights of many magnitudes."""

import numpy as np
import pytest
import test_interior_point as oracle
from numpy.testing import assert_allclose
from problems import objective_of
from sklearn.linear_model import QuantileRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.losses.regression import Huber, Quantile, SquaredEpsilonInsensitive
from skgd.monitoring.history import History
from skgd.solvers import gd, interior_point, interior_systems
from skgd.solvers.budget import Budget
from skgd.solvers.interior_column import Column


# ---------------------------------------------------------------- bounds that were none
@pytest.mark.parametrize("tol", [1e-1, 1e-4])
@pytest.mark.parametrize("unit", [1.0, 10.0, 1e4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quantiles_of_targets_that_columns_explain_well(seed, unit, tol):
    """Far from the minimum, slopes along unpenalised coefficients must not be taken for bounds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(100, 5))
    y = unit * (X @ [3.0, -2.0, 1.0, 1.0, 2.0] + 0.1 * rng.normal(size=100))
    best = 0.5 * np.abs(y - QuantileRegressor(quantile=0.5, alpha=0.0).fit(X, y).predict(X)).mean()
    model = GDRegressor("quantile", penalty=None, tol=tol).fit(X, y)
    assert model.gap_ >= 0.0
    assert 0.5 * np.abs(y - model.predict(X)).mean() <= (1.0 + 1.01 * tol) * best


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.1), (1, 0.1), (1, 0.01)])
def test_support_vectors_of_classes_that_hardly_overlap(seed, noise):
    """The intercept has far to go, and its slope must not enter the bound."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 2))
    signs, A = np.where(X @ [1.0, -1.0] + noise * rng.logistic(size=40) > 0, 1.0, -1.0), np.column_stack([X, np.ones(40)])
    model = GDClassifier("hinge", penalty="l1", alpha=1e-4, tol=1e-4).fit(X, signs)
    formula = "hinge", A, signs, np.full(40, 1 / 40), np.array([1e-4, 1e-4, 0.0]), np.zeros(3)
    F, best = oracle.value_of(*formula, np.append(model.coef_[0], model.intercept_)), oracle.least(*formula)
    assert model.gap_ >= 0.0
    assert F <= (1.0 + 1.01e-4) * best


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_below_the_minimum_where_columns_explain_the_target(seed):
    """Checked at every iteration, as in test_interior_point, but with less noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(100, 5))
    y = X @ [3.0, -2.0, 1.0, 1.0, 2.0] + 0.1 * rng.normal(size=100)
    best = 0.5 * np.abs(y - QuantileRegressor(quantile=0.5, alpha=0.0).fit(X, y).predict(X)).mean()
    objective = objective_of(Quantile(1, 0.5, float(y.std())), X, Y=y[None], l2=0.0)
    theta = np.append(np.zeros(5), np.median(y))[:, None]
    z = objective.table.scores(*objective.coordinates.raw(theta))
    column = Column(objective, 0, theta[:, 0], z[0])
    column.allowed = 1e-3
    interior_point._update(objective, [column])
    for _ in range(15):
        assert column.bound <= best * (1.0 + 1e-9)
        interior_point._step(objective, [column], interior_systems.by_coefficient_matrices)
        interior_point._update(objective, [column])


# ---------------------------------------------------------------- rounded ramps in other units
@pytest.mark.parametrize("unit", [1e-12, 1e-8, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("loss", [SquaredEpsilonInsensitive, Huber])
def test_rounded_ramps_in_any_unit(loss, unit):
    """The first mu has the unit of the products p u, which is the unit of the loss."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    y = unit * (X @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=40))
    objective, start = objective_of(loss(1, 0.1 * unit), X, Y=y[None], l2=0.1), np.zeros((5, 1))
    found, exact = History("gd"), History("gd")
    solution = interior_point.minimise(objective, start, tol=1e-6, max_iter=200, history=found)
    gd.minimise_smooth(objective, start, Budget(1e-10, 500, exact))
    assert solution.converged
    assert solution.gap >= 0.0
    assert found.curve[-1] <= (1.0 + 1e-6) * exact.curve[-1]


@pytest.mark.parametrize("unit", [1.0, 1e6, 1e8])
def test_squared_epsilon_insensitive_in_any_unit(unit):
    """The same by `fit`."""
    rng = np.random.default_rng(60)
    X = rng.normal(size=(60, 50))
    y = X[:, 0] + rng.normal(size=60)
    one, other = (
        GDRegressor("squared_epsilon_insensitive", epsilon=0.5 * scale, alpha=1e-6).fit(X, scale * y) for scale in (1.0, unit)
    )
    assert other.converged_
    assert_allclose(other.loss_curve_[-1] / unit**2, one.loss_curve_[-1], rtol=2e-4)


# ---------------------------------------------------------------- attributes
def test_partial_fit_of_rows_without_weight_sets_the_attributes():
    """A first batch without weight makes a model whose gap is unknown."""
    model = GDRegressor(solver="sgd").partial_fit(np.ones((3, 2)), np.ones(3), np.zeros(3))
    assert model.converged_ is False
    assert np.isnan(model.gap_)
    assert model.gap_kind_ is None


# ---------------------------------------------------------------- weights of four orders of magnitude
@pytest.mark.parametrize("seed", [0, 4, 5, 8, 17, 18])
def test_hinge_with_weights_of_four_orders_of_magnitude(seed):
    """Complementarity is averaged with the weights of the rows; an unweighted mean did not fall."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 60))
    d = int(rng.integers(2, max(3, n // 2)))
    X = StandardScaler().fit_transform(rng.normal(size=(n, d)))
    z = X @ rng.normal(size=d) + 10.0 ** rng.uniform(-2.0, 0.5) * rng.normal(size=n)
    signs, weights, alpha = np.where(z > 0.0, 1.0, -1.0), 10.0 ** rng.uniform(-2.0, 2.0, n), 10.0 ** rng.uniform(-5.0, -1.0)
    model = GDClassifier("hinge", alpha=alpha, penalty="l1", tol=1e-4).fit(X, signs, weights)
    best = oracle.minimum_of("hinge", X, signs, weights, alpha, 0.0)
    assert model.loss_curve_[-1] <= (1.0 + 1.01e-4) * best
