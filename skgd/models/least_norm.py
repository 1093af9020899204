"""Coefficients of least norm: where columns of X depend on one another, least squares without a penalty has many minimisers.

The one wanted is that of scikit-learn's `LinearRegression`, whose W, in the units of X, is orthogonal to every direction
that the centred X maps to zero.  These are known where the Gram matrix of the columns was decomposed, as it could not be
inverted.  (With fewer rows than columns, see `row_space`.)
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la

from ..objective import Objective

EPS = float(np.finfo(float).eps)
RESOLVED = 1e-10  # length of W along a direction, relative to the longest, that rounding still tells from none


def matters(objective: Objective) -> bool:
    """Whether there may be many minimisers, of which one is the shortest: of a quadratic loss, with nothing penalised."""
    return objective.loss.constant_curvature() and objective.unpenalised


def shortened(objective: Objective, theta: np.ndarray, null: np.ndarray, tol: float) -> np.ndarray:
    """theta less the combination of directions `null` (d + 1, m) that comes nearest to its W.

    Directions whose curvature is small, but not zero, are not taken from it where that costs more than half of `tol`.
    """
    if null.shape[1] == 0:
        return theta
    scale = objective.coordinates.scale[:-1, None]
    shorter = theta - null @ la.lstsq(scale * null[:-1], scale * theta[:-1], cond=RESOLVED, check_finite=False)[0]
    bound = (1.0 + 0.5 * tol) * objective.evaluate(theta)[0] + 8.0 * EPS * objective.data.target_moments().variance.sum()
    return shorter if objective.evaluate(shorter)[0] <= bound else theta
