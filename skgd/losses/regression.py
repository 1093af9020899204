"""Losses of a score that predicts the target itself, in its unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .kinks import SHARE, Ramps, bend, ramp, step
from .separable import separable

ROUNDING = 1e-12  # of sums of weights, relative


@separable
class SquaredError(NamedTuple):
    """(z - y)^2 / 2."""

    n_outputs: int = 1

    def constant_curvature(self):
        return True

    def value(self, y, z):
        return 0.5 * (z - y) * (z - y)

    def derivative(self, y, z):
        return z - y

    def curvature(self, y, z):
        return 1.0

    def curvature_bound(self):
        return 1.0

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        return y @ s / s.sum()


@separable
class Huber(NamedTuple):
    """(z - y)^2 / 2 where |z - y| <= epsilon, and epsilon |z - y| - epsilon^2 / 2 beyond (Huber, 1964)."""

    n_outputs: int = 1
    epsilon: float = 0.1
    beyond: float = SHARE  # of the curvature of a parabola above the loss, that rows beyond epsilon count with

    def value(self, y, z):
        r = abs(z - y)
        inner = min(r, self.epsilon)
        return inner * (r - 0.5 * inner)

    def derivative(self, y, z):
        return min(max(z - y, -self.epsilon), self.epsilon)

    def curvature(self, y, z):
        # Beyond epsilon it is zero, but rows there have slopes, and the metric must not be singular along them: they
        # count with a share of what the parabola has that touches the loss at +-(z - y) and lies above it (Huber and
        # Ronchetti, 2009, section 7.8).  With all of it steps become short, and what they gain is taken for all there is.
        off = abs(z - y)
        return 1.0 if off <= self.epsilon else self.beyond * self.epsilon / off

    def with_own_curvature(self):
        return self._replace(beyond=0.0)

    def curvature_bound(self):
        return 1.0

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        return np.array([_weighted_quantile(column, s, 0.5) for column in y])

    def ramps(self, y):
        constant = self.epsilon * (y - 0.5 * self.epsilon)
        return Ramps(-self.epsilon, constant, [(1.0, self.epsilon - y)], box=2.0 * self.epsilon, roundness=1.0)


@separable
class EpsilonInsensitive(NamedTuple):
    """max(0, |z - y| - epsilon) (support vector regression; Vapnik, 1995)."""

    n_outputs: int = 1
    epsilon: float = 0.1
    deviation: float = 1.0  # of the targets
    width: float = 0.0  # of the rounding of its kinks

    def smooth(self):
        return self.width > 0.0

    def smoothed(self):
        return self.width > 0.0

    def value(self, y, z):
        return ramp(z - y - self.epsilon, self.width) + ramp(y - z - self.epsilon, self.width)

    def derivative(self, y, z):
        return step(z - y - self.epsilon, self.width) - step(y - z - self.epsilon, self.width)

    def curvature(self, y, z):
        return bend(z - y - self.epsilon, self.width) + bend(y - z - self.epsilon, self.width)

    def curvature_bound(self):
        return 1.0 / self.deviation

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        # Slopes change by s_i at y_i - epsilon and at y_i + epsilon: the median of these.  Where there are many, the middle:
        # it is far from the kinks, and nothing that rounding could do costs anything there.
        weights, kinks, half = np.concatenate([s, s]), np.column_stack([y - self.epsilon, y + self.epsilon]), 0.5 - ROUNDING
        ends = [(_weighted_quantile(k, weights, half), -_weighted_quantile(-k, weights, half)) for k in kinks]
        return np.array([0.5 * (low + high) for low, high in ends])

    def ramps(self, y):
        return Ramps(0.0, 0.0, [(1.0, -y - self.epsilon), (-1.0, y - self.epsilon)])


@separable
class SquaredEpsilonInsensitive(NamedTuple):
    """max(0, |z - y| - epsilon)^2."""

    n_outputs: int = 1
    epsilon: float = 0.1

    def has_flat_rows(self):
        return True

    def value(self, y, z):
        outer = max(abs(z - y) - self.epsilon, 0.0)
        return outer * outer

    def derivative(self, y, z):
        r = z - y
        return 2.0 * (r - min(max(r, -self.epsilon), self.epsilon))

    def curvature(self, y, z):
        return 2.0 if abs(z - y) > self.epsilon else 0.0

    def curvature_bound(self):
        return 2.0

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        return y @ s / s.sum()

    def ramps(self, y):
        return Ramps(0.0, 0.0, [(1.0, -y - self.epsilon), (-1.0, y - self.epsilon)], box=np.inf, roundness=0.5)


@separable
class Quantile(NamedTuple):
    """q (y - z) where z <= y, and (1 - q) (z - y) beyond (Koenker and Bassett, 1978)."""

    n_outputs: int = 1
    quantile: float = 0.5
    deviation: float = 1.0  # of the targets
    width: float = 0.0  # of the rounding of its kink

    def smooth(self):
        return self.width > 0.0

    def smoothed(self):
        return self.width > 0.0

    def value(self, y, z):
        return (1.0 - self.quantile) * ramp(z - y, self.width) + self.quantile * ramp(y - z, self.width)

    def derivative(self, y, z):
        return (1.0 - self.quantile) * step(z - y, self.width) - self.quantile * step(y - z, self.width)

    def curvature(self, y, z):
        return bend(z - y, self.width)

    def curvature_bound(self):
        return 1.0 / self.deviation

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        return np.array([_weighted_quantile(column, s, self.quantile) for column in y])

    def ramps(self, y):
        return Ramps(-self.quantile, self.quantile * y, [(1.0, -y)])


def _weighted_quantile(values: np.ndarray, weights: np.ndarray, quantile: float) -> float:
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(mass, quantile * mass[-1])]])
