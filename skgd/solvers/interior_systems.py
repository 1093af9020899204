"""The linear systems of the interior-point method, one for each column of scores that takes part.

Their matrices are (X~' C X~ + L): C are the curvatures of all rows, and L those of the coefficients' own, from the penalty.
Either such a matrix is factorised, of coefficients or of rows, or conjugate gradients do without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import scipy.linalg as la

from ..models.cost import OVERHEAD, PRODUCT, HessianPlan, factor_cost, pass_cost
from ..objective import Objective

EPS = float(np.finfo(float).eps)
WORK = 5_000_000  # entries of X, times columns of scores, up to which conjugate gradients take seconds
SPARED = 0.03  # share of it that conjugate gradients may leave
MOST = 1000  # of their iterations
LARGEST = 6000  # side of a matrix, however many passes it would save
DENSE = 1 << 25  # entries of a copy of X, centred, at most
MATRIX = 150  # passes over X that a matrix may cost, where conjugate gradients would take as many


class Model(NamedTuple):
    """A linear system for the change d of theta: (X~' curvature X~ + own_curvature) d = X~' pulls + own_pulls."""

    curvature: np.ndarray  # (n,), by scores
    own_curvature: np.ndarray  # (D,), by coefficients
    pulls: np.ndarray  # (n,)
    own_pulls: np.ndarray  # (D,)


Inverse = Callable[[np.ndarray], np.ndarray]


class Tolerance(Protocol):
    """What conjugate gradients ask of a column: how exact its system has to be."""

    @property
    def mu(self) -> float: ...

    @property
    def allowed(self) -> float: ...

    def imbalance(self, residual: np.ndarray) -> tuple[float, float]: ...


def solvable(objective: Objective) -> bool:
    """Whether the systems can be solved in seconds, one way or another."""
    return objective.data.entries * objective.K <= WORK or matrix_pays(objective) or rows_pay(objective)


def inverse_for(objective: Objective) -> Callable[..., Inverse]:
    """How to solve the linear systems: by a matrix of coefficients or of rows, whichever is smaller, if its cost is that of
    few passes over X; else by conjugate gradients.
    """
    if rows_pay(objective):
        return partial(by_rows, _centred(objective))
    return factorised if matrix_pays(objective) else iterated


def matrix_pays(objective: Objective) -> bool:
    """Whether the Hessian of one column costs less than the passes over X that conjugate gradients would take."""
    plan = HessianPlan(objective, constant=True)
    return plan.side <= LARGEST and plan.passes <= MATRIX


def rows_pay(objective: Objective) -> bool:
    """Whether rows are fewer than columns, each of which has curvature of its own, and their matrix costs few passes over X."""
    n, d, penalty = objective.n, objective.d, objective.penalty.of(slice(objective.d))
    curved = penalty.kinked | (penalty.l2 > 0.0) | (objective.coordinates.scale[:-1] == 0.0)
    if n >= d or n * d > DENSE or not curved.all():
        return False
    return PRODUCT * n * n * d + factor_cost(n) <= MATRIX * (OVERHEAD + n * pass_cost(objective))


def _centred(objective: Objective) -> np.ndarray:
    """The standardised columns (n, d)."""
    X, (mean, scale) = objective.table.X, objective.coordinates
    return ((X.toarray() if objective.table.sparse else X) - mean) * scale[:-1]


def by_rows(A: np.ndarray, objective: Objective, models: list[Model], columns: Sequence[Tolerance]) -> Inverse:
    """The inverse of the Hessians of all columns, by matrices of the n rows.

    With q the curvature times the change of the scores, coefficients change by M (r - A' q), M the inverse of their own
    curvature, and (1/c + A M A') q = A M r + the change of the intercept (the Woodbury formula).
    """
    size = objective.coordinates.scale[-1]
    solvers = [_of_rows(A, size, model) for model in models]
    return lambda R: np.column_stack([solve(R[:, k]) for k, solve in enumerate(solvers)])


def _of_rows(A: np.ndarray, size: float, model: Model) -> Inverse:
    own = model.own_curvature[:-1]
    M = np.divide(1.0, own, out=np.zeros_like(own), where=own > 0.0)
    S = (A * M) @ A.T
    np.einsum("ii->i", S)[:] += 1.0 / model.curvature
    inverse = _cholesky(S)
    unit = np.full(len(A), size)
    along = inverse(unit)

    def solve(r: np.ndarray) -> np.ndarray:
        q = inverse(A @ (M * r[:-1]))
        b = (r[-1] - unit @ q) / (unit @ along) if size > 0.0 else 0.0
        return np.append(M * (r[:-1] - A.T @ (q + b * along)), b)

    return solve


def factorised(objective: Objective, models: list[Model], columns: Sequence[Tolerance]) -> Inverse:
    """The inverse of the Hessians of all columns, factorised."""
    inverses = []
    for model in models:
        H = objective.table.gram(model.curvature, *objective.coordinates)
        np.einsum("jj->j", H)[:] += model.own_curvature
        inverses.append(_cholesky(H))
    return lambda R: np.column_stack([inverse(R[:, k]) for k, inverse in enumerate(inverses)])


def _cholesky(H: np.ndarray) -> Inverse:
    """The inverse of a positive semi-definite matrix, with as little added to its diagonal as rounding asks for.

    Directions of hardly any curvature are followed, unlike in `quadratic.factor`: a residual that stays there spoils the bound.
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


def iterated(objective: Objective, models: list[Model], columns: Sequence[Tolerance]) -> Inverse:
    """The same by conjugate gradients, preconditioned by the diagonals; all columns share the passes over X.

    They end where what they leave would cost little of the gap that is allowed, or of the one that is left.
    """
    table, coordinates = objective.table, objective.coordinates
    c = np.array([model.curvature for model in models])
    own = np.column_stack([model.own_curvature for model in models])
    diagonal = own + np.column_stack([table.squares(row, *coordinates) for row in c])
    allowed = [SPARED * max(column.allowed, column.mu) for column in columns]

    def product(d: np.ndarray) -> np.ndarray:
        return coordinates.gradient(table.transposed(c * table.scores(*coordinates.raw(d)))) + own * d

    def suffices(r: np.ndarray) -> bool:
        return all(column.imbalance(r[:, k])[0] <= most for k, (column, most) in enumerate(zip(columns, allowed, strict=True)))

    return lambda R: conjugate_gradients(product, R, diagonal, suffices)


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    R: np.ndarray,
    diagonal: np.ndarray,
    suffices: Callable[[np.ndarray], bool],
) -> np.ndarray:
    """Solve a system for each column of R (D, K), given products with the matrices and their diagonals (D, K).

    It ends where the residuals suffice, but for that of the intercept, whose equation holds exactly: no penalty takes up what
    it leaves (Hestenes and Stiefel, 1952).
    """
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0.0)
    x, r = np.zeros_like(R), R
    direction = z = inverse * r
    rz = np.sum(r * z, axis=0)
    for _ in range(MOST):
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
