"""L-BFGS around a curvature, against the BFGS recursion of matrices."""

import numpy as np
import pytest
from problems import LOSSES, SQUARED, D, N, objective_of, path, random_theta

from skgd.losses.cross_entropy import LogLoss
from skgd.losses.regression import SquaredError
from skgd.models.curvature import Diagonal, curvature_at
from skgd.models.quasi_newton import MEMORY, QuasiNewton

ALL = SQUARED | LOSSES
EVERY_LOSS = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())


def matrix_of(solve, objective):
    """A linear function of theta as a matrix."""
    columns = np.eye((objective.d + 1) * objective.K).reshape(-1, objective.d + 1, objective.K)
    return np.array([solve(column).ravel() for column in columns]).T


def inverse(metric, objective):
    """The matrix that gradients are multiplied by."""
    origin = np.zeros((objective.d + 1, objective.K))
    return matrix_of(lambda gradient: -metric.minimise(origin, gradient, 0.0)[0], objective)


def bfgs(H, s, y):
    """Nocedal and Wright (2006), equation 6.17."""
    V = np.eye(len(s)) - np.outer(s, y) / (y @ s)
    return V @ H @ V.T + np.outer(s, s) / (y @ s)


@EVERY_LOSS
@pytest.mark.parametrize("steps", [1, 4, MEMORY + 3])
def test_it_is_the_bfgs_recursion_around_the_curvature(loss, steps):
    """The recursion runs over the last pairs."""
    objective = objective_of(loss)
    theta = random_theta(objective)
    metric = QuasiNewton(objective, theta)
    start = matrix_of(curvature_at(objective, theta).solve, objective)
    np.testing.assert_allclose(inverse(metric, objective), start, rtol=1e-12, atol=1e-14)
    pairs = []
    for step, change in path(objective, steps):
        metric.update(step, change)
        pairs.append((step.ravel(), (change + objective.penalty.l2[:, None] * step).ravel()))
    H = start
    for s, y in pairs[-MEMORY:]:
        H = bfgs(H, s, y)
    np.testing.assert_allclose(inverse(metric, objective), H, rtol=1e-8, atol=1e-9)


@EVERY_LOSS
@pytest.mark.parametrize("steps", [1, 4, MEMORY + 3])
def test_a_diagonal_is_scaled_such_that_the_last_pair_fits_it_best(loss, steps):
    """The scale of a diagonal says little of the scale of the Hessian."""
    objective = objective_of(loss)
    metric = QuasiNewton(objective, random_theta(objective))
    metric.base = Diagonal(objective, random_theta(objective))
    start, pairs = matrix_of(metric.base.solve, objective), []
    for step, change in path(objective, steps):
        metric.update(step, change)
        pairs.append((step.ravel(), (change + objective.penalty.l2[:, None] * step).ravel()))
    s, y = pairs[-1]
    H = start * ((s @ y) / (y @ start @ y))
    for s, y in pairs[-MEMORY:]:
        H = bfgs(H, s, y)
    np.testing.assert_allclose(inverse(metric, objective), H, rtol=1e-8, atol=1e-9)


@EVERY_LOSS
def test_a_change_of_the_gradient_is_answered_by_its_step(loss):
    objective = objective_of(loss)
    metric = QuasiNewton(objective, random_theta(objective))
    origin = np.zeros((D + 1, loss.n_outputs))
    for step, change in path(objective, MEMORY + 3):
        metric.update(step, change)
        target, *_ = metric.minimise(origin, change + objective.penalty.l2[:, None] * step, 0.0)
        np.testing.assert_allclose(-target, step, rtol=1e-9, atol=1e-11)


@EVERY_LOSS
def test_slope_and_decrease_are_those_of_the_quadratic_model(loss):
    objective = objective_of(loss)
    theta = random_theta(objective, seed=2)
    metric = QuasiNewton(objective, random_theta(objective))
    for step, change in path(objective, 3):
        metric.update(step, change)
    gradient = objective.evaluate(theta)[1]
    target, descent, decrease = metric.minimise(theta, gradient, 0.0)
    step, slope = (target - theta).ravel(), (gradient + objective.penalty.l2[:, None] * theta).ravel()
    B = np.linalg.pinv(inverse(metric, objective))
    assert decrease == pytest.approx(-slope @ step - 0.5 * step @ B @ step, rel=1e-8)
    assert descent == pytest.approx(slope @ step, rel=1e-10)
    assert descent < 0.0


def test_changes_without_positive_curvature_are_ignored():
    objective = objective_of(LogLoss(1))
    metric = QuasiNewton(objective, np.zeros((D + 1, 1)))
    before, step = inverse(metric, objective), np.ones((D + 1, 1))
    metric.update(step, -step)
    metric.update(step, -objective.penalty.l2[:, None] * step)
    np.testing.assert_array_equal(inverse(metric, objective), before)


@EVERY_LOSS
def test_what_it_says_of_itself_is_what_the_curvature_says(loss):
    objective = objective_of(loss)
    theta = random_theta(objective)
    metric, base = QuasiNewton(objective, theta), curvature_at(objective, theta)
    assert (metric.refreshable, metric.exact_near_minimum, metric.passes) == (
        base.refreshable,
        base.exact_near_minimum,
        base.passes,
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_least_squares_is_one_step(fit_intercept):
    objective = objective_of(SquaredError(2), l2=0.0, fit_intercept=fit_intercept)
    theta = random_theta(objective)
    target, *_ = QuasiNewton(objective, theta).minimise(theta, objective.evaluate(theta)[1], 0.0)
    A = np.column_stack([objective.table.X, np.ones(N)]) if fit_intercept else objective.table.X
    expected = np.linalg.lstsq(A, objective.table.Y.T, rcond=None)[0]
    np.testing.assert_allclose(np.vstack(objective.coordinates.raw(target))[: A.shape[1]], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("constant", [False, True])
def test_steps_of_softmax_do_not_shift_all_classes(constant, l2):
    """Equal shifts of all scores change no loss, so steps of unpenalised coefficients sum to zero over the classes."""
    objective = objective_of(LOSSES["softmax"], l2=l2)
    theta = np.zeros((D + 1, 3)) if constant else random_theta(objective)
    target, *_ = QuasiNewton(objective, theta).minimise(theta, objective.evaluate(theta)[1], 0.0)
    free = objective.penalty.l2 == 0.0
    assert free[-1]
    np.testing.assert_allclose((target - theta)[free].sum(axis=1), 0.0, atol=1e-10)
