"""The proximal step against a numeric minimum of its definition, and the vectorised form against the scalar one."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from skgd._jit import kernel
from skgd.penalties import ElasticNet, penalty_value, proximal_step

POINTS = [-3.0, -0.2, -1e-9, 0.0, 1e-9, 0.2, 3.0]


@kernel
def step(penalty, w, rate, l1, l2):
    return penalty.proximal_step(w, rate, l1, l2), penalty.gradient(w, l2)


def python_step(penalty, w, rate, l1, l2):
    return penalty.proximal_step(w, rate, l1, l2), penalty.gradient(w, l2)


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
def test_proximal_step_is_zero_exactly_where_the_threshold_reaches(explicit, how):
    for w, rate, l1, l2 in CASES:
        assert (how(ElasticNet(explicit), w, rate, l1, l2)[0] == 0.0) == (abs(w) <= rate * l1)


@HOW
@EXPLICIT
def test_exact_zeros_have_no_sign(explicit, how):
    zeros = [how(ElasticNet(explicit), w, 1.0, 0.3, 0.7)[0] for w in (-0.2, -0.0, 0.0, 0.2)]
    assert not np.signbit(zeros).any()
    assert not np.signbit(proximal_step(np.array([[-0.2], [0.2]]), 1.0, np.full(2, 0.3), np.full(2, 0.7))).any()


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
    expected = [[ElasticNet(0.0).proximal_step(w, 0.6, l1[j], l2[j]) for w in row] for j, row in enumerate(theta.tolist())]
    np.testing.assert_array_equal(proximal_step(theta, 0.6, l1, l2), expected)


def test_penalty_value_sums_over_coefficients():
    rng = np.random.default_rng(0)
    theta, l1, l2 = rng.normal(size=(5, 3)), rng.uniform(size=5), rng.uniform(size=5)
    expected = sum(l1[j] * abs(theta[j, k]) + 0.5 * l2[j] * theta[j, k] ** 2 for j in range(5) for k in range(3))
    assert penalty_value(theta, l1, l2) == pytest.approx(expected, rel=1e-14)
