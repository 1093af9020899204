"""Line search: how far a descent goes from theta towards the minimiser of its model, the target.

The whole step is tried first.  It is shortened until it lowers the objective enough (Armijo's condition), or extended while
the objective falls as if it were straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..constants import EPS
from ..objective import Objective
from .passes import Evaluations

# A step must lower F by this share of what its slope promises.  A quadratic keeps 1/2.  1e-4 is usual; with 0.2 wide separable
# text needed a quarter of the passes, because long steps that barely lower F throw many rows to their wrong side.
SUFFICIENT = 0.2
SHORTENING = 0.25  # the ratio of the lengths of two successive trials
TRIALS = 32  # the number of lengths that are tried: the last one is about 1e-19 of the first
AT_ONCE = 8  # lengths that share a pass where passes are expensive
# A step that keeps more than this share of its slope's promise met less than a fifth of the model's curvature.  It is extended.
STRAIGHT = 0.9
EXTENSION = 4.0  # the ratio of the lengths of two successive extensions


class Found(NamedTuple):
    """A point with a lower objective, and what was learned there."""

    theta: np.ndarray
    F: float
    gradient: np.ndarray  # of the loss part


@dataclass(frozen=True)
class Ray:
    """The points theta + t (target - theta) for t > 0, with the objective F and its slope along t, both at theta."""

    theta: np.ndarray
    target: np.ndarray
    F: float
    slope: float

    def at(self, t: float) -> np.ndarray:
        return self.theta + t * (self.target - self.theta)

    def is_lowered(self, F_new: float, t: float) -> bool:
        """Whether the step of length t lowers F enough."""
        return F_new <= self.F + SUFFICIENT * t * self.slope + 4 * EPS * abs(self.F)

    def is_straight(self, F_new: float, t: float) -> bool:
        """Whether F falls along the step of length t nearly as its slope says."""
        return F_new <= self.F + STRAIGHT * t * self.slope

    def shorter_lengths(self, F_target: float) -> np.ndarray:
        """Lengths (TRIALS,) to try after the whole step failed with F_target.

        The first one minimises the parabola through both objectives and the slope, if that is between 0.1 and 0.5.
        """
        first = 0.1
        if np.isfinite(F_target):
            first = float(np.clip(-0.5 * self.slope / (F_target - self.F - self.slope), 0.1, 0.5))
        return first * SHORTENING ** np.arange(TRIALS)


def line_search(objective: Objective, ray: Ray) -> Evaluations[Found | None]:
    """The point along the ray where the search ends, which is the target itself after a whole step; None if F never falls."""
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
    """Lengthen a successful whole step while F falls nearly straight: there the model has too much curvature."""
    t = 1.0
    while ray.is_straight(found.F, t):
        t *= EXTENSION
        new = ray.at(t)
        F_new, gradient = yield new
        if not F_new < found.F:
            break
        found = Found(new, F_new, gradient)
    return found


def _first_in_batches(objective: Objective, ray: Ray, lengths: np.ndarray) -> Found | None:
    """The first length that lowers F enough, by passes that evaluate `AT_ONCE` lengths each."""
    for batch in np.split(lengths, TRIALS // AT_ONCE):
        points = [ray.at(t) for t in batch]
        for t, new, value in zip(batch, points, objective.values(points), strict=True):
            if ray.is_lowered(value, t):
                return Found(new, *objective.evaluate(new))
    return None
