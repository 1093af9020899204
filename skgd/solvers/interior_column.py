"""One column of scores in the interior-point method: its point, its Newton systems, its bounds and what is left of its gap.

The objective of a column is, at coefficients theta of scores z,

    constant + slope z + penalty_slope theta + l2 theta^2 / 2 + the ramps of rows and coefficients.

Any p within their bounds are feasible for the dual problem once the gradient that they make is balanced by the penalty.  What
is left of it is the dual residual, which Newton's steps remove; the lower bound is corrected for it.
"""

from __future__ import annotations

import numpy as np

from ..losses.protocol import PiecewiseLoss
from ..losses.ramps import SumOfRamps
from ..objective import Objective
from ..penalties import Penalty
from .certificates import NEGLIGIBLE, price
from .interior_ramps import RampGroup
from .interior_systems import NewtonSystem

TINY = float(np.finfo(float).tiny)
# Numbers of iterations below are sums over 240 random fits: four losses, five penalties, three tolerances and four shapes of
# X, with units and weights of many magnitudes.  With the values below they are 3206.

# mu at the start, in units of the mean |t| times its p; with 1, nearer to the boundary, 3544 iterations.
FIRST_MU = 5.0
# Least mean |t| that FIRST_MU is multiplied by, as a share of the natural size of a score.  It matters where a given start is
# a non-smooth point of all rows.  Coefficients that must not be negative begin at least as far from zero.
LEAST_DISTANCE = 0.1
# Share of the longest step that keeps all variables positive, the fraction to the boundary; with 0.999, 3311 iterations.
FRACTION_TO_BOUNDARY = 0.99
# mu falls no lower than where complementarity is this share of the allowed gap; without this limit, 3894 iterations.
LEAST_COMPLEMENTARITY = 0.05
# A column is idle unless its bound rises, its objective falls by the first share of the allowed gap, or its mu falls below the
# second share of the least so far.  If any fall of mu counts, 4221 iterations without a lower objective.
NOTICED_FALL, NOTICED_MU = 0.1, 0.9
# Share of the Newton direction that a step has to go for the gap to be estimated from it; shorter ones say little of the rest.
LONG_STEP = 0.5
# The way that a coefficient may still go, in units of its change in the last direction, where a residual is priced by a guess.
REMAINING_DIRECTIONS = 10.0


