"""The interior-point method: losses as sums of ramps, compiled loops, bounds at every iteration, and known minima."""

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from problems import FORMULAS, objective_of
from scipy.optimize import LinearConstraint, linprog, minimize
from sklearn.linear_model import QuantileRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.compiled.threads import threads
from skgd.data.table import MAX_CHUNKS, Table, chunk_edges
from skgd.losses.margins import Hinge, ModifiedHuber, SquaredHinge
from skgd.losses.regression import EpsilonInsensitive, Huber, Quantile, SquaredEpsilonInsensitive
from skgd.solvers import interior_point, interior_steps, interior_systems
from skgd.solvers.interior_column import Column
from skgd.solvers.interior_ramps import RampGroup

EPSILON, QUANTILE = 0.3, 0.7
SUMS_OF_RAMPS = {
    "hinge": Hinge(1),
    "squared_hinge": SquaredHinge(1),
    "modified_huber": ModifiedHuber(1),
    "huber": Huber(1, EPSILON),
    "epsilon_insensitive": EpsilonInsensitive(1, EPSILON),
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive(1, EPSILON),
    "quantile": Quantile(1, QUANTILE),
}
NON_SMOOTH = ["hinge", "quantile", "epsilon_insensitive"]
MARGINS = {"hinge", "squared_hinge", "modified_huber"}
ROWS, COLUMNS = 30, 3


# ---------------------------------------------------------------- oracles
def pieces(loss, y):
    """Slopes and constants (n,) of straight lines; the loss of each row is the largest of them."""
    none, one = np.zeros(len(y)), np.ones(len(y))
    return {
        "hinge": [(none, none), (-y, one)],
        "epsilon_insensitive": [(none, none), (one, -y - EPSILON), (-one, y - EPSILON)],
        "quantile": [((1.0 - QUANTILE) * one, -(1.0 - QUANTILE) * y), (-QUANTILE * one, QUANTILE * y)],
    }[loss]


def value_of(loss, A, y, s, l1, l2, theta):
    """The objective at theta (D,), for columns A (n, D) with the intercept's, weights s of sum one, penalties l1, l2 (D,)."""
    rows = np.max([slope * (A @ theta) + constant for slope, constant in pieces(loss, y)], axis=0)
    return s @ rows + l1 @ np.abs(theta) + 0.5 * l2 @ theta**2


def least(loss, A, y, s, l1, l2):
    """The minimum of the objective, by HiGHS (a linear program) or SLSQP (a quadratic one), with a slack for each row.

    It is the objective at the point found, and so never below the minimum.
    """
    n, D = A.shape
    G = np.vstack([np.hstack([slope[:, None] * A, -slope[:, None] * A, -np.eye(n)]) for slope, _ in pieces(loss, y)])
    h = -np.concatenate([constant for _, constant in pieces(loss, y)])
    cost, bounds = np.concatenate([l1, l1, s]), [(0.0, None)] * (2 * D) + [(None, None)] * n
    u = linprog(cost, A_ub=G, b_ub=h, bounds=bounds).x
    if l2.any():
        curvature = np.concatenate([l2, l2, np.zeros(n)])
        start = np.zeros(2 * D + n)
        start[2 * D :] = (G[:, : 2 * D] @ start[: 2 * D] - h).reshape(-1, n).max(axis=0)

        def value(u):
            return cost @ u + 0.5 * curvature @ u**2, cost + curvature * u

        u = minimize(
            value, start, jac=True, method="SLSQP", bounds=bounds, constraints=LinearConstraint(G, -np.inf, h),
            options={"maxiter": 500, "ftol": 1e-13},
        ).x  # fmt: skip
    return value_of(loss, A, y, s, l1, l2, u[:D] - u[D : 2 * D])


