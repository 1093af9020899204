"""Compiled passes over rows against NumPy, for every way to store X."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, log_softmax, softmax

from skgd import GDClassifier
from skgd.compiled.jit import DISABLE_JIT, kernel
from skgd.data import kernels
from skgd.data.dense import NARROW, WIDE
from skgd.data.kernels import Chunks, Coefficients, Standardised, Targets
from skgd.data.rows import rows_of, whole_columns
from skgd.data.sums import EMPTY, Wanted
from skgd.data.table import NO_ORDER
from skgd.data.tiles import new_tile
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import SquaredError
from skgd.losses.surrogate_curvature import DAMPED_BEYOND
from skgd.solvers.stochastic_steps import add_changes

changes = kernel(getattr(add_changes, "py_func", add_changes))
N, D, CLASSES = 61, 5, 3
ALL = Chunks(np.array([0, N]), 0, 1)  # all rows as one chunk
GRADIENT = Wanted(losses=True, gradient=True)


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


def data(seed=0, d=D):
    """X, whose values float32 holds exactly, and weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, d)) * (rng.uniform(size=(N, d)) < 0.6)
    X[:, -1] += X[:, -1] == 0.0  # CSR stores the last column whole
    return X.astype(np.float32).astype(np.float64), rng.uniform(0.1, 2.0, N)


def coefficients(K, seed=1, d=D):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(d, K)), rng.normal(size=K)


def targets(loss, seed=2):
    """Targets or codes (T, n) of a loss."""
    rng = np.random.default_rng(seed)
    if isinstance(loss, Softmax):
        return rng.integers(loss.n_outputs, size=(1, N)).astype(float)
    if isinstance(loss, LogLoss):
        return rng.integers(2, size=(loss.n_outputs, N)).astype(float)
    return rng.normal(size=(loss.n_outputs, N))


def expected_gradient(loss, X, Y, s, W, b):
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


def assert_gradient(result, expected):
    np.testing.assert_allclose(np.sum(result[0]), expected[0], rtol=1e-12)
    np.testing.assert_allclose(result[1], expected[1], rtol=1e-12, atol=1e-12)


def sums(X, loss, Y, s, W, b, wanted, chunks=ALL, size=16, columns=None, order=NO_ORDER, by_row=EMPTY[2]):
    """`loss_sums` of a stored X, of all chunks; the standardised columns have this mean and scale."""
    mean, scale = (np.zeros(len(W)), np.ones(len(W) + 1)) if columns is None else columns
    standardised = Standardised(mean, mean * whole_columns(X), scale)
    out, targets = wanted.zeros(len(chunks.edges) - 1, *W.shape), Targets(Y, s, order)
    kernels.loss_sums(rows_of(X), loss, targets, Coefficients(W, b), standardised, out, by_row, chunks, size)
    return out


# ---------------------------------------------------------------- losses and gradients
@EVERY_STORAGE
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("size", [1, 8, 64])
def test_a_pass_sums_the_loss_and_its_gradient(storage, K, size):
    """The last tiles have 1, 5 and 61 rows: neither whole tiles, nor multiples of four."""
    X, s = data()
    loss, (W, b) = SquaredError(K), coefficients(K)
    Y = targets(loss)
    totals, G, *_ = sums(storage(X), loss, Y, s, W, b, GRADIENT, size=size)
    assert_gradient((totals[0], G[0]), expected_gradient(loss, X, Y, s, W, b))


@EVERY_STORAGE
@pytest.mark.parametrize("d", [NARROW, NARROW + 1])
@pytest.mark.parametrize("K", [1, 3])
def test_wide_rows_are_read_one_by_one(storage, K, d):
    X, s = data(d=d)
    loss, (W, b) = SquaredError(K), coefficients(K, d=d)
    Y = targets(loss)
    totals, G, *_ = sums(storage(X), loss, Y, s, W, b, GRADIENT, size=8)
    assert_gradient((totals[0], G[0]), expected_gradient(loss, X, Y, s, W, b))


