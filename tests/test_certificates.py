"""How far a point is from the minimum: the bound of duality, the rounding of zero, and Newton's direction."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from problems import FORMULAS, N, objective_of, random_theta
from scipy.optimize import brentq, minimize
from scipy.special import softmax

from skgd import GDClassifier, GDRegressor
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.log_link import Gamma, Poisson
from skgd.losses.margins import ModifiedHuber, SquaredHinge
from skgd.losses.registry import loss_for
from skgd.losses.regression import Huber, SquaredEpsilonInsensitive, SquaredError
from skgd.monitoring.history import History
from skgd.penalties import Penalty, penalty_value
from skgd.solvers import gd
from skgd.solvers.certificates import Rounding, curvature_product, gap_bound, newton_direction, proven_gap

SMOOTH = {
    "log_loss": LogLoss,
    "squared_hinge": SquaredHinge,
    "modified_huber": ModifiedHuber,
    "squared_error": SquaredError,
    "huber": Huber,
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
    "poisson": Poisson,
    "gamma": Gamma,
}
EVERY_SMOOTH = pytest.mark.parametrize("name", [*SMOOTH, "softmax"])
L2, ELASTIC_NET = {"l2": 0.3}, {"l1": 0.05, "l2": 0.3}
FEATURES = 4


def features():
    return np.random.default_rng(0).normal(size=(N, FEATURES)) + np.linspace(-1.0, 1.0, FEATURES)


def targets_of(name):
    """Targets (1, n) that the columns explain partly."""
    rng = np.random.default_rng(4)
    z = features() @ [1.0, -0.5, 0.0, 0.3] + rng.normal(size=N)
    if name == "softmax":
        return np.digitize(z, [-0.5, 0.8]).astype(float)[None]
    if name in ("log_loss", "squared_hinge", "modified_huber"):
        return np.where(z > 0.2, 1.0, 0.0 if name == "log_loss" else -1.0)[None]
    return {"poisson": rng.poisson(np.exp(z)).astype(float), "gamma": rng.gamma(2.0, np.exp(z))}.get(name, z)[None]


def problem_of(name, **penalty):
    """An objective of standardised columns."""
    Y = targets_of(name)
    loss = Softmax(3, 0.2) if name == "softmax" else loss_for(SMOOTH[name], Y, np.ones(N), epsilon=0.2)
    return objective_of(loss, features(), Y=Y, **penalty)


def columns_of(objective):
    """The standardised columns (n, D), in NumPy."""
    mean, scale = objective.coordinates
    return scale * np.column_stack([objective.table.X - mean, np.ones(N)])


def fitted(objective):
    """The point and the objective of a fit to rounding."""
    start, history = np.zeros((objective.d + 1, objective.K)), History("gd")
    theta = gd.minimise(objective, start, tol=1e-12, max_iter=1000, history=history).theta
    return theta, objective.evaluate(theta)[0]


def points(objective, count=8):
    """Random points, near the minimum and far from it."""
    theta, _ = fitted(objective)
    return [theta + size * random_theta(objective, seed) for seed in range(count) for size in (1e-3, 0.1, 0.5)]


# ---------------------------------------------------------------- the bound
@EVERY_SMOOTH
@pytest.mark.parametrize("penalty", [L2, ELASTIC_NET], ids=["l2", "elastic net"])
def test_no_point_is_further_from_the_minimum_than_the_bound_says(name, penalty):
    """There is no intercept, since nothing penalises it.  Bounds that guess a price are not proven, and are left out."""
    objective = problem_of(name, **penalty, fit_intercept=False)
    minimum, compared = fitted(objective)[1], 0
    for theta in points(objective):
        F, gradient = objective.evaluate(theta)
        bound, guessed = gap_bound(theta, gradient, objective.penalty, objective.score_scale())
        assert F - minimum >= -1e-11
        if guessed == 0.0:
            assert F - minimum <= bound + 1e-11
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("name", ["log_loss", "squared_hinge", "huber", "poisson"])
def test_the_bound_holds_where_the_intercept_is_the_best_one(name):
    """The slope of the best intercept is rounding, which costs next to nothing."""
    objective = problem_of(name, **ELASTIC_NET)
    minimum, compared = fitted(objective)[1], 0
    for theta in points(objective, 4):

        def at(b, theta=theta):
            return np.vstack([theta[:-1], [[b]]])

        def slope(b, at=at):
            return objective.evaluate(at(b))[1][-1, 0]

        balanced = at(brentq(slope, -20.0, 20.0, xtol=1e-14))
        F, gradient = objective.evaluate(balanced)
        bound, guessed = gap_bound(balanced, gradient, objective.penalty, objective.score_scale())
        if guessed <= 1e-10:
            assert F - minimum <= bound + 1e-10
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("penalty", [L2, ELASTIC_NET], ids=["l2", "elastic net"])
@pytest.mark.parametrize("name", ["log_loss", "huber", "gamma"])
def test_the_minimum_that_bounds_are_compared_with_is_that_of_scipy(name, penalty):
    """Coefficients are split into their positive and negative parts, whose penalty is smooth."""
    objective = problem_of(name, **penalty, fit_intercept=False)
    A, y = columns_of(objective)[:, :-1], targets_of(name)[0]
    l1, l2 = objective.penalty.upper[:-1], objective.penalty.l2[:-1]

    def value(u):
        theta = u[:FEATURES] - u[FEATURES:]
        return FORMULAS[name](y, A @ theta, epsilon=0.2).mean() + l1 @ (u[:FEATURES] + u[FEATURES:]) + 0.5 * l2 @ theta**2

    bounds = [(0.0, None)] * (2 * FEATURES)
    start = minimize(value, np.full(2 * FEATURES, 0.1), method="L-BFGS-B", bounds=bounds).x
    found = minimize(value, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9}).fun
    assert_allclose(fitted(objective)[1], found, rtol=1e-8)


@pytest.mark.parametrize("name", ["log_loss", "squared_hinge", "softmax"])
def test_with_an_l2_penalty_alone_the_bound_is_the_square_of_the_gradient(name):
    objective = problem_of(name, l2=0.5, fit_intercept=False)
    l2 = objective.penalty.l2[:-1, None]
    for theta in points(objective, 3):
        _, gradient = objective.evaluate(theta)
        bound, guessed = gap_bound(theta, gradient, objective.penalty, objective.score_scale())
        if guessed == 0.0:
            assert_allclose(bound, np.sum((gradient[:-1] + l2 * theta[:-1]) ** 2 / (2.0 * l2)), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("lower", [-np.inf, -0.4, 0.0])
@pytest.mark.parametrize("gradient", [-2.0, -0.1, 0.3, 1.5])
@pytest.mark.parametrize("theta", [0.0, 0.7, 3.0])
def test_the_conjugate_is_the_largest_of_a_grid(lower, gradient, theta):
    """The conjugate is the maximum of -gradient u - penalty(u) over a grid of allowed u."""
    penalty = Penalty(np.array([lower]), np.array([0.2]), np.array([1.5]))
    grid = np.linspace(0.0 if np.isinf(lower) else -5.0, 5.0, 100_001)
    cost = np.where(grid > 0.0, 0.2, 0.0 if np.isinf(lower) else lower) * grid + 0.75 * grid**2
    at, slope = np.array([[theta]]), np.array([[gradient]])
    bound, guessed = gap_bound(at, slope, penalty, np.ones(1))
    expected = penalty_value(at, penalty) + np.max(-gradient * grid - cost) + gradient * theta
    assert guessed == 0.0
    assert_allclose(bound, expected, atol=1e-8)


def test_slopes_that_nothing_penalises_are_guessed():
    """The price assumes that the coefficient moves by its own size, and at least by one."""
    none = Penalty(*np.zeros((3, 2)))
    theta, gradient = np.array([[0.5], [-4.0]]), np.array([[1e-3], [1e-3]])
    bound, guessed = gap_bound(theta, gradient, none, np.ones(1))
    assert_allclose(guessed, 1e-3 * (1.0 + 4.0))
    assert_allclose(bound, max(guessed + np.vdot(gradient, theta), 0.0))
    objective = SimpleNamespace(penalty=none, score_scale=lambda: np.ones(1))
    assert proven_gap(objective, theta, gradient, 2.0 * bound) is None
    assert proven_gap(objective, theta, 1e-9 * gradient, 1.0) == pytest.approx(1e-9 * bound)


def test_only_a_small_enough_bound_is_proven():
    objective = problem_of("log_loss", **L2, fit_intercept=False)
    theta = fitted(objective)[0] + 1e-2
    gradient = objective.evaluate(theta)[1]
    bound, _ = gap_bound(theta, gradient, objective.penalty, objective.score_scale())
    assert proven_gap(objective, theta, gradient, 1.01 * bound) == bound
    assert proven_gap(objective, theta, gradient, 0.99 * bound) is None


# ---------------------------------------------------------------- rounding
def test_a_start_far_worse_than_the_constants_makes_no_tiny_objective_zero():
    objective = problem_of("log_loss", **L2)
    tiny = 8.0 * np.finfo(float).eps * objective.intercept_only_value
    share = targets_of("log_loss").mean()
    assert_allclose(objective.intercept_only_value, -share * np.log(share) - (1.0 - share) * np.log(1.0 - share))
    far = Rounding(objective, 1e15)
    assert_allclose(far.below(1e-3), tiny)
    assert far.below(10.0) < 10.0  # which is all that needs to be known
    near = Rounding(objective, 0.5 * objective.intercept_only_value)
    assert_allclose(near.below(1e-17), 0.5 * tiny)
    assert 1e-3 > near.below(1e-3)


def test_the_rounding_of_a_quadratic_loss_is_that_of_the_constants():
    objective = problem_of("squared_error", **L2)
    expected = 8.0 * np.finfo(float).eps * 0.5 * targets_of("squared_error").var()
    for start in (1e-3, 1e15):
        for F in (1e-18, 1.0):
            assert_allclose(Rounding(objective, start).below(F), expected)


@pytest.mark.parametrize(("estimator", "name"), [(GDRegressor, "huber"), (GDClassifier, "log_loss")])
def test_a_fit_from_far_off_ends_where_others_do(estimator, name):
    X, y = features(), targets_of(name)[0]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    near = estimator(name, alpha=0.01, tol=1e-8).fit(X, y)
    far = estimator(name, alpha=0.01, tol=1e-8).fit(X, y, coef_init=np.full(FEATURES, 1e8), intercept_init=-1e9)
    assert far.loss_curve_[0] > 1e6 * far.loss_curve_[-1]
    assert far.converged_
    assert_allclose(far.loss_curve_[-1], near.loss_curve_[-1], rtol=1e-7)


# ---------------------------------------------------------------- curvature of all rows
@pytest.mark.parametrize("name", ["log_loss", "squared_error", "poisson", "softmax"])
def test_products_of_the_hessian_are_differences_of_gradients(name):
    objective = problem_of(name, **L2)
    theta, direction = 0.3 * random_theta(objective), random_theta(objective, 5)
    step = 1e-5
    ahead, behind = (objective.loss_part(theta + sign * step * direction)[1] for sign in (1.0, -1.0))
    expected = (ahead - behind) / (2.0 * step) + objective.penalty.l2[:, None] * direction
    assert_allclose(curvature_product(objective, theta)(direction), expected, rtol=1e-5, atol=1e-7)
    assert_allclose(curvature_product(objective, theta)(0.0 * direction), 0.0)


def test_rows_far_off_count_with_the_curvature_that_they_have():
    """Huber's loss is straight there, although descents give such rows some curvature."""
    objective = problem_of("huber", l2=0.0)
    theta, direction = 0.3 * random_theta(objective), random_theta(objective, 5)
    A, y = columns_of(objective), targets_of("huber")[0]
    near = np.abs(A @ theta[:, 0] - y) <= 0.2
    expected = A.T @ (near * (A @ direction[:, 0])) / N
    assert 0 < near.sum() < N
    assert_allclose(curvature_product(objective, theta)(direction)[:, 0], expected, rtol=1e-9, atol=1e-12)