class Problem(NamedTuple):
    """An objective of the package, and the same one as arguments of `value_of` and `least`."""

    objective: object
    formula: tuple

    @classmethod
    def of(cls, loss, l1, l2, fit_intercept=True, weighted=True):
        rng = np.random.default_rng(5)
        X = rng.normal(size=(ROWS, COLUMNS)) + np.array([0.0, 1.0, -2.0])
        z = X @ [1.0, -0.5, 0.0] + rng.normal(size=ROWS)
        y = np.where(z > -0.3, 1.0, -1.0) if loss in MARGINS else 3.0 * z
        objective = objective_of(
            SUMS_OF_RAMPS[loss], X, Y=y[None], weighted=weighted, l1=l1, l2=l2, fit_intercept=fit_intercept
        )
        mean, scale = objective.coordinates
        A = scale * np.column_stack([X - mean, np.ones(ROWS)])
        own = np.append(l1 * scale[:-1], 0.0), np.append(l2 * scale[:-1] ** 2, 0.0)
        return cls(objective, (loss, A, y, objective.table.s / objective.table.s.sum(), *own))

    def column(self):
        """The only column of scores, at coefficients of zero."""
        theta = np.zeros((COLUMNS + 1, 1))
        z = self.objective.table.scores(*self.objective.coordinates.raw(theta))
        column = Column(self.objective, 0, theta[:, 0], z[0])
        column.allowed = 1e-8
        interior_point._update(self.objective, [column])
        return column


# ---------------------------------------------------------------- losses as sums of ramps
def brute_force_ramp(t, upper, smoothing):
    """The largest p t - smoothing p^2 / 2 for each t, on a grid of p."""
    most = upper if np.isfinite(upper) else np.abs(t).max() / smoothing
    p = np.linspace(0.0, most, 20_001)
    return np.array([np.max(p * one - 0.5 * smoothing * p * p) for one in t])


@pytest.mark.parametrize("name", SUMS_OF_RAMPS)
def test_ramps_add_up_to_the_loss(name, rng):
    loss, z = SUMS_OF_RAMPS[name], 3.0 * rng.normal(size=200)
    y = rng.choice([-1.0, 1.0], size=200) if name in MARGINS else 2.0 * rng.normal(size=200)
    form = loss.conjugate().as_ramps(y)
    total = form.slope * z + form.constant
    for sign, offset in form.ramps:
        total = total + brute_force_ramp(sign * z + offset, form.max_slope, form.smoothing)
    assert_allclose(total, [loss.value(*row) for row in zip(y, z, strict=True)], atol=1e-6)
    assert_allclose(total, FORMULAS[name](y, z, epsilon=EPSILON, quantile=QUANTILE), atol=1e-6)


@pytest.mark.parametrize(("upper", "smoothing"), [(1.0, 0.0), (4.0, 0.5), (np.inf, 0.5), (np.inf, 0.0)])
def test_values_of_ramps_are_those_of_the_best_p_and_of_the_current_one(upper, smoothing, rng):
    """A ramp with neither bound nor smoothing rules out positive arguments, and costs nothing for negative ones."""
    t, weight = rng.normal(size=50), rng.uniform(0.1, 2.0, 50)
    t = -np.abs(t) if np.isinf(upper) and smoothing == 0.0 else t
    ramps = RampGroup(weight, np.ones(50), t.copy(), np.full(50, upper), 0.3, smoothing=smoothing)
    value, dual = ramps.values()
    best = brute_force_ramp(t, upper, smoothing) if np.isfinite(upper) or smoothing > 0.0 else np.zeros(50)
    assert_allclose(value, weight @ best, atol=1e-6)
    assert_allclose(dual, weight @ (ramps.p * t - 0.5 * smoothing * ramps.p**2))
    assert dual < value
    assert_allclose(ramps.complementarity() / ramps.mu_weight, 0.3)


# ---------------------------------------------------------------- compiled loops
class Point(NamedTuple):
    """Ramps of which every third has no bound, at a point of complementarity mu, with a direction that is zero at first."""

    ramps: interior_steps.Ramps
    smoothing: float
    direction: interior_steps.Direction
    eliminated: interior_steps.Eliminated

    @classmethod
    def of(cls, smoothing, mu, spread=1.0):
        rng = np.random.default_rng(2)
        upper = rng.uniform(0.2, 3.0, 60)
        upper[::3] = np.inf
        t = spread * rng.normal(size=60)
        if smoothing == 0.0:  # ramps without a bound need negative arguments
            t[::3] = -np.abs(t[::3]) - 0.01
        ramps = interior_steps.Ramps(t, upper, *np.zeros((3, 60)))
        interior_steps.centre(ramps, smoothing, mu)
        return cls(
            ramps, smoothing, interior_steps.Direction(*np.zeros((4, 60))), interior_steps.Eliminated(*np.empty((2, 60)))
        )

    def find_direction(self, dt, mu, weight=None):
        """Fill the direction for these changes of the arguments, and return what `substitute` tells of it."""
        self.direction.dt[:] = dt
        interior_steps.eliminate(self.ramps, self.smoothing, mu, self.direction, self.eliminated)
        weight = np.ones(60) if weight is None else weight
        return interior_steps.substitute(self.ramps, weight, mu, self.eliminated, self.direction)

    def moved(self, step):
        """The ramps after a step along the direction."""
        t, upper, *variables = self.ramps
        dt, *changes = self.direction
        moved = [variable + step * change for variable, change in zip(variables, changes, strict=True)]
        return interior_steps.Ramps(t + step * dt, upper, *moved)


