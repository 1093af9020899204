"""Compiled passes over rows against NumPy, for every way to store X."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, log_softmax, softmax

from skgd import kernels
from skgd.losses import LogLoss, Softmax, SquaredError
from skgd.rows import rows_of

N, D, CLASSES = 61, 5, 3


def csr(X, index_dtype=np.int32):
    X = sp.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    return X


STORAGES = {
    "dense float64": np.asarray,
    "dense float32": lambda X: X.astype(np.float32),
    "csr float64 int32": csr,
    "csr float64 int64": lambda X: csr(X, np.int64),
    "csr float32 int32": lambda X: csr(X.astype(np.float32)),
}
EVERY_STORAGE = pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES.keys())
STORAGE = pytest.mark.parametrize("storage", [np.asarray, csr], ids=["dense", "csr"])


def data(seed=0):
    """X, whose values float32 holds exactly, and weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * (rng.uniform(size=(N, D)) < 0.6)
    return X.astype(np.float32).astype(np.float64), rng.uniform(0.1, 2.0, N)


def coefficients(K, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(D, K)), rng.normal(size=K)


def targets(loss, seed=2):
    """Targets or codes (T, n) of a loss."""
    rng = np.random.default_rng(seed)
    if isinstance(loss, Softmax):
        return rng.integers(loss.columns, size=(1, N)).astype(float)
    if isinstance(loss, LogLoss):
        return rng.integers(2, size=(loss.columns, N)).astype(float)
    return rng.normal(size=(loss.columns, N))


def expected_record(loss, X, Y, s, W, b):
    Z = X @ W + b
    if isinstance(loss, Softmax):
        codes = Y[0].astype(int)
        total, R = -s @ log_softmax(Z, axis=1)[np.arange(len(X)), codes], softmax(Z, axis=1) - np.eye(CLASSES)[codes]
    elif isinstance(loss, LogLoss):
        total, R = (s @ (np.logaddexp(0.0, Z) - Y.T * Z)).sum(), expit(Z) - Y.T
    else:
        total, R = (s @ (0.5 * (Z - Y.T) ** 2)).sum(), Z - Y.T
    R = s[:, None] * R
    return total, np.vstack([X.T @ R, R.sum(axis=0)])


def standardised_columns(X, mean, scale):
    return np.column_stack([X - mean, np.ones(len(X))]) * scale


