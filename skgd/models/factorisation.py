"""Solve with a positive semi-definite matrix: by Cholesky, or by eigenvectors where it is singular to rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg as la

from ..constants import EPS

SINGULAR = 1e-12  # An eigenvalue below this share of the largest is rounding, if the matrix has a unit diagonal.
NULL_ENTRY = 1e-13  # Entries of eigenvectors without curvature below this are rounding.
# The step along a direction without curvature must promise this share of what all other directions do.  A smaller one may be
# rounding: coefficients of a column that is there twice grew to 1e13 along slopes that were.
PROMISING = 1e-3


def factor(B: np.ndarray, flat_slope: float = np.inf) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Factorise a positive semi-definite matrix B (N, N).

    Parameters
    ----------
    B : ndarray of shape (N, N)
        Coordinates with a zero on its diagonal stay at zero.
    flat_slope : float
        A slope along a direction without curvature is followed if it is above this, in units in which B has a unit diagonal,
        and if its step promises more than the share `PROMISING`.  The step goes as far as the smallest eigenvalue that is no
        rounding would allow.  By default no such slope is followed, and the solution is of least norm.

    Returns
    -------
    solve : callable
        r -> B^-1 r, for r of shape (N,) or (N, m).
    null : ndarray of shape (N, m)
        A basis of the directions without curvature; m = 0 where Cholesky succeeds.
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
        steps[:flat] *= (np.abs(slopes[:flat]) > flat_slope) & (gains[:flat] > PROMISING * gains[flat:].sum(axis=0))
        return vectors @ steps

    return solve, null


def _without_rounding(null: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Eigenvectors (N, m) of the m eigenvalues that are zero, with their entries set to zero where these may be rounding.

    The nearer the next eigenvalue is, the more of its eigenvector may rounding have mixed in.
    """
    m = null.shape[1]
    distance = values[m] / values[-1] if m < len(values) else 1.0
    return np.where(np.abs(null) > max(NULL_ENTRY, len(null) * EPS / distance), null, 0.0)


def solve_matrix(B: np.ndarray, r: np.ndarray) -> np.ndarray:
    """B^-1 r, by `factor`."""
    return factor(B)[0](r)
