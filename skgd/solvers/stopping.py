"""When a stochastic fit ends: its last epochs changed the objective too little to matter, and a quadratic model agrees."""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..models.cost import HessianPlan
from ..models.curvature import Diagonal
from ..models.proximal_metric import proximal_metric
from ..models.quasi_newton import QuasiNewton
from ..monitoring.history import History
from ..objective import Objective
from . import gd
from .budget import Budget
from .certificates import newton_direction
from .steps import Plan

ALL_ROUNDING = 1e-13  # share of F at the start: below it F is taken to be all rounding
# Factors of the change of F in the estimate of the gap; the second is for losses with kinks, whose noise of steps never ends.
CAUTION, CAUTION_AT_KINKS = 2.0, 20.0
RISEN = 100.0  # times F at the start: a fit by explicit rates and without `tol` that ends above it has diverged
AFFORDABLE = 0.5  # passes that confirming convergence may cost, for each epoch made
SMOOTHED_STEPS = 3  # iterations of gd on the smoothed loss that confirm convergence where the loss has kinks
AGAIN = 1.5  # times the epochs made, before a model is asked again that has not confirmed convergence
MODEL_TOL = 1e-3  # share of `tol` to which the quadratic model is minimised


class StoppingRule:
    """Decide after each epoch whether the fit has converged.

    An error that falls like C/t with the number of epochs t fell by C/t since epoch t/2.  So the spread of F over the last half
    of the epochs estimates F - F*, and it overstates it where convergence is faster.  Where the loss has kinks, the noise of
    steps never ends and what it adds falls as slowly as the rate: there the spread counts ten times as much.

    Explicit rates may never settle.  With them the fit ends where F has not fallen since, `patience` epochs in a row.

    Parameters
    ----------
    objective : Objective
    plan : Plan
    tol : float or None
        The relative gap to reach.  None: all epochs are made.
    start : float
        F where the fit starts.

    Attributes
    ----------
    gap : float
        The estimate of (F - F*)/F after the last epoch.
    converged : bool
        Whether the gap is known to be at most `tol`, or there is no `tol`.
    """

    def __init__(self, objective: Objective, plan: Plan, tol: float | None, start: float) -> None:
        self.objective, self.plan, self.tol = objective, plan, tol
        self.gap, self.converged = np.inf, tol is None
        self._values = [start]  # F at the start and after each epoch, those taken back included
        self._quiet = 0  # epochs in a row whose gap was at most tol
        self._confirm_from = 0.0  # the epoch from which on a model is asked
        self._caution = CAUTION if objective.loss.smooth() or plan.may_plateau else CAUTION_AT_KINKS

    @property
    def epochs(self) -> int:
        """Epochs so far."""
        return len(self._values) - 1

    def settles(self, F: float, share_of_rate: float) -> bool:
        """Add F after an epoch; whether F has changed too little to matter, `patience` epochs in a row.

        `share_of_rate` is how much of the rate of the schedule the steps had: a share of it made a share of the way.
        """
        self._values.append(F)
        if self.tol is None:
            return False
        half = self._values[self.epochs // 2 :]
        change = half[0] - F if self.plan.may_plateau else max(half) - min(half)
        self.gap = self._caution * max(change, 0.0) / (share_of_rate * max(F, TINY))
        self._quiet = self._quiet + 1 if self.epochs > 1 and self.gap <= self.tol else 0
        return self._quiet >= self.plan.patience

    def start_anew(self) -> None:
        """Count epochs without progress from here on, because the rate has changed."""
        self._quiet = 0

    def confirms(self, theta: np.ndarray) -> bool:
        """Whether a fit that has settled at theta has converged, as far as a quadratic model can tell.

        A model that disagrees is asked again after half as many epochs as were made.  Fits that may plateau are not asked
        about their minimum.
        """
        if not self.plan.may_plateau and self.tol is not None:
            if self.epochs < self._confirm_from:
                return False
            gap = modelled_gap(self.objective, theta, self.epochs, self.tol, self._values[0])
            if gap > self.tol:
                self.gap, self._quiet, self._confirm_from = gap, 0, AGAIN * self.epochs
                return False
        self.converged = True
        return True

    def has_risen(self) -> bool:
        """Whether explicit rates ended so far above the start that they diverged.

        A start that costs nothing, as a perceptron's, does not count: any step from there costs something.
        """
        start, end = self._values[0], self._values[-1]
        return end > (1.0 + self.tol if self.tol is not None else RISEN) * start and start > 0.0


def modelled_gap(objective: Objective, theta: np.ndarray, epochs: int, tol: float, start: float) -> float:
    """What a quadratic model at theta promises to gain, relative to F.

    The model costs at most `AFFORDABLE` passes for each of so many epochs.  Where its Hessian costs more, a few iterations of
    conjugate gradients take its place.  They cannot where the penalty has kinks, and the answer is 0 then.  Where the loss has
    kinks, it has no curvature, and a few iterations of gd on the smoothed loss tell instead.
    """
    F, gradient = objective.evaluate(theta)
    scale, non_smooth = max(F, ALL_ROUNDING * start, TINY), bool(objective.penalty.non_smooth.any())
    affordable = HessianPlan(objective).passes <= AFFORDABLE * epochs
    if not objective.loss.smooth():
        return (F - objective.values([_descend_smoothed(objective, theta)])[0]) / scale if affordable else 0.0
    if affordable:
        metric = (proximal_metric if non_smooth else QuasiNewton)(objective, theta)
        return metric.minimise(theta, gradient, MODEL_TOL * tol * scale)[2] / scale
    if non_smooth:
        return 0.0
    slope, diagonal = gradient + objective.penalty.l2[:, None] * theta, Diagonal(objective, theta)
    iterations = max(int(AFFORDABLE * epochs), 1)
    return newton_direction(objective, theta, slope, diagonal.solve, tol * scale, iterations)[1] / scale


def _descend_smoothed(objective: Objective, theta: np.ndarray) -> np.ndarray:
    """Where a few iterations of gd lead from theta, with the kinks of the loss smoothed so little that F at most doubles."""
    F, _ = objective.evaluate(theta)
    smoothed = objective.with_loss(objective.loss.with_width(min(1.0 / objective.loss.curvature_bound(), max(F, TINY))))
    return gd.descend(smoothed, theta, Budget(0.0, SMOOTHED_STEPS, History("gd")), thorough=False).theta
