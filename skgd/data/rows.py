"""Rows of X, dense or CSR: the only file that knows how X is stored.

Both classes answer the same calls on a `Tile`, a few dozen rows that stay in the nearest cache.  X keeps its dtype
(float32 is read at float32's traffic) and is never copied, scaled or centred; all arithmetic is float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import min_max_axis

from ..compiled.jit import ORDERED, kernel, struct, writable

WIDE = 192  # columns from which BLAS multiplies tiles faster than `add_products`
BAND = 128  # rows of a product that BLAS computes up to the diagonal, and a bit beyond


class Tile(NamedTuple):
    """Room for the rows that a kernel works on at one time."""

    row: np.ndarray  # (m,) the numbers of the rows in X
    targets: np.ndarray  # (T, m)
    weights: np.ndarray  # (m,)
    Z: np.ndarray  # (K, m) scores, turned into residuals in place: loops over rows vectorise for any K
    values: np.ndarray  # what the storage needs: see `workspace`


@kernel
def add_products(A, B, m, H):
    """Add B A' to the lower triangle of H (D, D), for A and B (D, at least m); 4 x 2 entries at a time stay in registers."""
    D = len(H)
    for j in range(0, D // 4 * 4, 4):
        b0, b1, b2, b3 = B[j], B[j + 1], B[j + 2], B[j + 3]
        for k in range(0, j + 4, 2):  # even j: the pair (j + 2, j + 3) crosses the diagonal, and its upper entries go unused
            a0, a1 = A[k], A[k + 1]
            h00, h01, h10, h11, h20, h21, h30, h31 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(m):
                h00 += b0[i] * a0[i]
                h01 += b0[i] * a1[i]
                h10 += b1[i] * a0[i]
                h11 += b1[i] * a1[i]
                h20 += b2[i] * a0[i]
                h21 += b2[i] * a1[i]
                h30 += b3[i] * a0[i]
                h31 += b3[i] * a1[i]
            H[j, k] += h00
            H[j, k + 1] += h01
            H[j + 1, k] += h10
            H[j + 1, k + 1] += h11
            H[j + 2, k] += h20
            H[j + 2, k + 1] += h21
            H[j + 3, k] += h30
            H[j + 3, k + 1] += h31
    for j in range(D // 4 * 4, D):
        for k in range(j + 1):
            total = 0.0
            for i in range(m):
                total += B[j, i] * A[k, i]
            H[j, k] += total


@struct
class Dense(NamedTuple):
    """A C-contiguous array (n, d)."""

    values: np.ndarray

    def workspace(self, size, columns):
        """Room for a tile's rows, where they go through matrix products (K > 1)."""
        return np.empty((size, self.values.shape[1] if columns > 1 else 1))

    def load(self, tile):
        """Bring the tile's rows to where `accumulate` reads them; `scores` does that, too."""
        if len(tile.Z) > 1:
            self.densify(tile.row, tile.values)

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
            self.load(tile)
            np.dot(W.T, tile.values.T, Z)
            for k in range(Z.shape[0]):
                for i in range(Z.shape[1]):
                    Z[k, i] += b[k]

    def accumulate(self, tile, G):
        """G (at least d, K) += X' R of the tile's rows, R = tile.Z'; follows `scores` or `load` on the same tile."""
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

    def row_dot(self, i, W):
        """x_i W[:, 0], of one row."""
        x, z = self.values[i], 0.0
        for j in range(len(x)):
            z += x[j] * W[j, 0]
        return z

    def add_multiple(self, i, step, W):
        """W[:, 0] += step x_i."""
        x = self.values[i]
        for j in range(len(x)):
            W[j, 0] += step * x[j]

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

    def whole_columns(self, d):
        """Of which of the d columns every row has an entry, (d,)."""
        return np.ones(d, np.bool_)

    def gram_workspace(self, size, d):
        """Room for a tile of standardised rows and for the same with weights: columns first, so loops over rows vectorise."""
        return np.empty((2, d + 1, size))

    def standardise(self, index, mean, scale, room):
        """Fill room[0] (D, at least m) with the columns of x~ = scale * (x - mean, 1) of m rows."""
        d = self.values.shape[1]
        for i in range(len(index)):
            x = self.values[index[i]]
            for j in range(d):
                room[0, j, i] = (x[j] - mean[j]) * scale[j]
            room[0, d, i] = scale[d]

    def add_gram(self, index, c, origin, scale, room, H):
        """Add sum_i c_i x~_i x~_i' of the standardised rows to the lower triangle of H (D, D)."""
        A, B, m = room[0], room[1], len(index)
        for j in range(len(H)):
            for i in range(m):
                B[j, i] = c[i] * A[j, i]
        if len(H) > WIDE:
            A[:, m:], B[:, m:] = 0.0, 0.0
            for first in range(0, len(H), BAND):  # bands of rows, each up to the diagonal
                last = min(first + BAND, len(H))
                product = np.empty((last - first, last))
                np.dot(B[first:last], A[:last].T, product)
                for j in range(first, last):
                    for k in range(j + 1):
                        H[j, k] += product[j - first, k]
        else:
            add_products(A, B, m, H)

    def standardise_gram(self, mean, origin, scale, H):
        """Nothing is left to do: the rows were standardised."""

    def add_squares(self, index, c, mean, origin, scale, q):
        """Add sum_i c_i (scale^2 ((x_i - mean)^2 - (origin - mean)^2), 1) to q (d + 1,); here the origin is the mean."""
        d = self.values.shape[1]
        for i in range(len(index)):
            x = self.values[index[i]]
            for j in range(d):
                centred = scale[j] * (x[j] - mean[j])
                q[j] += c[i] * centred * centred
            q[d] += c[i]

    def moments(self, first, last, s, shift, out):
        """Add sums over the stored values x of each column, of s, s (x - shift), s (x - shift)^2 and 1, to out (4, d)."""
        d = len(shift)
        four = first + (last - first) // 4 * 4
        for i in range(first, four, 4):  # four rows at a time, as in `accumulate`
            x0, x1, x2, x3 = self.values[i], self.values[i + 1], self.values[i + 2], self.values[i + 3]
            s0, s1, s2, s3 = s[i], s[i + 1], s[i + 2], s[i + 3]
            for j in range(d):
                c0, c1, c2, c3 = x0[j] - shift[j], x1[j] - shift[j], x2[j] - shift[j], x3[j] - shift[j]
                out[1, j] += s0 * c0 + s1 * c1 + s2 * c2 + s3 * c3
                out[2, j] += s0 * c0 * c0 + s1 * c1 * c1 + s2 * c2 * c2 + s3 * c3 * c3
        for i in range(four, last):
            x = self.values[i]
            for j in range(d):
                centred = x[j] - shift[j]
                out[1, j] += s[i] * centred
                out[2, j] += s[i] * centred * centred
        out[0] += s[first:last].sum()
        out[3] += last - first


@kernel(fastmath=ORDERED)
def sparse_dot(data, indices, first, last, W):
    """sum_p data[p] W[indices[p], 0] over first <= p < last."""
    total = 0.0
    for p in range(first, last):
        total += data[p] * W[indices[p], 0]
    return total


@struct
class CSR(NamedTuple):
    """Compressed sparse rows, unsigned indices of 32 or 64 bits; every call costs O(nonzeros x K)."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def workspace(self, size, columns):
        """Room for one row's scores."""
        return np.empty((1, columns))

    def load(self, tile):
        """Nothing: `accumulate` reads the rows where they are."""

    def scores(self, tile, W, b):
        row, Z = tile.row, tile.Z
        if W.shape[1] == 1:
            for i in range(len(row)):
                first, last = self.indptr[row[i]], self.indptr[row[i] + 1]
                Z[0, i] = sparse_dot(self.data, self.indices, first, last, W) + b[0]
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

    def row_dot(self, i, W):
        return sparse_dot(self.data, self.indices, self.indptr[i], self.indptr[i + 1], W)

    def add_multiple(self, i, step, W):
        for p in range(self.indptr[i], self.indptr[i + 1]):
            W[self.indices[p], 0] += step * self.data[p]

    def row_scores(self, i, W, b, z):
        for k in range(len(z)):
            z[k] = b[k]
        for p in range(self.indptr[i], self.indptr[i + 1]):
            x, w = self.data[p], W[self.indices[p]]
            for k in range(len(z)):
                z[k] += x * w[k]

    def add_row(self, i, r, W):
        for p in range(self.indptr[i], self.indptr[i + 1]):
            x, w = self.data[p], W[self.indices[p]]
            for k in range(len(r)):
                w[k] += x * r[k]

    def densify(self, index, out):
        out[:] = 0.0
        for i in range(len(index)):
            for p in range(self.indptr[index[i]], self.indptr[index[i] + 1]):
                out[i, self.indices[p]] = self.data[p]

    def whole_columns(self, d):
        seen = np.zeros(d, np.int64)  # rows from the first on that store the column without a gap
        for i in range(len(self.indptr) - 1):
            gapless = 0
            for p in range(self.indptr[i], self.indptr[i + 1]):
                if seen[self.indices[p]] == i:
                    seen[self.indices[p]] += 1
                    gapless += 1
            if gapless == 0:
                break
        return seen == len(self.indptr) - 1

    def gram_workspace(self, size, d):
        """Room for one row's entries."""
        return np.empty((1, 1, d))

    def standardise(self, index, mean, scale, room):
        """Left to `standardise_gram`: a standardised row has no zeros."""

    def add_gram(self, index, c, origin, scale, room, H):
        """Add sum_i c_i (y_i, 1) (y_i, 1)', y = scale * (x - origin), to the lower triangle of H: nonzeros^2 / 2 products."""
        d, y = len(H) - 1, room[0, 0]
        for i in range(len(index)):
            first, last = self.indptr[index[i]], self.indptr[index[i] + 1]
            columns, x = self.indices[first:last], self.data[first:last]
            for p in range(len(columns)):  # sorted columns
                h = H[columns[p]]
                y[p] = scale[columns[p]] * (x[p] - origin[columns[p]])
                cy = c[i] * y[p]
                for q in range(p + 1):
                    h[columns[q]] += cy * y[q]
                H[d, columns[p]] += cy
            H[d, d] += c[i]

    def standardise_gram(self, mean, origin, scale, H):
        """Turn sums over (y, 1) into those over x~, with x~ x~' = T (y, 1) (y, 1)' T'."""
        d = len(H) - 1
        apart = scale[:d] * (mean - origin)
        for j in range(d):
            for k in range(j + 1):
                H[j, k] += apart[j] * apart[k] * H[d, d] - apart[j] * H[d, k] - apart[k] * H[d, j]
        for k in range(d):
            H[d, k] = scale[d] * (H[d, k] - apart[k] * H[d, d])
        H[d, d] *= scale[d] * scale[d]

    def add_squares(self, index, c, mean, origin, scale, q):
        """Rows without an entry add nothing: (x - mean)^2 - (origin - mean)^2 = (x - origin) (x + origin - 2 mean)."""
        d = len(q) - 1
        for i in range(len(index)):
            for p in range(self.indptr[index[i]], self.indptr[index[i] + 1]):
                j, x = self.indices[p], self.data[p]
                q[j] += c[i] * (scale[j] * (x - origin[j])) * (scale[j] * (x + origin[j] - 2.0 * mean[j]))
            q[d] += c[i]

    def moments(self, first, last, s, shift, out):
        for i in range(first, last):
            for p in range(self.indptr[i], self.indptr[i + 1]):
                j = self.indices[p]
                centred = self.data[p] - shift[j]
                out[0, j] += s[i]
                out[1, j] += s[i] * centred
                out[2, j] += s[i] * centred * centred
                out[3, j] += 1.0


def canonical(X):
    """X, or a copy whose CSR entries are sorted and have no duplicates."""
    if sp.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def rows_of(X) -> Dense | CSR:
    """The rows of a validated X: a C-contiguous array, or a CSR matrix; nothing is copied but duplicate CSR entries."""
    if sp.issparse(X):
        X = canonical(X)
        return CSR(writable(X.data), unsigned(X.indices), unsigned(X.indptr))
    return Dense(writable(np.require(X, requirements=["C", "A"])))


def column_ranges(X) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest entry of each column."""
    return min_max_axis(X, axis=0) if sp.issparse(X) else (X.min(axis=0), X.max(axis=0))


def unsigned(index: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers: compiled code need not ask whether they count from the end."""
    return writable(index).view(f"u{index.itemsize}")


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
