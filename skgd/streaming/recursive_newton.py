"""Newton steps on one row after another: the compiled loops of `newton_learners.py`.

The state is the coefficients theta and P, an estimate of the inverse Hessian of all rows seen so far.  The loss of a row x is
replaced by its second-order expansion at the row's score, with the derivative (residual) r and the second derivative h.  This
gives the updates of the extended Kalman filter:

    theta <- theta - P x r / (1 + h x'P x),    P <- P - P x h x'P / (1 + h x'P x)

A drift, which is added to the diagonal of P before each row, makes older rows count less.  For the squared error without drift
these updates are recursive least squares, which gives the exact minimum after every row.
"""

from __future__ import annotations

import numpy as np

from ..compiled.jit import kernel, linked

# The smallest curvature of a softmax row, as a fraction of its residual.  Far on the wrong side of the boundary the true
# curvature is nearly zero, and a Newton step would be far too long.
CURVATURE_FLOOR = 0.01


@linked
def row_terms(loss, A, Y, s, theta, i, z, c, h):
    """Write the residuals of row i to z (K, 1) and its curvatures to h (K,), times the weight; c (K, 1) is work space."""
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

    theta (D, K) and P (K, D, D) are changed in place.  `drift` (D,) is the drift for a row of weight one.  `ridge` (D,) holds
    the L2 weights of the penalty per row.  After each row the penalty acts on one coefficient only, with D times its weight;
    the coefficients take turns.  `first` is the number of the first row, which determines the turn.
    """
    (m, D), K = A.shape, theta.shape[1]
    z, c, h, u = np.empty((K, 1)), np.empty((K, 1)), np.empty(K), np.empty(D)
    for i in range(m):
        row_terms(loss, A, Y, s, theta, i, z, c, h)
        x, penalised = A[i], (first + i) % D
        l2 = D * s[i] * ridge[penalised]
        for k in range(K):
            M, v = P[k], 0.0
            for j in range(D):
                M[j, j] += s[i] * drift[j] * min(x[j] * x[j], 1.0)  # no drift where x is zero
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
            if l2 > 0.0:
                for j in range(D):
                    u[j] = M[penalised, j]
                gain = l2 / (1.0 + l2 * u[penalised])
                step = gain * theta[penalised, k]
                for j in range(D):
                    theta[j, k] -= step * u[j]
                    row, factor = M[j], gain * u[j]
                    for l in range(D):
                        row[l] -= factor * u[l]


@kernel
def diagonal_steps(loss, A, Y, s, theta, P, drift, ridge, first):
    """Do the same with only the diagonal of P, (K, D), for many columns; the penalty acts on all coefficients after a row."""
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
    """The weighted sum of the losses of the rows of A (m, D) at theta (D, K)."""
    Z = np.empty((theta.shape[1], len(A)))
    for i in range(len(A)):
        for k in range(len(Z)):
            Z[k, i] = 0.0
            for j in range(len(theta)):
                Z[k, i] += A[i, j] * theta[j, k]
    totals = np.zeros(len(Z))
    loss.losses_and_residuals(Y, s, Z, totals)
    return totals.sum()
