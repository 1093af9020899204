"""Working sets: with an L1 penalty most coefficients are zero, so a sequence of problems of few columns is solved.

The support is the set of columns with a coefficient that is not zero.  Each outer iteration chooses a working set: the support,
and the columns that violate their optimality conditions most.  It minimises the objective of these columns alone, whose Hessian
is a small matrix.  One pass over X then gives the gradient of all columns.  A working set may have twice as many columns as the
support, so few outer iterations are needed (Massias, Gramfort and Salmon, 2018, who choose working sets by a duality gap).
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

MIN_ADDED = 100  # the number of columns that may be added to the support, if the support is smaller
FIRST_TOL = 0.1  # the tolerance of the first outer iteration, whose working set is not yet the right one
# The gain of the columns outside of the working set has to be below this share of the tolerance.  It is computed for each
# column alone, and columns gain more together with correlated ones.  With this value none of 32 fits on the arcene data stopped
# early.
OUTSIDE_SHARE = 0.02
TOL_PER_GAIN = 0.1  # the tolerance of an outer iteration, relative to the gain of the columns outside of the last working set


class InnerSolver(Protocol):
    """Minimises the objective of a working set."""

    def __call__(self, objective: Objective, theta: np.ndarray, budget: Budget) -> Solution: ...


def is_worthwhile(objective: Objective) -> bool:
    """Whether the penalty sets coefficients to zero, and the Hessian of all columns costs more than the passes it saves."""
    non_smooth = bool(objective.penalty.non_smooth.any())
    return non_smooth and not (column_metric.is_worthwhile(objective) or HessianPlan(objective).worthwhile)


def minimise(objective: Objective, theta: np.ndarray, budget: Budget, solve: InnerSolver) -> Solution:
    """Minimise over working sets by `solve`, until the gain of the columns outside is a small share of the tolerance."""
    tol, max_iter, history = budget
    F, gradient = objective.evaluate(theta)
    history.begin(F, theta)
    first, goal = len(history.curve), max(tol, FIRST_TOL)
    while True:
        working = _working_set(objective, theta, gradient)
        coefficients = np.append(working, objective.d)
        complete = partial(_completed, coefficients=coefficients, D=len(theta))
        inner = Budget(goal, max_iter - (len(history.curve) - first), history.through(complete))
        part = solve(objective.for_columns(working), theta[coefficients], inner)
        theta, F_before = complete(part.theta), F
        F, gradient = objective.evaluate(theta)
        iterations = len(history.curve) - first
        outside = _gain_outside(objective, theta, gradient) / max(F, TINY)
        gap = part.gap + outside
        if (goal == tol and (outside <= OUTSIDE_SHARE * tol or F >= F_before)) or iterations >= max_iter:
            return Solution(theta, max(iterations, 1), gap, part.converged and gap <= tol, part.remark)
        goal = max(min(goal, TOL_PER_GAIN * outside) if F < F_before else TOL_PER_GAIN * goal, tol)


def _completed(part: np.ndarray, coefficients: np.ndarray, D: int) -> np.ndarray:
    """theta (D, K) with the rows `coefficients` equal to `part`, and zeros elsewhere."""
    theta = np.zeros((D, part.shape[1]))
    theta[coefficients] = part
    return theta


def _working_set(objective: Objective, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The support, and at most as many other columns, or `MIN_ADDED`, that violate their optimality conditions most."""
    support = np.any(theta[:-1], axis=1)
    violations = np.where(support, 0.0, zero_violations(theta, gradient, objective.penalty)[:-1].max(axis=1))
    added = min(max(int(support.sum()), MIN_ADDED), int((violations > 0.0).sum()))
    wanted = np.argpartition(-violations, added - 1)[:added] if added else np.empty(0, np.intp)
    return np.union1d(np.flatnonzero(support), wanted)


def _gain_outside(objective: Objective, theta: np.ndarray, gradient: np.ndarray) -> float:
    """The sum of the decreases of F, to second order, if each coefficient that violates its condition at zero moved alone."""
    violations = zero_violations(theta, gradient, objective.penalty)[:-1]
    if not violations.any():
        return 0.0
    curvature = objective.curvature_diagonal(theta)[:-1] + objective.penalty.l2[:-1, None]
    return float(np.sum(np.divide(0.5 * violations**2, curvature, out=np.zeros_like(violations), where=curvature > 0.0)))
