"""The sums that a pass over rows makes of a loss, and how those of several chunks of the rows are added."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EMPTY = {ndim: np.empty((0,) * ndim) for ndim in (2, 3, 4)}  # what kernels fill nothing into


class Sums(NamedTuple):
    """Sums of a pass over C chunks, which are zero at first.  A pass makes those whose arrays are not empty."""

    losses: np.ndarray  # (C, K) by column of scores; those of a coupled loss are in the first column
    gradient: np.ndarray  # (C, d + 1, K) by W and, in the last row, b; it needs the losses
    hessian: np.ndarray  # (C, P, D, D) of s_i (second derivative by two scores) x~_i x~_i'
    diagonal: np.ndarray  # (C, K, D) of s_i (second derivative by one score) x~_i^2


class Wanted(NamedTuple):
    """Which sums a pass makes."""

    losses: bool = False
    gradient: bool = False  # needs the losses
    blocks: int = 0  # number of blocks of the Hessian: see `kernels.loss_sums`
    diagonal: bool = False  # the diagonal of the Hessian

    def zeros(self, C: int, d: int, K: int) -> Sums:
        """Sums of C chunks before a pass; unwanted ones are empty."""
        D = d + 1
        return Sums(
            np.zeros((C, K)) if self.losses else EMPTY[2],
            np.zeros((C, D, K)) if self.gradient else EMPTY[3],
            np.zeros((C, self.blocks, D, D)) if self.blocks else EMPTY[4],
            np.zeros((C, K, D)) if self.diagonal else EMPTY[3],
        )


def added(values: np.ndarray) -> np.ndarray:
    """The sum of the values (C, ...) of all chunks; an empty array stays as it is."""
    return values[0] if len(values) == 1 else values.sum(axis=0) if len(values) else values
