"""What losses with independent columns have in common: the loops over a tile, and the usual answers to solvers."""

from __future__ import annotations

import numpy as np

from ..compiled.jit import struct


def separable(cls):
    """Make a struct of a loss with independent columns, which defines value and derivative of one score.

    Where the derivative is continuous it defines the curvature, too; and it may answer otherwise than most losses.
    """
    for method in (coupled, column_losses_and_residuals, loss_and_residuals, curvatures, curvature_block):
        setattr(cls, method.__name__, method)
    with_usual_answers(cls)
    return struct(cls)


def with_usual_answers(cls):
    """Let a class answer solvers and estimators as most losses do, where it does not say otherwise."""
    for usual in (
        constant_curvature,
        smooth,
        bounded_curvature,
        has_flat_rows,
        with_own_curvature,
        damps_far_rows,
        smoothed,
        attains_zero_only_at_infinity,
        scores_are_targets,
        valid,
        domain,
    ):
        if usual.__name__ not in vars(cls):
            setattr(cls, usual.__name__, usual)
    return cls


def coupled(self):
    return False


def column_losses_and_residuals(self, y, s, Z, totals):
    for k in range(Z.shape[0]):
        total = 0.0
        for i in range(Z.shape[1]):
            z = Z[k, i]
            total += s[i] * self.value(y[k, i], z)
            Z[k, i] = s[i] * self.derivative(y[k, i], z)
        totals[k] += total


def loss_and_residuals(self, y, s, Z):
    total = 0.0
    for k in range(Z.shape[0]):
        for i in range(Z.shape[1]):
            z = Z[k, i]
            total += s[i] * self.value(y[k, i], z)
            Z[k, i] = s[i] * self.derivative(y[k, i], z)
    return total


def curvatures(self, y, s, Z):
    for k in range(Z.shape[0]):
        for i in range(Z.shape[1]):
            Z[k, i] = self.curvature(y[k, i], Z[k, i])


def curvature_block(self, s, Z, k, l, c):
    for i in range(Z.shape[1]):
        c[i] = s[i] * Z[k, i]


def constant_curvature(self):
    return False


def smooth(self):
    return True


def bounded_curvature(self):
    return True


def has_flat_rows(self):
    return False


def with_own_curvature(self):
    return self


def damps_far_rows(self):
    return False


def smoothed(self):
    return False


def attains_zero_only_at_infinity(self):
    return False


def scores_are_targets(self):
    return False


def valid(self, y):
    return np.isfinite(y)


def domain(self):
    return "finite y"
