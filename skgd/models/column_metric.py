"""A metric for a sparse X and independent columns of scores, which needs no Hessian matrix.

The Hessian is H = X~' diag(c) X~ / n, with the rows x~ = scale * (x - mean, 1) of the standardised X~ and the second
derivatives c (n,) of all rows.  Coordinate descent from w to u keeps the change X~ (u - w) of the scores.  So a step on one
column costs as much as its non-zeros, and the diagonal of a new Hessian costs one pass over X (GLMNET; Friedman, Hastie and
Tibshirani, 2010).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel
from ..data.rows import unsigned
from ..objective import Objective
from ..penalties import penalty_derivative, penalty_value, soft_threshold
from .kinked_line import crossing, lowest_on_the_way
from .metric import ModelMinimum

# If the loss is not quadratic, the minimum of a model may be missed by this share of its decrease.  With it, fits of text with
# an L1 penalty took a fifth of the time that they take with exact minima.
INEXACT = 0.1
MAX_ROUNDS = 100  # the largest number of rounds, each of which begins with a sweep over all columns
SWEEPS = 50  # the largest number of sweeps over the support in a round
# Conjugate gradients end when so many steps together gained less than this share of the gain of all steps.
LOOK_BACK, LITTLE = 5, 0.01


def is_worthwhile(objective: Objective) -> bool:
    """Whether X is sparse, and the columns of scores are independent.  If the Hessian is worth its cost, `Full` is better."""
    return objective.in_memory and objective.table.sparse and not objective.loss.coupled()


# ---------------------------------------------------------------- compiled loops over columns
class SparseColumns(NamedTuple):
    """X (n, d) in the CSC format."""

    data: np.ndarray  # the values of the non-zeros
    indices: np.ndarray  # their row numbers
    indptr: np.ndarray  # (d + 1,), the positions where columns begin


class CurvedRows(NamedTuple):
    """The Hessian of one column of scores, for sweeps."""

    c: np.ndarray  # (n,), the weighted second derivatives of the loss
    total: float  # sum_i c_i
    sums: np.ndarray  # (d,), sum_i c_i x_ij
    curvature: np.ndarray  # (D,), the diagonal of the Hessian
    mean: np.ndarray  # (d,), the means of the coordinates
    scale: np.ndarray  # (D,), the scales of the coordinates


@kernel
def add_column_sums(data, indices, indptr, c, mean, origin, scale, sums, squares):
    """Add the sums of all non-zeros x_ij to sums (d,) and squares (d,).

    The sums are sum_i c_i x_ij and sum_i c_i scale_j^2 ((x_ij - mean_j)^2 - (origin_j - mean_j)^2).
    """
    for j in range(len(indptr) - 1):
        for p in range(indptr[j], indptr[j + 1]):
            x, weight = data[p], c[indices[p]]
            sums[j] += weight * x
            squares[j] += weight * (scale[j] * (x - origin[j])) * (scale[j] * (x + origin[j] - 2.0 * mean[j]))


@kernel
def sweep_columns(X, order, rows, penalty, g, u, moved, offset):
    """Make one exact step on each coefficient of `order`, and return the decrease of the model.  One pass over these columns.

    Parameters
    ----------
    X : SparseColumns
    order : ndarray of int
        The numbers of the coefficients to step on.
    rows : CurvedRows
    penalty : Penalty
        The penalty on the D coefficients.
    g, u : ndarray of shape (D,)
        The gradient at the starting point, and the coefficients, which are changed in place.
    moved, offset : ndarray of shape (n,), ndarray of shape (2,)
        The scores of the rows have changed by moved - offset[0] since the start, and offset[1] is the sum of c * moved.  Both
        arrays are changed in place.
    """
    data, indices, indptr = X
    c, total, sums, curvature, mean, scale = rows
    lower, upper, l2 = penalty
    gain, n, d = 0.0, len(c), len(mean)
    for j in order:
        a = curvature[j] + l2[j]
        if a > 0.0:
            common = offset[1] - offset[0] * total  # sum_i c_i times the change of score i
            slope = common
            if j < d:
                slope = -offset[0] * sums[j] - mean[j] * common
                for p in range(indptr[j], indptr[j + 1]):
                    slope += c[indices[p]] * data[p] * moved[indices[p]]
            slope = g[j] + scale[j] * slope / n + l2[j] * u[j]
            new = soft_threshold(u[j] - slope / a, lower[j] / a, upper[j] / a)
            delta = new - u[j]
            if delta != 0.0:
                u[j] = new
                change = scale[j] * delta
                if j < d:
                    for p in range(indptr[j], indptr[j + 1]):
                        moved[indices[p]] += change * data[p]
                    offset[0] += change * mean[j]
                    offset[1] += change * sums[j]
                else:
                    offset[0] -= change
                gain += 0.5 * a * delta * delta
    return gain


# ---------------------------------------------------------------- the metric
class Columns:
    """A `Metric`: the Hessian at theta of a separable loss on a sparse X.

    Attributes
    ----------
    c : ndarray of shape (K, n)
        The weighted second derivatives of the rows.
    total, sums : ndarray of shape (K,), ndarray of shape (K, d)
        The sums of c_i and of c_i x_ij over the rows i.
    curvature : ndarray of shape (K, D)
        The diagonal of the Hessian.
    """

    exact_near_minimum, refreshed_every_step, passes = True, True, 0.0

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        self.objective, self.refreshable = objective, not objective.loss.constant_curvature()
        self.c = objective.table.row_curvatures(objective.loss, *objective.coordinates.raw(theta))
        columns = objective.table.columnwise
        self.X = SparseColumns(columns.data, unsigned(columns.indices), unsigned(columns.indptr))
        mean, scale = objective.coordinates
        origin = objective.table.origin(mean)
        self.sums, squares = np.zeros((2, objective.K, objective.d))
        for k, c in enumerate(self.c):
            add_column_sums(*self.X, c, mean, origin, scale, self.sums[k], squares[k])
        self.total = self.c.sum(axis=1)
        squares += (scale[:-1] * (origin - mean)) ** 2 * self.total[:, None]
        self.curvature = np.maximum(np.column_stack([squares, scale[-1] ** 2 * self.total]), 0.0) / objective.n

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0) -> ModelMinimum:
        """The minimum of the model at theta plus the penalty, exact zeros included: see `Metric`."""
        objective, target, curved = self.objective, theta.copy(), 0.0
        for k in range(objective.K):
            model = Model(self, k, np.ascontiguousarray(gradient[:, k]), target[:, k].copy())
            model.descend(tol, goal / objective.K, INEXACT**2 if self.refreshable else 0.0)
            target[:, k] = model.u
            curved += float(self.c[k] @ model.change**2) / objective.n
        slope = float(np.vdot(gradient, target - theta))
        slope += penalty_value(target, objective.penalty) - penalty_value(theta, objective.penalty)
        return ModelMinimum(target, slope, -slope - 0.5 * curved)

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """0, because the metric was not made from a sample."""
        return 0.0

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Do nothing.  The metric of a quadratic loss is exact, and other losses get a new metric at every step."""


