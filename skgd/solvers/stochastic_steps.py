"""The compiled steps on mini-batches: the loop that every epoch of sgd and adam repeats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel, linked
from ..data.kernels import Targets, add_gradient, next_tile
from ..data.tiles import new_tile


class Batches(NamedTuple):
    """Mini-batches of rows."""

    targets: Targets  # whose order holds the rows of the first batch, then those of the second, and so on
    size: int  # rows of a batch; the last one may have fewer
    tile: int  # rows of a tile


class Transform(NamedTuple):
    """How coefficients theta (D, K) of the steps become raw ones: W = scale * (mixing theta)."""

    mean: np.ndarray  # (d,)
    scale: np.ndarray  # (D,)
    mixing: np.ndarray  # (d, d), or empty for the identity
    mixing_transposed: np.ndarray


class StepSizes(NamedTuple):
    """How far each of S steps goes."""

    rates: np.ndarray  # (S,)
    unit: np.ndarray  # (D K,) natural sizes of the coefficients
    averaging: np.ndarray  # (S,) the weight of the new iterate in the average
    bound: float  # h > 0: rates are at most 1/(h curvature of the batch along its gradient); 0: no such limit
    first: int  # number of the first step, counted from 1


class Iterate(NamedTuple):
    """What steps change in place.  Arrays (D, K) but where another shape is given."""

    theta: np.ndarray
    average: np.ndarray
    optimizer_state: np.ndarray  # (2, D, K)
    residual_table: np.ndarray  # (K, n) the residuals that rows had when last seen; or empty
    table_gradient: np.ndarray  # the gradient of these residuals
    variance_reduced: bool


@linked
def add_changes(rows, loss, targets, first, last, coefficients, whole, residual_table, G):
    """Add the gradient of the rows order[first:last] at raw coefficients to G (d + 1, K).

    If a `residual_table` is kept, it is brought up to date, and only what has changed since is added.  Returns the sum of
    the squares of the residuals that were added, per unit of weight.
    """
    (W, b), squares = coefficients, 0.0
    unused = np.zeros(len(b))  # the losses
    for start in range(first, last, len(whole.row)):
        tile = next_tile(whole, rows, targets, len(b), start, last)
        rows.scores(tile, W, b)
        loss.losses_and_residuals(tile.targets, tile.weights, tile.Z, unused)
        row, weights, Z = tile.row, tile.weights, tile.Z
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                if residual_table.size:
                    residual = Z[k, i]
                    Z[k, i] = residual - residual_table[k, row[i]]
                    residual_table[k, row[i]] = residual
                squares += Z[k, i] * Z[k, i] / weights[i]
        add_gradient(rows, tile, G)
    return squares


@linked
def multiply(A, B, out):
    """The first rows of out = A B of small matrices, without the overhead of BLAS where B is a vector."""
    if B.shape[1] > 1:
        np.dot(A, B[: len(A)], out[: len(A)])
    else:
        b = B.reshape(-1)  # contiguous, so that the loop vectorises
        for i in range(A.shape[0]):
            a, total = A[i], 0.0
            for j in range(len(a)):
                total += a[j] * b[j]
            out[i, 0] = total


@linked
def raw_coefficients(theta, transform, W, b):
    """Fill W (d, K) and b (K,) with the raw coefficients of theta (D, K)."""
    mean, scale, mixing, _ = transform
    d, K = W.shape
    if len(mixing):
        multiply(mixing, theta, W)
    else:
        for j in range(d):
            for k in range(K):
                W[j, k] = theta[j, k]
    for k in range(K):
        shift = 0.0
        for j in range(d):
            W[j, k] *= scale[j]
            shift += mean[j] * W[j, k]
        b[k] = scale[d] * theta[d, k] - shift


@linked
def transformed_gradient(raw, transform, m, G):
    """Fill G (D, K) with the gradient by theta, given that by the raw coefficients of m rows, which is overwritten."""
    mean, scale, mixing, mixing_transposed = transform
    (D, K), d = raw.shape, len(raw) - 1
    for k in range(K):
        total = raw[d, k]
        for j in range(d):
            raw[j, k] = scale[j] * (raw[j, k] - mean[j] * total) / m
        raw[d, k] = scale[d] * total / m
    if len(mixing):
        multiply(mixing_transposed, raw, G)
    for j in range(d if len(mixing) else 0, D):
        for k in range(K):
            G[j, k] = raw[j, k]


@kernel
def stochastic_steps(rows, loss, rule, batches, transform, terms, sizes, iterate):
    """Step once on each mini-batch; the `iterate` changes in place.  Returns False where a gradient is no longer finite.

    Steps with reduced variance follow the gradient of the residual table plus what changed on the batch (SAGA; Defazio, Bach
    and Lacoste-Julien, 2014).
    """
    theta, average, optimizer_state, residual_table, table_gradient, variance_reduced = iterate
    penalty, _, _, l2 = terms
    (D, K), n = theta.shape, batches.targets.Y.shape[1]
    W, b, G, raw = np.empty((D - 1, K)), np.empty(K), np.empty((D, K)), np.empty((D, K))
    tile = new_tile(rows, len(batches.targets.Y), K, min(batches.tile, batches.size))
    # Flat views: one loop over all coefficients vectorises for every K.
    flat, follower, g, last_gradient = theta.reshape(-1), average.reshape(-1), G.reshape(-1), table_gradient.reshape(-1)
    state = optimizer_state.reshape((2, D * K))
    for step in range(len(sizes.rates)):
        first = step * batches.size
        last = min(first + batches.size, len(batches.targets.order))
        m = last - first
        # 1. the gradient of the batch, in the coordinates of theta
        raw_coefficients(theta, transform, W, b)
        for j in range(D):
            for k in range(K):
                raw[j, k] = 0.0
        squares = add_changes(rows, loss, batches.targets, first, last, (W, b), tile, residual_table, raw)
        transformed_gradient(raw, transform, m, G)
        square = 0.0
        for i in range(len(g)):
            square += g[i] * g[i]
        if not np.isfinite(square):
            return False
        # 2. its variance reduced, and the gradient of the penalty
        share, old = m / n, 1.0 if variance_reduced else 0.0
        for i in range(len(g)):
            change = g[i]
            g[i] += old * last_gradient[i] + penalty.gradient(flat[i], l2[i])
            last_gradient[i] += share * change
        # 3. the step
        rate = sizes.rates[step]
        if rate * sizes.bound * square * m > squares:
            rate = squares / (sizes.bound * square * m)
        rule.step(sizes.first + step, rate, sizes.unit, flat, g, state, terms)
        # 4. the average
        for i in range(len(g)):
            follower[i] += sizes.averaging[step] * (flat[i] - follower[i])
    return True
