"""The compiled steps of sgd and adam against the same steps in NumPy: SAGA in whitened coordinates, for every layout."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from problems import objective_of, random_theta
from scipy.special import expit, softmax

from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import SquaredError
from skgd.penalties import ElasticNet
from skgd.solvers import schedules, steps
from skgd.solvers.steps import Plan, State, run_epoch
from skgd.solvers.updates import Adam, Momentum
from skgd.solvers.whitening import CurvatureSample, no_whitening

N, D, BATCH, RATE = 43, 3, 5, 0.3
LAYOUTS = {"none": LogLoss(2), "shared": SquaredError(2), "per column": LogLoss(2), "joint": Softmax(3, 0.2)}
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])


def problem(layout, storage=np.asarray):
    """An objective of weighted rows, and the whitening of a layout at a random point."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, D)) * [1.0, 10.0, 0.1] * (rng.random((N, D)) < 0.8) + [0.0, 0.0, 1.0]
    objective = objective_of(LAYOUTS[layout], storage(X), weighted=True, l2=0.05)
    if layout == "none":
        return objective, no_whitening()
    return objective, CurvatureSample(objective).at(0.3 * random_theta(objective), objective.loss)


class Reference:
    """The same steps, row by row in NumPy."""

    def __init__(self, objective, whitening):
        table, self.K = objective.table, objective.K
        X = table.X.toarray() if table.sparse else table.X
        self.A = np.column_stack([X - objective.coordinates.mean, np.ones(N)]) * objective.coordinates.scale
        self.loss, self.Y, self.s, self.l2 = objective.loss, table.Y, table.s, objective.penalty.l2[:, None]
        side, self.M = D + 1, np.eye(self.K * (D + 1))  # of coefficients ordered by columns of scores
        if whitening.side > side:
            self.M = whitening.matrices[0]
        elif whitening.side:
            for k in range(self.K):
                part = slice(k * side, (k + 1) * side)
                self.M[part, part] = whitening.matrices[k % len(whitening.matrices)]
        self.table, self.summed = np.zeros((N, self.K)), np.zeros((side, self.K))

    def times(self, matrix, v):
        return (matrix @ v.T.ravel()).reshape(v.shape[::-1]).T

    def residuals(self, theta, rows):
        Z = self.A[rows] @ theta
        if isinstance(self.loss, Softmax):
            return softmax(Z, axis=1) - np.eye(self.K)[self.Y[0, rows].astype(int)]
        return (expit(Z) if isinstance(self.loss, LogLoss) else Z) - self.Y[:, rows].T

    def gradient(self, phi, rows, reduced):
        """The gradient by phi, and the changes of the residuals; the table and its gradient are updated."""
        theta = self.times(self.M, phi)
        new = self.s[rows, None] * self.residuals(theta, rows)
        change, self.table[rows] = new - self.table[rows], new
        G = self.A[rows].T @ change / len(rows)
        g = G + (self.summed if reduced else 0.0) + self.l2 * theta
        self.summed = self.summed + len(rows) / N * G
        return self.times(self.M.T, g), G, change


def plan_of(objective, whitening, rule, bound=0.0):
    return Plan(
        rule=rule,
        schedule=partial(schedules.damped, eta0=RATE, delay=10.0),
        batch_size=BATCH,
        penalty=ElasticNet(explicit=1.0),
        unit=np.linspace(1.0, 2.0, objective.K),
        whitening=whitening,
        average_from=1,
        polynomial_averaging=True,
        curvature_bound=bound,
        variance_reduced=True,
    )


def epochs(count, seed=7):
    """The rows of the batches of every epoch."""
    random_state = np.random.RandomState(seed)
    for _ in range(count):
        order = random_state.permutation(N)
        yield [order[first : first + BATCH] for first in range(0, N, BATCH)]