def products(ramps):
    """The products (2, n) of complementary variables; the second one is zero for ramps without a bound."""
    bounded = np.isfinite(ramps.upper)
    left = np.where(bounded, ramps.upper, 0.0) - np.where(bounded, ramps.p, 0.0)
    return np.array([ramps.p * ramps.u, left * ramps.v])


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize(("mu", "spread"), [(1e-12, 0.0), (1e-12, 1.0), (1e-3, 1e3), (10.0, 1e6)])
def test_centred_variables_are_complementary(smoothing, mu, spread):
    """For mu not much smaller than the arguments, as the solver asks for: beyond 1 / eps a variable would be zero."""
    ramps = Point.of(smoothing, mu, spread).ramps
    bounded = np.isfinite(ramps.upper)
    assert (ramps.p > 0.0).all()
    assert (ramps.p < ramps.upper).all()
    assert_allclose(ramps.p * ramps.u, mu, rtol=1e-12)
    # Where p is next to its bound, their difference is hardly more than the rounding of p.
    left, error = ramps.upper[bounded] - ramps.p[bounded], np.finfo(float).eps * ramps.upper[bounded]
    assert (np.abs(left * ramps.v[bounded] - mu) <= 1e-12 * mu + 2.0 * error * ramps.v[bounded]).all()
    assert_array_equal(ramps.v[~bounded], 0.0)


