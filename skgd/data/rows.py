"""The storage of X: dense arrays or CSR matrices."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import min_max_axis

from ..compiled.jit import writable
from .csr import CSR
from .dense import Dense

FIRST_ROWS = 1000  # rows that are checked first; usually they show already that no column is stored in all rows


def canonical(X):
    """X itself, or a copy of a CSR matrix whose entries were not sorted or had duplicates."""
    if sp.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def rows_of(X) -> Dense | CSR:
    """The rows of a validated X, a C-contiguous array or a CSR matrix.  Only CSR in non-canonical form is copied."""
    if sp.issparse(X):
        X = canonical(X)
        return CSR(writable(X.data), unsigned(X.indices), unsigned(X.indptr))
    return Dense(writable(np.require(X, requirements=["C", "A"])))


def column_ranges(X) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest entry of each column."""
    return min_max_axis(X, axis=0) if sp.issparse(X) else (X.min(axis=0), X.max(axis=0))


def unsigned(index: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers, so that compiled code need not check for negative indices."""
    return writable(index).view(f"u{index.itemsize}")


def stored_entries(X) -> int:
    """The number of entries of X that a pass reads."""
    return X.nnz if sp.issparse(X) else X.size


def dense_row(X, i: int) -> np.ndarray:
    """One row (d,) as a dense float64 array."""
    row = X[[i]].toarray()[0] if sp.issparse(X) else X[i]
    return row.astype(np.float64)


def whole_columns(X) -> np.ndarray:
    """Whether each column (d,) has a stored entry in every row."""
    n, d = X.shape
    whole = np.ones(d, np.bool_)
    if sp.issparse(X):
        for stop in (min(n, FIRST_ROWS), n):
            whole = np.bincount(X.indices[: X.indptr[stop]], minlength=d) == stop
            if not whole.any():
                break
    return whole
