"""Whitening: coordinates of stochastic steps in which the curvature of the objective is one in every direction.

Standardised columns may be nearly collinear, and near a minimum the rows that still have curvature may point elsewhere than
all rows do.  Then gradient steps are slow.  Whitened coefficients phi stand for theta = M phi.  The matrix M comes from the
Cholesky factorisation of the Hessian of the objective,

    H + diag(l2) = L L',   M = L^-T,   so that   M' (H + diag(l2)) M = I.

There is one matrix for each column of scores, one for all of them if they have the same Hessian, or a single one of side K D
for all coefficients, if the loss couples its scores and K D is small.

A fit begins with a bound of the curvature.  From the second epoch on, H is the Hessian at the current point, from a sample of
the rows (PROMISE; Frangella, Rathore, Zhao and Udell, 2024).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from ..coordinates import Coordinates
from ..data.table import Table
from ..models.cost import OVERHEAD, factor_cost, gram_cost, pass_cost
from ..models.curvature import assembled
from ..objective import Objective

MAX_COLUMNS = 400  # X is not whitened if it has more columns: the products with M would cost more than the rows of a step.
COLUMNS_PER_ENTRY = 4  # X is not whitened if it has more columns than this number times the entries of a row.
MAX_SIDE = 800  # the largest side of a single matrix for all coefficients
# A coupled loss with more coefficients has one matrix for each column of scores.  Its Hessian is at most twice the diagonal
# blocks, because in each row the second derivatives by two different scores add up to the one by the same score.
COUPLING = 2.0
# A Hessian comes from at least so many rows for each coefficient; with 20, sgd diverged at tiny penalties.
ROWS_PER_COLUMN = 100
PRODUCTS = 1e7  # It comes from more rows, as long as their products are not more than this number.
# The curvature that is added to each standardised column, relative to the bound of the loss, so that every direction has some.
# A sample may miss curvature, and without a penalty there may be none.  Otherwise only rounding errors are guarded against.
FLOOR, FLOOR_OF_ALL_ROWS = 1e-6, 1e-12
CHUNK = 4096  # the number of rows whose norms are computed at a time


class Whitening(NamedTuple):
    """The map between coefficients theta (D, K) and phi (D, K).

    Attributes
    ----------
    matrices : ndarray of shape (P, side, side)
        The matrices M.  P = 0 if phi is theta itself.  Side is K D if one matrix is for all coefficients, column by column.
    inverses : ndarray of shape (P, side, side)
    largest, trace : float
        The largest eigenvalue and the trace of the Hessian of the objective by phi, or bounds of them.
    heaviest : float
        The largest trace of the Hessian of a single row.  0 if it is not known.
    exact : bool
        Whether the Hessian by phi is the identity, up to errors of the sample.  Otherwise it is only bounded by the identity.
    """

    matrices: np.ndarray
    inverses: np.ndarray
    largest: float
    trace: float
    heaviest: float
    exact: bool

    @property
    def side(self) -> int:
        """The side of the matrices, 0 if there are none."""
        return self.matrices.shape[1]

    def batch_curvature(self, batch_size: int, n: int) -> float:
        """The expected largest curvature of the mean loss of a batch of the n rows by phi; 1 if there are no columns.

        A batch of all rows has the largest eigenvalue of the Hessian.  A smaller one has more, by twice what a typical row adds
        or by what the heaviest row adds.
        """
        row = max(2.0 * self.trace, self.heaviest)
        seen = self.largest if batch_size == n else (self.largest * (batch_size - 1) + row) / batch_size
        return seen if seen > 0.0 else 1.0

    def theta(self, phi: np.ndarray) -> np.ndarray:
        """The theta (D, K) of phi, as a new array.

        If one matrix is for all coefficients, they are centred: a coupled loss does not see equal shifts of all scores, and the
        penalty is lowest without them.
        """
        theta = _products(self.matrices, phi)
        return theta - theta.mean(axis=1, keepdims=True) if self.side > len(phi) else theta

    def phi(self, theta: np.ndarray) -> np.ndarray:
        """The phi (D, K) of theta, as a new array."""
        return _products(self.inverses, theta)

    def gradient_by_theta(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient (D, K) by theta, given the gradient by phi."""
        return _products(self.inverses.transpose(0, 2, 1), gradient)

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient (D, K) by phi, given the gradient by theta."""
        return _products(self.matrices.transpose(0, 2, 1), gradient)


def _products(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The products of the matrices and vectors (D, K) of coefficients, as a new array."""
    if len(matrices) == 0:
        return vectors.copy()
    if len(matrices) > 1:
        return np.ascontiguousarray(np.einsum("kij,jk->ik", matrices, vectors))
    if matrices.shape[1] == len(vectors):
        return matrices[0] @ vectors
    return np.ascontiguousarray((matrices[0] @ vectors.T.ravel()).reshape(vectors.shape[::-1]).T)


def no_whitening(largest: float = np.nan, trace: float = np.nan) -> Whitening:
    """The whitening that leaves coefficients as they are.  Rates from the data need the spectrum of the Hessian."""
    empty = np.empty((0, 0, 0))
    return Whitening(empty, empty, largest, trace, heaviest=0.0, exact=False)


def is_worthwhile(objective: Objective) -> bool:
    """Whether whitened steps are worth their cost.

    A non-smooth penalty rules them out, because it would no longer be a sum over coefficients.
    """
    affordable = objective.d <= min(MAX_COLUMNS, COLUMNS_PER_ENTRY * objective.data.entries / objective.n)
    return affordable and not objective.penalty.non_smooth.any()


