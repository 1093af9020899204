"""Losses of the margin y z of two classes, y = -1 or 1: a row pays where its margin is too small.

Rows with a loss of zero have no curvature.  Newton's method with the curvature of the rows that pay ends once the same rows
pay after a step, which takes few steps (Keerthi and DeCoste, 2005).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .ramps import SumOfRamps, ramp, ramp_curvature, ramp_derivative
from .separable import separable
from .surrogate_curvature import RISING_SHARE


@separable
class Hinge(NamedTuple):
    """max(0, 1 - y z): the loss of the linear support vector machine (Cortes and Vapnik, 1995)."""

    n_outputs: int = 1
    width: float = 0.0  # over which its non-smooth point is smoothed

    def smooth(self):
        return self.width > 0.0

    def smoothed(self):
        return self.width > 0.0

    def with_width(self, width):
        return self._replace(width=width)

    def value(self, y, z):
        return ramp(1.0 - y * z, self.width)

    def derivative(self, y, z):
        return -y * (1.0 - ramp_derivative(y * z - 1.0, self.width))  # -y at the non-smooth point

    def curvature(self, y, z):
        return ramp_curvature(1.0 - y * z, self.width)

    def curvature_bound(self):
        return 1.0

    def intercept_only_scores(self, y, s):
        return np.sign(y @ s)

    def is_sum_of_ramps(self):
        return True

    def as_ramps(self, y):
        return SumOfRamps(0.0, 0.0, [(-y, 1.0)])


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

    def is_sum_of_ramps(self):
        return True

    def as_ramps(self, y):
        return SumOfRamps(0.0, 0.0, [(-y, 1.0)], max_slope=np.inf, smoothing=0.5)


@separable
class ModifiedHuber(NamedTuple):
    """max(0, 1 - y z)^2 where y z >= -1, and -4 y z where it is less (Zhang, 2004)."""

    n_outputs: int = 1
    majorising_share: float = RISING_SHARE  # of the majorising curvature, for rows where the loss is linear

    def has_flat_rows(self):
        return True

    def value(self, y, z):
        short = max(1.0 - y * z, 0.0)
        inner = min(short, 2.0)
        return inner * (2.0 * short - inner)

    def derivative(self, y, z):
        return -2.0 * y * min(max(1.0 - y * z, 0.0), 2.0)

    def curvature(self, y, z):
        if y * z < -1.0:  # the loss is linear: a share of the majorising curvature
            return self.majorising_share * 2.0 / (-y * z)
        return 2.0 if y * z < 1.0 else 0.0

    def with_own_curvature(self):
        return self._replace(majorising_share=0.0)

    def curvature_bound(self):
        return 2.0

    def intercept_only_scores(self, y, s):
        return y @ s / s.sum()

    def is_sum_of_ramps(self):
        return True

    def as_ramps(self, y):
        return SumOfRamps(0.0, 0.0, [(-y, 1.0)], max_slope=4.0, smoothing=0.5)


@separable
class Perceptron(NamedTuple):
    """max(0, -y z) (Rosenblatt, 1958).  Zero scores pay nothing, so a model is where the steps lead, not a minimum."""

    n_outputs: int = 1

    def smooth(self):
        return False

    def minimised_by_zero_scores(self):
        return True

    def value(self, y, z):
        return max(-y * z, 0.0)

    def derivative(self, y, z):
        return (-y if y * z <= 0.0 else 0.0) + 0.0 * z  # the last term lets NaN through

    def curvature_bound(self):
        return 1.0

    def intercept_only_scores(self, y, s):
        return np.zeros(len(y))
