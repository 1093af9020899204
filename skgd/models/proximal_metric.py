"""Metrics of proximal steps: what is known of the curvature of the loss, where L1 keeps coefficients at zero.

``Full``
    the Hessian as a matrix, one block per separable column or one for all that are coupled, kept up to date by BFGS.
``Columns``
    the Hessian of sparse columns, never formed (`column_metric.py`), where the matrix is too large;
``Limited``
    a diagonal and the last few changes of the gradient (L-BFGS in its compact form), elsewhere.

All answer the same calls: `minimise` a model with the penalty, `update` by a step.
"""

from __future__ import annotations

import numpy as np

from ..objective import Objective
from ..penalties import penalty_value
from . import column_metric
from .column_metric import INEXACT, Columns
from .curvature import Matrices, hessian, share_of_rows, shrunk
from .quadratic import LowRank, Rough, descend_low_rank, descend_matrix
from .quasi_newton import MEMORY


def proximal_metric(
    objective: Objective, theta: np.ndarray, effort: float = 1.0, remembered: bool = False
) -> Full | Columns | Limited:
    """The metric at theta: full where the matrix pays, of sparse columns or limited elsewhere.

    For the arguments see `curvature_at`.
    """
    matrices = Matrices(objective, constant=False, effort=effort)
    if not matrices.worthwhile:
        return Columns(objective, theta) if column_metric.is_worthwhile(objective) else Limited(objective)
    H = hessian(objective, theta, matrices.rows, matrices.diagonal, remembered)
    if matrices.share == 0.0:
        return Full(objective, H, Matrices(objective, False, effort, share_of_rows(objective, H)))
    return Full(objective, shrunk(H, matrices.share), matrices, unshrunk=Full(objective, H, matrices))


class Full:
    """Hessian blocks B (P, N, N), one for each column of theta, or a single one for all of it.

    `unshrunk` is the same as a sample of the rows says, where B is shrunk.
    """

    exact_near_minimum = True

    @property
    def refreshable(self) -> bool:
        """Whether another point has another curvature."""
        return not self.exact

    def __init__(self, objective: Objective, B: np.ndarray, matrices: Matrices, unshrunk: Full | None = None) -> None:
        self.objective, self.B, self.unshrunk = objective, B, unshrunk
        self.passes, self.refreshed_every_step = matrices.passes, matrices.refreshed_every_step
        self.exact = objective.loss.constant_curvature()
        copies = objective.K if objective.loss.coupled() else 1
        self.penalty = objective.penalty.of(np.tile(np.arange(objective.d + 1), copies))

    def _split(self, theta: np.ndarray) -> np.ndarray:
        """theta (D, K) as one row per block."""
        return np.ascontiguousarray(theta.T).reshape(-1, len(self.penalty.l2))

    def _join(self, rows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        return np.ascontiguousarray(rows.reshape(shape[1], shape[0]).T)

    def _block(self, p: int) -> np.ndarray:
        return self.B[p if len(self.B) > 1 else 0]  # a quadratic loss has one curvature for all its columns

    def minimise(
        self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0
    ) -> tuple[np.ndarray, float, float]:
        """The minimiser of the model at theta plus the penalty, exact zeros included; slope and decrease.

        To `tol`; where the model itself is not exact, a share of a decrease above `goal` may be missing.
        """
        blocks = zip(self._split(theta), self._split(gradient), strict=True)
        rough = Rough(0.0 if self.exact else INEXACT, goal / len(self.B))
        new = [descend_matrix(self._block(p), g, w, self.penalty, tol, rough) for p, (w, g) in enumerate(blocks)]
        target = self._join(np.array(new), theta.shape)
        return target, *_descent(self, theta, gradient, target)

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """The decrease of the model that a sample of the rows makes by itself; 0 where none was taken."""
        return 0.0 if self.unshrunk is None else self.unshrunk.minimise(theta, gradient, tol, np.inf)[2]

    def product(self, step: np.ndarray) -> np.ndarray:
        return self._join(np.array([self._block(p) @ s for p, s in enumerate(self._split(step))]), step.shape)

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """BFGS: afterwards B maps this step to this change of the gradient (Nocedal and Wright, 2006, eq. 6.19)."""
        if self.exact:
            return
        for p, (s, y) in enumerate(zip(self._split(step), self._split(change), strict=True)):
            Bs = self.B[p] @ s
            if s @ y > 1e-12 * (s @ Bs) > 0.0:
                self.B[p] += np.outer(y, y / (s @ y)) - np.outer(Bs, Bs / (s @ Bs))


class Limited:
    """diag + U M U' of the last steps S and changes Y (Byrd, Nocedal and Schnabel, 1994, theorem 2.3)."""

    refreshable, exact_near_minimum, refreshed_every_step, passes = False, False, False, 0.0

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        inert = objective.coordinates.scale == 0.0
        curvature = np.maximum(objective.loss.curvature_bound() - objective.penalty.l2, 1e-3 * objective.loss.curvature_bound())
        self.start = np.repeat(np.where(inert, 0.0, curvature), objective.K)
        self.penalty = objective.penalty.of(np.repeat(np.arange(objective.d + 1), objective.K))
        self.steps: list[np.ndarray] = []
        self.changes: list[np.ndarray] = []
        self.B = self._compact()

    def _compact(self) -> LowRank:
        if not self.steps:
            return LowRank(self.start, np.empty((len(self.start), 0)), np.empty((0, 0)))
        S, Y = np.array(self.steps), np.array(self.changes)
        y, s = Y[-1], S[-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(self.start > 0.0, 1.0 / self.start, 0.0)
        diagonal = self.start * ((y @ (inverse * y)) / (s @ y))
        BS, SY = S * diagonal, S @ Y.T
        L = np.tril(SY, -1)
        inner = -np.block([[S @ BS.T, L], [L.T, -np.diag(np.diagonal(SY))]])
        return LowRank(diagonal, np.ascontiguousarray(np.vstack([BS, Y]).T), inner)

    def minimise(
        self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0
    ) -> tuple[np.ndarray, float, float]:
        target = descend_low_rank(self.B, gradient.ravel(), theta.ravel(), self.penalty, tol).reshape(theta.shape)
        return target, *_descent(self, theta, gradient, target)

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """0: no sample was taken."""
        return 0.0

    def product(self, step: np.ndarray) -> np.ndarray:
        return (self.B @ step.ravel()).reshape(step.shape)

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        s, y = step.ravel(), change.ravel()
        if s @ y > 1e-14 * np.sqrt((s @ s) * (y @ y)):
            self.steps, self.changes = [*self.steps, s][-MEMORY:], [*self.changes, y][-MEMORY:]
            self.B = self._compact()


def _descent(metric: Full | Limited, theta: np.ndarray, gradient: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """From theta to target: the slope of the loss plus the change of the penalty, and the decrease of the model."""
    step, objective = target - theta, metric.objective
    change = penalty_value(target, objective.penalty) - penalty_value(theta, objective.penalty)
    slope = float(np.vdot(gradient, step)) + change
    return slope, -slope - 0.5 * float(np.vdot(step, metric.product(step)))
