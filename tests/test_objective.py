"""The objective in any coordinates against NumPy, and the same bits from any number of threads."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, log_softmax, softmax

from skgd.compiled.threads import ALONE, threads
from skgd.coordinates import Coordinates, identity
from skgd.data.rows import stored_entries
from skgd.data.table import FEW_CHUNKS, MAX_CHUNKS, SMALL, Table, chunk_edges
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import SquaredError
from skgd.objective import Objective
from skgd.penalties import elastic_net

N, D = 53, 4
L1, L2 = 0.02, 0.3
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
COORDINATES = Coordinates(np.array([1.0, -2.0, 0.0, 0.3]), np.array([0.5, 2.0, 0.0, 1.0, 1.7]))


def data(loss, n=N, d=D, seed=0):
    """X, targets (T, n) and weights of mean one."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) + np.linspace(-1.0, 3.0, d)) * (rng.uniform(size=(n, d)) < 0.7)
    s = rng.uniform(0.1, 2.0, n)
    if isinstance(loss, SquaredError):
        Y = rng.normal(size=(loss.n_outputs, n)) * np.logspace(0, 2, loss.n_outputs)[:, None] + 5.0
    else:
        Y = rng.integers(max(loss.n_outputs, 2), size=(1, n)).astype(float)
    return X, Y, s * (n / s.sum())


def objective_of(loss, storage=np.asarray, coordinates=COORDINATES, team=ALONE, l1=L1, l2=L2, **size):
    X, Y, s = data(loss, **size)
    return Objective(Table(storage(X), Y, s, team), loss, elastic_net(l1, l2, X.shape[1]), coordinates)


def expected_loss(loss, theta):
    """The mean loss and its gradient, from standardised columns that are formed."""
    X, Y, s = data(loss)
    A = np.column_stack([X - COORDINATES.mean, np.ones(N)]) * COORDINATES.scale
    Z = A @ theta
    if isinstance(loss, SquaredError):
        values, R = 0.5 * (Z - Y.T) ** 2, Z - Y.T
    elif isinstance(loss, LogLoss):
        values, R = np.logaddexp(0.0, Z) - Y.T * Z, expit(Z) - Y.T
    else:
        onehot = np.eye(loss.n_outputs)[Y[0].astype(int)]
        values, R = -onehot * log_softmax(Z, axis=1), softmax(Z, axis=1) - onehot
    return (s @ values).sum() / N, A.T @ (s[:, None] * R) / N


LOSSES = pytest.mark.parametrize("loss", [SquaredError(2), LogLoss(1), Softmax(3, 0.2)], ids=["squared", "binary", "softmax"])


@STORAGE
@LOSSES
def test_evaluate_is_the_mean_loss_plus_the_penalty_of_raw_coefficients(loss, storage):
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.n_outputs))
    F, gradient = objective_of(loss, storage).evaluate(theta)
    value, expected = expected_loss(loss, theta)
    W = COORDINATES.scale[:-1, None] * theta[:-1]
    assert F == pytest.approx(value + L1 * abs(W).sum() + 0.5 * L2 * (W**2).sum(), rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-13)


@LOSSES
def test_gradient_is_that_of_the_value(loss):
    objective = objective_of(loss, l1=0.0, l2=0.0)
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.n_outputs))
    gradient = objective.evaluate(theta)[1]
    for j in range(D + 1):
        for k in range(loss.n_outputs):
            h = np.zeros_like(theta)
            h[j, k] = 1e-5
            difference = (objective.evaluate(theta + h)[0] - objective.evaluate(theta - h)[0]) / 2e-5
            assert gradient[j, k] == pytest.approx(difference, rel=1e-6, abs=1e-7)


@LOSSES
def test_objective_is_the_same_in_all_coordinates(loss):
    objective = objective_of(loss)
    raw = objective.in_coordinates(identity(D, True))
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.n_outputs))
    there = raw.coordinates.theta(*COORDINATES.raw(theta))
    assert raw.evaluate(there)[0] == pytest.approx(objective.evaluate(theta)[0], rel=1e-13)


@STORAGE
def test_standardise_finds_weighted_statistics(storage):
    loss = LogLoss(1)
    X, _, s = data(loss)
    mean = s @ X / N
    variance = s @ (X - mean) ** 2 / N
    coordinates = objective_of(loss, storage).standardise(fit_intercept=True)
    np.testing.assert_allclose(coordinates.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(coordinates.scale, np.append(1.0 / np.sqrt(variance + L2 / 0.25), 1.0), rtol=1e-12)
    uncentred = objective_of(loss, storage).standardise(fit_intercept=False)
    np.testing.assert_array_equal(uncentred.mean, 0.0)
    np.testing.assert_allclose(uncentred.scale, np.append(1.0 / np.sqrt(s @ X**2 / N + L2 / 0.25), 0.0), rtol=1e-12)


def test_standardise_names_a_column_whose_squares_overflow():
    X, Y, s = data(LogLoss(1))
    X[:, 2] *= 1e200
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"Column 2 of X .* squares exceed the range"):
        Objective(Table(X, Y, s), LogLoss(1), elastic_net(0.0, 0.0, D), identity(D, True)).standardise(True)


