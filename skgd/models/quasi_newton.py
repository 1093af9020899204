"""The metric of descents without a non-smooth penalty: a Hessian or its diagonal, corrected by L-BFGS."""

from __future__ import annotations

import numpy as np

from ..objective import Objective
from .curvature import curvature_at
from .metric import ModelMinimum

MEMORY = 10  # the number of steps that L-BFGS uses
# A step s with the change y of the gradient is used if s'y is above this share of |s| |y|.  A smaller s'y is a rounding error.
CURVED = 1e-14


class QuasiNewton:
    """A `Metric`: the curvature of F at one point, corrected by the last steps (Nocedal and Wright, 2006, algorithm 7.4).

    Parameters
    ----------
    objective : Objective
        Its penalty must be smooth.
    theta : ndarray of shape (D, K)
        The point where the curvature is computed.
    effort, remembered : float, bool
        See `curvature_at`.
    """

    def __init__(self, objective: Objective, theta: np.ndarray, effort: float = 1.0, remembered: bool = False) -> None:
        self.l2 = objective.penalty.l2[:, None]
        self.base = curvature_at(objective, theta, effort, remembered)
        self.refreshable, self.exact_near_minimum = self.base.refreshable, self.base.exact_near_minimum
        self.passes, self.refreshed_every_step = self.base.passes, self.base.refreshed_every_step
        self.pairs: list[tuple[np.ndarray, np.ndarray, float]] = []  # (s, y, s'y): step, change of the gradient of F
        self.scale = self.base.first_scale

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0) -> ModelMinimum:
        """The exact minimum of the model plus the penalty, in closed form: see `Metric`."""
        slope = gradient + self.l2 * theta
        q = self.inverse(slope)
        descent = float(np.vdot(slope, q))
        return ModelMinimum(theta - q, -descent, 0.5 * descent)

    def inverse(self, slope: np.ndarray) -> np.ndarray:
        """The inverse of the metric times a gradient (D, K) of F."""
        q, shares = slope.copy(), []
        for s, y, sy in reversed(self.pairs):
            shares.append(np.vdot(s, q) / sy)
            q -= shares[-1] * y
        q = self.scale * self.base.solve(q)
        for (s, y, sy), share in zip(self.pairs, reversed(shares), strict=True):
            q += (share - np.vdot(y, q) / sy) * s
        return q

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """The decrease of the model without shrinkage: see `Metric`."""
        if self.base.unshrunk is None:
            return 0.0
        slope = gradient + self.l2 * theta
        return 0.5 * float(np.vdot(slope, self.base.unshrunk.solve(slope)))

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step (D, K) to L-BFGS that changed the gradient of the loss part by `change` (D, K)."""
        y = change + self.l2 * step
        sy = float(np.vdot(step, y))
        if sy > CURVED * np.linalg.norm(step) * np.linalg.norm(y):
            self.pairs = [*self.pairs, (step, y, sy)][-MEMORY:]
            if not self.base.exact_near_minimum:  # only a Hessian has the right scale from the start
                self.scale = sy / float(np.vdot(y, self.base.solve(y)))
