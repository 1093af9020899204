"""Cross-entropy for two classes with one score, and for several classes with one score each.  Labels may be probabilities."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..compiled.jit import struct
from .arithmetic import exp, log1p, logistic
from .conjugates import LogisticConjugate, SoftmaxConjugate
from .default_methods import with_default_methods
from .separable import separable
from .surrogate_curvature import DAMPED_BEYOND

LEAST_VARIANCE = 0.05  # the least `curvature_bound` of the softmax losses, however rare the classes are


@separable
class LogLoss(NamedTuple):
    """log(1 + exp(z)) - y z with y in [0, 1], for two classes and one score."""

    n_outputs: int = 1
    damped_beyond: float = DAMPED_BEYOND

    def value(self, y, z):
        return max(z, 0.0) + log1p(exp(-abs(z))) - y * z

    def derivative(self, y, z):
        return logistic(z) - y

    def curvature(self, y, z):
        e = exp(-abs(z))
        second = e / ((1.0 + e) * (1.0 + e))
        # A far score of the wrong sign has the majorising curvature tanh(z/2) / (2 z) (Jaakkola and Jordan, 2000).
        wrong = abs(z) > self.damped_beyond and (z > 0.0) == (y < 0.5)
        return 0.5 * (1.0 - e) / ((1.0 + e) * abs(z)) if wrong else second

    def damps_far_rows(self):
        return bool(np.isfinite(self.damped_beyond))

    def with_own_curvature(self):
        return self._replace(damped_beyond=np.inf)

    def attains_zero_only_at_infinity(self):
        return True

    def curvature_bound(self):
        return 0.25

    def conjugate(self):
        return LogisticConjugate(self.n_outputs)

    def intercept_only_scores(self, y, s):
        p = y @ s / s.sum()
        return np.log(p) - np.log1p(-p)


@struct
@with_default_methods
class Softmax(NamedTuple):
    """log(sum_k exp(z_k)) - z_y, where y is the code of a class, for K classes with one score each."""

    n_outputs: int
    largest_variance: float  # the largest p (1 - p) of all classes, with p the share of a class: the curvature where fits start

    def attains_zero_only_at_infinity(self):
        return True

    def coupled(self):
        return True

    def exponentials(self, Z, top, total):
        """Replace scores Z (K, m) by exp(z - top).

        top (m,) receives the largest score of each row, and total (m,) the sum of the exponentials of each row.
        """
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
        """Replace scores Z (K, m) by probabilities times the weights s (m,).

        Returns sum_i s_i log(sum_k exp(z_ik)).
        """
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

    def losses_and_residuals(self, y, s, Z, totals):
        own = 0.0
        for i in range(Z.shape[1]):
            own += s[i] * Z[int(y[0, i]), i]
        totals[0] += self.probabilities(s, Z) - own
        for i in range(Z.shape[1]):
            Z[int(y[0, i]), i] -= s[i]

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
        # 1/2 is a bound for all scores, but the curvature where fits start gives better step sizes.
        return max(self.largest_variance, LEAST_VARIANCE)

    def conjugate(self):
        return SoftmaxConjugate(self.n_outputs)

    def intercept_only_scores(self, y, s):
        scores = np.log(np.bincount(y[0].astype(np.intp), weights=s, minlength=self.n_outputs) / s.sum())
        return scores - scores.mean()


def with_softmax_loops(cls):
    """Give a class the methods of `Softmax` that do not depend on how labels are represented."""
    for name in (
        "coupled",
        "exponentials",
        "probabilities",
        "curvatures",
        "curvature_block",
        "curvature_bound",
        "conjugate",
    ):
        setattr(cls, name, vars(Softmax)[name])
    return cls


@struct
@with_default_methods
@with_softmax_loops
class SoftLabels(NamedTuple):
    """log(sum_k exp(z_k)) - sum_k y_k z_k: the softmax loss of labels y (K, n) that are probabilities of the classes."""

    n_outputs: int
    largest_variance: float

    def losses_and_residuals(self, y, s, Z, totals):
        own = 0.0
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                own += s[i] * y[k, i] * Z[k, i]
        totals[0] += self.probabilities(s, Z) - own
        for k in range(Z.shape[0]):
            for i in range(Z.shape[1]):
                Z[k, i] -= s[i] * y[k, i]

    def intercept_only_scores(self, y, s):
        scores = np.log(y @ s / s.sum())
        return scores - scores.mean()
