"""How far a point is from the minimum: bounds that duality gives, and estimates by a quadratic model of all rows.

The derivatives of a smooth loss by the scores are variables of the dual problem, at any point theta.  So

    F - F*  <=  penalty(theta) + penalty*(-gradient) + gradient theta,

where penalty* is the convex conjugate of the penalty (Fenchel's duality; Boyd and Vandenberghe, 2004, section 5.1.6).  For an
L2 penalty alone the bound is |gradient of F|^2 / (2 l2): loose far from the minimum, and tight after one more step of Newton's
method.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..constants import ZERO
from ..objective import Objective
from ..penalties import Penalty, penalty_value

# Conjugate gradients end once this many iterations together gained less than this share of all that was gained.
LOOK_BACK, LITTLE = 3, 0.01
MOST = 30  # iterations of conjugate gradients: if more are needed, the descent is still on its way, and so is the step
NEGLIGIBLE = 1e-2  # the share of a gap that may be a guess
NUDGE = 1e-4  # the length of the steps over which gradients are differenced


def price(residual: np.ndarray, l2: np.ndarray, far: np.ndarray) -> tuple[float, float]:
    """What a bound loses because dual variables leave this residual of the gradient, and which part of that is a guess.

    An L2 penalty takes up a residual r at the price of r^2 / (2 l2).  Without a penalty no residual is allowed, but rounding
    leaves residuals everywhere.  Their price is guessed: |r| times `far`, how far the coefficient may still move.
    """
    square = np.divide(residual**2, 2.0 * l2, out=np.full_like(residual, np.inf), where=l2 > 0.0)
    guess = np.abs(residual) * far
    return float(np.minimum(square, guess).sum()), float(guess[guess < square].sum())


def gap_bound(theta: np.ndarray, gradient: np.ndarray, penalty: Penalty, unit: np.ndarray) -> tuple[float, float]:
    """The bound of F - F*, and which part of it is a guess.

    Parameters
    ----------
    theta, gradient : ndarray of shape (D, K)
        The point, and the gradient of the loss part there.
    penalty : Penalty
        On the D coefficients.
    unit : ndarray of shape (K,)
        The natural size of each column's scores.
    """
    lower, upper, l2 = (np.broadcast_to(weights[:, None], theta.shape) for weights in penalty)
    beyond = np.maximum(-gradient - upper, 0.0) - np.maximum(lower + gradient, 0.0)
    conjugate, guessed = price(beyond, l2, np.maximum(np.abs(theta), unit))
    return max(penalty_value(theta, penalty) + conjugate + float(np.vdot(gradient, theta)), 0.0), guessed


def proven_gap(objective: Objective, theta: np.ndarray, gradient: np.ndarray, most: float) -> float | None:
    """The bound of F - F*, if it is at most `most` and true but for rounding; else None."""
    bound, guessed = gap_bound(theta, gradient, objective.penalty, objective.score_scale())
    return bound if bound <= most and guessed <= NEGLIGIBLE * most else None


class Rounding:
    """Which objectives are zero but for rounding: a tiny share of the objective of the best constant scores.

    Parameters
    ----------
    objective : Objective
    start : float
        F where the fit starts.

    Notes
    -----
    The objective of the constants costs a pass over X, so a value is first compared with the start.  A start that is worse
    than the constants says nothing of rounding: only a value that is tiny beside it is compared with the constants as well.
    """

    def __init__(self, objective: Objective, start: float) -> None:
        self.objective, self.start = objective, start

    def below(self, F: float) -> float:
        """The largest objective that is zero but for rounding, as precisely as needed to tell whether F is."""
        if self.objective.loss.constant_curvature():  # sums of squares cancel, so they carry the rounding of the constants'
            return 0.5 * ZERO * float(self.objective.data.target_moments().variance.sum())
        floor = ZERO * self.start
        return floor if F > floor else min(floor, ZERO * self.objective.intercept_only_value)


def newton_direction(
    objective: Objective,
    theta: np.ndarray,
    slope: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    enough: float,
    most: int = MOST,
) -> tuple[np.ndarray, float]:
    """The step to the minimum of a quadratic model of all rows, and the decrease of that model.

    Parameters
    ----------
    objective : Objective
        Without kinks, in the loss or in the penalty.
    theta, slope : ndarray of shape (D, K)
        The point, and the gradient of F there.
    precondition : callable
        Multiplies by an approximate inverse Hessian.  It is a metric whose curvature is a diagonal, sampled, or corrected by
        past steps (Morales and Nocedal, 2000).
    enough : float
        A decrease in the unit of F.  The method ends where the last iterations gained little of what all did, or of this.
    most : int
        The largest number of iterations of conjugate gradients.
    """
    product = curvature_product(objective, theta)
    x, r, gains = np.zeros_like(theta), -slope, []
    direction = z = precondition(r)
    for _ in range(most):
        H, rz = product(direction), float(np.vdot(r, z))
        curved = float(np.vdot(direction, H))
        if not (curved > 0.0 and rz > 0.0):
            break
        x, r = x + (rz / curved) * direction, r - (rz / curved) * H
        gains.append(0.5 * rz * rz / curved)
        if len(gains) >= LOOK_BACK and sum(gains[-LOOK_BACK:]) <= LITTLE * max(sum(gains), enough):
            break
        z = precondition(r)
        direction = z + (float(np.vdot(r, z)) / rz) * direction
    return x, sum(gains)


def curvature_product(objective: Objective, theta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that multiplies the Hessian of F at theta, its L2 penalty included, by directions (D, K).

    Independent columns have one second derivative for each row and column, which are kept.  Then a product costs two passes
    that do half the work.  Elsewhere gradients at two near points are differenced, for two passes.
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
        step = NUDGE / size
        ahead, behind = (objective.loss_parts(theta + sign * step * v)[1] for sign in (1.0, -1.0))
        return (ahead - behind) / (2.0 * step) + l2 * v

    return differenced
