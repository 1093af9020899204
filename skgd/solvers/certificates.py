"""Upper bounds of the gap F - F* by duality, and estimates of it by Newton steps on all rows.

At any point theta, the derivatives of a smooth loss by the scores are feasible variables of the dual problem.  Therefore

    F - F*  <=  penalty(theta) + penalty*(-gradient) + gradient theta,

where penalty* is the convex conjugate of the penalty (Fenchel duality; Boyd and Vandenberghe, 2004, section 5.1.6).  For an L2
penalty alone the bound is |gradient of F|^2 / (2 l2).  It is much larger than the gap far from the minimum, and close to it
after one more Newton step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..constants import ZERO
from ..objective import Objective
from ..penalties import Penalty, penalty_value

# Conjugate gradients end once this many iterations together gained less than this share of all that was gained.
LOOK_BACK, LITTLE = 3, 0.01
# of conjugate gradients; if they need more, their step is a good step of the descent, which is far from its end
MAX_ITERATIONS = 30
GUESSED_SHARE = 1e-2  # the largest share of a gap that may be a guess if the gap is to count as proven
DIFFERENCE_LENGTH = 1e-4  # the length of the steps between gradients whose difference replaces a product with the Hessian


def residual_cost(residual: np.ndarray, l2: np.ndarray, distance: np.ndarray) -> tuple[float, float]:
    """By how much residuals of the dual constraints lower the dual value, and the part of this number that is a guess.

    With an L2 penalty a residual r costs r^2 / (2 l2).  Without one, dual variables with a residual are not feasible, but
    rounding errors leave residuals everywhere.  Their cost is guessed: |r| times the `distance` of the coefficient from the
    minimum.  Each residual is charged the smaller of both costs.
    """
    square = np.divide(residual**2, 2.0 * l2, out=np.full_like(residual, np.inf), where=l2 > 0.0)
    guess = np.abs(residual) * distance
    return float(np.minimum(square, guess).sum()), float(guess[guess < square].sum())


def gap_bound(theta: np.ndarray, gradient: np.ndarray, penalty: Penalty, unit: np.ndarray) -> tuple[float, float]:
    """The upper bound of F - F*, and the part of it that is a guess: see `residual_cost`.

    Parameters
    ----------
    theta, gradient : ndarray of shape (D, K)
        The point, and the gradient of the loss part there.
    penalty : Penalty
        The penalty on the D coefficients.
    unit : ndarray of shape (K,)
        The natural size of each column of scores.
    """
    lower, upper, l2 = (np.broadcast_to(weights[:, None], theta.shape) for weights in penalty)
    beyond = np.maximum(-gradient - upper, 0.0) - np.maximum(lower + gradient, 0.0)
    conjugate, guessed = residual_cost(beyond, l2, np.maximum(np.abs(theta), unit))
    return max(penalty_value(theta, penalty) + conjugate + float(np.vdot(gradient, theta)), 0.0), guessed


def proven_gap(objective: Objective, theta: np.ndarray, gradient: np.ndarray, limit: float) -> float | None:
    """The upper bound of F - F* if it is at most `limit` and hardly any of it is a guess, else None."""
    bound, guessed = gap_bound(theta, gradient, objective.penalty, objective.score_scale())
    return bound if bound <= limit and guessed <= GUESSED_SHARE * limit else None


class Rounding:
    """The rounding error of objectives: a tiny share of the objective of the intercept-only model.

    Parameters
    ----------
    objective : Objective
    start : float
        F where the fit starts.

    Notes
    -----
    The objective of the intercept-only model costs a pass over X.  It is computed only for a value that is tiny relative to the
    start.
    """

    def __init__(self, objective: Objective, start: float) -> None:
        self.objective, self.start = objective, start

    def below(self, F: float) -> float:
        """A bound such that F is zero up to rounding errors if it is at or below it.

        The bound is only as tight as is needed to compare it with this F.
        """
        if self.objective.loss.constant_curvature():  # the sums of squares of the intercept-only model are subtracted
            return 0.5 * ZERO * float(self.objective.data.target_moments().variance.sum())
        floor = ZERO * self.start
        return floor if F > floor else min(floor, ZERO * self.objective.intercept_only_value)


def newton_direction(
    objective: Objective,
    theta: np.ndarray,
    slope: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    enough: float,
    max_iter: int = MAX_ITERATIONS,
) -> tuple[np.ndarray, float, bool]:
    """The Newton step with the Hessian of all rows, by conjugate gradients, and the decrease of the quadratic model.

    The last result says whether little is left to gain, so that this is nearly the decrease to the minimum of the model.

    Parameters
    ----------
    objective : Objective
        Its loss and its penalty must be smooth.
    theta, slope : ndarray of shape (D, K)
        The point, and the gradient of F there.
    precondition : callable
        Multiplies by an approximate inverse Hessian, such as a corrected diagonal (Morales and Nocedal, 2000).
    enough : float
        A decrease in the unit of F.  The iteration ends when the last `LOOK_BACK` iterations gained less than the share
        `LITTLE` of the whole gain, or of `enough` if it is larger.
    max_iter : int
        The largest number of iterations of conjugate gradients.  Each costs as much as `curvature_product` states.
    """
    product = curvature_product(objective, theta)
    x, r, gains, complete = np.zeros_like(theta), -slope, [], False
    direction = z = precondition(r)
    for _ in range(max_iter):
        H, rz = product(direction), float(np.vdot(r, z))
        curved = float(np.vdot(direction, H))
        if not (curved > 0.0 and rz > 0.0):
            break
        x, r = x + (rz / curved) * direction, r - (rz / curved) * H
        gains.append(0.5 * rz * rz / curved)
        complete = len(gains) >= LOOK_BACK and sum(gains[-LOOK_BACK:]) <= LITTLE * max(sum(gains), enough)
        if complete:
            break
        z = precondition(r)
        direction = z + (float(np.vdot(r, z)) / rz) * direction
    return x, sum(gains), complete


def curvature_product(objective: Objective, theta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that multiplies directions (D, K) by the Hessian of F at theta, including the L2 penalty.

    If the columns of scores are independent and X is in memory, the second derivatives (K, n) are kept.  A product then costs
    as much as one pass over X.  Otherwise it is the difference of gradients at two points, and costs two passes.
    """
    l2, coordinates = objective.penalty.l2[:, None], objective.coordinates
    objective = objective.with_own_curvature()
    if objective.in_memory and not objective.loss.coupled():
        table = objective.table
        c = table.row_curvatures(objective.loss, *coordinates.raw(theta)) / objective.n
        return lambda v: coordinates.gradient(table.transposed(c * table.scores(*coordinates.raw(v)))) + l2 * v

    def differenced(v: np.ndarray) -> np.ndarray:
        size = float(np.linalg.norm(v))
        if size == 0.0:
            return np.zeros_like(v)
        step = DIFFERENCE_LENGTH / size
        ahead, behind = (objective.loss_parts(theta + sign * step * v)[1] for sign in (1.0, -1.0))
        return (ahead - behind) / (2.0 * step) + l2 * v

    return differenced
