"""Rows of X, dense and CSR: what they share with X, and what they read from it."""

import numpy as np
import pytest
import scipy.sparse as sp

from skgd.data import kernels
from skgd.data.csr import CSR
from skgd.data.dense import Dense, add_products
from skgd.data.kernels import Chunks, Coefficients
from skgd.data.rows import dense_row, rows_of, stored_entries, whole_columns
from skgd.data.tiles import new_tile


def data(n=11, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * (rng.uniform(size=(n, d)) < 0.6)


def arrays_of(X):
    return [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]


def read_only(X):
    for array in arrays_of(X):
        array.flags.writeable = False
    return X


def with_duplicates(dtype=np.float64):
    """A CSR matrix with entries out of order and in parts, and what it stands for."""
    X = sp.csr_matrix(
        (np.array([1.0, 2.0, 4.0, 8.0, 16.0], dtype), np.array([2, 0, 2, 1, 1]), np.array([0, 3, 3, 5])), shape=(3, 3)
    )
    return X, np.array([[2.0, 0.0, 5.0], [0.0, 0.0, 0.0], [0.0, 24.0, 0.0]])


def densified(X):
    """All rows as kernels read them: scores of the coefficients that are an identity matrix."""
    (n, d), rows = X.shape, rows_of(X)
    out = np.full((d, n), np.nan)
    kernels.scores(rows, Coefficients(np.eye(d), np.zeros(d)), out, Chunks(np.array([0, n]), 0, 1), 8)
    return out.T


@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_rows_share_the_memory_of_x(storage, writeable):
    X = storage(data())
    if not writeable:
        read_only(X)
    rows = rows_of(X)
    for mine, theirs in zip(rows, arrays_of(X), strict=True):
        assert np.shares_memory(mine, theirs)
        assert mine.itemsize == theirs.itemsize
        assert theirs.flags.writeable == writeable


def test_memory_maps_are_not_copied(tmp_path):
    np.save(tmp_path / "X.npy", data())
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    rows = rows_of(X)
    assert np.shares_memory(rows.values, X)
    np.testing.assert_array_equal(densified(X), data())


def test_rows_keep_the_memory_of_a_read_only_array_alive():
    rows = rows_of(read_only(data(500, 40)))
    np.testing.assert_array_equal(rows.values, data(500, 40))


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_read_only_rows_are_of_the_type_of_writable_ones(storage):
    """Numba's types differ otherwise, and every kernel would compile again."""
    numba = pytest.importorskip("numba")
    assert numba.typeof(rows_of(read_only(storage(data())))) == numba.typeof(rows_of(storage(data())))


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_csr_indices_of_either_size_are_kept_as_unsigned_integers(index_dtype):
    X = sp.csr_matrix(data())
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    rows = rows_of(X)
    assert isinstance(rows, CSR)
    for kept, index in ((rows.indices, X.indices), (rows.indptr, X.indptr)):
        assert np.shares_memory(kept, index)
        assert (kept.dtype.kind, kept.itemsize) == ("u", index.itemsize)
    np.testing.assert_array_equal(densified(X), data())


def test_duplicate_entries_are_summed_and_x_stays_as_it_is():
    X, expected = with_duplicates()
    before = [array.copy() for array in arrays_of(X)]
    rows = rows_of(X)
    assert len(rows.data) == 3
    for array, old in zip(arrays_of(X), before, strict=True):
        np.testing.assert_array_equal(array, old)
    np.testing.assert_array_equal(densified(X), expected)


def test_read_only_duplicate_entries_are_summed():
    X, expected = with_duplicates()
    np.testing.assert_array_equal(densified(read_only(X)), expected)


def test_arrays_in_fortran_order_are_put_in_order():
    rows = rows_of(np.asfortranarray(data()))
    assert isinstance(rows, Dense)
    assert rows.values.flags.c_contiguous
    np.testing.assert_array_equal(rows.values, data())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_one_row_is_copied_as_float64(storage, dtype):
    X = data().astype(dtype)
    row = dense_row(storage(X), 7)
    assert row.dtype == np.float64
    assert not np.shares_memory(row, X)
    np.testing.assert_array_equal(row, X[7])


def test_stored_entries_counts_what_a_pass_reads():
    X = data()
    assert stored_entries(X) == 44
    assert stored_entries(sp.csr_matrix(X)) == np.count_nonzero(X)


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_a_tile_is_scored_and_accumulated(storage, K):
    """The methods as plain Python, on rows in any order."""
    X, index = data(), np.array([3, 9, 3, 0, 10, 5])
    rng = np.random.default_rng(1)
    W, b, R = rng.normal(size=(4, K)), rng.normal(size=K), rng.normal(size=(K, 6))
    rows = rows_of(storage(X))
    tile = new_tile(rows, 1, K, 6)
    tile.row[:] = index
    rows.scores(tile, W, b)
    np.testing.assert_allclose(tile.Z, (X[index] @ W + b).T, rtol=1e-13, atol=1e-14)
    tile.Z[:] = R
    G = np.ones((4, K))
    rows.accumulate(tile, G)
    np.testing.assert_allclose(G, 1.0 + X[index].T @ R.T, rtol=1e-13, atol=1e-14)


# ---------------------------------------------------------------- products
@pytest.mark.parametrize("D", [1, 2, 3, 4, 5, 7, 8, 11])
@pytest.mark.parametrize("m", [1, 5, 8])
def test_add_products_is_the_lower_triangle_of_the_product(m, D):
    """Added to what was there, from the first m of 8 columns, whatever the others hold."""
    rng = np.random.default_rng(D)
    A, B, H = (rng.normal(size=(D, size)) for size in (8, 8, D))
    A[:, m:] = B[:, m:] = np.nan
    expected = H + B[:, :m] @ A[:, :m].T
    add_products(A, B, m, H)
    np.testing.assert_allclose(np.tril(H), np.tril(expected), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_gram_of_standardised_rows(storage):
    """The methods as plain Python, on rows in any order, fewer than there is room for."""
    X, index, c = data(), np.array([3, 9, 3, 0, 10]), np.array([0.5, 2.0, 1.0, 0.1, 3.0])
    mean, scale = np.array([1.0, -2.0, 0.3, 0.0]), np.array([0.5, 2.0, 0.0, 1.0, 1.7])
    X[:, :2] += 10.0  # stored in all rows
    rows, H = rows_of(storage(X)), np.zeros((5, 5))
    origin, room = mean * whole_columns(storage(X)), rows.gram_workspace(8, 4)
    rows.standardise(index, mean, scale, room)
    rows.add_gram(index, c, origin, scale, room, H)
    rows.standardise_gram(mean, origin, scale, H)
    A = np.column_stack([X[index] - mean, np.ones(5)]) * scale
    np.testing.assert_allclose(np.tril(H), np.tril((A.T * c) @ A), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("rows", "whole"),
    [
        ([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]], [True, True, False]),
        ([[0.0, 2.0, 1.0], [3.0, 4.0, 5.0]], [False, True, True]),
        ([[1.0, 0.0, 0.0], [0.0, 4.0, 0.0], [1.0, 1.0, 1.0]], [False, False, False]),
        ([[0.0, 0.0, 0.0]], [False, False, False]),
    ],
)
def test_whole_columns_are_stored_in_every_row(rows, whole):
    np.testing.assert_array_equal(whole_columns(sp.csr_matrix(rows)), whole)
    np.testing.assert_array_equal(whole_columns(np.array(rows)), True)


def test_columns_that_only_the_first_thousand_rows_store_are_not_whole():
    rows = np.ones((1500, 3))
    rows[1200, 1] = 0.0
    np.testing.assert_array_equal(whole_columns(sp.csr_matrix(rows)), [True, False, True])
