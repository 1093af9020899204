"""Descents are generators, so that several of them can share passes over X.

Passes over X take most of the time.  Instead of making one, a descent yields the point at which it needs the objective
and is sent the `Answer`.  Whoever runs the generator makes the pass: `run_alone` evaluates one descent's points one by one;
`together.minimise` collects the points of several columns and answers all of them from a single pass.
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
class Share:
    """The mean objective of all columns that descend together, before every answer; 0 where a descent runs alone.

    A column's gap counts relative to the larger one of its own objective and this share.
    """

    value: float = 0.0


def run_alone(objective: Objective, generator: Evaluations[Result]) -> Result:
    """Evaluate the objective wherever the generator asks for it, and return the generator's result."""
    try:
        point = next(generator)
        while True:
            point = generator.send(objective.evaluate(point))
    except StopIteration as end:
        return end.value
