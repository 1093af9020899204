"""The objective F(theta) = sum_i s_i loss(y_i, scores_i) / n + penalty(theta), on given data in given coordinates.

It asks its data for sums over rows (`queries.py`), which may be one table in memory or partitions of more rows, and
divides by their number.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .coordinates import CONSTANT, ColumnMoments, Coordinates
from .data.partitioned_data import PartitionedData
from .data.queries import Curvature, CurvatureDiagonal, Gradient, Losses, NormalEquations, Together
from .data.table import Table
from .fit_cache import FitCache, Point
from .monitoring.warning import warn
from .penalties import Penalty, penalty_value

OFFSET = 1e-9  # share of its squares that varies, below which a column without an intercept is as good as constant
VARIES = CONSTANT**2  # and above which it is not


class Objective:
    """A loss with its data, a penalty and coordinates.

    Parameters
    ----------
    data : Table or PartitionedData
        n rows of d columns, with weights of mean one.
    loss : struct of losses
    penalty : Penalty
        On the d raw coefficients.
    coordinates : Coordinates
    cache : FitCache or None
        What is known of the loss in these coordinates; None: nothing yet.
    """

    def __init__(
        self,
        data: Table | PartitionedData,
        loss: Any,
        penalty: Penalty,
        coordinates: Coordinates,
        cache: FitCache | None = None,
    ) -> None:
        self.data, self.loss, self.raw_penalty, self.coordinates = data, loss, penalty, coordinates
        self.n, self.d, self.K = data.n, data.d, loss.n_outputs
        self.cache = FitCache() if cache is None else cache
        # Where passes are dear: theta, the arguments and the answer of `curvature` there, maybe that of `curvature_diagonal`.
        self._seen: tuple[Any, ...] = (None,)

    @property
    def in_memory(self) -> bool:
        return isinstance(self.data, Table)

    @property
    def table(self) -> Table:
        """The data, where all of it is in memory."""
        if not isinstance(self.data, Table):
            raise TypeError("This needs all rows in memory.")
        return self.data

    @property
    def partitioned(self) -> PartitionedData:
        """The data, where it is in partitions."""
        if not isinstance(self.data, PartitionedData):
            raise TypeError("This needs rows in partitions.")
        return self.data

    @cached_property
    def penalty(self) -> Penalty:
        """That on the d + 1 coefficients of theta; the intercept has none."""
        scaled = self.raw_penalty.scaled(self.coordinates.scale[:-1])
        return Penalty(*(np.append(weights, 0.0) for weights in scaled))

    @property
    def unpenalised(self) -> bool:
        return not (self.penalty.non_smooth.any() or self.penalty.l2.any())

    def sample(self, stride: int) -> Objective:
        """The objective of the rows whose numbers are multiples of `stride`, copied, with some more L2 penalty.

        It is that of one more row, as large as the largest, in every column; and coefficients of columns that do not
        vary in the sample stay where they are.  What few rows say of a rare column would else be believed without
        limit, and all rows contradict it.
        """
        table, (mean, scale) = self.data.thinned(stride), self.coordinates
        table.s *= table.n / table.s.sum()
        low, high = table.ranges()
        row = np.maximum(high - mean, mean - low) ** 2 * self.loss.curvature_bound() / table.n
        penalty = self.raw_penalty._replace(l2=self.raw_penalty.l2 + row)
        return Objective(table, self.loss, penalty, Coordinates(mean, scale * np.append(low < high, True)))

    def features(self, index: np.ndarray) -> Objective:
        """The objective of some columns of X alone, copied."""
        mean, scale = self.coordinates
        coordinates = Coordinates(mean[index], scale[np.append(index, self.d)])
        return Objective(self.data.columns(index), self.loss, self.raw_penalty.of(index), coordinates)

    def in_coordinates(self, coordinates: Coordinates, cache: FitCache | None = None) -> Objective:
        return Objective(self.data, self.loss, self.raw_penalty, coordinates, cache)

    def with_loss(self, loss: Any) -> Objective:
        return Objective(self.data, loss, self.raw_penalty, self.coordinates)

    def with_own_curvature(self) -> Objective:
        """The same one, whose rows far off count with the curvature that they have; what is known of the loss is still true."""
        loss = self.loss.with_own_curvature()
        other = Objective(self.data, loss, self.raw_penalty, self.coordinates, self.cache)
        other._seen = (None, *self._seen[1:3])
        return other

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """F(theta), and the gradient (d + 1, K) of its loss part.  One pass over X, or none where that was the last."""
        point = self.cache.point
        if point is None or not np.array_equal(point.theta, theta):
            self.cache.point = point = Point(theta, *self.loss_part(theta))
        return point.loss + penalty_value(theta, self.penalty), point.gradient

    def loss_part(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss part of F(theta), and its gradient (d + 1, K).  One pass over X."""
        losses, gradient = self.loss_parts(theta)
        return float(losses.sum()), gradient

    def loss_parts(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss parts (K,) of all columns, and their gradient (d + 1, K).  One pass over X."""
        losses, G = self.data.total(Gradient(self.loss, *self.coordinates.raw(theta)))
        return losses / self.n, self.coordinates.gradient(G / self.n)

    def of_columns(self, index: np.ndarray, cache: FitCache | None = None) -> Objective:
        """That of some columns of scores alone, where they are independent and in memory."""
        loss = self.loss.with_n_outputs(len(index))
        return Objective(self.table.with_targets(self.table.Y[index]), loss, self.raw_penalty, self.coordinates, cache)

    @cached_property
    def intercept_only_value(self) -> float:
        """F at the best constant scores, or close to them.  One pass over X."""
        b = self.data.intercept_only_scores(self.loss) * self.coordinates.centred
        return self.mean_loss(np.zeros((self.d, self.K)), b)

    def mean_loss(self, W: np.ndarray, b: np.ndarray) -> float:
        """The loss part of F at raw coefficients, without its gradient.  One pass over X."""
        return self.mean_losses([(self.loss, W, b)])[0]

    def mean_losses(self, points: list[tuple[Any, np.ndarray, np.ndarray]]) -> list[float]:
        """The mean of each (loss, W, b) among several.  One pass over X that is dear, else one for each."""
        return [total / self.n for total in self.data.total(Losses(points))]

    def values(self, thetas: list[np.ndarray]) -> list[float]:
        """F at each theta.  A pass as of `mean_losses`."""
        losses = self.mean_losses([(self.loss, *self.coordinates.raw(theta)) for theta in thetas])
        return [loss + penalty_value(theta, self.penalty) for loss, theta in zip(losses, thetas, strict=True)]

    def score_scale(self) -> np.ndarray:
        """The natural size (K,) of each column's scores: that of a regression's targets, 1 where they have no unit."""
        return self.data.target_moments().units if self.loss.scores_are_targets() else np.ones(self.K)

    def finite_moments(self, fit_intercept: bool) -> ColumnMoments:
        """Of the columns.  One pass; ValueError for one whose squares overflow."""
        moments = self.data.column_moments
        overflown = np.flatnonzero(~np.isfinite(moments.mean_squares(fit_intercept)))
        if len(overflown):
            raise ValueError(f"Column {overflown[0]} of X holds values whose squares exceed the range of floats: rescale it.")
        return moments

    def standardise(self, fit_intercept: bool) -> Coordinates:
        """Standardised coordinates of the data, from its `finite_moments`."""
        moments = self.finite_moments(fit_intercept)
        if not fit_intercept:
            _warn_of_offsets(moments)
        return moments.coordinates(self.raw_penalty.l2 / self.loss.curvature_bound(), fit_intercept)

    def curvature(self, theta: np.ndarray, most_rows: int, diagonal: int = 0) -> np.ndarray:
        """The Hessian of the loss part at theta, from at most about `most_rows` evenly spaced rows.

        Blocks (P, D, D): the first `diagonal` blocks (k, k), or all those with l <= k where `diagonal` is 0; see
        `kernels.curvature`.
        """
        if self.data.expensive:
            return self._all_at(theta, most_rows, diagonal)
        H, weight = self.data.total(self._curvature_question(theta, most_rows, diagonal))
        return H / weight

    def look_ahead(self, theta: np.ndarray) -> None:
        """Where passes are dear, have one tell all of theta: the curvature, asked for as last time, will be wanted, too."""
        if self.data.expensive and len(self._seen) > 1:
            self._all_at(theta, *self._seen[1:3])

    def _curvature_question(self, theta: np.ndarray, most_rows: int, diagonal: int) -> Curvature:
        return Curvature(self.loss, *self.coordinates.raw(theta), *self.coordinates, diagonal, stride=-(-self.n // most_rows))

    def _all_at(self, theta: np.ndarray, most_rows: int, diagonal: int) -> np.ndarray:
        """The curvature, and whatever else may be asked of the loss at theta."""
        if not (np.array_equal(self._seen[0], theta) and self._seen[1:3] == (most_rows, diagonal)):
            W, b = self.coordinates.raw(theta)
            queries: list[Any] = [self._curvature_question(theta, most_rows, diagonal), Gradient(self.loss, W, b)]
            if most_rows < self.n:
                queries.append(CurvatureDiagonal(self.loss, W, b, *self.coordinates))
            H, weight, loss, G, *q = self.data.total(Together(queries))
            self.cache.point = Point(theta, float(loss.sum()) / self.n, self.coordinates.gradient(G / self.n))
            self._seen = theta, most_rows, diagonal, H / weight, *q
        return self._seen[3].copy()

    def normal_equations(self, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Of a quadratic loss: its value, gradient (D, K) and Hessian (D, D) at constant scores b (K,).  One pass over X."""
        loss, G, H = self.data.total(NormalEquations(self.loss, b, *self.coordinates))
        return loss / self.n, self.coordinates.gradient(G / self.n), H / self.n

    def curvature_diagonal(self, theta: np.ndarray) -> np.ndarray:
        """The diagonal (d + 1, K) of the Hessian of the loss part at theta.  One pass over X."""
        if len(self._seen) > 4 and np.array_equal(self._seen[0], theta):
            q = self._seen[4]
        else:
            (q,) = self.data.total(CurvatureDiagonal(self.loss, *self.coordinates.raw(theta), *self.coordinates))
        return q / self.n


def _warn_of_offsets(moments: ColumnMoments) -> None:
    """Without an intercept columns are not centred: several that hardly vary are then one column to the arithmetic."""
    square = moments.mean_squares(centred=False)
    share = np.divide(moments.variance, square, out=np.ones_like(square), where=square > 0.0)
    alike = np.flatnonzero(share < OFFSET)
    if len(alike) > 1 and share[alike].max() > VARIES:
        warn(
            f"Columns {alike[0]} and {alike[1]} of X vary by less than {np.sqrt(OFFSET):.0e} of their mean, and without an "
            "intercept nothing tells them apart: the fit may stop above its minimum. Set fit_intercept=True, or subtract "
            "their offset.",
            ConvergenceWarning,
        )