def hessian(objective, name, theta):
    """The dense Hessian, with coefficients in the order of theta.ravel()."""
    A = columns_of(objective)
    Z, l2 = A @ theta, np.kron(np.diag(objective.penalty.l2), np.eye(objective.K))
    if name == "softmax":
        P = softmax(Z, axis=1)
        C = np.einsum("ik,kl->ikl", P, np.eye(3)) - P[:, :, None] * P[:, None, :]
    else:
        p = 1.0 / (1.0 + np.exp(-Z))
        C = (p * (1.0 - p))[:, :, None]
    size = theta.size
    return np.einsum("id,ikl,ie->dkel", A, C, A).reshape(size, size) / N + l2


@pytest.mark.parametrize("name", ["log_loss", "softmax"])
def test_newtons_direction_is_that_of_the_dense_hessian(name):
    """A softmax loss does not see equal shifts of all intercepts, and the solution of least norm has none."""
    objective = problem_of(name, **L2)
    theta = 0.3 * random_theta(objective)
    slope = objective.evaluate(theta)[1] + objective.penalty.l2[:, None] * theta
    H = hessian(objective, name, theta)
    expected = -np.linalg.lstsq(H, slope.ravel(), rcond=1e-12)[0]
    if name == "log_loss":
        assert_allclose(expected, -np.linalg.solve(H, slope.ravel()))
    for precondition in (lambda r: r, lambda r: (r.ravel() / np.diagonal(H)).reshape(r.shape)):
        step, decrease, _ = newton_direction(objective, theta, slope, precondition, 0.0)
        if name == "softmax":
            step[-1] -= step[-1].mean()
        promise = -0.5 * slope.ravel() @ expected
        assert 0.97 * promise <= decrease <= promise * (1.0 + 1e-6)
        rest = step.ravel() - expected
        assert rest @ H @ rest <= 0.03 * expected @ H @ expected
        if name == "log_loss":  # nearly as many iterations as coefficients
            assert_allclose(step.ravel(), expected, rtol=1e-4)


def test_few_iterations_promise_less():
    objective = problem_of("log_loss", **L2)
    theta = 0.3 * random_theta(objective)
    slope = objective.evaluate(theta)[1] + objective.penalty.l2[:, None] * theta
    promises = [newton_direction(objective, theta, slope, lambda r: r, 0.0, most)[1] for most in range(4)]
    assert promises[0] == 0.0
    assert (np.diff(promises) > 0.0).all()
