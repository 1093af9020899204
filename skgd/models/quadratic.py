"""Minimise a quadratic model plus a non-smooth penalty: g'(u - w) + (u - w)'B(u - w)/2 + penalty(u).

B (N, N) is a matrix, or a diagonal plus a low-rank part U M U'.  Coordinate descent finds the minimiser u (N,), with exact
zeros and without a pass over X.  A sweep is one step on each coordinate, and the support is the set of coordinates that are not
zero.  With a smooth penalty the minimiser has a closed form: see `factorisation`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel, linked
from ..penalties import Penalty, penalty_derivative, soft_threshold
from .factorisation import SINGULAR, solve_matrix
from .kinked_line import crossing, lowest_on_the_way

# This share of the diagonal is added to the matrix of the support, so that its Cholesky factorisation succeeds even if columns
# are equal.  Any of the minimisers is good enough then, and no eigenvectors are needed.
COLLINEAR = 4 * SINGULAR
MAX_ROUNDS = 100  # the largest number of rounds, each of which consists of sweeps and a solve
# The largest number of Newton steps in the first solve.  It doubles with every solve.  Each step but the last one sets a
# coefficient to zero.
CROSSINGS = 3
SWEEPS = 6  # the least number of sweeps before a solve
# With more coefficients there is one sweep for every two of them, because the cost of a solve grows with the cube of their
# number.
COEFFICIENTS_PER_SWEEP = 2
# Sweeps converge fast, so that no solve is needed, if the gain of a sweep is below this share of the gain of the sweep before.
SETTLING = 0.25
# Two gains of a sweep, relative to the tolerance.  Sweeps end below the first one.  Below the second one the gain counts as
# zero.
SMALL_GAIN, NO_GAIN = 0.01, 1e-6
# Gains below these shares of the whole decrease are rounding errors: the gain of a sweep, and of the sweep after a solve.
ROUNDING_OF_SWEEP, ROUNDING_OF_SOLVE = 1e-9, 1e-7
LOW_RANK_SWEEPS = 200  # the largest number of sweeps with a low-rank matrix
LOW_RANK_PRECISION = 1e-3  # the share of its decrease by which the minimum of a low-rank model may be missed


class LowRank(NamedTuple):
    """The matrix diag(diagonal) + U M U', where M is given by its inverse."""

    diagonal: np.ndarray  # (N,)
    U: np.ndarray  # (N, r)
    M_inverse: np.ndarray  # (r, r), symmetric

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        return self.diagonal * x + self.U @ np.linalg.solve(self.M_inverse, self.U.T @ x)


class Precision(NamedTuple):
    """By how much the minimum of a model may be missed, in addition to a tolerance.

    It may be missed by a `share` of the decrease of the model, estimated from the gains of sweeps.  This estimate is too small
    if sweeps converge slowly, so a decrease of at most `goal` has to be confirmed by a solve.
    """

    share: float = 0.0
    goal: float = 0.0


EXACT = Precision()


# ---------------------------------------------------------------- compiled sweeps
@linked
def flat_step(j, slope, u, lower, upper):
    """Set u[j] to zero if that lowers the model plus the penalty, and return the decrease.  The model is linear along u[j]."""
    fall = u[j] * (slope + (upper[j] if u[j] > 0.0 else lower[j]))
    if fall <= 0.0:
        return 0.0
    u[j] = 0.0
    return fall


@kernel
def sweep_matrix(B, g, u, q, lower, upper, l2):
    """Make one sweep of exact coordinate steps on u, and return the decrease of the model.  It also updates q = B (u - w).

    A coordinate that does not move costs O(1), and one that moves costs O(N).
    """
    gain = 0.0
    for j in range(len(u)):
        a = B[j, j] + l2[j]
        if a > 0.0:
            new = soft_threshold(u[j] - (g[j] + q[j] + l2[j] * u[j]) / a, lower[j] / a, upper[j] / a)
            delta = new - u[j]
            if delta != 0.0:
                u[j] = new
                for k in range(len(u)):
                    q[k] += delta * B[j, k]
                gain += 0.5 * a * delta * delta  # a lower bound of the decrease: the non-smooth penalty can only add to it
        elif u[j] != 0.0:
            gain += flat_step(j, g[j] + q[j], u, lower, upper)
    return gain


@kernel
def sweep_low_rank(diagonal, U, V, g, u, r, w, lower, upper, l2):
    """Make one sweep as `sweep_matrix` does, with B = diag + U V' and V = U M.  It also updates r = U'(u - w).

    A coordinate costs as many operations as U has columns.
    """
    gain, rank = 0.0, U.shape[1]
    for j in range(len(u)):
        a, slope = diagonal[j] + l2[j], g[j] + diagonal[j] * (u[j] - w[j]) + l2[j] * u[j]
        for t in range(rank):
            a += V[j, t] * U[j, t]
            slope += V[j, t] * r[t]
        if a > 0.0:
            new = soft_threshold(u[j] - slope / a, lower[j] / a, upper[j] / a)
            delta = new - u[j]
            if delta != 0.0:
                u[j] = new
                for t in range(rank):
                    r[t] += delta * U[j, t]
                gain += 0.5 * a * delta * delta
    return gain


