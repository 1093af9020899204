"""Rows of X, dense or CSR: the only file that knows how X is stored.

Both classes answer the same calls on a `Tile`, a few dozen rows that stay in the nearest cache.  X keeps its dtype
(float32 is read at float32's traffic) and is never copied, scaled or centred; all arithmetic is float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import row_norms

from ._jit import ORDERED, kernel, struct, writable


class Tile(NamedTuple):
    """Room for the rows that a kernel works on at one time."""

    row: np.ndarray  # (m,) the numbers of the rows in X
    targets: np.ndarray  # (T, m)
    weights: np.ndarray  # (m,)
    Z: np.ndarray  # (K, m) scores, turned into residuals in place: loops over rows vectorise for any K
    values: np.ndarray  # what the storage needs: see `workspace`


@struct
class Dense(NamedTuple):
    """A C-contiguous array (n, d)."""

    values: np.ndarray

    def workspace(self, size, columns):
        """Room for a tile's rows, where they go through matrix products (K > 1)."""
        return np.empty((size, self.values.shape[1] if columns > 1 else 1))

    def scores(self, tile, W, b):
        """tile.Z = (X W + b)' of the tile's rows, for W (d, K) and b (K,)."""
        row, Z = tile.row, tile.Z
        if W.shape[1] == 1:
            w = W.reshape(-1)
            for i in range(len(row)):
                x = self.values[row[i]]
                z = 0.0
                for j in range(len(w)):
                    z += x[j] * w[j]
                Z[0, i] = z + b[0]
        else:
            self.densify(row, tile.values)
            np.dot(W.T, tile.values.T, Z)
            for k in range(Z.shape[0]):
                for i in range(Z.shape[1]):
                    Z[k, i] += b[k]

    def accumulate(self, tile, G):
        """G (at least d, K) += X' R of the tile's rows, R = tile.Z'; follows `scores` on the same tile."""
        row, R, d = tile.row, tile.Z, self.values.shape[1]
        if G.shape[1] == 1:
            g = G.reshape(-1)
            four = len(row) // 4 * 4
            for i in range(0, four, 4):  # four rows at a time: g is read and written once for them
                r0, r1, r2, r3 = R[0, i], R[0, i + 1], R[0, i + 2], R[0, i + 3]
                x0, x1 = self.values[row[i]], self.values[row[i + 1]]
                x2, x3 = self.values[row[i + 2]], self.values[row[i + 3]]
                for j in range(d):
                    g[j] += r0 * x0[j] + r1 * x1[j] + r2 * x2[j] + r3 * x3[j]
            for i in range(four, len(row)):
                x = self.values[row[i]]
                for j in range(d):
                    g[j] += R[0, i] * x[j]
        else:
            product = np.empty((d, G.shape[1]))
            np.dot(tile.values.T, R.T, product)
            for j in range(d):
                for k in range(G.shape[1]):
                    G[j, k] += product[j, k]

    def row_scores(self, i, W, b, z):
        """z (K,) = x_i W + b, of one row."""
        x = self.values[i]
        for k in range(len(z)):
            z[k] = b[k]
        for j in range(len(x)):
            for k in range(len(z)):
                z[k] += x[j] * W[j, k]

    def add_row(self, i, r, W):
        """W (d, K) += x_i r'."""
        x = self.values[i]
        for j in range(len(x)):
            for k in range(len(r)):
                W[j, k] += x[j] * r[k]

    def densify(self, index, out):
        """Copy rows into out (m, at least d)."""
        for i in range(len(index)):
            x = self.values[index[i]]
            for j in range(len(x)):
                out[i, j] = x[j]

    def moments(self, first, last, s, shift, out):
        """Add sums over the stored values x of each column, of s, s (x - shift), s (x - shift)^2 and 1, to out (4, d)."""
        for i in range(first, last):
            x = self.values[i]
            for j in range(len(x)):
                centred = x[j] - shift[j]
                out[0, j] += s[i]
                out[1, j] += s[i] * centred
                out[2, j] += s[i] * centred * centred
                out[3, j] += 1.0


@kernel(fastmath=ORDERED)
def sparse_dot(data, indices, first, last, w):
    """sum_p data[p] w[indices[p]] over first <= p < last."""
    total = 0.0
    for p in range(first, last):
        total += data[p] * w[indices[p]]
    return total


