"""Whitening: coordinates in which columns are uncorrelated, and the penalty still acts on each coefficient alone.

Standardised columns may be nearly collinear, and steps along what tells them apart crawl.  With theta = M phi, where the
columns of M solve the generalised eigenproblem  diag(l2) v = mu (C + diag(l2)/h) v  of the second moments C, loss and
penalty together have curvature h in every direction of phi, and the penalty's share of it is mu.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from ..objective import Objective

LARGEST = 256  # columns; beyond, the product with M would cost more than the rows of a step
DENSE = 4  # columns for each entry of a row, up to which that product is worth its price
FEWEST = 20  # rows for each column, below which directions without variance would be chance
ROWS = 100  # for each column, that second moments are estimated from: rows of a direction the sample missed lead far astray
SAMPLE = 1000  # rows that the spectrum is estimated from
FLOOR = 1e-6  # share of a column's variance that is left to directions without any


class Whitening(NamedTuple):
    """Coefficients M phi of the columns, the intercept as it is; M empty: phi itself."""

    matrix: np.ndarray  # (d, d), or (0, 0)
    l2: np.ndarray  # (d + 1,) weights of the penalty on phi

    def theta(self, phi: np.ndarray) -> np.ndarray:
        return np.vstack([self.matrix @ phi[:-1], phi[-1:]]) if len(self.matrix) else phi.copy()

    def phi(self, theta: np.ndarray) -> np.ndarray:
        return np.vstack([np.linalg.solve(self.matrix, theta[:-1]), theta[-1:]]) if len(self.matrix) else theta.copy()

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """That by phi, given that by theta (d + 1, K)."""
        return np.vstack([self.matrix.T @ gradient[:-1], gradient[-1:]]) if len(self.matrix) else gradient

    def spectrum(self, objective: Objective) -> tuple[float, float]:
        """Largest eigenvalue and trace of the second moments by phi."""
        if not len(self.matrix):
            return _spectrum(objective)
        return 1.0, len(self.matrix) - self.l2.sum() / objective.loss.curvature_bound()


def identity(objective: Objective) -> Whitening:
    return Whitening(np.empty((0, 0)), objective.penalty.l2)


def whitened(objective: Objective) -> Whitening:
    """Of the data in the coordinates of `objective`, where it pays and the penalty allows it."""
    d, n = objective.d, objective.n
    affordable = d <= min(LARGEST, DENSE * objective.data.entries / n)
    if objective.penalty.non_smooth.any() or not affordable or n < FEWEST * d:
        return identity(objective)
    h, l2 = objective.loss.curvature_bound(), objective.penalty.l2[:-1]
    C = second_moments(objective, ROWS * d) + np.diag(l2 / h)
    C += np.diag(np.where(objective.coordinates.scale[:-1] > 0.0, FLOOR, 1.0))
    mu, M = scipy.linalg.eigh(np.diag(l2), C)
    return Whitening(np.ascontiguousarray(M), np.append(np.maximum(mu, 0.0), 0.0))


def second_moments(objective: Objective, rows: int) -> np.ndarray:
    """sum_i s_i x~_i x~_i' / sum_i s_i (d, d), from about `rows` evenly spaced rows."""
    data = objective.data.representative
    index = np.linspace(0, data.n - 1, min(data.n, max(rows, SAMPLE))).astype(np.intp)
    A = data.X[index].astype(np.float64)
    A = (A.toarray() if sp.issparse(A) else A) - objective.coordinates.mean
    A *= objective.coordinates.scale[:-1]
    s = data.s[index] / data.s[index].sum()
    return (A * s[:, None]).T @ A


def largest_squared_row_norm(objective: Objective, whitening: Whitening) -> float:
    """The largest squared norm of a row whose columns are those of the whitening's coordinates.  One pass."""
    mean, scale = objective.coordinates.mean, objective.coordinates.scale[:-1]
    data, largest = objective.data.representative, 0.0
    matrix, origin = scale[:, None] * whitening.matrix if len(whitening.matrix) else None, data.origin(mean)
    for first in range(0, data.n, SAMPLE):
        A = data.X[first : first + SAMPLE].astype(np.float64)
        norms = _squared_norms(A, mean, origin, scale) if matrix is None else np.sum((A @ matrix - mean @ matrix) ** 2, axis=1)
        largest = max(largest, float(norms.max()))
    return largest


def _squared_norms(A: Any, mean: np.ndarray, origin: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """|scale * (a - mean)|^2 of the rows of a dense or sparse A, the latter as by `CSR.add_squares`."""
    if not sp.issparse(A):
        return np.sum((scale * (A - mean)) ** 2, axis=1)
    mean_of, origin_of = mean[A.indices], origin[A.indices]
    data = (A.data - origin_of) * (A.data + origin_of - 2.0 * mean_of)
    return sp.csr_matrix((data, A.indices, A.indptr), A.shape) @ scale**2 + np.sum((scale * (origin - mean)) ** 2)


def _spectrum(objective: Objective) -> tuple[float, float]:
    """Largest eigenvalue and trace of sum_i s_i x~_i x~_i' / n, from at most a thousand evenly spaced rows."""
    data = objective.data.representative
    mean, scale = objective.coordinates.mean, objective.coordinates.scale[:-1]
    index = np.linspace(0, data.n - 1, min(data.n, SAMPLE)).astype(np.intp)
    A = data.X[index].astype(np.float64)  # float32 overflows where squares of its values do not
    s = data.s[index] / data.s[index].sum()
    trace = s @ _squared_norms(A, mean, data.origin(mean), scale)
    v, largest = np.ones(objective.d), 0.0
    for _ in range(30):
        scores = A @ (scale * v) - mean @ (scale * v)
        product = scale * ((s * scores) @ A - mean * (s @ scores))
        largest = float(np.linalg.norm(product))
        if largest == 0.0:
            break
        v = product / largest
    return largest, max(float(trace), largest)
