"""The linear systems of the interior-point method, one for each column of scores that has not stopped.

Their matrices are X~' C X~ + L, where X~ is the standardised X.  C and L are diagonal matrices: C (n, n) holds the curvatures
of the rows, L (D, D) the curvatures of the penalties on coefficients.  There are three ways to solve a system: by a Cholesky
factorisation of this matrix, by a Cholesky factorisation of a matrix (n, n), or by conjugate gradients, which need products
only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import scipy.linalg as la

from ..constants import EPS
from ..models.cost import LARGEST_SIDE, OVERHEAD, PRODUCT, HessianPlan, factor_cost, pass_cost
from ..objective import Objective

# The largest cost of a matrix, in passes over X.  Conjugate gradients would take as many passes.
MAX_PASSES = 150
# The largest number of entries of X, times columns of scores, for conjugate gradients.  Up to it they take seconds.  Larger
# problems are solved by smoothing.
MAX_ENTRIES = 5_000_000
MAX_DENSE_ENTRIES = 1 << 25  # the largest number of entries of the standardised copy of X that a matrix (n, n) needs: 256 MiB
MAX_ITERATIONS = 1000  # the largest number of iterations of conjugate gradients
RESIDUAL_SHARE = 0.03  # The residual of conjugate gradients may lower the bound by this share of the gap.


class NewtonSystem(NamedTuple):
    """The system (X~' row_curvature X~ + coefficient_curvature) d = X~' row_rhs + coefficient_rhs for the change d of theta."""

    row_curvature: np.ndarray  # (n,)
    coefficient_curvature: np.ndarray  # (D,)
    row_rhs: np.ndarray  # (n,)
    coefficient_rhs: np.ndarray  # (D,)


Solve = Callable[[np.ndarray], np.ndarray]  # from right-hand sides to solutions, of one system (D,) or one a column (D, K)


class Accuracy(Protocol):
    """What conjugate gradients ask of a column, to know how accurate the solution of its system has to be."""

    @property
    def mu(self) -> float:
        """The barrier parameter of the current point."""

    @property
    def allowed(self) -> float:
        """The column stops when its gap is at most this."""

    def residual_cost(self, residual: np.ndarray) -> tuple[float, float]:
        """By how much a dual residual (D,) lowers the bound, and the part of this number that is a guess."""


def solvable(objective: Objective) -> bool:
    """Whether one of the three ways solves the systems in seconds."""
    few = objective.data.entries * objective.K <= MAX_ENTRIES
    return few or coefficient_matrix_is_worthwhile(objective) or row_matrix_is_worthwhile(objective)


def solver_for(objective: Objective) -> Callable[..., Solve]:
    """The cheapest solver: by a matrix (n, n) or (D, D) if it is worth its cost, else by conjugate gradients."""
    if row_matrix_is_worthwhile(objective):
        return partial(by_row_matrices, _standardised(objective))
    return by_coefficient_matrices if coefficient_matrix_is_worthwhile(objective) else by_conjugate_gradients


def coefficient_matrix_is_worthwhile(objective: Objective) -> bool:
    """Whether the matrix (D, D) of one column of scores costs less than the passes over X of conjugate gradients."""
    plan = HessianPlan(objective, constant=True)
    return plan.side <= LARGEST_SIDE and plan.passes <= MAX_PASSES


def row_matrix_is_worthwhile(objective: Objective) -> bool:
    """Whether X has fewer rows than columns, every coefficient has a penalty, and a matrix (n, n) is worth its cost."""
    n, d, penalty = objective.n, objective.d, objective.penalty.of(slice(objective.d))
    curved = penalty.non_smooth | (penalty.l2 > 0.0) | (objective.coordinates.scale[:-1] == 0.0)
    if n >= d or n * d > MAX_DENSE_ENTRIES or not curved.all():
        return False
    return PRODUCT * n * n * d + factor_cost(n) <= MAX_PASSES * (OVERHEAD + n * pass_cost(objective))


def _standardised(objective: Objective) -> np.ndarray:
    """The standardised columns (n, d) as a dense array."""
    X, (mean, scale) = objective.table.X, objective.coordinates
    return ((X.toarray() if objective.table.sparse else X) - mean) * scale[:-1]


# ---------------------------------------------------------------- matrices
def by_row_matrices(A: np.ndarray, objective: Objective, systems: list[NewtonSystem], columns: Sequence[Accuracy]) -> Solve:
    """Solve the systems of all columns of scores by matrices (n, n), given the standardised columns A (n, d).

    Let r be the right-hand side, M the inverse of the curvatures L, and q the curvatures C times the change of the scores.  The
    coefficients change by M (r - A' q), and q solves (C^-1 + A M A') q = A M r + the change of the intercept (Woodbury).
    """
    intercept_scale = objective.coordinates.scale[-1]
    solves = [_by_row_matrix(A, intercept_scale, system) for system in systems]
    return lambda R: np.column_stack([solve(R[:, k]) for k, solve in enumerate(solves)])


def _by_row_matrix(A: np.ndarray, intercept_scale: float, system: NewtonSystem) -> Solve:
    """`by_row_matrices` for one column.  The intercept, which has no penalty, is eliminated by its Schur complement."""
    own = system.coefficient_curvature[:-1]
    M = np.divide(1.0, own, out=np.zeros_like(own), where=own > 0.0)
    S = (A * M) @ A.T
    np.einsum("ii->i", S)[:] += 1.0 / system.row_curvature
    inverse = _cholesky(S)
    intercept_column = np.full(len(A), intercept_scale)
    solved_column = inverse(intercept_column)

    def solve(r: np.ndarray) -> np.ndarray:
        q = inverse(A @ (M * r[:-1]))
        b = (r[-1] - intercept_column @ q) / (intercept_column @ solved_column) if intercept_scale > 0.0 else 0.0
        return np.append(M * (r[:-1] - A.T @ (q + b * solved_column)), b)

    return solve


def by_coefficient_matrices(objective: Objective, systems: list[NewtonSystem], columns: Sequence[Accuracy]) -> Solve:
    """Solve the systems of all columns of scores by Cholesky factorisations of their matrices (D, D)."""
    inverses = []
    for system in systems:
        H = objective.table.gram(system.row_curvature, *objective.coordinates)
        np.einsum("jj->j", H)[:] += system.coefficient_curvature
        inverses.append(_cholesky(H))
    return lambda R: np.column_stack([inverse(R[:, k]) for k, inverse in enumerate(inverses)])


def _cholesky(H: np.ndarray) -> Solve:
    """Factorise a positive semi-definite matrix; returns a function that solves with it.

    If rounding errors make the factorisation fail, a small multiple of the diagonal is added.  Unlike in
    `factorisation.factor`, solutions have parts along directions with hardly any curvature, because a residual along them would
    lower the bound.
    """
    diagonal = np.diagonal(H)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, np.inf))
    unit = H * scale[:, None] * scale
    added = max(len(H), 64) * EPS
    while True:
        np.fill_diagonal(unit, 1.0 + added)
        triangle, failed = la.lapack.dpotrf(unit, lower=False, clean=False)
        if not failed or not np.isfinite(added):
            break
        added *= 100.0
    return lambda r: scale * la.lapack.dpotrs(triangle, scale * r, lower=False)[0]


# ---------------------------------------------------------------- conjugate gradients
def by_conjugate_gradients(objective: Objective, systems: list[NewtonSystem], columns: Sequence[Accuracy]) -> Solve:
    """Solve the systems of all columns of scores by conjugate gradients, preconditioned by the diagonals.

    Columns share passes over X.  The iteration ends when the residual of each column would lower its bound by at most the share
    `RESIDUAL_SHARE` of the allowed gap, or of mu if it is larger.
    """
    table, coordinates = objective.table, objective.coordinates
    c = np.array([system.row_curvature for system in systems])
    own = np.column_stack([system.coefficient_curvature for system in systems])
    diagonal = own + np.column_stack([table.squares(row, *coordinates) for row in c])
    allowed = [RESIDUAL_SHARE * max(column.allowed, column.mu) for column in columns]

    def product(d: np.ndarray) -> np.ndarray:
        return coordinates.gradient(table.transposed(c * table.scores(*coordinates.raw(d)))) + own * d

    def suffices(r: np.ndarray) -> bool:
        costs = [column.residual_cost(r[:, k])[0] for k, column in enumerate(columns)]
        return all(cost <= most for cost, most in zip(costs, allowed, strict=True))

    return lambda R: conjugate_gradients(product, R, diagonal, suffices)


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    R: np.ndarray,
    diagonal: np.ndarray,
    suffices: Callable[[np.ndarray], bool],
) -> np.ndarray:
    """Solve a system for each column of R (D, K) by conjugate gradients (Hestenes and Stiefel, 1952).

    `product` multiplies by the matrices, and `diagonal` (D, K) holds their diagonals.  The iteration ends when `suffices`
    accepts the residuals, with zeros in the last row.  The equations of the intercepts, in this row, are solved exactly
    afterwards.
    """
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0.0)
    x, r = np.zeros_like(R), R
    direction = z = inverse * r
    rz = np.sum(r * z, axis=0)
    for _ in range(MAX_ITERATIONS):
        H = product(direction)
        curved = np.sum(direction * H, axis=0)
        step = np.divide(rz, curved, out=np.zeros_like(rz), where=curved > 0.0)
        x, r = x + step * direction, r - step * H
        if suffices(np.vstack([r[:-1], np.zeros((1, r.shape[1]))])):
            break
        z = inverse * r
        before, rz = rz, np.sum(r * z, axis=0)
        direction = z + np.divide(rz, before, out=np.zeros_like(rz), where=before > 0.0) * direction
    x[-1] += inverse[-1] * r[-1]
    return x
