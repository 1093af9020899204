"""Steps on single rows in the dual of the logistic losses: the compiled loops of `dual.py`.

A row with scores z remembers class probabilities p.  Its weight q = s |x|^2 / (l2 n) is how far the scores move back when p
grows.  The dual is largest along the row's variable at the p' that the moved scores predict:

    p' = link(z - q (p' - p))

The link is the logistic function of one score, or softmax of K scores.
"""

from __future__ import annotations

import numpy as np

from ..compiled.jit import kernel, linked
from ..losses.arithmetic import exp, logistic


@linked
def logistic_step(z, q, p):
    """The p' = logistic(z - q (p' - p)), approximately, by one Newton step.

    The solution lies between p and logistic(z), and the step divides by the largest curvature of the loss between these.  So it
    never goes too far, the dual cannot fall, and near the solution the step is exact.
    """
    value = logistic(z)
    curvature = max(p * (1.0 - p), value * (1.0 - value))
    if (p - 0.5) * (value - 0.5) < 0.0:
        curvature = 0.25
    return p + (value - p) / (1.0 + q * curvature)


@linked
def softmax_step(z, q, p, new, moved):
    """Write p' = softmax(z - q (p' - p)) into new (K,), approximately; `moved` (K,) is room for the scores.

    Each step goes the share 1 / (1 + q/2) of its way, with which the dual cannot fall because 1/2 bounds the curvature of the
    loss.  A light row needs one step, a heavy one gets up to eight.
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
def binary_epoch(rows, order, s, q, unit, rate, W, b, P, excess):
    """Visit the rows in `order` once; W (d, 1), b (1,), P (n, 1) and excess (1,) in place.

    W = unit * sum_i s_i x_i (y_i - p_i)' before and after.  The intercept has no dual variable.  It descends, at this rate,
    along what the mean of s (p - y), the excess, would be if all rows changed like this one.
    """
    share = 1.0 / len(P)
    for i in order:
        new = logistic_step(rows.row_dot(i, W) + b[0], q[i], P[i, 0])
        change = s[i] * (new - P[i, 0])
        b[0] -= rate * (change + excess[0])
        excess[0] += share * change
        P[i, 0] = new
        rows.add_multiple(i, -unit * change, W)


@kernel
def softmax_epoch(rows, order, s, q, unit, rate, W, b, P, excess):
    """The same for K > 1 columns of scores: W (d, K), b (K,), P (n, K) and excess (K,)."""
    n, K = P.shape
    z, new, moved = np.empty(K), np.empty(K), np.empty(K)
    for i in order:
        rows.row_scores(i, W, b, z)
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
    """Add X' R to W (d, K), with R (n, K).  One pass."""
    for i in range(len(R)):
        if W.shape[1] == 1:
            rows.add_multiple(i, R[i, 0], W)
        else:
            rows.add_row(i, R[i], W)
