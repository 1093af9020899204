"""Metrics for objectives with a non-smooth penalty, which sets coefficients to zero.

``Full``
    The Hessian as a matrix, corrected by BFGS.  It has one block for each independent column of scores, or one for all.
``Columns``
    Products with the Hessian of a sparse X, where the matrix would be too large (`column_metric.py`).
``Limited``
    A diagonal, corrected by L-BFGS in its compact form, where neither of the others is worthwhile.

Each of them is a `Metric`.
"""

from __future__ import annotations

import numpy as np

from ..objective import Objective
from ..penalties import penalty_value
from . import column_metric
from .column_metric import INEXACT, Columns
from .cost import HessianPlan
from .curvature import curved_share, hessian, shrunk
from .metric import Metric, ModelMinimum
from .quadratic import LowRank, Precision, descend_low_rank, descend_matrix
from .quasi_newton import CURVED, MEMORY

CURVED_BESIDE_MODEL = (
    1e-12  # The curvature along a step is a rounding error below this share of the model's curvature along it.
)
# The least curvature of the loss that `Limited` starts from, relative to the bound of the loss.  It applies where the L2
# penalty makes up most of the curvature along a coefficient.
LEAST_CURVATURE = 1e-3


def proximal_metric(objective: Objective, theta: np.ndarray, effort: float = 1.0, remembered: bool = False) -> Metric:
    """The metric at theta: `Full` if the Hessian is worth its cost, else `Columns` if X is sparse, else `Limited`.

    `curvature_at` explains the arguments.
    """
    plan = HessianPlan(objective, effort=effort)
    if not plan.worthwhile:
        return Columns(objective, theta) if column_metric.is_worthwhile(objective) else Limited(objective)
    return full_metric(objective, theta, plan, effort, remembered)


def full_metric(
    objective: Objective, theta: np.ndarray, plan: HessianPlan, effort: float = 1.0, remembered: bool = False
) -> Full:
    """The metric at theta with the Hessian of this plan, even if it is not worth its cost."""
    H = hessian(objective, theta, plan.rows, plan.diagonal_blocks, remembered)
    if plan.shrinkage == 0.0:
        return Full(objective, H, HessianPlan(objective, effort=effort, curved_share=curved_share(objective, H)))
    return Full(objective, shrunk(H, plan.shrinkage), plan, unshrunk=Full(objective, H, plan))


class Full:
    """Hessian blocks B (P, N, N): one for each column of theta, or a single one for all of theta.

    Parameters
    ----------
    objective : Objective
    B : ndarray of shape (P, N, N)
    plan : HessianPlan
        The plan of the next Hessian.
    unshrunk : Full or None
        The same metric before it was shrunk.  None: it was made from all rows and is not shrunk.
    """

    exact_near_minimum = True

    def __init__(self, objective: Objective, B: np.ndarray, plan: HessianPlan, unshrunk: Full | None = None) -> None:
        self.objective, self.B, self.unshrunk = objective, B, unshrunk
        self.passes, self.refreshed_every_step = plan.passes, plan.refreshed_every_step
        self.exact = objective.loss.constant_curvature()
        copies = objective.K if objective.loss.coupled() else 1
        self.penalty = objective.penalty.of(np.tile(np.arange(objective.d + 1), copies))

    @property
    def refreshable(self) -> bool:
        return not self.exact

    def _split(self, theta: np.ndarray) -> np.ndarray:
        """theta (D, K) as an array (P, N) with one row for each block."""
        return np.ascontiguousarray(theta.T).reshape(-1, len(self.penalty.l2))

    def _join(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The array of this shape (D, K) that `_split` makes into these rows."""
        return np.ascontiguousarray(rows.reshape(shape[1], shape[0]).T)

    def _block(self, p: int) -> np.ndarray:
        return self.B[p if len(self.B) > 1 else 0]  # all columns of a quadratic loss share one curvature

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0) -> ModelMinimum:
        """The minimum of the model at theta plus the penalty, exact zeros included: see `Metric`."""
        blocks = zip(self._split(theta), self._split(gradient), strict=True)
        precision = Precision(0.0 if self.exact else INEXACT, goal / len(self.B))
        new = [descend_matrix(self._block(p), g, w, self.penalty, tol, precision) for p, (w, g) in enumerate(blocks)]
        return _minimum(self, theta, gradient, self._join(np.array(new), theta.shape))

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """The decrease of the model without shrinkage: see `Metric`."""
        return 0.0 if self.unshrunk is None else self.unshrunk.minimise(theta, gradient, tol, np.inf).decrease

    def product(self, step: np.ndarray) -> np.ndarray:
        """B times a step (D, K)."""
        return self._join(np.array([self._block(p) @ s for p, s in enumerate(self._split(step))]), step.shape)

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Correct B by BFGS such that B times the step is the change (Nocedal and Wright, 2006, eq. 6.19)."""
        if self.exact:
            return
        for p, (s, y) in enumerate(zip(self._split(step), self._split(change), strict=True)):
            Bs = self.B[p] @ s
            if s @ y > CURVED_BESIDE_MODEL * (s @ Bs) > 0.0:
                self.B[p] += np.outer(y, y / (s @ y)) - np.outer(Bs, Bs / (s @ Bs))


class Limited:
    """A diagonal corrected by the last steps, as a matrix diag + U M U' (Byrd, Nocedal and Schnabel, 1994, theorem 2.3)."""

    refreshable, exact_near_minimum, refreshed_every_step, passes = False, False, False, 0.0

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        inert = objective.coordinates.scale == 0.0
        bound = objective.loss.curvature_bound()
        curvature = np.maximum(bound - objective.penalty.l2, LEAST_CURVATURE * bound)
        self.start = np.repeat(np.where(inert, 0.0, curvature), objective.K)
        self.penalty = objective.penalty.of(np.repeat(np.arange(objective.d + 1), objective.K))
        self.steps: list[np.ndarray] = []
        self.changes: list[np.ndarray] = []
        self.B = self._compact()

    def _compact(self) -> LowRank:
        """The matrix for the steps so far and their changes of the gradient.

        Its diagonal is scaled to the curvature along the last step.
        """
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

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0) -> ModelMinimum:
        """The minimum of the model at theta plus the penalty, exact zeros included: see `Metric`."""
        target = descend_low_rank(self.B, gradient.ravel(), theta.ravel(), self.penalty, tol).reshape(theta.shape)
        return _minimum(self, theta, gradient, target)

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """0, because the metric was not made from a sample."""
        return 0.0

    def product(self, step: np.ndarray) -> np.ndarray:
        """B times a step (D, K)."""
        return (self.B @ step.ravel()).reshape(step.shape)

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step (D, K) to L-BFGS that changed the gradient of the loss part by `change` (D, K)."""
        s, y = step.ravel(), change.ravel()
        if s @ y > CURVED * np.sqrt((s @ s) * (y @ y)):
            self.steps, self.changes = [*self.steps, s][-MEMORY:], [*self.changes, y][-MEMORY:]
            self.B = self._compact()


def _minimum(metric: Full | Limited, theta: np.ndarray, gradient: np.ndarray, target: np.ndarray) -> ModelMinimum:
    """The `ModelMinimum` of this target, given the gradient (D, K) at theta (D, K)."""
    step, objective = target - theta, metric.objective
    change = penalty_value(target, objective.penalty) - penalty_value(theta, objective.penalty)
    slope = float(np.vdot(gradient, step)) + change
    return ModelMinimum(target, slope, -slope - 0.5 * float(np.vdot(step, metric.product(step))))
