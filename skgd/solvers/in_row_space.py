"""Minimise in the row space of X: see `models.row_space`."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..constants import TINY
from ..models.row_space import RowSpace
from ..objective import Objective
from .budget import Budget
from .certificates import Rounding
from .solution import Solution


class Solver(Protocol):
    """Minimises an objective from theta (D, K).  `warm` says that theta is near the minimum."""

    def __call__(self, objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution: ...


def in_row_space(objective: Objective, theta: np.ndarray, budget: Budget, solve: Solver) -> Solution:
    """Let a solver minimise in the row space.

    It continues with all coefficients if rounding errors of the transformation exceed `tol`.
    """
    history, space = budget.history, RowSpace(objective)
    inner = budget._replace(history=history.through(space.outside))
    solution = solve(space.objective, space.inside(theta), inner)
    theta, F_inside = space.outside(solution.theta), history.curve[-1]
    F, left = objective.evaluate(theta)[0], budget.max_iter - solution.iterations
    history.begin(F, theta)
    risen = max(F - F_inside, 0.0)
    gap = solution.gap + risen / max(F, TINY)
    harmless = risen <= Rounding(objective, history.curve[0]).below(F)
    if harmless or gap <= budget.tol or left == 0 or not solution.converged:
        converged = solution.converged and (harmless or gap <= budget.tol)
        return solution._replace(theta=theta, gap=gap, converged=converged)
    more = solve(objective, theta, budget._replace(max_iter=left), warm=True)
    history.begin(objective.evaluate(more.theta)[0], more.theta)
    return more._replace(iterations=solution.iterations + more.iterations)
