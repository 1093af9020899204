"""The compiled passes over rows, which combine rows, losses and coefficients.

Each pass makes the same steps on every tile of rows: it computes scores, then residuals or second derivatives, then sums.
`loss_sums` computes all sums that an objective needs, so that each pair of a loss and a storage is compiled only once.  There
is one sum for each chunk of rows.  The sums of chunks are added later in a fixed order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel, linked
from ..compiled.linking import borrows
from .tiles import load_targets, new_tile


class Targets(NamedTuple):
    """The targets and weights of all rows, and the rows that a pass visits."""

    Y: np.ndarray  # (T, n) targets, or class codes
    s: np.ndarray  # (n,) weights
    order: np.ndarray  # (m,) the numbers of the rows to visit; if it is empty, all rows in their order


class Coefficients(NamedTuple):
    """Raw coefficients; the scores are X W + b."""

    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)


class Standardised(NamedTuple):
    """Standardised columns x~ = scale * (x - mean, 1)."""

    mean: np.ndarray  # (d,)
    origin: np.ndarray  # (d,) the point that is subtracted before squares are summed; see `Table.origin`
    scale: np.ndarray  # (d + 1,)


class Chunks(NamedTuple):
    """Chunks of the rows, or of positions in their `order`."""

    edges: np.ndarray  # chunk p holds edges[p], ..., edges[p + 1] - 1
    first: int  # a pass works on the chunks first, ..., last - 1
    last: int


@linked
@borrows
def add_gradient(rows, tile, G):
    """Add the gradient of a tile to G (d + 1, K); tile.Z holds the residuals."""
    rows.accumulate(tile, G)
    d, Z = len(G) - 1, tile.Z
    for k in range(Z.shape[0]):
        column = 0.0
        for i in range(Z.shape[1]):
            column += Z[k, i]
        G[d, k] += column


@kernel
def loss_sums(rows, loss, targets, coefficients, columns, sums, by_row, chunks, size):
    """Compute the `Sums` for each chunk of rows, in tiles of `size` rows.  One pass, for any number of sums.

    The P blocks of the Hessian belong to pairs of scores.  If P <= K, the pairs are (0, 0), (1, 1), ...  Otherwise they are all
    pairs (0, 0), (1, 0), (1, 1), (2, 0), ...  If `by_row` (K, n) is not empty, it receives the second derivatives of each row
    by each of its scores, times the weight of the row.
    """
    (W, b), (mean, origin, scale), (edges, first, last) = coefficients, columns, chunks
    losses, G, H, q = sums
    (d, K), blocks = W.shape, H.shape[1]
    coupled, diagonal = blocks > K, q.size > 0
    curved = blocks > 0 or diagonal or by_row.size > 0
    tile, room = new_tile(rows, len(targets.Y), K, size), rows.gram_workspace(size if blocks else 0, d)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            m = min(size, edges[p + 1] - start)
            if m != len(tile.row):
                tile = new_tile(rows, len(targets.Y), K, m)
            load_targets(tile, targets.order, start, targets.Y, targets.s)
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
    """Standardise the sums of `add_gram` if that is left to do, and copy the lower triangle of H (D, D) to the upper one."""
    rows.standardise_gram(mean, origin, scale, H)
    for j in range(len(H)):
        for k in range(j):
            H[k, j] = H[j, k]


@linked
@borrows
def number_rows(tile, start):
    """Fill the tile with the rows start, start + 1, ..., without their targets and weights."""
    for i in range(len(tile.row)):
        tile.row[i] = start + i
        tile.ahead[i] = start + len(tile.row) + i


@kernel
def scores(rows, coefficients, out, chunks, size):
    """Write the scores X W + b of the rows of the chunks into out (K, n)."""
    (W, b), (edges, first, last) = coefficients, chunks
    K = W.shape[1]
    tile = new_tile(rows, 0, K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            m = min(size, edges[p + 1] - start)
            if m != len(tile.row):
                tile = new_tile(rows, 0, K, m)
            number_rows(tile, start)
            rows.scores(tile, W, b)
            for k in range(K):
                for i in range(len(tile.row)):
                    out[k, start + i] = tile.Z[k, i]


@kernel
def transposed(rows, R, G, chunks, size):
    """Compute X' R' for each chunk and for R (K, n) into G (C, d + 1, K); the last rows of G are the sums of R'."""
    edges, first, last = chunks
    K = len(R)
    tile = new_tile(rows, 0, K, size)
    for p in range(first, last):
        for start in range(edges[p], edges[p + 1], size):
            m = min(size, edges[p + 1] - start)
            if m != len(tile.row):
                tile = new_tile(rows, 0, K, m)
            number_rows(tile, start)
            for k in range(K):
                for i in range(len(tile.row)):
                    tile.Z[k, i] = R[k, start + i]
            rows.load(tile)
            add_gradient(rows, tile, G[p])


@kernel
def weighted_gram(rows, index, c, columns, H, chunks, size):
    """Compute the sums of c_i x~_i x~_i' over the rows index[i] of each chunk into H (C, D, D)."""
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
    """Compute the sums of s, s (x - shift), s (x - shift)^2 and 1 over the stored x of each column into out (C, 4, d)."""
    edges, first, last = chunks
    for p in range(first, last):
        rows.moments(edges[p], edges[p + 1], s, shift, out[p])
