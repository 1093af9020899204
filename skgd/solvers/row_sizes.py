"""The size of the rows of an objective: the spectrum of their second moments, and their largest norm.

Rates of steps that are not whitened are derived from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ..objective import Objective

SAMPLE = 1000  # The spectrum is estimated from at most so many rows.  Norms are computed for as many at a time.
POWER_ITERATIONS = 30  # the number of power iterations for the largest eigenvalue


def largest_squared_row_norm(objective: Objective) -> float:
    """The largest squared norm of a standardised row.  One pass over X."""
    mean, scale = objective.coordinates.mean, objective.coordinates.scale[:-1]
    data, largest = objective.data.representative, 0.0
    origin = data.origin(mean)
    for first in range(0, data.n, SAMPLE):
        A = data.X[first : first + SAMPLE].astype(np.float64)
        largest = max(largest, float(_squared_norms(A, mean, origin, scale).max()))
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


def spectrum(objective: Objective) -> tuple[float, float]:
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
