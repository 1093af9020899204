"""Independent columns of scores are minimised together: each as a problem of its own, in shared passes over X.

Targets, or classes against the rest, have nothing in common but X.  So each has its own steps, its own curvature and its own
end; a descent is written as a generator, which yields the points where it wants the objective, and all that were asked for are
answered in one pass.  Columns that are done take no further part.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..fit_cache import FitCache
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import penalty_value
from .solution import Solution

TINY, ROUNDING = float(np.finfo(float).tiny), 1e-13  # relative gap that the arithmetic cannot tell from none
Answer = tuple[float, np.ndarray]  # F and the gradient of its loss part
Descent = Generator[np.ndarray, Answer, Solution]


class Share:
    """The part of the total objective that one of several columns stands for; 0 where there is only one."""

    value = 0.0


class _Column(History):
    """The history of one column, which also knows where it is."""

    def begin(self, objective: float, theta: np.ndarray) -> None:
        super().begin(objective, theta)
        self.theta = theta

    def record(self, objective: float, theta: np.ndarray) -> None:
        super().record(objective, theta)
        self.theta = theta


def alone(objective: Objective, descent: Descent) -> Solution:
    """Answer a descent until it ends."""
    try:
        point = next(descent)
        while True:
            point = descent.send(objective.evaluate(point))
    except StopIteration as end:
        return end.value


def is_worthwhile(objective: Objective) -> bool:
    """Whether columns are independent problems, whose passes can be shared."""
    several = objective.K > 1 and not (objective.loss.coupled() or objective.loss.constant_curvature())
    return several and objective.in_memory


def minimise(
    objective: Objective,
    theta: np.ndarray,
    starts: list[Any],
    *,
    tol: float,
    max_iter: int,
    history: History,
    descend: Callable[..., Descent],
    **how: Any,
) -> Solution:
    """Minimise all columns from theta (D, K); `descend` is the descent of one, with its own start and the arguments `how`.

    A column ends where its gap is small beside the total objective.  Where that falls later, because others had further to go,
    the gap is too large, and the column goes on.
    """
    share, memories = Share(), _memories(objective)
    columns = [objective.of_columns(np.array([k]), cache) for k, cache in enumerate(memories)]
    iterations = 0
    while True:
        left = {"tol": tol, "max_iter": max_iter - iterations, **how}
        descents = [partial(descend, column, theta[:, [k]], starts[k], share=share, **left) for k, column in enumerate(columns)]
        solution = _shared(objective, descents, share, history, iterations)
        iterations += solution.iterations
        within = solution.converged and solution.gap <= max(tol, ROUNDING)
        if within or not solution.converged or solution.iterations == 0 or iterations >= max_iter:
            return solution._replace(iterations=max(iterations, 1), converged=within)
        theta = solution.theta


def _shared(
    objective: Objective, descents: Sequence[Callable[..., Descent]], share: Share, history: History, before: int
) -> Solution:
    """Run the descents of all columns to their ends, after so many iterations."""
    own = [_Column("gd") for _ in descents]
    running = [descent(history=here) for descent, here in zip(descents, own, strict=True)]
    asked, solutions = {k: next(descent) for k, descent in enumerate(running)}, {}
    together, longest = objective, 0
    while asked:
        active = sorted(asked)
        if len(active) < together.K:
            together = objective.of_columns(np.array(active))
        points = np.hstack([asked[k] for k in active])
        losses, gradient = together.loss_parts(points)
        answers = [float(F) + penalty_value(points[:, [i]], objective.penalty) for i, F in enumerate(losses)]
        lowest = {k: column.curve[-1] for k, column in enumerate(own) if column.curve}
        lowest.update({k: min(F, lowest.get(k, F)) for k, F in zip(active, answers, strict=True)})
        share.value = sum(lowest.values()) / len(own)
        for i, k in enumerate(active):
            try:
                asked[k] = running[k].send((answers[i], gradient[:, [i]]))
            except StopIteration as end:
                solutions[k] = end.value
                del asked[k]
        if not all(column.curve for column in own):
            continue  # one of them begins elsewhere
        total, theta = sum(column.curve[-1] for column in own), np.hstack([column.theta for column in own])
        if longest == 0 and before == 0:
            history.begin(total, theta)
        iterations = max(len(column.curve) for column in own) - 1
        if iterations > longest:
            longest = iterations
            history.record(total, theta)
    history.begin(total, theta)  # the last steps may have been those of columns that are behind
    return _joined([solutions[k] for k in range(len(own))], [column.curve[-1] for column in own], longest)


def _memories(objective: Objective) -> list[FitCache | None]:
    """Of the columns, where the fit before may have left some, and the next one may ask for them."""
    cache = objective.cache
    if cache.curvature is None:
        return [None] * objective.K
    if len(cache.columns) != objective.K:
        cache.columns = [FitCache(curvature={}) for _ in range(objective.K)]
    return list(cache.columns)


def _joined(solutions: list[Solution], values: list[float], iterations: int) -> Solution:
    """One solution of all columns, given their objectives: gaps add up."""
    gaps = sum(solution.gap * F for solution, F in zip(solutions, values, strict=True))
    return Solution(
        np.hstack([solution.theta for solution in solutions]),
        iterations,
        gaps / max(sum(values), TINY),
        all(solution.converged for solution in solutions),
        next((solution.remark for solution in solutions if solution.remark), ""),
        all(solution.bound for solution in solutions),
    )
