"""The metric of proximal steps on sparse columns: the Hessian of a loss with independent columns of scores, never formed.

H = X~' diag(c) X~ / n with standardised rows x~ = scale * (x - mean, 1), and c the second derivatives of all rows.  Coordinate
descent keeps X~ (u - w), so a step on a column costs its few non-zeros, and new curvature for all columns costs all non-zeros
once.  (GLMNET; Friedman, Hastie and Tibshirani, 2010.)
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

# The share of its decrease by which the minimum of a model may be missed, if the model itself is not exact.  Minima that are
# more exact only take longer: with this share L1 on text took a fifth of the time.
INEXACT = 0.1
ROUNDS = 100  # of sweeps over all columns, at most
SWEEPS = 50  # over the support in each round, at most
LOOK_BACK, LITTLE = 5, 0.01  # Conjugate gradients end once so many steps gained less than this share of what all did.


def is_worthwhile(objective: Objective) -> bool:
    """Whether X is sparse and the columns of scores are independent.  Where a Hessian is affordable, it is better still."""
    return objective.in_memory and objective.table.sparse and not objective.loss.coupled()


# ---------------------------------------------------------------- compiled loops over columns
class SparseColumns(NamedTuple):
    """X (n, d) by columns."""

    data: np.ndarray  # of the non-zeros
    indices: np.ndarray  # their rows
    indptr: np.ndarray  # (d + 1,), where each column begins


class CurvedRows(NamedTuple):
    """What sweeps over one column of scores know of the rows of X."""

    c: np.ndarray  # (n,), weighted second derivatives of the loss
    total: float  # their sum
    sums: np.ndarray  # (d,), their sums with the entries of each column of X
    curvature: np.ndarray  # (D,), the diagonal of the Hessian
    mean: np.ndarray  # (d,), of the coordinates
    scale: np.ndarray  # (D,)


@kernel
def add_column_sums(data, indices, indptr, c, mean, origin, scale, sums, squares):
    """Add sum_i c_i x_ij to sums (d,), and to squares (d,) sum_i c_i scale_j^2 ((x_ij - mean_j)^2 - (origin_j - mean_j)^2)."""
    for j in range(len(indptr) - 1):
        for p in range(indptr[j], indptr[j + 1]):
            x, weight = data[p], c[indices[p]]
            sums[j] += weight * x
            squares[j] += weight * (scale[j] * (x - origin[j])) * (scale[j] * (x + origin[j] - 2.0 * mean[j]))


@kernel
def sweep_columns(X, order, rows, penalty, g, u, moved, offset):
    """One sweep of exact coordinate steps on u (D,), in the `order` of the coefficients; return the decrease of the model.

    Parameters
    ----------
    X : SparseColumns
    order : ndarray of int
        The coefficients to step on.
    rows : CurvedRows
    penalty : Penalty
        On the D coefficients.
    g, u : ndarray of shape (D,)
        The gradient where u started, and the coefficients, in place.
    moved, offset : ndarray of shape (n,), ndarray of shape (2,)
        The scores of the rows have changed by moved - offset[0], and offset[1] is the sum of c * moved; both in place.
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
    """The Hessian at theta of a loss with independent columns of scores, on a sparse X: a `Metric`.

    Attributes
    ----------
    c : ndarray of shape (K, n)
        Weighted second derivatives of the rows.
    total, sums : ndarray of shape (K,), ndarray of shape (K, d)
        Their sums, and their sums with the entries of each column of X.
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
        """0: all rows count."""
        return 0.0

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Nothing: a quadratic loss has one curvature, and other losses get a new one at every step."""


class Model:
    """The quadratic model of one column of scores.

    Parameters
    ----------
    metric : Columns
    k : int
        The number of the column.
    g, u : ndarray of shape (D,)
        The gradient of the loss part at the coefficients u, which move to the minimiser in place.
    """

    def __init__(self, metric: Columns, k: int, g: np.ndarray, u: np.ndarray) -> None:
        self.objective, self.penalty, self.g, self.u = metric.objective, metric.objective.penalty, g, u
        self.X, self.c, self.curvature = metric.X, metric.c[k], metric.curvature[k]
        self.rows = CurvedRows(self.c, metric.total[k], metric.sums[k], self.curvature, *metric.objective.coordinates)
        self.moved, self.offset = np.zeros(len(self.c)), np.zeros(2)

    @property
    def change(self) -> np.ndarray:
        """By how much the scores (n,) have changed so far."""
        return self.moved - self.offset[0]

    def descend(self, tol: float, goal: float, share: float) -> None:
        """Move u to the minimiser.

        Sweeps over the support go on while the geometric series of their gains promises more than may be missed: `tol`, or a
        `share` of the decrease.  A solve has to show that little is left if the series still promises too much after the last
        sweep, or if the whole decrease is below `goal`.  The descent ends when a sweep over all columns gains no more.
        """
        decrease, settled = 0.0, False
        for _ in range(ROUNDS):
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
                gain, promised = self.solve_on_support()
                decrease += gain
                settled = promised <= max(tol, INEXACT * decrease)

    def sweep(self, order: np.ndarray) -> float:
        """Exact steps on the coefficients in `order`; the decrease of the model."""
        return sweep_columns(self.X, order, self.rows, self.penalty, self.g, self.u, self.moved, self.offset)

    def solve_on_support(self) -> tuple[float, float]:
        """A step towards the minimum on the support with its signs fixed, by conjugate gradients.

        Either all coefficients that would cross zero leave the support, or the step ends where the model is lowest on its way,
        whichever gains more.  Returns that gain, and what the whole step would gain if signs did not matter: no step on this
        support gains more.
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
    """Some columns of x~ = scale * (x - mean, 1) of a sparse X, as products."""

    def __init__(self, objective: Objective, support: np.ndarray) -> None:
        inner = support[support < objective.d]
        self.X = objective.table.columnwise[:, inner]
        self.mean = objective.coordinates.mean[inner]
        self.scale = objective.coordinates.scale[support]

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        v = self.scale * v
        inner, rest = np.split(v, [len(self.mean)])
        return self.X @ inner - self.mean @ inner + rest.sum()

    def transposed(self, r: np.ndarray) -> np.ndarray:
        """The transposed columns times r (n,)."""
        total = r.sum()
        inner = r @ self.X - self.mean * total
        return self.scale * np.append(inner, np.full(len(self.scale) - len(inner), total))


def conjugate_gradients(product: Callable[[np.ndarray], np.ndarray], r: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """H^-1 r nearly, given products with H (Hestenes and Stiefel, 1952), preconditioned by the diagonal of H.

    It ends where the last `LOOK_BACK` steps gained little of what all did.
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
