"""A table: rows in memory with their targets and weights, and passes over them.

A pass runs on a fixed partition of the rows, whose records are added in order: the bits of the result do not depend on the
number of threads.
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
from .rows import WIDE, canonical, column_ranges, rows_of, stored_entries

PARTS = 16  # of the rows of a large X: more than any thread count worth having here, few enough to cost nothing
LARGE_PARTS = 4  # where records are matrices
SMALL = 1 << 15  # entries of X that one thread reads in the time that handing out a part takes
SAMPLE = 1 << 26  # bytes of a sample, at most
GRAM_TILE = 128  # rows of a tile for curvature, which is in the nearest cache twice


class Table:
    """Rows in memory.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        Validated; not copied.
    Y : ndarray of shape (T, n)
        Targets, or class codes.
    s : ndarray of shape (n,)
        Positive weights.
    team : Team
        The threads that share a pass.
    first : int
        The number of the first row, where these are some of many.
    """

    expensive = False  # whether a pass costs much more than its arithmetic

    def __init__(self, X: Any, Y: np.ndarray, s: np.ndarray, team: Team = ALONE, first: int = 0) -> None:
        self.X, self.Y, self.s = canonical(X), writable(Y), s
        self.rows = rows_of(self.X)
        self.n, self.d = X.shape
        self.team, self.first = team, first

    def __reduce__(self) -> tuple[Any, ...]:
        """What the rows are made of travels, and neither views of it nor threads."""
        return Table, (self.X, self.Y, self.s, ALONE, self.first)

    @property
    def representative(self) -> Table:
        """Rows that stand for all: here all of them."""
        return self

    @property
    def sparse(self) -> bool:
        return sp.issparse(self.X)

    @property
    def dtype(self) -> np.dtype:
        return self.X.dtype

    @property
    def entries(self) -> int:
        """Entries of X that a pass reads."""
        return stored_entries(self.X)

    @cached_property
    def squared_norms(self) -> np.ndarray:
        """|x_i|^2 of all rows, (n,)."""
        return np.asarray(row_norms(self.X, squared=True), dtype=float)

    @cached_property
    def columnwise(self) -> Any:
        """A sparse X by columns, copied."""
        return self.X.tocsc()

    @cached_property
    def _whole(self) -> np.ndarray:
        return kernels.whole_columns(self.rows, self.d)

    def origin(self, mean: np.ndarray) -> np.ndarray:
        """The point (d,) that rows are taken from where their squares are summed.

        That is the mean, or, in columns with zeros that are not stored, zero: sums of squares around it lose the variation
        of a column that is far from it in all rows.
        """
        return np.where(self._whole, mean, 0.0)

    def shared_by(self, team: Team) -> Table:
        """The same rows, for other threads."""
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
        """Some columns alone, copied."""
        X = self.X[:, index] if self.sparse else np.ascontiguousarray(self.X[:, index])
        return Table(X, self.Y, self.s, self.team, self.first)

    def total(self, query: Callable[[Table], tuple[Any, ...]]) -> tuple[Any, ...]:
        """The answer of all rows to one of `queries.py`: of those in memory, that of the table."""
        return query(self)

    def sum(
        self, kernel: Callable[..., tuple[np.ndarray, ...]], edges: np.ndarray, *arguments: Any, tile: Any = ()
    ) -> list[Any]:
        """Add the records that a kernel makes of the parts of the rows, in their order; threads take runs of parts."""
        count = len(edges) - 1
        if count == 1:
            return [values[0] for values in kernel(*arguments, edges, 0, 1, *tile)]
        records = list(self.team.map(lambda run: kernel(*arguments, edges, *run, *tile), self._runs(count)))
        return [np.concatenate(values).sum(axis=0) for values in zip(*records, strict=True)]

    def _runs(self, count: int) -> list[tuple[int, int]]:
        """First and last of the parts that each thread takes, of so many."""
        cuts = [count * share // self.team.size for share in range(self.team.size + 1)]
        return [(first, last) for first, last in pairwise(cuts) if first < last]

    @cached_property
    def column_moments(self) -> ColumnMoments:
        """Weighted means and squared deviations of the columns.  One pass.

        Columns are shifted by the heaviest row: (x - mean)^2 <= n variance for it, so rounding stays below n eps.
        """
        shift = np.empty((1, self.d))
        kernels.densify(self.rows, np.array([np.argmax(self.s)]), shift)
        return ColumnMoments.of_sums(self.sums_of_columns(self.s, shift[0]), shift[0], self.n, float(self.s.sum()))

    def target_moments(self) -> ColumnMoments:
        """Weighted means and squared deviations of the targets."""
        return self._target_moments

    @cached_property
    def _target_moments(self) -> ColumnMoments:
        weight = float(self.s.sum())
        mean = self.Y @ self.s / weight
        return ColumnMoments(weight, mean, (self.Y - mean[:, None]) ** 2 @ self.s)

    def sums_of_columns(self, weights: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Sums (4, d) of `kernels.moments` with weights (n,).  One pass."""
        edges = partition(self.n, self.entries, PARTS, 4 * self.d)
        return self.sum(kernels.moments, edges, self.rows, weights, shift)[0]

    def squares(self, c: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The diagonal (d + 1,) of `gram`.  One pass."""
        stored, _, squares, counts = self.sums_of_columns(c, mean)
        total = float(c.sum())
        implicit = np.where(counts < self.n, np.maximum(total - stored, 0.0), 0.0)  # the zeros that CSR does not store
        return scale**2 * np.append(squares + implicit * mean**2, total)

    def fingerprint(self) -> tuple[Any, ...]:
        """What tells data from other data: its moments with random weights.  One pass.

        Any entry that changes, or changes its row, changes them, unless that is lost in the rounding of a column's sums.
        """
        weights = np.random.default_rng(0).uniform(0.5, 1.5, self.n)
        sums = (self.sums_of_columns(weights, np.zeros(self.d)), self.Y @ weights, self.s @ weights)
        return self.dtype, self.sparse, self.n, *(values.tobytes() for values in sums)

    def row_curvatures(self, loss: Any, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Second derivatives (K, n) of the loss by all scores, times the weights of their rows.  One pass."""
        out = np.empty((len(b), self.n))
        kernels.row_curvatures(self.rows, loss, self.Y, self.s, W, b, np.array([0, self.n]), 0, 1, self.tile(len(b)), out)
        return out

    def scores(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """X W + b as (K, n).  One pass."""
        out, size = np.empty((len(b), self.n)), self.tile(len(b))
        edges = partition(self.n, self.entries * len(b), PARTS, 1)
        list(self.team.map(lambda run: kernels.scores(self.rows, W, b, out, edges, *run, size), self._runs(len(edges) - 1)))
        return out

    def transposed(self, R: np.ndarray) -> np.ndarray:
        """X' R', and in the last row the sums of R', for R (K, n): (d + 1, K).  One pass."""
        edges = partition(self.n, self.entries * len(R), PARTS, (self.d + 1) * len(R))
        return np.asarray(self.sum(kernels.transposed, edges, self.rows, self.d, R, tile=(self.tile(len(R)),))[0])

    def gram(self, c: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The sum of c_i x~_i x~_i', x~ = scale * (x - mean, 1), for c (n,); rows with c_i = 0 cost nothing."""
        index = np.flatnonzero(c)
        edges = partition(len(index), len(index) * self.d, LARGE_PARTS, 1)
        arguments = self.rows, index, c[index], mean, self.origin(mean), scale
        return np.asarray(self.sum(kernels.weighted_gram, edges, *arguments, tile=(self.gram_tile,))[0])

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest entry of each column."""
        return column_ranges(self.X)

    def smallest_weight(self) -> float:
        """The smallest weight."""
        return float(self.s.min())

    def intercept_only_scores(self, loss: Any) -> np.ndarray:
        """The best scores (K,) that ignore X, or close to them."""
        return np.asarray(loss.intercept_only_scores(self.Y, self.s))

    def tile(self, columns: int) -> int:
        """Rows of a tile for so many columns of scores: as many as fit the nearest caches."""
        entries = 16384 if columns == 1 else 32768
        return max(8, min(entries // max(self.entries // max(self.n, 1), columns, 1), 256))

    @property
    def gram_tile(self) -> int:
        """Rows of a tile for curvature."""
        return GRAM_TILE if self.d >= WIDE else max(16, min(GRAM_TILE, 2048 // (self.d + 1)) // 8 * 8)


def partition(n: int, work: int, most: int, room: int) -> np.ndarray:
    """Edges of at most `most` parts of n rows, a function of the data's size alone.

    Partitions are worth handing out (`work` entries are read in all), and so few that their records of `room` floats stay
    small beside X.
    """
    count = max(1, min(most, work // SMALL, work // (4 * room)))
    return np.array([n * part // count for part in range(count + 1)])
