"""Fits by epochs of stochastic steps: chooses where the steps are made.

With automatic rates they take the same shorter ways as gd: the row space, if there are fewer rows than columns, working sets,
if a non-smooth penalty leaves few of many columns, and smoothing of losses with kinks.  With explicit rates they are made on
the objective as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..models import row_space
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from . import smoothing, stochastic, working_sets
from .budget import Budget
from .in_row_space import in_row_space
from .solution import Solution
from .steps import Plan

# Returns the objective in the coordinates of the steps, and the plan of the steps.
Planner = Callable[[Objective, Options], tuple[Objective, Plan]]


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History, plan_steps: Planner) -> Solution:
    """Run epochs of the steps that `plan_steps` plans, from theta (d + 1, K)."""
    budget = Budget(options.tol or 0.0, options.max_iter, history)
    direct = not options.automatic or objective.loss.minimised_by_zero_scores()

    def epochs(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution:
        inner = replace(options, tol=None if options.tol is None else budget.tol, max_iter=budget.max_iter)
        return follow_plan(objective, theta, *plan_steps(objective, inner), inner, budget.history, warm)

    def in_all_columns(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution:
        if direct:
            return epochs(objective, theta, budget, warm=warm)
        if not objective.loss.smooth():
            return smoothing.minimise(objective, theta, budget, smooth)
        return smooth(objective, theta, budget, warm=warm)

    def smooth(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution:
        if working_sets.is_worthwhile(objective):
            return working_sets.minimise(objective, theta, budget, epochs)
        return epochs(objective, theta, budget, warm=warm)

    if not direct and row_space.is_worthwhile(objective):
        return in_row_space(objective, theta, budget, in_all_columns)
    return in_all_columns(objective, theta, budget)


def follow_plan(
    objective: Objective,
    theta: np.ndarray,
    scaled: Objective,
    plan: Plan,
    options: Options,
    history: History,
    warm: bool,
) -> Solution:
    """Run the epochs of a plan.

    Steps are made in the coordinates of `scaled`.  theta (d + 1, K) and the solution are in the coordinates of `objective`.
    """
    here, there = objective.coordinates, scaled.coordinates

    def to_objective(theta: np.ndarray) -> np.ndarray:
        return here.theta(*there.raw(theta))

    start = there.theta(*here.raw(theta))
    # Steps at explicit rates are counted from 1 in every fit.  In a stream all epochs belong to the same fit.
    cache = objective.cache if options.automatic or not objective.in_memory else None
    solution = stochastic.minimise(scaled, start, plan, options, history.through(to_objective), cache, warm)
    return solution._replace(theta=to_objective(solution.theta))
