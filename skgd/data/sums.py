"""The sums that a pass over rows computes for a loss, and the addition of the sums of several chunks of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EMPTY = {ndim: np.empty((0,) * ndim) for ndim in (2, 3, 4)}  # outputs of sums that are not wanted; kernels skip these


class Sums(NamedTuple):
    """The sums over the rows of each of C chunks.

    The arrays are zero at first.  A pass computes the sums whose arrays are not empty.
    """

    losses: np.ndarray  # (C, K) the losses by column of scores; a coupled loss has all of its losses in the first column
    gradient: np.ndarray  # (C, d + 1, K) the gradient by W and, in the last row, by b; it requires `losses`
    hessian: np.ndarray  # (C, P, D, D) the sums of s_i (second derivative by two scores) x~_i x~_i'
    diagonal: np.ndarray  # (C, K, D) the sums of s_i (second derivative by one score) x~_i^2


class Wanted(NamedTuple):
    """The sums that a pass has to compute."""

    losses: bool = False
    gradient: bool = False  # requires `losses`
    blocks: int = 0  # the number of blocks of the Hessian; see `kernels.loss_sums`
    diagonal: bool = False  # the diagonal of the Hessian

    def zeros(self, C: int, d: int, K: int) -> Sums:
        """The sums of C chunks before a pass: zeros, or empty arrays for sums that are not wanted."""
        D = d + 1
        return Sums(
            np.zeros((C, K)) if self.losses else EMPTY[2],
            np.zeros((C, D, K)) if self.gradient else EMPTY[3],
            np.zeros((C, self.blocks, D, D)) if self.blocks else EMPTY[4],
            np.zeros((C, K, D)) if self.diagonal else EMPTY[3],
        )


def added(values: np.ndarray) -> np.ndarray:
    """The sum of `values` (C, ...) over all chunks; an empty array stays empty."""
    return values[0] if len(values) == 1 else values.sum(axis=0) if len(values) else values
