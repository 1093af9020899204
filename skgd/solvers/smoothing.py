"""Smoothing: a loss with kinks is minimised as a sequence of smooth ones, whose kinks are rounded ever less.

Rounding to width w adds at most w/8 a kink to the loss of a row, and nothing where the row is off its kinks; so
minimisers come close to that of the loss as w falls, and each is the starting point for the next (Nesterov, 2005; for
support vector machines Chapelle, 2007).

The rounded kink is max(0, t) = max p t over p in [0, 1] with w/2 p (1 - p) added to what is maximised.  So dual variables
at the minimum of the rounded objective are feasible for F, and their dual value is less by the mean of w/2 p (1 - p):

    F* >= min F_w - w dF_w/dw

F_w is convex in w, so that a difference of two bounds the derivative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..monitoring.history import History
from ..objective import Objective
from ..penalties import penalty_value
from .solution import Solution

SHRINKING = 10.0  # of the width, from one round to the next
ROUGH = 0.1  # tolerance of a round, times its width: the next one moves on by as much
WIDER = 0.1  # relative difference of widths for the derivative
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
    """Rounds until the gap to the dual value is at most `tol`; `descend` minimises the rounded objectives."""
    (start,), start_theta, width = _values(objective, theta, [0.0]), theta, 1.0 / objective.loss.curvature_bound()
    narrowest, first, iterations = NARROWEST * width, max(len(history.curve) - 1, 0), 0
    if start == 0.0:
        history.begin(start, theta)
        return Solution(theta, 1, 0.0, True)
    while True:
        rounded = objective.with_loss(objective.loss.with_width(width))
        goal = max(0.5 * tol, ROUGH * width * objective.loss.curvature_bound())
        part = descend(rounded, theta, tol=goal, max_iter=max_iter - iterations, history=history, warm=iterations > 0)
        theta, iterations = part.theta, len(history.curve) - 1 - first
        F, F_rounded, F_wider = _values(objective, theta, [0.0, width, (1.0 + WIDER) * width])
        bound = (1.0 - part.gap) * F_rounded - (F_wider - F_rounded) / WIDER
        best, F = (theta, F) if F < start else (start_theta, start)
        gap, least = (F - bound) / max(F, TINY), F <= 8 * EPS * start
        if least or gap <= tol or iterations >= max_iter or width <= narrowest:
            history.curve[first], history.curve[-1] = start, F
            return Solution(best, max(iterations, 1), gap, bool(least or gap <= tol))
        width /= SHRINKING


def _values(objective: Objective, theta: np.ndarray, widths: list[float]) -> list[float]:
    """F, with kinks rounded to each of the widths."""
    raw, penalty = objective.coordinates.raw(theta), penalty_value(theta, objective.penalty)
    return [loss + penalty for loss in objective.mean_losses([(objective.loss.with_width(w), *raw) for w in widths])]
