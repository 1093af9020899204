"""Renewal of the whitening, whose Hessian is also a quadratic model of the objective."""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..objective import Objective
from .descent import NEAR, UNDAMPED_FROM
from .model_budget import Minimum, ModelBudget
from .steps import Plan, State
from .whitening import CurvatureSample

# The whitening is renewed if an epoch has not reduced the decrease of its model to this share.
SLOW = 0.1


class Renewal:
    """Renews the whitening of the steps where its Hessian is outdated.

    Parameters
    ----------
    objective : Objective
    plan : Plan
    tol : float
        The relative gap to reach.
    budget : ModelBudget
    """

    def __init__(self, objective: Objective, plan: Plan, tol: float, budget: ModelBudget) -> None:
        self.objective, self.plan, self.tol, self._budget = objective, plan, tol, budget
        self._sample = CurvatureSample(objective)
        self._at: np.ndarray | None = None  # the point of the last renewal
        self._last_decrease = 0.0

    def minimum(self, state: State, theta: np.ndarray, epochs: int, undone: bool) -> Minimum:
        """The minimum of the model at theta with the Hessian of the whitening, which is renewed at theta if it is outdated.

        It is if it says that the fit has converged, or if epochs are slow.  If an epoch has been `undone`, the sample may have
        missed rows far out, and from then on all rows are used.
        """
        F, gradient = self.objective.evaluate(theta)
        slope = gradient + self.objective.penalty.l2[:, None] * theta
        if undone and not self._sample.complete:
            self._sample, self._at = CurvatureSample(self.objective, complete=True), None
        found = _minimum(state, theta, slope)
        decisive = found.decrease <= NEAR * self.tol * max(F, TINY)
        slow = found.decrease > SLOW * self._last_decrease and self._budget.affords(self._sample.passes, epochs)
        if self._at is None or ((decisive or slow) and self._is_outdated(theta)):
            self._renew(state, theta, own=found.decrease <= max(UNDAMPED_FROM, self.tol) * F)
            found = _minimum(state, theta, slope)
        self._last_decrease = found.decrease
        return found

    def _is_outdated(self, theta: np.ndarray) -> bool:
        return self._at is not theta and not self.objective.loss.constant_curvature()

    def _renew(self, state: State, theta: np.ndarray, own: bool) -> None:
        """Whiten by the Hessian at theta, with the `own` curvature of rows far from their targets or a larger surrogate."""
        loss = self.objective.loss.with_own_curvature() if own else self.objective.loss
        first, size, n = self.plan.whitening, self.plan.batch_size, self.objective.n
        state.whiten(self._sample.at(theta, loss))
        state.rate = first.batch_curvature(size, n) / state.whitening.batch_curvature(size, n)
        state.rate_factor, self._at = 1.0, theta
        self._budget.spend(self._sample.passes)


def _minimum(state: State, theta: np.ndarray, slope: np.ndarray) -> Minimum:
    """The minimum of the model whose Hessian is the identity by phi."""
    step = state.whitening.gradient(slope)
    square = float(np.vdot(step, step))
    return Minimum(theta - state.whitening.theta(step), -square, 0.5 * square, state.whitening.exact)
