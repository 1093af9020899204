"""The stopping rule of stochastic fits: the last epochs hardly changed the objective, and a quadratic model agrees."""

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

ALL_ROUNDING = 1e-13  # An objective below this share of F at the start is a rounding error.
# The estimated gap is the change of F times the first factor for smooth losses, and times the second one for non-smooth losses.
CHANGE_FACTOR, CHANGE_FACTOR_NON_SMOOTH = 2.0, 20.0
RISEN = 100.0  # A fit with explicit rates and without `tol` has diverged if it ends above so many times F at the start.
AFFORDABLE = 0.5  # The quadratic model that checks convergence may cost so many passes for each epoch that was made.
SMOOTHED_STEPS = 3  # The convergence of a non-smooth loss is checked by so many iterations of gd on the smoothed loss.
RETRY_FACTOR = 1.5  # A check that failed is repeated after so many times the epochs made.
MODEL_TOL = 1e-3  # The quadratic model is minimised to this share of `tol`.


class StoppingRule:
    """Decides after each epoch whether the fit has converged.

    If F - F* falls like C/t with the number t of epochs, it fell by C/t since epoch t/2.  So the change of F over the last half
    of the epochs is an estimate of F - F*, and an upper one if convergence is faster.  With a non-smooth loss the gradient
    noise does not vanish, and F falls as slowly as the rate.  There the estimate is ten times as large.

    With explicit rates F may never converge.  Such a fit ends when F has not fallen over the last half of the epochs, for
    `patience` epochs in a row.

    Parameters
    ----------
    objective : Objective
    plan : Plan
    tol : float or None
        The relative gap to reach.  None: the fit makes all its epochs.
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
        self._values = [start]  # F at the start and after each epoch, including epochs that were undone
        self._quiet = 0  # the number of epochs in a row whose estimated gap was at most tol
        self._confirm_from = 0.0  # the first epoch after which the quadratic model is used
        smooth = objective.loss.smooth() or plan.may_plateau
        self._change_factor = CHANGE_FACTOR if smooth else CHANGE_FACTOR_NON_SMOOTH

    @property
    def epochs(self) -> int:
        """The number of epochs so far."""
        return len(self._values) - 1

    @property
    def start(self) -> float:
        """F where the fit started."""
        return self._values[0]

    @property
    def last(self) -> float:
        """F after the last epoch, even if the epoch was undone."""
        return self._values[-1]

    def settles(self, F: float, share_of_rate: float) -> bool:
        """Record F after an epoch, and return whether the estimated gap was at most `tol` for `patience` epochs in a row.

        `share_of_rate` is the rate of the steps relative to the rate of the schedule.  F changes in proportion to it.
        """
        self._values.append(F)
        if self.tol is None:
            return False
        half = self._values[self.epochs // 2 :]
        change = half[0] - F if self.plan.may_plateau else max(half) - min(half)
        self.gap = self._change_factor * max(change, 0.0) / (share_of_rate * max(F, TINY))
        self._quiet = self._quiet + 1 if self.epochs > 1 and self.gap <= self.tol else 0
        return self._quiet >= self.plan.patience

    def start_anew(self) -> None:
        """Count epochs without progress from zero again, because the rate has changed."""
        self._quiet = 0

    def confirms(self, theta: np.ndarray) -> bool:
        """Whether a fit that has settled at theta has converged, according to a quadratic model there.

        If the model disagrees, the next check waits until `RETRY_FACTOR` times the epochs are made.  Fits that may plateau
        above the minimum are not checked.
        """
        if not self.plan.may_plateau and self.tol is not None:
            if self.epochs < self._confirm_from:
                return False
            gap = modelled_gap(self.objective, theta, self.epochs, self.tol, self.start)
            if gap > self.tol:
                self.gap, self._quiet, self._confirm_from = gap, 0, RETRY_FACTOR * self.epochs
                return False
        self.converged = True
        return True

    def has_risen(self) -> bool:
        """Whether a fit with explicit rates ended so far above its start that it has diverged.

        If F is zero at the start, as for a perceptron, the answer is False, because every step raises F from there.
        """
        factor = 1.0 + self.tol if self.tol is not None else RISEN
        return self.last > factor * self.start and self.start > 0.0


def modelled_gap(objective: Objective, theta: np.ndarray, epochs: int, tol: float, start: float) -> float:
    """The decrease from theta to the minimum of a quadratic model plus the penalty, relative to F.

    The check may cost `AFFORDABLE` passes for each of the epochs.  If the Hessian costs more, a few iterations of conjugate
    gradients minimise the model; if the penalty is not smooth, they cannot, and the result is 0.  A non-smooth loss has no
    quadratic model.  There the result is the decrease of F by a few iterations of gd on the smoothed loss.
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
    """The point after a few iterations of gd from theta, with the loss smoothed so little that F at most doubles."""
    F, _ = objective.evaluate(theta)
    smoothed = objective.with_loss(objective.loss.with_width(min(1.0 / objective.loss.curvature_bound(), max(F, TINY))))
    return gd.descend(smoothed, theta, Budget(0.0, SMOOTHED_STEPS, History("gd")), thorough=False).theta
