"""Newton steps on single rows, one after another: the compiled loops of `newton_learners.py`.

Beside the coefficients theta there is P, an estimate of the inverse Hessian of all rows seen so far.  A row x with residual r
and curvature h changes both as if its loss were the parabola that touches it at the row's score (the extended Kalman filter):

    theta <- theta - P x r / (1 + h x'P x),    P <- P - P x h x'P / (1 + h x'P x)

A drift, added to the diagonal of P before each row, lets older rows count less.  For a squared error without drift this is
recursive least squares, which is exact after every row.
"""

from __future__ import annotations

import numpy as np

from ..compiled.jit import kernel, linked

# Share of a softmax residual that is its least curvature: far on the wrong side there is too little for a step to end.
CURVATURE_FLOOR = 0.01


@linked
def row_terms(loss, A, Y, s, theta, i, z, c, h):
    """Write the residuals z (K, 1) and the curvatures h (K,) of row i, weights included; c (K, 1) is room."""
    for k in range(len(z)):
        z[k, 0] = 0.0
        for j in range(len(theta)):
            z[k, 0] += A[i, j] * theta[j, k]
        c[k, 0] = z[k, 0]
    y, weight, one = Y[:, i : i + 1], s[i : i + 1], np.empty(1)
    loss.curvatures(y, weight, c)
    for k in range(len(z)):
        loss.curvature_block(weight, c, k, k, one)
        h[k] = one[0]
    loss.losses_and_residuals(y, weight, z, np.zeros(len(z)))
    if loss.coupled():
        for k in range(len(z)):
            h[k] = max(h[k], CURVATURE_FLOOR * abs(z[k, 0]))


@kernel
def full_steps(loss, A, Y, s, theta, P, drift, ridge, first):
    """Learn the rows of A (m, D), whose last column is the intercept's, with targets Y (T, m) and weights s (m,).

    theta (D, K) and P (K, D, D) change in place.  `drift` (D,) is that of a row of weight one, and `ridge` (D,) the L2 weights
    of the penalty for each row.  After each row the penalty acts on one coefficient, whose turn it is, with D times its
    weight.  `first` is the number of the first row, which tells whose turn it is.
    """
    (m, D), K = A.shape, theta.shape[1]
    z, c, h, u = np.empty((K, 1)), np.empty((K, 1)), np.empty(K), np.empty(D)
    for i in range(m):
        row_terms(loss, A, Y, s, theta, i, z, c, h)
        x, penalised = A[i], (first + i) % D
        share = D * s[i] * ridge[penalised]
        for k in range(K):
            M, v = P[k], 0.0
            for j in range(D):
                M[j, j] += s[i] * drift[j] * min(x[j] * x[j], 1.0)  # what a row does not show it cannot correct
            for j in range(D):
                row, total = M[j], 0.0
                for l in range(D):
                    total += row[l] * x[l]
                u[j] = total
                v += total * x[j]
            step, gain = z[k, 0] / (1.0 + h[k] * v), h[k] / (1.0 + h[k] * v)
            for j in range(D):
                theta[j, k] -= step * u[j]
                row, factor = M[j], gain * u[j]
                for l in range(D):
                    row[l] -= factor * u[l]
            if share > 0.0:
                u[:] = M[penalised]
                gain = share / (1.0 + share * u[penalised])
                step = gain * theta[penalised, k]
                for j in range(D):
                    theta[j, k] -= step * u[j]
                    row, factor = M[j], gain * u[j]
                    for l in range(D):
                        row[l] -= factor * u[l]


@kernel
def diagonal_steps(loss, A, Y, s, theta, P, drift, ridge, first):
    """The same with the diagonals of P alone, (K, D), for many columns; the penalty acts on all coefficients after each row."""
    (m, D), K = A.shape, theta.shape[1]
    z, c, h = np.empty((K, 1)), np.empty((K, 1)), np.empty(K)
    for i in range(m):
        row_terms(loss, A, Y, s, theta, i, z, c, h)
        x = A[i]
        for k in range(K):
            p, v = P[k], 0.0
            for j in range(D):
                p[j] += s[i] * drift[j] * min(x[j] * x[j], 1.0)
                v += p[j] * x[j] * x[j]
            step, gain = z[k, 0] / (1.0 + h[k] * v), h[k] / (1.0 + h[k] * v)
            for j in range(D):
                u = p[j] * x[j]
                shrunk = 1.0 + p[j] * s[i] * ridge[j]
                theta[j, k] = (theta[j, k] - step * u) / shrunk
                p[j] = (p[j] - gain * u * u) / shrunk


@kernel
def batch_loss(loss, A, Y, s, theta):
    """The weighted sum of the losses of all rows of A (m, D) at theta (D, K)."""
    Z = np.empty((theta.shape[1], len(A)))
    for i in range(len(A)):
        for k in range(len(Z)):
            Z[k, i] = 0.0
            for j in range(len(theta)):
                Z[k, i] += A[i, j] * theta[j, k]
    totals = np.zeros(len(Z))
    loss.losses_and_residuals(Y, s, Z, totals)
    return totals.sum()
