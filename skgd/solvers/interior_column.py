"""One column of scores in the interior-point method: its variables, its Newton systems and its lower bound.

With coefficients theta (D,) and scores z (n,), the objective of a column is

    constant + slope z + penalty_slope theta + l2 theta^2 / 2 + the ramps of rows and coefficients.

Dual variables p within their bounds are feasible for the dual problem if the gradient of the Lagrangian by theta is zero.  This
gradient is the dual residual.  Newton steps reduce it, and the lower bound of the minimum is corrected for it.
"""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..losses.ramps import SumOfRamps
from ..objective import Objective
from ..penalties import Penalty
from .certificates import GUESSED_SHARE, residual_cost
from .interior_ramps import RampGroup
from .interior_systems import NewtonSystem

# The measurements below are numbers of iterations, summed over 240 random fits.  These have four losses, five penalties, three
# tolerances and four shapes of X, with units and weights of many magnitudes.  With the values below they take 3206 iterations.

# mu at the start, in units of the mean |t| times the corresponding p.  With 1 the fits take 3544 iterations.
FIRST_MU = 5.0
# The least mean |t| in this unit, as a share of the natural size of a score.  It applies if the start is a non-smooth point of
# the losses of all rows.  Coefficients that must not be negative start at least as far from zero.
LEAST_DISTANCE = 0.1
# The share of the longest step that keeps all variables positive.  With 0.999 the fits take 3311 iterations.
FRACTION_TO_BOUNDARY = 0.99
# The complementarity that mu aims at is at least this share of the allowed gap.  Without this limit the fits take 3894
# iterations.
LEAST_COMPLEMENTARITY = 0.05
# An iteration makes progress if the bound rises, if the objective falls by the first share of the allowed gap, or if mu falls
# below the second share of its least value so far.  If every fall of mu counted as progress, the fits would take 4221
# iterations and reach no lower objective.
NOTICED_FALL, NOTICED_MU = 0.1, 0.9
# The gap is estimated only after steps of at least this share of the Newton direction.
LONG_STEP = 0.5
# The guessed distance of a coefficient from the minimum is at least so many times its change in the last direction.
REMAINING_DIRECTIONS = 10.0


