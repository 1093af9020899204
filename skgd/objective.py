"""The objective F(theta) = sum_i s_i loss(y_i, scores_i) / n + penalty(theta), on given data in given coordinates.

Weights s have mean one.  A pass over X runs on a fixed partition of the rows, whose records are added in order: the
bits of the result do not depend on the number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import row_norms

from . import kernels
from ._jit import writable
from .coordinates import Coordinates, standardised
from .memory import Memory, Point
from .penalties import Penalty, penalty_value
from .rows import WIDE, canonical, column_ranges, rows_of, stored_entries
from .threads import ALONE, Team

PARTS = 16  # of the rows of a large X: more than any thread count worth having here, few enough to cost nothing
LARGE_PARTS = 4  # where records are matrices
SMALL = 1 << 15  # entries of X that one thread reads in the time that handing out a part takes
OFFSET = 1e-9  # share of its squares that varies, below which a column without an intercept is as good as constant
VARIES = 1e-14  # and above which it is not
GRAM_TILE = 128  # rows of a tile for curvature, which is in the nearest cache twice


class Objective:
    """A loss with its data, a penalty and coordinates.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        Validated; not copied.
    loss : struct of losses
    Y : ndarray of shape (T, n)
        Targets, or class codes.
    s : ndarray of shape (n,)
        Weights of mean one.
    penalty : Penalty
        On the d raw coefficients.
    coordinates : Coordinates
    team : Team
        The threads that share a pass.
    memory : Memory or None
        What is known of the loss in these coordinates; None: nothing yet.
    """

    def __init__(
        self, X, loss, Y, s, penalty: Penalty, coordinates: Coordinates, team: Team = ALONE, memory: Memory | None = None
    ) -> None:
        self.X, self.loss, self.Y, self.s = canonical(X), loss, writable(Y), s
        self.rows = rows_of(self.X)
        self.n, self.d = X.shape
        self.K = loss.columns
        self.raw_penalty = penalty
        self.coordinates, self.team = coordinates, team
        self.memory = Memory() if memory is None else memory
        # Rows of a tile: as many as fit the nearest caches.
        entries = 16384 if self.K == 1 else 32768
        self.tile = max(8, min(entries // max(stored_entries(self.X) // max(self.n, 1), self.K, 1), 256))

    @cached_property
    def penalty(self) -> Penalty:
        """That on the d + 1 coefficients of theta; the intercept has none."""
        scaled = self.raw_penalty.scaled(self.coordinates.scale[:-1])
        return Penalty(*(np.append(weights, 0.0) for weights in scaled))

    @cached_property
    def squared_norms(self) -> np.ndarray:
        """|x_i|^2 of all rows, (n,)."""
        return np.asarray(row_norms(self.X, squared=True), dtype=float)

    @cached_property
    def columnwise(self):
        """A sparse X by columns, copied."""
        return self.X.tocsc()

    @cached_property
    def edges(self) -> np.ndarray:
        """The partition of the rows for passes."""
        return partition(self.n, stored_entries(self.X) * self.K, PARTS, (self.d + 1) * self.K)

    @property
    def gram_tile(self) -> int:
        """Rows of a tile for curvature."""
        return GRAM_TILE if self.d >= WIDE else max(16, min(GRAM_TILE, 2048 // (self.d + 1)) // 8 * 8)

    @property
    def unpenalised(self) -> bool:
        return not (self.penalty.kinked.any() or self.penalty.l2.any())

    @property
    def sparse(self) -> bool:
        return sp.issparse(self.X)

    def sample(self, rows: int) -> Objective:
        """The objective of about `rows` evenly spaced rows, copied, with some more L2 penalty.

        It is that of one more row, as large as the largest, in every column; and coefficients of columns that do not
        vary in the sample stay where they are.  What few rows say of a rare column would else be believed without
        limit, and all rows contradict it.
        """
        every = slice(0, self.n, -(-self.n // rows))
        s = np.ascontiguousarray(self.s[every])
        Y = np.ascontiguousarray(self.Y[:, every])
        X, (mean, scale) = self.X[every], self.coordinates
        low, high = column_ranges(X)
        row = np.maximum(high - mean, mean - low) ** 2 * self.loss.smoothness() / len(s)
        penalty = self.raw_penalty._replace(l2=self.raw_penalty.l2 + row)
        coordinates = Coordinates(mean, scale * np.append(low < high, True))
        return Objective(X, self.loss, Y, s * (len(s) / s.sum()), penalty, coordinates, self.team)

    def columns(self, index: np.ndarray) -> Objective:
        """The objective of some columns alone, copied."""
        mean, scale = self.coordinates
        coordinates = Coordinates(mean[index], scale[np.append(index, self.d)])
        X = self.X[:, index] if self.sparse else np.ascontiguousarray(self.X[:, index])
        return Objective(X, self.loss, self.Y, self.s, self.raw_penalty.of(index), coordinates, self.team)

    def in_coordinates(self, coordinates: Coordinates, memory: Memory | None = None) -> Objective:
        return Objective(self.X, self.loss, self.Y, self.s, self.raw_penalty, coordinates, self.team, memory)

    def with_loss(self, loss) -> Objective:
        return Objective(self.X, loss, self.Y, self.s, self.raw_penalty, self.coordinates, self.team)

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """F(theta), and the gradient (d + 1, K) of its loss part.  One pass over X, or none where that was the last."""
        point = self.memory.point
        if point is None or not np.array_equal(point.theta, theta):
            self.memory.point = point = Point(theta, *self.loss_part(theta))
        return point.loss + penalty_value(theta, self.penalty), point.gradient

    def loss_part(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss part of F(theta), and its gradient (d + 1, K).  One pass over X."""
        W, b = self.coordinates.raw(theta)
        loss, G = self._sum(kernels.record, self.edges, self.rows, self.loss, self.Y, self.s, W, b, tile=(self.tile,))
        return loss / self.n, self.coordinates.gradient(G / self.n)

    def mean_loss(self, W: np.ndarray, b: np.ndarray) -> float:
        """The loss part of F at raw coefficients, without its gradient."""
        (loss,) = self._sum(kernels.loss_sum, self.edges, self.rows, self.loss, self.Y, self.s, W, b, tile=(self.tile,))
        return loss / self.n

    def _sum(self, kernel: Callable[..., tuple[np.ndarray, ...]], edges: np.ndarray, *arguments, tile=()) -> list[Any]:
        """Add the records that a kernel makes of the parts of the rows, in their order; threads take runs of parts."""
        count, size = len(edges) - 1, self.team.size
        if count == 1:
            return [values[0] for values in kernel(*arguments, edges, 0, 1, *tile)]
        cuts = [count * share // size for share in range(size + 1)]
        runs = [(first, last) for first, last in pairwise(cuts) if first < last]
        records = list(self.team.map(lambda run: kernel(*arguments, edges, *run, *tile), runs))
        return [np.concatenate(values).sum(axis=0) for values in zip(*records, strict=True)]

    def score_scale(self) -> np.ndarray:
        """The natural size (K,) of each column's scores: the deviation of a regression's targets, 1 where they have no unit."""
        if not self.loss.scores_are_targets():
            return np.ones(self.K)
        deviation = np.sqrt(self.variances())
        return np.where(deviation > 0.0, deviation, 1.0)

    def variances(self) -> np.ndarray:
        """Of the targets (T,)."""
        mean = self.Y @ self.s / self.n
        return (self.Y - mean[:, None]) ** 2 @ self.s / self.n

    def standardise(self, fit_intercept: bool) -> Coordinates:
        """Standardised coordinates of the data.  One pass; ValueError for a column whose squares overflow."""
        shift = self._heaviest_row() if fit_intercept else np.zeros(self.d)
        sums = self._moments(self.s, shift)
        overflown = np.flatnonzero(~np.isfinite(sums).all(axis=0))
        if len(overflown):
            raise ValueError(f"Column {overflown[0]} of X holds values whose squares exceed the range of floats: rescale it.")
        if not fit_intercept:
            _warn_of_offsets(sums, float(self.s.sum()))
        ridge = self.raw_penalty.l2 / self.loss.smoothness()
        return standardised(sums, shift, self.n, float(self.s.sum()), ridge, fit_intercept)

    def _moments(self, weights: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Sums (4, d) of `kernels.moments` with weights (n,).  One pass over X."""
        edges = partition(self.n, stored_entries(self.X), PARTS, 4 * self.d)
        return self._sum(kernels.moments, edges, self.rows, weights, shift)[0]

    def fingerprint(self) -> tuple[Any, ...]:
        """What tells data from other data: its moments with random weights.  One pass over X.

        Any entry that changes, or changes its row, changes them, unless that is lost in the rounding of a column's sums.
        """
        weights = np.random.default_rng(0).uniform(0.5, 1.5, self.n)
        sums = (self._moments(weights, np.zeros(self.d)), self.Y @ weights, self.s @ weights)
        return self.loss, self.X.dtype, self.sparse, self.n, self.coordinates.centred, *(values.tobytes() for values in sums)

    def _heaviest_row(self) -> np.ndarray:
        """A row of the data to shift columns by: (x - mean)^2 <= n variance for it, so rounding stays below n eps."""
        out = np.empty((1, self.d))
        kernels.densify(self.rows, np.array([np.argmax(self.s)]), out)
        return out[0]

    def curvature(self, theta: np.ndarray, most_rows: int, diagonal: int = 0) -> np.ndarray:
        """The Hessian of the loss part at theta, from at most about `most_rows` evenly spaced rows.

        Blocks (P, D, D): the first `diagonal` blocks (k, k), or all those with l <= k where `diagonal` is 0; see
        `kernels.curvature`.
        """
        index = np.arange(0, self.n, -(-self.n // most_rows))
        W, b = self.coordinates.raw(theta)
        mean, scale = self.coordinates
        edges = partition(len(index), len(index) * self.d * (diagonal or self.K * self.K), LARGE_PARTS, 1)
        arguments = self.rows, self.loss, index, self.Y, self.s, mean, scale, W, b, diagonal
        (H,) = self._sum(kernels.curvature, edges, *arguments, tile=(self.gram_tile,))
        H /= self.s[index].sum()
        return H

    def normal_equations(self, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Of a quadratic loss: its value, gradient (D, K) and Hessian (D, D) at constant scores b (K,).  One pass over X."""
        mean, scale = self.coordinates
        edges = partition(self.n, self.n * self.d, LARGE_PARTS, 1)
        arguments = self.rows, self.loss, self.Y, self.s, mean, scale, b
        loss, G, H = self._sum(kernels.normal_equations, edges, *arguments, tile=(self.gram_tile,))
        return loss / self.n, self.coordinates.gradient(G / self.n), H / self.n

    def row_curvatures(self, theta: np.ndarray) -> np.ndarray:
        """Second derivatives (K, n) of the loss by all scores, times the weights of their rows.  One pass over X."""
        W, b = self.coordinates.raw(theta)
        out = np.empty((self.K, self.n))
        kernels.row_curvatures(self.rows, self.loss, self.Y, self.s, W, b, np.array([0, self.n]), 0, 1, self.tile, out)
        return out

    def curvature_diagonal(self, theta: np.ndarray) -> np.ndarray:
        """The diagonal (d + 1, K) of the Hessian of the loss part at theta.  One pass over X."""
        W, b = self.coordinates.raw(theta)
        mean, scale = self.coordinates
        arguments = self.rows, self.loss, self.Y, self.s, mean, W, b
        (q,) = self._sum(kernels.curvature_diagonal, self.edges, *arguments, tile=(self.tile,))
        if self.sparse:
            q[:, :-1] += mean**2 * q[:, -1:]
        return np.ascontiguousarray((scale**2 * np.maximum(q, 0.0)).T) / self.n


def _warn_of_offsets(moments: np.ndarray, weight: float) -> None:
    """Without an intercept columns are not centred: several that hardly vary are then one column to the arithmetic."""
    _, sums, squares, _ = moments
    share = 1.0 - np.divide(sums**2, weight * squares, out=np.zeros_like(sums), where=squares > 0.0)
    alike = np.flatnonzero(share < OFFSET)
    if len(alike) > 1 and share[alike].max() > VARIES:
        warnings.warn(
            f"Columns {alike[0]} and {alike[1]} of X vary by less than {np.sqrt(OFFSET):.0e} of their mean, and without an "
            "intercept nothing tells them apart: the fit may stop above its minimum. Set fit_intercept=True, or subtract "
            "their offset.",
            ConvergenceWarning,
            stacklevel=8,
        )


def partition(n: int, work: int, most: int, room: int) -> np.ndarray:
    """Edges of at most `most` parts of n rows, a function of the data's size alone.

    Parts are worth handing out (`work` entries are read in all), and so few that their records of `room` floats stay
    small beside X.
    """
    count = max(1, min(most, work // SMALL, work // (4 * room)))
    return np.array([n * part // count for part in range(count + 1)])
