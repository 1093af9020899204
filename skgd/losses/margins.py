"""Losses of the margin y z, for two classes y = -1 and y = 1.  The loss is zero if the margin is large enough.

Rows whose loss is zero have no curvature.  With a squared hinge loss, Newton's method reaches the minimum as soon as a step
does not change which rows have a positive loss.  This takes few steps (Keerthi and DeCoste, 2005).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .conjugates import PiecewiseConjugate
from .ramps import ramp, ramp_curvature, ramp_derivative
from .separable import separable
from .surrogate_curvature import RISING_SHARE


@separable
class Hinge(NamedTuple):
    """max(0, 1 - y z): the loss of the linear support vector machine (Cortes and Vapnik, 1995)."""

    n_outputs: int = 1
    width: float = 0.0  # the width over which the non-smooth point is smoothed; 0: not smoothed

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

    def conjugate(self):
        return PiecewiseConjugate(-1.0, 0.0, of_margins=True)


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

    def conjugate(self):
        return PiecewiseConjugate(-np.inf, 0.0, smoothing=0.5, of_margins=True)


@separable
class ModifiedHuber(NamedTuple):
    """max(0, 1 - y z)^2 where y z >= -1, and -4 y z where it is less (Zhang, 2004)."""

    n_outputs: int = 1
    majorising_share: float = RISING_SHARE  # the share of the majorising curvature where the loss is linear

    def has_flat_rows(self):
        return True

    def value(self, y, z):
        short = max(1.0 - y * z, 0.0)
        inner = min(short, 2.0)
        return inner * (2.0 * short - inner)

    def derivative(self, y, z):
        return -2.0 * y * min(max(1.0 - y * z, 0.0), 2.0)

    def curvature(self, y, z):
        if y * z < -1.0:  # where the loss is linear, a share of the majorising curvature
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

    def conjugate(self):
        return PiecewiseConjugate(-4.0, 0.0, smoothing=0.5, of_margins=True)


@separable
class Perceptron(NamedTuple):
    """max(0, -y z) (Rosenblatt, 1958).  Zero coefficients minimise it, so a fit returns the result of its steps instead."""

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
