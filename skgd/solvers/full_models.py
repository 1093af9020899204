"""Quadratic models with the Hessian of all rows, for steps that are not whitened."""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..models import column_metric
from ..models.column_metric import Columns
from ..models.cost import LARGEST_SIDE, HessianPlan
from ..models.curvature import Diagonal
from ..models.metric import Metric
from ..models.proximal_metric import full_metric
from ..models.quasi_newton import QuasiNewton
from ..objective import Objective
from .certificates import newton_direction
from .descent import UNDAMPED_FROM
from .model_budget import Minimum, ModelBudget

MODEL_TOL = 1e-9  # A model is minimised to this share of `tol`, so that nothing is left to polish.
ALL_ROWS = np.inf  # the effort that makes a Hessian use all rows


class FullModels:
    """Models of an objective with a smooth loss.

    Parameters
    ----------
    objective : Objective
    tol : float
        The relative gap to reach.
    budget : ModelBudget
    """

    def __init__(self, objective: Objective, tol: float, budget: ModelBudget) -> None:
        self.objective, self.tol, self._budget = objective, tol, budget
        self._non_smooth = bool(objective.penalty.non_smooth.any())
        self._near = not objective.loss.damps_far_rows()  # whether far rows need no surrogate curvature

    def minimum(self, theta: np.ndarray, epochs: int) -> Minimum | None:
        """The minimum of a model at theta, after so many epochs; None if it is not affordable yet.

        Surrogate curvature of far rows makes the decrease too small, so the result is reliable only without it.
        """
        objective, near = self.objective.with_own_curvature() if self._near else self.objective, self._near
        F = objective.evaluate(theta)[0]
        found = self._minimum(objective, theta, self.tol * max(F, TINY), epochs)
        if found is None:
            return None
        self._near = near or found.decrease <= max(UNDAMPED_FROM, self.tol) * F
        return found if near else found._replace(reliable=False)

    def _minimum(self, objective: Objective, theta: np.ndarray, goal: float, epochs: int) -> Minimum | None:
        """The minimum by a matrix, or by products where the matrix would be too large.  `goal` is the tolerance for F."""
        plan = HessianPlan(objective, effort=ALL_ROWS)
        by_columns = self._non_smooth and column_metric.is_worthwhile(objective)
        if by_columns:
            return _of_metric(Columns(objective, theta), objective, theta, goal)
        if not (self._non_smooth or plan.worthwhile):
            return _by_conjugate_gradients(objective, theta, goal)
        if plan.side > LARGEST_SIDE or not self._budget.affords(plan.passes, epochs):
            return None
        self._budget.spend(plan.passes)
        metric: Metric = full_metric(objective, theta, plan) if self._non_smooth else QuasiNewton(objective, theta, ALL_ROWS)
        return _of_metric(metric, objective, theta, goal)


def _of_metric(metric: Metric, objective: Objective, theta: np.ndarray, goal: float) -> Minimum:
    found = metric.minimise(theta, objective.evaluate(theta)[1], MODEL_TOL * goal, goal)
    return Minimum(*found, reliable=metric.exact_near_minimum)


def _by_conjugate_gradients(objective: Objective, theta: np.ndarray, goal: float) -> Minimum:
    slope = objective.evaluate(theta)[1] + objective.penalty.l2[:, None] * theta
    diagonal = Diagonal(objective, theta)
    step, decrease, complete = newton_direction(objective, theta, slope, diagonal.solve, goal)
    return Minimum(theta + step, float(np.vdot(slope, step)), decrease, complete)
