"""Minimise a quadratic model plus the penalty: g'(u - w) + (u - w)'B(u - w)/2 + penalty(u).

B is either a matrix, or a diagonal plus a low-rank part U M U'.  Without kinks the minimiser has a closed form; with it,
coordinate descent finds it, exact zeros included, without any pass over X.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg as la

from ..compiled.jit import kernel
from ..penalties import Penalty, penalty_derivative, soft_threshold

# Below this share of the largest, an eigenvalue of a matrix with a unit diagonal is rounding.
SINGULAR = 1e-12
# Share of the diagonal that is added where columns may be the same: there any solution does, and no eigenvectors are needed.
COLLINEAR = 4 * SINGULAR
EPS = float(np.finfo(float).eps)
ROUNDING = 1e-13  # of the entries of an eigenvector, at least
PROMISING = 1e-3  # share of the gain, above which a direction without curvature has a slope that is no rounding
CROSSINGS = 3  # first solves in a row, each of which takes a coefficient out of the support; twice as many each time
SWEEPS = 6  # before solves, at least; one for every `SIDE` coefficients, as solves cost the cube of their number
SIDE = 2
SETTLING = 0.25  # of the last sweep's gain: what a sweep gains at most where the few that are left need no solve


class LowRank(NamedTuple):
    """The matrix diag(diagonal) + U M U', given M by its inverse."""

    diagonal: np.ndarray  # (N,)
    U: np.ndarray  # (N, r)
    M_inverse: np.ndarray  # (r, r), symmetric

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        return self.diagonal * x + self.U @ np.linalg.solve(self.M_inverse, self.U.T @ x)


class Rough(NamedTuple):
    """How much of a decrease may be missing: a `share` of it.  Up to `goal`, a solve has to show it; sweeps hide it."""

    share: float = 0.0
    goal: float = 0.0


EXACT = Rough()


# ---------------------------------------------------------------- closed form, without kinks
def factor(B: np.ndarray, least: float = np.inf) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """The function r -> B^-1 r of a positive semi-definite matrix, by Cholesky; of least norm where it is (nearly) singular.

    Slopes in directions without curvature lead as far as the least curvature that is none allows, if they are more than
    rounding: above the `least`, in units in which B has a unit diagonal, and with a share of what the others promise.
    Coordinates with a zero diagonal stay at zero.  The other result is a basis (N, m) of the directions in which the rest has
    no curvature, m = 0 where Cholesky succeeds.
    """
    diagonal = np.diagonal(B)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, np.inf))
    unit = B * scale[:, None] * scale
    np.fill_diagonal(unit, 1.0)
    triangle, failed = la.lapack.dpotrf(unit, lower=False, clean=False)
    if not failed and triangle.diagonal().min() ** 2 > SINGULAR:
        return lambda r: (scale * la.lapack.dpotrs(triangle, (scale * r.T).T, lower=False)[0].T).T, np.empty((len(B), 0))
    values, vectors = la.eigh(unit, check_finite=False)
    flat = int(np.count_nonzero(values <= SINGULAR * values[-1]))  # eigenvalues ascend
    null = scale[:, None] * _without_rounding(vectors[:, :flat], values)
    vectors, values = scale[:, None] * vectors, np.maximum(values, SINGULAR * values[-1])

    def solve(r: np.ndarray) -> np.ndarray:
        slopes = vectors.T @ r
        steps = (slopes.T / values).T
        gains = slopes * steps
        steps[:flat] *= (np.abs(slopes[:flat]) > least) & (gains[:flat] > PROMISING * gains[flat:].sum(axis=0))
        return vectors @ steps

    return solve, null


