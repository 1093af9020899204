"""Metrics of proximal steps: secant equations, and the compact form of L-BFGS against its textbook recursion."""

from functools import partial

import numpy as np
import pytest
from problems import LOSSES, D, objective_of, path, random_theta

from skgd.losses.cross_entropy import LogLoss
from skgd.losses.regression import SquaredError
from skgd.models.cost import LARGEST_SIDE
from skgd.models.proximal_metric import Full, Limited, proximal_metric
from skgd.models.quasi_newton import MEMORY

EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
objective_of = partial(objective_of, l1=0.02)


def bfgs(B, step, change):
    """Nocedal and Wright (2006), equation 6.19."""
    s, y = step.ravel(), change.ravel()
    return B - np.outer(B @ s, B @ s) / (s @ B @ s) + np.outer(y, y) / (y @ s)


def assert_descent(metric, objective, theta, gradient, new, slope, decrease):
    """Slope and decrease, from theta to new, are the ones of the loss plus the penalty, and of the model."""
    step, l1, l2 = new - theta, objective.penalty.upper[:, None], objective.penalty.l2[:, None]
    change = (l1 * (abs(new) - abs(theta)) + 0.5 * l2 * (new**2 - theta**2)).sum()
    assert slope == pytest.approx(np.vdot(gradient, step) + change, rel=1e-12)
    assert decrease == pytest.approx(-slope - 0.5 * np.vdot(step, metric.product(step)), rel=1e-12)


def minimised(metric, theta, gradient, calls):
    """The minimiser of the model.  One call ends at a share of its decrease, so the next starts where it stopped."""
    new = theta
    for _ in range(calls):
        new, *_ = metric.minimise(new, gradient + metric.product(new - theta), 0.0)
    return new


def model_violation(metric, objective, theta, gradient, new):
    """The distance from 0 to the subdifferential of model plus penalty at `new`."""
    l1, l2 = objective.penalty.upper[:, None], objective.penalty.l2[:, None]
    slope = gradient + metric.product(new - theta) + l2 * new
    return np.where(new != 0.0, abs(slope + l1 * np.sign(new)), np.maximum(abs(slope) - l1, 0.0)).max()


# ---------------------------------------------------------------- full
@EVERY_LOSS
def test_full_metric_is_the_hessian(loss):
    objective = objective_of(loss)
    theta = random_theta(objective)
    metric = proximal_metric(objective, theta)
    assert isinstance(metric, Full)
    step = np.random.default_rng(2).normal(size=theta.shape)
    step -= step.mean(axis=1, keepdims=True) * loss.coupled()  # shifts of softmax have a test of their own
    difference = (objective.evaluate(theta + 1e-5 * step)[1] - objective.evaluate(theta - 1e-5 * step)[1]) / 2e-5
    np.testing.assert_allclose(metric.product(step), difference, rtol=1e-6, atol=1e-8)


@EVERY_LOSS
def test_full_update_maps_the_step_to_the_change(loss):
    objective = objective_of(loss)
    metric = proximal_metric(objective, np.zeros((D + 1, loss.n_outputs)))
    for step, change in path(objective, 5):
        metric.update(step, change)
        np.testing.assert_allclose(metric.product(step), change, rtol=1e-10, atol=1e-13)
        for block in metric.B:
            np.testing.assert_allclose(block, block.T, rtol=1e-10, atol=1e-13)
            assert np.linalg.eigvalsh(block).min() > -1e-12  # softmax does not see equal shifts


def test_full_update_is_the_bfgs_formula():
    objective = objective_of(LogLoss(1))
    metric = proximal_metric(objective, np.zeros((D + 1, 1)))
    B = metric.B[0].copy()
    for step, change in path(objective, 5):
        metric.update(step, change)
        B = bfgs(B, step, change)
        np.testing.assert_allclose(metric.B[0], B, rtol=1e-10, atol=1e-13)


def test_full_update_ignores_changes_without_positive_curvature():
    metric = proximal_metric(objective_of(LogLoss(1)), np.zeros((D + 1, 1)))
    before = metric.B.copy()
    step = np.ones((D + 1, 1))
    metric.update(step, -step)
    metric.update(step, 0.0 * step)
    np.testing.assert_array_equal(metric.B, before)


