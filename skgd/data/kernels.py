"""The compiled loops over tiles of rows, which put rows, losses, penalties and update rules together.

Every gradient is the same three steps on a tile: scores, residuals, accumulate.  A pass over X, a mini-batch and an
epoch are this loop with something different around it.  Sums over rows are additive records: threads, files and
machines add them up in a fixed order, and the division by the weight and the penalty come once, at the end.
"""

from __future__ import annotations

import numpy as np

from ..compiled.jit import kernel
from .rows import new_tile


@kernel
def scored_tile(rows, whole, order, start, last, Y, s, W, b):
    """The rows order[start:last] (where `order` is empty: start..last), at most a whole tile of them, with their scores."""
    m = min(len(whole.row), last - start)
    tile = whole if m == len(whole.row) else new_tile(rows, Y.shape[0], W.shape[1], m)
    row, targets, weights = tile.row, tile.targets, tile.weights
    if len(order):
        for i in range(m):
            row[i] = order[start + i]
            weights[i] = s[row[i]]
        for k in range(len(targets)):
            for i in range(m):
                targets[k, i] = Y[k, row[i]]
    else:
        for i in range(m):
            row[i] = start + i
            weights[i] = s[start + i]
        for k in range(len(targets)):
            for i in range(m):
                targets[k, i] = Y[k, start + i]
    rows.scores(tile, W, b)
    return tile


@kernel
def add_gradient(rows, tile, G):
    """Add the gradient of a tile, whose scores have become residuals, to G (d + 1, K), its last row the intercepts'."""
    rows.accumulate(tile, G)
    d, Z = len(G) - 1, tile.Z
    for k in range(Z.shape[0]):
        column = 0.0
        for i in range(Z.shape[1]):
            column += Z[k, i]
        G[d, k] += column


@kernel
def record(rows, loss, Y, s, W, b, edges, first, last, size):
    """One pass over the parts first..last of the rows, part p being edges[p]..edges[p + 1].

    Returns, for each part, the sums of losses by column (last - first, K), a coupled loss' in the first one, and the gradient
    (last - first, d + 1, K).
    """
    totals, G = np.zeros((last - first, W.shape[1])), np.zeros((last - first, W.shape[0] + 1, W.shape[1]))
    whole, in_memory = new_tile(rows, Y.shape[0], W.shape[1], size), np.empty(0, np.int64)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = scored_tile(rows, whole, in_memory, start, edges[p + 1], Y, s, W, b)
            loss.column_losses_and_residuals(tile.targets, tile.weights, tile.Z, totals[p - first])
            add_gradient(rows, tile, G[p - first])
    return totals, G