def test_centred_variables_are_stationary():
    """For ramps with a bound and no smoothing, v - u = t; for ramps with smoothing and no bound, -u = t - smoothing p."""
    sharp, smoothed = Point.of(0.0, 0.1).ramps, Point.of(0.5, 0.1).ramps
    bounded = np.isfinite(sharp.upper)
    assert_allclose((sharp.v - sharp.u)[bounded], sharp.t[bounded], atol=1e-12)
    assert_allclose(-smoothed.u[~bounded], (smoothed.t - 0.5 * smoothed.p)[~bounded], atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("mu", [0.0, 0.05])
def test_directions_solve_the_linearised_conditions(smoothing, mu, rng):
    """The predictor's without second-order terms, and the corrector's with the products of the predictor's changes."""
    point, dt = Point.of(smoothing, 0.2), rng.normal(size=60)
    bounded = np.isfinite(point.ramps.upper)
    for _ in range(2):
        (t, upper, p, u, v), (_, dp, du, dv) = point.ramps, point.direction
        cross_u, cross_v = dp * du, dp * dv
        point.find_direction(dt, mu)
        assert_allclose(dp, point.eliminated.slope * (dt - point.eliminated.shift), rtol=1e-12)
        assert_allclose((v + dv) - (u + du), (t + dt) - smoothing * (p + dp), atol=1e-10)
        assert_allclose(p * u + p * du + u * dp + cross_u, mu, atol=1e-10)
        left = (upper - p)[bounded]
        assert_allclose((left * (v + dv)[bounded] - (v * dp)[bounded] - cross_v[bounded]), mu, atol=1e-10)
        assert_array_equal(dv[~bounded], 0.0)
    assert np.abs(cross_u).max() > 0.0


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("size", [1e-6, 3.0])
def test_steps_keep_variables_positive_and_sums_of_products_are_as_told(smoothing, size, rng):
    point, dt, weight = Point.of(smoothing, 0.2), size * rng.normal(size=60), rng.uniform(0.1, 2.0, 60)
    longest, linear, quadratic = point.find_direction(dt, 0.1, weight)
    upper, bounded = point.ramps.upper, np.isfinite(point.ramps.upper)
    before = (products(point.ramps) @ weight).sum()
    for step in (0.0, 0.3, 0.7, 1.0):
        after = (products(point.moved(step)) @ weight).sum()
        assert_allclose(after, before + step * linear + step**2 * quadratic)

    def nearest(step):
        there = point.moved(step)
        return min(there.p.min(), there.u.min(), (upper - there.p).min(), there.v[bounded].min())

    assert 0.0 < longest <= 1.0
    assert nearest(0.999 * longest) > 0.0
    assert longest == 1.0 or nearest(1.001 * longest) < 0.0
    expected = point.moved(0.999 * longest)
    interior_steps.advance(0.999 * longest, point.direction, point.ramps)
    for now, then in zip(point.ramps, expected, strict=True):
        assert_allclose(now, then, rtol=1e-12, atol=1e-14)
    assert_array_equal(np.array(point.direction[1:]), 0.0)


# ---------------------------------------------------------------- passes over X
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("columns", [1, 3])
def test_passes_of_a_table_are_products_of_matrices(storage, columns, rng):
    """Most entries are zero, which CSR does not store.  Some rows have no curvature, and one column is constant."""
    X = rng.normal(size=(80, 5)) * (rng.random((80, 5)) < 0.4)
    X[:, 4] = 1.0
    table = Table(storage(X), np.zeros((1, 80)), np.ones(80))
    W, b, R, c = rng.normal(size=(5, columns)), rng.normal(size=columns), rng.normal(size=(columns, 80)), rng.random(80)
    c[::4] = 0.0
    mean, scale = rng.normal(size=5), rng.uniform(0.5, 2.0, 6)
    assert_allclose(table.scores(W, b), (X @ W + b).T, atol=1e-12)
    assert_allclose(table.transposed(R), np.column_stack([X, np.ones(80)]).T @ R.T, atol=1e-12)
    A = scale * np.column_stack([X - mean, np.ones(80)])
    assert_allclose(table.gram(c, mean, scale), A.T @ (c[:, None] * A), atol=1e-11)
    assert_allclose(table.squares(c, mean, scale), np.sum(c[:, None] * A**2, axis=0), atol=1e-11)


def test_passes_over_many_rows_do_not_depend_on_threads(rng):
    """Threads share rows in several parts."""
    X = rng.normal(size=(20_000, 8))
    table, (W, b) = Table(X, np.zeros((1, 20_000)), np.ones(20_000)), (rng.normal(size=(8, 2)), rng.normal(size=2))
    c, mean, scale, R = rng.random(20_000), X.mean(axis=0), np.ones(9), rng.normal(size=(2, 20_000))

    def answers(table):
        return table.scores(W, b), table.transposed(R), table.gram(c, mean, scale), table.squares(c, mean, scale)

    assert len(chunk_edges(20_000, table.entries, MAX_CHUNKS, 1)) > 2
    with threads(2) as team:
        several = answers(table.shared_by(team))
    A = np.column_stack([X - mean, np.ones(20_000)])
    expected = (X @ W + b).T, np.column_stack([X, np.ones(20_000)]).T @ R.T, A.T @ (c[:, None] * A), c @ A**2
    for one, two, oracle in zip(answers(table), several, expected, strict=True):
        assert_array_equal(one, two)
        assert_allclose(one, oracle, rtol=1e-9, atol=1e-8)


# ---------------------------------------------------------------- bounds
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.05, 0.05)])
@pytest.mark.parametrize("loss", NON_SMOOTH)
def test_the_minimum_is_between_bound_and_objective_at_every_iteration(loss, l1, l2, fit_intercept):
    problem = Problem.of(loss, l1, l2, fit_intercept)
    minimum = least(*problem.formula)
    column, rounding = problem.column(), 1e-8 * minimum
    for _ in range(25):
        assert column.bound <= minimum + rounding
        assert column.F >= minimum - rounding
        assert_allclose(column.F, value_of(*problem.formula, column.best), rtol=1e-10)
        if column.F - column.bound <= 1e-9 * column.F:
            break
        interior_point._step(problem.objective, [column], interior_systems.by_coefficient_matrices)
        interior_point._update(problem.objective, [column])
    assert column.F - column.bound <= 1e-8 * column.F


# ---------------------------------------------------------------- minima
@pytest.fixture(scope="module")
def rows():
    """X, a target, and labels of three classes.  X is standardised because tests compare coefficients."""
    rng = np.random.default_rng(8)
    X = StandardScaler().fit_transform(rng.normal(size=(90, 6)))
    z = X @ [2.0, -1.0, 0.5, 0.0, 0.0, 0.0] + 1.0 + rng.normal(size=90)
    return X, z, np.digitize(z, [0.0, 2.0])


def target_of(loss, rows):
    return (rows[2] > 0).astype(int) if loss in MARGINS else rows[1]


