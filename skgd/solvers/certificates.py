"""How far a point is from the minimum: bounds that duality gives, and estimates by a model of all rows.

Of a smooth loss, the derivatives by the scores at a point are variables of the dual problem, whatever the point is.  So

    F - F*  <=  penalty(theta) + penalty*(-gradient) + gradient theta,

with penalty* the convex conjugate of the penalty (Fenchel's duality; Boyd and Vandenberghe, 2004, section 5.1.6).  For an L2
penalty alone that is |gradient of F|^2 / (2 l2): loose far from the minimum, and tight after one more step of Newton's method.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..objective import Objective
from ..penalties import Penalty, penalty_value

EPS = float(np.finfo(float).eps)
LOOK_BACK, LITTLE = 3, 0.01  # iterations of conjugate gradients whose share of all that was gained ends them
MOST = 30  # of these iterations: where more are needed, the step is one on the way
NEGLIGIBLE = 1e-2  # share of a gap that may be a guess
NUDGE = 1e-4  # change of scores over which gradients are differenced


def price(residual: np.ndarray, l2: np.ndarray, far: np.ndarray) -> tuple[float, float]:
    """What a bound loses because dual variables leave this residual of the gradient, and the part of that which is a guess.

    An L2 penalty takes up a residual at the price of its square.  Where there is none, nothing does.  But rounding leaves
    residuals everywhere: their price is guessed to be that of a coefficient which moves by `far`.
    """
    square = np.divide(residual**2, 2.0 * l2, out=np.full_like(residual, np.inf), where=l2 > 0.0)
    guess = np.abs(residual) * far
    return float(np.minimum(square, guess).sum()), float(guess[guess < square].sum())


def imbalance(theta: np.ndarray, gradient: np.ndarray, penalty: Penalty, unit: np.ndarray) -> tuple[float, float]:
    """The bound of F - F* above, given the gradient (D, K) of the loss at theta (D, K), and the part of it that is a guess.

    `unit` (K,) is the natural size of each column's scores.
    """
    lower, upper, l2 = (np.broadcast_to(weights[:, None], theta.shape) for weights in penalty)
    beyond = np.maximum(-gradient - upper, 0.0) - np.maximum(lower + gradient, 0.0)
    conjugate, guessed = price(beyond, l2, np.maximum(np.abs(theta), unit))
    return max(penalty_value(theta, penalty) + conjugate + float(np.vdot(gradient, theta)), 0.0), guessed


def proves(objective: Objective, theta: np.ndarray, gradient: np.ndarray, most: float) -> float | None:
    """The bound of F - F*, if it is at most `most` and true but for rounding."""
    bound, guessed = imbalance(theta, gradient, objective.penalty, objective.score_scale())
    return bound if bound <= most and guessed <= NEGLIGIBLE * most else None


class Rounding:
    """What an objective is that is zero but for rounding: a tiny share of that of the best constants.

    A start that is worse than these says nothing of rounding; so a value that is tiny beside it is compared with the
    constants, which costs a pass over X.
    """

    def __init__(self, objective: Objective, start: float) -> None:
        self.objective, self.start = objective, start

    def below(self, F: float) -> float:
        """The largest objective that is zero, as far as F needs to know."""
        floor = 8.0 * EPS * self.start
        if self.objective.loss.constant_curvature():  # sums of squares cancel: their rounding is that of the best constants'
            return 4.0 * EPS * float(self.objective.data.target_moments().variance.sum())
        return floor if F > floor else min(floor, 8.0 * EPS * self.objective.intercept_only_value)


def newton_direction(
    objective: Objective,
    theta: np.ndarray,
    slope: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    enough: float,
    most: int = MOST,
) -> tuple[np.ndarray, float]:
    """The step to the minimum of a quadratic model of all rows, and its decrease; nothing but L2 may be penalised.

    Conjugate gradients, preconditioned by a metric that sampled or remembered curvature (Morales and Nocedal, 2000).  They end
    where the last few iterations gained little of what all did, or of what is `enough`, or after `most` of them.
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
    """Products of the Hessian of F at theta, its L2 penalty included, with directions (D, K).

    Columns of scores that are independent have a second derivative for each row, which are kept.  Elsewhere gradients at two
    near points are differenced.
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