@STORAGE
@EVERY_LAYOUT
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_steps_with_reduced_variance(momentum, layout, storage):
    """The first of three epochs fills the table of residuals.  Its average is the first iterate of a new average."""
    objective, whitening = problem(layout, storage)
    plan = plan_of(objective, whitening, Momentum(momentum, False))
    start = random_theta(objective, seed=2)
    state, reference = State(objective, start, plan), Reference(objective, whitening)
    phi, average, velocity, t, age = whitening.phi(start), 0.0, 0.0, 0, 0
    random_state = np.random.RandomState(7)
    for epoch, batches in enumerate(epochs(3)):
        assert run_epoch(objective, plan, state, random_state)
        for number, rows in enumerate(batches):
            t += 1
            g, *_ = reference.gradient(phi, rows, reduced=epoch > 0)
            velocity = momentum * velocity - RATE / np.sqrt(1.0 + (t - 1.0) / 10.0) * plan.unit * g
            phi = phi + velocity
            age = epoch + 1 if number == 0 and epoch < 2 else age + 1
            average = average + 2.0 / (age + 1.0) * (phi - average)
        np.testing.assert_allclose(state.phi, phi, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(state.average, average, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(state.residual_table, reference.table.T, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(state.table_gradient, reference.summed, rtol=1e-9, atol=1e-11)
    gradient = reference.A.T @ reference.table / N
    np.testing.assert_allclose(state.table_gradient, gradient, rtol=1e-9, atol=1e-11)
    assert state.steps == t


@pytest.mark.parametrize("layout", ["none", "joint"])
def test_steps_of_adam(layout):
    objective, whitening = problem(layout)
    plan = plan_of(objective, whitening, Adam(0.8, 0.95, 1e-3))
    start = random_theta(objective, seed=2)
    state, reference = State(objective, start, plan), Reference(objective, whitening)
    phi, m, v, t = whitening.phi(start), 0.0, 0.0, 0
    random_state = np.random.RandomState(7)
    for epoch, batches in enumerate(epochs(2)):
        assert run_epoch(objective, plan, state, random_state)
        for rows in batches:
            t += 1
            g, *_ = reference.gradient(phi, rows, reduced=epoch > 0)
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
            rate = RATE / np.sqrt(1.0 + (t - 1.0) / 10.0) * plan.unit
            phi = phi - rate * m / (1.0 - 0.8**t) / (np.sqrt(v / (1.0 - 0.95**t)) + 1e-3 * plan.unit)
        np.testing.assert_allclose(state.phi, phi, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layout", ["none", "per column"])
def test_rates_are_limited_by_the_curvature_along_the_gradient_of_the_batch(layout):
    """The curvature is at least h |g|^2 / mean r^2.  Whitened steps with reduced variance have no such limit."""
    objective, whitening = problem(layout)
    plan = plan_of(objective, whitening, Momentum(0.0, False), bound=20.0)
    start = random_theta(objective, seed=2)
    state, reference = State(objective, start, plan), Reference(objective, whitening)
    phi, t, limited = whitening.phi(start), 0, 0
    random_state = np.random.RandomState(7)
    for epoch, batches in enumerate(epochs(2)):
        assert run_epoch(objective, plan, state, random_state)
        for rows in batches:
            t += 1
            g, G, change = reference.gradient(phi, rows, reduced=epoch > 0)
            squares, along = (change**2 / reference.s[rows, None]).sum(), g if whitening.side else G
            limit = squares / (20.0 * len(rows) * (along**2).sum()) if epoch == 0 or not whitening.side else np.inf
            rate = RATE / np.sqrt(1.0 + (t - 1.0) / 10.0)
            limited += limit < rate
            phi = phi - min(rate, limit) * plan.unit * g
        np.testing.assert_allclose(state.phi, phi, rtol=1e-9, atol=1e-11)
    assert 0 < limited


@EVERY_LAYOUT
def test_a_table_of_all_residuals_makes_steps_along_the_exact_gradient(layout):
    """At the point where it was filled, so the first step has no noise, whatever its batch is."""
    objective, whitening = problem(layout)
    plan = plan_of(objective, whitening, Momentum(0.0, False))
    theta = random_theta(objective, seed=2)
    theta -= theta.mean(axis=1, keepdims=True)
    state = State(objective, theta, plan)
    steps.refresh_residuals(objective, plan, state)
    gradient = objective.evaluate(theta)[1] + objective.penalty.l2[:, None] * theta
    np.testing.assert_allclose(state.whitening.theta(state.phi), theta, rtol=1e-9, atol=1e-11)
    before, state.steps = state.phi.copy(), 1
    one_batch = np.arange(BATCH)
    rates = np.full(1, 0.1)
    assert steps._steps(objective, plan, state, one_batch, BATCH, rates, np.zeros(1), variance_reduced=True)
    np.testing.assert_allclose(before - state.phi, 0.1 * plan.unit * whitening.gradient(gradient), rtol=1e-7, atol=1e-10)


@EVERY_LAYOUT
def test_numbers_that_overflow_end_the_epoch(layout):
    objective, whitening = problem(layout)
    plan = plan_of(objective, whitening, Momentum(0.0, False))
    state = State(objective, random_theta(objective), plan)
    state.phi[:] = np.nan
    assert not run_epoch(objective, plan, state, np.random.RandomState(0))
