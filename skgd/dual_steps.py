"""Steps on single rows in the dual of the logistic losses: what `solvers/dual.py` repeats.

A row with scores z remembers class probabilities p.  Its weight q = s |x|^2 / (l2 n) is how far the scores move against a
change of p, and the dual is largest along this row at the p' that the moved scores predict:

    p' = link(z - q (p' - p)),   the link being the logistic function of one score, or softmax of K
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .losses import exp, logistic


@kernel
def logistic_step(z, q, p):
    """The p' = logistic(z - q (p' - p)), by Newton's method on its score (Yu, Huang and Lin, 2011).

    The score u solves u + q logistic(u) = z + q p.  Between zero and the root the left side bends one way, so that
    steps held on the root's side of zero cannot cycle.
    """
    total = z + q * p
    side = 1.0 if total > 0.5 * q else -1.0
    u = side * max(side * z, 0.0)
    for _ in range(20):
        value = logistic(u)
        slope = value * (1.0 - value)
        change = (u + q * value - total) / (1.0 + q * slope)
        if abs(change) <= 0.01:  # its square is what this neglects
            return value - slope * change
        u = side * max(side * (u - change), 0.0)
    return logistic(u)


@kernel
def softmax_step(z, q, p, new, moved):
    """Write p' = softmax(z - q (p' - p)) into new (K,), approximately; `moved` (K,) is room for the scores.

    Each of few steps covers the share 1 / (1 + q/2) of its way, with which the dual cannot fall: 1/2 bounds the
    curvature of the loss.  The first is all that a light row needs.
    """
    K = len(z)
    share = 1.0 / (1.0 + 0.5 * q)
    for k in range(K):
        new[k] = p[k]
    for _ in range(1 + int(min(0.5 * q, 7.0))):
        top, total = -np.inf, 0.0
        for k in range(K):
            moved[k] = z[k] - q * (new[k] - p[k])
            top = max(top, moved[k])
        for k in range(K):
            moved[k] = exp(moved[k] - top)
            total += moved[k]
        for k in range(K):
            new[k] += share * (moved[k] / total - new[k])


@kernel
def dual_epoch(rows, order, s, q, unit, rate, W, b, P, excess):
    """Visit the rows in `order` once; W (d, K), b (K,), P (n, K) and excess (K,) in place.

    W = unit * sum_i s_i x_i (y_i - p_i)' before and after.  `excess` is the mean of s (p - y), which vanishes at the
    optimum: the intercept has no dual, and follows what the mean would be if all rows changed like this one.
    """
    n, K = P.shape
    z, new, moved = np.empty(K), np.empty(K), np.empty(K)
    for i in order:
        rows.row_scores(i, W, b, z)
        if K == 1:
            new[0] = logistic_step(z[0], q[i], P[i, 0])
        else:
            softmax_step(z, q[i], P[i], new, moved)
        for k in range(K):
            change = s[i] * (new[k] - P[i, k])
            b[k] -= rate * (change + excess[k])
            excess[k] += change / n
            P[i, k] = new[k]
            moved[k] = -unit * change
        rows.add_row(i, moved, W)


@kernel
def add_rows(rows, R, W):
    """W (d, K) += X' R, with R (n, K)."""
    for i in range(len(R)):
        rows.add_row(i, R[i], W)