class CurvatureSample:
    """The rows from which Hessians of an objective are computed.

    Parameters
    ----------
    objective : Objective
    complete : bool
        Whether all rows in memory are used, whatever they cost.

    Attributes
    ----------
    complete : bool
        Whether these are all rows that can be used.
    joint : bool
        Whether there is one matrix for all coefficients.
    blocks : int
        The number of blocks (D, D) of a Hessian.
    """

    def __init__(self, objective: Objective, complete: bool = False) -> None:
        data, D = objective.data.representative, objective.d + 1
        self.joint = objective.loss.coupled() and objective.K * D <= MAX_SIDE
        single = objective.loss.constant_curvature()
        self.blocks = objective.K * (objective.K + 1) // 2 if self.joint else 1 if single else objective.K
        rows = max(ROWS_PER_COLUMN * D, PRODUCTS / (D * D * self.blocks))
        stride = 1 if complete else max(int(data.n // rows), 1)
        table = data if stride == 1 else data.thinned(stride)
        weights = table.s * (table.n / table.s.sum())
        self.outer, self.complete = objective, stride == 1
        self.table = Table(table.X, table.Y, weights, table.team)

    @property
    def passes(self) -> float:
        """The cost of a whitening, in passes over X."""
        objective, D = self.outer, self.outer.d + 1
        factors = factor_cost(objective.K * D) if self.joint else self.blocks * factor_cost(D)
        cost = self.table.n * self.blocks * gram_cost(objective) + factors
        return cost / (OVERHEAD + objective.n * pass_cost(objective))

    def bounded(self) -> Whitening:
        """The whitening where all rows have the curvature bound of the loss.

        The heaviest row is not looked for, because rates are limited for each batch by the same bound.
        """
        h = self.outer.loss.curvature_bound()
        H = self.table.gram(h * self.table.s, *self.outer.coordinates) / self.table.n
        return self._whitening(H[None], exact=False)

    def at(self, theta: np.ndarray, loss: Any) -> Whitening:
        """The whitening with the curvature of this loss at theta (D, K)."""
        objective = Objective(self.table, loss, self.outer.raw_penalty, self.outer.coordinates)
        H = objective.curvature(theta, self.table.n, 0 if self.joint else self.blocks)
        c = self.table.row_curvatures(loss, *objective.coordinates.raw(theta))
        if self.joint:
            H = _with_curved_shifts(assembled(objective, H), objective.K)
        elif loss.coupled():
            H, c = COUPLING * H, COUPLING * c
        result = self._whitening(H, exact=(self.joint or not loss.coupled()) and not objective.unpenalised)
        return result._replace(heaviest=self._heaviest(result.matrices, c[: len(H)] if not self.joint else c))

    def _whitening(self, H: np.ndarray, exact: bool) -> Whitening:
        """The whitening by Hessians (P, side, side) of the loss."""
        objective, side = self.outer, H.shape[1]
        definite = self.complete and objective.in_memory and not objective.unpenalised
        share = FLOOR_OF_ALL_ROWS if definite else FLOOR
        varies = objective.coordinates.scale > 0.0
        floor = np.where(varies, share * objective.loss.curvature_bound(), 1.0)
        added = np.tile(objective.penalty.l2 + floor, side // len(floor))
        inverses = np.array([la.cholesky(block + np.diag(added), check_finite=False) for block in H])
        matrices = np.array([la.solve_triangular(R, np.eye(side), check_finite=False) for R in inverses])
        trace = side - min(float(added @ (M * M).sum(axis=1)) for M in matrices)
        return Whitening(matrices, inverses, 1.0, trace, 0.0, exact)

    def _heaviest(self, matrices: np.ndarray, c: np.ndarray) -> float:
        """The largest sum over k of c[k, i] |M_k' x~_i|^2 of a row, where M_k are the rows of M for column k of scores.

        If the columns of scores have matrices of their own, it is the largest term, not the sum.
        """
        joint = matrices.shape[1] > self.outer.d + 1
        if joint:  # |M_k' x| is the same for the triangular matrix of the same product M_k M_k', which is smaller
            parts = matrices[0].reshape(len(c), -1, matrices.shape[1])
            matrices = np.array([la.cholesky(M @ M.T, lower=True, check_finite=False) for M in parts])
        heaviest = 0.0
        for first in range(0, self.table.n, CHUNK):
            rows = slice(first, first + CHUNK)
            A = standardised(self.table.X[rows], self.outer.coordinates)
            terms = np.array([row[rows] * ((A @ M) ** 2).sum(axis=1) for M, row in zip(matrices, c, strict=True)])
            heaviest = max(heaviest, float(terms.sum(axis=0).max() if joint else terms.max()))
        return heaviest


def _with_curved_shifts(H: np.ndarray, K: int) -> np.ndarray:
    """The Hessian (1, K D, K D) of a coupled loss, with curvature along equal shifts of all scores.

    The loss has none there.  Shifts are never needed, and without curvature they would look like the longest directions.
    """
    blocks = H.reshape(K, -1, K, H.shape[1] // K)
    trace = np.einsum("kjkj->j", blocks)
    for j in range(len(trace)):
        blocks[:, j, :, j] += trace[j] / K**2
    return H


def standardised(X: Any, coordinates: Coordinates) -> np.ndarray:
    """The rows x~ (m, D) of X (m, d), dense or sparse."""
    mean, scale = coordinates
    A = np.ones((X.shape[0], len(scale)))
    A[:, :-1] = X.toarray() if sp.issparse(X) else X
    A[:, :-1] -= mean
    return A * scale