def _without_rounding(null: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Eigenvectors (N, m) of the first eigenvalues, which are zero, but for what rounding may add of those of the next ones."""
    m = null.shape[1]
    distance = values[m] / values[-1] if m < len(values) else 1.0
    return np.where(np.abs(null) > max(ROUNDING, len(null) * EPS / distance), null, 0.0)


def solve_matrix(B: np.ndarray, r: np.ndarray) -> np.ndarray:
    """B^-1 r, by `factor`."""
    return factor(B)[0](r)


# ---------------------------------------------------------------- coordinate descent, with kinks
@kernel
def flat_step(j, slope, u, lower, upper):
    """Set u[j], of which the loss has no curvature here, to zero where the kink pulls it there; the decrease of the model."""
    fall = u[j] * (slope + (upper[j] if u[j] > 0.0 else lower[j]))
    if fall <= 0.0:
        return 0.0
    u[j] = 0.0
    return fall


@kernel
def sweep_matrix(B, g, u, q, lower, upper, l2):
    """One sweep of exact coordinate steps on u, with q = B (u - w) kept; return the decrease of the model.

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
                gain += 0.5 * a * delta * delta  # at least: the kink of |u| only adds to it
        elif u[j] != 0.0:
            gain += flat_step(j, g[j] + q[j], u, lower, upper)
    return gain


@kernel
def sweep_low_rank(diagonal, U, V, g, u, r, w, lower, upper, l2):
    """The same for B = diag + U V', V = U M, with r = U'(u - w) kept: O(r) a coordinate."""
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


def descend_matrix(
    B: np.ndarray, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float, rough: Rough = EXACT
) -> np.ndarray:
    """Coordinate descent on the matrix, with Newton steps on the support; return the minimiser u.

    Sweeps find the support.  They suffice where columns are hardly correlated and each gains a fraction of the last.
    Elsewhere Newton steps solve on the support.  It ends where less than `tol` is to be gained, or about the share that
    `rough` allows, by the sweeps to come or by a solve and the sweep after it.  Where columns are nearly the same, small
    gains are all that sweeps ever show.
    """
    u, q, total = w.copy(), np.zeros_like(w), 0.0
    for attempt in range(100):
        gain = sweep_matrix(B, g, u, q, *penalty)
        total += gain
        for sweep in range(max(SWEEPS, len(u) // SIDE)):
            before, gain = gain, sweep_matrix(B, g, u, q, *penalty)
            total += gain
            # 1. what further sweeps would gain: a geometric series
            enough = sweep >= SWEEPS - 1
            settled = enough and total > rough.goal and gain * gain <= rough.share * total * (before - gain)
            if gain <= 0.01 * tol:
                settled = settled or (total >= rough.goal and gain <= max(SETTLING * before, 1e-6 * tol))
                break
            if settled or (enough and total <= rough.goal) or (gain <= 1e-9 * total and gain > SETTLING * before):
                break
        if settled:
            break
        # 2. a solve where they have too far to go
        decrease, solved = _solve_on_support(B, g, u, q, penalty, min(CROSSINGS * 2**attempt, len(u) + 1))
        gain = sweep_matrix(B, g, u, q, *penalty)
        total += decrease + gain
        if solved and (gain <= max(tol, 1e-7 * total) or decrease + gain <= rough.share * total):
            break
    return u


def _solve_on_support(
    B: np.ndarray, g: np.ndarray, u: np.ndarray, q: np.ndarray, penalty: Penalty, crossings: int
) -> tuple[float, bool]:
    """Newton steps on the support, each for the signs at its start; the decrease of the model, and whether they came to an end.

    A coefficient that becomes zero leaves the support.
    """
    total = 0.0
    for _ in range(crossings):
        support = np.flatnonzero((u != 0.0) & (np.diagonal(B) > 0.0))
        if len(support) == 0:
            return total, True
        here = u[support]
        weights = penalty.of(support)
        slope = g[support] + q[support] + penalty_derivative(here, weights)
        inner = B[np.ix_(support, support)]
        diagonal = np.einsum("jj->j", inner)  # a view
        diagonal += weights.l2
        ridge = COLLINEAR * diagonal
        diagonal += ridge
        move = -solve_matrix(inner, slope)
        crosses = crossing(here, move, weights)
        end, decrease = lowest_on_the_way(here, move, crosses, weights, slope, inner @ move)
        if not decrease > 0.0:  # rounding
            return total, True
        u[support] = end
        q += (end - here) @ B[support]
        total += decrease
        if not crosses.any():
            return total, True
    return total, False


def crossing(here: np.ndarray, move: np.ndarray, penalty: Penalty) -> np.ndarray:
    """Which coefficients come to a kink at zero, or cross it, as they move."""
    return ((here + move) * here <= 0.0) & penalty.non_smooth & (move != 0.0)


def lowest_on_the_way(
    here: np.ndarray, move: np.ndarray, crosses: np.ndarray, penalty: Penalty, slope: np.ndarray, curved: np.ndarray
) -> tuple[np.ndarray, float]:
    """The point along a move where a quadratic model plus the penalty is lowest, and the decrease up to there.

    Slopes are those `here`, of the penalty included; `curved` is the curvature times the move.  Where the point is at the kink
    of a coefficient, that is exactly zero.
    """
    zeros = np.divide(-here, move, out=np.full_like(move, np.inf), where=crosses)
    jumps = (penalty.upper - penalty.lower) * np.abs(move)
    share, change = line_minimum(float(move @ slope), float(move @ curved), zeros[crosses], jumps[crosses])
    return np.where(zeros == share, 0.0, here + share * move), -change


def line_minimum(a: float, b: float, kinks: np.ndarray, jumps: np.ndarray) -> tuple[float, float]:
    """Where a t + b t^2/2 + sum_i jumps_i max(0, t - kinks_i) is least over t >= 0, given a < 0 <= b, and its value there.

    That place is one of the kinks, exactly, or between them.
    """
    order = np.argsort(kinks)
    kinks, jumps = kinks[order], jumps[order]
    slopes = a + b * kinks + np.cumsum(jumps)  # beyond each kink
    passed = int(np.searchsorted(slopes >= 0.0, True)) if len(kinks) else 0
    t = max(-(a + jumps[:passed].sum()), 0.0) / b if b > 0.0 else np.inf
    t = min(t, float(kinks[passed])) if passed < len(kinks) else t
    return t, a * t + 0.5 * b * t * t + float(jumps[:passed] @ (t - kinks[:passed]))


def descend_low_rank(B: LowRank, g: np.ndarray, w: np.ndarray, penalty: Penalty, tol: float) -> np.ndarray:
    """Coordinate descent on a diagonal plus low rank; return the minimiser u, to `tol` or a thousandth of the decrease."""
    rank = B.U.shape[1]
    V = np.ascontiguousarray(np.linalg.solve(B.M_inverse, B.U.T).T) if rank else B.U
    u, r, total = w.copy(), np.zeros(rank), 0.0
    for _ in range(200):
        gain = sweep_low_rank(B.diagonal, B.U, V, g, u, r, w, *penalty)
        total += gain
        if gain <= max(tol, 1e-3 * total):
            break
    return u
