"""Working sets: an L1 penalty leaves most of many coefficients at zero, and whole problems are solved without their columns.

A round takes the columns with coefficients and those zeros that want most to leave, solves the problem of these alone,
whose curvature is a small matrix, and looks at all columns again: one pass over X a round.  The set grows with the
support, so rounds are few (Massias, Gramfort and Salmon, 2018, who choose sets by a duality gap).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..models import column_metric
from ..models.curvature import Matrices
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import zero_violations
from .solution import Solution

FEWEST = 100  # columns that a round adds, where as many want to be in
ROUGH = 0.1  # tolerance of the first rounds, whose sets are still wrong
TINY = float(np.finfo(float).tiny)
OUTSIDE = 0.02  # share of `tol` that columns outside may gain, each alone: with help from those inside it is more
SHARE = 0.1  # of what the columns outside would gain, to which a round is solved


def is_worthwhile(objective: Objective) -> bool:
    """Whether coefficients are held at zero, and the curvature of all columns costs more than the passes it would save."""
    kinked = bool(objective.penalty.non_smooth.any())
    return kinked and not (column_metric.is_worthwhile(objective) or Matrices(objective, constant=False).worthwhile)


def minimise(
    objective: Objective,
    theta: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    history: History,
    descend: Callable[..., Solution],
) -> Solution:
    """Rounds until no column outside the set would gain what `tol` does not allow; `descend` solves them."""
    F, gradient = objective.evaluate(theta)
    history.begin(F, theta)
    first, goal = len(history.curve), max(tol, ROUGH)
    while True:
        working = _working_set(objective, theta, gradient)
        coefficients = np.append(working, objective.d)
        left = max_iter - (len(history.curve) - first)
        chosen = objective.features(working)
        whole = partial(_placed, coefficients=coefficients, D=len(theta))
        seen = history.through(whole)
        part = descend(chosen, theta[coefficients], tol=goal, max_iter=left, history=seen, certain=False)
        theta = whole(part.theta)
        F_then = F
        F, gradient = objective.evaluate(theta)
        iterations = len(history.curve) - first
        outside = _gain_outside(objective, theta, gradient) / max(F, TINY)
        gap = part.gap + outside
        if (goal == tol and (outside <= OUTSIDE * tol or F >= F_then)) or iterations >= max_iter:
            return Solution(theta, max(iterations, 1), gap, part.converged and gap <= tol, part.remark)
        goal = max(min(goal, SHARE * outside) if F < F_then else SHARE * goal, tol)


def _placed(part: np.ndarray, coefficients: np.ndarray, D: int) -> np.ndarray:
    """Theta (D, K) whose only non-zeros are the chosen coefficients."""
    theta = np.zeros((D, part.shape[1]))
    theta[coefficients] = part
    return theta


def _working_set(objective: Objective, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Columns with coefficients, and as many again, or `FEWEST`, of those with the largest excess."""
    support = np.any(theta[:-1], axis=1)
    pull = np.where(support, 0.0, zero_violations(theta, gradient, objective.penalty)[:-1].max(axis=1))
    most = min(max(int(support.sum()), FEWEST), int((pull > 0.0).sum()))
    wanted = np.argpartition(-pull, most - 1)[:most] if most else np.empty(0, np.intp)
    return np.union1d(np.flatnonzero(support), wanted)


def _gain_outside(objective: Objective, theta: np.ndarray, gradient: np.ndarray) -> float:
    """What F would lose, to second order, if each zero with an excess left alone."""
    pull = zero_violations(theta, gradient, objective.penalty)[:-1]
    if not pull.any():
        return 0.0
    curvature = objective.curvature_diagonal(theta)[:-1] + objective.penalty.l2[:-1, None]
    return float(np.sum(np.divide(0.5 * pull**2, curvature, out=np.zeros_like(pull), where=curvature > 0.0)))
