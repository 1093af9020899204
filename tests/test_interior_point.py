"""The interior-point method: its loss pieces, its compiled loops, its bounds, and minima of linear programs."""

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
from skgd.data.table import PARTS, Table, partition
from skgd.losses.margins import Hinge, ModifiedHuber, SquaredHinge
from skgd.losses.regression import EpsilonInsensitive, Huber, Quantile, SquaredEpsilonInsensitive
from skgd.solvers import interior_point, interior_steps, interior_systems

EPSILON, QUANTILE = 0.3, 0.7
OF_RAMPS = {
    "hinge": Hinge(1),
    "squared_hinge": SquaredHinge(1),
    "modified_huber": ModifiedHuber(1),
    "huber": Huber(1, EPSILON),
    "epsilon_insensitive": EpsilonInsensitive(1, EPSILON),
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive(1, EPSILON),
    "quantile": Quantile(1, QUANTILE),
}
KINKED = ["hinge", "quantile", "epsilon_insensitive"]
MARGINS = {"hinge", "squared_hinge", "modified_huber"}
ROWS, COLUMNS = 30, 3


# ---------------------------------------------------------------- oracles
def pieces(loss, y):
    """Slopes and constants (n,) of straight lines, the largest of which is each row's loss."""
    none, one = np.zeros(len(y)), np.ones(len(y))
    return {
        "hinge": [(none, none), (-y, one)],
        "epsilon_insensitive": [(none, none), (one, -y - EPSILON), (-one, y - EPSILON)],
        "quantile": [((1.0 - QUANTILE) * one, -(1.0 - QUANTILE) * y), (-QUANTILE * one, QUANTILE * y)],
    }[loss]


def value_of(loss, A, y, s, l1, l2, theta):
    """The objective at theta (D,): columns A with the intercept's, weights s that sum to one, penalties of all columns."""
    rows = np.max([slope * (A @ theta) + constant for slope, constant in pieces(loss, y)], axis=0)
    return s @ rows + l1 @ np.abs(theta) + 0.5 * l2 @ theta**2


