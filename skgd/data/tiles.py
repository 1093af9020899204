"""Tiles: blocks of 8 to 256 rows that stay in the nearest cache while a kernel works on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import linked, prefetch
from ..compiled.linking import borrows


class Tile(NamedTuple):
    """Work space for the rows that a kernel works on at one time.

    The row is the last axis of each array, so that loops over rows vectorise for any number of scores.
    """

    row: np.ndarray  # (m,) the numbers of the rows in X
    ahead: np.ndarray  # (m,) the numbers of the rows that follow, which are fetched from memory meanwhile
    targets: np.ndarray  # (T, m)
    weights: np.ndarray  # (m,)
    Z: np.ndarray  # (K, m) scores, which the loss replaces by residuals
    second_derivatives: np.ndarray  # (K, m) scores, which the loss replaces by second derivatives
    c: np.ndarray  # (m,) second derivatives by one pair of scores, times the weights
    values: np.ndarray  # work space of the storage; see `Dense.workspace` and `CSR.workspace`


@linked
def new_tile(rows, n_targets, K, size):
    """A tile of `size` rows, each with `n_targets` targets and K scores."""
    return Tile(
        np.empty(size, np.int64),
        np.zeros(size, np.int64),
        np.empty((n_targets, size)),
        np.empty(size),
        np.empty((K, size)),
        np.empty((K, size)),
        np.empty(size),
        rows.workspace(size, K),
    )


@linked
@borrows
def load_targets(tile, order, start, Y, s):
    """Fill the tile with the rows order[start], order[start + 1], ..., or start, start + 1, ... if `order` is empty."""
    row, ahead, targets, weights = tile.row, tile.ahead, tile.targets, tile.weights
    if len(order):
        for i in range(len(row)):
            row[i] = order[start + i]
            ahead[i] = order[min(start + len(row) + i, len(order) - 1)]
            weights[i] = s[row[i]]
            prefetch(s, (ahead[i],))
        for k in range(len(targets)):
            for i in range(len(row)):
                targets[k, i] = Y[k, row[i]]
                prefetch(Y, (k, ahead[i]))
    else:
        for i in range(len(row)):
            row[i] = start + i
            ahead[i] = start + len(row) + i
            weights[i] = s[start + i]
        for i in range(start + len(row), start + 2 * len(row), 8):
            prefetch(s, (i,))
        for k in range(len(targets)):
            for i in range(len(row)):
                targets[k, i] = Y[k, start + i]
            for i in range(start + len(row), start + 2 * len(row), 8):
                prefetch(Y, (k, i))
