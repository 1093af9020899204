"""Whitening: coordinates in which columns are uncorrelated, and the L2 penalty is still a sum over coefficients.

Standardised columns may be nearly collinear, and then gradient steps are slow along the directions in which they differ.
Whitened coefficients phi stand for theta = M phi.  The columns v of M solve the generalised eigenproblem

    diag(l2) v = mu (C + diag(l2)/h) v

where C (d, d) holds the second moments of the columns, and h is the bound of the curvature of the loss by a score.  In these
coordinates the loss and the penalty together have curvature h along every coefficient, and the penalty's share of it is mu.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from ..objective import Objective

MAX_COLUMNS = 256  # X is not whitened if it has more columns: the product with M would cost more than the rows of a step.
COLUMNS_PER_ENTRY = 4  # X is not whitened if it has more columns than this number times the entries of a row.
MIN_ROWS_PER_COLUMN = 20  # X is not whitened if it has fewer rows for each column, because C would be too inaccurate.
# The number of rows for each column that C is estimated from.  With 20, sgd diverged at tiny penalties.
SAMPLE_PER_COLUMN = 100
# C is estimated from at least so many rows, the spectrum from at most so many.  Norms of rows are computed for as many at a
# time.
SAMPLE = 1000
VARIANCE_FLOOR = 1e-6  # the variance that is added to each standardised column, so that every direction has some
POWER_ITERATIONS = 30  # the number of power iterations for the largest eigenvalue


class Whitening(NamedTuple):
    """The map between coefficients theta (d + 1, K) and phi (d + 1, K).  Their last row, the intercept, is the same.

    Attributes
    ----------
    matrix : ndarray of shape (d, d)
        The matrix M.  Its shape is (0, 0) if phi is theta itself.
    l2 : ndarray of shape (d + 1,)
        The weights of the L2 penalty on phi.
    """

    matrix: np.ndarray
    l2: np.ndarray

    def theta(self, phi: np.ndarray) -> np.ndarray:
        """The theta (d + 1, K) of phi, as a new array."""
        return np.vstack([self.matrix @ phi[:-1], phi[-1:]]) if len(self.matrix) else phi.copy()

    def phi(self, theta: np.ndarray) -> np.ndarray:
        """The phi (d + 1, K) of theta, as a new array."""
        return np.vstack([np.linalg.solve(self.matrix, theta[:-1]), theta[-1:]]) if len(self.matrix) else theta.copy()

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient (d + 1, K) by phi, given the gradient by theta."""
        return np.vstack([self.matrix.T @ gradient[:-1], gradient[-1:]]) if len(self.matrix) else gradient

    def spectrum(self, objective: Objective) -> tuple[float, float]:
        """The largest eigenvalue and the trace of the second moments of the columns, in the coordinates of phi."""
        if not len(self.matrix):
            return _spectrum(objective)
        return 1.0, len(self.matrix) - self.l2.sum() / objective.loss.curvature_bound()


def no_whitening(objective: Objective) -> Whitening:
    """The whitening that leaves coefficients as they are."""
    return Whitening(np.empty((0, 0)), objective.penalty.l2)


def whitening_of(objective: Objective) -> Whitening:
    """The whitening of the columns in the coordinates of `objective`, if it is worth its cost, else `no_whitening`.

    A non-smooth penalty rules it out, because it would no longer be a sum over coefficients.
    """
    d, n = objective.d, objective.n
    affordable = d <= min(MAX_COLUMNS, COLUMNS_PER_ENTRY * objective.data.entries / n)
    if objective.penalty.non_smooth.any() or not affordable or n < MIN_ROWS_PER_COLUMN * d:
        return no_whitening(objective)
    h, l2 = objective.loss.curvature_bound(), objective.penalty.l2[:-1]
    C = second_moments(objective, SAMPLE_PER_COLUMN * d) + np.diag(l2 / h)
    C += np.diag(np.where(objective.coordinates.scale[:-1] > 0.0, VARIANCE_FLOOR, 1.0))
    mu, M = scipy.linalg.eigh(np.diag(l2), C)
    return Whitening(np.ascontiguousarray(M), np.append(np.maximum(mu, 0.0), 0.0))


def second_moments(objective: Objective, rows: int) -> np.ndarray:
    """sum_i s_i x~_i x~_i' / sum_i s_i (d, d), from about `rows` evenly spaced rows, at least `SAMPLE` if there are as many."""
    data = objective.data.representative
    index = np.linspace(0, data.n - 1, min(data.n, max(rows, SAMPLE))).astype(np.intp)
    A = data.X[index].astype(np.float64)
    A = (A.toarray() if sp.issparse(A) else A) - objective.coordinates.mean
    A *= objective.coordinates.scale[:-1]
    s = data.s[index] / data.s[index].sum()
    return (A * s[:, None]).T @ A


def largest_squared_row_norm(objective: Objective, whitening: Whitening) -> float:
    """The largest squared norm of a row, in the coordinates of phi.  One pass over X."""
    mean, scale = objective.coordinates.mean, objective.coordinates.scale[:-1]
    data, largest = objective.data.representative, 0.0
    matrix, origin = scale[:, None] * whitening.matrix if len(whitening.matrix) else None, data.origin(mean)
    for first in range(0, data.n, SAMPLE):
        A = data.X[first : first + SAMPLE].astype(np.float64)
        norms = _squared_norms(A, mean, origin, scale) if matrix is None else np.sum((A @ matrix - mean @ matrix) ** 2, axis=1)
        largest = max(largest, float(norms.max()))
    return largest


def _squared_norms(A: Any, mean: np.ndarray, origin: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """|scale * (a - mean)|^2 for each row a of A (m, d), dense or sparse.

    For a sparse A this is the sum of a row without entries, plus the changes by the entries, as in `CSR.add_squares`.  So A
    stays sparse.
    """
    if not sp.issparse(A):
        return np.sum((scale * (A - mean)) ** 2, axis=1)
    mean_of, origin_of = mean[A.indices], origin[A.indices]
    data = (A.data - origin_of) * (A.data + origin_of - 2.0 * mean_of)
    return sp.csr_matrix((data, A.indices, A.indptr), A.shape) @ scale**2 + np.sum((scale * (origin - mean)) ** 2)


def _spectrum(objective: Objective) -> tuple[float, float]:
    """The largest eigenvalue and the trace of sum_i s_i x~_i x~_i' / sum_i s_i.

    They are estimated from at most `SAMPLE` rows, the eigenvalue by power iterations.
    """
    data = objective.data.representative
    mean, scale = objective.coordinates.mean, objective.coordinates.scale[:-1]
    index = np.linspace(0, data.n - 1, min(data.n, SAMPLE)).astype(np.intp)
    A = data.X[index].astype(np.float64)  # squares of float32 numbers may overflow
    s = data.s[index] / data.s[index].sum()
    trace = s @ _squared_norms(A, mean, data.origin(mean), scale)
    v, largest = np.ones(objective.d), 0.0
    for _ in range(POWER_ITERATIONS):
        scores = A @ (scale * v) - mean @ (scale * v)
        product = scale * ((s * scores) @ A - mean * (s @ scores))
        largest = float(np.linalg.norm(product))
        if largest == 0.0:
            break
        v = product / largest
    return largest, max(float(trace), largest)
