"""Smoothing: a non-smooth loss is minimised as a sequence of smooth losses of decreasing width.

A non-smooth loss is a sum of ramps max(0, t) (`losses.ramps`).  Smoothing over a width w replaces the corner of each ramp by a
parabola, which adds at most w/8, and nothing at scores outside of the parabola.  So the minimisers of the smoothed losses
converge to the minimiser of the loss as w falls, and each one is the starting point for the next (Nesterov, 2005; for support
vector machines Chapelle, 2007).

The smoothed losses also give a lower bound of the minimum F*.  A ramp is the maximum of p t over p in [0, 1], and a smoothed
ramp is the maximum of p t + w/2 p (1 - p).  So the dual variables p at the minimum of the smoothed objective F_w are feasible
for the dual problem of F, and their dual value is smaller by the mean of w/2 p (1 - p):

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

WIDTH_RATIO = 10.0  # the ratio of two successive widths
# the tolerance for a width, relative to it; a smaller one is of no use, because the next width moves the minimum
TOL_PER_WIDTH = 0.1
RELATIVE_DIFFERENCE = 0.1  # the relative difference of the two widths in the difference quotient
NARROWEST = 1e-9  # the last width, relative to the first one; rounding errors of scores are larger than smaller widths


class SmoothSolver(Protocol):
    """Minimises a smooth objective from theta (D, K).  `warm` says that theta is near the minimum."""

    def __call__(self, objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool) -> Solution: ...


def minimise(objective: Objective, theta: np.ndarray, budget: Budget, solve: SmoothSolver) -> Solution:
    """Reduce the width until F exceeds the lower bound by at most the tolerance.  `solve` minimises the smoothed objectives."""
    history, bound_of_curvature = budget.history, objective.loss.curvature_bound()
    start_theta, width = theta, 1.0 / bound_of_curvature
    (start,) = _values(objective, theta, [0.0])
    narrowest, first, iterations = NARROWEST * width, max(len(history.curve) - 1, 0), 0
    if start == 0.0:
        history.begin(start, theta)
        return Solution(theta, 1, 0.0, True)
    while True:
        smoothed = objective.with_loss(objective.loss.with_width(width))
        goal = max(0.5 * budget.tol, TOL_PER_WIDTH * width * bound_of_curvature)
        part = solve(smoothed, theta, Budget(goal, budget.max_iter - iterations, history), warm=iterations > 0)
        theta, iterations = part.theta, len(history.curve) - 1 - first
        F, F_smoothed, F_wider = _values(objective, theta, [0.0, width, (1.0 + RELATIVE_DIFFERENCE) * width])
        bound = (1.0 - part.gap) * F_smoothed - (F_wider - F_smoothed) / RELATIVE_DIFFERENCE
        best, F = (theta, F) if F < start else (start_theta, start)
        gap, is_zero = (F - bound) / max(F, TINY), F <= ZERO * start
        if is_zero or gap <= budget.tol or iterations >= budget.max_iter or width <= narrowest:
            history.curve[first], history.curve[-1] = start, F
            return Solution(best, max(iterations, 1), gap, bool(is_zero or gap <= budget.tol))
        width /= WIDTH_RATIO


def _values(objective: Objective, theta: np.ndarray, widths: list[float]) -> list[float]:
    """F at theta with the loss smoothed over each of the widths."""
    raw, penalty = objective.coordinates.raw(theta), penalty_value(theta, objective.penalty)
    return [loss + penalty for loss in objective.mean_losses([(objective.loss.with_width(w), *raw) for w in widths])]
