"""Whitening against its definition: curvature h in every direction, and a penalty that acts on each coefficient alone."""

import numpy as np
import pytest
import scipy.sparse as sp

from skgd import GDClassifier, GDRegressor
from skgd.coordinates import identity as raw
from skgd.data.table import Table
from skgd.losses.cross_entropy import LogLoss
from skgd.objective import Objective
from skgd.penalties import elastic_net
from skgd.solvers.whitening import no_whitening, whitening_of

N, D = 900, 4


def nearly_collinear(rng):
    """Columns that differ by a hundredth of their size, and a constant one."""
    common = rng.normal(size=(N, 1))
    X = common + 0.01 * rng.normal(size=(N, D))
    X[:, -1] = 3.0
    return X


def objective(X, l1=0.0, l2=1e-3):
    rng = np.random.default_rng(1)
    y, s = rng.integers(2, size=(1, X.shape[0])).astype(float), rng.uniform(0.5, 2.0, X.shape[0])
    plain = Objective(Table(X, y, s * X.shape[0] / s.sum()), LogLoss(1), elastic_net(l1, l2, X.shape[1]), raw(X.shape[1], True))
    return plain.in_coordinates(plain.standardise(True))


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_loss_and_penalty_have_unit_curvature_together_and_the_penalty_is_diagonal(storage):
    X = nearly_collinear(np.random.default_rng(0))
    problem = objective(storage(X))
    M, l2 = whitening_of(problem)
    mean, scale = problem.coordinates
    A = (X - mean) * scale[:-1]
    penalty = np.diag(problem.penalty.l2[:-1])
    total = M.T @ (0.25 * (A.T * problem.table.s) @ A / N + penalty) @ M
    varies = scale[:-1] > 0
    np.testing.assert_allclose(np.linalg.eigvalsh(total)[-varies.sum() :], 0.25, rtol=0.01)
    np.testing.assert_allclose(M.T @ penalty @ M, np.diag(l2[:-1]), atol=1e-10)
    assert l2[-1] == 0.0


def test_coefficients_go_there_and_back():
    X = nearly_collinear(np.random.default_rng(0))
    whitening = whitening_of(objective(X))
    theta = np.random.default_rng(2).normal(size=(D + 1, 2))
    np.testing.assert_allclose(whitening.theta(whitening.phi(theta)), theta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "columns", "share", "l1"),
    [(900, 4, 1.0, 0.1), (50, 4, 1.0, 0.0), (900, 40, 0.05, 0.0)],
    ids=["an L1 penalty", "few rows", "sparse rows"],
)
def test_coefficients_stay_as_they_are_where_whitening_does_not_pay(rows, columns, share, l1):
    X = sp.random(rows, columns, density=share, format="csr", random_state=0)
    problem = objective(X, l1=l1)
    whitening = whitening_of(problem)
    assert whitening.matrix.size == 0
    np.testing.assert_array_equal(whitening.l2, no_whitening(problem).l2)
    theta = np.ones((columns + 1, 1))
    np.testing.assert_array_equal(whitening.theta(theta), theta)
    np.testing.assert_array_equal(whitening.phi(theta), theta)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("case", ["regression", "two classes", "three classes"])
def test_few_epochs_come_close_to_the_optimum_of_nearly_collinear_columns(case, solver):
    rng = np.random.default_rng(3)
    X = nearly_collinear(rng) * [1.0, 1e3, 1e-3, 1.0]
    z = 50.0 * (X[:, 0] - X[:, 1] / 1e3) + rng.logistic(size=N)
    estimator = GDRegressor if case == "regression" else GDClassifier
    y = z if case == "regression" else np.digitize(z, [0.0] if case == "two classes" else [-1.0, 1.0])
    best = estimator(alpha=1e-6, tol=1e-10).fit(X, y).loss_curve_[-1]
    model = estimator(solver=solver, alpha=1e-6, tol=None, max_iter=20, random_state=0).fit(X, y)
    assert model.loss_curve_[-1] <= 1.001 * best
