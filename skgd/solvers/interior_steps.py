"""The compiled loops of the interior-point method over ramps: what `solvers/interior_point.py` repeats.

A ramp is rho(t) = max of p t - roundness p^2 / 2 over 0 <= p <= box.  Its optimality conditions, with the complementarity
relaxed to a target mu > 0, are

    v - u = t - roundness p,    p u = mu,    (box - p) v = mu,    u, v > 0.

A box may be infinite; then there is no v, and it stays zero.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled.jit import kernel


@kernel
def centre(t, box, roundness, mu, p, u, v):
    """Fill p, u and v (n,) such that the two complementarity conditions hold with `mu`.

    Where neither a box nor roundness bounds p, t has to be negative.
    """
    for i in range(len(t)):
        c = box[i]
        if np.isfinite(c):
            root = math.sqrt(c * c * t[i] * t[i] + 4.0 * mu * mu)
            large = (2.0 * mu + c * abs(t[i]) + root) / (2.0 * c)  # of u and v, free of cancellation
            share = mu / large
            p[i] = c - share if t[i] > 0.0 else share
            u[i], v[i] = mu / p[i], mu / (c - p[i])
        elif roundness > 0.0:
            p[i] = (t[i] + math.sqrt(t[i] * t[i] + 4.0 * roundness * mu)) / (2.0 * roundness)
            u[i], v[i] = mu / p[i], 0.0
        else:
            p[i], u[i], v[i] = -mu / t[i], -t[i], 0.0


@kernel
def condense(t, box, roundness, target, p, u, v, dp, du, dv, D, e):
    """Linearise the conditions as dp = D (dt - e), into D and e (n,).

    The products of the last changes dp, du, dv are the second-order part of Mehrotra's corrector.
    """
    for i in range(len(t)):
        first = (target - dp[i] * du[i]) / p[i] - u[i]
        second, stiffness = 0.0, u[i] / p[i] + roundness
        if np.isfinite(box[i]):
            left = box[i] - p[i]
            second = (target + dp[i] * dv[i]) / left - v[i]
            stiffness += v[i] / left
        D[i] = 1.0 / stiffness
        e[i] = second - first + (v[i] - u[i] - t[i] + roundness * p[i])


@kernel
def direct(dt, weight, box, target, p, u, v, D, e, dp, du, dv):
    """Turn changes dt (n,) of the ramps' arguments into changes of p, u and v, which replace the last ones.

    Returns the longest step, at most 1, that keeps all of them positive, and how the weighted sum of all products p u and
    (box - p) v changes with the step: its linear and quadratic coefficients.
    """
    longest, linear, quadratic = 1.0, 0.0, 0.0
    for i in range(len(dt)):
        cross_u, cross_v = dp[i] * du[i], dp[i] * dv[i]
        change = D[i] * (dt[i] - e[i])
        dp[i] = change
        du[i] = (target - cross_u) / p[i] - u[i] - u[i] * change / p[i]
        linear += weight[i] * (p[i] * du[i] + u[i] * change)
        quadratic += weight[i] * change * du[i]
        if change < 0.0:
            longest = min(longest, -p[i] / change)
        if du[i] < 0.0:
            longest = min(longest, -u[i] / du[i])
        if np.isfinite(box[i]):
            left = box[i] - p[i]
            dv[i] = (target + cross_v) / left - v[i] + v[i] * change / left
            linear += weight[i] * (left * dv[i] - v[i] * change)
            quadratic -= weight[i] * change * dv[i]
            if change > 0.0:
                longest = min(longest, left / change)
            if dv[i] < 0.0:
                longest = min(longest, -v[i] / dv[i])
    return longest, linear, quadratic


@kernel
def advance(step, dt, t, p, u, v, dp, du, dv):
    """Take the step, and forget the changes."""
    for i in range(len(t)):
        t[i] += step * dt[i]
        p[i] += step * dp[i]
        u[i] += step * du[i]
        v[i] += step * dv[i]
        dp[i], du[i], dv[i] = 0.0, 0.0, 0.0
