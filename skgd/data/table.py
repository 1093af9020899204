"""A table: rows in memory with their targets and weights, and passes over them.

A pass computes sums for each chunk of the rows, and adds them in the order of the chunks.  The edges of the chunks depend only
on the size of the data, so the bits of the result do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import row_norms

from ..compiled.jit import writable
from ..compiled.threads import ALONE, Team
from ..coordinates import ColumnMoments
from . import kernels
from .dense import WIDE
from .kernels import Chunks, Coefficients, Standardised, Targets
from .rows import canonical, column_ranges, dense_row, rows_of, stored_entries, whole_columns
from .sums import EMPTY, Sums, Wanted, added

MAX_CHUNKS = 16  # the largest number of chunks: more than the threads worth having here, and so few that they cost nothing
FEW_CHUNKS = 4  # the largest number of chunks if the sums of each chunk are (d, d) matrices
SMALL = 1 << 15  # entries of X that one thread reads in the time that it takes to hand out a chunk
SAMPLE = 1 << 26  # bytes; the largest size of a sample of the rows
GRAM_TILE = 128  # rows of a tile for curvature; two copies of the tile have to fit into the nearest cache
NO_ORDER = np.empty(0, np.int64)  # an empty order: the rows are visited one after another


class Table:
    """Rows in memory.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        Validated features, which are not copied.
    Y : ndarray of shape (T, n)
        Targets, or class codes.
    s : ndarray of shape (n,)
        Positive weights.
    team : Team
        The threads that work on a pass.
    first : int
        The number of the first row, if these are the rows of a partition.
    """

    expensive = False  # whether a pass costs much more than its arithmetic

    def __init__(self, X: Any, Y: np.ndarray, s: np.ndarray, team: Team = ALONE, first: int = 0) -> None:
        self.X, self.Y, self.s = canonical(X), writable(Y), s
        self.rows = rows_of(self.X)
        self.n, self.d = X.shape
        self.team, self.first = team, first

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only X, Y, the weights and the number of the first row, without views of them and without threads."""
        return Table, (self.X, self.Y, self.s, ALONE, self.first)

    @property
    def representative(self) -> Table:
        """Rows that represent all rows; for a table these are all rows."""
        return self

    @property
    def sparse(self) -> bool:
        return sp.issparse(self.X)

    @property
    def dtype(self) -> np.dtype:
        return self.X.dtype

    @property
    def entries(self) -> int:
        """The number of entries of X that a pass reads."""
        return stored_entries(self.X)

    @cached_property
    def squared_norms(self) -> np.ndarray:
        """The squared norms (n,) of the rows of X."""
        return np.asarray(row_norms(self.X, squared=True), dtype=float)

    @cached_property
    def columnwise(self) -> Any:
        """A copy of a sparse X in CSC format."""
        return self.X.tocsc()

    @cached_property
    def _whole(self) -> np.ndarray:
        return whole_columns(self.X)

    def origin(self, mean: np.ndarray) -> np.ndarray:
        """The point (d,) that is subtracted from rows before their squares are summed.

        It is zero for columns with zeros that are not stored, so that these zeros stay zero.  For other columns it is the
        mean: sums of squares around zero would lose the variation of a column whose values are all far from zero.
        """
        return np.where(self._whole, mean, 0.0)

    def shared_by(self, team: Team) -> Table:
        """The same rows with another team of threads."""
        table = copy(self)
        table.team = team
        return table

    def with_targets(self, Y: np.ndarray) -> Table:
        """The same rows with other targets (T, n)."""
        table = copy(self)
        vars(table).pop("_target_moments", None)
        table.Y = writable(np.ascontiguousarray(Y))
        return table

    def thins(self, stride: int) -> bool:
        """Whether a sample of every `stride`-th row is worth its memory."""
        return self.entries * self.dtype.itemsize // stride <= SAMPLE

    def thinned(self, stride: int) -> Table:
        """Copies of the rows whose numbers are multiples of the stride."""
        every = slice(-self.first % stride, self.n, stride)
        return Table(self.X[every].copy(), self.Y[:, every].copy(), self.s[every].copy(), self.team)

    def columns(self, index: np.ndarray) -> Table:
        """The same rows with a copy of only some columns."""
        X = self.X[:, index] if self.sparse else np.ascontiguousarray(self.X[:, index])
        return Table(X, self.Y, self.s, self.team, self.first)

    def total(self, query: Callable[[Table], tuple[Any, ...]]) -> tuple[Any, ...]:
        """The answer to a query of `queries.py` for all rows."""
        return query(self)

    def loss_sums(
        self,
        loss: Any,
        coefficients: Coefficients,
        wanted: Wanted,
        edges: np.ndarray,
        columns: Standardised | None = None,
        order: np.ndarray = NO_ORDER,
    ) -> Sums:
        """The `wanted` sums of a loss over rows; see `kernels.loss_sums`.  One pass.

        Curvature needs standardised `columns`.  If there is an `order` of rows, the `edges` of chunks are positions in it.
        """
        K = len(coefficients.b)
        size = self.gram_tile if wanted.blocks else self.tile(K)
        at = self.rows, loss, Targets(self.Y, self.s, order), coefficients, columns or self._unscaled
        sums = wanted.zeros(len(edges) - 1, self.d, K)
        self._share(lambda chunks: kernels.loss_sums(*at, sums, EMPTY[2], chunks, size), edges)
        return Sums(*map(added, sums))

    @cached_property
    def _unscaled(self) -> Standardised:
        """The columns without standardisation, for passes that do not compute curvature."""
        return Standardised(np.zeros(self.d), np.zeros(self.d), np.ones(self.d + 1))

    def sum(
        self, kernel: Callable[[list[np.ndarray], Chunks], None], edges: np.ndarray, *shapes: tuple[int, ...]
    ) -> list[np.ndarray]:
        """Let a kernel fill arrays of these shapes for each chunk of rows, and add the arrays in the order of the chunks."""
        out = [np.zeros((len(edges) - 1, *shape)) for shape in shapes]
        self._share(lambda chunks: kernel(out, chunks), edges)
        return [added(values) for values in out]

    def _share(self, work: Callable[[Chunks], None], edges: np.ndarray) -> None:
        """Let each thread work on consecutive chunks."""
        if len(edges) == 2:  # one chunk
            work(Chunks(edges, 0, 1))
            return
        list(self.team.map(lambda run: work(Chunks(edges, *run)), self._runs(len(edges) - 1)))

    def _runs(self, count: int) -> list[tuple[int, int]]:
        """The edges (first, last) of the consecutive chunks, out of `count`, that each thread takes."""
        cuts = [count * thread // self.team.size for thread in range(self.team.size + 1)]
        return [(first, last) for first, last in pairwise(cuts) if first < last]

    @cached_property
    def column_moments(self) -> ColumnMoments:
        """Weighted means and sums of squared deviations of the columns.  One pass.

        The row with the largest weight is subtracted first.  For this row (x - mean)^2 <= n variance, so the relative
        rounding error stays below n eps.
        """
        shift = dense_row(self.X, int(np.argmax(self.s)))
        return ColumnMoments.of_sums(self.sums_of_columns(self.s, shift), shift, self.n, float(self.s.sum()))

    def target_moments(self) -> ColumnMoments:
        """Weighted means and sums of squared deviations of the targets."""
        return self._target_moments

    @cached_property
    def _target_moments(self) -> ColumnMoments:
        weight = float(self.s.sum())
        mean = self.Y @ self.s / weight
        return ColumnMoments(weight, mean, (self.Y - mean[:, None]) ** 2 @ self.s)

    def sums_of_columns(self, weights: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """The sums (4, d) that `kernels.moments` computes, with these weights (n,).  One pass."""
        edges = chunk_edges(self.n, self.entries, MAX_CHUNKS, 4 * self.d)
        return self.sum(lambda out, chunks: kernels.moments(self.rows, weights, shift, *out, chunks), edges, (4, self.d))[0]

    def squares(self, c: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The diagonal (d + 1,) of `gram`.  One pass."""
        stored, _, squares, counts = self.sums_of_columns(c, mean)
        total = float(c.sum())
        implicit = np.where(counts < self.n, np.maximum(total - stored, 0.0), 0.0)  # the weight of zeros that are not stored
        return scale**2 * np.append(squares + implicit * mean**2, total)

    def fingerprint(self) -> tuple[Any, ...]:
        """A fingerprint of the data: moments of the columns with random weights.  One pass.

        If an entry changes or moves to another row, the fingerprint changes, unless rounding of the sums hides the change.
        """
        weights = np.random.default_rng(0).uniform(0.5, 1.5, self.n)
        sums = (self.sums_of_columns(weights, np.zeros(self.d)), self.Y @ weights, self.s @ weights)
        return self.dtype, self.sparse, self.n, *(values.tobytes() for values in sums)

    def row_curvatures(self, loss: Any, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The second derivatives (K, n) of the loss by each score, times the weight of the row.  One pass."""
        K, arguments = len(b), (self.rows, loss, Targets(self.Y, self.s, NO_ORDER), Coefficients(W, b), self._unscaled)
        out, chunks = np.empty((K, self.n)), Chunks(np.array([0, self.n]), 0, 1)
        kernels.loss_sums(*arguments, Wanted().zeros(1, self.d, K), out, chunks, self.tile(K))
        return out

    def scores(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The scores (X W + b)' of shape (K, n).  One pass."""
        out, at, size = np.empty((len(b), self.n)), Coefficients(W, b), self.tile(len(b))
        edges = chunk_edges(self.n, self.entries * len(b), MAX_CHUNKS, 1)
        self._share(lambda chunks: kernels.scores(self.rows, at, out, chunks, size), edges)
        return out

    def transposed(self, R: np.ndarray) -> np.ndarray:
        """The product X' R' of shape (d, K) for R (K, n), with the sums of R' as an additional last row.  One pass."""
        K, size = len(R), self.tile(len(R))
        edges = chunk_edges(self.n, self.entries * K, MAX_CHUNKS, (self.d + 1) * K)
        return self.sum(lambda out, chunks: kernels.transposed(self.rows, R, *out, chunks, size), edges, (self.d + 1, K))[0]

    def gram(self, c: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The sum (D, D) of c_i x~_i x~_i' with x~ = scale * (x - mean, 1); rows with c_i = 0 are skipped."""
        index, D = np.flatnonzero(c), self.d + 1
        edges = chunk_edges(len(index), len(index) * self.d, FEW_CHUNKS, 1)
        arguments = self.rows, index, c[index], self.standardised(mean, scale)
        size = self.gram_tile
        return self.sum(lambda out, chunks: kernels.weighted_gram(*arguments, *out, chunks, size), edges, (D, D))[0]

    def standardised(self, mean: np.ndarray, scale: np.ndarray) -> Standardised:
        """The standardised columns in the form that kernels read."""
        return Standardised(mean, self.origin(mean), scale)

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest entry of each column."""
        return column_ranges(self.X)

    def smallest_weight(self) -> float:
        """The smallest weight."""
        return float(self.s.min())

    def intercept_only_scores(self, loss: Any) -> np.ndarray:
        """The scores (K,) of the best model that has only an intercept, or an approximation of them."""
        return np.asarray(loss.intercept_only_scores(self.Y, self.s))

    def tile(self, columns: int) -> int:
        """The number of rows in a tile for this number of columns of scores, such that a tile fits into the nearest caches."""
        entries, most = (65536, 128) if columns == 1 else (32768, 256)
        return max(8, min(entries // max(self.entries // max(self.n, 1), columns, 1), most))

    @property
    def gram_tile(self) -> int:
        """The number of rows in a tile for curvature."""
        return GRAM_TILE if self.d >= WIDE else max(16, min(GRAM_TILE, 2048 // (self.d + 1)) // 8 * 8)


def chunk_edges(n: int, work: int, most: int, room: int) -> np.ndarray:
    """The edges of at most `most` chunks of n rows, which depend only on the size of the data.

    A pass reads `work` entries.  Chunks are large enough to be worth handing out to a thread.  The sums of a chunk take `room`
    floats, and there are so few chunks that all sums together are small compared with X.
    """
    count = max(1, min(most, work // SMALL, work // (4 * room)))
    return np.array([n * chunk // count for chunk in range(count + 1)])
