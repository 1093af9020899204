"""Update rules, step by step, against the formulas of their papers in NumPy."""

import numpy as np
import pytest

from skgd.compiled.jit import kernel
from skgd.penalties import ElasticNet
from skgd.solvers.updates import Adam, Momentum, PenaltyTerms

D, K, STEPS = 4, 2, 25
RATES = 0.3 / np.sqrt(np.arange(1.0, STEPS + 1.0))
NONE = np.zeros(D)
UNIT = np.ones(K)


@kernel
def run(rule, penalty, A, c, rates, unit, theta, l1, l2):
    """The path (steps, D, K) along the gradient A theta - c plus the gradient of the penalty's explicit part."""
    D, K = theta.shape
    path, optimizer_state, units = np.empty((len(rates), D, K)), np.zeros((2, D * K)), np.empty((D, K))
    units[:] = unit
    for t in range(len(rates)):
        gradient = np.dot(A, theta) - c
        for j in range(theta.shape[0]):
            for k in range(theta.shape[1]):
                gradient[j, k] += penalty.gradient(theta[j, k], l2[j])
        flat = theta.reshape(-1), gradient.reshape(-1), optimizer_state
        terms = PenaltyTerms(penalty, np.repeat(-l1, K), np.repeat(l1, K), np.repeat(l2, K))
        rule.step(t + 1, rates[t], units.reshape(-1), *flat, terms)
        path[t] = theta
    return path


HOW = pytest.mark.parametrize("how", [run, getattr(run, "py_func", run)], ids=["compiled", "python"])


@pytest.fixture
def problem():
    """A quadratic function's A and c, and where to start."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(D, D))
    return root @ root.T / D, rng.normal(size=(D, K)), rng.normal(size=(D, K))


def soft(w, threshold):
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)


@HOW
def test_plain_steps(problem, how):
    A, c, theta = problem
    path = how(Momentum(0.0, True), ElasticNet(), A, c, RATES, UNIT, theta.copy(), NONE, NONE)
    for rate, new in zip(RATES, path, strict=True):
        theta = theta - rate * (A @ theta - c)
        np.testing.assert_allclose(new, theta, rtol=1e-12, atol=1e-12)


@HOW
def test_heavy_ball_steps(problem, how):
    """theta_(t+1) = theta_t - rate gradient + momentum (theta_t - theta_(t-1)) (Polyak, 1964)."""
    A, c, theta = problem
    path = how(Momentum(0.8, False), ElasticNet(), A, c, RATES, UNIT, theta.copy(), NONE, NONE)
    before = theta
    for rate, new in zip(RATES, path, strict=True):
        before, theta = theta, theta - rate * (A @ theta - c) + 0.8 * (theta - before)
        np.testing.assert_allclose(new, theta, rtol=1e-12, atol=1e-12)


@HOW
def test_nesterov_steps(problem, how):
    """The rule holds the point w + momentum v, at which the gradient is taken (Sutskever et al., 2013)."""
    A, c, w = problem
    path = how(Momentum(0.8, True), ElasticNet(), A, c, RATES, UNIT, w.copy(), NONE, NONE)
    v = np.zeros_like(w)
    for rate, new in zip(RATES, path, strict=True):
        v = 0.8 * v - rate * (A @ (w + 0.8 * v) - c)
        w = w + v
        np.testing.assert_allclose(new, w + 0.8 * v, rtol=1e-12, atol=1e-12)


@HOW
def test_adam_steps(problem, how):
    A, c, theta = problem
    path = how(Adam(0.85, 0.99, 1e-3), ElasticNet(), A, c, RATES, UNIT, theta.copy(), NONE, NONE)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, (rate, new) in enumerate(zip(RATES, path, strict=True), start=1):
        g = A @ theta - c
        m, v = 0.85 * m + 0.15 * g, 0.99 * v + 0.01 * g**2
        theta = theta - rate * (m / (1.0 - 0.85**t)) / (np.sqrt(v / (1.0 - 0.99**t)) + 1e-3)
        np.testing.assert_allclose(new, theta, rtol=1e-12, atol=1e-12)


@HOW
def test_adam_steps_scale_with_the_unit_of_the_scores(problem, how):
    """A column whose scores, and so gradients, are 1000 times as large takes steps 1000 times as large."""
    A, c, theta = problem
    unit = np.array([1000.0, 1.0])
    path = how(Adam(epsilon=0.01), ElasticNet(), A, c, RATES, UNIT, theta.copy(), NONE, NONE)
    scaled = how(Adam(epsilon=0.01), ElasticNet(), A, c * unit, RATES, unit, theta * unit, NONE, NONE)
    np.testing.assert_allclose(scaled, path * unit, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("explicit", [0.0, 1.0])
def test_gradient_steps_end_with_a_proximal_step_of_the_same_rate(problem, explicit):
    A, c, theta = problem
    l1, l2 = np.array([0.5, 2.0, 0.1, 0.0]), np.array([1.0, 0.0, 0.3, 0.0])
    path = run(Momentum(0.0, True), ElasticNet(explicit), A, c, RATES, UNIT, theta.copy(), l1, l2)
    for rate, new in zip(RATES, path, strict=True):
        moved = theta - rate * (A @ theta - c + explicit * l2[:, None] * theta)
        theta = soft(moved, rate * l1[:, None]) / (1.0 + (1.0 - explicit) * rate * l2[:, None])
        np.testing.assert_allclose(new, theta, rtol=1e-12, atol=1e-12)
    assert (path[-1] == 0.0).any()


@pytest.mark.parametrize("explicit", [0.0, 1.0])
def test_adam_ends_with_a_proximal_step_in_its_own_metric(problem, explicit):
    A, c, theta = problem
    l1, l2 = np.array([0.5, 2.0, 0.1, 0.0]), np.array([1.0, 0.0, 0.3, 0.0])
    path = run(Adam(), ElasticNet(explicit), A, c, RATES, UNIT, theta.copy(), l1, l2)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, (rate, new) in enumerate(zip(RATES, path, strict=True), start=1):
        g = A @ theta - c + explicit * l2[:, None] * theta
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        metric = rate / (np.sqrt(v / (1.0 - 0.999**t)) + 1e-8)
        moved = theta - metric * m / (1.0 - 0.9**t)
        theta = soft(moved, metric * l1[:, None]) / (1.0 + (1.0 - explicit) * metric * l2[:, None])
        np.testing.assert_allclose(new, theta, rtol=1e-11, atol=1e-12)
    assert (path == 0.0).any()
