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
def add_gradient(rows, loss, order, first, last, Y, s, W, b, whole, table, G):
    """Add the gradient of sum_i s_i loss(y_i, x_i W + b) to G (d + 1, K), its last row the intercepts'.

    The rows are order[first:last], or first..last where `order` is empty: their own order in memory.  A `table` (K, n)
    that is not empty holds the residuals that rows had when last seen: it is brought up to date, and only what changed is
    added.  Returns the sum of the losses, and that of the squares of what was added, per unit of weight.
    """
    total, squares, size, d = 0.0, 0.0, len(whole.row), W.shape[0]
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
        if table.size:
            for k in range(W.shape[1]):
                for i in range(m):
                    residual = Z[k, i]
                    Z[k, i] = residual - table[k, row[i]]
                    table[k, row[i]] = residual
        rows.accumulate(tile, G)
        for k in range(W.shape[1]):
            column = 0.0
            for i in range(m):
                column += Z[k, i]
                squares += Z[k, i] * Z[k, i] / weights[i]
            G[d, k] += column
    return total, squares


@kernel
def record(rows, loss, Y, s, W, b, first, last, size):
    """One pass over rows first..last: (sum of losses, gradient (d + 1, K))."""
    G = np.zeros((W.shape[0] + 1, W.shape[1]))
    whole = new_tile(rows, Y.shape[0], W.shape[1], size)
    order, table = np.empty(0, np.int64), np.empty((0, 0))
    total, _ = add_gradient(rows, loss, order, first, last, Y, s, W, b, whole, table, G)
    return total, G


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
def multiply(A, B, out):
    """out = A B of small matrices, without the overhead of BLAS where B is a vector."""
    if B.shape[1] > 1:
        np.dot(A, B, out)
    else:
        b = B.reshape(-1)
        for i in range(A.shape[0]):
            a, total = A[i], 0.0
            for j in range(len(a)):
                total += a[j] * b[j]
            out[i, 0] = total


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
    mixing,
    mixing_t,
    l1,
    l2,
    rates,
    unit,
    decays,
    smoothness,
    count,
    theta,
    average,
    memory,
    table,
    known,
    reduced,
):
    """Step once on each mini-batch of `order`, theta (D, K) in place; `average` follows it with weights `decays`.

    Scores are those of raw coefficients W = scale * theta, or W = scale * (mixing theta) where `mixing` (d, d) is not
    empty; their gradient goes back the same way.  `table` (K, n), if not empty, holds the residuals last seen and `known`
    (D, K) their gradient; steps that are `reduced` follow known + what changed on the batch (SAGA; Defazio, Bach and
    Lacoste-Julien, 2014).  With `smoothness` h > 0, rates are at most 1/(h curvature), the curvature of the batch's
    second moments along its gradient.  Returns False where a gradient is no longer finite.
    """
    (D, K), d, mixes = theta.shape, theta.shape[0] - 1, len(mixing) > 0
    W, b, G, raw = np.empty((d, K)), np.empty(K), np.empty((D, K)), np.empty((D, K))
    batch_tile = new_tile(rows, Y.shape[0], K, min(size, batch))
    for step in range(len(rates)):
        first = step * batch
        last = min(first + batch, len(order))
        m = last - first
        # 1. raw coefficients
        if mixes:
            multiply(mixing, theta[:d], W)
        else:
            W[:] = theta[:d]
        for k in range(K):
            b[k] = scale[d] * theta[d, k]
        for j in range(d):
            for k in range(K):
                W[j, k] *= scale[j]
                b[k] -= mean[j] * W[j, k]
        # 2. the batch's gradient, in the coordinates of theta
        raw[:] = 0.0
        _, squares = add_gradient(rows, loss, order, first, last, Y, s, W, b, batch_tile, table, raw)
        for j in range(d):
            for k in range(K):
                raw[j, k] = scale[j] * (raw[j, k] - mean[j] * raw[d, k]) / m
        for k in range(K):
            G[d, k] = scale[d] * raw[d, k] / m
        if mixes:
            multiply(mixing_t, raw[:d], G[:d])
        else:
            G[:d] = raw[:d]
        # 3. its noise reduced, and that of the penalty
        square = 0.0
        for j in range(D):
            for k in range(K):
                change = G[j, k]
                square += change * change
                if reduced:
                    G[j, k] += known[j, k]
                known[j, k] += change * m / Y.shape[1]
                G[j, k] += penalty.gradient(theta[j, k], l2[j])
        if not np.isfinite(square):
            return False
        # 4. the step
        rate = rates[step]
        if rate * smoothness * square * m > squares:
            rate = squares / (smoothness * square * m)
        rule.step(count + step, rate, unit, theta, G, memory, penalty, l1, l2)
        # 5. the average
        for j in range(D):
            for k in range(K):
                average[j, k] += decays[step] * (theta[j, k] - average[j, k])
    return True
