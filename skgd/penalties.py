"""Penalties that are sums over coefficients: L1, L2, elastic net, and the constraint that coefficients are not negative.

The penalty on a coefficient u is l2 u^2 / 2, plus upper u if u > 0, or lower u if u < 0, with lower <= 0 <= upper.  The
interval
``[lower, upper]`` is its subdifferential at zero.  It is ``[-l1, l1]`` for an L1 penalty, and ``[-inf, l1]`` if negative
coefficients are ruled out.  A coefficient is zero at the minimum if minus the gradient of the loss lies in this interval.
Solvers use a penalty only by its value, its proximal step and this interval.

Solvers work in scaled coordinates, in which every coefficient has its own weights.  The weights of the intercept are 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compiled.jit import linked, struct


class Penalty(NamedTuple):
    """The weights of the penalty on each of N coefficients."""

    lower: np.ndarray  # (N,), <= 0
    upper: np.ndarray  # (N,), >= 0
    l2: np.ndarray  # (N,), >= 0

    @property
    def non_smooth(self) -> np.ndarray:
        """Which coefficients (N,) have a penalty that is not smooth at zero, so that they may be zero at the minimum."""
        return (self.lower < 0.0) | (self.upper > 0.0)

    @property
    def ridge(self) -> float:
        """The L2 weight if it is the same for all coefficients and there is no other penalty.  Otherwise 0."""
        alike = not self.non_smooth.any() and len(self.l2) > 0 and np.all(self.l2 == self.l2[0])
        return float(self.l2[0]) if alike else 0.0

    def positive(self, which: np.ndarray) -> Penalty:
        """The penalty that also rules out negative values of the coefficients in the mask `which` (N,)."""
        return self._replace(lower=np.where(which, -np.inf, self.lower))

    def feasible(self, W: np.ndarray) -> np.ndarray:
        """W (N, K) with negative coefficients replaced by zeros where they are ruled out."""
        return np.where(np.isneginf(self.lower)[:, None], np.maximum(W, 0.0), W)

    def scaled(self, scale: np.ndarray) -> Penalty:
        """The penalty as a function of coefficients divided by `scale` (N,).  A coefficient of scale 0 has no penalty."""
        with np.errstate(invalid="ignore"):
            lower, upper = (np.where(scale > 0.0, slopes * scale, 0.0) for slopes in (self.lower, self.upper))
        return Penalty(lower, upper, self.l2 * scale**2)

    def of(self, index) -> Penalty:
        """The penalty on the coefficients that an index selects.  It may select a coefficient several times."""
        return Penalty(*(weights[index] for weights in self))


def elastic_net(l1: float | np.ndarray, l2: float | np.ndarray, d: int) -> Penalty:
    """The penalty l1 |u| + l2 u^2 / 2 on each of d coefficients."""
    upper = np.broadcast_to(np.asarray(l1, dtype=float), d)
    return Penalty(-upper, upper, np.broadcast_to(np.asarray(l2, dtype=float), d))


@linked
def soft_threshold(c, lower, upper):
    """The u that minimises (u - c)^2 / 2, plus upper u if u > 0, or lower u if u < 0."""
    return max(c - upper, 0.0) - max(lower - c, 0.0)


def penalty_value(theta: np.ndarray, penalty: Penalty) -> float:
    """The penalty on coefficients theta (D, K).  All coefficients of a row have the same weights."""
    value = 0.5 * float((penalty.l2 @ (theta * theta)).sum())
    if penalty.non_smooth.any():
        slopes = np.where(theta > 0.0, penalty.upper[:, None], penalty.lower[:, None])
        value += float(np.multiply(slopes, theta, out=np.zeros_like(theta), where=theta != 0.0).sum())
    return value


def proximal_step(theta: np.ndarray, rate: float, penalty: Penalty) -> np.ndarray:
    """The u (D, K) that minimise (u - theta)^2 / (2 rate) + the penalty on u, for all coefficients theta (D, K)."""
    lower, upper, l2 = (weights[:, None] for weights in penalty)
    return (np.maximum(theta - rate * upper, 0.0) - np.maximum(rate * lower - theta, 0.0)) / (1.0 + rate * l2)


def penalty_derivative(u: np.ndarray, penalty: Penalty) -> np.ndarray:
    """The derivatives (N,) of the penalty at coefficients u (N,), none of which is zero."""
    return np.where(u > 0.0, penalty.upper, penalty.lower) + penalty.l2 * u


def zero_violations(theta: np.ndarray, gradient: np.ndarray, penalty: Penalty) -> np.ndarray:
    """By how much (D, K) zeros of theta (D, K) violate their optimality conditions, given the gradient (D, K) of the loss.

    This is the distance of minus the gradient from ``[lower, upper]``.  It is 0 for coefficients that are not zero.
    """
    distance = np.maximum(-gradient - penalty.upper[:, None], gradient + penalty.lower[:, None])
    return np.where(theta == 0.0, np.maximum(distance, 0.0), 0.0)


@struct
class ElasticNet(NamedTuple):
    """The gradient and the proximal step of the penalty on one coefficient, for compiled stochastic steps.

    The proximal step always contains the non-smooth part of the penalty.

    Parameters
    ----------
    explicit : float
        If 1, the L2 penalty is part of the gradient, as in textbooks.  If 0, it is part of the proximal step, which is stable
        at any rate.
    """

    explicit: float = 0.0

    def gradient(self, w, l2):
        """The derivative at w of the part of the penalty that is not in the proximal step."""
        return self.explicit * l2 * w

    def proximal_step(self, w, rate, lower, upper, l2):
        """The u that minimises (u - w)^2 / (2 rate) plus the part of the penalty that is not in `gradient`."""
        return soft_threshold(w, rate * lower, rate * upper) / (1.0 + (1.0 - self.explicit) * rate * l2)
