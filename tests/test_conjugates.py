"""Conjugates of losses against independent formulas of the losses: values, slopes, dual steps and balanced dual variables."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from problems import FORMULAS
from scipy.optimize import brentq
from scipy.special import expit, logsumexp, softmax

from skgd.compiled.jit import kernel
from skgd.losses.conjugates import PiecewiseConjugate, logistic_step, softmax_step
from skgd.losses.cross_entropy import LogLoss, SoftLabels, Softmax
from skgd.losses.log_link import Gamma, Poisson
from skgd.losses.margins import Hinge, ModifiedHuber, Perceptron, SquaredHinge
from skgd.losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.losses.regression import EpsilonInsensitive, Huber, Quantile, SquaredEpsilonInsensitive, SquaredError

MARGINS = {"hinge": Hinge(), "squared_hinge": SquaredHinge(), "modified_huber": ModifiedHuber()}
PIECEWISE = MARGINS | {
    "squared_error": SquaredError(),
    "huber 0.3": Huber(epsilon=0.3),
    "huber 2": Huber(epsilon=2.0),
    "epsilon_insensitive 0": EpsilonInsensitive(epsilon=0.0),
    "epsilon_insensitive 0.7": EpsilonInsensitive(epsilon=0.7),
    "squared_epsilon_insensitive 0": SquaredEpsilonInsensitive(epsilon=0.0),
    "squared_epsilon_insensitive 0.7": SquaredEpsilonInsensitive(epsilon=0.7),
    "quantile 0.2": Quantile(quantile=0.2),
    "quantile 0.9": Quantile(quantile=0.9),
}
SEPARABLE = PIECEWISE | {"log_loss": LogLoss()}
STEEPEST = 20.0  # No loss is steeper than this at the scores of these tests.
SCORES = np.array([-6.0, -1.4, -1.0, -0.7, -0.1, 0.0, 0.3, 0.7, 1.0, 1.31, 2.0, 5.0])  # with the corners of most losses


def targets_of(name):
    if name in MARGINS:
        return np.array([-1.0, 1.0])
    return np.array([0.0, 0.3, 1.0]) if name == "log_loss" else np.array([-2.0, 0.0, 0.3])


def formula(name):
    """The loss of targets and scores, from `FORMULAS`."""
    loss = SEPARABLE[name]
    parameters = {field: value for field, value in loss._asdict().items() if field in ("epsilon", "quantile")}
    return lambda y, z: FORMULAS[name.split()[0]](y, z, **parameters)


def bounds(name, y):
    """The least and the largest slope of the loss for the target y, or `STEEPEST` if it has none."""
    if name == "log_loss":
        return -y, 1.0 - y
    return np.clip(SEPARABLE[name].conjugate().bounds(np.array(y)), -STEEPEST, STEEPEST)


def cost(conjugate, y, r):
    """loss*(r) for a target y and dual variables r, which have any shape."""
    R = np.reshape(r, (-1, 1))
    return conjugate.conjugate_values(np.full_like(R, y), R).reshape(np.shape(r))


@kernel
def step(conjugate, y, z, q, r):
    """The dual variables after a step on a row."""
    new, room = np.empty(len(r)), np.empty(len(r))
    conjugate.dual_step(y, z, q, r, new, room)
    return new


# ---------------------------------------------------------------- values and slopes
@pytest.mark.parametrize("name", SEPARABLE)
def test_the_loss_is_the_largest_value_over_all_slopes(name):
    """loss(z) = max over r of r z - loss*(r), which is what makes loss* the conjugate of a convex loss."""
    conjugate = SEPARABLE[name].conjugate()
    for y in targets_of(name):
        r = np.linspace(*bounds(name, y), 40_001)
        largest = np.max(r[:, None] * SCORES - cost(conjugate, y, r)[:, None], axis=0)
        assert_allclose(largest, formula(name)(y, SCORES), atol=1e-6)


@pytest.mark.parametrize("name", SEPARABLE)
def test_slopes_and_no_other_variables_attain_the_loss(name, rng):
    """loss(z) + loss*(r) >= r z, and both are equal if r is a slope at z (Fenchel and Young)."""
    conjugate, loss = SEPARABLE[name].conjugate(), formula(name)
    for y in targets_of(name):
        Y, Z = np.full((len(SCORES), 1), y), SCORES[:, None]
        R = conjugate.slopes(Y, Z)
        assert_allclose(loss(Y, Z) + conjugate.conjugate_values(Y, R), R * Z, atol=1e-12)
        r = rng.uniform(*bounds(name, y), size=200)
        excess = loss(y, SCORES)[:, None] + cost(conjugate, y, r) - SCORES[:, None] * r
        assert excess.min() >= -1e-12
        assert excess.max() > 0.1


@pytest.mark.parametrize("labels", ["codes", "probabilities"])
def test_softmax_is_the_largest_value_over_all_probabilities(labels, rng):
    conjugate = (Softmax(3, 0.2) if labels == "codes" else SoftLabels(3, 0.2)).conjugate()
    y = np.array([0.0, 1.0, 0.0]) if labels == "codes" else np.array([0.2, 0.5, 0.3])
    first, second = np.meshgrid(np.linspace(0.0, 1.0, 501), np.linspace(0.0, 1.0, 501))
    P = np.column_stack([first.ravel(), second.ravel(), 1.0 - first.ravel() - second.ravel()])
    P = P[P[:, 2] >= 0.0]
    costs = conjugate.conjugate_values(np.tile(y, (len(P), 1)), P - y).sum(axis=1)
    for z in 2.0 * rng.normal(size=(5, 3)):
        loss = logsumexp(z) - y @ z
        values = (P - y) @ z - costs
        assert values.max() <= loss + 1e-12
        assert values.max() == pytest.approx(loss, abs=1e-4)
        slopes = conjugate.slopes(y[None], z[None])
        assert_allclose(slopes[0], softmax(z) - y, atol=1e-15)
        assert slopes[0] @ z - conjugate.conjugate_values(y[None], slopes).sum() == pytest.approx(loss, abs=1e-12)


def test_losses_without_a_conjugate():
    """Only these have none, so dual coordinate ascent takes all other losses of the registry."""
    without = {cls for cls in (REGRESSION_LOSSES | CLASSIFICATION_LOSSES).values() if cls().conjugate() is None}
    assert without == {Perceptron, Poisson, Gamma}


# ---------------------------------------------------------------- a step
@pytest.mark.parametrize("q", [0.0, 1e-8, 1e-3, 0.5, 4.0, 100.0, 1e6])
@pytest.mark.parametrize("name", PIECEWISE)
def test_steps_of_piecewise_losses_are_exact(name, q):
    """The new variable is a slope of the loss at the scores after the step."""
    conjugate, loss, h = SEPARABLE[name].conjugate(), formula(name), 1e-4
    assert conjugate.has_exact_steps()
    for y in targets_of(name):
        low, high = bounds(name, y)
        for r in [low, 0.9 * low + 0.1 * high, 0.0, 0.3 * low + 0.7 * high, high]:
            Z = SCORES + q * np.linspace(-1.0, 1.0, 3)[:, None] * (high - low)  # for heavy rows, steps of all lengths
            Z = np.append(SCORES, Z.ravel())
            with np.errstate(over="ignore"):  # as in every fit: without compilation, NumPy would warn of the division by 1e-300
                new = step(conjugate, np.full(len(Z), y), Z, q, np.full(len(Z), r))
            moved = Z - q * (new - r)
            rounding = 1e-15 * (1.0 + np.abs(Z) + q * STEEPEST) * (1.0 + np.abs(new))
            assert (new >= low).all() or low == -STEEPEST
            assert (new <= high).all() or high == STEEPEST
            assert_allclose(loss(y, moved) + cost(conjugate, y, new) - new * moved, 0.0, atol=1e-12 + 50 * rounding.max())
            before, at, after = (loss(y, moved + shift) for shift in (-h, 0.0, h))  # the slopes of chords enclose r'
            error = 1e-9 + 100 * rounding / h
            assert ((at - before) / h - error <= new).all()
            assert (new <= (after - at) / h + error).all()


def test_steps_on_empty_rows_without_an_intercept_lead_to_a_slope():
    """Where the loss is flat around the target, zero is its slope.  Without smoothing, 0 / 0 would be the formula."""
    for name in ("epsilon_insensitive 0", "epsilon_insensitive 0.7", "quantile 0.2", "hinge"):
        y = np.ones(1)
        assert step(SEPARABLE[name].conjugate(), y, y.copy(), 0.0, np.zeros(1)) == 0.0


@pytest.mark.parametrize("q", [0.0, 1e-8, 0.5, 4.0, 100.0, 1e6])
def test_compiled_logistic_steps_are_those_of_the_probabilities(q, rng):
    y, z = np.array([0.0, 0.3, 1.0]), 3.0 * rng.normal(size=3)
    p, room = rng.dirichlet(np.ones(3)), np.empty(3)
    assert not LogLoss(3).conjugate().has_exact_steps()
    assert not Softmax(3, 0.2).conjugate().has_exact_steps()
    expected = np.array([logistic_step(z[k], q, p[k]) for k in range(3)])
    assert_allclose(step(LogLoss(3).conjugate(), y, z, q, p - y), expected - y, atol=1e-15)
    softmax_step(z, q, p, expected, room)
    y = np.array([0.0, 1.0, 0.0])
    r = p - y
    assert_allclose(step(Softmax(3, 0.2).conjugate(), y, z, q, r), expected - y, atol=1e-15)
    assert_allclose(r, p - y, atol=1e-15)  # which the step uses as working memory


@pytest.mark.parametrize("q", [0.0, 1e-8, 0.5, 4.0, 100.0, 1e6])
@pytest.mark.parametrize("p", [0.0, 1e-9, 0.3, 1.0])
@pytest.mark.parametrize("z", [-800.0, -3.0, 0.0, 0.1, 40.0])
def test_logistic_steps_lead_to_the_solution_and_never_too_far(z, p, q):
    def excess(new):
        """Grows with p', and vanishes at the solution of p' = logistic(z - q (p' - p))."""
        return new - expit(z - q * (new - p))

    solution = brentq(excess, 0.0, 1.0, xtol=1e-15) if excess(0.0) < 0.0 < excess(1.0) else float(excess(1.0) <= 0.0)
    new = p
    for _ in range(100):
        moved = z - q * (new - p)  # what z has become, with the row's own weight counted from here on
        before, new = new, logistic_step(moved, q, new)
        assert min(before, solution) - 1e-12 <= new <= max(before, solution) + 1e-12
    if q <= 100.0:  # heavier rows take more steps
        assert new == pytest.approx(solution, abs=1e-6)


def test_logistic_step_is_exact_near_the_solution():
    p = expit(0.3)
    errors = [logistic_step(0.3 + shift, 4.0, p) - root_of(0.3 + shift, 4.0, p) for shift in (1e-2, 1e-3)]
    assert abs(errors[1]) < 0.02 * abs(errors[0]) < 1e-5


def root_of(z, q, p):
    return brentq(lambda new: new - expit(z - q * (new - p)), 0.0, 1.0, xtol=1e-15)


@pytest.mark.parametrize("q", [0.0, 0.8, 10.0])
def test_softmax_steps_lead_to_the_solution_and_never_away(q, rng):
    z, p = rng.normal(size=4), rng.dirichlet(np.ones(4))
    room, new = np.empty(4), p.copy()

    def dual_value(p_new):
        """The part of the dual that this row changes."""
        return -(p_new @ np.log(p_new)) + z @ (p_new - p) - q / 2 * (p_new - p) @ (p_new - p)

    values = [dual_value(p)]
    for _ in range(60):
        moved = z - q * (new - p)
        softmax_step(moved, q, new.copy(), new, room)
        values.append(dual_value(new))
    assert (np.diff(values) >= -1e-14).all()
    assert_allclose(new, softmax(z - q * (new - p)), atol=1e-9)
    assert_allclose(new.sum(), 1.0)


# ---------------------------------------------------------------- balanced variables
N, COLUMNS = 60, 3


def problem_of(name, rng):
    """Targets (n, K), the bounds of their dual variables, and weights of the rows."""
    Y = rng.choice(targets_of(name), size=(N, COLUMNS), p=[0.2, 0.8] if name in MARGINS else None)
    return Y, *bounds(name, Y), rng.exponential(size=N) ** 2


@pytest.mark.parametrize("where", ["between", "at the bounds", "mostly at the bounds", "low", "high", "zero"])
@pytest.mark.parametrize("name", PIECEWISE)
def test_balanced_variables_meet_the_constraint_of_the_intercept(name, where, rng):
    """They are between their bounds, and their weighted sums are zero.  Then their dual value is a bound of the minimum."""
    conjugate = SEPARABLE[name].conjugate()
    for _ in range(10):
        Y, low, high, s = problem_of(name, rng)
        share = {
            "between": rng.uniform(size=Y.shape),
            "at the bounds": rng.integers(2, size=Y.shape),
            "mostly at the bounds": np.clip(rng.uniform(-5.0, 6.0, size=Y.shape), 0.0, 1.0),
            "low": np.zeros(Y.shape),
            "high": np.ones(Y.shape),
            "zero": -low / (high - low),
        }[where]
        R = conjugate.balanced(Y, np.clip(low + share * (high - low), low, high), s)
        assert (np.abs(s @ R) <= 1e-10 * (s @ np.abs(R)) + 1e-12).all()
        low, high = conjugate.bounds(Y)
        assert (low <= R).all()
        assert (high >= R).all()


@pytest.mark.parametrize("name", SEPARABLE)
def test_balanced_variables_stay(name, rng):
    conjugate = SEPARABLE[name].conjugate()
    Y, low, high, s = problem_of(name, rng)
    R = conjugate.balanced(Y, rng.uniform(low, high), s)
    assert np.abs(R).max() > 0.01
    assert_allclose(conjugate.balanced(Y, R, s), R, atol=1e-12)


def test_variables_at_their_bounds_stay_there_if_others_can_balance_them(rng):
    """At the optimum most rows have reached a bound, so they are right, and the others take up the excess."""
    conjugate, s = PiecewiseConjugate(-0.4, 0.6), np.ones(N)
    R = np.repeat([0.6, -0.4, 0.1], [16, 24, 20])[:, None]  # those at the bounds balance each other
    R[40:, 0] += rng.uniform(-0.05, 0.05, size=20)
    balanced = conjugate.balanced(np.zeros((N, 1)), R, s)
    assert_allclose(balanced[:40], R[:40], atol=0.0)
    assert_allclose(balanced[40:], R[40:] - R[40:].mean(), atol=1e-12)


def test_balanced_probabilities_of_single_scores(rng):
    conjugate, (Y, _, _, s) = LogLoss(COLUMNS).conjugate(), problem_of("log_loss", rng)
    for P in (rng.uniform(size=Y.shape), expit(20.0 * rng.normal(size=Y.shape)), rng.integers(2, size=Y.shape)):
        R = conjugate.balanced(Y, P - Y, s)
        assert_allclose(s @ R, 0.0, atol=1e-12 * s.sum())
        assert (Y + R).min() >= 0.0
        assert (Y + R).max() <= 1.0


@pytest.mark.parametrize("labels", ["codes", "probabilities"])
def test_balanced_probabilities_have_the_means_of_the_labels(labels, rng):
    Y = np.eye(4)[rng.integers(4, size=N)] if labels == "codes" else rng.dirichlet(np.ones(4), size=N)
    conjugate, s = (Softmax(4, 0.2) if labels == "codes" else SoftLabels(4, 0.2)).conjugate(), rng.exponential(size=N)
    P = rng.dirichlet(0.3 * np.ones(4), size=N)
    R = conjugate.balanced(Y, P - Y, s)
    assert_allclose(s @ R, 0.0, atol=1e-12 * s.sum())
    assert_allclose(R.sum(axis=1), 0.0, atol=1e-14)
    assert (Y + R).min() >= 0.0
    assert_allclose(conjugate.balanced(Y, R, s), R, atol=1e-12)
