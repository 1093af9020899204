"""Cross-entropy of classes: one score for two of them, as many scores as classes for more.  Labels may be probabilities."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..compiled.jit import struct
from .arithmetic import exp, log1p, logistic
from .separable import separable, with_usual_answers

FAR = 4.0  # a score on the wrong side whose slope, 0.98, hardly tells it from any further one


@separable
class LogLoss(NamedTuple):
    """log(1 + exp(z)) - y z with y in [0, 1]: two classes, one score."""

    n_outputs: int = 1
    far: float = FAR

    def value(self, y, z):
        return max(z, 0.0) + log1p(exp(-abs(z))) - y * z

    def derivative(self, y, z):
        return logistic(z) - y

    def curvature(self, y, z):
        e = exp(-abs(z))
        second = e / ((1.0 + e) * (1.0 + e))
        # Far on the wrong side it vanishes and steps would have no end: there, as for Huber, that of the parabola
        # which touches the loss at +-z and lies above it, tanh(z/2) / (2 z) (Jaakkola and Jordan, 2000).
        wrong = abs(z) > self.far and (z > 0.0) == (y < 0.5)
        return 0.5 * (1.0 - e) / ((1.0 + e) * abs(z)) if wrong else second

    def with_own_curvature(self):
        return self._replace(far=np.inf)

    def damps_far_rows(self):
        return True

    def attains_zero_only_at_infinity(self):
        return True

    def curvature_bound(self):
        return 0.25

    def intercept_only_scores(self, y, s):
        p = y @ s / s.sum()
        return np.log(p) - np.log1p(-p)


@struct
@with_usual_answers
class Softmax(NamedTuple):
    """log(sum_k exp(z_k)) - z_y with y the code of a class: K classes, K scores that share a row."""

    n_outputs: int
    largest_variance: float  # of a class indicator, pi (1 - pi): the curvature at the start

    def coupled(self):
        return True

    def attains_zero_only_at_infinity(self):
        return True

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

    def probabilities(self, s, Z):
        """Turn scores into probabilities times weights s; return sum_i s_i log(sum_k exp(z_ik))."""
        m, loss = Z.shape[1], 0.0
        top, total = np.empty(m), np.empty(m)
        self.exponentials(Z, top, total)
        for i in range(m):
            loss += s[i] * (top[i] + math.log(total[i]))
            total[i] = s[i] / total[i]
        for k in range(Z.shape[0]):
            for i in range(m):
                Z[k, i] *= total[i]
        return loss

    def loss_and_residuals(self, y, s, Z):
        own = 0.0
        for i in range(Z.shape[1]):
            own += s[i] * Z[int(y[0, i]), i]
        loss = self.probabilities(s, Z) - own
        for i in range(Z.shape[1]):
            Z[int(y[0, i]), i] -= s[i]
        return loss

    def column_losses_and_residuals(self, y, s, Z, totals):
        totals[0] += self.loss_and_residuals(y, s, Z)

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

    def curvature_bound(self):
        # 1/2 bounds it everywhere; the curvature at the start, floored, is what steps are sized by (they halve it).
        return max(self.largest_variance, 0.05)

    def intercept_only_scores(self, y, s):
        scores = np.log(np.bincount(y[0].astype(np.intp), weights=s, minlength=self.n_outputs) / s.sum())
        return scores - scores.mean()


def as_softmax(cls):
    """Give a class what does not depend on the form of the labels."""
    for name in (
        "coupled",
        "exponentials",
        "probabilities",
        "column_losses_and_residuals",
        "curvatures",
        "curvature_block",
        "curvature_bound",
    ):
        setattr(cls, name, vars(Softmax)[name])
    return cls


@struct
@with_usual_answers
@as_softmax
class SoftLabels(NamedTuple):
    """Softmax for labels that are probabilities y (K, n): log(sum_k exp(z_k)) - sum_k y_k z_k."""

    n_outputs: int
    largest_variance: float

    def loss_and_residuals(self, y, s, Z):
        own = 0.0
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                own += s[i] * y[k, i] * Z[k, i]
        loss = self.probabilities(s, Z) - own
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                Z[k, i] -= s[i] * y[k, i]
        return loss

    def intercept_only_scores(self, y, s):
        scores = np.log(y @ s / s.sum())
        return scores - scores.mean()
