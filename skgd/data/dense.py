"""Dense rows: products with a C-contiguous array, one tile of rows at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import linked, prefetch, struct
from ..compiled.linking import borrows

WIDE = 192  # number of columns from which BLAS multiplies tiles faster than `add_products`
BAND = 128  # rows of H that BLAS computes at once; half of a band's diagonal block is computed in vain
LINE = 64  # bytes that processors bring from memory at once
# Up to this number of columns, rows are fetched ahead, and scores are computed for two rows at a time.  With more columns both
# are slower than what processors fetch by themselves.
NARROW = 128


@linked
@borrows
def fetch_row(values, i):
    """Ask the processor to bring row i of a C-contiguous array into its second cache, if the row is narrow."""
    if values.shape[1] <= NARROW:
        for j in range(0, values.shape[1], LINE // values.itemsize):
            prefetch(values, (i, j))


@linked
def multiply(A, B, out):
    """Write A B into out.  It counts the reference to `out` that NumPy returns, for callers that count none."""
    np.dot(A, B, out)


@linked
def add_products(A, B, m, H):
    """Add B A' to the lower triangle of H (D, D), with the first m columns of A and B.  Blocks of 4 x 2 stay in registers."""
    D = len(H)
    for j in range(0, D // 4 * 4, 4):
        b0, b1, b2, b3 = B[j], B[j + 1], B[j + 2], B[j + 3]
        for k in range(0, j + 4, 2):  # the pair (j + 2, j + 3) crosses the diagonal, and its upper entries go unused
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


@linked
def add_products_in_bands(A, B, H):
    """Do the same with all columns of A and B by BLAS, for one band of rows of H at a time, up to the diagonal."""
    for first in range(0, len(H), BAND):
        last = min(first + BAND, len(H))
        product = np.empty((last - first, last))
        np.dot(B[first:last], A[:last].T, product)
        for j in range(first, last):
            for k in range(j + 1):
                H[j, k] += product[j - first, k]


@struct
class Dense(NamedTuple):
    """A C-contiguous array (n, d) of float32 or float64."""

    values: np.ndarray

    def workspace(self, size, K):
        """Work space for matrix products (K > 1): the rows of a tile in float64, and below them K rows for a product."""
        return np.empty((size + K if K > 1 else 1, self.values.shape[1]))

    @borrows
    def load(self, tile):
        """Copy the tile's rows to the work space from which `accumulate` reads them; `scores` calls this."""
        if len(tile.Z) > 1:
            for i in range(len(tile.row)):
                x = self.values[tile.row[i]]
                for j in range(len(x)):
                    tile.values[i, j] = x[j]

    @borrows
    def scores(self, tile, W, b):
        """Set tile.Z (K, m) to the scores (X W + b)' of the tile's rows, for W (d, K) and b (K,)."""
        row, Z = tile.row, tile.Z
        if W.shape[1] == 1:
            w = W.reshape(-1)
            two = len(row) // 2 * 2 if len(w) <= NARROW else 0
            for i in range(0, two, 2):  # for two rows, w is read only once
                fetch_row(self.values, tile.ahead[i])
                x0, x1 = self.values[row[i]], self.values[row[i + 1]]
                z0, z1 = b[0], b[0]
                for j in range(len(w)):
                    z0 += x0[j] * w[j]
                    z1 += x1[j] * w[j]
                Z[0, i], Z[0, i + 1] = z0, z1
            for i in range(two, len(row)):  # processors foresee what a loop over one wide row after another reads next
                x = self.values[row[i]]
                z = b[0]
                for j in range(len(w)):
                    z += x[j] * w[j]
                Z[0, i] = z
        else:
            self.load(tile)
            multiply(W.T, tile.values[: len(row)].T, Z)
            for k in range(Z.shape[0]):
                for i in range(Z.shape[1]):
                    Z[k, i] += b[k]

    @borrows
    def accumulate(self, tile, G):
        """Add X' R to the first d rows of G, for the tile's rows and R = tile.Z'.  Call `scores` or `load` before."""
        row, R, d = tile.row, tile.Z, self.values.shape[1]
        if G.shape[1] == 1:
            g = G.reshape(-1)
            four = len(row) // 4 * 4
            for i in range(0, four, 4):  # for four rows, g is read and written only once
                fetch_row(self.values, tile.ahead[i + 1])  # `scores` has fetched the even ones
                fetch_row(self.values, tile.ahead[i + 3])
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
            product = tile.values[len(row) :]
            multiply(R, tile.values[: len(row)], product)
            for j in range(d):
                for k in range(G.shape[1]):
                    G[j, k] += product[k, j]

    @borrows
    def row_dot(self, i, W):
        """The product x_i W[:, 0] for one row."""
        x, z = self.values[i], 0.0
        for j in range(len(x)):
            z += x[j] * W[j, 0]
        return z

    def add_multiple(self, i, step, W):
        """Add step x_i to W[:, 0]."""
        x = self.values[i]
        for j in range(len(x)):
            W[j, 0] += step * x[j]

    def row_scores(self, i, W, b, z):
        """Set z (K,) to the scores x_i W + b of one row."""
        x = self.values[i]
        for k in range(len(z)):
            z[k] = b[k]
        for j in range(len(x)):
            for k in range(len(z)):
                z[k] += x[j] * W[j, k]

    def add_row(self, i, r, W):
        """Add x_i r' to W (d, K)."""
        x = self.values[i]
        for j in range(len(x)):
            for k in range(len(r)):
                W[j, k] += x[j] * r[k]

    def gram_workspace(self, size, d):
        """Work space for the columns of a tile of standardised rows, and for the same times weights.

        The column is the first axis, so that loops over rows vectorise.
        """
        return np.empty((2, d + 1, size))

    @borrows
    def standardise(self, index, mean, scale, room):
        """Write the columns of x~ = scale * (x - mean, 1) for the m rows `index` to room[0, :, :m]."""
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
            for j in range(len(H)):
                for i in range(m, A.shape[1]):
                    A[j, i], B[j, i] = 0.0, 0.0
            add_products_in_bands(A, B, H)
        else:
            add_products(A, B, m, H)

    def standardise_gram(self, mean, origin, scale, H):
        """Do nothing, because the rows were standardised before their products were summed."""

    @borrows
    def add_squares(self, index, c, mean, origin, scale, q):
        """Add sum_i c_i (scale^2 ((x_i - mean)^2 - (origin - mean)^2), 1) to q (d + 1,); for dense rows origin = mean."""
        d = self.values.shape[1]
        for i in range(len(index)):
            x = self.values[index[i]]
            for j in range(d):
                centred = scale[j] * (x[j] - mean[j])
                q[j] += c[i] * centred * centred
            q[d] += c[i]

    @borrows
    def moments(self, first, last, s, shift, out):
        """Add the sums of s, s (x - shift), s (x - shift)^2 and 1 over the stored values x of each column to out (4, d)."""
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
        weight = 0.0
        for i in range(first, last):
            weight += s[i]
        for j in range(d):
            out[0, j] += weight
            out[3, j] += last - first
