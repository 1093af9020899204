"""Dual steps on single rows: the compiled loops of `dual.py`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel


class DualProblem(NamedTuple):
    """What the steps need to know of the rows."""

    Y: np.ndarray  # (n, K) targets
    s: np.ndarray  # (n,) weights in the objective
    q: np.ndarray  # (n,) the weights q of the rows in the dual problem
    unit: float  # 1 / (l2 n)
    rate: float  # the rate of the intercept's steps; 0 without an intercept


class DualVariables(NamedTuple):
    """The dual variables and what they determine.  Steps change the arrays in place."""

    R: np.ndarray  # (n, K) the dual variables
    W: np.ndarray  # (d, K) the coefficients, always equal to -unit * sum_i s_i x_i r_i'
    b: np.ndarray  # (K,) the intercepts, which have no dual variable
    excess: np.ndarray  # (K,) the weighted mean of R over the rows


@kernel
def epoch(rows, conjugate, order, problem, variables, changed):
    """Make one step on each row, in this order.  One pass over X.

    `changed` (n, K) says afterwards whether the step changed each variable of the row.  The intercept makes gradient steps
    along the value that the excess would have if all rows changed like this one.
    """
    (Y, s, q, unit, rate), (R, W, b, excess) = problem, variables
    n, K = R.shape
    z, new, room = np.empty(K), np.empty(K), np.empty(K)
    for i in order:
        if K == 1:
            z[0] = rows.row_dot(i, W) + b[0]
        else:
            rows.row_scores(i, W, b, z)
        conjugate.dual_step(Y[i], z, q[i], R[i], new, room)
        moved = False
        for k in range(K):
            change = s[i] * (new[k] - R[i, k])
            changed[i, k] = change != 0.0
            moved = moved or change != 0.0
            b[k] -= rate * (change + excess[k])
            excess[k] += change / n
            R[i, k] = new[k]
            room[k] = -unit * change
        if moved and K == 1:
            rows.add_multiple(i, room[0], W)
        elif moved:
            rows.add_row(i, room, W)


@kernel
def add_rows(rows, R, W):
    """Add X' R to W (d, K), with R (n, K).  One pass over X."""
    for i in range(len(R)):
        if W.shape[1] == 1:
            rows.add_multiple(i, R[i, 0], W)
        else:
            rows.add_row(i, R[i], W)
