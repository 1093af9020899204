"""Least squares in one pass: the loss is quadratic, so its value, gradient and Hessian at one point tell all of it.

What follows costs no pass over X, whatever the penalty and the number of targets.
"""

from __future__ import annotations

import numpy as np

from ..fit_cache import FitCache
from ..objective import Objective
from .curvature import Matrices

EPS = float(np.finfo(float).eps)
ROUNDING = 1e3 * EPS  # of the loss at the one point, that values elsewhere may carry


class LeastSquares(Objective):
    """The same objective as `objective`, of which it reads X once.

    Parameters
    ----------
    objective : Objective
        Of a quadratic loss: see `is_worthwhile`.
    """

    def __init__(self, objective: Objective) -> None:
        vars(self).update(vars(objective))
        self.cache = FitCache()  # what the sums say of a point, to rounding, is not what a pass says
        b = self.data.intercept_only_scores(self.loss) * self.coordinates.centred
        self.origin = self.coordinates.theta(np.zeros((self.d, self.K)), b)
        if objective.cache.squares is None:
            objective.cache.squares = objective.normal_equations(b)
        self.value, self.slope, self.H = objective.cache.squares

    def loss_part(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        step = theta - self.origin
        change = self.H @ step
        return self.value + float(np.vdot(step, self.slope + 0.5 * change)), self.slope + change

    def curvature(self, theta: np.ndarray, most_rows: int, diagonal: int = 0) -> np.ndarray:
        return self.H[None].copy()

    def resolves(self, tol: float, F: float, theta: np.ndarray) -> bool:
        """Whether F at theta is known to `tol` of it.

        Rounding is all that is left far below the loss of constant scores; or far below the products that it is the sum of,
        where large coefficients of nearly equal columns cancel.
        """
        step = np.abs(theta - self.origin)
        products = float(np.vdot(step, np.abs(self.H) @ step))
        return max(ROUNDING * self.value, EPS * products) <= tol * F


def is_worthwhile(objective: Objective) -> bool:
    """Whether the loss is quadratic and its Hessian is worth a pass."""
    return objective.loss.constant_curvature() and Matrices(objective, constant=False).worthwhile
