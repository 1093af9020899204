"""Sparse rows: products with a CSR matrix, row by row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import ORDERED, linked, struct
from ..compiled.linking import borrows


@linked(fastmath=ORDERED)
@borrows
def sparse_dot(data, indices, first, last, W):
    """The sum of data[p] W[indices[p], 0] over first <= p < last."""
    total = 0.0
    for p in range(first, last):
        total += data[p] * W[indices[p], 0]
    return total


@struct
class CSR(NamedTuple):
    """Compressed sparse rows (n, d) with unsigned indices of 32 or 64 bits.

    The methods are those of `Dense`.  Each takes a time proportional to the number of non-zeros in its rows, times K.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def workspace(self, size, K):
        """Work space for the scores of one row."""
        return np.empty((1, K))

    def load(self, tile):
        """Do nothing, because `accumulate` reads the rows from X itself."""

    @borrows
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

    @borrows
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

    def gram_workspace(self, size, d):
        """Work space for the entries of one row."""
        return np.empty((1, 1, d))

    def standardise(self, index, mean, scale, room):
        """Do nothing: a standardised row has no zeros, so `standardise_gram` standardises the sums of products instead."""

    @borrows
    def add_gram(self, index, c, origin, scale, room, H):
        """Add sum_i c_i (y_i, 1) (y_i, 1)', with y = scale * (x - origin), to the lower triangle of H.

        A row with z non-zeros takes z^2 / 2 products.
        """
        d, y = len(H) - 1, room[0, 0]
        for i in range(len(index)):
            first, last = self.indptr[index[i]], self.indptr[index[i] + 1]
            columns, x = self.indices[first:last], self.data[first:last]
            for p in range(len(columns)):  # the columns are sorted, so q <= p is in the lower triangle
                h = H[columns[p]]
                y[p] = scale[columns[p]] * (x[p] - origin[columns[p]])
                cy = c[i] * y[p]
                for q in range(p + 1):
                    h[columns[q]] += cy * y[q]
                H[d, columns[p]] += cy
            H[d, d] += c[i]

    def standardise_gram(self, mean, origin, scale, H):
        """Convert the sums for (y, 1) to sums for the standardised x~, which is a linear function of (y, 1)."""
        d = len(H) - 1
        apart = np.empty(d)
        for j in range(d):
            apart[j] = scale[j] * (mean[j] - origin[j])
        for j in range(d):
            for k in range(j + 1):
                H[j, k] += apart[j] * apart[k] * H[d, d] - apart[j] * H[d, k] - apart[k] * H[d, j]
        for k in range(d):
            H[d, k] = scale[d] * (H[d, k] - apart[k] * H[d, d])
        H[d, d] *= scale[d] * scale[d]

    @borrows
    def add_squares(self, index, c, mean, origin, scale, q):
        """Add the sums of `Dense.add_squares`, to which entries that are not stored contribute nothing.

        They are zero, and so is their origin, and (x - mean)^2 - (origin - mean)^2 = (x - origin) (x + origin - 2 mean).
        """
        d = len(q) - 1
        for i in range(len(index)):
            for p in range(self.indptr[index[i]], self.indptr[index[i] + 1]):
                j, x = self.indices[p], self.data[p]
                q[j] += c[i] * (scale[j] * (x - origin[j])) * (scale[j] * (x + origin[j] - 2.0 * mean[j]))
            q[d] += c[i]

    @borrows
    def moments(self, first, last, s, shift, out):
        for i in range(first, last):
            for p in range(self.indptr[i], self.indptr[i + 1]):
                j = self.indices[p]
                centred = self.data[p] - shift[j]
                out[0, j] += s[i]
                out[1, j] += s[i] * centred
                out[2, j] += s[i] * centred * centred
                out[3, j] += 1.0
