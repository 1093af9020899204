"""Whitening against its definition: M' (H + l2) M = I with Hessians that NumPy makes row by row."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import default_options, objective_of, random_theta
from scipy.special import expit, softmax

from skgd import GDClassifier, GDRegressor
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.margins import SquaredHinge
from skgd.losses.regression import SquaredError
from skgd.solvers import sgd, steps
from skgd.solvers import whitening as module
from skgd.solvers.steps import State
from skgd.solvers.whitening import CurvatureSample, is_worthwhile, no_whitening

N, D = 300, 4
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
# The losses of the three layouts: one matrix for all columns of scores, one for each, and a single one for all coefficients.
LAYOUTS = {"shared": SquaredError(2), "per column": LogLoss(2), "joint": Softmax(3, 0.2)}
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)


def problem(loss, storage=np.asarray, l2=1e-3, **parameters):
    """An objective of weighted rows.  The columns are correlated, and some of their entries are zero."""
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(N, D)) + rng.normal(size=(N, 1))) * [1.0, 10.0, 0.1, 1.0] * (rng.random((N, D)) < 0.8)
    return objective_of(loss, storage(X), weighted=True, l2=l2, **parameters)


def standardised(objective):
    X = objective.table.X.toarray() if objective.table.sparse else objective.table.X
    return np.column_stack([X - objective.coordinates.mean, np.ones(len(X))]) * objective.coordinates.scale


def second_derivatives(loss, z):
    """The Hessian (K, K) of the loss of a row by its scores."""
    if isinstance(loss, Softmax):
        return np.diag(softmax(z)) - np.outer(softmax(z), softmax(z))
    return np.diag(expit(z) * expit(-z)) if isinstance(loss, LogLoss) else np.eye(len(z))


def row_hessians(objective, theta):
    """The Hessian (K D, K D) of the weighted loss of each row."""
    A = standardised(objective)
    for a, z, s in zip(A, A @ theta, objective.table.s, strict=True):
        yield s * np.kron(second_derivatives(objective.loss, z), np.outer(a, a))


def hessian(objective, theta):
    """The Hessian (K D, K D) of the objective."""
    return sum(row_hessians(objective, theta)) / objective.n + np.diag(np.tile(objective.penalty.l2, objective.K))


def blocks(H, K):
    """The diagonal blocks (K, D, D)."""
    side = len(H) // K
    return np.array([H[k * side : (k + 1) * side, k * side : (k + 1) * side] for k in range(K)])


def without_shifts(K, side):
    """A basis (K D, (K - 1) D) of the coefficients that sum to zero over the scores."""
    return np.kron(np.linalg.qr(np.eye(K) - 1.0 / K)[0][:, : K - 1], np.eye(side))


# ---------------------------------------------------------------- the definition
@STORAGE
@pytest.mark.parametrize("layout", ["shared", "per column"])
def test_the_hessian_of_the_objective_is_the_identity(layout, storage):
    objective = problem(LAYOUTS[layout], storage)
    theta = random_theta(objective)
    whitening = CurvatureSample(objective).at(theta, objective.loss)
    H = blocks(hessian(objective, theta), 2)
    assert whitening.matrices.shape == (1 if layout == "shared" else 2, D + 1, D + 1)
    assert whitening.exact
    for k, M in enumerate(whitening.matrices):
        np.testing.assert_allclose(M.T @ H[k] @ M, np.eye(D + 1), atol=1e-8)
        np.testing.assert_allclose(M @ whitening.inverses[k], np.eye(D + 1), atol=1e-10)


@STORAGE
def test_one_matrix_whitens_all_coefficients_of_a_coupled_loss(storage):
    """A coupled loss has no curvature along equal shifts of all scores.  There the matrix may assume any."""
    objective = problem(LAYOUTS["joint"], storage)
    theta = random_theta(objective)
    whitening = CurvatureSample(objective).at(theta, objective.loss)
    ((R,), (M,)), V = (whitening.inverses, whitening.matrices), without_shifts(3, D + 1)
    np.testing.assert_allclose(V.T @ R.T @ R @ V, V.T @ hessian(objective, theta) @ V, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(M @ R, np.eye(3 * (D + 1)), atol=1e-10)
    assert whitening.exact
    assert np.linalg.eigvalsh(R.T @ R).min() > 1e-4


def test_a_coupled_loss_of_many_coefficients_is_bounded_by_a_matrix_for_each_column_of_scores(monkeypatch):
    monkeypatch.setattr(module, "MAX_SIDE", 3 * D)
    objective = problem(LAYOUTS["joint"])
    theta = random_theta(objective)
    whitening = CurvatureSample(objective).at(theta, objective.loss)
    l2, H = np.diag(objective.penalty.l2), hessian(objective, theta)
    assert not whitening.exact
    for M, block in zip(whitening.matrices, blocks(H, 3), strict=True):
        np.testing.assert_allclose(M.T @ (2.0 * (block - l2) + l2) @ M, np.eye(D + 1), atol=1e-8)
    M = np.zeros((3, D + 1, 3, D + 1))
    for k in range(3):
        M[k, :, k] = whitening.matrices[k]
    M = M.reshape(H.shape)
    assert np.linalg.eigvalsh(M.T @ H @ M).max() <= 1.0 + 1e-8


@EVERY_LAYOUT
def test_a_fit_begins_with_the_bound_of_the_curvature(layout):
    objective = problem(LAYOUTS[layout])
    h = {"shared": 1.0, "per column": 0.25, "joint": objective.loss.curvature_bound()}[layout]
    whitening, A = CurvatureSample(objective).bounded(), standardised(objective)
    (M,), H = whitening.matrices, h * (A.T * objective.table.s) @ A / N + np.diag(objective.penalty.l2)
    np.testing.assert_allclose(M.T @ H @ M, np.eye(D + 1), atol=1e-8)
    assert not whitening.exact


@EVERY_LAYOUT
def test_the_trace_and_the_heaviest_row(layout):
    objective = problem(LAYOUTS[layout])
    theta, K = random_theta(objective), objective.K
    whitening = CurvatureSample(objective).at(theta, objective.loss)
    matrices = np.split(whitening.matrices[0], 3) if layout == "joint" else whitening.matrices  # for each column of scores
    rows = list(row_hessians(objective, theta))
    traces = np.array([[np.trace(M.T @ H @ M) for M, H in zip(matrices, blocks(H, K), strict=False)] for H in rows])
    assert whitening.largest == 1.0
    if layout == "joint":  # the products of two columns of scores are left out of the heaviest row
        exact = np.array([np.trace(whitening.matrices[0].T @ H @ whitening.matrices[0]) for H in rows])
        assert whitening.heaviest == pytest.approx(traces.sum(axis=1).max(), rel=1e-9)
        assert exact.max() <= 2.0 * whitening.heaviest
        assert whitening.trace >= exact.mean()
    else:
        assert whitening.heaviest == pytest.approx(traces.max(), rel=1e-9)
        assert whitening.trace == pytest.approx(traces.mean(axis=0).max(), rel=1e-9)


def test_the_curvature_of_a_batch_lies_between_that_of_one_row_and_of_all_rows():
    whitening = no_whitening(largest=3.0, trace=10.0)
    assert whitening.batch_curvature(50, n=50) == 3.0
    assert whitening.batch_curvature(1, n=50) == 20.0
    assert whitening._replace(heaviest=35.0).batch_curvature(1, n=50) == 35.0
    assert whitening.batch_curvature(10, n=50) == pytest.approx((9 * 3.0 + 20.0) / 10)
    assert no_whitening(0.0, 0.0).batch_curvature(10, n=50) == 1.0


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_columns_without_variance_keep_their_coefficients(fit_intercept):
    X = np.random.default_rng(0).normal(size=(N, D))
    X[:, 1] = 3.0
    objective = objective_of(LogLoss(1), X if fit_intercept else X * (np.arange(D) != 1), l2=0.0, fit_intercept=fit_intercept)
    idle = [1] if fit_intercept else [1, D]
    whitening = CurvatureSample(objective).at(np.zeros((D + 1, 1)), objective.loss)
    expected = np.zeros((D + 1, D + 1))
    expected[idle, idle] = 1.0
    np.testing.assert_array_equal(whitening.matrices[0][idle], expected[idle])
    np.testing.assert_array_equal(whitening.matrices[0][:, idle], expected[:, idle])


def test_directions_without_curvature_get_some():
    """Two equal columns, no penalty, and rows of which none is curved."""
    X = np.random.default_rng(0).normal(size=(N, 2))[:, [0, 1, 1]]
    objective = objective_of(SquaredHinge(1), X, Y=np.ones((1, N)), l2=0.0)
    whitening = CurvatureSample(objective).at(np.array([[0.0], [0.0], [0.0], [100.0]]), objective.loss)
    assert np.isfinite(whitening.matrices).all()


# ---------------------------------------------------------------- samples
def test_many_rows_are_sampled_and_all_of_them_are_used_on_demand(monkeypatch):
    monkeypatch.setattr(module, "PRODUCTS", 0.0)
    X = np.random.default_rng(0).normal(size=(20_000, D))
    objective = objective_of(LogLoss(1), X, weighted=True)
    theta = random_theta(objective)
    sample, all_rows = CurvatureSample(objective), CurvatureSample(objective, complete=True)
    assert module.ROWS_PER_COLUMN * (D + 1) <= sample.table.n < 2 * module.ROWS_PER_COLUMN * (D + 1)
    assert (sample.complete, all_rows.complete) == (False, True)
    assert all_rows.table.n == 20_000
    assert sample.passes < 0.1 * all_rows.passes
    H, loss = hessian(objective, theta), objective.loss.with_own_curvature()
    (M,) = sample.at(theta, loss).matrices
    np.testing.assert_allclose(M.T @ H @ M, np.eye(D + 1), atol=0.5)
    (M,) = all_rows.at(theta, loss).matrices
    np.testing.assert_allclose(M.T @ H @ M, np.eye(D + 1), atol=1e-8)


def test_matrices_are_as_many_as_the_loss_needs(monkeypatch):
    joint = CurvatureSample(problem(LAYOUTS["joint"]))
    assert (joint.joint, joint.blocks) == (True, 6)
    assert CurvatureSample(problem(LAYOUTS["shared"])).blocks == 1
    assert CurvatureSample(problem(LAYOUTS["per column"])).blocks == 2
    monkeypatch.setattr(module, "MAX_SIDE", 3 * D)
    apart = CurvatureSample(problem(LAYOUTS["joint"]))
    assert (apart.joint, apart.blocks) == (False, 3)


# ---------------------------------------------------------------- coordinates
@EVERY_LAYOUT
def test_coefficients_go_there_and_back(layout):
    objective = problem(LAYOUTS[layout])
    theta = random_theta(objective, seed=2)
    for whitening in (CurvatureSample(objective).at(random_theta(objective), objective.loss), no_whitening()):
        expected = theta
        if whitening.side > D + 1:  # a coupled loss does not see shifts
            expected = theta - theta.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(whitening.theta(whitening.phi(theta)), expected, rtol=1e-9, atol=1e-9)


@EVERY_LAYOUT
def test_gradients_are_derivatives_by_whitened_coefficients(layout):
    objective = problem(LAYOUTS[layout], l2=0.0)
    whitening = CurvatureSample(objective).at(random_theta(objective), objective.loss)
    phi, direction = whitening.phi(random_theta(objective, seed=2)), random_theta(objective, seed=4)
    ahead, behind = (objective.evaluate(whitening.theta(phi + step * direction))[0] for step in (1e-5, -1e-5))
    gradient = whitening.gradient(objective.evaluate(whitening.theta(phi))[1])
    assert np.vdot(gradient, direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


# ---------------------------------------------------------------- another whitening during a fit
@EVERY_LAYOUT
def test_another_whitening_leaves_the_state_where_it_is(layout):
    """The iterate, the average, the momentum and the table of residuals mean the same as before."""
    objective = problem(LAYOUTS[layout])
    scaled, plan = sgd.plan_steps(objective, default_options())
    theta, gradient = random_theta(objective), random_theta(objective, seed=5)
    theta -= theta.mean(axis=1, keepdims=True)
    gradient -= gradient.mean(axis=1, keepdims=True)
    state = State(scaled, theta, plan)
    state.average = state.whitening.phi(0.5 * theta)
    state.optimizer_state[0], state.optimizer_state[1] = state.whitening.gradient(gradient), 1.0
    steps.refresh_residuals(scaled, plan, state)
    table, summed = state.residual_table.copy(), state.table_gradient.copy()
    whitening = CurvatureSample(scaled).at(theta, scaled.loss)
    state.whiten(whitening)
    assert state.whitening is whitening
    np.testing.assert_allclose(state.whitening.theta(state.phi), theta, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(state.whitening.theta(state.average), 0.5 * theta, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(state.optimizer_state[0], whitening.gradient(gradient), rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(state.optimizer_state[1], 1.0)
    steps.refresh_residuals(scaled, plan, state)
    np.testing.assert_allclose(state.residual_table, table, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(state.table_gradient, summed, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(summed, scaled.evaluate(theta)[1], rtol=1e-8, atol=1e-10)


# ---------------------------------------------------------------- where it pays
@pytest.mark.parametrize(
    ("columns", "share", "l1", "expected"),
    [(4, 1.0, 0.0, True), (4, 1.0, 0.1, False), (40, 0.05, 0.0, False), (40, 0.5, 0.0, True), (401, 1.0, 0.0, False)],
    ids=["few columns", "an L1 penalty", "sparse rows", "half of the entries", "many columns"],
)
def test_columns_are_whitened_where_it_pays(columns, share, l1, expected):
    X = sp.random(500, columns, density=share, format="csr", random_state=0)
    objective = objective_of(LogLoss(1), X, l1=l1)
    assert is_worthwhile(objective) == expected
    scaled, whitening = sgd.choose_coordinates(objective, default_options())
    assert bool(whitening.side) == expected
    assert (scaled is objective) == expected


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("case", ["regression", "two classes", "three classes"])
def test_few_epochs_come_close_to_the_optimum_of_nearly_collinear_columns(case, solver):
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(900, 1)) + 0.01 * rng.normal(size=(900, 4))) * [1.0, 1e3, 1e-3, 1.0]
    X[:, -1] = 3.0
    z = 50.0 * (X[:, 0] - X[:, 1] / 1e3) + rng.logistic(size=900)
    estimator = GDRegressor if case == "regression" else GDClassifier
    y = z if case == "regression" else np.digitize(z, [0.0] if case == "two classes" else [-1.0, 1.0])
    best = estimator(alpha=1e-6, tol=1e-10).fit(X, y).loss_curve_[-1]
    model = estimator(solver=solver, alpha=1e-6, tol=None, max_iter=20, random_state=0).fit(X, y)
    assert model.loss_curve_[-1] <= 1.001 * best
