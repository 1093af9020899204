"""Losses: what a row pays for its scores.  One class a loss, written once, for one row's score.

A *separable* loss defines ``value(y, z)``, ``derivative(y, z)`` and ``curvature(y, z)`` of one score; its columns
(targets) are independent problems.  ``Softmax`` couples the columns of a row and works on a tile of rows at once.
Kernels see the same methods of either kind:

``residuals(y, s, Z)``
    turn scores Z (K, m) of m rows with targets y (a row per target, or the class codes) and weights s (m,) into
    weighted derivatives, in place; return the weighted sum of the values.
``curvatures(y, s, Z)``
    turn scores into what `curvature_block` needs, in place.
``curvature_block(s, Z, k, l, c)``
    write the weighted second derivative by the scores k and l of every row into c (m,).
``coupled()``
    do the columns interact?

Solvers also ask ``quadratic()`` (is the curvature constant?), ``smoothness()`` (a bound of the curvature per unit
weight, which sizes steps), ``scores_are_logits()`` (or in the unit of the targets?) and ``constant_scores(y, s)`` (the
best scores that ignore X, within `epsilon` for Huber: where solvers start).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ._jit import ORDERED, exp2, kernel, struct

FAR = 4.0  # a score on the wrong side whose slope, 0.98, hardly tells it from any further one


@kernel(fastmath=ORDERED)
def exp(x):
    """exp(x) to about 1e-15 relative, for x in [-708, 708]; clipped outside.  Free of branches: loops over it vectorise.

    x = k log 2 + r with |r| <= log(2)/2, exp(r) by its Taylor series (degree 13), 2^k by its bits.  The two parts of
    log 2 are subtracted in their order.
    """
    finite = min(max(x, -708.0), 708.0) + 0.0 * x  # the last term lets NaN through
    k = np.floor(finite * 1.4426950408889634 + 0.5)
    r = finite - k * 6.93145751953125e-1 - k * 1.42860682030941723212e-6
    # cosh + sinh: two chains of additions, which run at once, instead of one twice as long.
    t = r * r
    cosh = 1.0 / 479001600.0
    cosh = cosh * t + 1.0 / 3628800.0
    cosh = cosh * t + 1.0 / 40320.0
    cosh = cosh * t + 1.0 / 720.0
    cosh = cosh * t + 1.0 / 24.0
    cosh = cosh * t + 0.5
    cosh = cosh * t + 1.0
    sinh = 1.0 / 6227020800.0
    sinh = sinh * t + 1.0 / 39916800.0
    sinh = sinh * t + 1.0 / 362880.0
    sinh = sinh * t + 1.0 / 5040.0
    sinh = sinh * t + 1.0 / 120.0
    sinh = sinh * t + 1.0 / 6.0
    sinh = sinh * t + 1.0
    return (cosh + r * sinh) * exp2(k)


@kernel
def log1p(e):
    """log(1 + e) for e in [0, 1], to about 1e-15: 2 atanh(e / (2 + e)) by its series.  Free of branches."""
    q = e / (2.0 + e)
    t = q * q
    p = 1.0 / 29.0
    p = p * t + 1.0 / 27.0
    p = p * t + 1.0 / 25.0
    p = p * t + 1.0 / 23.0
    p = p * t + 1.0 / 21.0
    p = p * t + 1.0 / 19.0
    p = p * t + 1.0 / 17.0
    p = p * t + 1.0 / 15.0
    p = p * t + 1.0 / 13.0
    p = p * t + 1.0 / 11.0
    p = p * t + 1.0 / 9.0
    p = p * t + 1.0 / 7.0
    p = p * t + 1.0 / 5.0
    p = p * t + 1.0 / 3.0
    p = p * t + 1.0
    return 2.0 * q * p


@kernel
def logistic(z):
    """1 / (1 + exp(-z))."""
    e = exp(-abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


def separable(cls):
    """Make a struct of a loss with independent columns, which defines value, derivative and curvature of one score."""
    for method in (coupled, residuals, curvatures, curvature_block):
        setattr(cls, method.__name__, method)
    return struct(cls)


def coupled(self):
    return False


def residuals(self, y, s, Z):
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


@separable
class SquaredError(NamedTuple):
    """(z - y)^2 / 2."""

    columns: int = 1

    def quadratic(self):
        return True

    def value(self, y, z):
        return 0.5 * (z - y) * (z - y)

    def derivative(self, y, z):
        return z - y

    def curvature(self, y, z):
        return 1.0

    def smoothness(self):
        return 1.0

    def scores_are_logits(self):
        return False

    def constant_scores(self, y, s):
        return y @ s / s.sum()


@separable
class Huber(NamedTuple):
    """(z - y)^2 / 2 where |z - y| <= epsilon, and epsilon |z - y| - epsilon^2 / 2 beyond (Huber, 1964)."""

    columns: int = 1
    epsilon: float = 0.1

    def quadratic(self):
        return False

    def value(self, y, z):
        r = abs(z - y)
        inner = min(r, self.epsilon)
        return inner * (r - 0.5 * inner)

    def derivative(self, y, z):
        return min(max(z - y, -self.epsilon), self.epsilon)

    def curvature(self, y, z):
        # Of the parabola that touches the loss at +-(z - y) and lies above it: the second derivative, 0 or 1, would
        # leave the metric singular.  (Iteratively reweighted least squares; Huber and Ronchetti, 2009, section 7.8.)
        return self.epsilon / max(abs(z - y), self.epsilon)

    def smoothness(self):
        return 1.0

    def scores_are_logits(self):
        return False

    def constant_scores(self, y, s):
        return np.array([_weighted_median(column, s) for column in y])


@separable
class LogLoss(NamedTuple):
    """log(1 + exp(z)) - y z with y in [0, 1]: two classes, one score."""

    columns: int = 1

    def quadratic(self):
        return False

    def value(self, y, z):
        return max(z, 0.0) + log1p(exp(-abs(z))) - y * z

    def derivative(self, y, z):
        return logistic(z) - y

    def curvature(self, y, z):
        e = exp(-abs(z))
        second = e / ((1.0 + e) * (1.0 + e))
        # Far on the wrong side it vanishes and steps would have no end: there, as for Huber, that of the parabola
        # which touches the loss at +-z and lies above it, tanh(z/2) / (2 z) (Jaakkola and Jordan, 2000).
        wrong = abs(z) > FAR and (z > 0.0) == (y < 0.5)
        return 0.5 * (1.0 - e) / ((1.0 + e) * abs(z)) if wrong else second

    def smoothness(self):
        return 0.25

    def scores_are_logits(self):
        return True

    def constant_scores(self, y, s):
        p = y @ s / s.sum()
        return np.log(p) - np.log1p(-p)


@struct
class Softmax(NamedTuple):
    """log(sum_k exp(z_k)) - z_y with y the code of a class: K classes, K scores that share a row."""

    columns: int
    largest_variance: float  # of a class indicator, pi (1 - pi): the curvature at the start

    def coupled(self):
        return True

    def quadratic(self):
        return False

    def exponentials(self, Z, top, total):
        """Turn scores into exp(z - top), with `top` (m,) the largest of each row and `total` (m,) their sums."""
        for i in range(Z.shape[1]):
            top[i] = Z[0, i]
            total[i] = 0.0
        for k in range(1, Z.shape[0]):
            for i in range(Z.shape[1]):
                top[i] = max(top[i], Z[k, i])
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                Z[k, i] = exp(Z[k, i] - top[i])
                total[i] += Z[k, i]

    def residuals(self, y, s, Z):
        m = Z.shape[1]
        top, total = np.empty(m), np.empty(m)
        loss = 0.0
        for i in range(m):
            loss -= s[i] * Z[int(y[0, i]), i]
        self.exponentials(Z, top, total)
        for i in range(m):
            loss += s[i] * (top[i] + math.log(total[i]))
            total[i] = s[i] / total[i]
        for k in range(Z.shape[0]):
            for i in range(m):
                Z[k, i] *= total[i]
        for i in range(m):
            Z[int(y[0, i]), i] -= s[i]
        return loss

    def curvatures(self, y, s, Z):
        top, total = np.empty(Z.shape[1]), np.empty(Z.shape[1])
        self.exponentials(Z, top, total)
        for i in range(Z.shape[1]):
            total[i] = 1.0 / total[i]
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                Z[k, i] *= total[i]

    def curvature_block(self, s, Z, k, l, c):
        for i in range(Z.shape[1]):
            c[i] = s[i] * Z[k, i] * ((1.0 if k == l else 0.0) - Z[l, i])

    def smoothness(self):
        # 1/2 bounds it everywhere; the curvature at the start, floored, is what steps are sized by (they halve it).
        return max(self.largest_variance, 0.05)

    def scores_are_logits(self):
        return True

    def constant_scores(self, y, s):
        scores = np.log(np.bincount(y[0].astype(np.intp), weights=s, minlength=self.columns) / s.sum())
        return scores - scores.mean()


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(mass, 0.5 * mass[-1])]])


REGRESSION_LOSSES = {"squared_error": SquaredError, "huber": Huber}
CLASSIFICATION_LOSSES = {"log_loss": (LogLoss, Softmax)}