class Model:
    """The quadratic model of one column of scores.

    Parameters
    ----------
    metric : Columns
    k : int
        The number of the column.
    g, u : ndarray of shape (D,)
        The gradient of the loss part at u, and the coefficients u, which are moved to the minimiser in place.
    """

    def __init__(self, metric: Columns, k: int, g: np.ndarray, u: np.ndarray) -> None:
        self.objective, self.penalty, self.g, self.u = metric.objective, metric.objective.penalty, g, u
        self.X, self.c, self.curvature = metric.X, metric.c[k], metric.curvature[k]
        self.rows = CurvedRows(self.c, metric.total[k], metric.sums[k], self.curvature, *metric.objective.coordinates)
        self.moved, self.offset = np.zeros(len(self.c)), np.zeros(2)

    @property
    def change(self) -> np.ndarray:
        """The change of the scores (n,) since the start."""
        return self.moved - self.offset[0]

    def descend(self, tol: float, goal: float, share: float) -> None:
        """Move u to the minimiser, which may be missed by `tol` or by a `share` of the decrease.

        The gain of all further sweeps is estimated as the sum of a geometric series.  Sweeps over the support end when this
        estimate is small enough.  A solve follows if it is still too large after the last sweep, or if the whole decrease is at
        most `goal`, because the estimate may be too small.  The descent ends when the estimate is small enough and a sweep over
        all columns gains no more.
        """
        decrease, settled = 0.0, False
        for _ in range(MAX_ROUNDS):
            gain = self.sweep(np.arange(len(self.u)))
            decrease += gain
            if settled and gain <= max(tol, share * decrease):
                break
            support, settled = np.flatnonzero(self.u), False
            for _ in range(SWEEPS):
                before, gain = gain, self.sweep(support)
                decrease += gain
                settled = gain * gain <= max(tol, share * decrease) * (before - gain)
                if settled:
                    break
            if not settled or decrease <= goal:
                gain, largest_gain = self.solve_on_support()
                decrease += gain
                settled = largest_gain <= max(tol, INEXACT * decrease)

    def sweep(self, order: np.ndarray) -> float:
        """Make one exact step on each coefficient of `order`, and return the decrease of the model."""
        return sweep_columns(self.X, order, self.rows, self.penalty, self.g, self.u, self.moved, self.offset)

    def solve_on_support(self) -> tuple[float, float]:
        """Make a Newton step on the support, by conjugate gradients, as if coefficients kept their signs.

        Two steps are compared, and the one with the larger gain is made.  The first one ends at the lowest point on the way.
        The second one is the full step, except that coefficients that would cross zero become zero.

        Returns
        -------
        gain : float
            The decrease of the model plus the penalty.
        largest_gain : float
            The decrease that the full step would have if coefficients kept their signs.
        """
        support = np.flatnonzero((self.u != 0.0) & (self.curvature > 0.0))
        weights, here = self.penalty.of(support), self.u[support]
        A = StandardisedColumns(self.objective, support)
        slope = self.g[support] + A.transposed(self.c * self.change) / len(self.c) + penalty_derivative(here, weights)
        diagonal = self.curvature[support] + weights.l2

        def product(v: np.ndarray) -> np.ndarray:
            return A.transposed(self.c * (A @ v)) / len(self.c) + weights.l2 * v

        move = conjugate_gradients(product, -slope, diagonal)
        curved, crosses = product(move), crossing(here, move, weights)
        end, gain = lowest_on_the_way(here, move, crosses, weights, slope, curved)
        leaving = np.where(crosses, -here, move)
        gain_of_leaving = -float(leaving @ (slope + 0.5 * product(leaving)))
        if gain_of_leaving > gain:
            end, gain = here + leaving, gain_of_leaving
        self.u[support] = end
        self.moved += A @ (end - here)
        self.offset[1] = self.c @ self.moved
        return gain, -float(move @ (slope + 0.5 * curved))