class Column:
    """The problem of one column of scores.

    Parameters
    ----------
    objective : Objective
    k : int
        The number of the column.
    theta : ndarray of shape (D,)
        Coefficients at the start.
    z : ndarray of shape (n,)
        Their scores.

    Attributes
    ----------
    theta, z : ndarray
        The current coefficients (D,) and their scores (n,).
    best : ndarray of shape (D,)
        The coefficients of the lowest objective.
    F, bound : float
        The lowest objective, and the largest lower bound of the minimum.
    allowed : float
        The column has ended where the gap, F - bound, is at most this.
    estimate : float
        The least estimate of the gap: see `_estimate_gap`.
    idle : int
        Iterations since the bound rose, or the objective or mu fell, for the last time.
    """

    def __init__(self, objective: Objective, k: int, theta: np.ndarray, z: np.ndarray) -> None:
        loss: PiecewiseLoss = objective.loss
        self.theta, self.z, self.d = theta, z, np.zeros_like(theta)
        self.weight, self.l2 = objective.table.s / objective.n, objective.penalty.l2
        self.score_scale = float(objective.score_scale()[k])
        pieces = loss.as_ramps(objective.table.Y[k])
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
        """A group for each ramp of the loss, and mu at the start."""
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
        """A group of the coefficients whose penalty is not smooth; the slope on one side of zero goes to `penalty_slope`.

        With slopes lower and upper, a penalty is lower w plus the ramp (upper - lower) max(0, w).  Where negative
        coefficients are ruled out it is upper w plus a ramp of -w without a bound, which keeps -w negative.
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
        """The linearised optimality conditions with complementarities of `mu` at the current point."""
        rows, coefficients = np.zeros((2, len(self.z))), np.zeros((2, len(self.theta)))
        for group in self.row_ramps:
            rows += group.linearise(mu)
        for group in self.coefficient_ramps:
            coefficients[:, self.non_smooth] += group.linearise(mu)
        return NewtonSystem(rows[0], coefficients[0] + self.l2, rows[1], coefficients[1] - self.residual)

    def set_direction(self, d: np.ndarray, dz: np.ndarray, mu: float) -> float:
        """Set the direction of theta to d (D,), with changes dz (n,) of the scores; returns the longest step, at most 1."""
        self.d, self.dz = d, dz
        changes = [dz] * len(self.row_ramps) + [d[self.non_smooth]] * len(self.coefficient_ramps)
        told = [group.set_direction(change, mu) for group, change in zip(self.ramps, changes, strict=True)]
        steps, linear, quadratic = zip(*told, strict=True)
        self.linear, self.quadratic = sum(linear), sum(quadratic)
        return min(steps)

    @property
    def mu(self) -> float:
        """The mean of all products of complementary variables: the barrier parameter of the current point."""
        return sum(group.complementarity() for group in self.ramps) / self.mu_weight

    def corrector_mu(self, step: float) -> float:
        """The mu that the corrector aims at, given the longest step of the predictor: Mehrotra's (mu_predicted / mu)^3 mu."""
        mu = self.mu
        predicted = mu + (step * self.linear + step * step * self.quadratic) / self.mu_weight
        least = LEAST_COMPLEMENTARITY * self.allowed / self.mu_weight
        return max(mu * min(max(predicted / mu, 0.0), 1.0) ** 3, min(least, mu))

    def advance(self, longest: float) -> None:
        """Take a step along the direction: a whole one if that is possible, else nearly to the boundary."""
        self.step = step = FRACTION_TO_BOUNDARY * longest if longest < 1.0 else 1.0
        self.theta = self.theta + step * self.d
        self.z = self.z + step * self.dz
        for group in self.ramps:
            group.advance(step)

    # ------------------------------------------------------------ objective and bound
    def row_derivatives(self) -> np.ndarray:
        """Derivatives (n,) of the objective by the scores, as the dual variables say."""
        return self.slope + sum(group.derivatives() for group in self.row_ramps)

    def update(self, gradient: np.ndarray) -> None:
        """Update objective, bound and estimate at a new point, given the gradient (D,) that `row_derivatives` make."""
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
        if F + dual_values - lost > self.bound and guessed <= NEGLIGIBLE * self.allowed:
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
        """Estimate the gap after a long step, where rounding or conjugate gradients keep the bound from rising.

        Three terms add up: the gap between the ramps and their dual values, the last fall of the objective, continued in
        proportion to mu, and what the last direction promised to gain from the dual residual.
        """
        falls_on = min(fall, self.F) * min(mu / self.last_mu, 1.0)
        estimate = complementarity_gap + falls_on + float(np.abs(self.residual) @ np.abs(self.d))
        self.estimate = min(self.estimate, estimate)

    def _infeasibility_cost(self) -> tuple[float, float]:
        """What the bound loses by the dual residual, and the part of that which is a guess.

        The dual variable of a coefficient with a non-smooth penalty takes up as much of the residual as its bounds allow.
        """
        residual, gained = self.residual.copy(), 0.0
        for group in self.coefficient_ramps:
            moved = np.clip(group.p - group.sign * residual[self.non_smooth], 0.0, group.upper) - group.p
            residual[self.non_smooth] += group.sign * moved
            gained += float(moved @ group.ramps.t)
        lost, guessed = self.residual_cost(residual)
        return lost - gained, guessed

    def residual_cost(self, residual: np.ndarray) -> tuple[float, float]:
        """What the bound loses by this dual residual (D,), and the part of that which is a guess: see `certificates.price`.

        A coefficient may still move by its own size, by the natural size of a score, or by some of its last directions.
        """
        return price(
            residual,
            self.l2,
            np.maximum(np.maximum(np.abs(self.theta), self.score_scale), REMAINING_DIRECTIONS * np.abs(self.d)),
        )

    def with_zeros(self, share: float) -> np.ndarray:
        """The best coefficients (D,), with exact zeros: the smaller the share, the fewer.

        Of two complementary variables one is nearly zero at the end.  So a coefficient is zero whose dual variable is far
        from its bounds, in proportion to the size of the coefficient.
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
