"""The row space of X, in which problems with fewer rows than columns become small.

An L2 penalty keeps coefficients in the space that the centred rows span: a part outside of it would cost penalty and change no
score.  So does the wish for the least norm (`least_norm`) where least squares without a penalty has many minimisers.  With an
orthonormal basis Q (d, r) of that space the minimiser is W = Q U, and U (r, K) solves the same problem with the n x r data
Z = X_c Q, whose Hessian is small.  The decomposition X_c X_c' = V S V' gives Z = V S^(1/2) and Q = X_c' V S^(-1/2).  X is read
a few times, whatever the number of iterations.  (Hastie and Tibshirani, 2004; the "kernel trick" of a linear kernel.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.linalg as la

from ..constants import EPS
from ..coordinates import identity
from ..data.table import Table
from ..objective import Objective
from ..penalties import elastic_net
from . import least_norm
from .cost import OVERHEAD, PASSES, PRODUCT, factor_cost, pass_cost

COLUMNS = 512  # of X that are centred at a time
NEGLIGIBLE = 1e-3  # The variance of a column, relative to the penalty, below which its coefficient hardly matters.
# The variances of columns, relative to the largest, that are still resolved: by squared singular values, and by orthogonal
# transformations.
RESOLVED_BY_GRAM_MATRIX, RESOLVED_BY_ORTHOGONALISATION = 1e-10, 1e-24
SINGULAR = 1e-14  # An eigenvalue of the Gram matrix of the rows below this share of the largest is rounding.
# The passes that the row space saves where nothing is penalised.  Then the objective falls to zero, which takes more of them.
PASSES_TO_ZERO = 500
DECOMPOSITION = 27.0  # Cholesky factorisations that cost as much as eigenvectors: 9 n^3 operations against n^3 / 3


class RowSpace:
    """An objective restricted to the row space of its X.

    Parameters
    ----------
    objective : Objective
        See `is_worthwhile`.

    Attributes
    ----------
    objective : Objective
        Of the data Z.
    Q : ndarray of shape (d, r)
    """

    def __init__(self, objective: Objective) -> None:
        self.outer = objective
        self.fit_intercept = objective.coordinates.centred
        self.mean = objective.data.column_moments.mean * self.fit_intercept
        by_gram_matrix = _are_resolved(objective, RESOLVED_BY_GRAM_MATRIX)
        Z, self.Q = self._by_gram_matrix() if by_gram_matrix else self._by_orthogonalisation()
        data = Table(Z, objective.table.Y, objective.table.s, objective.table.team)
        penalty = elastic_net(0.0, objective.raw_penalty.ridge, Z.shape[1])
        inner = Objective(data, objective.loss, penalty, identity(Z.shape[1], True))
        ridge = penalty.l2 / inner.loss.curvature_bound()
        self.objective = inner.in_coordinates(data.column_moments.coordinates(ridge, self.fit_intercept))

    def _by_gram_matrix(self) -> tuple[np.ndarray, np.ndarray]:
        """Z and Q from X_c X_c' = V S V', which is fast, but squares singular values."""
        values, V = la.eigh(sum(C @ C.T for _, C in self._centred()), check_finite=False)
        kept = values > SINGULAR * values[-1]
        roots = np.sqrt(values[kept])
        basis, Q = V[:, kept] / roots, np.empty((self.outer.d, int(kept.sum())))
        for part, C in self._centred():
            Q[part] = C.T @ basis
        return np.ascontiguousarray(V[:, kept] * roots), Q

    def _by_orthogonalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """The same from X_c' = Q R, for columns in units so different that squares would lose the smaller ones."""
        Q, R = la.qr(np.concatenate([C.T for _, C in self._centred()]), mode="economic", overwrite_a=True, check_finite=False)
        U, values, Vt = la.svd(R, check_finite=False)
        kept = values > len(Q) * EPS * values[0]
        return np.ascontiguousarray(Vt[kept].T * values[kept]), Q @ U[:, kept]

    def _centred(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Slices of columns, and these columns of X_c."""
        X = self.outer.table.X
        for first in range(0, self.outer.d, COLUMNS):
            part = slice(first, first + COLUMNS)
            columns = X[:, part].toarray() if self.outer.table.sparse else X[:, part]
            yield part, columns - self.mean[part]

    def inside(self, theta: np.ndarray) -> np.ndarray:
        """The projection of theta (d + 1, K): the coefficients (r + 1, K) that give the same scores."""
        W, b = self.outer.coordinates.raw(theta)
        b = b + self.mean @ W
        return self.objective.coordinates.theta(self.Q.T @ W, b)

    def outside(self, theta: np.ndarray) -> np.ndarray:
        """The coefficients (d + 1, K) of the outer objective that belong to theta (r + 1, K) in the row space."""
        U, b = self.objective.coordinates.raw(theta)
        W = self.Q @ U
        return self.outer.coordinates.theta(W, b - self.mean @ W)


def is_worthwhile(objective: Objective) -> bool:
    """Whether the minimiser is in the row space, and finding it there is cheaper than the passes over X that this saves.

    Columns that matter must still be resolved beside the largest.
    """
    n, d, shortest = objective.n, objective.d, least_norm.matters(objective)
    ridge = objective.raw_penalty.ridge
    if n >= d or (ridge == 0.0 and not shortest) or not objective.in_memory:
        return False
    decomposition = DECOMPOSITION * factor_cost(n)
    passes = PASSES_TO_ZERO if shortest else PASSES
    if 0.5 * PRODUCT * n * n * d + decomposition > passes * (OVERHEAD + n * pass_cost(objective)):
        return False
    return _are_resolved(objective, RESOLVED_BY_ORTHOGONALISATION)


def _are_resolved(objective: Objective, least: float) -> bool:
    """Whether the variance of every column that matters is at least this share of the largest."""
    squares = objective.data.column_moments.mean_squares(objective.coordinates.centred)
    matters = squares > NEGLIGIBLE * objective.raw_penalty.ridge
    relevant = squares[(objective.coordinates.scale[:-1] > 0.0) & matters]
    return len(relevant) > 0 and bool(relevant.min() > least * relevant.max())
