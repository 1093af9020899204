"""The objective F(theta) = sum_i s_i loss(y_i, scores_i) / n + penalty(theta), on given data in given coordinates.

Here y_i is the target of row i, s_i its weight, and scores_i = x_i W + b are the linear predictions.  The objective asks its
data for sums over rows (`data/queries.py`) and divides them by n, the number of rows.  The data is one table in memory, or
partitions of a data set that need not fit into memory.  Docstrings give costs in passes; a pass reads all rows of X once.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .compiled.threads import Team
from .coordinates import CONSTANT, ColumnMoments, Coordinates
from .data.curved_rows import CurvedRows
from .data.partitioned_data import PartitionedData
from .data.queries import Curvature, CurvatureDiagonal, Gradient, Losses, NormalEquations, Together
from .data.table import Table
from .fit_cache import FitCache, Point
from .monitoring.warning import warn
from .penalties import Penalty, penalty_value

# Two bounds of the variance of a column, relative to its mean square.  Columns below the first one that are not centred look
# alike, and a fit may stop above its minimum.  A column below the second one is constant up to rounding errors.
HARDLY_VARIES, IS_CONSTANT = 1e-9, CONSTANT**2


class CurvatureRequest(NamedTuple):
    """The arguments of `Objective.curvature` beside the point."""

    max_rows: int
    diagonal_blocks: int


class CurvatureAtPoint(NamedTuple):
    """The curvature at a point, as one pass over partitions computed it."""

    theta: np.ndarray
    request: CurvatureRequest
    hessian: np.ndarray  # (P, D, D)
    diagonal: np.ndarray | None  # (D, K), summed over all rows; None if the Hessian itself is made from all rows


class Objective:
    """A loss with its data, a penalty and coordinates.

    Parameters
    ----------
    data : Table or PartitionedData
        n rows of d columns, with weights of mean one.
    loss : struct of losses
    penalty : Penalty
        The penalty on the d raw coefficients.
    coordinates : Coordinates
    cache : FitCache or None
        What earlier fits have computed of the loss in these coordinates.  None: nothing yet.

    Attributes
    ----------
    n, d, K : int
        The numbers of rows, of columns of X and of columns of scores.  Coefficients theta have shape (D, K) with D = d + 1, the
        intercepts in the last row.
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
        # Only used where passes are expensive: the last request for curvature, and the curvature that was computed for it.
        self._request: CurvatureRequest | None = None
        self.curved_rows = CurvedRows()
        self._curvature: CurvatureAtPoint | None = None

    # ---------------------------------------------------------------- data and penalty
    @property
    def in_memory(self) -> bool:
        """Whether all rows are in memory."""
        return isinstance(self.data, Table)

    @property
    def table(self) -> Table:
        """The data, if all of it is in memory; else TypeError."""
        if not isinstance(self.data, Table):
            raise TypeError("This needs all rows in memory.")
        return self.data

    @property
    def partitioned(self) -> PartitionedData:
        """The data, if it is in partitions; else TypeError."""
        if not isinstance(self.data, PartitionedData):
            raise TypeError("This needs rows in partitions.")
        return self.data

    @cached_property
    def penalty(self) -> Penalty:
        """The penalty on the d + 1 coefficients of theta; the intercept has none."""
        scaled = self.raw_penalty.scaled(self.coordinates.scale[:-1])
        return Penalty(*(np.append(weights, 0.0) for weights in scaled))

    @property
    def unpenalised(self) -> bool:
        """Whether no coefficient is penalised."""
        return not (self.penalty.non_smooth.any() or self.penalty.l2.any())

    # ---------------------------------------------------------------- objectives derived from this one
    def sample(self, stride: int) -> Objective:
        """The objective of a sample, every `stride`-th row, with an increased L2 penalty.  The rows are copied.

        The penalty on each coefficient is increased by the curvature of one more row, whose entry is the largest one of the
        column.  Without it the coefficient of a rare column would be fitted to a few rows of the sample, and all rows would
        contradict it.  Coefficients theta of columns that do not vary in the sample do not change.
        """
        table, (mean, scale) = self.data.thinned(stride), self.coordinates
        table.s *= table.n / table.s.sum()
        low, high = table.ranges()
        row = np.maximum(high - mean, mean - low) ** 2 * self.loss.curvature_bound() / table.n
        penalty = self.raw_penalty._replace(l2=self.raw_penalty.l2 + row)
        return Objective(table, self.loss, penalty, Coordinates(mean, scale * np.append(low < high, True)))

    def for_columns(self, index: np.ndarray) -> Objective:
        """The objective of some columns of X alone.  The columns are copied."""
        mean, scale = self.coordinates
        coordinates = Coordinates(mean[index], scale[np.append(index, self.d)])
        return Objective(self.data.columns(index), self.loss, self.raw_penalty.of(index), coordinates)

    def for_outputs(self, index: np.ndarray, cache: FitCache | None = None) -> Objective:
        """The objective of some columns of scores alone.  The loss must be separable, and the data in memory."""
        loss = self.loss.with_n_outputs(len(index))
        other = Objective(self.table.with_targets(self.table.Y[index]), loss, self.raw_penalty, self.coordinates, cache)
        other.curved_rows = self.curved_rows.for_outputs()
        return other

    def with_team(self, team: Team) -> Objective:
        """The same objective, whose passes are made by another team of threads."""
        return Objective(self.data.shared_by(team), self.loss, self.raw_penalty, self.coordinates)

    def in_coordinates(self, coordinates: Coordinates, cache: FitCache | None = None) -> Objective:
        """The same objective as a function of coefficients in other coordinates."""
        return Objective(self.data, self.loss, self.raw_penalty, coordinates, cache)

    def with_loss(self, loss: Any) -> Objective:
        """The objective with another loss."""
        return Objective(self.data, loss, self.raw_penalty, self.coordinates)

    def with_own_curvature(self) -> Objective:
        """The same objective, with the second derivatives of all rows instead of the surrogate curvature of far rows.

        See `losses.surrogate_curvature`.  Values and gradients do not change, so the cache is shared.
        """
        loss = self.loss.with_own_curvature()
        other = Objective(self.data, loss, self.raw_penalty, self.coordinates, self.cache)
        other._request, other.curved_rows = self._request, self.curved_rows
        return other

    # ---------------------------------------------------------------- values and gradients
    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """F(theta), and the gradient (D, K) of its loss part.  One pass over X, or none if the last evaluation was at theta."""
        point = self.cache.point
        if point is None or not np.array_equal(point.theta, theta):
            self.cache.point = point = Point(theta, *self.loss_part(theta))
        return point.loss + penalty_value(theta, self.penalty), point.gradient

    def loss_part(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss part of F(theta), and its gradient (D, K).  One pass over X."""
        losses, gradient = self.loss_parts(theta)
        return float(losses.sum()), gradient

    def loss_parts(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss part of each column of scores (K,), and their gradient (D, K).  One pass over X."""
        losses, G = self.data.total(Gradient(self.loss, *self.coordinates.raw(theta)))
        return losses / self.n, self.coordinates.gradient(G / self.n)

    @cached_property
    def intercept_only_value(self) -> float:
        """F of the intercept-only model, or a value close to it.  One pass over X."""
        b = self.data.intercept_only_scores(self.loss) * self.coordinates.centred
        return self.mean_loss(np.zeros((self.d, self.K)), b)

    def mean_loss(self, W: np.ndarray, b: np.ndarray) -> float:
        """The loss part of F at raw coefficients, without its gradient.  One pass over X."""
        return self.mean_losses([(self.loss, W, b)])[0]

    def mean_losses(self, points: list[tuple[Any, np.ndarray, np.ndarray]]) -> list[float]:
        """The mean loss at each of several points (loss, W, b).

        One pass over X for all points where passes are expensive, else one pass for each point.
        """
        return [total / self.n for total in self.data.total(Losses(points))]

    def values(self, thetas: list[np.ndarray]) -> list[float]:
        """F at each theta, for as many passes over X as `mean_losses` makes."""
        losses = self.mean_losses([(self.loss, *self.coordinates.raw(theta)) for theta in thetas])
        return [loss + penalty_value(theta, self.penalty) for loss, theta in zip(losses, thetas, strict=True)]

    # ---------------------------------------------------------------- scales
    def score_scale(self) -> np.ndarray:
        """The natural size (K,) of each column of scores.

        It is the standard deviation of the targets if scores have their unit, and 1 for margins, log-odds and logarithms.
        """
        return self.data.target_moments().units if self.loss.scores_are_targets() else np.ones(self.K)

    def finite_moments(self, fit_intercept: bool) -> ColumnMoments:
        """The moments of the columns of X.  One pass over X.  Raises ValueError if the squares of a column overflow."""
        moments = self.data.column_moments
        overflown = np.flatnonzero(~np.isfinite(moments.mean_squares(fit_intercept)))
        if len(overflown):
            raise ValueError(f"Column {overflown[0]} of X holds values whose squares exceed the range of floats: rescale it.")
        return moments

    def standardise(self, fit_intercept: bool) -> Coordinates:
        """The coordinates in which the columns of the data are standardised.  One pass over X."""
        moments = self.finite_moments(fit_intercept)
        if not fit_intercept:
            _warn_of_offsets(moments)
        return moments.coordinates(self.raw_penalty.l2 / self.loss.curvature_bound(), fit_intercept)

    # ---------------------------------------------------------------- curvature
    def curvature(self, theta: np.ndarray, max_rows: int, diagonal_blocks: int = 0) -> np.ndarray:
        """The Hessian of the loss part at theta, from at most about `max_rows` evenly spaced rows.

        Block (k, l) holds the second derivatives by the coefficients of the columns k and l of scores.  The result (P, D, D)
        consists of the first `diagonal_blocks` blocks (k, k); if `diagonal_blocks` is 0, it consists of all blocks with l <= k.
        See `kernels.loss_sums`.
        """
        request = CurvatureRequest(max_rows, diagonal_blocks)
        if self.data.expensive:
            return self._evaluate_all(theta, request)
        if self.loss.has_flat_rows() and self.in_memory and max_rows >= self.n:
            return self.curved_rows.hessian(self.table, self.loss, self.coordinates, theta) / self.table.s.sum()
        H, weight = self.data.total(self._curvature_query(theta, request))
        return H / weight

    def look_ahead(self, theta: np.ndarray) -> None:
        """Where passes are expensive, evaluate value, gradient and curvature at theta in one pass, before they are asked for.

        The curvature is computed for the same number of rows and the same blocks as the last one.
        """
        if self.data.expensive and self._request is not None:
            self._evaluate_all(theta, self._request)

    def _curvature_query(self, theta: np.ndarray, request: CurvatureRequest) -> Curvature:
        stride = -(-self.n // request.max_rows)
        return Curvature(self.loss, *self.coordinates.raw(theta), *self.coordinates, request.diagonal_blocks, stride=stride)

    def _evaluate_all(self, theta: np.ndarray, request: CurvatureRequest) -> np.ndarray:
        """The Hessian at theta, from a pass that also computes the value, the gradient and the diagonal of the Hessian."""
        known = self._curvature
        if known is None or known.request != request or not np.array_equal(known.theta, theta):
            W, b = self.coordinates.raw(theta)
            queries: list[Any] = [self._curvature_query(theta, request), Gradient(self.loss, W, b)]
            if request.max_rows < self.n:
                queries.append(CurvatureDiagonal(self.loss, W, b, *self.coordinates))
            H, weight, loss, G, *q = self.data.total(Together(queries))
            self.cache.point = Point(theta, float(loss.sum()) / self.n, self.coordinates.gradient(G / self.n))
            self._request = request
            self._curvature = known = CurvatureAtPoint(theta, request, H / weight, q[0] if q else None)
        return known.hessian.copy()

    def normal_equations(self, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The value, gradient (D, K) and Hessian (D, D) of a quadratic loss where W = 0 and the intercepts are b (K,).

        One pass over X.
        """
        loss, G, H = self.data.total(NormalEquations(self.loss, b, *self.coordinates))
        return loss / self.n, self.coordinates.gradient(G / self.n), H / self.n

    def curvature_diagonal(self, theta: np.ndarray) -> np.ndarray:
        """The diagonal (D, K) of the Hessian of the loss part at theta.  One pass over X, or none after `curvature` there."""
        known = self._curvature
        if known is not None and known.diagonal is not None and np.array_equal(known.theta, theta):
            return known.diagonal / self.n
        (q,) = self.data.total(CurvatureDiagonal(self.loss, *self.coordinates.raw(theta), *self.coordinates))
        return q / self.n


def _warn_of_offsets(moments: ColumnMoments) -> None:
    """Warn if several columns hardly vary: without an intercept they are not centred, and they look like the same column."""
    square = moments.mean_squares(centred=False)
    share = np.divide(moments.variance, square, out=np.ones_like(square), where=square > 0.0)
    alike = np.flatnonzero(share < HARDLY_VARIES)
    if len(alike) > 1 and share[alike].max() > IS_CONSTANT:
        warn(
            f"Columns {alike[0]} and {alike[1]} of X vary by less than {np.sqrt(HARDLY_VARIES):.0e} of their mean, and without "
            "an intercept nothing tells them apart: the fit may stop above its minimum. Set fit_intercept=True, or subtract "
            "their offset.",
            ConvergenceWarning,
        )