def assert_record(result, expected):
    np.testing.assert_allclose(result[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(result[1], expected[1], rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- a pass
@EVERY_STORAGE
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("size", [1, 8, 64])
def test_record_is_the_loss_and_its_gradient(storage, K, size):
    """The last tiles have 1, 5 and 61 rows: neither whole tiles, nor multiples of four."""
    X, s = data()
    loss, (W, b) = SquaredError(K), coefficients(K)
    Y = targets(loss)
    result = kernels.record(rows_of(storage(X)), loss, Y, s, W, b, 0, N, size)
    assert_record(result, expected_record(loss, X, Y, s, W, b))


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(1), LogLoss(2), Softmax(CLASSES, 0.2)], ids=["binary", "two columns", "softmax"])
def test_record_of_classification(storage, loss):
    X, s = data()
    W, b = coefficients(loss.columns)
    Y = targets(loss)
    result = kernels.record(rows_of(storage(X)), loss, Y, s, W, b, 0, N, 16)
    assert_record(result, expected_record(loss, X, Y, s, W, b))


@STORAGE
@pytest.mark.parametrize("K", [1, 3])
def test_records_of_parts_add_up(storage, K):
    X, s = data()
    loss, (W, b) = SquaredError(K), coefficients(K)
    Y, rows = targets(loss), rows_of(storage(X))
    part = kernels.record(rows, loss, Y, s, W, b, 13, 30, 8)
    assert_record(part, expected_record(loss, X[13:30], Y[:, 13:30], s[13:30], W, b))
    parts = [kernels.record(rows, loss, Y, s, W, b, *edges, 8) for edges in ((0, 13), (13, 30), (30, N))]
    whole = kernels.record(rows, loss, Y, s, W, b, 0, N, 8)
    assert_record([sum(values) for values in zip(*parts, strict=True)], whole)


@STORAGE
def test_add_gradient_takes_rows_in_the_order_asked_for_and_adds(storage):
    X, s = data()
    loss, (W, b) = SquaredError(1), coefficients(1)
    Y, rows, order = targets(loss), rows_of(storage(X)), np.random.default_rng(3).permutation(N)
    G, tile = np.ones((D + 1, 1)), kernels.new_tile(rows, 1, 1, 8)
    total, squares = kernels.add_gradient(rows, loss, order, 5, 28, Y, s, W, b, tile, np.empty((0, 0)), G)
    picked = order[5:28]
    expected, gradient = expected_record(loss, X[picked], Y[:, picked], s[picked], W, b)
    assert_record((total, G - 1.0), (expected, gradient))
    np.testing.assert_allclose(squares, 2.0 * expected, rtol=1e-12)  # s r^2, where the loss is r^2 / 2


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(2), Softmax(CLASSES, 0.2)], ids=["two columns", "softmax"])
def test_a_table_of_residuals_leaves_only_what_changed(storage, loss):
    X, s = data()
    Y, rows, order = targets(loss), rows_of(storage(X)), np.random.default_rng(3).permutation(N)
    table, gradients = np.zeros((loss.columns, N)), []
    for seed in (1, 2):
        W, b = coefficients(loss.columns, seed)
        G, tile = np.zeros((D + 1, loss.columns)), kernels.new_tile(rows, len(Y), loss.columns, 8)
        kernels.add_gradient(rows, loss, order, 0, N, Y, s, W, b, tile, table, G)
        gradients.append(expected_record(loss, X, Y, s, W, b)[1])
    np.testing.assert_allclose(G, gradients[1] - gradients[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.vstack([X.T @ table.T, table.sum(axis=1)]), gradients[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("storage", [np.asarray, csr], ids=["dense", "csr"])
def test_kernels_do_not_write_to_x(storage):
    """Read-only memory would make the process stop if they did."""
    X, s = data()
    stored = storage(X.copy())
    for array in [stored.data, stored.indices, stored.indptr] if sp.issparse(stored) else [stored]:
        array.flags.writeable = False
    loss, (W, b) = Softmax(CLASSES, 0.2), coefficients(CLASSES)
    Y, rows = targets(loss), rows_of(stored)
    kernels.record(rows, loss, Y, s, W, b, 0, N, 16)
    kernels.moments(rows, s, np.ones(D), 0, N)
    kernels.curvature(rows, loss, np.arange(N), Y, s, np.zeros(D), np.ones(D + 1), np.zeros((D + 1, CLASSES)), CLASSES, 16)
    np.testing.assert_array_equal(stored.toarray() if sp.issparse(stored) else stored, X)


@STORAGE
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_reach_the_record(storage, bad):
    X, s = data()
    X[40, 2] = bad
    loss, (W, b) = LogLoss(1), coefficients(1)
    with np.errstate(invalid="ignore"):  # with the JIT off, NumPy warns
        total, G = kernels.record(rows_of(storage(X)), loss, targets(loss), s, W, b, 0, N, 16)
    assert not np.isfinite(total)
    assert not np.isfinite(G[2, 0])


# ---------------------------------------------------------------- moments
@EVERY_STORAGE
def test_moments_are_sums_over_stored_values(storage):
    X, s = data()
    stored = storage(X)
    shift = np.linspace(-1.0, 1.0, D)
    present = X[7:50] != 0.0 if sp.issparse(stored) else np.ones((43, D), bool)
    weights, centred = s[7:50, None] * present, X[7:50] - shift
    expected = [weights, weights * centred, weights * centred**2, present]
    moments = kernels.moments(rows_of(stored), s, shift, 7, 50)
    np.testing.assert_allclose(moments, [values.sum(axis=0) for values in expected], rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- curvature
def curvature_problem(K):
    X, s = data()
    mean, scale = np.linspace(-1.0, 1.0, D), np.array([0.5, 2.0, 1.0, 0.0, 3.0, 1.5])
    theta, index = np.vstack([*coefficients(K)]), np.r_[np.arange(0, N, 2), 5, 5]
    return X, s, mean, scale, theta, index


@STORAGE
@pytest.mark.parametrize("size", [8, 128])
def test_curvature_of_two_separable_columns(storage, size):
    X, s, mean, scale, theta, index = curvature_problem(2)
    loss = LogLoss(2)
    H = kernels.curvature(rows_of(storage(X)), loss, index, targets(loss), s, mean, scale, theta, 2, size)
    A = standardised_columns(X, mean, scale)[index]
    P = expit(A @ theta)
    for k in range(2):
        np.testing.assert_allclose(H[k], (A.T * (s[index] * P[:, k] * (1.0 - P[:, k]))) @ A, rtol=1e-12, atol=1e-12)


@STORAGE
def test_curvature_of_a_quadratic_loss_is_one_block_for_all_columns(storage):
    X, s, mean, scale, theta, index = curvature_problem(2)
    loss = SquaredError(2)
    H = kernels.curvature(rows_of(storage(X)), loss, index, targets(loss), s, mean, scale, theta, 1, 16)
    A = standardised_columns(X, mean, scale)[index]
    np.testing.assert_allclose(H, [(A.T * s[index]) @ A], rtol=1e-12, atol=1e-12)


@STORAGE
def test_curvature_of_softmax_couples_the_columns(storage):
    X, s, mean, scale, theta, index = curvature_problem(CLASSES)
    loss = Softmax(CLASSES, 0.2)
    H = kernels.curvature(rows_of(storage(X)), loss, index, targets(loss), s, mean, scale, theta, CLASSES, 16)
    A = standardised_columns(X, mean, scale)[index]
    P = softmax(A @ theta, axis=1)
    expected = sum(np.kron(s[i] * (np.diag(p) - np.outer(p, p)), np.outer(a, a)) for i, p, a in zip(index, P, A, strict=True))
    assert H.shape == (1, CLASSES * (D + 1), CLASSES * (D + 1))
    np.testing.assert_allclose(H[0], expected, rtol=1e-12, atol=1e-12)