def test_standardised_columns_have_curvature_one_with_an_l2_penalty():
    """h (variance scale^2) + l2 scale^2 = h: loss and penalty together."""
    objective = objective_of(SquaredError(1))
    objective = objective.in_coordinates(objective.standardise(True))
    H = objective.curvature(np.zeros((D + 1, 1)), N, 1)[0]
    np.testing.assert_allclose(np.diagonal(H) + objective.penalty.l2, 1.0, rtol=1e-12)


def curvature_by_differences(objective, theta, k, l, direction):
    """Change of the gradient's column k along a direction (D,) of column l."""
    step = np.zeros_like(theta)
    step[:, l] = 1e-5 * direction
    return (objective.evaluate(theta + step)[1] - objective.evaluate(theta - step)[1])[:, k] / 2e-5


@STORAGE
@LOSSES
def test_curvature_is_the_derivative_of_the_gradient(loss, storage):
    objective, K = objective_of(loss, storage), loss.n_outputs
    theta = np.random.default_rng(1).normal(scale=0.3, size=(D + 1, K))  # so that no score is far on its wrong side
    direction = np.random.default_rng(2).normal(size=D + 1)
    pairs = [(k, l) for k in range(K) for l in range(k + 1)] if loss.coupled() else [(k, k) for k in range(K)]
    H = objective.curvature(theta, N, 0 if loss.coupled() else K)
    assert len(H) == len(pairs)
    for block, (k, l) in zip(H, pairs, strict=True):
        np.testing.assert_array_equal(block, block.T)
        expected = curvature_by_differences(objective, theta, k, l, direction)
        np.testing.assert_allclose(block @ direction, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("diagonal", [1, 2, 3])
def test_curvature_of_softmax_may_be_of_the_first_columns_alone(diagonal):
    objective = objective_of(Softmax(3, 0.2))
    theta = np.random.default_rng(1).normal(size=(D + 1, 3))
    pairs = objective.curvature(theta, N)
    np.testing.assert_allclose(objective.curvature(theta, N, diagonal), pairs[[0, 2, 5][:diagonal]], rtol=1e-13)


@STORAGE
@LOSSES
def test_curvature_diagonal_is_that_of_the_curvature(loss, storage):
    objective = objective_of(loss, storage)
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.n_outputs))
    blocks = objective.curvature(theta, N, loss.n_outputs)
    np.testing.assert_allclose(objective.curvature_diagonal(theta), np.einsum("kjj->jk", blocks), rtol=1e-11, atol=1e-13)


@STORAGE
@LOSSES
def test_mean_loss_is_the_objective_without_its_penalty(loss, storage):
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.n_outputs))
    objective = objective_of(loss, storage)
    assert objective.mean_loss(*COORDINATES.raw(theta)) == pytest.approx(expected_loss(loss, theta)[0], rel=1e-13)


def test_curvature_of_fewer_rows_is_their_weighted_mean():
    loss = LogLoss(1)
    X, _, s = data(loss)
    objective = objective_of(loss)
    theta = np.random.default_rng(1).normal(scale=0.3, size=(D + 1, 1))
    index = np.arange(0, N, 6)  # 53 rows in the smallest steps that leave at most 10
    A = (np.column_stack([X - COORDINATES.mean, np.ones(N)]) * COORDINATES.scale)[index]
    p = expit(A @ theta)[:, 0]
    expected = (A.T * (s[index] * p * (1.0 - p))) @ A / s[index].sum()
    np.testing.assert_allclose(objective.curvature(theta, 10, 1)[0], expected, rtol=1e-12, atol=1e-14)


def test_score_scale_is_the_deviation_of_targets_and_one_for_log_odds():
    loss = SquaredError(2)
    _, Y, s = data(loss)
    mean = Y @ s / N
    np.testing.assert_allclose(objective_of(loss).score_scale(), np.sqrt((Y - mean[:, None]) ** 2 @ s / N), rtol=1e-12)
    np.testing.assert_array_equal(objective_of(Softmax(3, 0.2)).score_scale(), np.ones(3))
    X, Y, s = data(SquaredError(1))
    np.testing.assert_array_equal(
        Objective(Table(X, 0.0 * Y, s), SquaredError(1), elastic_net(0.0, 0.0, D), COORDINATES).score_scale(), [1.0]
    )


