"""Steps on all rows at the ends of epochs, to the minimum of a quadratic model of the objective.

The model has the gradient of all rows, which the evaluation after the epoch has computed, and a Hessian at the same point.  It
serves three purposes:

- Its decrease estimates the gap F - F*.
- A step to its minimiser ends the epoch, if the objective is lower there.  This step has no noise, so it gets far where steps
  on batches have to be short: along directions whose curvature is due to few rows.
- In whitened coordinates its Hessian becomes the next whitening (`renewal`).
"""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..objective import Objective
from .certificates import proven_gap
from .descent import NEAR
from .full_models import FullModels
from .line_search import Ray, line_search
from .model_budget import Minimum, ModelBudget
from .passes import run_alone
from .rate_control import RateController
from .renewal import Renewal
from .steps import Plan, State

# The share of the tolerance that a model may promise at the end, instead of NEAR, if coefficients may become zero: a model is
# less accurate where signs change.
NEAR_WITH_SIGNS = 0.02
ALL_ROUNDING = 1e-13  # An objective below this share of F at the start is a rounding error.


class ModelSteps:
    """The models of a fit of a smooth loss, and steps to their minima.

    Parameters
    ----------
    objective : Objective
    plan : Plan
    tol : float or None
        The relative gap to reach.
    start : float
        F where the fit starts.
    """

    def __init__(self, objective: Objective, plan: Plan, tol: float | None, start: float) -> None:
        self.objective, self.tol = objective, tol or 0.0
        budget = ModelBudget()
        self._renewal = Renewal(objective, plan, self.tol, budget) if plan.whitening.side else None
        self._models = FullModels(objective, self.tol, budget)
        self._non_smooth = bool(objective.penalty.non_smooth.any())
        self._floor = max(ALL_ROUNDING * start, TINY)

    def advance(self, state: State, control: RateController, epochs: int) -> Minimum | None:
        """Step from the best point towards the minimum of a model, if the objective is lower there.

        Returns the minimum of the last model; None if no model is affordable yet.  After a step in whitened coordinates this is
        a model at the new point, because it costs nothing.
        """
        minimum = self._minimum(state, control.best, epochs, control.undone)
        if minimum is None:
            return None
        if not (self.is_small(minimum, control.lowest) and self._is_trusted(control.best)):
            ray = Ray(control.best, minimum.target, control.lowest, minimum.slope)
            found = run_alone(self.objective, line_search(self.objective, ray))
            if found is not None and found.F < control.lowest:
                control.accept(found.theta, found.F)
                if self._renewal is not None:
                    minimum = self._minimum(state, found.theta, epochs, undone=False) or minimum
        return minimum if self._is_trusted(control.best) else minimum._replace(reliable=False)

    def _is_trusted(self, theta: np.ndarray) -> bool:
        """Whether a model at theta that promises little is believed.

        Where a loss is linear or zero, it has no curvature, or only a surrogate.  There a model is wrong as soon as a row comes
        or goes, and the gap has to be proven by duality, if the penalty is smooth.
        """
        loss = self.objective.loss
        if self._non_smooth or not (loss.is_sum_of_ramps() or loss.smoothed()):
            return True
        F, gradient = self.objective.evaluate(theta)
        return proven_gap(self.objective, theta, gradient, self.tol * max(F, self._floor)) is not None

    def is_small(self, minimum: Minimum, F: float) -> bool:
        """Whether the model promises to fall by so little that the tolerance is reached."""
        near = NEAR_WITH_SIGNS if self._non_smooth else NEAR
        return minimum.decrease <= near * self.tol * max(F, self._floor)

    def relative(self, minimum: Minimum, F: float) -> float:
        """The decrease of the model relative to F."""
        return minimum.decrease / max(F, self._floor)

    def _minimum(self, state: State, theta: np.ndarray, epochs: int, undone: bool) -> Minimum | None:
        """The minimum of a model at theta, after so many epochs, the last of which may have been undone."""
        if self._renewal is not None:
            found = self._renewal.minimum(state, theta, epochs, undone)
            if found.reliable:
                return found
        return self._models.minimum(theta, epochs)
