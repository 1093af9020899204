"""Least squares in one pass: the value, gradient and Hessian of a quadratic loss at one point determine it everywhere.

After this pass a fit needs no further pass over X, whatever the penalty and the number of targets.
"""

from __future__ import annotations

import numpy as np

from ..constants import EPS
from ..fit_cache import FitCache
from ..objective import Objective
from .cost import HessianPlan

# The rounding error of values at other points, relative to the loss at the one point.
ROUNDING_OF_VALUES = 1e3 * EPS


class LeastSquares(Objective):
    """The same objective as `objective`, computed from sums over rows that cost one pass over X.

    Parameters
    ----------
    objective : Objective
        Its loss must be quadratic: see `is_worthwhile`.

    Attributes
    ----------
    origin : ndarray of shape (D, K)
        The intercept-only model, at which the sums are computed.
    value, slope, H : float, ndarray of shape (D, K), ndarray of shape (D, D)
        The value, gradient and Hessian of the loss part there.
    """

    def __init__(self, objective: Objective) -> None:
        vars(self).update(vars(objective))
        self.cache = FitCache()  # not shared: values from the sums have larger rounding errors than values from a pass
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
        """The Hessian (1, D, D), which all columns of scores share.  No pass over X."""
        return self.H[None].copy()

    def resolves(self, tol: float, F: float, theta: np.ndarray) -> bool:
        """Whether the rounding error of F at theta is at most the share `tol` of F.

        The error has two parts.  One is proportional to the loss of the intercept-only model, where the sums are computed.  The
        other one is proportional to the products that F is the sum of: these are large, and cancel, where nearly equal columns
        have large coefficients.
        """
        step = np.abs(theta - self.origin)
        products = float(np.vdot(step, np.abs(self.H) @ step))
        return max(ROUNDING_OF_VALUES * self.value, EPS * products) <= tol * F


def is_worthwhile(objective: Objective) -> bool:
    """Whether the loss is quadratic and its Hessian is worth its cost."""
    return objective.loss.constant_curvature() and HessianPlan(objective).worthwhile
