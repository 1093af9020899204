"""Proximal steps on all rows after averaging.

Iterates with an L1 penalty have exact zeros, but their average has none.  Proximal steps on all rows restore the zeros.
"""

from __future__ import annotations

import numpy as np

from ..models.cost import HessianPlan
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import proximal_step
from . import gd
from .budget import Budget

HALVINGS = 10  # The rate of the last step is halved at most so many times, until the step does not raise the objective.


def polish(objective: Objective, theta: np.ndarray, rate: float, epochs: int) -> tuple[np.ndarray, float]:
    """Make proximal steps on all rows, so that small coefficients become exactly zero.

    The first step is an iteration of gd with the Hessian.  It is made only if the Hessian costs no more passes than the epochs
    did.  The second one is a proximal gradient step.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (d + 1, K)
    rate : float
        The rate of the proximal gradient step.  In exact arithmetic a step of this rate cannot raise F.
    epochs : int
        The number of epochs that the fit has made.

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