def test_a_quadratic_loss_has_one_exact_curvature_for_all_its_columns():
    objective = objective_of(SquaredError(3))
    metric = proximal_metric(objective, np.zeros((D + 1, 3)))
    assert metric.B.shape == (1, D + 1, D + 1)
    assert not metric.refreshable
    before = metric.B.copy()
    for step, change in path(objective, 3):
        np.testing.assert_allclose(metric.product(step), change, rtol=1e-10, atol=1e-12)
        metric.update(step, change)
    np.testing.assert_array_equal(metric.B, before)


@EVERY_LOSS
def test_full_minimise_solves_the_model_and_tells_its_decrease(loss):
    objective = objective_of(loss)
    theta = random_theta(objective)
    gradient = objective.evaluate(theta)[1]
    metric = proximal_metric(objective, theta)
    new, slope, decrease = metric.minimise(theta, gradient, 0.0)
    assert_descent(metric, objective, theta, gradient, new, slope, decrease)
    new = minimised(metric, theta, gradient, 20)
    assert (new == 0.0).any()
    assert model_violation(metric, objective, theta, gradient, new) < 1e-9


# ---------------------------------------------------------------- limited
@EVERY_LOSS
def test_limited_update_maps_the_step_to_the_change(loss):
    objective = objective_of(loss)
    metric = Limited(objective)
    for step, change in path(objective, MEMORY + 3):
        metric.update(step, change)
        np.testing.assert_allclose(metric.product(step), change, rtol=1e-8, atol=1e-10)


@EVERY_LOSS
@pytest.mark.parametrize("steps", [1, 4, MEMORY + 3])
def test_limited_metric_is_the_bfgs_recursion(loss, steps):
    """The recursion runs over the last pairs, from a diagonal that is scaled to fit the last one."""
    objective = objective_of(loss)
    metric = Limited(objective)
    pairs = list(path(objective, steps))
    start = metric.product(np.ones((D + 1, loss.n_outputs))).ravel()  # the diagonal, before any pair
    for step, change in pairs:
        metric.update(step, change)
    s, y = (array.ravel() for array in pairs[-1])
    B = np.diag(start) * ((y @ (y / start)) / (s @ y))
    for step, change in pairs[-MEMORY:]:
        B = bfgs(B, step, change)
    columns = np.eye(len(s)).reshape(-1, D + 1, loss.n_outputs)
    np.testing.assert_allclose([metric.product(column).ravel() for column in columns], B, rtol=1e-8, atol=1e-9)


@EVERY_LOSS
@pytest.mark.parametrize("steps", [0, 4])
def test_limited_minimise_solves_the_model_and_tells_its_decrease(loss, steps):
    objective = objective_of(loss)
    metric = Limited(objective)
    for step, change in path(objective, steps):
        metric.update(step, change)
    theta = random_theta(objective)
    gradient = objective.evaluate(theta)[1]
    new, slope, decrease = metric.minimise(theta, gradient, 0.0)
    assert_descent(metric, objective, theta, gradient, new, slope, decrease)
    new = minimised(metric, theta, gradient, 60)
    assert model_violation(metric, objective, theta, gradient, new) < 1e-9


def test_limited_update_ignores_changes_without_positive_curvature():
    metric = Limited(objective_of(LogLoss(1)))
    step = np.ones((D + 1, 1))
    before = metric.product(step)
    metric.update(step, -step)
    metric.update(step, 0.0 * step)
    np.testing.assert_array_equal(metric.product(step), before)


def test_limited_metric_has_no_curvature_where_there_is_no_intercept():
    objective = objective_of(LogLoss(1), fit_intercept=False)
    metric = Limited(objective)
    for step, change in path(objective, 3):
        metric.update(step, change)
    theta = np.zeros((D + 1, 1))
    assert metric.minimise(theta, objective.evaluate(theta)[1], 0.0)[0][-1] == 0.0


@pytest.mark.parametrize(
    ("loss", "d"), [(LogLoss(1), LARGEST_SIDE), (LOSSES["softmax"], LARGEST_SIDE // 3), (LogLoss(1), 2000)]
)
def test_metric_is_limited_where_the_matrix_would_be_large(loss, d):
    """It needs much memory, or time: a factorisation of side 2,000 takes longer than many passes over 40 rows."""
    assert isinstance(proximal_metric(objective_of(loss, d=d), np.zeros((d + 1, loss.n_outputs))), Limited)


@EVERY_LOSS
def test_metric_is_full_where_the_matrix_is_small(loss):
    metric = proximal_metric(objective_of(loss), np.zeros((D + 1, loss.n_outputs)))
    assert isinstance(metric, Full)
    assert metric.refreshable
    assert metric.exact_near_minimum
