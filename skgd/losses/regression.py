"""Losses whose score z predicts the target y in its own unit.  z - y is the prediction error of a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .conjugates import PiecewiseConjugate
from .ramps import ramp, ramp_curvature, ramp_derivative
from .separable import separable
from .surrogate_curvature import RISING_SHARE

ROUNDING_OF_WEIGHTS = 1e-12  # the relative rounding error of a sum of weights, which depends on their order


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

    def conjugate(self):
        return PiecewiseConjugate(-np.inf, np.inf, smoothing=1.0)


@separable
class Huber(NamedTuple):
    """(z - y)^2 / 2 where |z - y| <= epsilon, and epsilon |z - y| - epsilon^2 / 2 elsewhere (Huber, 1964)."""

    n_outputs: int = 1
    epsilon: float = 0.1
    majorising_share: float = RISING_SHARE  # the share of the majorising curvature where the loss is linear

    def value(self, y, z):
        r = abs(z - y)
        inner = min(r, self.epsilon)
        return inner * (r - 0.5 * inner)

    def derivative(self, y, z):
        return min(max(z - y, -self.epsilon), self.epsilon)

    def curvature(self, y, z):
        r = abs(z - y)
        return 1.0 if r <= self.epsilon else self.majorising_share * self.epsilon / r

    def with_own_curvature(self):
        return self._replace(majorising_share=0.0)

    def curvature_bound(self):
        return 1.0

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        return np.array([_weighted_quantile(column, s, 0.5) for column in y])

    def is_sum_of_ramps(self):
        return True

    def conjugate(self):
        return PiecewiseConjugate(-self.epsilon, self.epsilon, smoothing=1.0)


@separable
class EpsilonInsensitive(NamedTuple):
    """max(0, |z - y| - epsilon) (support vector regression; Vapnik, 1995)."""

    n_outputs: int = 1
    epsilon: float = 0.1
    deviation: float = 1.0  # standard deviation of the targets
    width: float = 0.0  # the width over which the non-smooth points are smoothed; 0: not smoothed

    def smooth(self):
        return self.width > 0.0

    def smoothed(self):
        return self.width > 0.0

    def with_width(self, width):
        return self._replace(width=width)

    def value(self, y, z):
        return ramp(z - y - self.epsilon, self.width) + ramp(y - z - self.epsilon, self.width)

    def derivative(self, y, z):
        return ramp_derivative(z - y - self.epsilon, self.width) - ramp_derivative(y - z - self.epsilon, self.width)

    def curvature(self, y, z):
        return ramp_curvature(z - y - self.epsilon, self.width) + ramp_curvature(y - z - self.epsilon, self.width)

    def curvature_bound(self):
        return 1.0 / self.deviation

    def with_deviation(self, deviation):
        return self._replace(deviation=deviation)

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        # The derivative of the sum of losses rises by s_i at y_i - epsilon and at y_i + epsilon, so the weighted medians of
        # these points are the minimisers.  If the medians are an interval, its middle is returned, because it is far from
        # non-smooth points.
        weights, points = np.concatenate([s, s]), np.column_stack([y - self.epsilon, y + self.epsilon])
        half = 0.5 - ROUNDING_OF_WEIGHTS
        ends = [(_weighted_quantile(row, weights, half), -_weighted_quantile(-row, weights, half)) for row in points]
        return np.array([0.5 * (low + high) for low, high in ends])

    def is_sum_of_ramps(self):
        return True

    def conjugate(self):
        return PiecewiseConjugate(-1.0, 1.0, tube=self.epsilon)


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

    def is_sum_of_ramps(self):
        return True

    def conjugate(self):
        return PiecewiseConjugate(-np.inf, np.inf, smoothing=0.5, tube=self.epsilon)


@separable
class Quantile(NamedTuple):
    """q (y - z) where z <= y, and (1 - q) (z - y) elsewhere (Koenker and Bassett, 1978)."""

    n_outputs: int = 1
    quantile: float = 0.5
    deviation: float = 1.0  # standard deviation of the targets
    width: float = 0.0  # the width over which the non-smooth point is smoothed; 0: not smoothed

    def smooth(self):
        return self.width > 0.0

    def smoothed(self):
        return self.width > 0.0

    def with_width(self, width):
        return self._replace(width=width)

    def value(self, y, z):
        return (1.0 - self.quantile) * ramp(z - y, self.width) + self.quantile * ramp(y - z, self.width)

    def derivative(self, y, z):
        return (1.0 - self.quantile) * ramp_derivative(z - y, self.width) - self.quantile * ramp_derivative(y - z, self.width)

    def curvature(self, y, z):
        return ramp_curvature(z - y, self.width)

    def curvature_bound(self):
        return 1.0 / self.deviation

    def with_deviation(self, deviation):
        return self._replace(deviation=deviation)

    def scores_are_targets(self):
        return True

    def intercept_only_scores(self, y, s):
        return np.array([_weighted_quantile(column, s, self.quantile) for column in y])

    def is_sum_of_ramps(self):
        return True

    def conjugate(self):
        return PiecewiseConjugate(-self.quantile, 1.0 - self.quantile)


def _weighted_quantile(values: np.ndarray, weights: np.ndarray, quantile: float) -> float:
    """The smallest of the values (n,) such that all values up to it have at least this share of the total weight."""
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(mass, quantile * mass[-1])]])
