"""A quadratic loss from the sums of one pass, against further passes over X."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import SQUARED, D, objective_of, random_theta
from sklearn.exceptions import ConvergenceWarning

from skgd import GDRegressor
from skgd.losses.cross_entropy import LogLoss
from skgd.losses.regression import Huber
from skgd.models.least_squares import LeastSquares, is_worthwhile
from skgd.objective import Objective

STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
EVERY_LOSS = pytest.mark.parametrize("loss", SQUARED.values(), ids=SQUARED.keys())


@STORAGE
@EVERY_LOSS
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_values_gradients_and_hessian_are_those_of_passes(loss, fit_intercept, weighted, storage):
    X = storage(np.random.default_rng(2).normal(size=(70, D)) + np.linspace(-3.0, 3.0, D))
    objective = objective_of(loss, X, l1=0.1, fit_intercept=fit_intercept, weighted=weighted)
    squares = LeastSquares(objective)
    for seed in range(3):
        theta = random_theta(objective, seed)
        for value, expected in zip(squares.evaluate(theta), objective.evaluate(theta), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(squares.curvature(theta, 70), objective.curvature(theta, 70, 1), rtol=1e-12, atol=1e-14)


def test_it_is_worthwhile_for_quadratic_losses_with_a_small_hessian():
    assert is_worthwhile(objective_of(SQUARED["squared"]))
    assert not is_worthwhile(objective_of(Huber(1)))
    assert not is_worthwhile(objective_of(LogLoss(1)))
    assert not is_worthwhile(objective_of(SQUARED["squared"], d=2000))


@pytest.mark.parametrize("penalty", ["l2", "l1", None])
def test_data_is_read_once(penalty, monkeypatch, rng):
    """Apart from the pass that standardises it."""
    passes = []
    monkeypatch.setattr(Objective, "loss_part", lambda *_: passes.append("gradient"))
    monkeypatch.setattr(Objective, "curvature", lambda *_: passes.append("Hessian"))
    once = Objective.normal_equations
    monkeypatch.setattr(Objective, "normal_equations", lambda *args: passes.append("both") or once(*args))
    X = rng.normal(size=(300, 8))
    GDRegressor(penalty=penalty, alpha=0.01).fit(X, X @ rng.normal(size=(8, 3)) + rng.normal(size=(300, 3)))
    assert passes == ["both"]


@pytest.mark.parametrize("noise", [1e-4, 1e-6, 1e-8])
def test_a_nearly_perfect_fit_is_not_lost_in_rounding(noise, rng):
    """The objective is 1e-16 of the constants' objective, where sums of squares are rounding."""
    X = rng.normal(size=(500, 6)) + 3.0
    y = X @ rng.normal(size=6) + noise * rng.normal(size=500)
    model = GDRegressor(penalty=None, tol=1e-8).fit(X, y)
    residual = np.linalg.lstsq(np.column_stack([X, np.ones(500)]), y, rcond=None)[1][0] / 1000.0
    assert 0.5 * np.mean((model.predict(X) - y) ** 2) == pytest.approx(residual, rel=1e-7)
    assert model.loss_curve_[-1] == pytest.approx(residual, rel=1e-7)


def test_large_coefficients_that_cancel_are_not_lost_in_rounding():
    """Columns differ by a millionth of what they share.  The curve was once 2e-4 off."""
    rng = np.random.default_rng(1)
    Z = rng.standard_t(2.0, size=(40, 70))
    X = (Z + 1e6) * np.array([1.0, 1e5, 1.0])[np.arange(70) % 3]
    y = Z @ rng.normal(size=70) + 3.0 * rng.normal(size=40)
    with pytest.warns(ConvergenceWarning, match="vary by less than"):
        model = GDRegressor(alpha=100.0, fit_intercept=False).fit(X, y)
    objective = 0.5 * np.mean((model.predict(X) - y) ** 2) + 50.0 * model.coef_ @ model.coef_
    assert model.loss_curve_[-1] == pytest.approx(objective, rel=1e-6)


def test_the_value_of_sums_is_not_cached_as_the_value_of_a_pass(monkeypatch):
    objective = objective_of(SQUARED["squared"])
    theta = random_theta(objective)
    LeastSquares(objective).evaluate(theta)
    passes = []
    plain = Objective.loss_part
    monkeypatch.setattr(Objective, "loss_part", lambda *args: passes.append(1) or plain(*args))
    objective.evaluate(theta)
    assert passes == [1]
