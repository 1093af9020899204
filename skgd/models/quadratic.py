"""Minimise a quadratic model plus a penalty with kinks: g'(u - w) + (u - w)'B(u - w)/2 + penalty(u).

B is a matrix, or a diagonal plus a low-rank part U M U'.  Coordinate descent finds the minimiser, exact zeros included, without
any pass over X.  (Without kinks the minimiser has a closed form: see `factorisation`.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel, linked
from ..penalties import Penalty, penalty_derivative, soft_threshold
from .factorisation import SINGULAR, solve_matrix
from .kinked_line import crossing, lowest_on_the_way

# The share of the diagonal that is added on the support, so that Cholesky succeeds where columns are the same.  There any
# solution will do, and no eigenvectors are needed.
COLLINEAR = 4 * SINGULAR
ROUNDS = 100  # of sweeps and solves, at most
CROSSINGS = 3  # Newton steps in the first solve, each of which takes a coefficient out of the support; twice as many each time
SWEEPS = 6  # between solves, at least
COEFFICIENTS_PER_SWEEP = 2  # where there are more of them: the cost of a solve grows with the cube of their number
# A sweep that gains less than this share of the last one's gain converges: the little that is left needs no solve.
SETTLING = 0.25
# Gains of a sweep relative to the tolerance: below the first, sweeps end; below the second, the sweep gained nothing.
SMALL_GAIN, NO_GAIN = 0.01, 1e-6
# Gains that are rounding, relative to all that was gained: of a sweep, and of the sweep after a solve.
ROUNDING_OF_SWEEP, ROUNDING_OF_SOLVE = 1e-9, 1e-7
LOW_RANK_SWEEPS = 200  # at most
LOW_RANK_PRECISION = 1e-3  # the share of its decrease by which the minimum of a low-rank model may be missed


class LowRank(NamedTuple):
    """The matrix diag(diagonal) + U M U', given M by its inverse."""

    diagonal: np.ndarray  # (N,)
    U: np.ndarray  # (N, r)
    M_inverse: np.ndarray  # (r, r), symmetric

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        return self.diagonal * x + self.U @ np.linalg.solve(self.M_inverse, self.U.T @ x)


class Rough(NamedTuple):
    """How much of the decrease of a model may be missed.

    A `share` of it may be, as far as the gains of sweeps tell.  They hide slow gains, so a decrease up to `goal` must be shown
    by a solve.
    """

    share: float = 0.0
    goal: float = 0.0


EXACT = Rough()


# ---------------------------------------------------------------- compiled sweeps
@linked
def flat_step(j, slope, u, lower, upper):
    """Set u[j], along which the loss has no curvature, to zero if that lowers the model; return the decrease."""
    fall = u[j] * (slope + (upper[j] if u[j] > 0.0 else lower[j]))
    if fall <= 0.0:
        return 0.0
    u[j] = 0.0
    return fall


@kernel
def sweep_matrix(B, g, u, q, lower, upper, l2):
    """One sweep of exact coordinate steps on u, which keeps q = B (u - w); return the decrease of the model.

    A coordinate that does not move costs O(1), one that moves O(N).
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
                gain += 0.5 * a * delta * delta  # a lower bound: the kink of |u| only adds to the decrease
        elif u[j] != 0.0:
            gain += flat_step(j, g[j] + q[j], u, lower, upper)
    return gain


@kernel
def sweep_low_rank(diagonal, U, V, g, u, r, w, lower, upper, l2):
    """The same for B = diag + U V' with V = U M, which keeps r = U'(u - w): O(r) a coordinate."""
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
    B: np.ndarray, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float, rough: Rough = EXACT
) -> np.ndarray:
    """The minimiser u (N,) of the model with a matrix B (N, N), by coordinate descent and Newton steps on the support.

    Sweeps find the support.  They suffice where columns are hardly correlated and the gain of each sweep is a fraction of the
    last one's.  Elsewhere Newton steps on the support go on.  The descent ends where further sweeps would gain less than `tol`,
    or than `rough` allows, or where a solve and the sweep after it did.  Where columns are nearly the same, sweeps only ever
    show small gains.
    """
    descent = _MatrixDescent(B, g, w, penalty, tol, rough)
    for attempt in range(ROUNDS):
        if descent.sweeps_suffice():
            break
        decrease, solved = descent.solve_on_support(min(CROSSINGS * 2**attempt, len(w) + 1))
        gain = descent.sweep()
        descent.total += decrease + gain
        if solved and (gain <= max(tol, ROUNDING_OF_SOLVE * descent.total) or decrease + gain <= rough.share * descent.total):
            break
    return descent.u


class _MatrixDescent:
    """The state of `descend_matrix`: u, q = B (u - w), and the total decrease of the model so far."""

    def __init__(self, B: np.ndarray, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float, rough: Rough) -> None:
        self.B, self.g, self.penalty, self.tol, self.rough = B, g, penalty, tol, rough
        self.u, self.q, self.total = w.copy(), np.zeros_like(w), 0.0

    def sweep(self) -> float:
        """One sweep over all coordinates; the decrease of the model."""
        return sweep_matrix(self.B, self.g, self.u, self.q, *self.penalty)

    def sweeps_suffice(self) -> bool:
        """Sweep until further sweeps promise little; whether the minimum is found, or a solve has to look for more.

        What is still to come is the geometric series of the last two gains.
        """
        gain = self.sweep()
        self.total += gain
        for number in range(max(SWEEPS, len(self.u) // COEFFICIENTS_PER_SWEEP)):
            before, gain = gain, self.sweep()
            self.total += gain
            enough = number >= SWEEPS - 1
            promises_little = gain * gain <= self.rough.share * self.total * (before - gain)
            settled = enough and self.total > self.rough.goal and promises_little
            if gain <= SMALL_GAIN * self.tol:
                shown = self.total >= self.rough.goal and gain <= max(SETTLING * before, NO_GAIN * self.tol)
                return settled or shown
            if settled:
                return True
            rounding = gain <= ROUNDING_OF_SWEEP * self.total and gain > SETTLING * before
            if (enough and self.total <= self.rough.goal) or rounding:
                return False
        return False

    def solve_on_support(self, crossings: int) -> tuple[float, bool]:
        """Newton steps on the support; the decrease of the model, and whether they came to an end.

        Each step takes the signs at its start for given, and ends where the model is lowest on the way.  A coefficient that
        becomes zero leaves the support.
        """
        total = 0.0
        for _ in range(crossings):
            support = np.flatnonzero((self.u != 0.0) & (np.diagonal(self.B) > 0.0))
            if len(support) == 0:
                return total, True
            decrease, crossed = self._newton_step(support)
            if not decrease > 0.0:  # rounding
                return total, True
            total += decrease
            if not crossed:
                return total, True
        return total, False

    def _newton_step(self, support: np.ndarray) -> tuple[float, bool]:
        """One step on the support, if it lowers the model; its decrease, and whether a coefficient came to its kink."""
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
    """The minimiser u (N,) of the model with a diagonal plus low rank, to `tol` or a thousandth of the decrease."""
    rank = B.U.shape[1]
    V = np.ascontiguousarray(np.linalg.solve(B.M_inverse, B.U.T).T) if rank else B.U
    u, r, total = w.copy(), np.zeros(rank), 0.0
    for _ in range(LOW_RANK_SWEEPS):
        gain = sweep_low_rank(B.diagonal, B.U, V, g, u, r, w, *penalty)
        total += gain
        if gain <= max(tol, LOW_RANK_PRECISION * total):
            break
    return u
