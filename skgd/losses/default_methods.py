"""Default methods of losses.  A loss defines only those methods that differ from these defaults.

`protocol.Loss` explains each method.
"""

from __future__ import annotations

import numpy as np


def with_default_methods(cls):
    """Give a class each of the methods below that it does not define."""
    for method in DEFAULT_METHODS:
        if method.__name__ not in vars(cls):
            setattr(cls, method.__name__, method)
    return cls


def constant_curvature(self):
    return False


def smooth(self):
    return True


def smoothed(self):
    return False


def bounded_curvature(self):
    return True


def has_flat_rows(self):
    return False


def damps_far_rows(self):
    return False


def with_own_curvature(self):
    return self


def attains_zero_only_at_infinity(self):
    return False


def minimised_by_zero_scores(self):
    return False


def is_sum_of_ramps(self):
    return False


def conjugate(self):
    return None


def scores_are_targets(self):
    return False


def valid(self, y):
    return np.isfinite(y)


def domain(self):
    return "finite y"


def with_n_outputs(self, n_outputs):
    return self._replace(n_outputs=n_outputs)


def with_width(self, width):
    return self


def with_deviation(self, deviation):
    return self


DEFAULT_METHODS = (
    *(constant_curvature, smooth, smoothed, bounded_curvature, has_flat_rows, damps_far_rows, with_own_curvature),
    *(attains_zero_only_at_infinity, minimised_by_zero_scores, is_sum_of_ramps, conjugate, scores_are_targets, valid, domain),
    *(with_n_outputs, with_width, with_deviation),
)
