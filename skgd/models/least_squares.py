"""Least squares in one pass: the loss is quadratic, so its value, gradient and Hessian at one point tell all of it.

Everything after that pass costs no pass over X, whatever the penalty and the number of targets.
"""

from __future__ import annotations

import numpy as np

from ..constants import EPS
from ..fit_cache import FitCache
from ..objective import Objective
from .cost import HessianPlan

# The rounding that values elsewhere may carry, relative to the loss at the one point.
ROUNDING_OF_VALUES = 1e3 * EPS


class LeastSquares(Objective):
    """The same objective as `objective`, from sums that are made by one pass over X.

    Parameters
    ----------
    objective : Objective
        Of a quadratic loss: see `is_worthwhile`.
    """

    def __init__(self, objective: Objective) -> None:
        vars(self).update(vars(objective))
        self.cache = FitCache()  # what the sums say of a point is rounded more than what a pass says
        b = self.data.intercept_only_scores(self.loss) * self.coordinates.centred
        self.origin = self.coordinates.theta(np.zeros((self.d, self.K)), b)
        if objective.cache.squares is None:
            objective.cache.squares = objective.normal_equations(b)
        self.value, self.slope, self.H = objective.cache.squares

    def loss_part(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss part of F(theta), and its gradient (d + 1, K).  No pass over X."""
        step = theta - self.origin
        change = self.H @ step
        return self.value + float(np.vdot(step, self.slope + 0.5 * change)), self.slope + change

    def curvature(self, theta: np.ndarray, max_rows: int, diagonal_blocks: int = 0) -> np.ndarray:
        """The Hessian (1, D, D), which all columns share.  No pass over X."""
        return self.H[None].copy()

    def resolves(self, tol: float, F: float, theta: np.ndarray) -> bool:
        """Whether F at theta is known to `tol` of it.

        Sums of squares carry rounding relative to the loss of constant scores, so an F far below that is not known.  F is not
        known either if it is far below the products that it is the sum of: large coefficients of nearly equal columns cancel.
        """
        step = np.abs(theta - self.origin)
        products = float(np.vdot(step, np.abs(self.H) @ step))
        return max(ROUNDING_OF_VALUES * self.value, EPS * products) <= tol * F


def is_worthwhile(objective: Objective) -> bool:
    """Whether the loss is quadratic and its Hessian is worth its cost."""
    return objective.loss.constant_curvature() and HessianPlan(objective).worthwhile