@struct
class CSR(NamedTuple):
    """Compressed sparse rows, indices of 32 or 64 bits; every call costs O(nonzeros x K)."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def workspace(self, size, columns):
        """Room for one row's scores."""
        return np.empty((1, columns))

    def scores(self, tile, W, b):
        row, Z = tile.row, tile.Z
        if W.shape[1] == 1:
            w = W.reshape(-1)
            for i in range(len(row)):
                first, last = self.indptr[row[i]], self.indptr[row[i] + 1]
                Z[0, i] = sparse_dot(self.data, self.indices, first, last, w) + b[0]
        else:
            z_row = tile.values[0]
            for i in range(len(row)):
                for k in range(len(b)):
                    z_row[k] = b[k]
                for p in range(self.indptr[row[i]], self.indptr[row[i] + 1]):
                    x, w = self.data[p], W[self.indices[p]]
                    for k in range(len(b)):
                        z_row[k] += x * w[k]
                for k in range(len(b)):
                    Z[k, i] = z_row[k]

    def accumulate(self, tile, G):
        row, R = tile.row, tile.Z
        if G.shape[1] == 1:
            g = G.reshape(-1)
            for i in range(len(row)):
                r = R[0, i]
                for p in range(self.indptr[row[i]], self.indptr[row[i] + 1]):
                    g[self.indices[p]] += r * self.data[p]
        else:
            r_row = tile.values[0]
            for i in range(len(row)):
                for k in range(len(r_row)):
                    r_row[k] = R[k, i]
                for p in range(self.indptr[row[i]], self.indptr[row[i] + 1]):
                    x, g_row = self.data[p], G[self.indices[p]]
                    for k in range(len(r_row)):
                        g_row[k] += x * r_row[k]

    def row_scores(self, i, W, b, z):
        if len(z) == 1:
            z[0] = b[0] + sparse_dot(self.data, self.indices, self.indptr[i], self.indptr[i + 1], W[:, 0])
        else:
            for k in range(len(z)):
                z[k] = b[k]
            for p in range(self.indptr[i], self.indptr[i + 1]):
                x, w = self.data[p], W[self.indices[p]]
                for k in range(len(z)):
                    z[k] += x * w[k]

    def add_row(self, i, r, W):
        if len(r) == 1:
            step = r[0]
            for p in range(self.indptr[i], self.indptr[i + 1]):
                W[self.indices[p], 0] += step * self.data[p]
        else:
            for p in range(self.indptr[i], self.indptr[i + 1]):
                x, w = self.data[p], W[self.indices[p]]
                for k in range(len(r)):
                    w[k] += x * r[k]

    def densify(self, index, out):
        out[:] = 0.0
        for i in range(len(index)):
            for p in range(self.indptr[index[i]], self.indptr[index[i] + 1]):
                out[i, self.indices[p]] = self.data[p]

    def moments(self, first, last, s, shift, out):
        for i in range(first, last):
            for p in range(self.indptr[i], self.indptr[i + 1]):
                j = self.indices[p]
                centred = self.data[p] - shift[j]
                out[0, j] += s[i]
                out[1, j] += s[i] * centred
                out[2, j] += s[i] * centred * centred
                out[3, j] += 1.0


def rows_of(X) -> Dense | CSR:
    """The rows of a validated X: a C-contiguous array, or a CSR matrix; nothing is copied but duplicate CSR entries."""
    if sp.issparse(X):
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        return CSR(writable(X.data), writable(X.indices), writable(X.indptr))
    return Dense(writable(np.require(X, requirements=["C", "A"])))


def squared_norms(rows: Dense | CSR, d: int) -> np.ndarray:
    """|x_i|^2 of all rows, (n,)."""
    if isinstance(rows, Dense):
        return np.asarray(row_norms(rows.values, squared=True), dtype=float)
    return np.asarray(row_norms(sp.csr_matrix(tuple(rows), shape=(len(rows.indptr) - 1, d)), squared=True), dtype=float)


def stored_entries(X) -> int:
    """Entries of X that a pass reads."""
    return X.nnz if sp.issparse(X) else X.size


@kernel
def new_tile(rows, targets, columns, size):
    """A tile of `size` rows for `columns` scores and `targets` target values a row."""
    return Tile(
        np.empty(size, np.int64),
        np.empty((targets, size)),
        np.empty(size),
        np.empty((columns, size)),
        rows.workspace(size, columns),
    )