# ---------------------------------------------------------------- descents
def descend_matrix(
    B: np.ndarray, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float, precision: Precision = EXACT
) -> np.ndarray:
    """The minimiser u (N,) of the model with a matrix B (N, N), by coordinate descent and Newton steps on the support.

    Sweeps find the support.  If columns are hardly correlated, the gains of sweeps fall fast, and sweeps are enough.  Otherwise
    a solve, which consists of Newton steps on the support, follows.  The descent ends when further sweeps would gain less than
    `tol`, or less than `precision` allows.  It also ends when a solve and the sweep after it gain so little, because the gains
    of sweeps alone are always small if columns are nearly equal.
    """
    descent = _MatrixDescent(B, g, w, penalty, tol, precision)
    for attempt in range(MAX_ROUNDS):
        if descent.sweeps_suffice():
            break
        decrease, solved = descent.solve_on_support(min(CROSSINGS * 2**attempt, len(w) + 1))
        gain = descent.sweep()
        descent.total += decrease + gain
        no_gain = gain <= max(tol, ROUNDING_OF_SOLVE * descent.total)
        if solved and (no_gain or decrease + gain <= precision.share * descent.total):
            break
    return descent.u


class _MatrixDescent:
    """The state of `descend_matrix`: u, q = B (u - w), and the decrease `total` of the model so far."""

    def __init__(self, B: np.ndarray, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float, precision: Precision) -> None:
        self.B, self.g, self.penalty, self.tol, self.precision = B, g, penalty, tol, precision
        self.u, self.q, self.total = w.copy(), np.zeros_like(w), 0.0

    def sweep(self) -> float:
        """Make one sweep over all coordinates, and return the decrease of the model."""
        return sweep_matrix(self.B, self.g, self.u, self.q, *self.penalty)

    def sweeps_suffice(self) -> bool:
        """Make sweeps until their gains are small.  Returns False if a solve has to follow.

        The gain of all further sweeps is estimated as the sum of a geometric series with the ratio of the last two gains.
        """
        gain = self.sweep()
        self.total += gain
        for number in range(max(SWEEPS, len(self.u) // COEFFICIENTS_PER_SWEEP)):
            before, gain = gain, self.sweep()
            self.total += gain
            enough = number >= SWEEPS - 1
            little_left = gain * gain <= self.precision.share * self.total * (before - gain)
            settled = enough and self.total > self.precision.goal and little_left
            if gain <= SMALL_GAIN * self.tol:
                confirmed = self.total >= self.precision.goal and gain <= max(SETTLING * before, NO_GAIN * self.tol)
                return settled or confirmed
            if settled:
                return True
            rounding = gain <= ROUNDING_OF_SWEEP * self.total and gain > SETTLING * before
            if (enough and self.total <= self.precision.goal) or rounding:
                return False
        return False

    def solve_on_support(self, crossings: int) -> tuple[float, bool]:
        """Make at most `crossings` Newton steps on the support.

        Each step assumes that coefficients keep their signs, and ends at the lowest point on its way.  A coefficient that
        becomes zero there leaves the support.

        Returns
        -------
        decrease : float
            The decrease of the model plus the penalty.
        solved : bool
            Whether the last step changed no sign, so that the model is minimised on the support.
        """
        total = 0.0
        for _ in range(crossings):
            support = np.flatnonzero((self.u != 0.0) & (np.diagonal(self.B) > 0.0))
            if len(support) == 0:
                return total, True
            decrease, crossed = self._newton_step(support)
            if not decrease > 0.0:  # a rounding error
                return total, True
            total += decrease
            if not crossed:
                return total, True
        return total, False

    def _newton_step(self, support: np.ndarray) -> tuple[float, bool]:
        """Make one Newton step on the support if it lowers the model plus the penalty.

        Returns the decrease, and whether a coefficient reached zero.
        """
        here, weights = self.u[support], self.penalty.of(support)
        slope = self.g[support] + self.q[support] + penalty_derivative(here, weights)
        inner = self.B[np.ix_(support, support)]
        diagonal = np.einsum("jj->j", inner)  # a view
        diagonal += weights.l2
        diagonal += COLLINEAR * diagonal
        move = -solve_matrix(inner, slope)
        crosses = crossing(here, move, weights)
        end, decrease = lowest_on_the_way(here, move, crosses, weights, slope, inner @ move)
        if decrease > 0.0:
            self.u[support] = end
            self.q += (end - here) @ self.B[support]
        return decrease, bool(crosses.any())


def descend_low_rank(B: LowRank, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float) -> np.ndarray:
    """The minimiser u (N,) of the model with a low-rank matrix B, by sweeps.

    Sweeps end when their gain is at most `tol`, or at most the share `LOW_RANK_PRECISION` of the whole decrease.
    """
    rank = B.U.shape[1]
    V = np.ascontiguousarray(np.linalg.solve(B.M_inverse, B.U.T).T) if rank else B.U
    u, r, total = w.copy(), np.zeros(rank), 0.0
    for _ in range(LOW_RANK_SWEEPS):
        gain = sweep_low_rank(B.diagonal, B.U, V, g, u, r, w, *penalty)
        total += gain
        if gain <= max(tol, LOW_RANK_PRECISION * total):
            break
    return u
