"""Proximal steps against numeric minima of what they minimise, and the vectorised form against the scalar one."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from skgd.compiled.jit import kernel
from skgd.penalties import (
    ElasticNet,
    Penalty,
    elastic_net,
    penalty_derivative,
    penalty_value,
    proximal_step,
    soft_threshold,
    zero_violations,
)

POINTS = [-3.0, -0.2, -1e-9, 0.0, 1e-9, 0.2, 3.0]


@kernel
def step(penalty, w, rate, l1, l2):
    return penalty.proximal_step(w, rate, -l1, l1, l2), penalty.gradient(w, l2)


def python_step(penalty, w, rate, l1, l2):
    return penalty.proximal_step(w, rate, -l1, l1, l2), penalty.gradient(w, l2)


CASES = list(itertools.product(POINTS, [0.1, 2.0], [0.0, 0.3], [0.0, 0.7]))
HOW = pytest.mark.parametrize("how", [step, python_step], ids=["compiled", "python"])
EXPLICIT = pytest.mark.parametrize("explicit", [0.0, 1.0])


@HOW
@EXPLICIT
def test_proximal_step_solves_its_problem(explicit, how):
    """argmin over u of (u - w)^2 / (2 rate) + l1 |u| + the implicit part of l2 u^2 / 2."""
    for w, rate, l1, l2 in CASES:

        def problem(u, w=w, rate=rate, l1=l1, l2=l2):
            return (u - w) ** 2 / (2.0 * rate) + l1 * abs(u) + (1.0 - explicit) * 0.5 * l2 * u * u

        u = how(ElasticNet(explicit), w, rate, l1, l2)[0]
        best = minimize_scalar(problem, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-10})
        assert abs(u - best.x) < 1e-7
        assert problem(u) <= min(problem(v) for v in (best.x, u - 1e-5, u + 1e-5)) + 1e-15


@HOW
@EXPLICIT
def test_proximal_step_is_zero_exactly_within_the_threshold(explicit, how):
    for w, rate, l1, l2 in CASES:
        assert (how(ElasticNet(explicit), w, rate, l1, l2)[0] == 0.0) == (abs(w) <= rate * l1)


@HOW
@EXPLICIT
def test_exact_zeros_have_no_sign(explicit, how):
    zeros = [how(ElasticNet(explicit), w, 1.0, 0.3, 0.7)[0] for w in (-0.2, -0.0, 0.0, 0.2)]
    assert not np.signbit(zeros).any()
    assert not np.signbit(proximal_step(np.array([[-0.2], [0.2]]), 1.0, elastic_net(0.3, 0.7, 2))).any()


@HOW
@EXPLICIT
def test_gradient_is_that_of_the_explicit_part(explicit, how):
    for w, _, _, l2 in CASES:
        h = 1e-4
        difference = explicit * 0.5 * l2 * ((w + h) ** 2 - (w - h) ** 2) / (2.0 * h)
        assert how(ElasticNet(explicit), w, 1.0, 0.1, l2)[1] == pytest.approx(difference, rel=1e-9, abs=1e-10)


@HOW
def test_nan_survives_the_proximal_step(how):
    assert np.isnan(how(ElasticNet(), np.nan, 0.1, 0.3, 0.7)[0])


def test_all_coefficients_at_once_are_as_one_by_one():
    theta = np.array(POINTS * 2).reshape(7, 2)
    l1, l2 = np.linspace(0.0, 3.0, 7), np.linspace(2.0, 0.0, 7)
    expected = [
        [ElasticNet(0.0).proximal_step(w, 0.6, -l1[j], l1[j], l2[j]) for w in row] for j, row in enumerate(theta.tolist())
    ]
    np.testing.assert_array_equal(proximal_step(theta, 0.6, elastic_net(l1, l2, 7)), expected)


def test_penalty_value_sums_over_coefficients():
    rng = np.random.default_rng(0)
    theta, l1, l2 = rng.normal(size=(5, 3)), rng.uniform(size=5), rng.uniform(size=5)
    expected = sum(l1[j] * abs(theta[j, k]) + 0.5 * l2[j] * theta[j, k] ** 2 for j in range(5) for k in range(3))
    assert penalty_value(theta, elastic_net(l1, l2, 5)) == pytest.approx(expected, rel=1e-14)


# ---------------------------------------------------------------- penalties that need not be symmetric
ONE_SIDED = Penalty(np.array([-np.inf, -np.inf, -0.4, 0.0]), np.array([0.0, 0.3, 1.0, 0.0]), np.array([0.5, 0.0, 0.2, 0.0]))


def one_value(u, j):
    """The penalty on coefficient j, by its definition."""
    linear = ONE_SIDED.upper[j] * u if u > 0 else ONE_SIDED.lower[j] * u if u < 0 else 0.0
    return linear + 0.5 * ONE_SIDED.l2[j] * u * u


@pytest.mark.parametrize("j", range(4))
@pytest.mark.parametrize("w", POINTS)
def test_steps_of_one_sided_penalties_solve_their_problem(j, w):
    def problem(u):
        return 0.5 * (u - w) ** 2 / 0.7 + one_value(u, j)

    u = proximal_step(np.full((4, 1), w), 0.7, ONE_SIDED)[j, 0]
    thresholded = soft_threshold(w, 0.7 * ONE_SIDED.lower[j], 0.7 * ONE_SIDED.upper[j])
    assert u == pytest.approx(thresholded / (1.0 + 0.7 * ONE_SIDED.l2[j]))
    assert problem(u) <= min(problem(v) for v in np.linspace(-4.0, 4.0, 4001)) + 1e-15


def test_value_of_one_sided_penalties():
    allowed = np.array([[0.5], [2.0], [-1.5], [-7.0]])
    assert penalty_value(allowed, ONE_SIDED) == pytest.approx(sum(one_value(u, j) for j, u in enumerate(allowed[:, 0])))
    finite = Penalty(ONE_SIDED.lower[2:], ONE_SIDED.upper[2:], ONE_SIDED.l2[2:])
    assert penalty_value(allowed[2:], finite) == pytest.approx(sum(one_value(allowed[j, 0], j) for j in (2, 3)))


def test_penalty_derivatives_are_those_of_differences():
    u, h = np.array([0.5, 2.0, -1.5, -7.0]), 1e-6
    expected = [(one_value(v + h, j) - one_value(v - h, j)) / (2.0 * h) for j, v in enumerate(u)]
    np.testing.assert_allclose(penalty_derivative(u, ONE_SIDED), expected, rtol=1e-8, atol=1e-12)


def test_zero_violations_are_what_moves_a_zero():
    """From zero, the objective g u + penalty(u) falls as fast as the violation says, in at most one direction."""
    for g in (-2.0, -0.35, -0.2, 0.0, 0.2, 0.5, 2.0):
        pull = zero_violations(np.zeros((4, 1)), np.full((4, 1), g), ONE_SIDED)[:, 0]
        for j in range(4):
            falls = [-(g * u + one_value(u, j)) / abs(u) for u in (-1e-9, 1e-9)]
            assert pull[j] == pytest.approx(max(*falls, 0.0), abs=1e-8)
    assert not zero_violations(np.ones((4, 1)), np.full((4, 1), 9.0), ONE_SIDED).any()


def test_scaled_weights_penalise_the_same():
    u, scale = np.array([[0.5], [2.0], [-1.5], [-7.0]]), np.array([0.1, 2.0, 3.0, 5.0])
    assert penalty_value(u / scale[:, None], ONE_SIDED.scaled(scale)) == pytest.approx(penalty_value(u, ONE_SIDED))
    unpenalised = ONE_SIDED.scaled(np.zeros(4))
    assert not unpenalised.non_smooth.any()
    assert np.isfinite(np.array(unpenalised)).all()


def test_ridge_is_the_one_l2_weight_of_all_coefficients():
    assert elastic_net(0.0, 0.3, 5).ridge == 0.3
    assert elastic_net(0.1, 0.3, 5).ridge == elastic_net(0.0, np.arange(5.0), 5).ridge == ONE_SIDED.ridge == 0.0
