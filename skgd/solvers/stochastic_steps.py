"""The compiled loop over the mini-batches of an epoch, for sgd and adam."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel, linked, prefetch
from ..compiled.linking import borrows
from ..data.kernels import Targets, add_gradient
from ..data.tiles import load_targets, new_tile


class Batches(NamedTuple):
    """Mini-batches of rows."""

    targets: Targets  # `order` holds the row numbers of the first batch, then of the second, and so on
    size: int  # the number of rows of a batch; the last batch may have fewer
    tile: int  # the number of rows of a tile


class Transform(NamedTuple):
    """The map from coefficients phi (D, K) of the steps to theta = M phi (D, K), and to raw ones."""

    mean: np.ndarray  # (d,), see `Coordinates`
    scale: np.ndarray  # (D,), see `Coordinates`
    matrices: np.ndarray  # (P, D, D), the matrices M of the whitening; empty for the identity
    transposed: np.ndarray  # their transposes


class StepSizes(NamedTuple):
    """The rates of S steps, and the weights of their iterates in the average."""

    rates: np.ndarray  # (S,)
    unit: np.ndarray  # (D K,), the natural size of the scores that each coefficient contributes to
    averaging: np.ndarray  # (S,), the weight of the new iterate in the average
    bound: float  # h: a rate is at most 1/h over the curvature of the batch along its gradient; 0: no such limit
    first: int  # the number of the first step, counted from 1


class Iterate(NamedTuple):
    """The arrays that steps change in place."""

    theta: np.ndarray  # (D, K)
    average: np.ndarray  # (D, K)
    optimizer_state: np.ndarray  # (2, D, K)
    residual_table: np.ndarray  # (K, n), the residual of each row at its last visit; empty if it is not kept
    table_gradient: np.ndarray  # (D, K), the gradient that these residuals make
    variance_reduced: bool  # whether steps use the table to reduce the variance of gradients


@linked
def add_changes(rows, loss, targets, first, last, coefficients, whole, residual_table, G):
    """Add the gradient of the rows order[first:last] at raw coefficients (W, b) to G (d + 1, K).

    If a `residual_table` is kept, the residuals of these rows are stored in it, and only the change of the gradient is added.
    Returns the sum of r_i^2 / s_i over the residuals r_i that were added, with the weights s_i of their rows.
    """
    (W, b), squares, tile = coefficients, 0.0, whole
    unused = np.zeros(len(b))  # the sums of the losses, which are not needed
    for start in range(first, last, len(whole.row)):
        m = min(len(whole.row), last - start)
        if m != len(tile.row):
            tile = new_tile(rows, len(targets.Y), len(b), m)
        load_targets(tile, targets.order, start, targets.Y, targets.s)
        rows.scores(tile, W, b)
        loss.losses_and_residuals(tile.targets, tile.weights, tile.Z, unused)
        row, weights, Z = tile.row, tile.weights, tile.Z
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                if residual_table.size:
                    residual = Z[k, i]
                    prefetch(residual_table, (k, tile.ahead[i]))
                    Z[k, i] = residual - residual_table[k, row[i]]
                    residual_table[k, row[i]] = residual
                squares += Z[k, i] * Z[k, i] / weights[i]
        add_gradient(rows, tile, G)
    return squares


@linked
def multiply(matrices, vectors, out):
    """Write products of matrices and vectors (D, K) into out; see `Whitening`.  Without matrices, copy the vectors."""
    D, K = out.shape
    if len(matrices) == 0:
        for j in range(D):
            for k in range(K):
                out[j, k] = vectors[j, k]
    elif len(matrices) == 1 and matrices.shape[1] == D and K > 1:
        np.dot(matrices[0], vectors, out)
    else:
        side = matrices.shape[1]
        columns = side // D  # the columns of scores that share a matrix
        v = np.empty(side)  # contiguous, so that the loop vectorises
        for first in range(0, K, columns):
            matrix = matrices[first // columns]
            for k in range(columns):
                for j in range(D):
                    v[k * D + j] = vectors[j, first + k]
            for k in range(columns):
                for j in range(D):
                    row, total = matrix[k * D + j], 0.0
                    for i in range(side):
                        total += row[i] * v[i]
                    out[j, first + k] = total


@linked
@borrows
def raw_coefficients(theta, transform, W, b):
    """Fill W (d, K) and b (K,) with the raw coefficients of theta (D, K)."""
    mean, scale = transform.mean, transform.scale
    d, K = W.shape
    for k in range(K):
        b[k] = scale[d] * theta[d, k]
    for j in range(d):
        for k in range(K):
            W[j, k] = scale[j] * theta[j, k]
            b[k] -= mean[j] * W[j, k]


@linked
@borrows
def mean_gradient(raw, transform, m):
    """Change the summed gradient (D, K) of m rows by raw coefficients to their mean gradient by theta."""
    mean, scale = transform.mean, transform.scale
    d, K = len(raw) - 1, raw.shape[1]
    for j in range(d):
        for k in range(K):
            raw[j, k] = scale[j] * (raw[j, k] - mean[j] * raw[d, k]) / m
    for k in range(K):
        raw[d, k] = scale[d] * raw[d, k] / m


@kernel
def stochastic_steps(rows, loss, rule, batches, transform, terms, sizes, iterate):
    """Step once on each mini-batch, and change the `iterate` in place.  Returns False if a gradient is not finite.

    Steps with reduced variance follow the gradient of the residual table plus the change of the gradient of the batch since its
    rows were visited last (SAGA; Defazio, Bach and Lacoste-Julien, 2014).
    """
    phi, average, optimizer_state, residual_table, table_gradient, variance_reduced = iterate
    penalty, _, _, l2 = terms
    (D, K), n = phi.shape, batches.targets.Y.shape[1]
    whitened = len(transform.matrices) > 0
    W, b, theta, change, G = np.empty((D - 1, K)), np.empty(K), np.empty((D, K)), np.empty((D, K)), np.empty((D, K))
    tile = new_tile(rows, len(batches.targets.Y), K, min(batches.tile, batches.size))
    # Flat views: one loop over all coefficients vectorises for every K.
    flat, follower, g, g_change = phi.reshape(-1), average.reshape(-1), G.reshape(-1), change.reshape(-1)
    flat_theta, last_gradient = theta.reshape(-1), table_gradient.reshape(-1)
    state = optimizer_state.reshape((2, D * K))
    for step in range(len(sizes.rates)):
        first = step * batches.size
        last = min(first + batches.size, len(batches.targets.order))
        m = last - first
        # 1. the change of the gradient of the batch, in the coordinates of theta
        multiply(transform.matrices, phi, theta)
        raw_coefficients(theta, transform, W, b)
        for i in range(len(g)):
            g_change[i] = 0.0
        squares = add_changes(rows, loss, batches.targets, first, last, (W, b), tile, residual_table, change)
        mean_gradient(change, transform, m)
        # 2. reduce its variance, add the gradient of the penalty, and change to the coordinates of phi
        share, old, square = m / n, 1.0 if variance_reduced else 0.0, 0.0
        for i in range(len(g)):
            gradient = g_change[i] + old * last_gradient[i] + penalty.gradient(flat_theta[i], l2[i])
            last_gradient[i] += share * g_change[i]
            square += g_change[i] * g_change[i]
            g_change[i] = gradient
        multiply(transform.transposed, change, G)
        if not np.isfinite(square):
            return False
        if whitened:
            square = 0.0
            for i in range(len(g)):
                square += g[i] * g[i]
        # 3. limit the rate, and make the step
        rate = sizes.rates[step]
        if rate * sizes.bound * square * m > squares:
            rate = squares / (sizes.bound * square * m)
        rule.step(sizes.first + step, rate, sizes.unit, flat, g, state, terms)
        # 4. update the average
        for i in range(len(g)):
            follower[i] += sizes.averaging[step] * (flat[i] - follower[i])
    return True
