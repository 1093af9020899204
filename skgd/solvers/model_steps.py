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
from ..models import column_metric
from ..models.cost import HessianPlan
from ..models.curvature import Diagonal
from ..models.proximal_metric import proximal_metric
from ..models.quasi_newton import QuasiNewton
from ..objective import Objective
from .certificates import newton_direction
from .descent import NEAR, UNDAMPED_FROM
from .line_search import Ray, line_search
from .model_budget import Minimum, ModelBudget
from .passes import run_alone
from .rate_control import RateController
from .renewal import Renewal
from .steps import Plan, State

MODEL_TOL = 1e-3  # A model is minimised to this share of `tol`.
ALL_ROUNDING = 1e-13  # An objective below this share of F at the start is a rounding error.
ALL_ROWS = np.inf  # the effort that makes a Hessian use all rows


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
        self._budget = ModelBudget()
        self._renewal = Renewal(objective, plan, self.tol, self._budget) if plan.whitening.side else None
        self._near = False  # whether the last model promised so little that far rows need no surrogate curvature
        self._floor = max(ALL_ROUNDING * start, TINY)

    def advance(self, state: State, control: RateController, epochs: int) -> Minimum | None:
        """Step from the best point to the minimum of a model, if the objective is lower there.

        Returns the minimum of the last model; None if no model is affordable yet.  After a step in whitened coordinates this is
        a model at the new point, because it costs nothing.
        """
        minimum = self._minimum(state, control.best, epochs, control.undone)
        if minimum is None or self.is_small(minimum, control.lowest):
            return minimum
        ray = Ray(control.best, minimum.target, control.lowest, minimum.slope)
        found = run_alone(self.objective, line_search(self.objective, ray))
        if found is None or not found.F < control.lowest:
            return minimum
        control.accept(found.theta, found.F)
        return minimum if self._renewal is None else self._minimum(state, found.theta, epochs, undone=False)

    def is_small(self, minimum: Minimum, F: float) -> bool:
        """Whether the model promises to fall by so little that the tolerance is reached."""
        return minimum.decrease <= NEAR * self.tol * max(F, self._floor)

    def relative(self, minimum: Minimum, F: float) -> float:
        """The decrease of the model relative to F."""
        return minimum.decrease / max(F, self._floor)

    def _minimum(self, state: State, theta: np.ndarray, epochs: int, undone: bool) -> Minimum | None:
        """The minimum of a model at theta, after so many epochs, the last of which may have been undone."""
        if self._renewal is not None:
            found = self._renewal.minimum(state, theta, epochs, undone)
            if found.reliable:
                return found
        return self._of_metric(theta, epochs)

    def _of_metric(self, theta: np.ndarray, epochs: int) -> Minimum | None:
        """The minimum of a model with the Hessian, or with products with it where the matrix would be too large."""
        objective = self.objective.with_own_curvature() if self._near else self.objective
        F, gradient = objective.evaluate(theta)
        goal, non_smooth = self.tol * max(F, self._floor), bool(objective.penalty.non_smooth.any())
        effort = ALL_ROWS if HessianPlan(objective, effort=ALL_ROWS).worthwhile else 1.0
        hessian = HessianPlan(objective, effort=effort)
        by_columns = non_smooth and column_metric.is_worthwhile(objective)
        if hessian.worthwhile or by_columns:
            passes = 0.0 if by_columns else hessian.passes
            if not self._budget.affords(passes, epochs):
                return None
            self._budget.spend(passes)
            metric = (proximal_metric if non_smooth else QuasiNewton)(objective, theta, effort)
            found = metric.minimise(theta, gradient, MODEL_TOL * goal, goal)
            minimum = Minimum(*found, reliable=metric.exact_near_minimum and hessian.shrinkage == 0.0)
        elif non_smooth:
            return Minimum(theta, 0.0, 0.0, reliable=False)  # no model contradicts that the fit has settled
        else:
            slope, diagonal = gradient + objective.penalty.l2[:, None] * theta, Diagonal(objective, theta)
            step, decrease, complete = newton_direction(objective, theta, slope, diagonal.solve, goal)
            minimum = Minimum(theta + step, float(np.vdot(slope, step)), decrease, complete)
        own = self._near or not objective.loss.damps_far_rows()  # surrogate curvature makes the decrease too small
        self._near = minimum.decrease <= max(UNDAMPED_FROM, self.tol) * F
        return minimum if own else minimum._replace(reliable=False)