@STORAGE
def test_columns_that_are_independent_have_their_own_losses(storage):
    X, s = data()
    loss, (W, b) = SquaredError(3), coefficients(3)
    Y = targets(loss)
    totals = sums(storage(X), loss, Y, s, W, b, GRADIENT).losses
    alone = [expected_gradient(SquaredError(1), X, Y[[k]], s, W[:, [k]], b[[k]])[0] for k in range(3)]
    np.testing.assert_allclose(totals[0], alone, rtol=1e-12)


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(1), LogLoss(2), Softmax(CLASSES, 0.2)], ids=["binary", "two columns", "softmax"])
def test_gradients_of_classification(storage, loss):
    X, s = data()
    W, b = coefficients(loss.n_outputs)
    Y = targets(loss)
    totals, G, *_ = sums(storage(X), loss, Y, s, W, b, GRADIENT, size=16)
    assert_gradient((totals[0], G[0]), expected_gradient(loss, X, Y, s, W, b))


@STORAGE
@pytest.mark.parametrize("K", [1, 3])
def test_gradients_of_a_range_of_chunks(storage, K):
    """Each chunk has its own, and the same one whichever chunks a thread takes with it."""
    X, s = data()
    loss, (W, b) = SquaredError(K), coefficients(K)
    Y, edges = targets(loss), np.array([0, 13, 30, N])
    arguments = storage(X), loss, Y, s, W, b, GRADIENT
    totals, G, *_ = sums(*arguments, Chunks(edges, 0, 3), 8)
    for p, (first, last) in enumerate(pairwise(edges)):
        chunk = slice(first, last)
        assert_gradient((totals[p], G[p]), expected_gradient(loss, X[chunk], Y[:, chunk], s[chunk], W, b))
    for some, every in zip(sums(*arguments, Chunks(edges, 1, 3), 8)[:2], (totals, G), strict=True):
        np.testing.assert_array_equal(some[0], 0.0)
        np.testing.assert_array_equal(some[1:], every[1:])


@STORAGE
@pytest.mark.parametrize("loss", [SquaredError(2), LogLoss(1), Softmax(CLASSES, 0.2)], ids=["squared", "binary", "softmax"])
def test_losses_without_a_gradient(storage, loss):
    X, s = data()
    (W, b), Y, edges = coefficients(loss.n_outputs), targets(loss), np.array([0, 13, 30, N])
    totals, G, H, q = sums(storage(X), loss, Y, s, W, b, Wanted(losses=True), Chunks(edges, 1, 3), 8)
    chunks = [slice(first, last) for first, last in pairwise(edges[1:])]
    expected = [expected_gradient(loss, X[chunk], Y[:, chunk], s[chunk], W, b)[0] for chunk in chunks]
    np.testing.assert_allclose(totals.sum(axis=1), [0.0, *expected], rtol=1e-12)
    assert G.size == H.size == q.size == 0


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(2), Softmax(CLASSES, 0.2)], ids=["two columns", "softmax"])
def test_all_sums_of_one_pass_are_those_of_a_pass_for_each(storage, loss):
    X, s = data()
    arguments = storage(X), loss, targets(loss), s, *coefficients(loss.n_outputs)
    blocks = {"blocks": 6 if isinstance(loss, Softmax) else 2}
    alone = [{"losses": True}, {"losses": True, "gradient": True}, blocks, {"diagonal": True}]
    together = sums(*arguments, Wanted(losses=True, gradient=True, diagonal=True, **blocks), columns=standardisation(D))
    for name, wanted in zip(together._fields, alone, strict=True):
        expected = getattr(sums(*arguments, Wanted(**wanted), columns=standardisation(D)), name)
        np.testing.assert_array_equal(getattr(together, name), expected)


