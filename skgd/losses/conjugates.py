"""Convex conjugates of losses, for dual coordinate ascent and for the interior-point method.

The conjugate of a loss(z) is loss*(r) = max over z of r z - loss(z) (Rockafellar, 1970, section 12).  Its argument r is a slope
of the loss, and one of a loss that is convex is known from its conjugate: loss(z) = max over r of r z - loss*(r).

Dual coordinate ascent has one variable r_i for each row.  A row of weight q has scores z, which become z - q (r' - r) when its
variable changes from r to r'.  The dual objective is largest over this variable if r' is the slope of the loss at the new
scores:

    r' = loss'(z - q (r' - r)).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import expit, softmax, xlogy

from ..compiled.jit import linked, struct
from ..constants import TINY
from .arithmetic import exp, logistic
from .ramps import SumOfRamps


class Conjugate(Protocol):
    """The conjugate of the loss of a row with K scores, and its dual variables (K,)."""

    def dual_step(self, y: np.ndarray, z: np.ndarray, q: float, r: np.ndarray, new: np.ndarray, room: np.ndarray) -> None:
        """Write the solution of r' = loss'(z - q (r' - r)) into new (K,), or an approximation that is not worse than r.

        y (K,) are the targets of the row, and `room` (K,) is working memory.  Compiled loops call this.
        """

    def has_exact_steps(self) -> bool:
        """Whether `dual_step` finds the exact solution for rows of any weight q."""

    def conjugate_values(self, Y: np.ndarray, R: np.ndarray) -> np.ndarray:
        """The parts (n, K) of loss*(R) that belong to each score, for targets Y and dual variables R (n, K)."""

    def slopes(self, Y: np.ndarray, Z: np.ndarray) -> np.ndarray:
        """The slopes (n, K) of the loss at scores Z (n, K)."""

    def balanced(self, Y: np.ndarray, R: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Dual variables (n, K) near R whose sums with the weights s (n,) of the rows are zero, or nearly zero.

        The unpenalised intercept requires this of feasible dual variables.
        """


# ---------------------------------------------------------------- losses of linear and quadratic pieces
@struct
class PiecewiseConjugate(NamedTuple):
    """The conjugate of a loss of linear and quadratic pieces:

        loss(z) = max over low <= r <= high of  r (z - y) - tube |r| - smoothing r^2 / 2.

    If the loss is one of margins y z, with y = -1 or 1, then `low` and `high` are those for y = 1, and their mirror images for
    y = -1.
    """

    low: float
    high: float
    smoothing: float = 0.0
    tube: float = 0.0  # Scores within this distance of the target cost nothing.
    of_margins: bool = False

    def dual_step(self, y, z, q, r, new, room):
        for k in range(len(r)):
            distance = z[k] - y[k] + q * r[k]
            outside = max(distance - self.tube, 0.0) - max(-distance - self.tube, 0.0)
            slope = outside / max(q + self.smoothing, TINY)
            if self.of_margins and y[k] < 0.0:
                new[k] = min(max(slope, -self.high), -self.low)
            else:
                new[k] = min(max(slope, self.low), self.high)

    def has_exact_steps(self):
        return True

    def bounds(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest dual variables for targets Y."""
        mirrored = self.of_margins & (Y < 0.0)
        return np.where(mirrored, -self.high, self.low), np.where(mirrored, -self.low, self.high)

    def conjugate_values(self, Y, R):
        return R * (Y + 0.5 * self.smoothing * R) + self.tube * np.abs(R)

    def slopes(self, Y, Z):
        distance = Z - Y
        outside = np.sign(distance) * np.maximum(np.abs(distance) - self.tube, 0.0)
        if self.smoothing > 0.0:
            return np.clip(outside / self.smoothing, *self.bounds(Y))
        low, high = self.bounds(Y)
        return np.select([outside < 0.0, outside > 0.0], [low, high], np.clip(0.0, low, high))

    def balanced(self, Y, R, s):
        """Shift the variables that are between their bounds, because those of other rows have their bounds at the optimum."""
        low, high = self.bounds(Y)
        between = (low < R) & (R < high)
        balanced = np.empty_like(R)
        for k in range(R.shape[1]):
            column = R[:, k], low[:, k], high[:, k]
            shifted = _shifted(*column, s, between[:, k])
            balanced[:, k] = _shifted(shifted, *column[1:], s, np.ones(len(s), bool))
        return balanced

    def as_ramps(self, y: np.ndarray) -> SumOfRamps:
        """The losses for targets y (n,) as sums of ramps."""
        if self.of_margins:
            return SumOfRamps(0.0, 0.0, [(-y, 1.0)], -self.low, self.smoothing)
        if np.isinf(self.low) or self.tube > 0.0:
            return SumOfRamps(0.0, 0.0, [(1.0, -y - self.tube), (-1.0, y - self.tube)], self.high, self.smoothing)
        constant = -self.low * (y + 0.5 * self.smoothing * self.low)
        return SumOfRamps(self.low, constant, [(1.0, -y - self.smoothing * self.low)], self.high - self.low, self.smoothing)


MOST_SHIFTS = 100  # Each shift but the last takes a variable to its bound, and a few shifts are enough.
NO_EXCESS = 1e-12  # An excess below this share of the sum of all sizes is a rounding error.


def _shifted(r: np.ndarray, low: np.ndarray, high: np.ndarray, s: np.ndarray, which: np.ndarray) -> np.ndarray:
    """r (n,) with the variables in the mask `which` shifted until s @ r is zero, or until all of them are at their bounds."""
    for _ in range(MOST_SHIFTS):
        excess = s @ r
        movable = which & ((r > low) if excess > 0.0 else (r < high))
        if abs(excess) <= NO_EXCESS * (s @ np.abs(r)) or not movable.any():
            break
        r = np.where(movable, np.clip(r - excess / s[movable].sum(), low, high), r)
    return r


# ---------------------------------------------------------------- logistic losses
@linked
def logistic_step(z, q, p):
    """The solution of p' = logistic(z - q (p' - p)), approximated by one Newton step.

    The solution lies between p and logistic(z).  The step uses the largest curvature of the loss between these two, so it never
    goes beyond the solution, and the dual objective cannot fall.  Near the solution the step is exact.
    """
    value = logistic(z)
    curvature = max(p * (1.0 - p), value * (1.0 - value))
    if (p - 0.5) * (value - 0.5) < 0.0:
        curvature = 0.25
    return p + (value - p) / (1.0 + q * curvature)


@linked
def softmax_step(z, q, p, new, moved):
    """Write an approximation of the solution of p' = softmax(z - q (p' - p)) into new (K,).  `moved` (K,) is working memory.

    The fixed-point iteration is damped by the factor 1 / (1 + q/2).  With it the dual objective cannot fall, because 1/2 is a
    bound of the curvature of the loss.  There is one iteration if q is small, and there are up to eight if it is large.
    """
    K = len(z)
    share = 1.0 / (1.0 + 0.5 * q)
    for k in range(K):
        new[k] = p[k]
    for _ in range(1 + int(min(0.5 * q, 7.0))):
        top, total = -np.inf, 0.0
        for k in range(K):
            moved[k] = z[k] - q * (new[k] - p[k])
            top = max(top, moved[k])
        for k in range(K):
            moved[k] = exp(moved[k] - top)
            total += moved[k]
        for k in range(K):
            new[k] += share * (moved[k] / total - new[k])


def _mixed(P: np.ndarray, wanted: np.ndarray, actual: np.ndarray, also_complements: bool) -> np.ndarray:
    """Probabilities P (n, K) whose means are `actual` (K,), mixed with constant ones such that the means are `wanted` (K,).

    The share of the constants is twice the smallest one that keeps all probabilities positive.
    """
    ratios = wanted / actual
    if also_complements:
        ratios = np.append(ratios, (1.0 - wanted) / (1.0 - actual))
    share = min(2.0 * (1.0 - ratios.min()), 1.0)
    return (1.0 - share) * P + (wanted - (1.0 - share) * actual)


@struct
class LogisticConjugate(NamedTuple):
    """The conjugate of log(1 + exp(z)) - y z.  With p = y + r, a probability, it is p log(p) + (1 - p) log(1 - p)."""

    n_outputs: int

    def dual_step(self, y, z, q, r, new, room):
        for k in range(len(r)):
            new[k] = logistic_step(z[k], q, y[k] + r[k]) - y[k]

    def has_exact_steps(self):
        return False

    def conjugate_values(self, Y, R):
        P = Y + R
        return xlogy(P, P) + xlogy(1.0 - P, 1.0 - P)

    def slopes(self, Y, Z):
        return expit(Z) - Y

    def balanced(self, Y, R, s):
        P, weights = Y + R, s / s.sum()
        return _mixed(P, weights @ Y, weights @ P, also_complements=True) - Y


@struct
class SoftmaxConjugate(NamedTuple):
    """The conjugate of log(sum_k exp(z_k)) - y z.  With p = y + r, probabilities of the K classes, it is sum_k p_k log(p_k)."""

    n_outputs: int

    def dual_step(self, y, z, q, r, new, room):
        for k in range(len(r)):
            r[k] += y[k]
        softmax_step(z, q, r, new, room)
        for k in range(len(r)):
            r[k] -= y[k]
            new[k] -= y[k]

    def has_exact_steps(self):
        return False

    def conjugate_values(self, Y, R):
        return xlogy(Y + R, Y + R)

    def slopes(self, Y, Z):
        return softmax(Z, axis=1) - Y

    def balanced(self, Y, R, s):
        P, weights = Y + R, s / s.sum()
        return _mixed(P, weights @ Y, weights @ P, also_complements=False) - Y
