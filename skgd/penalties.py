"""The penalty on a coefficient w: l1 |w| + l2 w^2 / 2.  Separable, so it is written for one coefficient.

Solvers work in scaled coordinates, where every coefficient has weights l1 and l2 of its own (0 for the intercept);
the struct says how a step treats them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import struct


@struct
class ElasticNet(NamedTuple):
    """l1 |w| + l2 w^2 / 2.

    Parameters
    ----------
    explicit : float
        1: the smooth part, l2 w^2 / 2, joins the gradient, as in the textbook; 0: it is left to the proximal step,
        which no rate can make unstable.  The L1 part always is.
    """

    explicit: float = 0.0

    def gradient(self, w, l2):
        """Gradient of the explicit part."""
        return self.explicit * l2 * w

    def proximal_step(self, w, rate, l1, l2):
        """argmin over u of (u - w)^2 / (2 rate) + l1 |u| + (implicit part of) l2 u^2 / 2."""
        shrunk = max(w - rate * l1, 0.0) - max(-w - rate * l1, 0.0)
        return shrunk / (1.0 + (1.0 - self.explicit) * rate * l2)


def penalty_value(theta: np.ndarray, l1: np.ndarray, l2: np.ndarray) -> float:
    """Sum over coefficients theta (D, K) of l1 |theta| + l2 theta^2 / 2, with l1 and l2 (D,)."""
    return float((l1 @ np.abs(theta) + 0.5 * (l2 @ (theta * theta))).sum())


def proximal_step(theta: np.ndarray, rate: float, l1: np.ndarray, l2: np.ndarray) -> np.ndarray:
    """`ElasticNet.proximal_step` of all coefficients theta (D, K) at once."""
    threshold = rate * l1[:, None]
    return (np.maximum(theta - threshold, 0.0) - np.maximum(-theta - threshold, 0.0)) / (1.0 + rate * l2[:, None])
