"""Line search: how far a descent goes from theta towards the minimiser of its model, the target.

The full step, to the target, is tried first.  If it does not lower the objective enough (Armijo's condition), shorter steps are
tried.  If the objective falls nearly linearly along it, longer steps are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..constants import EPS
from ..objective import Objective
from .passes import Evaluations

# A step must lower F by this share of its length times the slope.  The full step on a quadratic function lowers it by 1/2.
# Textbooks use 1e-4.  With 0.2 a fit of separable text with many columns needed a quarter of the passes, because long steps
# that barely lower F give many rows scores of the wrong sign.
SUFFICIENT_DECREASE = 0.2
SHORTENING = 0.25  # the ratio of two successive lengths
TRIALS = 32  # the number of shorter lengths that are tried; the last one is about 1e-19 of the first one
LENGTHS_PER_PASS = 8  # the number of lengths that are evaluated in one pass where passes are expensive
# A step is extended if it lowers F by more than this share of its length times the slope.  Then the curvature along it is less
# than a fifth of the model's.
NEARLY_LINEAR = 0.9
EXTENSION = 4.0  # the ratio of two successive lengths of an extended step


class Found(NamedTuple):
    """The point where a line search ended."""

    theta: np.ndarray  # (D, K)
    F: float  # the objective there
    gradient: np.ndarray  # (D, K), of the loss part


@dataclass(frozen=True)
class Ray:
    """The points theta + t (target - theta) for t > 0, with the objective F at theta and its slope by t there."""

    theta: np.ndarray
    target: np.ndarray
    F: float
    slope: float

    def at(self, t: float) -> np.ndarray:
        """The point (D, K) at the length t."""
        return self.theta + t * (self.target - self.theta)

    def is_lowered(self, F_new: float, t: float) -> bool:
        """Whether a step of length t that ends at F_new lowers F enough."""
        return F_new <= self.F + SUFFICIENT_DECREASE * t * self.slope + 4 * EPS * abs(self.F)

    def is_nearly_linear(self, F_new: float, t: float) -> bool:
        """Whether F falls nearly linearly along a step of length t that ends at F_new."""
        return F_new <= self.F + NEARLY_LINEAR * t * self.slope

    def shorter_lengths(self, F_target: float) -> np.ndarray:
        """Lengths (TRIALS,) to try after the full step, which ended at F_target, did not lower F enough.

        The first length minimises the parabola that fits F, its slope and F_target.  It is clipped to [0.1, 0.5].
        """
        first = 0.1
        if np.isfinite(F_target):
            first = float(np.clip(-0.5 * self.slope / (F_target - self.F - self.slope), 0.1, 0.5))
        return first * SHORTENING ** np.arange(TRIALS)


def line_search(objective: Objective, ray: Ray) -> Evaluations[Found | None]:
    """The point where the search ends, which is `ray.target` itself after a full step.  None if no length lowers F enough."""
    F_target, gradient = yield ray.target
    if ray.is_lowered(F_target, 1.0):
        return (yield from _extended(ray, Found(ray.target, F_target, gradient)))
    lengths = ray.shorter_lengths(F_target)
    if objective.data.expensive:
        return _first_in_batches(objective, ray, lengths)
    for t in lengths:
        new = ray.at(t)
        F_new, gradient = yield new
        if ray.is_lowered(F_new, t):
            return Found(new, F_new, gradient)
    return None


def _extended(ray: Ray, found: Found) -> Evaluations[Found]:
    """Lengthen a successful full step while F falls nearly linearly, because the model has too much curvature there."""
    t = 1.0
    while ray.is_nearly_linear(found.F, t):
        t *= EXTENSION
        new = ray.at(t)
        F_new, gradient = yield new
        if not F_new < found.F:
            break
        found = Found(new, F_new, gradient)
    return found


def _first_in_batches(objective: Objective, ray: Ray, lengths: np.ndarray) -> Found | None:
    """The first length that lowers F enough.  Each pass over X evaluates `LENGTHS_PER_PASS` lengths."""
    for batch in np.split(lengths, TRIALS // LENGTHS_PER_PASS):
        points = [ray.at(t) for t in batch]
        for t, new, value in zip(batch, points, objective.values(points), strict=True):
            if ray.is_lowered(value, t):
                return Found(new, *objective.evaluate(new))
    return None
