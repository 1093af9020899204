"""The metric of proximal steps on sparse columns: the Hessian of a separable loss as it is, never formed.

H = X~' diag(c) X~ / n with x~ = scale * (x - mean, 1), and c the second derivatives of all rows.  Coordinate descent keeps
X~ (u - w): a step on a column costs its few non-zeros, and so does a new curvature for all of them.  (GLMNET; Friedman,
Hastie and Tibshirani, 2010.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..compiled.jit import kernel
from ..data.rows import unsigned
from ..objective import Objective
from ..penalties import penalty_derivative, penalty_value, soft_threshold
from .quadratic import crossing, lowest_on_the_way

INEXACT = 0.1  # share of its decrease that the minimum of a model may be missed by, where the model itself is not exact
ROUNDS = 100  # of sweeps over all columns, at most
SWEEPS = 50  # over the support, at most, in each of them
LOOK_BACK = 5  # conjugate gradients that end where they gained little


def is_worthwhile(objective: Objective) -> bool:
    """Whether columns are sparse and their scores independent.  Where a Hessian pays, that is better still."""
    return objective.in_memory and objective.table.sparse and not objective.loss.coupled()


@kernel
def add_column_sums(data, indices, indptr, c, mean, origin, scale, sums, squares):
    """Add sum_i c_i x_ij to sums (d,), and to squares (d,) sum_i c_i scale_j^2 ((x_ij - mean_j)^2 - (origin_j - mean_j)^2)."""
    for j in range(len(indptr) - 1):
        for p in range(indptr[j], indptr[j + 1]):
            x, weight = data[p], c[indices[p]]
            sums[j] += weight * x
            squares[j] += weight * (scale[j] * (x - origin[j])) * (scale[j] * (x + origin[j] - 2.0 * mean[j]))


@kernel
def sweep_columns(data, indices, indptr, order, c, total, sums, curvature, mean, scale, g, u, moved, offset, lower, upper, l2):
    """One sweep of exact coordinate steps on u (D,), in the `order` of the coefficients; return the decrease of the model.

    The scores of the rows have changed by moved (n,) - offset[0], and offset[1] is the sum of c * moved: both in place.
    `total` is the sum of c.
    """
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


class Columns:
    """The Hessian at theta of a loss with independent columns of scores, on a sparse X."""

    exact_near_minimum, refreshed_every_step, passes = True, True, 0.0

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        self.objective, self.refreshable = objective, not objective.loss.constant_curvature()
        self.c = objective.table.row_curvatures(objective.loss, *objective.coordinates.raw(theta))
        columns = objective.table.columnwise
        self.csc = columns.data, unsigned(columns.indices), unsigned(columns.indptr)
        mean, scale = objective.coordinates
        origin = objective.table.origin(mean)
        self.sums, squares = np.zeros((2, objective.K, objective.d))
        for k, c in enumerate(self.c):
            add_column_sums(*self.csc, c, mean, origin, scale, self.sums[k], squares[k])
        self.total = self.c.sum(axis=1)
        squares += (scale[:-1] * (origin - mean)) ** 2 * self.total[:, None]
        self.curvature = np.maximum(np.column_stack([squares, scale[-1] ** 2 * self.total]), 0.0) / objective.n

    def minimise(
        self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0
    ) -> tuple[np.ndarray, float, float]:
        """The minimiser of the model at theta plus the penalty, exact zeros included; slope and decrease.

        To `tol`, or a share of the decrease where the model itself is not exact.  A decrease up to `goal` has to be shown.
        """
        objective, target, curved = self.objective, theta.copy(), 0.0
        for k in range(objective.K):
            model = Model(self, k, np.ascontiguousarray(gradient[:, k]), target[:, k].copy())
            model.descend(tol, goal / objective.K, INEXACT**2 if self.refreshable else 0.0)
            target[:, k] = model.u
            curved += float(self.c[k] @ model.change**2) / objective.n
        slope = float(np.vdot(gradient, target - theta))
        slope += penalty_value(target, objective.penalty) - penalty_value(theta, objective.penalty)
        return target, slope, -slope - 0.5 * curved

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """0: all rows count."""
        return 0.0

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Nothing: a quadratic loss has one curvature, another a new one at every step."""


class Model:
    """The quadratic model of one column of scores: coefficients u (D,), where it has gradient g and starts from."""

    def __init__(self, metric: Columns, k: int, g: np.ndarray, u: np.ndarray) -> None:
        self.objective, self.penalty, self.g, self.u = metric.objective, metric.objective.penalty, g, u
        self.csc, self.c, self.total = metric.csc, metric.c[k], metric.total[k]
        self.sums, self.curvature = metric.sums[k], metric.curvature[k]
        self.moved, self.offset = np.zeros(len(self.c)), np.zeros(2)

    @property
    def change(self) -> np.ndarray:
        """Of the scores (n,), so far."""
        return self.moved - self.offset[0]

    def descend(self, tol: float, goal: float, share: float) -> None:
        """Move u to the minimiser.

        Sweeps over the support go on while the geometric series of their gains promises more than may be missed: `tol`,
        or a `share` of the decrease.  Where that is much, or the whole decrease below `goal`, a solve has to show it.  It
        ends when a sweep over all columns gains no more.
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
                gain, promise = self.solve_on_support()
                decrease += gain
                settled = promise <= max(tol, INEXACT * decrease)

    def sweep(self, order: np.ndarray) -> float:
        """Exact steps on the coefficients in `order`; the decrease of the model."""
        rows = self.c, self.total, self.sums, self.curvature, *self.objective.coordinates
        return sweep_columns(*self.csc, order, *rows, self.g, self.u, self.moved, self.offset, *self.penalty)

    def solve_on_support(self) -> tuple[float, float]:
        """A step towards the minimum on the support with its signs fixed, by conjugate gradients; the decrease.

        Either all coefficients that would cross zero leave the support, or the step ends where the model is lowest on its
        way, whichever gains more.  Second is what the whole step would gain if signs did not matter: none with them gains more.
        """
        support = np.flatnonzero((self.u != 0.0) & (self.curvature > 0.0))
        weights, here = self.penalty.of(support), self.u[support]
        A = Standardised(self.objective, support)
        slope = self.g[support] + A.transposed(self.c * self.change) / len(self.c) + penalty_derivative(here, weights)
        diagonal = self.curvature[support] + weights.l2

        def product(v: np.ndarray) -> np.ndarray:
            return A.transposed(self.c * (A @ v)) / len(self.c) + weights.l2 * v

        move = conjugate_gradients(product, -slope, diagonal)
        curved, crosses = product(move), crossing(here, move, weights)
        end, gain = lowest_on_the_way(here, move, crosses, weights, slope, curved)
        leaving = np.where(crosses, -here, move)
        others = -float(leaving @ (slope + 0.5 * product(leaving)))
        if others > gain:
            end, gain = here + leaving, others
        self.u[support] = end
        self.moved += A @ (end - here)
        self.offset[1] = self.c @ self.moved
        return gain, -float(move @ (slope + 0.5 * curved))


class Standardised:
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
        if sum(gains[-LOOK_BACK:]) <= 0.01 * sum(gains[1:]):
            break
        z = r / diagonal
        direction = z + (float(r @ z) / rz) * direction
    return x
