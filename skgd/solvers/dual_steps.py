"""Dual steps on single rows for the logistic losses: the compiled loops of `dual.py`.

A row has scores z, the dual variable p, which holds class probabilities, and the weight q = s |x|^2 / (l2 n).  A change of p to
p' changes its scores to z - q (p' - p).  The dual objective is largest over the variable of the row if the new scores predict
p':

    p' = link(z - q (p' - p))

The link is the logistic function of one score, or softmax of K scores.
"""

from __future__ import annotations

import numpy as np

from ..compiled.jit import kernel, linked
from ..losses.arithmetic import exp, logistic


@linked
def logistic_step(z, q, p):
    """The solution of p' = logistic(z - q (p' - p)), approximated by one Newton step.

    The solution lies between p and logistic(z).  The step uses the largest curvature of the loss between these two, so it never
    goes beyond the solution, and the dual objective cannot fall.  Near the solution the step is exact.
    """
    value = logistic(z)
    curvature = max(p * (1.0 - p), value * (1.0 - value))
    if (p - 0.5) * (value - 0.5) < 0.0:
        curvature = 0.25
    return p + (value - p) / (1.0 + q * curvature)


@linked
def softmax_step(z, q, p, new, moved):
    """Write an approximation of the solution of p' = softmax(z - q (p' - p)) into new (K,).  `moved` (K,) is working memory.

    The fixed-point iteration is damped by the factor 1 / (1 + q/2).  With it the dual objective cannot fall, because 1/2 is a
    bound of the curvature of the loss.  There is one iteration if q is small, and there are up to eight if it is large.
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
    """Make one step on each row, in this order, for one column of scores.

    W (d, 1), b (1,), P (n, 1) and excess (1,), the mean of s (p - y) over the rows, are changed in place.  W is equal to unit *
    sum_i s_i x_i (y_i - p_i)' before and after each step.  The intercept has no dual variable.  It makes gradient steps of this
    `rate` along the value that the excess would have if all rows changed like this one.
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
    """`binary_epoch` for K > 1 columns of scores, with W (d, K), b (K,), P (n, K) and excess (K,)."""
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
    """Add X' R to W (d, K), with R (n, K).  One pass over X."""
    for i in range(len(R)):
        if W.shape[1] == 1:
            rows.add_multiple(i, R[i, 0], W)
        else:
            rows.add_row(i, R[i], W)
