"""What objectives ask of rows.  An answer is a record: sums over rows, which add up.

Threads, batches of a stream and machines all answer the same questions and add their records in a fixed order.  The
division by the weight and the penalty come once, at the end.  A question is small, and can be sent anywhere;
``question(table)`` is the answer of a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import kernels
from .table import LARGE_PARTS, PARTS, Table, partition
from .tree_sum import PartialSums


def _edges(table: Table, columns: int) -> np.ndarray:
    """The partition of the rows for a pass that makes gradients of so many columns."""
    return partition(table.n, table.entries * columns, PARTS, (table.d + 1) * columns)


@dataclass(frozen=True)
class Losses:
    """The sum of s_i loss(y_i, x_i W + b), of each (loss, W, b) among several."""

    points: list[tuple[Any, np.ndarray, np.ndarray]]

    def __call__(self, table: Table) -> PartialSums:
        return tuple(self._sum(table, *point) for point in self.points)

    def _sum(self, table: Table, loss: Any, W: np.ndarray, b: np.ndarray) -> float:
        tile = table.tile(loss.n_outputs)
        return table.sum(kernels.loss_sum, _edges(table, len(b)), table.rows, loss, table.Y, table.s, W, b, tile=(tile,))[0]


@dataclass(frozen=True)
class Gradient:
    """The sums (K,) of s_i loss(y_i, x_i W + b) by column, and their gradient (d + 1, K) by W and, in its last row, b."""

    loss: Any
    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)

    def __call__(self, table: Table) -> PartialSums:
        arguments = table.rows, self.loss, table.Y, table.s, self.W, self.b
        return tuple(table.sum(kernels.record, _edges(table, len(self.b)), *arguments, tile=(table.tile(len(self.b)),)))


@dataclass(frozen=True)
class Curvature:
    """The Hessian (P, D, D) of the loss in standardised coordinates, in blocks as of `kernels.curvature`, and its weight.

    Of the rows whose numbers are multiples of a stride, among those of all tables.
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
        d, K = self.W.shape
        if self.loss.has_flat_rows():
            c = np.zeros((K, table.n))
            c[:, index] = table.row_curvatures(self.loss, self.W, self.b)[:, index]
            return np.array([table.gram(row, self.mean, self.scale) for row in c]), float(table.s[index].sum())
        edges = partition(len(index), len(index) * d * (self.diagonal or K * K), LARGE_PARTS, 1)
        coordinates = self.mean, table.origin(self.mean), self.scale
        arguments = table.rows, self.loss, index, table.Y, table.s, *coordinates, self.W, self.b, self.diagonal
        (H,) = table.sum(kernels.curvature, edges, *arguments, tile=(table.gram_tile,))
        return H, float(table.s[index].sum())


@dataclass(frozen=True)
class CurvatureDiagonal:
    """The diagonal (D, K) of the Hessian of the loss in standardised coordinates."""

    loss: Any
    W: np.ndarray
    b: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, table: Table) -> PartialSums:
        coordinates = self.mean, table.origin(self.mean), self.scale
        arguments = table.rows, self.loss, table.Y, table.s, *coordinates, self.W, self.b
        (q,) = table.sum(kernels.curvature_diagonal, _edges(table, len(self.b)), *arguments, tile=(table.tile(len(self.b)),))
        return (np.ascontiguousarray(np.maximum(q, 0.0).T),)


@dataclass(frozen=True)
class NormalEquations:
    """Of a quadratic loss at constant scores b (K,): its sum, its gradient (D, K) and its Hessian (D, D)."""

    loss: Any
    b: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, table: Table) -> PartialSums:
        edges = partition(table.n, table.n * table.d, LARGE_PARTS, 1)
        arguments = table.rows, self.loss, table.Y, table.s, self.mean, table.origin(self.mean), self.scale, self.b
        return tuple(table.sum(kernels.normal_equations, edges, *arguments, tile=(table.gram_tile,)))


@dataclass(frozen=True)
class Together:
    """Several questions in one pass: their answers one after another."""

    queries: list[Any]

    def __call__(self, table: Table) -> PartialSums:
        return tuple(value for query in self.queries for value in query(table))
