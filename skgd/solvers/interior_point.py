"""A primal-dual interior-point method for losses of linear and quadratic pieces, which are mostly not smooth.

Such a loss is a sum of ramps max(0, t) with t = sign z + offset, where z is a score.  An L1 penalty is a sum of one ramp for
each coefficient.  Because

    max(0, t) = max of p t over 0 <= p <= 1,

the p of all ramps are the variables of the dual problem.  Each iteration makes one Newton step on the optimality conditions of
the primal and the dual problem together.  In these conditions the products of each p and the multipliers of its bounds are
equal to the barrier parameter mu, which falls to zero.  The method uses Mehrotra's predictor and corrector (Wright, 1997,
chapter 10; Nocedal and Wright, 2006, algorithm 14.3; for quantiles Portnoy and Koenker, 1997).  If the multipliers and the p
are eliminated, a linear system in the coefficients alone remains, in which the curvatures of the ramps are weights of the rows
(see `interior_systems`).

Most fits take 10 to 40 iterations.  Outliers shorten the steps, and then a fit may take 90.

The gap is the difference of the lowest objective and the largest dual value.  It is an upper bound of F - F*.

Columns of scores are independent problems.  Each column has its own mu, its own step lengths and its own stopping rule.
Columns that have not stopped share passes over X.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..constants import TINY, ZERO
from ..monitoring.history import History
from ..objective import Objective
from .interior_column import LEAST_DISTANCE, Column
from .interior_systems import NewtonSystem, Solve, solvable, solver_for
from .solution import Solution

# A column stops after so many iterations without progress.  With 10 a quantile fit of sparse ratings stopped above its
# tolerance.  With 1000 the 240 random fits of `interior_column` take six times as many iterations as with 10.
PATIENCE = 20
# An estimated gap has to be below this share of the tolerance.  A proven one only has to be below the tolerance.
ESTIMATE_BELOW = 0.25
# The shares that `Column.with_zeros` is called with, one after another.  The first one makes most coefficients zero.  In the
# 240 random fits of `interior_column` 6952 coefficients are not zero.  With the first share alone it is 7630, with the first
# and the third 7341.
ZERO_SHARES = (1.0, 0.1, 0.01, 1e-4)


def supports(objective: Objective) -> bool:
    """Whether the loss is a sum of ramps, the rows are in memory, and the Newton systems can be solved in seconds."""
    return objective.loss.is_sum_of_ramps() and objective.in_memory and solvable(objective)


def minimise(objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History) -> Solution:
    """Iterate from theta (D, K) until the relative gap of all columns of scores together is at most `tol`."""
    columns = _columns_at(objective, theta)
    start = sum(column.F for column in columns)
    if np.isneginf(objective.penalty.lower).any():  # columns start at positive coefficients, not at theta
        start = objective.evaluate(theta)[0]
    history.begin(start, theta)
    if start == 0.0:
        return Solution(theta, 1, 0.0, True, bound=True)
    zero, iterations, solver = ZERO * start, 0, solver_for(objective)
    while True:
        total = max(sum(column.F for column in columns), TINY)
        for column in columns:
            column.allowed = max(tol * total, zero) / len(columns)
        active = [column for column in columns if column.F - column.bound > column.allowed and column.idle < PATIENCE]
        if not active or iterations >= max_iter:
            break
        _step(objective, active, solver)
        _update(objective, active)
        iterations += 1
        history.record(sum(column.F for column in columns), np.column_stack([column.best for column in columns]))
    theta, F = _with_zeros(objective, columns)
    history.begin(F, theta)
    gap, estimate = (value / max(F, TINY) if F > zero else 0.0 for value in _gaps(columns, F))
    if gap <= tol:
        return Solution(theta, max(iterations, 1), gap, True, bound=True)
    return Solution(theta, max(iterations, 1), min(estimate, 1.0), estimate <= ESTIMATE_BELOW * tol)


def _columns_at(objective: Objective, theta: np.ndarray) -> list[Column]:
    """All columns at theta (D, K), except that coefficients that must not be negative start at positive values."""
    nonnegative = np.isneginf(objective.penalty.lower)[:, None]
    inner = np.where(nonnegative, np.maximum(theta, LEAST_DISTANCE * objective.score_scale()), theta)
    z = objective.table.scores(*objective.coordinates.raw(inner))
    columns = [Column(objective, k, inner[:, k].copy(), z[k]) for k in range(objective.K)]
    _update(objective, columns)
    return columns


def _update(objective: Objective, columns: list[Column]) -> None:
    """Update the objectives and the lower bounds of the columns at their points.  One pass over X."""
    G = objective.coordinates.gradient(objective.table.transposed(np.array([column.row_derivatives() for column in columns])))
    for k, column in enumerate(columns):
        column.update(G[:, k])


def _step(objective: Objective, columns: list[Column], solver: Callable[..., Solve]) -> None:
    """Compute predictor and corrector, and make a step in each column.  Four passes over X plus the cost of the matrices."""
    mus = [0.0] * len(columns)
    systems = [column.newton_system(mu) for column, mu in zip(columns, mus, strict=True)]
    solve = solver(objective, systems, columns)
    predictor_steps = _set_directions(objective, columns, systems, mus, solve)
    mus = [column.corrector_mu(step) for column, step in zip(columns, predictor_steps, strict=True)]
    systems = [column.newton_system(mu) for column, mu in zip(columns, mus, strict=True)]
    steps = _set_directions(objective, columns, systems, mus, solve)
    for column, step in zip(columns, steps, strict=True):
        column.advance(step)


def _set_directions(
    objective: Objective, columns: list[Column], systems: list[NewtonSystem], mus: list[float], solve: Solve
) -> list[float]:
    """Solve the Newton systems of all columns, and return the length of the longest step of each.  Two passes over X."""
    table, coordinates = objective.table, objective.coordinates
    G = coordinates.gradient(table.transposed(np.array([system.row_rhs for system in systems])))
    d = solve(G + np.column_stack([system.coefficient_rhs for system in systems]))
    dz = table.scores(*coordinates.raw(d))
    return [column.set_direction(d[:, k], dz[k], mu) for k, (column, mu) in enumerate(zip(columns, mus, strict=True))]


def _gaps(columns: list[Column], F: float) -> tuple[float, float]:
    """The proven and the estimated gap of all columns together, given the objective F at the solution."""
    proven = F - sum(column.bound for column in columns)
    return proven, sum(min(column.F - column.bound, column.estimate) for column in columns)


def _with_zeros(objective: Objective, columns: list[Column]) -> tuple[np.ndarray, float]:
    """The best coefficients (D, K) and the objective there.

    With a non-smooth penalty, small coefficients are set to zero, as many as keep the objective within the allowed gap.
    """
    theta, F = np.column_stack([column.best for column in columns]), sum(column.F for column in columns)
    if not objective.penalty.non_smooth.any():
        return theta, F
    most = max(F, sum(column.bound + column.allowed for column in columns))
    for share in ZERO_SHARES:
        candidate = np.column_stack([column.with_zeros(share) for column in columns])
        value = objective.evaluate(candidate)[0]
        if value <= most:
            return candidate, value
    return theta, F