@kernel
def loss_sum(rows, loss, Y, s, W, b, edges, first, last, size):
    """The sums of losses of `record` alone, of all columns together (last - first,)."""
    totals, in_memory = np.zeros(last - first), np.empty(0, np.int64)
    whole = new_tile(rows, Y.shape[0], W.shape[1], size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = scored_tile(rows, whole, in_memory, start, edges[p + 1], Y, s, W, b)
            totals[p - first] += loss.loss_and_residuals(tile.targets, tile.weights, tile.Z)
    return (totals,)


@kernel
def unscored_tile(rows, whole, start, last, K):
    """The rows start..last, at most a whole tile of them, with room for K scores each, and neither targets nor weights."""
    m = min(len(whole.row), last - start)
    tile = whole if m == len(whole.row) else new_tile(rows, 0, K, m)
    for i in range(m):
        tile.row[i] = start + i
    return tile


@kernel
def scores(rows, W, b, out, edges, first, last, size):
    """Scores X W + b of the parts first..last of the rows into out (K, n)."""
    K = W.shape[1]
    whole = new_tile(rows, 0, K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = unscored_tile(rows, whole, start, edges[p + 1], K)
            rows.scores(tile, W, b)
            for k in range(K):
                for i in range(len(tile.row)):
                    out[k, start + i] = tile.Z[k, i]


@kernel
def transposed(rows, d, R, edges, first, last, size):
    """Per part, X' R' and in the last row the sums of R' for R (K, n): (parts, d + 1, K)."""
    K = len(R)
    G, whole = np.zeros((last - first, d + 1, K)), new_tile(rows, 0, K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = unscored_tile(rows, whole, start, edges[p + 1], K)
            for k in range(K):
                for i in range(len(tile.row)):
                    tile.Z[k, i] = R[k, start + i]
            rows.load(tile)
            add_gradient(rows, tile, G[p - first])
    return (G,)


@kernel
def weighted_gram(rows, index, c, mean, origin, scale, edges, first, last, size):
    """Per part of `index`, the sum of c_i x~_i x~_i' over its rows, x~ = scale * (x - mean, 1): (parts, D, D).

    The c (len(index),) are in the order of `index`.
    """
    H = np.zeros((last - first, len(scale), len(scale)))
    room = rows.gram_workspace(size, len(mean))
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            part = slice(start, min(start + size, edges[p + 1]))
            rows.standardise(index[part], mean, scale, room)
            rows.add_gram(index[part], c[part], origin, scale, room, H[p - first])
        complete_gram(rows, mean, origin, scale, H[p - first])
    return (H,)


@kernel
def moments(rows, s, shift, edges, first, last):
    """Per part and column, over its stored values x: sums of s, s (x - shift), s (x - shift)^2, their number."""
    out = np.zeros((last - first, 4, len(shift)))
    for p in range(first, last):
        rows.moments(edges[p], edges[p + 1], s, shift, out[p - first])
    return (out,)


@kernel
def densify(rows, index, out):
    """Copy rows `index` of X into out (m, d)."""
    rows.densify(index, out)


@kernel
def whole_columns(rows, d):
    """Of which of the d columns every row stores an entry, (d,)."""
    return rows.whole_columns(d)


@kernel
def complete_gram(rows, mean, origin, scale, H):
    """Standardise what `add_gram` left, and copy the lower triangle of H (D, D) to the upper one."""
    rows.standardise_gram(mean, origin, scale, H)
    for j in range(len(H)):
        for k in range(j):
            H[k, j] = H[j, k]


@kernel
def curvature(rows, loss, index, Y, s, mean, origin, scale, W, b, diagonal, edges, first, last, size):
    """Per part of `index`, the sum of s_i (Hessian of the loss in the scores) (x) x~ x~', x~ = scale * (x - mean, 1).

    Returns (parts, P, D, D), D = d + 1: the first `diagonal` blocks (k, k) of the Hessian in the scores,
    or, where `diagonal` is 0, all blocks (k, l) with l <= k, by rows.  The `origin` is that of `Table.origin`.
    """
    D, K = len(scale), W.shape[1]
    blocks = diagonal if diagonal else K * (K + 1) // 2
    H = np.zeros((last - first, blocks, D, D))
    whole, room, c = new_tile(rows, Y.shape[0], K, size), rows.gram_workspace(size, len(mean)), np.empty(size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = scored_tile(rows, whole, index, start, edges[p + 1], Y, s, W, b)
            loss.curvatures(tile.targets, tile.weights, tile.Z)
            rows.standardise(tile.row, mean, scale, room)
            m, block = len(tile.row), 0
            for k in range(diagonal if diagonal else K):
                for l in range(k if diagonal else 0, k + 1):
                    loss.curvature_block(tile.weights, tile.Z, k, l, c[:m])
                    rows.add_gram(tile.row, c[:m], origin, scale, room, H[p - first, block])
                    block += 1
        for block in range(blocks):
            complete_gram(rows, mean, origin, scale, H[p - first, block])
    return (H,)


@kernel
def normal_equations(rows, loss, Y, s, mean, origin, scale, b, edges, first, last, size):
    """Per part of the rows: losses and gradient of constant scores b (K,), and the sum of s_i x~_i x~_i', as `record` and
    `curvature` would return them; X is read once.
    """
    D, K, in_memory = len(scale), len(b), np.empty(0, np.int64)
    totals, G, H = np.zeros(last - first), np.zeros((last - first, D, K)), np.zeros((last - first, D, D))
    W, whole, room = np.zeros((D - 1, K)), new_tile(rows, Y.shape[0], K, size), rows.gram_workspace(size, len(mean))
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = scored_tile(rows, whole, in_memory, start, edges[p + 1], Y, s, W, b)
            totals[p - first] += loss.loss_and_residuals(tile.targets, tile.weights, tile.Z)
            add_gradient(rows, tile, G[p - first])
            rows.standardise(tile.row, mean, scale, room)
            rows.add_gram(tile.row, tile.weights, origin, scale, room, H[p - first])
        complete_gram(rows, mean, origin, scale, H[p - first])
    return totals, G, H


@kernel
def row_curvatures(rows, loss, Y, s, W, b, edges, first, last, size, out):
    """Second derivatives of the loss by the scores of the rows, times their weights, into out (K, n)."""
    in_memory, whole = np.empty(0, np.int64), new_tile(rows, Y.shape[0], W.shape[1], size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = scored_tile(rows, whole, in_memory, start, edges[p + 1], Y, s, W, b)
            loss.curvatures(tile.targets, tile.weights, tile.Z)
            for k in range(W.shape[1]):
                loss.curvature_block(tile.weights, tile.Z, k, k, out[k, start : start + len(tile.row)])


@kernel
def curvature_diagonal(rows, loss, Y, s, mean, origin, scale, W, b, edges, first, last, size):
    """Per part, the sum of s_i (second derivative of the loss by score k) x~^2, x~ = scale * (x - mean, 1): (parts, K, D)."""
    d, K = W.shape
    out, c, in_memory = np.zeros((last - first, K, d + 1)), np.empty(size), np.empty(0, np.int64)
    whole = new_tile(rows, Y.shape[0], K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = scored_tile(rows, whole, in_memory, start, edges[p + 1], Y, s, W, b)
            loss.curvatures(tile.targets, tile.weights, tile.Z)
            m = len(tile.row)
            for k in range(K):
                loss.curvature_block(tile.weights, tile.Z, k, k, c[:m])
                rows.add_squares(tile.row, c[:m], mean, origin, scale, out[p - first, k])
        for k in range(K):
            for j in range(d):
                out[p - first, k, j] += (scale[j] * (origin[j] - mean[j])) ** 2 * out[p - first, k, d]
            out[p - first, k, d] *= scale[d] ** 2
    return (out,)


@kernel
def add_changes(rows, loss, order, first, last, Y, s, W, b, whole, table, G):
    """Add the gradient of sum_i s_i loss(y_i, x_i W + b) over the rows order[first:last] to G (d + 1, K).

    A `table` (K, n) that is not empty holds the residuals that rows had when last seen: it is brought up to date, and only
    what changed is added.  Returns the sum of the squares of the residuals that were added, per unit of weight.
    """
    squares, size = 0.0, len(whole.row)
    for start in range(first, last, size):
        tile = scored_tile(rows, whole, order, start, last, Y, s, W, b)
        loss.loss_and_residuals(tile.targets, tile.weights, tile.Z)
        row, weights, Z = tile.row, tile.weights, tile.Z
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                if table.size:
                    residual = Z[k, i]
                    Z[k, i] = residual - table[k, row[i]]
                    table[k, row[i]] = residual
                squares += Z[k, i] * Z[k, i] / weights[i]
        add_gradient(rows, tile, G)
    return squares


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
    lower,
    upper,
    l2,
    rates,
    unit,
    decays,
    curvature_bound,
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
    Lacoste-Julien, 2014).  With `curvature_bound` h > 0, rates are at most 1/(h curvature), the curvature of the batch's
    second moments along its gradient.  Returns False where a gradient is no longer finite.
    """
    (D, K), d, mixes = theta.shape, theta.shape[0] - 1, len(mixing) > 0
    W, b, G, raw = np.empty((d, K)), np.empty(K), np.empty((D, K)), np.empty((D, K))
    batch_tile = new_tile(rows, Y.shape[0], K, min(size, batch))
    # Flat views, and values for each coefficient: one loop over all of them vectorises for every K.
    coefficients, follower, g, last_known = theta.reshape(-1), average.reshape(-1), G.reshape(-1), known.reshape(-1)
    moments, units = memory.reshape((2, D * K)), np.empty(D * K)
    lowers, uppers, l2s = np.repeat(lower, K), np.repeat(upper, K), np.repeat(l2, K)
    for j in range(D):
        units[j * K : (j + 1) * K] = unit
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
            shift = 0.0
            for j in range(d):
                W[j, k] *= scale[j]
                shift += mean[j] * W[j, k]
            b[k] = scale[d] * theta[d, k] - shift
        # 2. the batch's gradient, in the coordinates of theta
        raw[:] = 0.0
        squares = add_changes(rows, loss, order, first, last, Y, s, W, b, batch_tile, table, raw)
        for k in range(K):
            total = raw[d, k]
            for j in range(d):
                raw[j, k] = scale[j] * (raw[j, k] - mean[j] * total) / m
            raw[d, k] = scale[d] * total / m
        if mixes:
            multiply(mixing_t, raw[:d], G[:d])
            G[d] = raw[d]
        else:
            G[:] = raw
        # 3. its noise reduced, and that of the penalty
        square = 0.0
        for i in range(len(g)):
            square += g[i] * g[i]
        if not np.isfinite(square):
            return False
        share, old = m / Y.shape[1], 1.0 if reduced else 0.0
        for i in range(len(g)):
            change = g[i]
            g[i] += old * last_known[i] + penalty.gradient(coefficients[i], l2s[i])
            last_known[i] += share * change
        # 4. the step
        rate = rates[step]
        if rate * curvature_bound * square * m > squares:
            rate = squares / (curvature_bound * square * m)
        rule.step(count + step, rate, units, coefficients, g, moments, penalty, lowers, uppers, l2s)
        # 5. the average
        for i in range(len(g)):
            follower[i] += decays[step] * (coefficients[i] - follower[i])
    return True
