"""Curvature of the smooth part against Hessians that NumPy makes row by row, and their inverses."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import LOSSES, SQUARED, D, objective_of, random_theta
from scipy.linalg import eigvalsh
from scipy.special import expit, softmax

from skgd.coordinates import Coordinates
from skgd.data.curved_rows import CurvedRows
from skgd.data.table import Table
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.margins import ModifiedHuber, SquaredHinge
from skgd.losses.regression import Huber, SquaredError
from skgd.models.column_metric import Columns
from skgd.models.cost import LARGEST_SIDE, HessianPlan
from skgd.models.curvature import Blocks, Diagonal, curvature_at, hessian, shrunk
from skgd.solvers.row_sizes import largest_squared_row_norm

STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
ALL = SQUARED | LOSSES
EVERY_LOSS = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())


def rows(n=40, d=D):
    rng = np.random.default_rng(5)
    return (rng.normal(size=(n, d)) + np.linspace(-1.0, 1.0, d)) * (rng.uniform(size=(n, d)) < 0.8)


def standardised_rows(objective):
    X = objective.table.X.toarray() if objective.table.sparse else objective.table.X
    mean, scale = objective.coordinates
    return np.column_stack([X - mean, np.ones(len(X))]) * scale


def expected_hessian(objective, theta):
    """The Hessian of the loss part (K D, K D), with coefficients ordered by columns."""
    A, K = standardised_rows(objective), objective.K
    Z, H = A @ theta, 0.0
    for a, z, s in zip(A, Z, objective.table.s, strict=True):
        if isinstance(objective.loss, Softmax):
            second = np.diag(softmax(z)) - np.outer(softmax(z), softmax(z))
        elif isinstance(objective.loss, LogLoss):
            second = np.diag(expit(z) * expit(-z))
        else:
            second = np.eye(K)
        H += s * np.kron(second, np.outer(a, a))
    return H / objective.n


def by_columns(theta):
    return theta.T.ravel()


# ---------------------------------------------------------------- the Hessian
@STORAGE
@pytest.mark.parametrize("weighted", [False, True])
def test_hessian_of_softmax_is_one_matrix(weighted, storage):
    """Equal shifts of the intercepts, which nothing penalises, get a curvature as well."""
    objective = objective_of(LOSSES["softmax"], storage(rows()), weighted=weighted)
    theta = random_theta(objective)
    shift = by_columns(np.vstack([np.zeros((D, 3)), np.ones((1, 3))]))
    H, expected = hessian(objective, theta, objective.n, 0)[0], expected_hessian(objective, theta)
    extra = H - expected
    assert shift @ expected @ shift == pytest.approx(0.0, abs=1e-14)
    assert shift @ extra @ shift == pytest.approx(np.trace(expected[D :: D + 1, D :: D + 1]), rel=1e-12)
    np.testing.assert_allclose(extra, np.outer(shift, shift) * (shift @ extra @ shift) / 9.0, atol=1e-14)


@STORAGE
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [LogLoss(1), LogLoss(2)], ids=["binary", "two columns"])
def test_hessian_of_independent_columns_is_a_block_for_each(loss, weighted, storage):
    objective = objective_of(loss, storage(rows()), weighted=weighted)
    theta = random_theta(objective)
    expected = expected_hessian(objective, theta).reshape(loss.n_outputs, D + 1, loss.n_outputs, D + 1)
    for k, block in enumerate(hessian(objective, theta, objective.n, loss.n_outputs)):
        np.testing.assert_allclose(block, expected[k, :, k], rtol=1e-12, atol=1e-14)


@STORAGE
@pytest.mark.parametrize("loss", [LogLoss(2), Softmax(3, 0.2)], ids=["two columns", "softmax"])
def test_columns_that_a_sample_missed_have_the_curvature_of_all_rows(loss, storage):
    """Without curvature a step along them could have any length.  Constant columns get none."""
    X = np.random.default_rng(0).normal(size=(2000, 4))
    X[:, 1], X[:, 2] = 0.0, 3.0
    X[1:20:2, 1] = 1.0  # odd rows: every tenth misses them
    objective, D = objective_of(loss, storage(X), l2=1e-4), 5
    theta, diagonal = random_theta(objective), 0 if loss.coupled() else loss.n_outputs
    exact, sampled = (hessian(objective, theta, most, diagonal) for most in (2000, 200))
    for k in range(loss.n_outputs):
        of_all, of_sample = (H[0, k * D :, k * D :] if loss.coupled() else H[k] for H in (exact, sampled))
        assert of_sample[1, 1] == pytest.approx(of_all[1, 1], rel=0.1)
        assert of_sample[2, 2] == 0.0
        np.testing.assert_allclose(np.diagonal(of_sample)[[0, 3]], np.diagonal(of_all)[[0, 3]], rtol=0.5)
    index = np.arange(0, 2000, 10)
    assert np.square(standardised_rows(objective)[index, 1]).mean() < 0.01  # what the sample itself says


@pytest.mark.parametrize("rows", [10, 40, 2000])
def test_the_curvature_of_a_sample_is_never_singular(rows):
    """The sample itself is singular where it has fewer rows than the 31 coefficients."""
    objective = objective_of(LogLoss(1), np.random.default_rng(0).normal(size=(2000, 30)), l2=0.0)
    theta = np.zeros((31, 1))
    exact, sampled = (hessian(objective, theta, most, 1) for most in (2000, rows))
    ratios = eigvalsh(shrunk(sampled, min(31 / rows, 1.0) if rows < 2000 else 0.0)[0], exact[0])
    assert ratios.min() > 0.1
    assert ratios.max() < 10.0
    if rows == 2000:
        np.testing.assert_array_equal(sampled, exact)


def test_shrinking_keeps_the_diagonal_and_takes_a_share_of_the_rest():
    H = np.arange(18.0).reshape(2, 3, 3)
    np.testing.assert_array_equal(shrunk(H, 0.25), H * np.where(np.eye(3), 1.0, 0.75))


def test_the_unshrunk_curvature_keeps_directions_that_no_row_has():
    """Dummies of all categories sum to one, also in the sample.  Only shrinking gives that direction curvature."""
    rng = np.random.default_rng(0)
    X = np.hstack([np.eye(40)[rng.integers(40, size=50_000)], rng.normal(size=(50_000, 1))])
    objective = objective_of(LogLoss(1), X, l2=1e-8)
    base = curvature_at(objective, np.full((42, 1), 0.1))
    assert base.unshrunk is not None
    common = np.append(1.0 / objective.coordinates.scale[:40], [0.0, 0.0])[:, None]  # moves all dummies alike
    slope = objective.penalty.l2[:, None] * common  # only the penalty is curved
    np.testing.assert_allclose(base.unshrunk.solve(slope), common, rtol=1e-6, atol=1e-6)
    assert np.vdot(slope, base.solve(slope)) < 0.01 * np.vdot(slope, common)


# ---------------------------------------------------------------- its inverse
def assert_inverse(objective, theta, rtol=1e-9):
    """`solve` inverts the Hessian with the penalty, on gradients of the loss: those do not shift the intercepts."""
    solve, l2 = curvature_at(objective, theta).solve, np.tile(objective.penalty.l2, objective.K)
    H = expected_hessian(objective, theta) + np.diag(l2)
    gradient = objective.evaluate(random_theta(objective, seed=3))[1]
    x = np.linalg.pinv(H, rcond=1e-11, hermitian=True) @ by_columns(gradient)
    np.testing.assert_allclose(by_columns(solve(gradient)), x, rtol=rtol, atol=1e-10)


@STORAGE
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@EVERY_LOSS
def test_curvature_is_the_inverse_of_the_hessian(loss, fit_intercept, weighted, storage):
    objective = objective_of(loss, storage(rows()), weighted=weighted, fit_intercept=fit_intercept)
    assert_inverse(objective, random_theta(objective))


@STORAGE
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_curvature_of_softmax_at_constant_scores_is_the_inverse_by_smaller_matrices(l2, fit_intercept, weighted, storage):
    """K matrices of side D instead of one of side K D."""
    loss = LOSSES["softmax"]
    objective = objective_of(loss, storage(rows()), weighted=weighted, fit_intercept=fit_intercept, l2=l2)
    theta = np.zeros((D + 1, 3))
    theta[-1] = [0.3, -1.0, 0.7] if fit_intercept else 0.0
    assert curvature_at(objective, theta).rotation.shape == (3, 3)
    assert_inverse(objective, theta)


@EVERY_LOSS
def test_curvature_undoes_the_change_of_the_gradient(loss):
    objective = objective_of(loss, rows(), weighted=True)
    theta, step = random_theta(objective), random_theta(objective, seed=2)
    step -= step.mean(axis=1, keepdims=True) * loss.coupled()  # equal shifts change nothing
    change = objective.evaluate(theta + 1e-5 * step)[1] - objective.evaluate(theta - 1e-5 * step)[1]
    solved = curvature_at(objective, theta).solve(change / 2e-5 + objective.penalty.l2[:, None] * step)
    np.testing.assert_allclose(solved, step, rtol=1e-6, atol=1e-8)


@EVERY_LOSS
def test_float32_has_the_curvature_of_its_values(loss):
    X = rows().astype(np.float32)
    single, double = (objective_of(loss, array) for array in (X, X.astype(float)))
    theta = random_theta(single)
    gradient = single.evaluate(theta)[1]
    solved, expected = (curvature_at(objective, theta).solve(gradient) for objective in (single, double))
    np.testing.assert_allclose(solved, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("constant", [False, True])
def test_a_tiny_penalty_does_not_magnify_the_rounding_of_shifts(constant):
    """L2 weights of theta are tiny where columns are large.  Gradients sum to zero over the classes, to rounding."""
    objective = objective_of(LOSSES["softmax"], rows() * np.array([1e20, 1e10, 1.0, 1e15]), l2=1e-4)
    theta = np.zeros((D + 1, 3)) if constant else random_theta(objective)
    gradient = objective.evaluate(theta)[1]
    shift = 1e-17 * np.ones((D + 1, 3))
    curvature = curvature_at(objective, theta)
    assert (objective.penalty.l2 < 1e-15).sum() == 4
    np.testing.assert_allclose(curvature.solve(gradient + shift), curvature.solve(gradient), rtol=1e-8, atol=1e-12)


def test_constant_columns_stay_where_they_are():
    X = rows()
    X[:, 2] = 7.0
    for loss in ALL.values():
        objective = objective_of(loss, X)
        for theta in (random_theta(objective), np.zeros((D + 1, loss.n_outputs))):
            np.testing.assert_array_equal(curvature_at(objective, theta).solve(np.ones(theta.shape))[2], 0.0)


# ---------------------------------------------------------------- what it costs, and what it is worth
def test_a_quadratic_loss_has_one_curvature_everywhere():
    curvature = curvature_at(objective_of(SquaredError(3)), np.zeros((D + 1, 3)))
    assert len(curvature.solvers) == 1
    assert not curvature.refreshable
    assert curvature.exact_near_minimum


@pytest.mark.parametrize("loss", [*LOSSES.values(), Huber(1)], ids=[*LOSSES, "huber"])
def test_other_losses_have_another_curvature_elsewhere(loss):
    objective = objective_of(loss)
    curvature = curvature_at(objective, random_theta(objective))
    assert isinstance(curvature, Blocks)
    assert curvature.refreshable
    assert curvature.exact_near_minimum


def test_curvature_is_a_diagonal_where_matrices_cost_too_much():
    """They are too large, or too slow: one of side 2,000 costs more than the passes over 40 rows that it saves."""
    too_large = (LogLoss(1), LARGEST_SIDE), (Softmax(3, 0.2), LARGEST_SIDE // 3)
    for loss, d in (*too_large, (LogLoss(1), 2000), (SquaredError(1), 2000)):
        objective = objective_of(loss, d=d)
        curvature = curvature_at(objective, random_theta(objective))
        assert isinstance(curvature, Diagonal)
        assert not curvature.refreshable
        assert not curvature.exact_near_minimum


@STORAGE
@EVERY_LOSS
def test_diagonal_is_that_of_the_hessian(loss, storage):
    X = rows()
    X[:, 2] = 7.0
    objective = objective_of(loss, storage(X), weighted=True)
    theta, gradient = random_theta(objective), random_theta(objective, seed=2)
    H = np.diagonal(expected_hessian(objective, theta)).reshape(loss.n_outputs, D + 1).T + objective.penalty.l2[:, None]
    expected = np.divide(gradient, H, out=np.zeros_like(gradient), where=objective.coordinates.scale[:, None] > 0.0)
    np.testing.assert_allclose(Diagonal(objective, theta).solve(gradient), expected, rtol=1e-10)


def test_matrices_of_many_rows_come_from_a_sample_and_more_effort_takes_more():
    X = np.random.default_rng(0).normal(size=(20_000, 100))
    few = HessianPlan(objective_of(LogLoss(1), X))
    assert few.side < few.rows < 20_000 / 2
    assert few.rows < HessianPlan(objective_of(LogLoss(1), X), effort=1.5).rows < 20_000
    assert HessianPlan(objective_of(LogLoss(1), X), effort=1e3).rows == 20_000
    assert HessianPlan(objective_of(SquaredError(1), X)).rows == 20_000
    assert HessianPlan(objective_of(Softmax(3, 0.2), X), constant=True).rows == 20_000


def test_matrices_are_as_many_and_as_large_as_the_loss_needs():
    sizes = {}
    for name, loss in ALL.items():
        for constant in (False, True):
            plan = HessianPlan(objective_of(loss), constant)
            sizes[name, constant] = plan.count, plan.side
    assert sizes["two targets", False] == (1, D + 1)
    assert sizes["two columns", False] == (2, D + 1)
    assert sizes["softmax", False] == (1, 3 * (D + 1))
    assert sizes["softmax", True] == (3, D + 1)


@STORAGE
def test_curvature_of_far_columns(storage):
    """In all its forms: blocks, diagonal, sparse columns and squared norms.  One column has zeros."""
    rng = np.random.default_rng(0)
    Z, y = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    Z[:, 2] *= rng.random(60) < 0.3
    offsets = 0.0, np.array([1e8, -1e7, 0.0])
    near, far = (objective_of(LogLoss(1), storage(Z + offset), Y=y[None].astype(float)) for offset in offsets)
    theta = random_theta(near)
    np.testing.assert_allclose(far.curvature(theta, 60), near.curvature(theta, 60), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(far.curvature_diagonal(theta), near.curvature_diagonal(theta), rtol=1e-6)
    np.testing.assert_allclose(largest_squared_row_norm(far), largest_squared_row_norm(near), rtol=1e-6)
    if storage is sp.csr_matrix:
        np.testing.assert_allclose(Columns(far, theta).curvature, Columns(near, theta).curvature, rtol=1e-6)


# ---------------------------------------------------------------- rows that gain and lose curvature
def margins_table(storage, outputs=2, n=60, weighted=True):
    """Rows with classes of -1 and 1, and coordinates of standardised columns."""
    rng, X = np.random.default_rng(8), rows(n)
    s = rng.exponential(size=n) if weighted else np.ones(n)
    coordinates = Coordinates(X.mean(axis=0), np.append(1.0 / X.std(axis=0), 1.0))
    return Table(storage(X), rng.choice([-1.0, 1.0], size=(outputs, n)), s / s.mean()), coordinates


def summed_hessian(table, loss, coordinates, theta):
    """The Hessian (K, D, D) as a sum over all rows, by NumPy."""
    X = table.X.toarray() if table.sparse else table.X
    A, K = np.column_stack([X - coordinates.mean, np.ones(table.n)]) * coordinates.scale, theta.shape[1]
    Z = A @ theta
    second = [[loss.curvature(float(y), float(z)) for y, z in zip(table.Y[k], Z[:, k], strict=True)] for k in range(K)]
    return np.array([A.T @ ((table.s * second[k])[:, None] * A) for k in range(K)])


@STORAGE
@pytest.mark.parametrize("loss", [SquaredHinge(2), ModifiedHuber(2)], ids=["squared hinge", "modified Huber"])
def test_updated_hessians_are_those_of_all_rows(loss, storage):
    """Steps of all sizes: some change a few rows, some change all of them, and the last ones end where nothing is curved."""
    (table, coordinates), rng = margins_table(storage), np.random.default_rng(9)
    curved, theta = CurvedRows(), rng.normal(size=(D + 1, 2))
    for size in [0.0, 0.01, 0.01, 0.1, 0.0, 0.3, 3.0, 0.01, 0.05]:
        theta = theta + size * rng.normal(size=theta.shape)
        expected = summed_hessian(table, loss, coordinates, theta)
        np.testing.assert_allclose(curved.hessian(table, loss, coordinates, theta), expected, rtol=1e-11, atol=1e-11)


def test_hundreds_of_updates_do_not_add_up_rounding_errors():
    (table, coordinates), rng = margins_table(np.asarray, outputs=1), np.random.default_rng(10)
    loss, curved = SquaredHinge(1), CurvedRows()
    for _ in range(400):
        theta = 0.5 * rng.normal(size=(D + 1, 1))
        H = curved.hessian(table, loss, coordinates, theta)
    np.testing.assert_allclose(H, summed_hessian(table, loss, coordinates, theta), rtol=1e-12, atol=1e-12)


def test_other_columns_of_scores_start_from_the_first_hessian(monkeypatch):
    """At zero coefficients all rows of all classes have the same curvature, so one sum over the rows is enough."""
    table, coordinates = margins_table(np.asarray, outputs=3)
    loss, theta, sums = SquaredHinge(1), np.zeros((D + 1, 1)), []
    gram = Table.gram
    monkeypatch.setattr(Table, "gram", lambda self, *arguments: sums.append(1) or gram(self, *arguments))
    curved = CurvedRows()
    for k in range(3):
        of_column = table.with_targets(table.Y[[k]])
        H = curved.for_outputs().hessian(of_column, loss, coordinates, theta)
        np.testing.assert_allclose(H, summed_hessian(of_column, loss, coordinates, theta), rtol=1e-12)
    assert len(sums) == 1
