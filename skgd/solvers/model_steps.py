"""Steps on all rows between epochs, to the minimum of a quadratic model of the objective.

The model has the gradient of all rows, which the evaluation after the epoch has computed, and a Hessian at the same point.  It
serves three purposes:

- Its decrease estimates the gap F - F*.
- A step to its minimiser ends the epoch, if the objective is lower there.  This step has no noise, so it gets far where steps on
  batches have to be short: along directions whose curvature is due to few rows.
- In whitened coordinates its Hessian becomes the next whitening.
"""

from __future__ import annotations

from typing import NamedTuple

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
from .rate_control import RateController
from .steps import Plan, State
from .whitening import CurvatureSample

# The whitening is renewed if an epoch has not reduced the decrease of its model to this share.
SLOW = 0.1
PASSES_OF_EPOCH = 3.0  # An epoch takes as long as so many passes, at least.  Renewals take no longer than epochs.
AFFORDABLE = 0.5  # A model that is not for whitening may cost so many passes for each epoch that was made.
SHORTEN = 0.25  # the factor of the length of a step after one that did not lower the objective
MODEL_TOL = 1e-3  # A model is minimised to this share of `tol`.
ALL_ROUNDING = 1e-13  # An objective below this share of F at the start is a rounding error.


class Minimum(NamedTuple):
    """The minimum of a quadratic model plus the penalty."""

    target: np.ndarray  # (D, K), the minimiser
    decrease: float  # by how much the model falls from the point where it was made
    reliable: bool  # whether near the minimum the objective falls by as much


class ModelSteps:
    """The models of a fit of a smooth loss.

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
        self.objective, self.plan, self.tol = objective, plan, tol or 0.0
        self._length = 1.0  # the length of the next step, relative to the way to the minimiser
        self._floor = max(ALL_ROUNDING * start, TINY)
        self._renewal = Renewal(objective, plan) if plan.whitening.side else None

    def advance(self, state: State, control: RateController, epochs: int) -> Minimum | None:
        """Step from the best point to the minimum of a model, if the objective is lower there.

        Returns the minimum of the last model; None if all models cost too much.  After a step in whitened coordinates this is a
        model at the new point, because it costs nothing.
        """
        minimum = self._minimum(state, control.best, epochs, control.undone)
        if minimum is None or self.within_tolerance(minimum, control.lowest):
            return minimum
        target = control.best + self._length * (minimum.target - control.best)
        F = self.objective.evaluate(target)[0]
        if not F < control.lowest:
            self._length *= SHORTEN
            return minimum
        self._length = 1.0
        control.accept(target, F)
        return self._minimum(state, target, epochs, undone=False) if self._renewal is not None else minimum

    def _minimum(self, state: State, theta: np.ndarray, epochs: int, undone: bool) -> Minimum | None:
        """The minimum of a model at theta, after so many epochs, the last of which may have been undone."""
        F, gradient = self.objective.evaluate(theta)
        if self._renewal is not None:
            found = self._renewal.minimum(state, theta, F, gradient, self.tol, epochs, undone)
            if found.reliable:
                return found
        return self._of_metric(theta, F, gradient, epochs)

    def within_tolerance(self, minimum: Minimum, F: float) -> bool:
        """Whether the model promises to fall by so little that the tolerance is reached."""
        return minimum.decrease <= NEAR * self.tol * max(F, self._floor)

    def relative(self, minimum: Minimum, F: float) -> float:
        """The decrease of the model relative to F."""
        return minimum.decrease / max(F, self._floor)

    def _of_metric(self, theta: np.ndarray, F: float, gradient: np.ndarray, epochs: int) -> Minimum | None:
        """The minimum of a model with a Hessian, or with a diagonal that conjugate gradients improve on."""
        objective, goal = self.objective, self.tol * max(F, self._floor)
        non_smooth = bool(objective.penalty.non_smooth.any())
        affordable = HessianPlan(objective).passes <= AFFORDABLE * epochs
        if affordable or (non_smooth and column_metric.is_worthwhile(objective)):
            metric = (proximal_metric if non_smooth else QuasiNewton)(objective.with_own_curvature(), theta)
            found = metric.minimise(theta, gradient, MODEL_TOL * goal)
            return Minimum(found.target, found.decrease, metric.exact_near_minimum)
        if non_smooth:
            return None
        slope, diagonal = gradient + objective.penalty.l2[:, None] * theta, Diagonal(objective, theta)
        step, decrease, complete = newton_direction(objective, theta, slope, diagonal.solve, goal)
        return Minimum(theta + step, decrease, complete)


class Renewal:
    """Renews the whitening of the steps.

    Parameters
    ----------
    objective : Objective
    plan : Plan
    """

    def __init__(self, objective: Objective, plan: Plan) -> None:
        self.objective, self.plan = objective, plan
        self._sample = CurvatureSample(objective)
        self._at: np.ndarray | None = None  # the point of the last renewal
        self._last_decrease, self._not_before = 0.0, 0.0

    def minimum(
        self, state: State, theta: np.ndarray, F: float, gradient: np.ndarray, tol: float, epochs: int, undone: bool
    ) -> Minimum:
        """The minimum of the model with the Hessian of the whitening, which is renewed at theta if it is outdated.

        If an epoch has been undone, the sample may have missed rows far out.  Then all rows are used.
        """
        slope = gradient + self.objective.penalty.l2[:, None] * theta
        if undone and not self._sample.complete:
            self._sample, self._at = CurvatureSample(self.objective, complete=self.objective.in_memory), None
        found = _minimum(state, theta, slope)
        decisive = found.decrease <= NEAR * tol * F
        slow = found.decrease > SLOW * self._last_decrease and epochs >= self._not_before
        if self._at is None or ((decisive or slow) and self._outdated(theta)):
            self._renew(state, theta, own=found.decrease <= max(UNDAMPED_FROM, tol) * F)
            self._not_before = epochs + self._sample.passes / PASSES_OF_EPOCH
            found = _minimum(state, theta, slope)
        self._last_decrease = found.decrease
        return found

    def _outdated(self, theta: np.ndarray) -> bool:
        return self._at is not theta and not self.objective.loss.constant_curvature()

    def _renew(self, state: State, theta: np.ndarray, own: bool) -> None:
        """Whiten by the Hessian at theta, with the `own` curvature of rows far from their targets or a larger surrogate."""
        loss = self.objective.loss.with_own_curvature() if own else self.objective.loss
        before, n = self.plan.whitening, self.objective.n
        state.whiten(self._sample.at(theta, loss))
        size = self.plan.batch_size
        state.rate = before.batch_curvature(size, n) / state.whitening.batch_curvature(size, n)
        state.rate_factor, self._at = 1.0, theta


def _minimum(state: State, theta: np.ndarray, slope: np.ndarray) -> Minimum:
    """The minimum of the model whose Hessian is the identity by phi."""
    step = state.whitening.gradient(slope)
    return Minimum(theta - state.whitening.theta(step), 0.5 * float(np.vdot(step, step)), state.whitening.exact)