def model_of(loss, **parameters):
    """An estimator with the parameters of the oracle."""
    own = {"quantile": {"quantile": QUANTILE}, "epsilon_insensitive": {"epsilon": EPSILON}}.get(loss, {})
    return (GDClassifier if loss in MARGINS else GDRegressor)(loss, **own, **parameters)


def minimum_of(loss, X, y, weights, l1, l2):
    """The minimum with an intercept, by `least`."""
    signs = np.where(y > 0, 1.0, -1.0) if loss in MARGINS else y
    own = (np.append(np.full(X.shape[1], weight), 0.0) for weight in (l1, l2))
    return least(loss, np.column_stack([X, np.ones(len(X))]), signs, weights / weights.sum(), *own)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("loss", NON_SMOOTH)
def test_conjugate_gradients_find_the_minimum_of_matrices(loss, storage, rows, monkeypatch):
    X, y = rows[0], target_of(loss, rows)
    for penalty in ({"alpha": 0.01}, {"penalty": "elasticnet", "alpha": 0.02, "l1_ratio": 0.5}):
        expected = model_of(loss, tol=1e-8, **penalty).fit(storage(X), y)
        with monkeypatch.context() as patch:
            patch.setattr(interior_systems, "MAX_PASSES", -1.0)
            patch.setattr(interior_systems, "by_coefficient_matrices", None)
            model = model_of(loss, tol=1e-8, **penalty).fit(storage(X), y)
        assert_allclose(model.loss_curve_[-1], expected.loss_curve_[-1], rtol=2e-8)
        assert_allclose(model.coef_, expected.coef_, atol=2e-3)


def test_conjugate_gradients_solve_systems(rng):
    """Several systems at once.  Zero right-hand sides have zero solutions; last equations hold however early the others end."""
    roots = rng.normal(size=(3, 20, 5))
    matrices = np.einsum("knd,kne->kde", roots, roots)
    R = rng.normal(size=(5, 3))
    R[:, 1] = 0.0

    def product(x):
        return np.column_stack([matrix @ x[:, k] for k, matrix in enumerate(matrices)])

    diagonal = np.column_stack([np.diagonal(matrix) for matrix in matrices])
    x = interior_systems.conjugate_gradients(product, R, diagonal, lambda r: np.abs(r).max() <= 1e-10)
    assert_allclose(product(x), R, atol=1e-9)
    assert_array_equal(x[:, 1], 0.0)
    early = interior_systems.conjugate_gradients(product, R, diagonal, lambda r: True)
    assert_allclose(product(early)[-1], R[-1], atol=1e-12)


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.2])
def test_zeros_are_those_of_a_linear_program(alpha, rows):
    X, y, _ = rows
    expected = QuantileRegressor(quantile=QUANTILE, alpha=alpha).fit(X, y)
    model = model_of("quantile", penalty="l1", alpha=alpha, tol=1e-6).fit(X, y)
    assert 0 < np.count_nonzero(model.coef_ == 0.0) < 6
    assert_array_equal(model.coef_ == 0.0, np.abs(expected.coef_) < 1e-9)
    assert_allclose(model.coef_, expected.coef_, atol=1e-4)


@pytest.mark.parametrize("loss", ["hinge", "epsilon_insensitive"])
def test_zeros_are_those_of_a_fit_to_rounding(loss, rows):
    X, y = rows[0], target_of(loss, rows)
    penalty = {"penalty": "elasticnet", "alpha": 0.2, "l1_ratio": 0.5}
    exact = model_of(loss, tol=1e-10, **penalty).fit(X, y)
    model = model_of(loss, tol=1e-5, **penalty).fit(X, y)
    assert np.count_nonzero(exact.coef_ == 0.0) > 0
    assert_array_equal(model.coef_ == 0.0, exact.coef_ == 0.0)


@pytest.mark.parametrize("loss", NON_SMOOTH)
def test_no_coefficient_is_negative_where_that_is_ruled_out(loss, rows):
    """The minimum is that of a fit without the constraint to the columns whose coefficients are positive."""
    X, y = rows[0], target_of(loss, rows)
    model = model_of(loss, positive=True, alpha=0.01, tol=1e-8).fit(X, y)
    coef = np.ravel(model.coef_)
    assert (coef >= 0.0).all()
    assert coef[1] == 0.0  # without the constraint it would be negative
    kept = coef > 0.0
    free = minimum_of(loss, X[:, kept], y, np.ones(len(y)), 0.0, 0.01)
    assert_allclose(model.loss_curve_[-1], free, rtol=1e-6)