class Column:
    """The problem of one column of scores.

    Parameters
    ----------
    objective : Objective
    k : int
        The number of the column.
    theta : ndarray of shape (D,)
        The coefficients at the start.
    z : ndarray of shape (n,)
        Their scores.

    Attributes
    ----------
    theta, z : ndarray
        The current coefficients (D,) and their scores (n,).
    best : ndarray of shape (D,)
        The coefficients with the lowest objective so far.
    F, bound : float
        The lowest objective and the largest lower bound of the minimum so far.
    allowed : float
        The column stops when its gap F - bound is at most this.
    estimate : float
        The smallest estimate of the gap so far: see `_estimate_gap`.
    idle : int
        The number of iterations since the last progress.
    """

    def __init__(self, objective: Objective, k: int, theta: np.ndarray, z: np.ndarray) -> None:
        self.theta, self.z, self.d = theta, z, np.zeros_like(theta)
        self.weight, self.l2 = objective.table.s / objective.n, objective.penalty.l2
        self.score_scale = float(objective.score_scale()[k])
        pieces = objective.loss.conjugate().as_ramps(objective.table.Y[k])
        self.slope, self.constant = self.weight * pieces.slope, float(np.sum(self.weight * pieces.constant))
        self.non_smooth = np.flatnonzero(objective.penalty.non_smooth)
        self.penalty_slope = np.zeros(len(theta))
        self.row_ramps, mu = self._ramps_of_rows(pieces)
        self.coefficient_ramps = self._ramps_of_coefficients(objective.penalty.of(self.non_smooth), mu)
        self.ramps = self.row_ramps + self.coefficient_ramps
        self.mu_weight = sum(group.mu_weight for group in self.ramps)
        self.best, self.F, self.bound, self.allowed, self.estimate = theta, np.inf, -np.inf, 0.0, np.inf
        self.idle, self.least_mu, self.last_mu, self.step = 0, np.inf, np.inf, 0.0

    def _ramps_of_rows(self, pieces: SumOfRamps) -> tuple[list[RampGroup], float]:
        """A group for each ramp of the loss, and the mu at the start."""
        n, smoothing = len(self.z), pieces.smoothing
        arguments = [
            (np.ascontiguousarray(np.broadcast_to(np.asarray(sign, dtype=float), n)), sign * self.z + offset)
            for sign, offset in pieces.ramps
        ]
        distance = max(float(np.mean([self.weight @ np.abs(t) for _, t in arguments])), LEAST_DISTANCE * self.score_scale)
        mu = FIRST_MU * distance * (min(pieces.max_slope, distance / smoothing) if smoothing > 0.0 else pieces.max_slope)
        upper = np.full(n, pieces.max_slope)
        return [RampGroup(self.weight, sign, t, upper, mu, smoothing=smoothing) for sign, t in arguments], mu

    def _ramps_of_coefficients(self, penalty: Penalty, mu: float) -> list[RampGroup]:
        """A group for the coefficients whose penalty is not smooth; it also sets `penalty_slope`.

        A penalty with the slopes lower and upper is lower w plus the ramp (upper - lower) max(0, w).  If negative coefficients
        are ruled out, it is upper w plus a ramp of -w whose p has no upper bound, so that -w stays negative.
        """
        if len(self.non_smooth) == 0:
            return []
        nonnegative = np.isneginf(penalty.lower)
        sign = np.where(nonnegative, -1.0, 1.0)
        self.penalty_slope[self.non_smooth] = np.where(nonnegative, penalty.upper, penalty.lower)
        upper, ones = np.where(nonnegative, np.inf, penalty.upper - penalty.lower), np.ones(len(sign))
        return [RampGroup(ones, sign, sign * self.theta[self.non_smooth], upper, mu / len(self.theta), 1.0 / len(sign))]

    # ------------------------------------------------------------ the Newton steps
    def newton_system(self, mu: float) -> NewtonSystem:
        """The optimality conditions with the barrier parameter mu, linearised at the current point."""
        rows, coefficients = np.zeros((2, len(self.z))), np.zeros((2, len(self.theta)))
        for group in self.row_ramps:
            rows += group.linearise(mu)
        for group in self.coefficient_ramps:
            coefficients[:, self.non_smooth] += group.linearise(mu)
        return NewtonSystem(rows[0], coefficients[0] + self.l2, rows[1], coefficients[1] - self.residual)

    def set_direction(self, d: np.ndarray, dz: np.ndarray, mu: float) -> float:
        """Set the direction of theta to d (D,), which changes the scores by dz (n,).  Returns the longest step, at most 1."""
        self.d, self.dz = d, dz
        changes = [dz] * len(self.row_ramps) + [d[self.non_smooth]] * len(self.coefficient_ramps)
        results = [group.set_direction(change, mu) for group, change in zip(self.ramps, changes, strict=True)]
        steps, linear, quadratic = zip(*results, strict=True)
        self.linear, self.quadratic = sum(linear), sum(quadratic)
        return min(steps)

    @property
    def mu(self) -> float:
        """The barrier parameter of the current point: the mean of all products of complementary variables."""
        return sum(group.complementarity() for group in self.ramps) / self.mu_weight

    def corrector_mu(self, step: float) -> float:
        """The mu that the corrector aims at, given the longest step of the predictor: Mehrotra's (mu_predicted / mu)^3 mu."""
        mu = self.mu
        predicted = mu + (step * self.linear + step * step * self.quadratic) / self.mu_weight
        least = LEAST_COMPLEMENTARITY * self.allowed / self.mu_weight
        return max(mu * min(max(predicted / mu, 0.0), 1.0) ** 3, min(least, mu))

    def advance(self, longest: float) -> None:
        """Make a step along the direction: a full one if all variables stay positive, else nearly to the boundary."""
        self.step = step = FRACTION_TO_BOUNDARY * longest if longest < 1.0 else 1.0
        self.theta = self.theta + step * self.d
        self.z = self.z + step * self.dz
        for group in self.ramps:
            group.advance(step)

    # ------------------------------------------------------------ objective and bound
    def row_derivatives(self) -> np.ndarray:
        """The derivatives (n,) of the objective by the scores, computed from the dual variables."""
        return self.slope + sum(group.derivatives() for group in self.row_ramps)

    def update(self, gradient: np.ndarray) -> None:
        """Update objective, bound and estimate at a new point, given the gradient (D,) made of `row_derivatives`."""
        self.residual = gradient + self.l2 * self.theta + self.penalty_slope
        for group in self.coefficient_ramps:
            self.residual[self.non_smooth] += group.derivatives()
        F = self.constant + float(self.slope @ self.z) + 0.5 * float(self.l2 @ self.theta**2)
        F += float(self.penalty_slope @ self.theta)
        values, dual_values = (sum(values) for values in zip(*(group.values() for group in self.ramps), strict=True))
        mu, (lost, guessed) = self.mu, self._infeasibility_cost()
        self.idle += 1
        if mu < NOTICED_MU * self.least_mu:
            self.least_mu, self.idle = mu, 0
        if F + dual_values - lost > self.bound and guessed <= GUESSED_SHARE * self.allowed:
            self.bound, self.idle = F + dual_values - lost, 0
        fall = max(self.F - F - values, 0.0)
        if fall > 0.0:
            self.best, self.F = self.theta.copy(), F + values
        if fall > NOTICED_FALL * self.allowed:
            self.idle = 0
        if self.step >= LONG_STEP:
            self._estimate_gap(values - dual_values, fall, mu)
        self.last_mu = mu

    def _estimate_gap(self, complementarity_gap: float, fall: float, mu: float) -> None:
        """Estimate the gap after a long step, for columns whose bound is spoilt by rounding errors or inexact solutions.

        The estimate is the sum of three terms: the difference of the ramps and their dual values, the next fall of the
        objective if it falls in proportion to mu, and the product of the dual residual and the last direction.
        """
        falls_on = min(fall, self.F) * min(mu / self.last_mu, 1.0)
        estimate = complementarity_gap + falls_on + float(np.abs(self.residual) @ np.abs(self.d))
        self.estimate = min(self.estimate, estimate)

    def _infeasibility_cost(self) -> tuple[float, float]:
        """By how much the dual residual lowers the bound, and the part of this number that is a guess.

        The dual variables of non-smooth penalties are first changed, within their bounds, so that the residual is small.
        """
        residual, gained = self.residual.copy(), 0.0
        for group in self.coefficient_ramps:
            moved = np.clip(group.p - group.sign * residual[self.non_smooth], 0.0, group.upper) - group.p
            residual[self.non_smooth] += group.sign * moved
            gained += float(moved @ group.ramps.t)
        lost, guessed = self.residual_cost(residual)
        return lost - gained, guessed

    def residual_cost(self, residual: np.ndarray) -> tuple[float, float]:
        """By how much this dual residual (D,) lowers the bound, and the part of this number that is a guess.

        See `certificates.residual_cost`.  The guessed distance of a coefficient from the minimum is the largest of its own
        size, the natural size of a score, and `REMAINING_DIRECTIONS` times its last direction.
        """
        return residual_cost(
            residual,
            self.l2,
            np.maximum(np.maximum(np.abs(self.theta), self.score_scale), REMAINING_DIRECTIONS * np.abs(self.d)),
        )

    def with_zeros(self, share: float) -> np.ndarray:
        """The best coefficients (D,), with small ones set to zero: fewer of them if `share` is smaller.

        At the minimum, one of two complementary variables is zero.  So a coefficient is set to zero if it is small in
        comparison to the distance of its dual variable from the bounds.
        """
        theta = self.best.copy()
        for group in self.coefficient_ramps:
            here, bounded = theta[self.non_smooth], group.bounded
            width = np.where(bounded, group.upper, np.maximum(group.p, TINY))
            distance = np.where(bounded, np.minimum(group.p, group.upper - group.p), group.p) / width
            small = np.abs(here) <= share * distance * np.abs(theta[:-1]).max()
            ruled_out = (group.sign < 0.0) & (here < 0.0)
            theta[self.non_smooth] = np.where(small | ruled_out, 0.0, here)
        return theta
