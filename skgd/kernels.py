"""The compiled loops over tiles of rows, which put rows, losses, penalties and update rules together.

Every gradient is the same three steps on a tile: scores, residuals, accumulate.  A pass over X, a mini-batch and an
epoch are this loop with something different around it.  Sums over rows are additive records: threads, files and
machines add them up in a fixed order, and the division by the weight and the penalty come once, at the end.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .rows import new_tile


@kernel
def add_gradient(rows, loss, order, first, last, Y, s, W, b, whole, G):
    """Add the gradient of sum_i s_i loss(y_i, x_i W + b) to G (d + 1, K), its last row the intercepts'; return the sum.

    The rows are order[first:last], or first..last where `order` is empty: their own order in memory.
    """
    total, size, d = 0.0, len(whole.row), W.shape[0]
    for start in range(first, last, size):
        m = min(size, last - start)
        tile = whole if m == size else new_tile(rows, Y.shape[0], W.shape[1], m)
        row, targets, weights, Z = tile.row, tile.targets, tile.weights, tile.Z
        for i in range(m):
            row[i] = order[start + i] if len(order) else start + i
            weights[i] = s[row[i]]
        for k in range(Y.shape[0]):
            for i in range(m):
                targets[k, i] = Y[k, row[i]]
        rows.scores(tile, W, b)
        total += loss.residuals(targets, weights, Z)
        rows.accumulate(tile, G)
        for k in range(W.shape[1]):
            column = 0.0
            for i in range(m):
                column += Z[k, i]
            G[d, k] += column
    return total


@kernel
def record(rows, loss, Y, s, W, b, first, last, size):
    """One pass over rows first..last: (sum of losses, gradient (d + 1, K))."""
    G = np.zeros((W.shape[0] + 1, W.shape[1]))
    whole = new_tile(rows, Y.shape[0], W.shape[1], size)
    total = add_gradient(rows, loss, np.empty(0, np.int64), first, last, Y, s, W, b, whole, G)
    return total, G


@kernel
def loss_sum(rows, loss, Y, s, W, b, first, last, size):
    """The first part of `record` alone."""
    total = 0.0
    for start in range(first, last, size):
        stop = min(start + size, last)
        tile = new_tile(rows, Y.shape[0], W.shape[1], stop - start)
        for i in range(start, stop):
            tile.row[i - start] = i
        rows.scores(tile, W, b)
        total += loss.residuals(Y[:, start:stop], s[start:stop], tile.Z)
    return total


@kernel
def moments(rows, s, shift, first, last):
    """Per column, over the stored values x of rows first..last: sums of s, s (x - shift), s (x - shift)^2, their number."""
    out = np.zeros((4, len(shift)))
    rows.moments(first, last, s, shift, out)
    return out


@kernel
def densify(rows, index, out):
    """Copy rows `index` of X into out (m, d)."""
    rows.densify(index, out)


@kernel
def curvature(rows, loss, index, Y, s, mean, scale, theta, blocks, size):
    """Sum over rows `index` of s_i (Hessian of the loss in the scores) (x) x~ x~', x~ = scale * (x - mean, 1).

    Returns (blocks, N, N): one block of N = d + 1 for each of `blocks` separable columns, else one of N = K (d + 1),
    ordered by columns.
    """
    (D, K), coupled = theta.shape, loss.coupled()
    H = np.zeros((1, K * D, K * D)) if coupled else np.zeros((blocks, D, D))
    c, product = np.empty(size), np.empty((D, D))
    for start in range(0, len(index), size):
        m = min(size, len(index) - start)
        A, B, Z = np.empty((m, D)), np.empty((m, D)), np.empty((K, m))
        targets, weights = np.empty((Y.shape[0], m)), np.empty(m)
        part = index[start : start + m]
        rows.densify(part, A)
        for i in range(m):
            for j in range(D - 1):
                A[i, j] = (A[i, j] - mean[j]) * scale[j]
            A[i, D - 1] = scale[D - 1]
            weights[i] = s[part[i]]
            for k in range(Y.shape[0]):
                targets[k, i] = Y[k, part[i]]
        np.dot(theta.T, A.T, Z)
        loss.curvatures(targets, weights, Z)
        for k in range(K if coupled else blocks):
            for l in range(0 if coupled else k, k + 1):
                loss.curvature_block(weights, Z, k, l, c)
                for i in range(m):
                    for j in range(D):
                        B[i, j] = c[i] * A[i, j]
                np.dot(B.T, A, product)
                block = H[0, k * D : (k + 1) * D, l * D : (l + 1) * D] if coupled else H[k]
                for i in range(D):
                    for j in range(D):
                        block[i, j] += product[i, j]
    if coupled:
        for i in range(K * D):
            for j in range(i):
                H[0, j, i] = H[0, i, j]
    return H


@kernel
def stochastic_steps(
    rows,
    loss,
    penalty,
    rule,
    order,
    batch,
    size,
    Y,
    s,
    mean,
    scale,
    l1,
    l2,
    rates,
    unit,
    decays,
    capped,
    count,
    theta,
    average,
    memory,
):
    """Step once on each mini-batch of `order`, theta (D, K) in place; `average` follows it with weights `decays`.

    Scores are those of raw coefficients W = scale * theta; their gradient goes back the same way.  With `capped`, no
    step leads away from any minimiser of its batch: rate <= 2 loss / |gradient|^2, the stochastic Polyak step (Loizou
    et al., 2021).  Returns False where a loss is no longer finite.
    """
    (D, K), d = theta.shape, theta.shape[0] - 1
    W, b, G = np.empty((d, K)), np.empty(K), np.empty((D, K))
    batch_tile = new_tile(rows, Y.shape[0], K, min(size, batch))
    for step in range(len(rates)):
        first = step * batch
        last = min(first + batch, len(order))
        m = last - first
        # 1. raw coefficients
        for k in range(K):
            b[k] = scale[d] * theta[d, k]
        for j in range(d):
            for k in range(K):
                W[j, k] = scale[j] * theta[j, k]
                b[k] -= mean[j] * W[j, k]
        # 2. the batch's gradient, in the coordinates of theta
        G[:] = 0.0
        value = add_gradient(rows, loss, order, first, last, Y, s, W, b, batch_tile, G) / m
        square = 0.0
        for j in range(D):
            for k in range(K):
                centred = G[j, k] - mean[j] * G[d, k] if j < d else G[d, k]
                G[j, k] = scale[j] * centred / m
                square += G[j, k] * G[j, k]
                G[j, k] += penalty.gradient(theta[j, k], l2[j])
        if not np.isfinite(value + square):
            return False
        # 3. the step
        rate = rates[step]
        if capped and rate * square > 2.0 * value:
            rate = 2.0 * value / square
        rule.step(count + step, rate, unit, theta, G, memory, penalty, l1, l2)
        # 4. the average
        for j in range(D):
            for k in range(K):
                average[j, k] += decays[step] * (theta[j, k] - average[j, k])
    return True
