"""Smoothing: a loss with kinks is minimised as a sequence of smooth losses, whose kinks are rounded less and less.

A kink that is rounded to width w adds at most w/8 to the loss of a row, and nothing if the row is off its kinks.  So the
minimisers of the smooth losses approach that of the loss as w falls, and each is the starting point for the next (Nesterov,
2005; for support vector machines Chapelle, 2007).

The smooth losses also bound the minimum F*.  A kink is max(0, t) = max p t over p in [0, 1], and rounding it adds
w/2 p (1 - p) to what is maximised.  So dual variables at the minimum of the rounded objective F_w are feasible for F, and
their dual value is smaller by the mean of w/2 p (1 - p):

    F* >= min F_w - w dF_w/dw

F_w is convex in w, so a difference quotient bounds the derivative.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..constants import TINY, ZERO
from ..objective import Objective
from ..penalties import penalty_value
from .budget import Budget
from .solution import Solution

SHRINKING = 10.0  # the ratio of the widths of two successive rounds
ROUGH = 0.1  # the tolerance of a round, relative to its width: the next round moves on by as much
WIDER = 0.1  # the relative difference of widths in the difference quotient
NARROWEST = 1e-9  # the last width, relative to the first one: narrower kinks drown in the rounding of scores


class SmoothSolver(Protocol):
    """Minimises a smooth objective from theta, which is near the minimum if `warm`."""

    def __call__(self, objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool) -> Solution: ...


def minimise(objective: Objective, theta: np.ndarray, budget: Budget, solve: SmoothSolver) -> Solution:
    """Run rounds until the gap to the dual value is at most the tolerance; `solve` minimises the rounded objectives."""
    history, bound_of_curvature = budget.history, objective.loss.curvature_bound()
    start_theta, width = theta, 1.0 / bound_of_curvature
    (start,) = _values(objective, theta, [0.0])
    narrowest, first, iterations = NARROWEST * width, max(len(history.curve) - 1, 0), 0
    if start == 0.0:
        history.begin(start, theta)
        return Solution(theta, 1, 0.0, True)
    while True:
        rounded = objective.with_loss(objective.loss.with_width(width))
        goal = max(0.5 * budget.tol, ROUGH * width * bound_of_curvature)
        part = solve(rounded, theta, Budget(goal, budget.max_iter - iterations, history), warm=iterations > 0)
        theta, iterations = part.theta, len(history.curve) - 1 - first
        F, F_rounded, F_wider = _values(objective, theta, [0.0, width, (1.0 + WIDER) * width])
        bound = (1.0 - part.gap) * F_rounded - (F_wider - F_rounded) / WIDER
        best, F = (theta, F) if F < start else (start_theta, start)
        gap, is_zero = (F - bound) / max(F, TINY), F <= ZERO * start
        if is_zero or gap <= budget.tol or iterations >= budget.max_iter or width <= narrowest:
            history.curve[first], history.curve[-1] = start, F
            return Solution(best, max(iterations, 1), gap, bool(is_zero or gap <= budget.tol))
        width /= SHRINKING


def _values(objective: Objective, theta: np.ndarray, widths: list[float]) -> list[float]:
    """F at theta, with kinks rounded to each of the widths."""
    raw, penalty = objective.coordinates.raw(theta), penalty_value(theta, objective.penalty)
    return [loss + penalty for loss in objective.mean_losses([(objective.loss.with_width(w), *raw) for w in widths])]
