"""Descents are generators, so that several of them can share passes over X.

Passes over X take most of the time.  A descent does not make them itself.  It yields the point at which it needs the objective,
and is sent the `Answer`.  `run_alone` makes one pass for each point of one descent.  `together.minimise` collects the points of
the descents of several columns of scores, and answers all of them from one pass.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..objective import Objective
from .solution import Solution

Result = TypeVar("Result")
Answer = tuple[float, np.ndarray]  # F at the point, penalty included, and the gradient (D, K) of its loss part
Evaluations = Generator[np.ndarray, Answer, Result]  # yields points theta (D, K), is sent answers, returns a result
Descent = Evaluations[Solution]


@dataclass
class MeanObjective:
    """The mean of the objectives of all columns of scores that share passes; 0 where a descent runs alone.

    The gap of a column is relative to the larger one of its own objective and this mean.
    """

    value: float = 0.0


def run_alone(objective: Objective, generator: Evaluations[Result]) -> Result:
    """Run a generator, with one pass over X for each point that it yields, and return its result."""
    try:
        point = next(generator)
        while True:
            point = generator.send(objective.evaluate(point))
    except StopIteration as end:
        return end.value
