"""The minimiser of least norm, for least squares without a penalty.

If the columns of X are linearly dependent, least squares has many minimisers.  Like scikit-learn's `LinearRegression`, a fit
returns the one whose raw coefficients W have the least norm: W is orthogonal to every direction that the centred X maps to
zero.  The factorisation of the Gram matrix finds these directions (`factorisation.factor`).  If X has fewer rows than columns,
`row_space` finds the minimiser instead.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la

from ..constants import ZERO
from ..objective import Objective

RESOLVED = 1e-10  # Singular values of the directions in raw coefficients, below this share of the largest, are rounding errors.


def matters(objective: Objective) -> bool:
    """Whether there may be many minimisers: the loss is a squared error and nothing is penalised."""
    return objective.loss.constant_curvature() and objective.unpenalised


def shortened(objective: Objective, theta: np.ndarray, null: np.ndarray, tol: float) -> np.ndarray:
    """theta (d + 1, K) without its part along directions that do not change the scores.  Up to two passes over X.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (d + 1, K)
    null : ndarray of shape (d + 1, m)
        A basis of the directions that the Gram matrix maps to zero, up to rounding errors.
    tol : float
        The relative gap that is allowed.  Some of the directions may have a tiny curvature.  If removing them raises the
        objective by more than half of `tol`, theta is returned unchanged.
    """
    if null.shape[1] == 0:
        return theta
    scale = objective.coordinates.scale[:-1, None]
    shorter = theta - null @ la.lstsq(scale * null[:-1], scale * theta[:-1], cond=RESOLVED, check_finite=False)[0]
    bound = (1.0 + 0.5 * tol) * objective.evaluate(theta)[0] + ZERO * objective.data.target_moments().variance.sum()
    return shorter if objective.evaluate(shorter)[0] <= bound else theta
