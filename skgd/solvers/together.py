"""Independent columns of scores are minimised together: each as a problem of its own, in shared passes over X.

Targets, or classes against the rest, have nothing in common but X.  So each has its own steps, its own curvature and its own
end; a descent is written as a generator, which yields the points where it wants the objective, and all that were asked for are
answered in one pass.  Columns that are done take no further part.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from ..history import History
from ..memory import Memory
from ..objective import Objective
from ..penalties import penalty_value
from . import Solution

TINY = float(np.finfo(float).tiny)
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


def pays(objective: Objective) -> bool:
    """Whether columns are independent problems, whose passes can be shared."""
    several = objective.K > 1 and not (objective.loss.coupled() or objective.loss.quadratic())
    return several and objective.in_memory


def minimise(
    objective: Objective,
    theta: np.ndarray,
    starts: list[Any],
    *,
    history: History,
    descend: Callable[..., Descent],
    **how: Any,
) -> Solution:
    """Minimise all columns from theta (D, K); `descend` is the descent of one, with its own start and the arguments `how`."""
    share, own = Share(), [_Column("gd") for _ in range(objective.K)]
    memories = _memories(objective)
    columns = [objective.of_columns(np.array([k]), memory) for k, memory in enumerate(memories)]
    descents = [
        descend(column, theta[:, [k]], starts[k], history=own[k], share=share, **how) for k, column in enumerate(columns)
    ]
    asked, solutions = {k: next(descent) for k, descent in enumerate(descents)}, {}
    together, iterations = objective, 0
    while asked:
        active = sorted(asked)
        if len(active) < together.K:
            together = objective.of_columns(np.array(active))
        points = np.hstack([asked[k] for k in active])
        losses, gradient = together.loss_parts(points)
        for i, k in enumerate(active):
            F = float(losses[i]) + penalty_value(points[:, [i]], objective.penalty)
            try:
                asked[k] = descents[k].send((F, gradient[:, [i]]))
            except StopIteration as end:
                solutions[k] = end.value
                del asked[k]
        if not all(column.curve for column in own):
            continue  # one of them begins elsewhere
        total = sum(column.curve[-1] for column in own)
        share.value = total / objective.K
        if iterations == 0:
            history.begin(total, np.hstack([column.theta for column in own]))
        longest = max(len(column.curve) for column in own) - 1
        if longest > iterations:
            iterations = longest
            history.record(total, np.hstack([column.theta for column in own]))
    return _joined([solutions[k] for k in range(objective.K)], [column.curve[-1] for column in own])


def _memories(objective: Objective) -> list[Memory | None]:
    """Of the columns, where the fit before may have left some, and the next one may ask for them."""
    memory = objective.memory
    if memory.curvature is None:
        return [None] * objective.K
    if len(memory.columns) != objective.K:
        memory.columns = [Memory(curvature={}) for _ in range(objective.K)]
    return list(memory.columns)


def _joined(solutions: list[Solution], values: list[float]) -> Solution:
    """One solution of all columns, given their objectives: gaps add up."""
    gaps = sum(solution.gap * F for solution, F in zip(solutions, values, strict=True))
    return Solution(
        np.hstack([solution.theta for solution in solutions]),
        max(solution.iterations for solution in solutions),
        gaps / max(sum(values), TINY),
        all(solution.converged for solution in solutions),
        next((solution.remark for solution in solutions if solution.remark), ""),
        all(solution.bound for solution in solutions),
    )