class StandardisedColumns:
    """Products with some columns of the standardised X~, whose rows are x~ = scale * (x - mean, 1), for a sparse X."""

    def __init__(self, objective: Objective, support: np.ndarray) -> None:
        inner = support[support < objective.d]
        self.X = objective.table.columnwise[:, inner]
        self.mean = objective.coordinates.mean[inner]
        self.scale = objective.coordinates.scale[support]

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        """The columns times v, as an array (n,)."""
        v = self.scale * v
        inner, rest = np.split(v, [len(self.mean)])
        return self.X @ inner - self.mean @ inner + rest.sum()

    def transposed(self, r: np.ndarray) -> np.ndarray:
        """The transposed columns times r (n,), one number for each column."""
        total = r.sum()
        inner = r @ self.X - self.mean * total
        return self.scale * np.append(inner, np.full(len(self.scale) - len(inner), total))


def conjugate_gradients(product: Callable[[np.ndarray], np.ndarray], r: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """An approximation of H^-1 r, given products with H and its diagonal as preconditioner (Hestenes and Stiefel, 1952).

    The iteration ends when the last `LOOK_BACK` steps gained less than the share `LITTLE` of the gain of all steps.
    """
    x, gains = np.zeros_like(r), [np.inf]
    direction = z = r / diagonal
    for _ in range(len(r)):
        Hd, rz = product(direction), float(r @ z)
        curved = float(direction @ Hd)
        if curved <= 0.0 or rz <= 0.0:
            break
        x, r = x + (rz / curved) * direction, r - (rz / curved) * Hd
        gains.append(0.5 * rz * rz / curved)
        if sum(gains[-LOOK_BACK:]) <= LITTLE * sum(gains[1:]):
            break
        z = r / diagonal
        direction = z + (float(r @ z) / rz) * direction
    return x
