"""The row space of X: with fewer rows than columns, the problem has as many coefficients as rows.

Let X_c be the centred X.  With an L2 penalty the minimiser W lies in the row space, the span of the rows of X_c, because a part
outside of it would increase the penalty and change no score.  The same holds for the minimiser of least norm (`least_norm`) of
least squares without a penalty.  Let Q (d, r) be an orthonormal basis of the row space.  Then W = Q U, and U (r, K) minimises
the same objective with the data Z = X_c Q (n, r), whose Hessian is small.  The eigendecomposition X_c X_c' = V S V' gives Z = V
S^(1/2) and Q = X_c' V S^(-1/2).  It costs a few passes over X; the iterations cost none (Hastie and Tibshirani, 2004).
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
from .cost import OVERHEAD, PASSES_SAVED, PRODUCT, factor_cost, pass_cost

COLUMNS = 512  # the number of columns of X that are centred at a time
NEGLIGIBLE_VARIANCE = 1e-3  # A column with a variance below this share of the L2 weight hardly matters for the fit.
# The smallest variance of a column, relative to the largest one, that each decomposition resolves: the one of the Gram matrix,
# which squares singular values, and the orthogonal one.
RESOLVED_BY_GRAM_MATRIX, RESOLVED_BY_ORTHOGONALISATION = 1e-10, 1e-24
SINGULAR_GRAM = 1e-14  # An eigenvalue of the Gram matrix of the rows below this share of the largest one is a rounding error.
# The number of passes that the row space saves where nothing is penalised.  They are many, because F falls to zero there.
PASSES_TO_ZERO = 500
DECOMPOSITION = 27.0  # the cost of an eigendecomposition, in Cholesky factorisations: 9 n^3 operations against n^3 / 3


class RowSpace:
    """An objective restricted to the row space of its X.

    Parameters
    ----------
    objective : Objective
        The objective on X, for which `is_worthwhile` holds.

    Attributes
    ----------
    objective : Objective
        The objective on the data Z.
    Q : ndarray of shape (d, r)
        The orthonormal basis of the row space.
    """

    def __init__(self, objective: Objective) -> None:
        self.outer = objective
        self.fit_intercept = objective.coordinates.centred
        self.mean = objective.data.column_moments.mean * self.fit_intercept
        by_gram_matrix = _are_resolved(objective, RESOLVED_BY_GRAM_MATRIX)
        # Rows count by the roots of their weights, so that a weight gives the same basis as repeated rows.
        self.roots_of_weights = np.sqrt(objective.table.s)[:, None]
        Z, self.Q = self._by_gram_matrix() if by_gram_matrix else self._by_orthogonalisation()
        Z /= self.roots_of_weights
        data = Table(Z, objective.table.Y, objective.table.s, objective.table.team)
        penalty = elastic_net(0.0, objective.raw_penalty.ridge, Z.shape[1])
        inner = Objective(data, objective.loss, penalty, identity(Z.shape[1], True))
        ridge = penalty.l2 / inner.loss.curvature_bound()
        self.objective = inner.in_coordinates(data.column_moments.coordinates(ridge, self.fit_intercept))

    def _by_gram_matrix(self) -> tuple[np.ndarray, np.ndarray]:
        """Z and Q from the eigendecomposition of X_c X_c', which is fast but squares singular values."""
        values, V = la.eigh(sum(C @ C.T for _, C in self._centred()), check_finite=False)
        kept = values > SINGULAR_GRAM * values[-1]
        roots = np.sqrt(values[kept])
        basis, Q = V[:, kept] / roots, np.empty((self.outer.d, int(kept.sum())))
        for part, C in self._centred():
            Q[part] = C.T @ basis
        return np.ascontiguousarray(V[:, kept] * roots), Q

    def _by_orthogonalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Z and Q from X_c' = Q R, if the units of the columns differ so much that squares would lose the smaller columns."""
        Q, R = la.qr(np.concatenate([C.T for _, C in self._centred()]), mode="economic", overwrite_a=True, check_finite=False)
        U, values, Vt = la.svd(R, check_finite=False)
        kept = values > len(Q) * EPS * values[0]
        return np.ascontiguousarray(Vt[kept].T * values[kept]), Q @ U[:, kept]

    def _centred(self) -> Iterator[tuple[slice, np.ndarray]]:
        """X_c, weighted, in pieces of at most `COLUMNS` columns, dense, each with the slice of its columns."""
        X = self.outer.table.X
        for first in range(0, self.outer.d, COLUMNS):
            part = slice(first, first + COLUMNS)
            columns = X[:, part].toarray() if self.outer.table.sparse else X[:, part]
            yield part, self.roots_of_weights * (columns - self.mean[part])

    def inside(self, theta: np.ndarray) -> np.ndarray:
        """The coefficients (r + 1, K) in the row space that give the same scores as theta (d + 1, K)."""
        W, b = self.outer.coordinates.raw(theta)
        b = b + self.mean @ W
        return self.objective.coordinates.theta(self.Q.T @ W, b)

    def outside(self, theta: np.ndarray) -> np.ndarray:
        """The coefficients (d + 1, K) of all columns that give the same scores as theta (r + 1, K) in the row space."""
        U, b = self.objective.coordinates.raw(theta)
        W = self.Q @ U
        return self.outer.coordinates.theta(W, b - self.mean @ W)


def is_worthwhile(objective: Objective) -> bool:
    """Whether the minimiser lies in the row space, and the decomposition costs less than the passes over X that it saves.

    The decomposition must also resolve every column that matters.
    """
    n, d, shortest = objective.n, objective.d, least_norm.matters(objective)
    ridge = objective.raw_penalty.ridge
    if n >= d or (ridge == 0.0 and not shortest) or not objective.in_memory:
        return False
    decomposition = DECOMPOSITION * factor_cost(n)
    passes = PASSES_TO_ZERO if shortest else PASSES_SAVED
    if 0.5 * PRODUCT * n * n * d + decomposition > passes * (OVERHEAD + n * pass_cost(objective)):
        return False
    return _are_resolved(objective, RESOLVED_BY_ORTHOGONALISATION)


def _are_resolved(objective: Objective, least: float) -> bool:
    """Whether the variance of every column that matters is above the share `least` of the largest one."""
    squares = objective.data.column_moments.mean_squares(objective.coordinates.centred)
    matters = squares > NEGLIGIBLE_VARIANCE * objective.raw_penalty.ridge
    relevant = squares[(objective.coordinates.scale[:-1] > 0.0) & matters]
    return len(relevant) > 0 and bool(relevant.min() > least * relevant.max())
