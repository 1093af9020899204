"""Working sets: an L1 penalty leaves most of many coefficients at zero, and large problems are solved without their columns.

A round takes the columns with coefficients, and those zeros whose slopes exceed the penalty most.  It solves the problem of
these columns alone, whose curvature is a small matrix, and looks at all columns again in one pass over X.  The set grows with
the support, so rounds are few (Massias, Gramfort and Salmon, 2018, who choose sets by a duality gap).
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np

from ..constants import TINY
from ..models import column_metric
from ..models.cost import HessianPlan
from ..objective import Objective
from ..penalties import zero_violations
from .budget import Budget
from .solution import Solution

FEWEST = 100  # columns that a round may add, if the support is smaller
ROUGH = 0.1  # the tolerance of the first rounds, whose sets are still wrong
# The share of the tolerance that columns outside may gain, each alone: together with correlated columns inside they gain more.
# With a fiftieth none of 32 fits on the arcene data stopped early.
OUTSIDE = 0.02
SHARE = 0.1  # the tolerance of a round, relative to what the columns outside would gain


class InnerSolver(Protocol):
    """Minimises the objective of a working set."""

    def __call__(self, objective: Objective, theta: np.ndarray, budget: Budget, *, thorough: bool) -> Solution: ...


def is_worthwhile(objective: Objective) -> bool:
    """Whether coefficients are held at zero, and the curvature of all columns costs more than the passes it would save."""
    kinked = bool(objective.penalty.non_smooth.any())
    return kinked and not (column_metric.is_worthwhile(objective) or HessianPlan(objective).worthwhile)


def minimise(objective: Objective, theta: np.ndarray, budget: Budget, solve: InnerSolver) -> Solution:
    """Run rounds until the columns outside the set would gain less than the tolerance allows; `solve` minimises each."""
    tol, max_iter, history = budget
    F, gradient = objective.evaluate(theta)
    history.begin(F, theta)
    first, goal = len(history.curve), max(tol, ROUGH)
    while True:
        working = _working_set(objective, theta, gradient)
        coefficients = np.append(working, objective.d)
        complete = partial(_completed, coefficients=coefficients, D=len(theta))
        inner = Budget(goal, max_iter - (len(history.curve) - first), history.through(complete))
        part = solve(objective.features(working), theta[coefficients], inner, thorough=False)
        theta, F_before = complete(part.theta), F
        F, gradient = objective.evaluate(theta)
        iterations = len(history.curve) - first
        outside = _gain_outside(objective, theta, gradient) / max(F, TINY)
        gap = part.gap + outside
        if (goal == tol and (outside <= OUTSIDE * tol or F >= F_before)) or iterations >= max_iter:
            return Solution(theta, max(iterations, 1), gap, part.converged and gap <= tol, part.remark)
        goal = max(min(goal, SHARE * outside) if F < F_before else SHARE * goal, tol)


def _completed(part: np.ndarray, coefficients: np.ndarray, D: int) -> np.ndarray:
    """theta (D, K) whose only non-zeros are the given coefficients, of values `part`."""
    theta = np.zeros((D, part.shape[1]))
    theta[coefficients] = part
    return theta


def _working_set(objective: Objective, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The columns with coefficients, and as many others, or `FEWEST`, of those whose slopes exceed the penalty most."""
    support = np.any(theta[:-1], axis=1)
    pull = np.where(support, 0.0, zero_violations(theta, gradient, objective.penalty)[:-1].max(axis=1))
    added = min(max(int(support.sum()), FEWEST), int((pull > 0.0).sum()))
    wanted = np.argpartition(-pull, added - 1)[:added] if added else np.empty(0, np.intp)
    return np.union1d(np.flatnonzero(support), wanted)


def _gain_outside(objective: Objective, theta: np.ndarray, gradient: np.ndarray) -> float:
    """What F would lose, to second order, if each zero whose slope exceeds the penalty left zero alone."""
    pull = zero_violations(theta, gradient, objective.penalty)[:-1]
    if not pull.any():
        return 0.0
    curvature = objective.curvature_diagonal(theta)[:-1] + objective.penalty.l2[:-1, None]
    return float(np.sum(np.divide(0.5 * pull**2, curvature, out=np.zeros_like(pull), where=curvature > 0.0)))