def least(loss, A, y, s, l1, l2):
    """The minimum of it: a linear program of HiGHS, or a quadratic one of SLSQP, with a slack for each row.

    What is returned is the objective at the point found, so it is never below the minimum.
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
    """An objective of the package, and the arguments of `value_of` and `least` for the same one."""

    objective: object
    formula: tuple

    @classmethod
    def of(cls, loss, l1, l2, fit_intercept=True, weighted=True):
        rng = np.random.default_rng(5)
        X = rng.normal(size=(ROWS, COLUMNS)) + np.array([0.0, 1.0, -2.0])
        z = X @ [1.0, -0.5, 0.0] + rng.normal(size=ROWS)
        y = np.where(z > -0.3, 1.0, -1.0) if loss in MARGINS else 3.0 * z
        objective = objective_of(OF_RAMPS[loss], X, Y=y[None], weighted=weighted, l1=l1, l2=l2, fit_intercept=fit_intercept)
        mean, scale = objective.coordinates
        A = scale * np.column_stack([X - mean, np.ones(ROWS)])
        own = np.append(l1 * scale[:-1], 0.0), np.append(l2 * scale[:-1] ** 2, 0.0)
        return cls(objective, (loss, A, y, objective.table.s / objective.table.s.sum(), *own))

    def column(self):
        """Where the method starts: at zero."""
        theta = np.zeros((COLUMNS + 1, 1))
        z = self.objective.table.scores(*self.objective.coordinates.raw(theta))
        column = interior_point.Column(self.objective, 0, theta[:, 0], z[0])
        column.allowed = 1e-8
        interior_point._look(self.objective, [column])
        return column


# ---------------------------------------------------------------- losses as sums of ramps
def brute_force_ramp(t, box, roundness):
    """The largest p t - roundness p^2 / 2 for each t, on a grid of p."""
    most = box if np.isfinite(box) else np.abs(t).max() / roundness
    p = np.linspace(0.0, most, 20_001)
    return np.array([np.max(p * one - 0.5 * roundness * p * p) for one in t])


@pytest.mark.parametrize("name", OF_RAMPS)
def test_ramps_add_up_to_the_loss(name, rng):
    loss, z = OF_RAMPS[name], 3.0 * rng.normal(size=200)
    y = rng.choice([-1.0, 1.0], size=200) if name in MARGINS else 2.0 * rng.normal(size=200)
    form = loss.ramps(y)
    total = form.slope * z + form.constant
    for sign, offset in form.ramps:
        total = total + brute_force_ramp(sign * z + offset, form.box, form.roundness)
    assert_allclose(total, [loss.value(*row) for row in zip(y, z, strict=True)], atol=1e-6)
    assert_allclose(total, FORMULAS[name](y, z, epsilon=EPSILON, quantile=QUANTILE), atol=1e-6)


@pytest.mark.parametrize(("box", "roundness"), [(1.0, 0.0), (4.0, 0.5), (np.inf, 0.5), (np.inf, 0.0)])
def test_values_of_ramps_are_the_best_p_and_the_present_one(box, roundness, rng):
    """A ramp without end and roundness forbids positive arguments: below zero it costs nothing."""
    t, weight = rng.normal(size=50), rng.uniform(0.1, 2.0, 50)
    t = -np.abs(t) if np.isinf(box) and roundness == 0.0 else t
    ramps = interior_point.Ramps(weight, 1.0, np.ones(50), t.copy(), np.full(50, box), 0.3, roundness)
    value, dual = ramps.values()
    best = brute_force_ramp(t, box, roundness) if np.isfinite(box) or roundness > 0.0 else np.zeros(50)
    assert_allclose(value, weight @ best, atol=1e-6)
    assert_allclose(dual, weight @ (ramps.p * t - 0.5 * roundness * ramps.p**2))
    assert dual < value
    assert_allclose(ramps.complementarity() / ramps.target, 0.3)


# ---------------------------------------------------------------- compiled loops
class Rows(NamedTuple):
    """Arguments of the compiled loops: a third of the boxes has no end."""

    t: np.ndarray
    box: np.ndarray
    roundness: float
    p: np.ndarray
    u: np.ndarray
    v: np.ndarray
    dp: np.ndarray
    du: np.ndarray
    dv: np.ndarray

    @classmethod
    def of(cls, roundness, mu, spread=1.0):
        rng = np.random.default_rng(2)
        box = rng.uniform(0.2, 3.0, 60)
        box[::3] = np.inf
        t = spread * rng.normal(size=60)
        if roundness == 0.0:  # ramps without an end have to be below it
            t[::3] = -np.abs(t[::3]) - 0.01
        rows = cls(t, box, roundness, *np.zeros((6, 60)))
        interior_steps.centre(t, box, roundness, mu, rows.p, rows.u, rows.v)
        return rows

    def products(self):
        """Of both conditions, (2, n); zero where a box has no end."""
        bounded = np.isfinite(self.box)
        left = np.where(bounded, self.box, 0.0) - np.where(bounded, self.p, 0.0)
        return np.array([self.p * self.u, left * self.v])

    def moved(self, step):
        """A copy, after a step along the changes."""
        p, u, v = self.p + step * self.dp, self.u + step * self.du, self.v + step * self.dv
        return self._replace(p=p, u=u, v=v)


@pytest.mark.parametrize("roundness", [0.0, 0.5])
@pytest.mark.parametrize(("mu", "spread"), [(1e-12, 0.0), (1e-12, 1.0), (1e-3, 1e3), (10.0, 1e6)])
def test_centred_variables_fulfil_both_conditions(roundness, mu, spread):
    """The solver asks for a mu that is not much smaller than arguments: beyond 1 / eps a variable would be zero."""
    rows = Rows.of(roundness, mu, spread)
    bounded = np.isfinite(rows.box)
    assert (rows.p > 0.0).all()
    assert (rows.p < rows.box).all()
    assert_allclose(rows.p * rows.u, mu, rtol=1e-12)
    # Where p is next to its end, rounding of p is all that their difference has.
    left, error = rows.box[bounded] - rows.p[bounded], np.finfo(float).eps * rows.box[bounded]
    assert (np.abs(left * rows.v[bounded] - mu) <= 1e-12 * mu + 2.0 * error * rows.v[bounded]).all()
    assert_array_equal(rows.v[~bounded], 0.0)


def test_centred_variables_solve_the_equation_of_their_ramp():
    """Of ramps that have an end, v - u = t; of rounded ones without an end, -u = t - roundness p."""
    sharp, rounded = Rows.of(0.0, 0.1), Rows.of(0.5, 0.1)
    bounded = np.isfinite(sharp.box)
    assert_allclose((sharp.v - sharp.u)[bounded], sharp.t[bounded], atol=1e-12)
    assert_allclose(-rounded.u[~bounded], (rounded.t - 0.5 * rounded.p)[~bounded], atol=1e-12)


@pytest.mark.parametrize("roundness", [0.0, 0.5])
@pytest.mark.parametrize("target", [0.0, 0.05])
def test_directions_solve_the_linearised_conditions(roundness, target, rng):
    """First those of the predictor; then with the products of its changes, as the corrector has them."""
    rows, dt = Rows.of(roundness, 0.2), rng.normal(size=60)
    D, e = np.empty((2, 60))
    bounded = np.isfinite(rows.box)
    for _ in range(2):
        t, box, _, p, u, v, *changes = rows
        cross_u, cross_v = rows.dp * rows.du, rows.dp * rows.dv
        interior_steps.condense(t, box, roundness, target, p, u, v, *changes, D, e)
        interior_steps.direct(dt, np.ones(60), box, target, p, u, v, D, e, *changes)
        dp, du, dv = changes
        assert_allclose(dp, D * (dt - e), rtol=1e-12)
        assert_allclose((v + dv) - (u + du), (t + dt) - roundness * (p + dp), atol=1e-10)
        assert_allclose(p * u + p * du + u * dp + cross_u, target, atol=1e-10)
        upper = (box - p)[bounded]
        assert_allclose((upper * (v + dv)[bounded] - (v * dp)[bounded] - cross_v[bounded]), target, atol=1e-10)
        assert_array_equal(dv[~bounded], 0.0)
    assert np.abs(cross_u).max() > 0.0


@pytest.mark.parametrize("roundness", [0.0, 0.5])
@pytest.mark.parametrize("size", [1e-6, 3.0])
def test_steps_keep_variables_positive_and_sums_of_products_are_as_told(roundness, size, rng):
    rows, dt = Rows.of(roundness, 0.2), size * rng.normal(size=60)
    D, e = np.empty((2, 60))
    t, box, _, p, u, v, *changes = rows
    interior_steps.condense(t, box, roundness, 0.1, p, u, v, *changes, D, e)
    weight = rng.uniform(0.1, 2.0, 60)
    longest, linear, quadratic = interior_steps.direct(dt, weight, box, 0.1, p, u, v, D, e, *changes)
    bounded = np.isfinite(box)
    for step in (0.0, 0.3, 0.7, 1.0):
        before = (rows.products() @ weight).sum()
        assert_allclose((rows.moved(step).products() @ weight).sum(), before + step * linear + step**2 * quadratic)

    def nearest(step):
        there = rows.moved(step)
        return min(there.p.min(), there.u.min(), (box - there.p).min(), there.v[bounded].min())

    assert 0.0 < longest <= 1.0
    assert nearest(0.999 * longest) > 0.0
    assert longest == 1.0 or nearest(1.001 * longest) < 0.0
    expected, before = rows.moved(0.999 * longest), t.copy()
    interior_steps.advance(0.999 * longest, dt, t, p, u, v, *changes)
    assert_allclose(t, before + 0.999 * longest * dt)
    for now, then in zip((p, u, v), (expected.p, expected.u, expected.v), strict=True):
        assert_allclose(now, then, rtol=1e-12, atol=1e-14)
    assert_array_equal(np.array(changes), 0.0)


# ---------------------------------------------------------------- passes over X
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("columns", [1, 3])
def test_passes_of_a_table_are_products_of_matrices(storage, columns, rng):
    """Most entries are zero, which CSR does not store; some rows have no curvature, and one column has no variation."""
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
    """Rows in several parts, which threads share."""
    X = rng.normal(size=(20_000, 8))
    table, (W, b) = Table(X, np.zeros((1, 20_000)), np.ones(20_000)), (rng.normal(size=(8, 2)), rng.normal(size=2))
    c, mean, scale, R = rng.random(20_000), X.mean(axis=0), np.ones(9), rng.normal(size=(2, 20_000))

    def answers(table):
        return table.scores(W, b), table.transposed(R), table.gram(c, mean, scale), table.squares(c, mean, scale)

    assert len(partition(20_000, table.entries, PARTS, 1)) > 2
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
@pytest.mark.parametrize("loss", KINKED)
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
        interior_point._step(problem.objective, [column], interior_systems.factorised)
        interior_point._look(problem.objective, [column])
    assert column.F - column.bound <= 1e-8 * column.F


# ---------------------------------------------------------------- minima
@pytest.fixture(scope="module")
def rows():
    """X, a target, and labels of three classes; standardised, as tests compare coefficients."""
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
    """By `least`: an intercept is fitted."""
    signs = np.where(y > 0, 1.0, -1.0) if loss in MARGINS else y
    own = (np.append(np.full(X.shape[1], weight), 0.0) for weight in (l1, l2))
    return least(loss, np.column_stack([X, np.ones(len(X))]), signs, weights / weights.sum(), *own)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("loss", KINKED)
def test_conjugate_gradients_find_the_minimum_of_matrices(loss, storage, rows, monkeypatch):
    X, y = rows[0], target_of(loss, rows)
    for penalty in ({"alpha": 0.01}, {"penalty": "elasticnet", "alpha": 0.02, "l1_ratio": 0.5}):
        expected = model_of(loss, tol=1e-8, **penalty).fit(storage(X), y)
        with monkeypatch.context() as patch:
            patch.setattr(interior_systems, "MATRIX", -1.0)
            patch.setattr(interior_systems, "factorised", None)
            model = model_of(loss, tol=1e-8, **penalty).fit(storage(X), y)
        assert_allclose(model.loss_curve_[-1], expected.loss_curve_[-1], rtol=2e-8)
        assert_allclose(model.coef_, expected.coef_, atol=2e-3)


def test_conjugate_gradients_solve_systems(rng):
    """Several at once; a column of zeros stays zero, and the last equation holds however early they end."""
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


@pytest.mark.parametrize("loss", KINKED)
def test_no_coefficient_is_negative_where_that_is_ruled_out(loss, rows):
    """The minimum is that of the columns whose coefficients are positive, alone and with others of small slopes."""
    X, y = rows[0], target_of(loss, rows)
    model = model_of(loss, positive=True, alpha=0.01, tol=1e-8).fit(X, y)
    coef = np.ravel(model.coef_)
    assert (coef >= 0.0).all()
    assert coef[1] == 0.0  # it would be negative
    kept = coef > 0.0
    free = minimum_of(loss, X[:, kept], y, np.ones(len(y)), 0.0, 0.01)
    assert_allclose(model.loss_curve_[-1], free, rtol=1e-6)


# ---------------------------------------------------------------- weights
@pytest.mark.parametrize("loss", KINKED)
def test_a_weight_of_two_is_the_row_twice(loss, rows, rng):
    X, y = rows[0], target_of(loss, rows)
    times = rng.integers(1, 3, len(y))
    weighted = model_of(loss, alpha=0.05, tol=1e-10).fit(X, y, times)
    twice = model_of(loss, alpha=0.05, tol=1e-10).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    assert_allclose(weighted.loss_curve_[-1], twice.loss_curve_[-1], rtol=1e-9)
    assert_allclose(weighted.coef_, twice.coef_, atol=1e-4)


@pytest.mark.parametrize("loss", KINKED)
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
    """Each steps for as long as it has to: columns that are done leave the passes."""
    steps, active = {}, []
    advance, step = interior_point.Column.advance, interior_point._step

    def counted(column, longest):
        steps[id(column)] = steps.get(id(column), 0) + 1
        advance(column, longest)

    def watched(objective, columns, inverse_of):
        active.append(len(columns))
        step(objective, columns, inverse_of)

    monkeypatch.setattr(interior_point.Column, "advance", counted)
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


@pytest.mark.parametrize("loss", KINKED)
def test_a_start_where_all_rows_are_at_their_kinks(loss, rng):
    """As many columns as rows: some coefficients put every row where its loss bends, and a penalty leads away."""
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
