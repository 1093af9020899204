"""Separable penalties: each coefficient u pays  upper u  where u > 0,  lower u  where u < 0,  and  l2 u^2 / 2.

``[lower, upper]``, which holds 0, is the interval of slopes that keep the coefficient at zero: ``[-l1, l1]`` for L1,
``[-inf, l1]`` where negative coefficients are ruled out.  Nothing else is known of a penalty anywhere: coordinate
descent, proximal steps and working sets ask for its value, its proximal step, and that interval.

Solvers work in scaled coordinates, where every coefficient has weights of its own (0 for the intercept).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compiled.jit import kernel, struct


class Penalty(NamedTuple):
    """Weights of the penalty on each of N coefficients."""

    lower: np.ndarray  # (N,), <= 0
    upper: np.ndarray  # (N,), >= 0
    l2: np.ndarray  # (N,)

    @property
    def kinked(self) -> np.ndarray:
        """Which coefficients (N,) may be held at zero."""
        return (self.lower < 0.0) | (self.upper > 0.0)

    @property
    def ridge(self) -> float:
        """The L2 weight of all coefficients, where they share one and nothing else is penalised; 0 elsewhere."""
        alike = not self.kinked.any() and len(self.l2) > 0 and np.all(self.l2 == self.l2[0])
        return float(self.l2[0]) if alike else 0.0

    def positive(self, which: np.ndarray) -> Penalty:
        """The same, and coefficients chosen by a mask (N,) must not be negative."""
        return self._replace(lower=np.where(which, -np.inf, self.lower))

    def feasible(self, W: np.ndarray) -> np.ndarray:
        """W (N, K) without negative coefficients where they are ruled out."""
        return np.where(np.isneginf(self.lower)[:, None], np.maximum(W, 0.0), W)

    def scaled(self, scale: np.ndarray) -> Penalty:
        """That on coefficients u / scale; where the scale is 0, nothing is penalised."""
        with np.errstate(invalid="ignore"):
            lower, upper = (np.where(scale > 0.0, slopes * scale, 0.0) for slopes in (self.lower, self.upper))
        return Penalty(lower, upper, self.l2 * scale**2)

    def of(self, index) -> Penalty:
        """That on some coefficients alone, or on all of them again and again."""
        return Penalty(*(weights[index] for weights in self))


def elastic_net(l1: float | np.ndarray, l2: float | np.ndarray, d: int) -> Penalty:
    """l1 |u| + l2 u^2 / 2 on each of d coefficients."""
    upper = np.broadcast_to(np.asarray(l1, dtype=float), d)
    return Penalty(-upper, upper, np.broadcast_to(np.asarray(l2, dtype=float), d))


@kernel
def shrink(c, lower, upper):
    """argmin over u of (u - c)^2 / 2 + the kink: upper u for u > 0, lower u for u < 0."""
    return max(c - upper, 0.0) - max(lower - c, 0.0)


def penalty_value(theta: np.ndarray, penalty: Penalty) -> float:
    """Sum over coefficients theta (D, K), each row with its own weights."""
    value = 0.5 * float((penalty.l2 @ (theta * theta)).sum())
    if penalty.kinked.any():
        slopes = np.where(theta > 0.0, penalty.upper[:, None], penalty.lower[:, None])
        value += float(np.multiply(slopes, theta, out=np.zeros_like(theta), where=theta != 0.0).sum())
    return value


def proximal_step(theta: np.ndarray, rate: float, penalty: Penalty) -> np.ndarray:
    """argmin over u of (u - theta)^2 / (2 rate) + the penalty, for all coefficients theta (D, K)."""
    lower, upper, l2 = (weights[:, None] for weights in penalty)
    return (np.maximum(theta - rate * upper, 0.0) - np.maximum(rate * lower - theta, 0.0)) / (1.0 + rate * l2)


def slopes_off_zero(u: np.ndarray, penalty: Penalty) -> np.ndarray:
    """Derivative of the penalty by each of the coefficients u (N,), none of which is zero."""
    return np.where(u > 0.0, penalty.upper, penalty.lower) + penalty.l2 * u


def excess(theta: np.ndarray, gradient: np.ndarray, penalty: Penalty) -> np.ndarray:
    """How far the slopes of a loss with this gradient (D, K) are from keeping zeros of theta at zero; 0 for the others."""
    beyond = np.maximum(-gradient - penalty.upper[:, None], gradient + penalty.lower[:, None])
    return np.where(theta == 0.0, np.maximum(beyond, 0.0), 0.0)


@struct
class ElasticNet(NamedTuple):
    """The kinks and l2 w^2 / 2.

    Parameters
    ----------
    explicit : float
        1: the smooth part, l2 w^2 / 2, joins the gradient, as in the textbook; 0: it is left to the proximal step,
        which no rate can make unstable.  The kinks always are.
    """

    explicit: float = 0.0

    def gradient(self, w, l2):
        """Gradient of the explicit part."""
        return self.explicit * l2 * w

    def proximal_step(self, w, rate, lower, upper, l2):
        """argmin over u of (u - w)^2 / (2 rate) + upper u where u > 0 + lower u where u < 0 + (implicit part of) l2 u^2 / 2."""
        return shrink(w, rate * lower, rate * upper) / (1.0 + (1.0 - self.explicit) * rate * l2)