# ---------------------------------------------------------------- parts and threads
LARGE = {"n": 18_011, "d": 30}  # large enough to be split into parts, for gradients and for matrices


@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000, 18_011])
@pytest.mark.parametrize("work", [0, SMALL, 5 * SMALL - 1, 100 * SMALL])
@pytest.mark.parametrize("most", [1, FEW_CHUNKS, MAX_CHUNKS])
def test_partition_covers_all_rows_once(most, work, n):
    edges = chunk_edges(n, work, most, 1)
    assert edges[0] == 0
    assert edges[-1] == n
    assert (np.diff(edges) >= n // (len(edges) - 1)).all()
    assert len(edges) - 1 <= most


def test_parts_are_large_enough_to_be_handed_out_and_their_sums_small():
    assert len(chunk_edges(1000, SMALL - 1, MAX_CHUNKS, 1)) - 1 == 1
    assert len(chunk_edges(1000, 3 * SMALL, MAX_CHUNKS, 1)) - 1 == 3
    assert len(chunk_edges(1000, 100 * SMALL, MAX_CHUNKS, 1)) - 1 == MAX_CHUNKS
    assert len(chunk_edges(1000, 100 * SMALL, MAX_CHUNKS, 5 * SMALL)) - 1 == 5


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(1), SquaredError(2), Softmax(3, 0.2)], ids=["binary", "squared", "softmax"])
def test_any_number_of_threads_gives_the_same_bits(loss, storage):
    theta = np.random.default_rng(1).normal(size=(LARGE["d"] + 1, loss.n_outputs))
    coordinates = Coordinates(np.linspace(-1.0, 1.0, LARGE["d"]), np.linspace(0.5, 1.5, LARGE["d"] + 1))
    results = []
    for count in (1, 2, 3, 5):
        with threads(count) as team:
            objective = objective_of(loss, storage, coordinates, team, **LARGE)
            curvatures = [objective.curvature(theta, objective.n, diagonal) for diagonal in (0, 1)]
            curvatures.append(objective.curvature_diagonal(theta))
            loss_alone = objective.mean_loss(*coordinates.raw(theta))
            results.append([*objective.evaluate(theta), *objective.standardise(True), *curvatures, loss_alone])
    for result in results[1:]:
        for value, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(value, expected)
    edges = chunk_edges(
        objective.n, stored_entries(objective.table.X) * objective.K, MAX_CHUNKS, (objective.d + 1) * objective.K
    )
    assert len(edges) > FEW_CHUNKS + 1  # threads had something to share


def test_parts_add_up_to_the_whole():
    loss = LogLoss(1)
    X, Y, s = data(loss, **LARGE)
    theta = np.random.default_rng(1).normal(size=(LARGE["d"] + 1, 1))
    F, gradient = objective_of(loss, coordinates=identity(LARGE["d"], True), l1=0.0, l2=0.0, **LARGE).evaluate(theta)
    z = X @ theta[:-1, 0] + theta[-1, 0]
    r = s * (expit(z) - Y[0]) / len(X)
    assert F == pytest.approx(s @ (np.logaddexp(0.0, z) - Y[0] * z) / len(X), rel=1e-12)
    np.testing.assert_allclose(gradient[:, 0], np.append(r @ X, r.sum()), rtol=1e-11, atol=1e-14)


def test_threads_hand_on_what_a_part_raises():
    def fail(part):
        raise OverflowError(part)

    for count in (1, 2):
        with threads(count) as team, pytest.raises(OverflowError):
            list(team.map(fail, [1, 2, 3]))


# ---------------------------------------------------------------- samples
@STORAGE
@LOSSES
def test_sample_is_the_objective_of_evenly_spaced_rows_and_one_more(loss, storage):
    objective = objective_of(loss, storage)
    X, Y, s = data(loss)
    every = slice(0, N, 4)
    sample = objective.sample(4)
    largest = np.abs(X[every] - COORDINATES.mean).max(axis=0)
    ridge = L2 + loss.curvature_bound() * largest**2 / 14  # the curvature of a row as large as the largest in each column
    alone = Objective(
        Table(storage(X[every]), Y[:, every], s[every] / s[every].mean()), loss, elastic_net(L1, ridge, D), COORDINATES
    )
    theta = np.random.default_rng(1).normal(size=(D + 1, loss.n_outputs))
    assert sample.n == 14
    assert sample.table.s.mean() == pytest.approx(1.0, rel=1e-14)
    for value, expected in zip(sample.evaluate(theta), alone.evaluate(theta), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-14)
    assert not np.shares_memory(sample.table.Y, objective.table.Y)
