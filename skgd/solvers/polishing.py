"""Exact zeros after averaging: an average of sparse iterates is not sparse, and proximal steps on all rows make it so again."""

from __future__ import annotations

import numpy as np

from ..models.cost import HessianPlan
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import proximal_step
from . import gd
from .budget import Budget

HALVINGS = 10  # of the rate of the last step, until it does not raise the objective


def polish(objective: Objective, theta: np.ndarray, rate: float, epochs: int) -> tuple[np.ndarray, float]:
    """Make the zeros of theta exact.

    The first step is in the metric of the Hessian, an iteration of gd, where that costs no more passes than the epochs did.
    The second one is in the metric of the coordinates, where a step of this rate does not raise F.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (d + 1, K)
    rate : float
        Of the second step, at which it cannot overshoot by theory.
    epochs : int
        That the fit has made.

    Returns
    -------
    theta : ndarray of shape (d + 1, K)
    F : float
        The objective there.
    """
    if objective.loss.smooth() and HessianPlan(objective).passes <= epochs:
        theta = gd.descend(objective, theta, Budget(0.0, 1, History("gd"))).theta
    F, gradient = objective.evaluate(theta)
    for _ in range(HALVINGS):
        new = proximal_step(theta - rate * gradient, rate, objective.penalty)
        F_new, _ = objective.evaluate(new)
        if F_new <= F:
            return new, F_new
        rate *= 0.5
    return theta, F
