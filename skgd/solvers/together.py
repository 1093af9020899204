"""Independent columns of scores descend separately, but share passes over X.

Several targets, or several one-vs-rest classes, have nothing in common but X.  So each column of scores has its own steps, its
own metric and its own stopping rule.  One pass over X evaluates the points of all columns that have not stopped (see `passes`).
"""

from __future__ import annotations

import numpy as np

from ..constants import TINY, UNRESOLVED_GAP
from ..fit_cache import FitCache
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import penalty_value
from .budget import Budget
from .descent import descend_column
from .descent_state import Start
from .passes import Descent, MeanObjective
from .solution import Solution


class _ColumnHistory(History):
    """The history of one column, which also keeps its current theta (D, 1)."""

    def begin(self, objective: float, theta: np.ndarray) -> None:
        super().begin(objective, theta)
        self.theta = theta

    def record(self, objective: float, theta: np.ndarray) -> None:
        super().record(objective, theta)
        self.theta = theta


class _Column:
    """The descent of one column, with the point where it needs the objective next, or its solution once it has stopped."""

    def __init__(self, descent: Descent, history: _ColumnHistory) -> None:
        self.descent, self.history = descent, history
        self.point = next(descent)
        self.solution: Solution | None = None

    def answer(self, F: float, gradient: np.ndarray) -> None:
        """Send F and the gradient (D, 1) at `point` to the descent, which moves on to its next point or stops."""
        try:
            self.point = self.descent.send((F, gradient))
        except StopIteration as end:
            self.solution = end.value

    @property
    def value(self) -> float:
        """The column's objective after its last iteration."""
        return self.history.curve[-1]


def is_worthwhile(objective: Objective) -> bool:
    """Whether there are several columns of scores that are independent problems, with data in memory."""
    independent = objective.K > 1 and not (objective.loss.coupled() or objective.loss.constant_curvature())
    return independent and objective.in_memory


def minimise(
    objective: Objective, theta: np.ndarray, starts: list[Start | None], budget: Budget, *, thorough: bool = True
) -> Solution:
    """Minimise all columns from theta (D, K).  A column begins at its start instead if its objective is lower there.

    A column stops when its gap is small relative to the mean objective of all columns.  Other columns may lower this mean
    afterwards, and then the gap may be too large.  In this case all columns descend again, from where they stopped.
    """
    mean_objective, caches = MeanObjective(), _caches(objective)
    objectives = [objective.for_outputs(np.array([k]), cache) for k, cache in enumerate(caches)]
    iterations = 0
    while True:
        left, columns = budget.max_iter - iterations, []
        for k, of_column in enumerate(objectives):
            history = _ColumnHistory("gd")
            own = Budget(budget.tol, left, history)
            descent = descend_column(of_column, theta[:, [k]], starts[k], own, mean_objective=mean_objective, thorough=thorough)
            columns.append(_Column(descent, history))
        solution = _run(objective, columns, mean_objective, budget.history, first=iterations == 0)
        iterations += solution.iterations
        within = solution.converged and solution.gap <= max(budget.tol, UNRESOLVED_GAP)
        if within or not solution.converged or solution.iterations == 0 or iterations >= budget.max_iter:
            return solution._replace(iterations=max(iterations, 1), converged=within)
        theta = solution.theta


def _run(
    objective: Objective, columns: list[_Column], mean_objective: MeanObjective, history: History, first: bool
) -> Solution:
    """Evaluate the points of all columns until the last one has stopped.  `first` says that the history has not begun."""
    of_active, iterations = objective, 0
    while active := [k for k, column in enumerate(columns) if column.solution is None]:
        if len(active) < of_active.K:
            of_active = objective.for_outputs(np.array(active))
        _answer(of_active, columns, active, mean_objective)
        if not all(column.history.curve for column in columns):
            continue  # a column has not yet evaluated both of its starting points
        total, theta = sum(column.value for column in columns), np.hstack([column.history.theta for column in columns])
        if first and iterations == 0:
            history.begin(total, theta)
        longest = max(len(column.history.curve) for column in columns) - 1
        if longest > iterations:
            iterations = longest
            history.record(total, theta)
    history.begin(total, theta)  # columns with fewer iterations may have moved since the last record
    return _joined([column.solution for column in columns if column.solution], [column.value for column in columns], iterations)


def _answer(objective: Objective, columns: list[_Column], active: list[int], mean_objective: MeanObjective) -> None:
    """Evaluate the points of the active columns in one pass over X, and update the mean objective.

    `objective` is the objective of the active columns alone.
    """
    points = np.hstack([columns[k].point for k in active])
    losses, gradient = objective.loss_parts(points)
    answers = {k: float(losses[i]) + penalty_value(points[:, [i]], objective.penalty) for i, k in enumerate(active)}
    lowest = {k: column.value for k, column in enumerate(columns) if column.history.curve}
    lowest.update({k: min(F, lowest.get(k, F)) for k, F in answers.items()})
    mean_objective.value = sum(lowest.values()) / len(columns)
    for i, k in enumerate(active):
        columns[k].answer(answers[k], gradient[:, [i]])


def _caches(objective: Objective) -> list[FitCache | None]:
    """A cache for each column of scores if the next fit may use it, else None for each column."""
    cache = objective.cache
    if cache.curvature is None:
        return [None] * objective.K
    if len(cache.columns) != objective.K:
        cache.columns = [FitCache(curvature={}) for _ in range(objective.K)]
    return list(cache.columns)


def _joined(solutions: list[Solution], values: list[float], iterations: int) -> Solution:
    """The solution of all columns, given the solution and the objective of each.  The gaps F - F* add up."""
    gaps = sum(solution.gap * F for solution, F in zip(solutions, values, strict=True))
    return Solution(
        np.hstack([solution.theta for solution in solutions]),
        iterations,
        gaps / max(sum(values), TINY),
        all(solution.converged for solution in solutions),
        next((solution.remark for solution in solutions if solution.remark), ""),
        all(solution.bound for solution in solutions),
    )
