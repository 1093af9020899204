"""Smoothing: a loss with kinks is minimised as a sequence of smooth ones, whose kinks are rounded ever less.

Rounding to width w adds at most w/8 a kink to the loss of a row, and nothing where the row is off its kinks; so
minimisers come close to that of the loss as w falls, and each is the starting point for the next (Nesterov, 2005; for
support vector machines Chapelle, 2007).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..history import History
from ..objective import Objective
from ..penalties import penalty_value
from . import Solution

SHRINKING = 10.0  # of the width, from one round to the next
ROUGH = 0.1  # tolerance of a round, times its width: the next one moves on by as much
AT_KINKS = 4.0  # times what rounding adds near the kinks
NARROWEST = 1e-9  # width, relative to the first, below which it drowns in the rounding of scores
EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)


def minimise(
    objective: Objective,
    theta: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    history: History,
    descend: Callable[..., Solution],
) -> Solution:
    """Rounds until what is left of the rounding, and of the last round, is at most `tol`; `descend` minimises them.

    What rounding adds to F at the minimum of F is more than what it adds here, as rows lie on their kinks there and near
    them here: four times as much, if all of them are a quarter of the width away.
    """
    loss, start, width = objective.loss, _value(objective, theta), 1.0
    first, iterations = len(history.curve), 0
    while True:
        rounded = objective.with_loss(loss._replace(width=width / loss.smoothness()))
        goal, left = max(0.5 * tol, ROUGH * width), max_iter - iterations
        part = descend(rounded, theta, tol=goal, max_iter=left, history=history, warm=iterations > 0)
        theta, iterations = part.theta, len(history.curve) - 1 - first
        F, F_rounded = _value(objective, theta), history.curve[-1]
        gap = (part.gap * F_rounded + (AT_KINKS - 1.0) * (F_rounded - F)) / max(F, TINY)
        least = F <= 8 * EPS * start
        if least or gap <= tol or iterations >= max_iter or width <= NARROWEST:
            history.curve[first], history.curve[-1] = start, F
            return Solution(theta, max(iterations, 1), gap, bool(least or gap <= tol))
        history.curve.pop()  # the first thing that the next round records
        width /= SHRINKING


def _value(objective: Objective, theta: np.ndarray) -> float:
    return objective.mean_loss(*objective.coordinates.raw(theta)) + penalty_value(theta, objective.l1, objective.l2)
