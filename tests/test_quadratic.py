"""Minimisers of a quadratic model, against dense linear algebra and the conditions that define them."""

import numpy as np
import pytest
from scipy.optimize import nnls

from skgd.models.factorisation import factor, solve_matrix
from skgd.models.kinked_line import line_minimum
from skgd.models.quadratic import LowRank, Precision, descend_low_rank, descend_matrix
from skgd.penalties import Penalty, elastic_net

N, RANK = 12, 4


def positive_definite(n=N, seed=0):
    A = np.random.default_rng(seed).normal(size=(3 * n, n)) * np.logspace(-2.0, 2.0, n)
    return A.T @ A / len(A)


def low_rank(seed=0):
    """diag + U M U' with M indefinite, as BFGS makes it, and the same positive definite matrix in full."""
    rng = np.random.default_rng(seed)
    U, diagonal = rng.normal(size=(N, RANK)), rng.uniform(4.0, 9.0, N)
    M = np.diag([1.0, 2.0, -0.05, 0.5]) + 0.01
    B = LowRank(diagonal, U, np.linalg.inv(M))
    dense = np.diag(diagonal) + U @ M @ U.T
    assert np.linalg.eigvalsh(dense).min() > 1.0
    return B, dense


# ---------------------------------------------------------------- closed form
@pytest.mark.parametrize("seed", range(3))
def test_solve_matrix_of_a_regular_matrix(seed):
    B, r = positive_definite(seed=seed), np.random.default_rng(9).normal(size=N)
    np.testing.assert_allclose(solve_matrix(B, r), np.linalg.solve(B, r), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_solve_matrix_of_a_singular_matrix_of_equal_diagonal_is_of_least_norm(seed):
    """This holds also where r is not in the range of B."""
    A = np.random.default_rng(seed).normal(size=(5, N))
    A /= np.linalg.norm(A, axis=0)
    B, r = A.T @ A, np.random.default_rng(9).normal(size=N)
    np.testing.assert_allclose(solve_matrix(B, r), np.linalg.pinv(B, hermitian=True) @ r, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_solve_matrix_of_a_singular_matrix_does_not_depend_on_the_units(seed):
    """The norm is least in coordinates in which B has a unit diagonal, and the solution solves the system."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(5, N))
    A /= np.linalg.norm(A, axis=0)
    units = np.logspace(-3.0, 3.0, N)
    B, r = A.T @ A, A.T @ rng.normal(size=5)
    x = solve_matrix(B * units[:, None] * units, r * units)
    np.testing.assert_allclose(x * units, np.linalg.pinv(B, hermitian=True) @ r, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose((B * units[:, None] * units) @ x, r * units, rtol=1e-9, atol=1e-9 * abs(r * units).max())


def test_solve_matrix_keeps_coordinates_without_curvature_at_zero():
    B, r = np.zeros((N + 2, N + 2)), np.arange(N + 2.0)
    kept = np.delete(np.arange(N + 2), [3, 7])
    B[np.ix_(kept, kept)] = positive_definite()
    x = solve_matrix(B, r)
    np.testing.assert_array_equal(x[[3, 7]], 0.0)
    np.testing.assert_allclose(x[kept], np.linalg.solve(positive_definite(), r[kept]), rtol=1e-9)
    np.testing.assert_array_equal(solve_matrix(np.zeros((2, 2)), np.ones(2)), 0.0)


@pytest.mark.parametrize("rank", [4, 50])
def test_factor_solves_for_any_number_of_columns(rank):
    """For one vector or several, repeatedly: by Cholesky, or by eigenvalues where the matrix is singular."""
    A = np.random.default_rng(0).normal(size=(rank, N))
    A /= np.linalg.norm(A, axis=0)
    B, R = A.T @ A, np.random.default_rng(9).normal(size=(N, 3))
    (solve, _), expected = factor(B), np.linalg.pinv(B, hermitian=True) @ R
    np.testing.assert_allclose(solve(R), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(solve(R[:, 1]), expected[:, 1], rtol=1e-9, atol=1e-11)


def test_factor_takes_a_matrix_that_is_singular_but_for_rounding_as_singular():
    B = np.ones((3, 3)) + 1e-15 * np.eye(3)
    np.testing.assert_allclose(factor(B)[0](np.ones(3)), 1.0 / 3.0, rtol=1e-12)


def test_slopes_without_curvature_are_followed_where_they_are_more_than_rounding():
    """Found by drawing random problems: rows in the straight part of Huber's loss had slopes and nearly no curvature."""
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    B = Q * [1.0, 0.5, 1e-15] @ Q.T
    solve, null = factor(B, flat_slope=1e-4)
    assert null.shape == (3, 1)
    step = solve(Q @ [1.0, 1.0, 1e-3])
    assert Q[:, 2] @ step > 1e6
    np.testing.assert_allclose(Q[:, :2].T @ solve(Q @ [1.0, 1.0, 1e-16]), [1.0, 2.0], rtol=1e-9)
    too_small = factor(B, flat_slope=1e-2)[0](Q @ [1.0, 1.0, 1e-3])
    np.testing.assert_allclose(too_small, factor(B)[0](Q @ [1.0, 1.0, 1e-3]), rtol=1e-9)
    np.testing.assert_allclose(solve(Q @ [1.0, 1.0, 1e-16]), factor(B)[0](Q @ [1.0, 1.0, 0.0]), rtol=1e-9)


def test_solve_matrix_leaves_its_arguments_alone():
    B, r = positive_definite(), np.ones(N)
    solve_matrix(B, r)
    np.testing.assert_array_equal(B, positive_definite())
    np.testing.assert_array_equal(r, 1.0)


def test_low_rank_multiplies_as_its_matrix():
    B, dense = low_rank()
    x = np.random.default_rng(1).normal(size=N)
    np.testing.assert_allclose(B @ x, dense @ x, rtol=1e-12)


def test_low_rank_of_a_diagonal():
    B = LowRank(np.array([2.0, 0.0, 4.0]), np.empty((3, 0)), np.empty((0, 0)))
    np.testing.assert_array_equal(B @ np.ones(3), [2.0, 0.0, 4.0])


# ---------------------------------------------------------------- with an L1 penalty
def l1_problem(seed):
    """g, w and penalties, some of which are zero, as the intercept's."""
    rng = np.random.default_rng(seed)
    g, w = 5.0 * rng.normal(size=N), rng.normal(size=N) * (rng.uniform(size=N) < 0.5)
    l1, l2 = rng.uniform(1.0, 4.0, N), rng.uniform(0.0, 0.5, N)
    l1[-1] = l2[-1] = 0.0
    return g, w, l1, l2


def model(B, g, w, l1, l2, u):
    return g @ (u - w) + 0.5 * (u - w) @ B @ (u - w) + l1 @ abs(u) + 0.5 * l2 @ u**2


def one_call(descend, B, g, w, l1, l2):
    return descend(B, g, w, elastic_net(l1, l2, len(w)), 0.0)


def converged(descend, B, g, w, l1, l2, calls=20):
    """The minimiser.  One call ends at a share of its decrease, so the next one starts where it stopped."""
    u = w
    for _ in range(calls):
        u = one_call(descend, B, g + B @ (u - w), u, l1, l2)
    return u


def violation(dense, g, w, l1, l2, u):
    """The distance from 0 to the subdifferential of the model at u, for each coordinate."""
    slope = g + dense @ (u - w) + l2 * u
    return np.where(u != 0.0, abs(slope + l1 * np.sign(u)), np.maximum(abs(slope) - l1, 0.0))


@pytest.mark.parametrize("seed", range(5))
def test_both_descents_reach_the_same_sparse_minimiser(seed):
    B, dense = low_rank(seed)
    problem = l1_problem(seed)
    u = converged(descend_matrix, dense, *problem)
    assert violation(dense, *problem, u).max() < 1e-10
    assert 0 < np.count_nonzero(u) < N
    assert u[-1] != 0.0
    v = converged(descend_low_rank, B, *problem)
    assert violation(dense, *problem, v).max() < 1e-10
    np.testing.assert_array_equal(v == 0.0, u == 0.0)
    np.testing.assert_allclose(v, u, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_one_call_is_within_a_hundredth_of_the_decrease(seed):
    B, dense = low_rank(seed)
    problem = l1_problem(seed)
    start, best = model(dense, *problem, problem[1]), model(dense, *problem, converged(descend_matrix, dense, *problem))
    for u in (one_call(descend_matrix, dense, *problem), one_call(descend_low_rank, B, *problem)):
        assert model(dense, *problem, u) - best <= 0.01 * (start - best)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.1, 0.03, 0.01, 0.001])
def test_correlated_columns_are_no_obstacle(noise, seed):
    """Correlations are 1 - noise^2, for which coordinate steps are slow: solves on the support must work."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(40, 1)) + noise * rng.normal(size=(40, N))
    B = A.T @ A / 40.0
    problem = A.T @ rng.normal(size=40) / 40.0, np.zeros(N), np.full(N, 0.05 * noise), np.zeros(N)
    once, best = one_call(descend_matrix, B, *problem), converged(descend_matrix, B, *problem, calls=3)
    assert violation(B, *problem, best).max() < 1e-6 * noise
    assert 0 < np.count_nonzero(best) < N
    assert model(B, *problem, once) <= 0.99 * model(B, *problem, best)  # both are negative, and 0 at the start


def test_many_coefficients_may_leave_a_wrong_support():
    """The first sweeps over correlated columns make nearly all coefficients non-zero, many with wrong signs."""
    rng = np.random.default_rng(0)
    n, d, noise = 450, 150, 0.001
    X = rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, d))
    y = X @ (100.0 * rng.normal(size=d) * (rng.uniform(size=d) < 0.2)) + rng.normal(size=n)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), y - y.mean()
    B = X.T @ X / n
    problem = -X.T @ y / n, np.zeros(d), np.full(d, 0.03 * noise), np.zeros(d)
    u = converged(descend_matrix, B, *problem, calls=4)
    assert violation(B, *problem, u).max() < 1e-6 * noise
    assert np.count_nonzero(u) < d


@pytest.mark.parametrize("seed", range(3))
def test_without_l1_descent_is_the_closed_form(seed):
    B, dense = low_rank(seed)
    g, w, _, l2 = l1_problem(seed)
    expected = w - np.linalg.solve(dense + np.diag(l2), g + l2 * w)
    np.testing.assert_allclose(converged(descend_matrix, dense, g, w, np.zeros(N), l2), expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(converged(descend_low_rank, B, g, w, np.zeros(N), l2), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_descent_without_negative_coefficients_is_that_of_lawson_and_hanson(seed):
    """Their interval of slopes reaches to minus infinity."""
    A = np.random.default_rng(seed).normal(size=(30, N)) * np.logspace(-1.0, 1.0, N)
    y = np.random.default_rng(seed + 1).normal(size=30)
    positive = Penalty(np.full(N, -np.inf), np.zeros(N), np.zeros(N))
    u = descend_matrix(A.T @ A, -A.T @ y, np.zeros(N), positive, 1e-16)
    np.testing.assert_allclose(u, nnls(A, y)[0], rtol=1e-8, atol=1e-10)
    assert 0 < np.count_nonzero(u) < N


def test_a_large_l1_penalty_gives_exact_zeros():
    B, dense = low_rank()
    g, w, _, l2 = l1_problem(0)
    large = elastic_net(1e3, l2, N)
    for u in (descend_matrix(dense, g, w, large, 0.0), descend_low_rank(B, g, w, large, 0.0)):
        np.testing.assert_array_equal(u, 0.0)


def test_descent_leaves_its_arguments_alone():
    B, dense = low_rank()
    problem = l1_problem(0)
    copies = [array.copy() for array in (dense, *B, *problem)]
    one_call(descend_matrix, dense, *problem)
    one_call(descend_low_rank, B, *problem)
    for array, copy in zip((dense, *B, *problem), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_coordinates_without_curvature_stay_where_they_are():
    """They are the coefficients of columns without variation."""
    g, w, l1, l2 = l1_problem(0)
    dense, diagonal = np.zeros((N, N)), np.zeros(N)
    dense[1:, 1:], diagonal[1:] = np.diag(np.full(N - 1, 3.0)), 3.0
    g[0] = l1[0] = l2[0] = w[0] = 0.0
    low = LowRank(diagonal, np.empty((N, 0)), np.empty((0, 0)))
    expected = 3.0 * w - g
    expected = np.sign(expected) * np.maximum(abs(expected) - l1, 0.0) / (3.0 + l2)
    for u in (converged(descend_matrix, dense, g, w, l1, l2), converged(descend_low_rank, low, g, w, l1, l2)):
        assert u[0] == 0.0
        np.testing.assert_allclose(u[1:], expected[1:], rtol=1e-12)


# ---------------------------------------------------------------- as exactly as needed
def model_value(B, g, w, l1, u):
    return g @ (u - w) + 0.5 * (u - w) @ B @ (u - w) + l1 @ np.abs(u)


def correlated(correlation, n=60):
    B = np.full((n, n), correlation)
    np.fill_diagonal(B, 1.0)
    return B


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.99, 0.9999])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.01, 0.1])
def test_half_of_the_decrease_is_never_missed(correlation, share, seed):
    """gd stops at a quarter of its tolerance, so a decrease that is half too small does no harm."""
    B, g, w = correlated(correlation), np.random.default_rng(seed).normal(size=60), np.zeros(60)
    l1 = np.full(60, 0.2)
    exact = descend_matrix(B, g, w, elastic_net(l1, 0.0, 60), 1e-14)
    rough = descend_matrix(B, g, w, elastic_net(l1, 0.0, 60), 1e-14, Precision(share))
    start, least = model_value(B, g, w, l1, w), model_value(B, g, w, l1, exact)
    assert least < start
    assert start - model_value(B, g, w, l1, rough) >= 0.5 * (start - least)


def test_a_decrease_up_to_the_goal_misses_little():
    """Gains along columns that differ hide what is still to be gained along columns that nearly agree."""
    B, l1, difference = np.diag(np.linspace(1.0, 3.0, 60)), np.full(60, 1e-3), 1e-4
    B[:20, :20] = 1.0 + difference * np.eye(20)
    g = np.random.default_rng(0).normal(size=60)
    g[:20] = g[0] + np.sqrt(difference) * g[:20]
    least, with_solves, with_sweeps = (
        model_value(B, g, np.zeros(60), l1, descend_matrix(B, g, np.zeros(60), elastic_net(l1, 0.0, 60), 1e-14, rough))
        for rough in (Precision(), Precision(0.1, goal=np.inf), Precision(0.1))
    )
    assert with_solves <= 0.99 * least  # they are negative
    assert with_sweeps >= 0.9 * least


def test_a_last_sweep_that_gains_nothing_does_not_show_that_nothing_is_left():
    """Found by drawing random problems: sweeps gained 1e-11 where the difference of two columns was worth 0.01."""
    curved, w, worth = 5e-10, np.array([1.0, -1.0]), 0.01
    B = np.array([[1.0, 1.0 - curved], [1.0 - curved, 1.0]])
    g = 1e-3 + np.array([1.0, -1.0]) * np.sqrt(worth * curved)
    u = descend_matrix(B, g, w, elastic_net(1e-12, 0.0, 2), 3e-9, Precision(0.1, goal=3e-6))
    decrease = -(g @ (u - w) + 0.5 * (u - w) @ B @ (u - w))
    assert decrease == pytest.approx(worth, rel=0.01)


def test_wrong_signs_do_not_end_the_descent():
    """Found by drawing random problems: two columns nearly agree, and both coefficients have to change their signs."""
    B, best = np.array([[1.0, 1.0 - 1e-7], [1.0 - 1e-7, 1.0]]), np.array([-0.8, 0.8])
    w = np.array([4e-5, -1e-5])
    g = B @ (w - best)
    u = descend_matrix(B, g, w, elastic_net(1e-12, 0.0, 2), 1e-16, Precision(0.1, goal=np.inf))
    np.testing.assert_allclose(u, best, rtol=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_the_minimum_of_a_line_with_kinks(seed):
    rng = np.random.default_rng(seed)
    a, b, kinks, jumps = -rng.exponential(), rng.exponential(), rng.exponential(size=seed % 5), rng.exponential(size=seed % 5)
    jumps[:1] = np.inf if seed > 14 else jumps[:1]
    t, value = line_minimum(a, b, kinks, jumps)

    def line(t):
        return a * t + 0.5 * b * t * t + sum(jump * (t - kink) for kink, jump in zip(kinks, jumps, strict=True) if t > kink)

    assert value == pytest.approx(line(t), rel=1e-12)
    assert t >= 0.0
    steps = t * np.linspace(0.5, 1.5, 101)
    assert all(value <= line(step) + 1e-12 for step in steps)
    assert t in kinks or value < line(1.001 * t)


def test_columns_that_are_hardly_correlated_need_no_solve(monkeypatch):
    B, g = correlated(0.01), np.random.default_rng(0).normal(size=60)
    l1 = np.full(60, 0.2)
    monkeypatch.setattr("skgd.models.quadratic._MatrixDescent.solve_on_support", None)
    u = descend_matrix(B, g, np.zeros(60), elastic_net(l1, 0.0, 60), 1e-16)
    slope = g + B @ u
    np.testing.assert_allclose(slope[u != 0.0], -np.sign(u[u != 0.0]) * 0.2, atol=1e-7)
    assert np.all(np.abs(slope[u == 0.0]) <= 0.2)
    assert 0 < np.count_nonzero(u) < 60
