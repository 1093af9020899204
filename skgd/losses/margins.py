"""Losses of the margin y z of two classes, y = -1 or 1: what a row pays for a score that is not far enough on its side.

Where rows pay nothing, the second derivative is zero: Newton's method with the curvature of those that pay ends after
few changes of who does (Keerthi and DeCoste, 2005).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .kinks import SHARE, Ramps, bend, ramp, step
from .separable import separable


@separable
class Hinge(NamedTuple):
    """max(0, 1 - y z): the linear support vector machine (Cortes and Vapnik, 1995)."""

    n_outputs: int = 1
    width: float = 0.0  # of the rounding of its kink

    def smooth(self):
        return self.width > 0.0

    def smoothed(self):
        return self.width > 0.0

    def value(self, y, z):
        return ramp(1.0 - y * z, self.width)

    def derivative(self, y, z):
        return -y * (1.0 - step(y * z - 1.0, self.width))  # -y at the kink

    def curvature(self, y, z):
        return bend(1.0 - y * z, self.width)

    def curvature_bound(self):
        return 1.0

    def intercept_only_scores(self, y, s):
        return np.sign(y @ s)

    def ramps(self, y):
        return Ramps(0.0, 0.0, [(-y, 1.0)])


@separable
class SquaredHinge(NamedTuple):
    """max(0, 1 - y z)^2."""

    n_outputs: int = 1

    def has_flat_rows(self):
        return True

    def value(self, y, z):
        short = max(1.0 - y * z, 0.0)
        return short * short

    def derivative(self, y, z):
        return -2.0 * y * max(1.0 - y * z, 0.0)

    def curvature(self, y, z):
        return 2.0 if y * z < 1.0 else 0.0

    def curvature_bound(self):
        return 2.0

    def intercept_only_scores(self, y, s):
        return y @ s / s.sum()

    def ramps(self, y):
        return Ramps(0.0, 0.0, [(-y, 1.0)], box=np.inf, roundness=0.5)


@separable
class ModifiedHuber(NamedTuple):
    """max(0, 1 - y z)^2 where y z >= -1, and -4 y z beyond (Zhang, 2004)."""

    n_outputs: int = 1
    beyond: float = SHARE  # of the curvature of a parabola above the loss, that rows count with where it is linear

    def has_flat_rows(self):
        return True

    def value(self, y, z):
        short = max(1.0 - y * z, 0.0)
        inner = min(short, 2.0)
        return inner * (2.0 * short - inner)

    def derivative(self, y, z):
        return -2.0 * y * min(max(1.0 - y * z, 0.0), 2.0)

    def curvature(self, y, z):
        # Where it is linear: a share of that of the parabola which touches the loss at +-z and lies above it, as for Huber.
        if y * z < -1.0:
            return self.beyond * 2.0 / (-y * z)
        return 2.0 if y * z < 1.0 else 0.0

    def with_own_curvature(self):
        return self._replace(beyond=0.0)

    def curvature_bound(self):
        return 2.0

    def intercept_only_scores(self, y, s):
        return y @ s / s.sum()

    def ramps(self, y):
        return Ramps(0.0, 0.0, [(-y, 1.0)], box=4.0, roundness=0.5)


@separable
class Perceptron(NamedTuple):
    """max(0, -y z) (Rosenblatt, 1958).  Zero scores cost nothing, so it is the way of the steps that counts."""

    n_outputs: int = 1

    def smooth(self):
        return False

    def value(self, y, z):
        return max(-y * z, 0.0)

    def derivative(self, y, z):
        return (-y if y * z <= 0.0 else 0.0) + 0.0 * z  # the last term lets NaN through

    def curvature_bound(self):
        return 1.0

    def intercept_only_scores(self, y, s):
        return np.zeros(len(y))