# ---------------------------------------------------------------- weights
@pytest.mark.parametrize("loss", NON_SMOOTH)
def test_a_weight_of_two_is_the_row_twice(loss, rows, rng):
    X, y = rows[0], target_of(loss, rows)
    times = rng.integers(1, 3, len(y))
    weighted = model_of(loss, alpha=0.05, tol=1e-10).fit(X, y, times)
    twice = model_of(loss, alpha=0.05, tol=1e-10).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    assert_allclose(weighted.loss_curve_[-1], twice.loss_curve_[-1], rtol=1e-9)
    assert_allclose(weighted.coef_, twice.coef_, atol=1e-4)


@pytest.mark.parametrize("loss", NON_SMOOTH)
def test_weights_of_many_magnitudes(loss, rows, rng):
    X, y, weights = rows[0], target_of(loss, rows), 10.0 ** rng.uniform(-6.0, 6.0, len(rows[1]))
    minimum = minimum_of(loss, X, y, weights, 0.01, 0.0)
    model = model_of(loss, penalty="l1", alpha=0.01, tol=1e-6).fit(X, y, weights)
    assert model.converged_
    assert minimum * (1.0 - 1e-8) <= model.loss_curve_[-1] <= minimum * (1.0 + 1e-6) + 1e-12


# ---------------------------------------------------------------- columns
def test_columns_are_independent(rows):
    X, _, labels = rows
    model = GDClassifier("hinge", alpha=0.02, tol=1e-10).fit(X, labels)
    total = 0.0
    for k in range(3):
        alone = GDClassifier("hinge", alpha=0.02, tol=1e-10).fit(X, labels == k)
        total += alone.loss_curve_[-1]
        assert_allclose(model.coef_[k], np.ravel(alone.coef_), atol=1e-4)
    assert_allclose(model.loss_curve_[-1], total, rtol=1e-9)


def test_iterations_are_those_of_the_column_that_takes_most(rows, monkeypatch):
    """Columns that have ended take no more part in passes."""
    steps, active = {}, []
    advance, step = Column.advance, interior_point._step

    def counted(column, longest):
        steps[id(column)] = steps.get(id(column), 0) + 1
        advance(column, longest)

    def watched(objective, columns, solver):
        active.append(len(columns))
        step(objective, columns, solver)

    monkeypatch.setattr(Column, "advance", counted)
    monkeypatch.setattr(interior_point, "_step", watched)
    X, z, _ = rows
    Y = np.column_stack([z, 1e3 * np.sign(z) + z**3])
    model = GDRegressor("quantile", alpha=1e-3, tol=1e-8).fit(X, Y)
    assert model.n_iter_ == max(steps.values()) == len(active) == len(model.loss_curve_) - 1
    assert sum(active) == sum(steps.values())
    assert min(steps.values()) < max(steps.values())


# ---------------------------------------------------------------- starts
@pytest.mark.parametrize("weight", [1.0, 1e-3])
def test_a_class_of_one_row(weight, rows):
    X, weights = rows[0], np.ones(90)
    y = np.zeros(90, dtype=int)
    y[11], weights[11] = 1, weight
    minimum = minimum_of("hinge", X, y, weights, 0.0, 0.001)
    model = GDClassifier("hinge", alpha=0.001, tol=1e-6).fit(X, y, weights)
    assert model.converged_
    assert minimum * (1.0 - 1e-8) <= model.loss_curve_[-1] <= minimum * (1.0 + 1e-6)


@pytest.mark.parametrize("loss", NON_SMOOTH)
def test_a_start_where_all_rows_are_at_non_smooth_points(loss, rng):
    """With as many columns as rows, some coefficients put every row at a non-smooth point.  A penalty leads away from it."""
    X = rng.normal(size=(6, 6))
    signs = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    scores = {"hinge": signs, "quantile": 5.0 * signs, "epsilon_insensitive": 5.0 * signs + EPSILON}[loss]
    y = (signs > 0).astype(int) if loss == "hinge" else 5.0 * signs
    start = np.linalg.solve(X, scores)
    minimum = minimum_of(loss, X, y, np.ones(6), 0.0, 0.1)
    model = model_of(loss, alpha=0.1, tol=1e-6).fit(X, y, coef_init=start, intercept_init=0.0)
    assert model.converged_
    assert_allclose(model.loss_curve_[0], 0.05 * start @ start, rtol=1e-9)
    assert minimum * (1.0 - 1e-8) <= model.loss_curve_[-1] <= minimum * (1.0 + 1e-6)
