"""The row space of X: where all rows are orthogonal to a direction, an L2 penalty keeps coefficients out of it.

So does the wish for the least norm (`least_norm`) where least squares without a penalty have many minimisers.  With fewer
rows than columns, the minimiser is W = Q U with an orthonormal basis Q (d, r) of the space that the centred rows span: the
same problem with n x r data Z = X_c Q, whose Hessian is small.  X_c X_c' = V S V' gives Z = V S^(1/2) and
Q = X_c' V S^(-1/2): X is read a few times, whatever the number of iterations.  (Hastie and Tibshirani, 2004; the
"kernel trick" of a linear kernel.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.linalg as la

from ..coordinates import identity
from ..data.table import Table
from ..objective import Objective
from ..penalties import elastic_net
from . import least_norm
from .curvature import OVERHEAD, PASSES, PRODUCT, factor_cost, pass_cost

COLUMNS = 512  # of X that are centred at a time
NEGLIGIBLE = 1e-3  # variance, relative to the penalty, of a column whose coefficient hardly matters
GRAM = 1e-10  # variance of a column, relative to the largest, that squared singular values still show
ORTHOGONAL = 1e-24  # and that orthogonal transformations do
EPS = float(np.finfo(float).eps)
SINGULAR = 1e-14
INTERPOLATING = 500  # passes that it saves where nothing is penalised: the objective then falls to zero


class RowSpace:
    """An objective restricted to the row space of its X.

    Parameters
    ----------
    objective : Objective
        See `is_worthwhile`.
    """

    def __init__(self, objective: Objective) -> None:
        self.outer = objective
        self.fit_intercept = objective.coordinates.centred
        self.mean = objective.data.column_moments.mean * self.fit_intercept
        Z, self.Q = self._by_gram_matrix() if _resolved(objective, GRAM) else self._by_orthogonalisation()
        data = Table(Z, objective.table.Y, objective.table.s, objective.table.team)
        penalty = elastic_net(0.0, objective.raw_penalty.ridge, Z.shape[1])
        inner = Objective(data, objective.loss, penalty, identity(Z.shape[1], True))
        moments = data.column_moments
        self.objective = inner.in_coordinates(
            moments.coordinates(penalty.l2 / inner.loss.curvature_bound(), self.fit_intercept)
        )

    def _by_gram_matrix(self) -> tuple[np.ndarray, np.ndarray]:
        """Z and Q from X_c X_c' = V S V': fast, but it squares singular values."""
        values, V = la.eigh(sum(C @ C.T for _, C in self._centred()), check_finite=False)
        kept = values > SINGULAR * values[-1]
        roots = np.sqrt(values[kept])
        basis, Q = V[:, kept] / roots, np.empty((self.outer.d, int(kept.sum())))
        for part, C in self._centred():
            Q[part] = C.T @ basis
        return np.ascontiguousarray(V[:, kept] * roots), Q

    def _by_orthogonalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """The same from X_c' = Q R: for columns in units so different that squares would lose the smaller ones."""
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
        """The coefficients here whose scores are nearest to those of theta: its projection."""
        W, b = self.outer.coordinates.raw(theta)
        b = b + self.mean @ W
        return self.objective.coordinates.theta(self.Q.T @ W, b)

    def outside(self, theta: np.ndarray) -> np.ndarray:
        """The coefficients of the outer objective that are theta here."""
        U, b = self.objective.coordinates.raw(theta)
        W = self.Q @ U
        return self.outer.coordinates.theta(W, b - self.mean @ W)


def is_worthwhile(objective: Objective) -> bool:
    """Whether the minimiser is there, and rows are so few that their Gram matrix costs less than the passes it saves.

    Columns with a say must still be resolved beside the largest.
    """
    n, d, shortest = objective.n, objective.d, least_norm.matters(objective)
    ridge = objective.raw_penalty.ridge
    if n >= d or (ridge == 0.0 and not shortest) or not objective.in_memory:
        return False
    decomposition = 27.0 * factor_cost(n)  # 9 n^3 operations against n^3 / 3
    passes = INTERPOLATING if shortest else PASSES
    if 0.5 * PRODUCT * n * n * d + decomposition > passes * (OVERHEAD + n * pass_cost(objective)):
        return False
    return _resolved(objective, ORTHOGONAL)


def _resolved(objective: Objective, least: float) -> bool:
    """Whether the variance of every column that has a say is at least that share of the largest."""
    squares = objective.data.column_moments.mean_squares(objective.coordinates.centred)
    has_say = squares > NEGLIGIBLE * objective.raw_penalty.ridge
    relevant = squares[(objective.coordinates.scale[:-1] > 0.0) & has_say]
    return len(relevant) > 0 and bool(relevant.min() > least * relevant.max())
