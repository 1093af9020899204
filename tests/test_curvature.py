"""Metrics: secant equations, and the compact form of L-BFGS against the recursion in its textbook form."""

import numpy as np
import pytest

from skgd.coordinates import identity
from skgd.curvature import LARGEST, MEMORY, Full, Limited, metric_at
from skgd.losses import LogLoss, Softmax, SquaredError
from skgd.objective import Objective

N, D = 40, 4
LOSSES = {"binary": LogLoss(1), "two columns": LogLoss(2), "softmax": Softmax(3, 0.2)}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
L1 = pytest.mark.parametrize("l1", [0.0, 0.02])


def objective_of(loss, l1=0.0, l2=0.1, fit_intercept=True, d=D):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, d))
    if isinstance(loss, Softmax):
        Y = rng.integers(loss.columns, size=(1, N)).astype(float)
    elif isinstance(loss, LogLoss):
        Y = rng.integers(2, size=(loss.columns, N)).astype(float)
    else:
        Y = rng.normal(size=(loss.columns, N))
    objective = Objective(X, loss, Y, np.ones(N), l1, l2, identity(d, fit_intercept))
    return objective.in_coordinates(objective.standardise(fit_intercept))


def path(objective, steps, seed=1):
    """Steps between points, and the changes of the gradient along them."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(objective.d + 1, objective.K)) * (objective.coordinates.scale > 0.0)[:, None]
    for _ in range(steps):
        step = rng.normal(size=theta.shape) * (objective.coordinates.scale > 0.0)[:, None]
        yield step, objective.evaluate(theta + step)[1] - objective.evaluate(theta)[1]
        theta = theta + step


def bfgs(B, step, change):
    """Nocedal and Wright (2006), equation 6.19."""
    s, y = step.ravel(), change.ravel()
    return B - np.outer(B @ s, B @ s) / (s @ B @ s) + np.outer(y, y) / (y @ s)


def model_violation(metric, objective, theta, gradient, new):
    """Of 0 in the subdifferential of model plus penalty at `new`."""
    l1, l2 = objective.l1[:, None], objective.l2[:, None]
    slope = gradient + metric.product(new - theta) + l2 * new
    return np.where(new != 0.0, abs(slope + l1 * np.sign(new)), np.maximum(abs(slope) - l1, 0.0)).max()


# ---------------------------------------------------------------- full
@EVERY_LOSS
def test_full_metric_is_the_hessian(loss):
    objective = objective_of(loss)
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.columns))
    metric = metric_at(objective, theta)
    assert isinstance(metric, Full)
    step = np.random.default_rng(2).normal(size=theta.shape)
    step -= step.mean(axis=1, keepdims=True) * loss.coupled()  # shifts that softmax cannot see are another test
    difference = (objective.evaluate(theta + 1e-5 * step)[1] - objective.evaluate(theta - 1e-5 * step)[1]) / 2e-5
    np.testing.assert_allclose(metric.product(step), difference, rtol=1e-6, atol=1e-8)


@EVERY_LOSS
def test_full_update_maps_the_step_to_the_change(loss):
    objective = objective_of(loss)
    metric = metric_at(objective, np.zeros((D + 1, loss.columns)))
    for step, change in path(objective, 5):
        metric.update(step, change)
        np.testing.assert_allclose(metric.product(step), change, rtol=1e-10, atol=1e-13)
        for block in metric.B:
            np.testing.assert_allclose(block, block.T, rtol=1e-10, atol=1e-13)
            assert np.linalg.eigvalsh(block).min() > -1e-12  # softmax does not see equal shifts


def test_full_update_is_the_bfgs_formula():
    objective = objective_of(LogLoss(1))
    metric = metric_at(objective, np.zeros((D + 1, 1)))
    B = metric.B[0].copy()
    for step, change in path(objective, 5):
        metric.update(step, change)
        B = bfgs(B, step, change)
        np.testing.assert_allclose(metric.B[0], B, rtol=1e-10, atol=1e-13)


def test_full_update_ignores_changes_without_positive_curvature():
    metric = metric_at(objective_of(LogLoss(1)), np.zeros((D + 1, 1)))
    before = metric.B.copy()
    step = np.ones((D + 1, 1))
    metric.update(step, -step)
    metric.update(step, 0.0 * step)
    np.testing.assert_array_equal(metric.B, before)


def test_a_quadratic_loss_has_one_exact_curvature_for_all_its_columns():
    objective = objective_of(SquaredError(3))
    metric = metric_at(objective, np.zeros((D + 1, 3)))
    assert metric.B.shape == (1, D + 1, D + 1)
    assert not metric.renewable
    before = metric.B.copy()
    for step, change in path(objective, 3):
        np.testing.assert_allclose(metric.product(step), change, rtol=1e-10, atol=1e-12)
        metric.update(step, change)
    np.testing.assert_array_equal(metric.B, before)


@L1
@EVERY_LOSS
def test_full_minimise_solves_the_model(loss, l1):
    objective = objective_of(loss, l1=l1)
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.columns))
    gradient = objective.evaluate(theta)[1]
    metric = metric_at(objective, theta)
    new = metric.minimise(theta, gradient, 0.0)
    if l1:
        for _ in range(20):  # one call ends at a share of its own decrease
            new = metric.minimise(new, gradient + metric.product(new - theta), 0.0)
    assert model_violation(metric, objective, theta, gradient, new) < 1e-9


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_least_squares_is_one_step(fit_intercept):
    loss = SquaredError(2)
    objective = objective_of(loss, l2=0.0, fit_intercept=fit_intercept)
    theta = np.random.default_rng(1).normal(size=(D + 1, 2))
    new = metric_at(objective, theta).minimise(theta, objective.evaluate(theta)[1], 0.0)
    W, b = objective.coordinates.raw(new)
    A = np.column_stack([objective.X, np.ones(N)]) if fit_intercept else objective.X
    expected = np.linalg.lstsq(A, objective.Y.T, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([W, b])[: A.shape[1]], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_steps_of_softmax_do_not_shift_what_nothing_decides(l2):
    """An equal shift of all scores changes no loss: steps sum to zero over the classes where no penalty wants otherwise."""
    loss = LOSSES["softmax"]
    objective = objective_of(loss, l2=l2)
    theta = np.random.default_rng(1).normal(size=(D + 1, 3))
    step = metric_at(objective, theta).minimise(theta, objective.evaluate(theta)[1], 0.0) - theta
    free = objective.l2 == 0.0
    assert free[-1]
    np.testing.assert_allclose(step[free].sum(axis=1), 0.0, atol=1e-10)


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
    """Of the last pairs, from a diagonal scaled such that the last pair fits it."""
    objective = objective_of(loss)
    metric = Limited(objective)
    pairs = list(path(objective, steps))
    start = metric.product(np.ones((D + 1, loss.columns))).ravel()  # the diagonal, before any pair
    for step, change in pairs:
        metric.update(step, change)
    s, y = (array.ravel() for array in pairs[-1])
    B = np.diag(start) * ((y @ (y / start)) / (s @ y))
    for step, change in pairs[-MEMORY:]:
        B = bfgs(B, step, change)
    columns = np.eye(len(s)).reshape(-1, D + 1, loss.columns)
    np.testing.assert_allclose([metric.product(column).ravel() for column in columns], B, rtol=1e-8, atol=1e-9)


@L1
@EVERY_LOSS
@pytest.mark.parametrize("steps", [0, 4])
def test_limited_minimise_solves_the_model(loss, l1, steps):
    objective = objective_of(loss, l1=l1)
    metric = Limited(objective)
    for step, change in path(objective, steps):
        metric.update(step, change)
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.columns))
    gradient = objective.evaluate(theta)[1]
    new = metric.minimise(theta, gradient, 0.0)
    if l1:
        for _ in range(60):
            new = metric.minimise(new, gradient + metric.product(new - theta), 0.0)
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
    assert metric.minimise(theta, objective.evaluate(theta)[1], 0.0)[-1] == 0.0


def test_metric_is_limited_where_the_matrix_would_be_large():
    assert isinstance(metric_at(objective_of(LogLoss(1), d=LARGEST), np.zeros((LARGEST + 1, 1))), Limited)
    assert isinstance(metric_at(objective_of(LOSSES["softmax"], d=LARGEST // 3), np.zeros((LARGEST // 3 + 1, 3))), Limited)
    assert isinstance(metric_at(objective_of(LOSSES["softmax"], d=20), np.zeros((21, 3))), Full)
