"""Schedules against their formulas, written out for single steps."""

import math

import numpy as np

from skgd.solvers import schedules

STEPS = np.array([1.0, 2.0, 3.0, 10.0, 1e6])


def test_constant():
    np.testing.assert_array_equal(schedules.constant(STEPS, 0.3), [0.3] * 5)


def test_invscaling():
    np.testing.assert_allclose(schedules.invscaling(STEPS, 0.3, 0.25), [0.3 / math.pow(t, 0.25) for t in STEPS], rtol=1e-15)


def test_optimal():
    """1 / (alpha (t0 + t)), t from 0, with t0 such that the first rate is the one asked for."""
    t0 = 1.0 / (0.3 * 0.01)
    np.testing.assert_allclose(schedules.optimal(STEPS, 0.01, 0.3), [1.0 / (0.01 * (t0 + t - 1.0)) for t in STEPS], rtol=1e-14)
    np.testing.assert_allclose(schedules.optimal(STEPS, 0.01, 0.3)[0], 0.3, rtol=1e-15)


def test_damped():
    """Constant at first, like 1/sqrt(t) in the end."""
    rates = schedules.damped(STEPS, 0.3, 100.0)
    np.testing.assert_allclose(rates, [0.3 * math.sqrt(100.0 / (100.0 + t - 1.0)) for t in STEPS], rtol=1e-14)
    assert rates[0] == 0.3
    np.testing.assert_allclose(rates[-1], 0.3 * math.sqrt(100.0 / 1e6), rtol=1e-3)
