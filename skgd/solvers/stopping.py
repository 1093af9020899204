"""The stopping rule of stochastic fits: the last epochs hardly changed the objective, and a quadratic model agrees."""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..objective import Objective
from .convergence import separates
from .model_budget import Minimum
from .model_steps import ModelSteps
from .steps import Plan

CHANGE_FACTOR = 2.0  # The estimated gap is the change of F times this factor.
RISEN = 100.0  # A fit with explicit rates and without `tol` has diverged if it ends above so many times F at the start.


class StoppingRule:
    """Decides after each epoch whether the fit has converged.

    If F - F* falls like C/t with the number t of epochs, it fell by C/t since epoch t/2.  So the change of F over the last half
    of the epochs is an estimate of F - F*, and an upper one if convergence is faster.  With rates from the data, a quadratic
    model of the objective has the last word.

    With explicit rates F may never converge.  Such a fit ends when F has not fallen over the last half of the epochs, for
    `patience` epochs in a row.

    Parameters
    ----------
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

    def __init__(self, plan: Plan, tol: float | None, start: float) -> None:
        self.plan, self.tol = plan, tol
        self.gap, self.converged = np.inf, tol is None
        self._values = [start]  # F at the start and after each epoch, including epochs that were undone
        self._quiet = 0  # the number of epochs in a row whose estimated gap was at most tol

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
        self.gap = CHANGE_FACTOR * max(change, 0.0) / (share_of_rate * max(F, TINY))
        self._quiet = self._quiet + 1 if self.epochs > 1 and self.gap <= self.tol else 0
        return self._quiet >= self.plan.patience

    def start_anew(self) -> None:
        """Count epochs without progress from zero again, because the rate has changed."""
        self._quiet = 0

    def agrees(self, models: ModelSteps, minimum: Minimum | None, settled: bool, F: float) -> bool:
        """Whether the fit has converged, according to the minimum of a model at the best point, where the objective is F.

        A reliable model decides alone.  Another one can only contradict that the fit has `settled`.  Without a model, which may
        become affordable later, the fit goes on.
        """
        if self.tol is None or minimum is None:
            return False
        small = models.is_small(minimum, F)
        if minimum.reliable or not small:
            self.gap = models.relative(minimum, F)
        self.converged = small and (settled or minimum.reliable)
        return self.converged

    def is_separated(self, objective: Objective, F: float) -> bool:
        """Whether F has no minimiser, because the classes are separated, and is already below `tol` of its start."""
        return self.tol is not None and F <= self.tol * self.start and separates(objective, F)

    def has_risen(self) -> bool:
        """Whether a fit with explicit rates ended so far above its start that it has diverged.

        If F is zero at the start, as for a perceptron, the answer is False, because every step raises F from there.
        """
        factor = 1.0 + self.tol if self.tol is not None else RISEN
        return self.last > factor * self.start and self.start > 0.0