@STORAGE
def test_add_changes_takes_rows_in_the_order_asked_for_and_adds(storage):
    X, s = data()
    loss, (W, b) = SquaredError(1), coefficients(1)
    Y, rows, order = targets(loss), rows_of(storage(X)), np.random.default_rng(3).permutation(N)
    G, tile = np.ones((D + 1, 1)), new_tile(rows, 1, 1, 8)
    squares = changes(rows, loss, Targets(Y, s, order), 5, 28, Coefficients(W, b), tile, EMPTY[2], G)
    picked = order[5:28]
    expected, gradient = expected_gradient(loss, X[picked], Y[:, picked], s[picked], W, b)
    assert_gradient((0.5 * squares, G - 1.0), (expected, gradient))  # the loss is r^2 / 2


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(2), Softmax(CLASSES, 0.2)], ids=["two columns", "softmax"])
def test_a_table_of_residuals_leaves_only_what_changed(storage, loss):
    X, s = data()
    Y, rows, order = targets(loss), rows_of(storage(X)), np.random.default_rng(3).permutation(N)
    table, gradients = np.zeros((loss.n_outputs, N)), []
    for seed in (1, 2):
        W, b = coefficients(loss.n_outputs, seed)
        G, tile = np.zeros((D + 1, loss.n_outputs)), new_tile(rows, len(Y), loss.n_outputs, 8)
        changes(rows, loss, Targets(Y, s, order), 0, N, Coefficients(W, b), tile, table, G)
        gradients.append(expected_gradient(loss, X, Y, s, W, b)[1])
    np.testing.assert_allclose(G, gradients[1] - gradients[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.vstack([X.T @ table.T, table.sum(axis=1)]), gradients[1], rtol=1e-12, atol=1e-12)


@pytest.fixture
def left_in_memory():
    """A function that counts the arrays that compiled code has made or was given, and has not let go."""
    if DISABLE_JIT:
        pytest.skip("Python counts references")
    from numba.core.runtime import _nrt_python, rtsys

    _nrt_python.memsys_enable_stats()
    yield lambda: rtsys.get_allocation_stats().mi_alloc - rtsys.get_allocation_stats().mi_free
    _nrt_python.memsys_disable_stats()


@STORAGE
@pytest.mark.parametrize("loss", [SquaredError(3), LogLoss(1), Softmax(CLASSES, 0.2)], ids=["squared", "binary", "softmax"])
def test_passes_leave_nothing_in_memory(storage, loss, left_in_memory):
    X, s = data()
    everything = Wanted(losses=True, gradient=True, blocks=CLASSES if loss.n_outputs > 1 else 1, diagonal=True)
    arguments = storage(X), loss, targets(loss), s, *coefficients(loss.n_outputs), everything
    before = left_in_memory()
    sums(*arguments, size=8)
    assert left_in_memory() == before


@STORAGE
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_epochs_leave_nothing_in_memory(storage, solver, left_in_memory):
    X = storage(data()[0])
    model = GDClassifier(solver=solver, max_iter=2, tol=None, batch_size=8, random_state=0)
    for classes in (2, CLASSES):
        before = left_in_memory()
        model.fit(X, np.arange(N) % classes)
        assert left_in_memory() == before


@pytest.mark.parametrize("storage", [np.asarray, csr], ids=["dense", "csr"])
def test_kernels_do_not_write_to_x(storage):
    """Read-only memory would make the process stop if they did."""
    X, s = data()
    stored = storage(X.copy())
    for array in [stored.data, stored.indices, stored.indptr] if sp.issparse(stored) else [stored]:
        array.flags.writeable = False
    loss = Softmax(CLASSES, 0.2)
    kernels.moments(rows_of(stored), s, np.ones(D), np.zeros((1, 4, D)), ALL)
    sums(
        stored,
        loss,
        targets(loss),
        s,
        *coefficients(CLASSES),
        Wanted(losses=True, gradient=True, blocks=CLASSES, diagonal=True),
    )
    np.testing.assert_array_equal(stored.toarray() if sp.issparse(stored) else stored, X)


@STORAGE
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_reach_the_sums(storage, bad):
    X, s = data()
    X[40, 2] = bad
    loss, (W, b) = LogLoss(1), coefficients(1)
    with np.errstate(invalid="ignore"):  # with the JIT off, NumPy warns
        totals, G, *_ = sums(storage(X), loss, targets(loss), s, W, b, GRADIENT)
    assert not np.isfinite(totals[0])
    assert not np.isfinite(G[0, 2, 0])


# ---------------------------------------------------------------- moments
@EVERY_STORAGE
def test_moments_are_sums_over_stored_values(storage):
    X, s = data()
    stored = storage(X)
    shift = np.linspace(-1.0, 1.0, D)
    present = X != 0.0 if sp.issparse(stored) else np.ones((N, D), bool)
    weights, centred, edges = s[:, None] * present, X - shift, np.array([0, 7, 50, N])
    expected = np.array([weights, weights * centred, weights * centred**2, present])
    moments = np.zeros((3, 4, D))
    kernels.moments(rows_of(stored), s, shift, moments, Chunks(edges, 1, 3))
    np.testing.assert_array_equal(moments[0], 0.0)
    for chunk, (first, last) in zip(moments[1:], pairwise(edges[1:]), strict=True):
        np.testing.assert_allclose(chunk, expected[:, first:last].sum(axis=1), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- curvature
def second_derivatives(loss, Z, Y):
    """(n, K, K), by the scores Z (n, K); of a parabola above the loss where a score is far on the wrong side."""
    if isinstance(loss, Softmax):
        P = softmax(Z, axis=1)
        return P[:, :, None] * np.eye(loss.n_outputs) - P[:, :, None] * P[:, None, :]
    second = np.ones_like(Z)
    if isinstance(loss, LogLoss):
        wrong = (np.abs(Z) > DAMPED_BEYOND) & ((Z > 0.0) == (Y.T < 0.5))
        second = np.where(wrong, np.tanh(0.5 * Z) / (2.0 * Z), expit(Z) * expit(-Z))
    return second[:, :, None] * np.eye(loss.n_outputs)


def expected_blocks(loss, X, Y, s, mean, scale, W, b, pairs):
    """sum_i s_i (Hessian in the scores)_kl x~_i x~_i' for pairs (k, l)."""
    A, second = standardised_columns(X, mean, scale), second_derivatives(loss, X @ W + b, Y)
    return np.array([(A.T * (s * second[:, k, l])) @ A for k, l in pairs])


def standardisation(d):
    """Means and scales, that of one column zero, as constant columns have it."""
    scale = np.linspace(0.5, 2.0, d + 1)
    scale[d // 2] = 0.0
    return np.linspace(-1.0, 1.0, d), scale


def blocks(storage, loss, index, diagonal, edges, size, d=D):
    """The first `diagonal` blocks, or all of them where that is 0, and those expected, for each chunk of `index`."""
    X, s = data(d=d)
    (W, b), (mean, scale), Y, K = coefficients(loss.n_outputs, d=d), standardisation(d), targets(loss), loss.n_outputs
    wanted = Wanted(blocks=diagonal or K * (K + 1) // 2)
    chunks = Chunks(np.array(edges), 0, len(edges) - 1)
    H = sums(storage(X), loss, Y, s, W, b, wanted, chunks, size, (mean, scale), index).hessian
    pairs = [(k, k) for k in range(diagonal)] or [(k, l) for k in range(K) for l in range(k + 1)]
    parts = [index[first:last] for first, last in pairwise(edges)]
    return H, np.array([expected_blocks(loss, X[part], Y[:, part], s[part], mean, scale, W, b, pairs) for part in parts])


def assert_blocks(H, expected):
    assert H.shape == expected.shape
    np.testing.assert_allclose(H, expected, rtol=1e-11, atol=1e-11)


HESSIANS = {
    "squared, one block": (SquaredError(2), 1),
    "binary": (LogLoss(1), 1),
    "two columns": (LogLoss(2), 2),
    "softmax, all pairs": (Softmax(CLASSES, 0.2), 0),
    "softmax, diagonal": (Softmax(CLASSES, 0.2), CLASSES),
    "softmax, first": (Softmax(CLASSES, 0.2), 1),
}


@EVERY_STORAGE
@pytest.mark.parametrize(("loss", "diagonal"), HESSIANS.values(), ids=HESSIANS.keys())
def test_curvature(storage, loss, diagonal):
    """Two parts of 20 and 13 rows, some of them twice: with tiles of 8, the last ones have 4 and 5."""
    index = np.r_[np.arange(0, N, 2), 5, 5]
    assert_blocks(*blocks(storage, loss, index, diagonal, [0, 20, len(index)], 8))


@STORAGE
@pytest.mark.parametrize("d", [1, 2, 3, 4, 6, 7, 8, 10])
@pytest.mark.parametrize("size", [16, 128])
def test_curvature_of_any_number_of_columns(storage, size, d):
    """Entries are computed four by two; what is left over is not forgotten."""
    assert_blocks(*blocks(storage, LogLoss(1), np.arange(N), 1, [0, N], size, d))


def test_curvature_of_many_columns():
    """BLAS multiplies whole tiles; the last one, of 13 rows, it does not."""
    assert_blocks(*blocks(np.asarray, LogLoss(1), np.arange(N), 1, [0, N], 16, d=WIDE + 2))


@STORAGE
def test_curvature_of_a_range_of_chunks(storage):
    X, s = data()
    loss, (W, b), edges = LogLoss(1), coefficients(1), np.array([0, 13, 30, N])
    arguments = storage(X), loss, targets(loss), s, W, b, Wanted(blocks=1)
    some, every = (
        sums(*arguments, Chunks(edges, *run), 8, standardisation(D), np.arange(N)).hessian for run in ((1, 2), (0, 3))
    )
    np.testing.assert_array_equal(some[1], every[1])


@EVERY_STORAGE
@pytest.mark.parametrize("loss", [SquaredError(2), LogLoss(1), Softmax(CLASSES, 0.2)], ids=["squared", "binary", "softmax"])
def test_curvature_diagonal(storage, loss):
    """Sums of second derivatives times squares of standardised columns."""
    X, s = data()
    (W, b), (mean, scale), edges = coefficients(loss.n_outputs), standardisation(D), np.array([0, 13, 30, N])
    chunks, Y = Chunks(edges, 1, 3), targets(loss)
    q = sums(storage(X), loss, Y, s, W, b, Wanted(diagonal=True), chunks, 8, (mean, scale)).diagonal
    second = s[:, None] * np.einsum("nkk->nk", second_derivatives(loss, X @ W + b, Y))
    squares = (np.column_stack([X - mean, np.ones(N)]) * scale) ** 2
    for chunk, (first, last) in zip(q[1:], pairwise(edges[1:]), strict=True):
        np.testing.assert_allclose(chunk, second[first:last].T @ squares[first:last], rtol=1e-11, atol=1e-11)


@STORAGE
@pytest.mark.parametrize("loss", [SquaredError(2), LogLoss(1), Softmax(CLASSES, 0.2)], ids=["squared", "binary", "softmax"])
def test_second_derivatives_by_row(storage, loss):
    X, s = data()
    (W, b), Y, out = coefficients(loss.n_outputs), targets(loss), np.full((loss.n_outputs, N), np.nan)
    sums(storage(X), loss, Y, s, W, b, Wanted(), size=8, by_row=out)
    second = np.einsum("nkk->kn", second_derivatives(loss, X @ W + b, Y))
    np.testing.assert_allclose(out, s * second, rtol=1e-11, atol=1e-11)
