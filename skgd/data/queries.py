"""Queries: what objectives ask of rows.  The answer to a query is a tuple of partial sums, which add up.

Threads, partitions and machines all answer the same queries, and their partial sums are added in a fixed order.  The division
by the weight and the penalty come once, at the end.  A query is small, and can be sent anywhere; ``query(table)`` is the answer
of a table.
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
    """Chunks of the rows for a pass that makes gradients of K columns of scores."""
    return chunk_edges(table.n, table.entries * K, MAX_CHUNKS, (table.d + 1) * K)


@dataclass(frozen=True)
class Losses:
    """The sum of s_i loss(y_i, x_i W + b), of each (loss, W, b) among several.  One pass for each."""

    points: list[tuple[Any, np.ndarray, np.ndarray]]

    def __call__(self, table: Table) -> PartialSums:
        return tuple(self._sum(table, *point) for point in self.points)

    def _sum(self, table: Table, loss: Any, W: np.ndarray, b: np.ndarray) -> float:
        sums = table.loss_sums(loss, Coefficients(W, b), Wanted(losses=True), _edges(table, len(b)))
        return float(sums.losses.sum())


@dataclass(frozen=True)
class Gradient:
    """The sums (K,) of s_i loss(y_i, x_i W + b) by column, and their gradient (d + 1, K) by W and, in its last row, b."""

    loss: Any
    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)

    def __call__(self, table: Table) -> PartialSums:
        wanted = Wanted(losses=True, gradient=True)
        sums = table.loss_sums(self.loss, Coefficients(self.W, self.b), wanted, _edges(table, len(self.b)))
        return sums.losses, sums.gradient


@dataclass(frozen=True)
class Curvature:
    """The Hessian (P, D, D) of the loss in standardised coordinates, and the weight of the rows that it is made of.

    These are the rows whose numbers are multiples of the stride, among those of all tables.  Blocks are the first `diagonal`
    ones (k, k) of the Hessian in the scores, or all (k, l) with l <= k, row by row, where `diagonal` is 0.
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
        """Blocks (K, D, D) of a loss most of whose rows may have no curvature: these cost nothing."""
        c = np.zeros((len(self.b), table.n))
        c[:, index] = table.row_curvatures(self.loss, self.W, self.b)[:, index]
        return np.array([table.gram(row, self.mean, self.scale) for row in c])


@dataclass(frozen=True)
class CurvatureDiagonal:
    """The diagonal (D, K) of the Hessian of the loss in standardised coordinates."""

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
    """A quadratic loss at constant scores b (K,): its sum, its gradient (D, K) and its Hessian (D, D).  X is read once."""

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
    """Several queries in one pass over partitions: their answers one after another."""

    queries: list[Any]

    def __call__(self, table: Table) -> PartialSums:
        return tuple(value for query in self.queries for value in query(table))
