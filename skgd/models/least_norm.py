"""Coefficients of least norm, where least squares without a penalty has many minimisers: columns of X depend on one another.

The minimiser that is returned is the one of scikit-learn's `LinearRegression`.  Its W, in the units of X, is orthogonal to
every direction that the centred X maps to zero.  The factorisation of the Gram matrix finds these directions when it cannot
invert that matrix.  (With fewer rows than columns, see `row_space`.)
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la

from ..constants import ZERO
from ..objective import Objective

RESOLVED = 1e-10  # The length of W along a direction, relative to the longest, below which it is rounding.


def matters(objective: Objective) -> bool:
    """Whether there may be many minimisers: the loss is quadratic and nothing is penalised."""
    return objective.loss.constant_curvature() and objective.unpenalised


def shortened(objective: Objective, theta: np.ndarray, null: np.ndarray, tol: float) -> np.ndarray:
    """theta (d + 1, K) without its part along directions that X does not see; up to two passes over X.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (d + 1, K)
    null : ndarray of shape (d + 1, m)
        A basis of the directions along which the Gram matrix has no curvature that arithmetic shows.
    tol : float
        The relative gap of the fit.  Curvature that is tiny, but not zero, may be among the directions.  If going along them
        costs more than half of `tol`, theta is returned as it is.
    """
    if null.shape[1] == 0:
        return theta
    scale = objective.coordinates.scale[:-1, None]
    shorter = theta - null @ la.lstsq(scale * null[:-1], scale * theta[:-1], cond=RESOLVED, check_finite=False)[0]
    bound = (1.0 + 0.5 * tol) * objective.evaluate(theta)[0] + ZERO * objective.data.target_moments().variance.sum()
    return shorter if objective.evaluate(shorter)[0] <= bound else theta
