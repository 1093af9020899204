"""The compiled loops of the interior-point method over the ramps of all rows or of all coefficients.

A ramp is rho(t) = max of p t - smoothing p^2 / 2 over 0 <= p <= upper.  Its optimality (KKT) conditions, with the products of
complementary variables equal to mu > 0 instead of 0, are

    v - u = t - smoothing p,    p u = mu,    (upper - p) v = mu,    u, v > 0,

where u and v are the multipliers of the bounds 0 and upper of p.  If upper is infinite, it has no multiplier, and v is zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel


class Ramps(NamedTuple):
    """The variables of n ramps.  Each array has the shape (n,)."""

    t: np.ndarray  # the argument
    upper: np.ndarray  # the upper bound of p, which may be infinite
    p: np.ndarray  # the dual variable, which is the slope of the ramp at the optimum
    u: np.ndarray  # the multiplier of p >= 0
    v: np.ndarray  # the multiplier of p <= upper


class Direction(NamedTuple):
    """A Newton direction: the changes of the variables of n ramps in a full step.  Each array has the shape (n,)."""

    dt: np.ndarray
    dp: np.ndarray
    du: np.ndarray
    dv: np.ndarray


class Eliminated(NamedTuple):
    """The linearised conditions after u and v are eliminated: dp = slope (dt - shift).  Each array has the shape (n,)."""

    slope: np.ndarray
    shift: np.ndarray


@kernel
def centre(ramps, smoothing, mu):
    """Fill p, u and v such that both products of complementary variables are equal to `mu`.

    If p has neither a finite upper bound nor smoothing, t has to be negative.
    """
    t, upper, p, u, v = ramps
    for i in range(len(t)):
        c = upper[i]
        if np.isfinite(c):
            root = math.sqrt(c * c * t[i] * t[i] + 4.0 * mu * mu)
            large = (2.0 * mu + c * abs(t[i]) + root) / (2.0 * c)  # the larger one of u and v, computed without cancellation
            share = mu / large
            p[i] = c - share if t[i] > 0.0 else share
            u[i], v[i] = mu / p[i], mu / (c - p[i])
        elif smoothing > 0.0:
            p[i] = (t[i] + math.sqrt(t[i] * t[i] + 4.0 * smoothing * mu)) / (2.0 * smoothing)
            u[i], v[i] = mu / p[i], 0.0
        else:
            p[i], u[i], v[i] = -mu / t[i], -t[i], 0.0


@kernel
def eliminate(ramps, smoothing, mu, direction, eliminated):
    """Linearise the conditions with this `mu` at the current point, eliminate u and v, and fill `eliminated`.

    For the corrector, `direction` is the predictor.  The products of its changes are the second-order terms of Mehrotra's
    method.  For the predictor, the changes in `direction` are zero.
    """
    t, upper, p, u, v = ramps
    _, dp, du, dv = direction
    slope, shift = eliminated
    for i in range(len(t)):
        first = (mu - dp[i] * du[i]) / p[i] - u[i]
        second, stiffness = 0.0, u[i] / p[i] + smoothing
        if np.isfinite(upper[i]):
            left = upper[i] - p[i]
            second = (mu + dp[i] * dv[i]) / left - v[i]
            stiffness += v[i] / left
        slope[i] = 1.0 / stiffness
        shift[i] = second - first + (v[i] - u[i] - t[i] + smoothing * p[i])


@kernel
def substitute(ramps, weight, mu, eliminated, direction):
    """Replace dp, du and dv by the solution of the linearised conditions, given the changes dt of the arguments.

    Returns
    -------
    longest : float
        The longest step, at most 1, that keeps all variables positive.
    linear, quadratic : float
        A step of length a adds linear a + quadratic a^2 to the weighted sum of all products p u and (upper - p) v.
    """
    _, upper, p, u, v = ramps
    dt, dp, du, dv = direction
    slope, shift = eliminated
    longest, linear, quadratic = 1.0, 0.0, 0.0
    for i in range(len(dt)):
        cross_u, cross_v = dp[i] * du[i], dp[i] * dv[i]
        change = slope[i] * (dt[i] - shift[i])
        dp[i] = change
        du[i] = (mu - cross_u) / p[i] - u[i] - u[i] * change / p[i]
        linear += weight[i] * (p[i] * du[i] + u[i] * change)
        quadratic += weight[i] * change * du[i]
        if change < 0.0:
            longest = min(longest, -p[i] / change)
        if du[i] < 0.0:
            longest = min(longest, -u[i] / du[i])
        if np.isfinite(upper[i]):
            left = upper[i] - p[i]
            dv[i] = (mu + cross_v) / left - v[i] + v[i] * change / left
            linear += weight[i] * (left * dv[i] - v[i] * change)
            quadratic -= weight[i] * change * dv[i]
            if change > 0.0:
                longest = min(longest, left / change)
            if dv[i] < 0.0:
                longest = min(longest, -v[i] / dv[i])
    return longest, linear, quadratic


@kernel
def advance(step, direction, ramps):
    """Make a step of this length along the direction, and set the changes dp, du and dv to zero."""
    t, _, p, u, v = ramps
    dt, dp, du, dv = direction
    for i in range(len(t)):
        t[i] += step * dt[i]
        p[i] += step * dp[i]
        u[i] += step * du[i]
        v[i] += step * dv[i]
        dp[i], du[i], dv[i] = 0.0, 0.0, 0.0
