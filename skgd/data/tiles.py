"""Tiles: blocks of 8 to 256 rows that stay in the nearest cache while a kernel works on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import linked


class Tile(NamedTuple):
    """Work space for the rows that a kernel works on at one time.

    The row is the last axis of each array, so that loops over rows vectorise for any number of scores.
    """

    row: np.ndarray  # (m,) the numbers of the rows in X
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
        np.empty((n_targets, size)),
        np.empty(size),
        np.empty((K, size)),
        np.empty((K, size)),
        np.empty(size),
        rows.workspace(size, K),
    )


@linked
def load_targets(tile, order, start, Y, s):
    """Fill the tile with the rows order[start], order[start + 1], ..., or start, start + 1, ... if `order` is empty."""
    row, targets, weights = tile.row, tile.targets, tile.weights
    if len(order):
        for i in range(len(row)):
            row[i] = order[start + i]
            weights[i] = s[row[i]]
        for k in range(len(targets)):
            for i in range(len(row)):
                targets[k, i] = Y[k, row[i]]
    else:
        for i in range(len(row)):
            row[i] = start + i
            weights[i] = s[start + i]
        for k in range(len(targets)):
            for i in range(len(row)):
                targets[k, i] = Y[k, start + i]
