"""The compiled passes over rows, which put rows, losses and coefficients together.

Every pass is the same few steps on a tile: scores, residuals or second derivatives, sums.  `loss_sums` makes all sums that an
objective asks for, so that a loss and a storage are compiled together once.  Sums over rows are made for each chunk of the
rows; threads, partitions and machines add them up in a fixed order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel, linked
from .tiles import load_targets, new_tile


class Targets(NamedTuple):
    """What rows are compared with, and which rows."""

    Y: np.ndarray  # (T, n) targets, or class codes
    s: np.ndarray  # (n,) weights
    order: np.ndarray  # (m,) numbers of the rows of a pass; empty: all rows in their order


class Coefficients(NamedTuple):
    """Raw coefficients: scores are X W + b."""

    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)


class Standardised(NamedTuple):
    """Standardised columns x~ = scale * (x - mean, 1)."""

    mean: np.ndarray  # (d,)
    origin: np.ndarray  # (d,) where squares are taken from: see `Table.origin`
    scale: np.ndarray  # (d + 1,)


class Chunks(NamedTuple):
    """Chunks of the rows, or of their `order`: chunk p is edges[p]..edges[p + 1], and a pass takes those from first to last."""

    edges: np.ndarray
    first: int
    last: int


@linked
def next_tile(whole, rows, targets, K, start, stop):
    """The rows from `start` on, at most a whole tile of them and none beyond `stop`, with their targets and weights."""
    m = min(len(whole.row), stop - start)
    tile = whole if m == len(whole.row) else new_tile(rows, len(whole.targets), K, m)
    load_targets(tile, targets.order, start, targets.Y, targets.s)
    return tile


@linked
def add_gradient(rows, tile, G):
    """Add the gradient of a tile, whose scores have become residuals, to G (d + 1, K)."""
    rows.accumulate(tile, G)
    d, Z = len(G) - 1, tile.Z
    for k in range(Z.shape[0]):
        column = 0.0
        for i in range(Z.shape[1]):
            column += Z[k, i]
        G[d, k] += column


@kernel
def loss_sums(rows, loss, targets, coefficients, columns, sums, by_row, chunks, size):
    """Fill the `Sums` of each chunk of the rows, in tiles of `size` rows.  One pass, however many of them are wanted.

    The P blocks of the Hessian belong to the first pairs (0, 0), (1, 1), ... of scores, or, if they are more than the K scores,
    to all pairs (0, 0), (1, 0), (1, 1), (2, 0), ...  Unless `by_row` (K, n) is empty, it is filled with the second derivatives
    of each row by each of its scores, times its weight.
    """
    (W, b), (mean, origin, scale), (edges, first, last) = coefficients, columns, chunks
    losses, G, H, q = sums
    (d, K), blocks = W.shape, H.shape[1]
    coupled, diagonal = blocks > K, q.size > 0
    curved = blocks > 0 or diagonal or by_row.size > 0
    whole, room = new_tile(rows, len(targets.Y), K, size), rows.gram_workspace(size if blocks else 0, d)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = next_tile(whole, rows, targets, K, start, edges[p + 1])
            rows.scores(tile, W, b)
            if curved:
                for k in range(K):
                    for i in range(len(tile.row)):
                        tile.second_derivatives[k, i] = tile.Z[k, i]
                loss.curvatures(tile.targets, tile.weights, tile.second_derivatives)
            if losses.size:
                loss.losses_and_residuals(tile.targets, tile.weights, tile.Z, losses[p])
            if G.size:
                add_gradient(rows, tile, G[p])
            if blocks:
                rows.standardise(tile.row, mean, scale, room)
            k, l = 0, 0
            for block in range(blocks):
                loss.curvature_block(tile.weights, tile.second_derivatives, k, l, tile.c)
                rows.add_gram(tile.row, tile.c, origin, scale, room, H[p, block])
                l += 1
                if l > k or not coupled:
                    k, l = k + 1, 0 if coupled else k + 1
            for k in range(K if diagonal or by_row.size else 0):
                loss.curvature_block(tile.weights, tile.second_derivatives, k, k, tile.c)
                if diagonal:
                    rows.add_squares(tile.row, tile.c, mean, origin, scale, q[p, k])
                else:
                    for i in range(len(tile.row)):
                        by_row[k, tile.row[i]] = tile.c[i]
        for block in range(blocks):
            complete_gram(rows, mean, origin, scale, H[p, block])
        for k in range(K if diagonal else 0):
            for j in range(d):
                q[p, k, j] += (scale[j] * (origin[j] - mean[j])) ** 2 * q[p, k, d]
            q[p, k, d] *= scale[d] ** 2


@linked
def complete_gram(rows, mean, origin, scale, H):
    """Standardise what `add_gram` left, and copy the lower triangle of H (D, D) to the upper one."""
    rows.standardise_gram(mean, origin, scale, H)
    for j in range(len(H)):
        for k in range(j):
            H[k, j] = H[j, k]


@linked
def next_bare_tile(whole, rows, K, start, stop):
    """The rows from `start` on, at most a whole tile of them and none beyond `stop`, without targets and weights."""
    m = min(len(whole.row), stop - start)
    tile = whole if m == len(whole.row) else new_tile(rows, 0, K, m)
    for i in range(m):
        tile.row[i] = start + i
    return tile


@kernel
def scores(rows, coefficients, out, chunks, size):
    """Scores X W + b of the chunks into out (K, n)."""
    (W, b), (edges, first, last) = coefficients, chunks
    K = W.shape[1]
    whole = new_tile(rows, 0, K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = next_bare_tile(whole, rows, K, start, edges[p + 1])
            rows.scores(tile, W, b)
            for k in range(K):
                for i in range(len(tile.row)):
                    out[k, start + i] = tile.Z[k, i]


@kernel
def transposed(rows, R, G, chunks, size):
    """Fill G (C, d + 1, K) with X' R' of each chunk, and in the last row the sums of R', for R (K, n)."""
    edges, first, last = chunks
    K = len(R)
    whole = new_tile(rows, 0, K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            tile = next_bare_tile(whole, rows, K, start, edges[p + 1])
            for k in range(K):
                for i in range(len(tile.row)):
                    tile.Z[k, i] = R[k, start + i]
            rows.load(tile)
            add_gradient(rows, tile, G[p])


@kernel
def weighted_gram(rows, index, c, columns, H, chunks, size):
    """Fill H (C, D, D) with the sums of c_i x~_i x~_i' over the rows of each chunk of `index`, in whose order the c are."""
    (mean, origin, scale), (edges, first, last) = columns, chunks
    room = rows.gram_workspace(size, len(mean))
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            stop = min(start + size, edges[p + 1])
            rows.standardise(index[start:stop], mean, scale, room)
            rows.add_gram(index[start:stop], c[start:stop], origin, scale, room, H[p])
        complete_gram(rows, mean, origin, scale, H[p])


@kernel
def moments(rows, s, shift, out, chunks):
    """Fill out (C, 4, d) with the sums of s, s (x - shift), s (x - shift)^2 and 1 over the stored values x of each column."""
    edges, first, last = chunks
    for p in range(first, last):
        rows.moments(edges[p], edges[p + 1], s, shift, out[p])
