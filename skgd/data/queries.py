"""Queries: the sums over rows that objectives ask for.  ``query(table)`` returns the sums over the rows of a table.

The answers for several tables, or partitions on several machines, are added in a fixed order.  Only then the objective divides
by the total weight and adds the penalty.  A query is small, so it can be sent to other machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .kernels import Coefficients
from .sums import Wanted
from .table import FEW_CHUNKS, MAX_CHUNKS, Table, chunk_edges
from .tree_sum import PartialSums


def _edges(table: Table, K: int) -> np.ndarray:
    """The edges of chunks of rows for a pass that computes gradients of K columns of scores."""
    return chunk_edges(table.n, table.entries * K, MAX_CHUNKS, (table.d + 1) * K)


@dataclass(frozen=True)
class Losses:
    """The sum of s_i loss(y_i, x_i W + b) for each of several points (loss, W, b).  One pass for each."""

    points: list[tuple[Any, np.ndarray, np.ndarray]]

    def __call__(self, table: Table) -> PartialSums:
        return tuple(self._sum(table, *point) for point in self.points)

    def _sum(self, table: Table, loss: Any, W: np.ndarray, b: np.ndarray) -> float:
        sums = table.loss_sums(loss, Coefficients(W, b), Wanted(losses=True), _edges(table, len(b)))
        return float(sums.losses.sum())


@dataclass(frozen=True)
class Gradient:
    """The sums of s_i loss(y_i, x_i W + b), and their gradient.  One pass.

    The sums have the shape (K,), one for each column of scores.  The gradient has the shape (d + 1, K); its last row is the
    gradient by b.
    """

    loss: Any
    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)

    def __call__(self, table: Table) -> PartialSums:
        wanted = Wanted(losses=True, gradient=True)
        sums = table.loss_sums(self.loss, Coefficients(self.W, self.b), wanted, _edges(table, len(self.b)))
        return sums.losses, sums.gradient


@dataclass(frozen=True)
class Curvature:
    """The Hessian (P, D, D) of the summed loss in standardised coordinates, and the weight of the rows that it sums over.

    These are the rows whose numbers, counted over all tables, are multiples of `stride`.  The P blocks are the blocks (k, k)
    of the first `diagonal` columns of scores.  If `diagonal` is 0, they are all blocks (k, l) with l <= k, row by row.
    """

    loss: Any
    W: np.ndarray
    b: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    diagonal: int
    stride: int

    def __call__(self, table: Table) -> PartialSums:
        index = np.arange(-table.first % self.stride, table.n, self.stride)
        weight = float(table.s[index].sum())
        if self.loss.has_flat_rows():
            return self._of_curved_rows(table, index), weight
        d, K = self.W.shape
        edges = chunk_edges(len(index), len(index) * d * (self.diagonal or K * K), FEW_CHUNKS, 1)
        wanted = Wanted(blocks=self.diagonal or K * (K + 1) // 2)
        columns = table.standardised(self.mean, self.scale)
        return table.loss_sums(self.loss, Coefficients(self.W, self.b), wanted, edges, columns, index).hessian, weight

    def _of_curved_rows(self, table: Table, index: np.ndarray) -> np.ndarray:
        """The blocks (K, D, D) for a loss with many rows of zero curvature, which are skipped."""
        c = np.zeros((len(self.b), table.n))
        c[:, index] = table.row_curvatures(self.loss, self.W, self.b)[:, index]
        return np.array([table.gram(row, self.mean, self.scale) for row in c])


@dataclass(frozen=True)
class CurvatureDiagonal:
    """The diagonal (D, K) of the Hessian of the summed loss in standardised coordinates.  One pass."""

    loss: Any
    W: np.ndarray
    b: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, table: Table) -> PartialSums:
        columns = table.standardised(self.mean, self.scale)
        edges = _edges(table, len(self.b))
        sums = table.loss_sums(self.loss, Coefficients(self.W, self.b), Wanted(diagonal=True), edges, columns)
        return (np.ascontiguousarray(np.maximum(sums.diagonal, 0.0).T),)


@dataclass(frozen=True)
class NormalEquations:
    """The sum of a quadratic loss at constant scores b (K,), its gradient (D, K) and its Hessian (D, D).  One pass."""

    loss: Any
    b: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, table: Table) -> PartialSums:
        edges = chunk_edges(table.n, table.n * table.d, FEW_CHUNKS, 1)
        at = Coefficients(np.zeros((table.d, len(self.b))), self.b)
        columns = table.standardised(self.mean, self.scale)
        sums = table.loss_sums(self.loss, at, Wanted(losses=True, gradient=True, blocks=1), edges, columns)
        return float(sums.losses.sum()), sums.gradient, sums.hessian[0]


@dataclass(frozen=True)
class Together:
    """Several queries in one pass over partitions; the answer is the concatenation of their answers."""

    queries: list[Any]

    def __call__(self, table: Table) -> PartialSums:
        return tuple(value for query in self.queries for value in query(table))
