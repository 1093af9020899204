"""Losses of a positive mean mu = exp(z): half the unit deviances of the Poisson and gamma distributions.

Their curvature has no bound, so the rates of stochastic steps cannot come from one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel
from .arithmetic import exp
from .separable import separable

FAR = 4.0  # logarithm of target over mean from which a row counts with a curvature above its own


@kernel
def excess(u):
    """exp(u) - 1 - u, to about 1e-15 relative: by its Taylor series where the difference would cancel."""
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
    mean: float = 1.0  # of the targets: the curvature at the start
    far: float = FAR

    def bounded_curvature(self):
        return False

    def value(self, y, z):
        return y * excess(z - math.log(y)) if y > 0.0 else exp(z)

    def derivative(self, y, z):
        return exp(z) - y

    def curvature(self, y, z):
        # Far below the target it vanishes and steps would have no end: there, such that the row's own ends at the target.
        mu = exp(z)
        below = math.log(y) - z if y > 0.0 else 0.0
        return (y - mu) / below if below > self.far else mu

    def with_own_curvature(self):
        return self._replace(far=np.inf)

    def damps_far_rows(self):
        return True

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
    far: float = FAR

    def bounded_curvature(self):
        return False

    def value(self, y, z):
        return excess(math.log(y) - z)

    def derivative(self, y, z):
        return 1.0 - exp(math.log(y) - z)

    def curvature(self, y, z):
        # Far above the target it vanishes: there, as for Poisson, such that the row's own step ends at the target.
        above = z - math.log(y)
        ratio = exp(-above)
        return (1.0 - ratio) / above if above > self.far else ratio

    def with_own_curvature(self):
        return self._replace(far=np.inf)

    def damps_far_rows(self):
        return True

    def curvature_bound(self):
        return 1.0

    def intercept_only_scores(self, y, s):
        return np.log(y @ s / s.sum())

    def valid(self, y):
        return y > 0.0

    def domain(self):
        return "y > 0"
