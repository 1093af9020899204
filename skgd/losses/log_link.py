"""Losses with a log link: the score z predicts the mean mu = exp(z).  They are half the unit deviances of Poisson and gamma.

Their curvature has no bound from which stochastic solvers could derive a rate, so only gd minimises them with automatic rates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..compiled.jit import linked
from .arithmetic import exp
from .separable import separable
from .surrogate_curvature import DAMPED_BEYOND


@linked
def exp_above_tangent(u):
    """exp(u) - 1 - u with a relative error of about 1e-15.

    For small u the terms of the difference cancel, so the Taylor series is used.
    """
    p = 1.0 / 20922789888000.0
    p = p * u + 1.0 / 1307674368000.0
    p = p * u + 1.0 / 87178291200.0
    p = p * u + 1.0 / 6227020800.0
    p = p * u + 1.0 / 479001600.0
    p = p * u + 1.0 / 39916800.0
    p = p * u + 1.0 / 3628800.0
    p = p * u + 1.0 / 362880.0
    p = p * u + 1.0 / 40320.0
    p = p * u + 1.0 / 5040.0
    p = p * u + 1.0 / 720.0
    p = p * u + 1.0 / 120.0
    p = p * u + 1.0 / 24.0
    p = p * u + 1.0 / 6.0
    p = p * u + 0.5
    return u * u * p if abs(u) < 0.7 else exp(u) - 1.0 - u


@separable
class Poisson(NamedTuple):
    """y log(y / mu) - y + mu with mu = exp(z)."""

    n_outputs: int = 1
    mean: float = 1.0  # the mean of the targets, which is the curvature where fits start
    damped_beyond: float = DAMPED_BEYOND

    def bounded_curvature(self):
        return False

    def value(self, y, z):
        return y * exp_above_tangent(z - math.log(y)) if y > 0.0 else exp(z)

    def derivative(self, y, z):
        return exp(z) - y

    def curvature(self, y, z):
        # A score far below the target has the curvature with which a Newton step on this row alone ends at the target.
        mu = exp(z)
        below = math.log(y) - z if y > 0.0 else 0.0
        return (y - mu) / below if below > self.damped_beyond else mu

    def damps_far_rows(self):
        return bool(np.isfinite(self.damped_beyond))

    def with_own_curvature(self):
        return self._replace(damped_beyond=np.inf)

    def curvature_bound(self):
        return self.mean

    def intercept_only_scores(self, y, s):
        return np.log(y @ s / s.sum())

    def valid(self, y):
        return (y >= 0.0) & (y.max(axis=-1, keepdims=True) > 0.0)

    def domain(self):
        return "y >= 0, not all of them 0"


@separable
class Gamma(NamedTuple):
    """y / mu - 1 - log(y / mu) with mu = exp(z)."""

    n_outputs: int = 1
    damped_beyond: float = DAMPED_BEYOND

    def bounded_curvature(self):
        return False

    def value(self, y, z):
        return exp_above_tangent(math.log(y) - z)

    def derivative(self, y, z):
        return 1.0 - exp(math.log(y) - z)

    def curvature(self, y, z):
        # A score far above the target has the curvature with which a Newton step on this row alone ends at the target.
        above = z - math.log(y)
        ratio = exp(-above)
        return (1.0 - ratio) / above if above > self.damped_beyond else ratio

    def damps_far_rows(self):
        return bool(np.isfinite(self.damped_beyond))

    def with_own_curvature(self):
        return self._replace(damped_beyond=np.inf)

    def curvature_bound(self):
        return 1.0

    def intercept_only_scores(self, y, s):
        return np.log(y @ s / s.sum())

    def valid(self, y):
        return y > 0.0

    def domain(self):
        return "y > 0"
