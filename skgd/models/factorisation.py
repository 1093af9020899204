"""Solve linear systems with a positive semi-definite matrix: by Cholesky, or by eigenvectors if the matrix is singular.

A direction has no curvature if the matrix maps it to zero up to rounding errors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg as la

from ..constants import EPS

SINGULAR = 1e-12  # An eigenvalue below this share of the largest one is a rounding error, if the matrix has a unit diagonal.
NULL_ENTRY = 1e-13  # Entries below this are rounding errors, in eigenvectors of length one without curvature.
# The step along a direction without curvature is taken only if its gain is at least this share of the gain of all directions
# with curvature.  A smaller gain may be a rounding error: along such slopes the coefficients of a duplicate column grew to
# 1e13.
PROMISING = 1e-3


def factor(B: np.ndarray, flat_slope: float = np.inf) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Factorise a positive semi-definite matrix B (N, N).

    Parameters
    ----------
    B : ndarray of shape (N, N)
        Solutions are zero in the coordinates in which B has a zero on its diagonal.
    flat_slope : float
        B is first scaled to a unit diagonal.  A direction without curvature is part of the solution only if the slope along it
        is above `flat_slope`, in these units, and if its gain exceeds the share `PROMISING`.  Its length is then what the
        eigenvalue `SINGULAR` would allow.  By default no such direction is part of the solution, which has least norm.

    Returns
    -------
    solve : callable
        Maps r to B^-1 r, for r of shape (N,) or (N, m).
    null : ndarray of shape (N, m)
        A basis of the directions without curvature.  m = 0 where the Cholesky factorisation succeeds.
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
    """The eigenvectors `null` (N, m) of the m zero eigenvalues, with entries that may be rounding errors set to zero.

    Rounding mixes these eigenvectors with the next one.  It mixes in the more of it, the smaller the next eigenvalue is.
    """
    m = null.shape[1]
    distance = values[m] / values[-1] if m < len(values) else 1.0
    return np.where(np.abs(null) > max(NULL_ENTRY, len(null) * EPS / distance), null, 0.0)


def solve_matrix(B: np.ndarray, r: np.ndarray) -> np.ndarray:
    """B^-1 r, the solution of least norm if B is singular."""
    return factor(B)[0](r)
