"""Fewer rows than columns: the problem in the row space has the minimum of the whole problem."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from problems import LOSSES, SQUARED, objective_of, random_theta
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from skgd import GDClassifier, GDRegressor
from skgd.losses.cross_entropy import LogLoss
from skgd.models.row_space import COLUMNS, RowSpace, is_worthwhile

ROWS, WIDE = 30, 80
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])
INTERCEPT = pytest.mark.parametrize("fit_intercept", [False, True])
ALL = SQUARED | LOSSES
EVERY_LOSS = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())


def wide(n=ROWS, d=WIDE, seed=0):
    """Columns of several scales and offsets, half of whose entries are zero; two columns are constant."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) + rng.normal(size=d)) * np.logspace(-1.0, 1.0, d) * (rng.random((n, d)) < 0.5)
    X[:, 3], X[:, 40] = 0.0, 2.0
    return X


def weights_of(weighted, n=ROWS):
    return np.random.default_rng(4).uniform(0.1, 3.0, n) if weighted else None


def assert_same_scores(model, expected, X, tol=1e-6):
    assert_allclose(model.coef_, expected.coef_, atol=tol * np.abs(expected.coef_).max())
    scores = X @ np.atleast_2d(expected.coef_).T + expected.intercept_
    assert_allclose(X @ np.atleast_2d(model.coef_).T + model.intercept_, scores, atol=tol * np.abs(scores).max())


# ---------------------------------------------------------------- fits against scikit-learn and SciPy
@STORAGE
@WEIGHTED
@INTERCEPT
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression(classes, fit_intercept, weighted, storage):
    X, weights, C = wide(), weights_of(weighted), 0.5
    y = np.digitize(X[:, -1] + X[:, -5], np.quantile(X[:, -1] + X[:, -5], [0.4, 0.7][: classes - 1]))
    expected = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, fit_intercept=fit_intercept).fit(X, y, weights)
    alpha = 1.0 / (C * (ROWS if weights is None else weights.sum()))
    model = GDClassifier(alpha=alpha, tol=1e-12, fit_intercept=fit_intercept).fit(storage(X), y, weights)
    assert_same_scores(model, expected, X)
    assert_array_equal(model.coef_[:, [3, 40] if fit_intercept else [3]], 0.0)


@STORAGE
@WEIGHTED
@INTERCEPT
@pytest.mark.parametrize("targets", [1, 3])
def test_ridge(targets, fit_intercept, weighted, storage):
    X, weights, alpha = wide(), weights_of(weighted), 0.1
    Y = 5.0 + X[:, -4:] @ np.random.default_rng(1).normal(size=(4, 3))[:, :targets].squeeze()
    total = ROWS if weights is None else weights.sum()
    expected = Ridge(alpha=alpha * total, fit_intercept=fit_intercept, solver="cholesky").fit(X, Y, weights)
    model = GDRegressor(alpha=alpha, tol=1e-12, fit_intercept=fit_intercept).fit(storage(X), Y, weights)
    assert_same_scores(model, expected, X)


@STORAGE
def test_huber(storage, objective):
    X, alpha = wide(), 0.1
    y = X[:, -1] + 30.0 * (np.random.default_rng(1).random(ROWS) < 0.2)
    model = GDRegressor("huber", epsilon=1.0, alpha=alpha, tol=1e-12, max_iter=1000).fit(storage(X), y)

    def value_and_gradient(p):
        r = np.clip(X @ p[:-1] + p[-1] - y, -1.0, 1.0) / ROWS
        return objective(model, X, y, None, p[:-1], p[-1:]), np.append(X.T @ r + alpha * p[:-1], r.sum())

    best = minimize(value_and_gradient, np.zeros(WIDE + 1), jac=True, options={"gtol": 1e-9, "maxiter": 10_000})
    assert objective(model, X, y) <= best.fun * (1 + 1e-8)
    assert_allclose(model.coef_, best.x[:-1], atol=1e-4 * np.abs(best.x).max())


@STORAGE
@pytest.mark.parametrize("classes", [2, 3])
def test_a_warm_start_is_projected_and_ends_at_the_same_minimum(classes, storage):
    """The start has a part outside of the row space, because it belongs to other data."""
    X, y = wide(), np.arange(ROWS) % classes
    model = GDClassifier(alpha=0.01, tol=1e-12, warm_start=True)
    model.fit(storage(wide(seed=1)), y)
    cold = GDClassifier(alpha=0.01, tol=1e-12).fit(storage(X), y)
    assert_same_scores(model.fit(storage(X), y), cold, X)
    assert model.fit(storage(X), y).n_iter_ <= 1


def test_more_columns_than_are_centred_at_a_time():
    X = wide(20, 2 * COLUMNS + 5)
    y = X[:, -1] + X[:, COLUMNS]
    assert_same_scores(GDRegressor(alpha=0.1, tol=1e-12).fit(X, y), Ridge(alpha=2.0, solver="cholesky").fit(X, y), X)


def test_float32():
    X, y = wide().astype(np.float32), np.arange(ROWS) % 2
    assert is_worthwhile(objective_of(LogLoss(1), X))
    expected = GDClassifier(alpha=0.01, tol=1e-12).fit(X.astype(float), y)
    assert_same_scores(GDClassifier(alpha=0.01, tol=1e-12).fit(X, y), expected, X, tol=1e-5)


def test_rounding_on_the_way_out_is_in_the_curve_and_is_repaired():
    """Found by drawing random problems: uncentred columns of 1e6 whose differences matter.  The curve was wrong."""
    X, y = np.full((2, 70), 1e6), np.array([-0.5, 2.0])
    X[0, 28], X[1, 59] = 1e6 + 3.5, 1e6 - 8.2
    with pytest.warns(ConvergenceWarning, match="Columns 0 and 1 of X vary by less") as said:
        model = GDRegressor(alpha=0.0, fit_intercept=False).fit(X, y)
    assert len(said) == 1
    loss = 0.5 * np.mean((X @ model.coef_ - y) ** 2)
    assert model.loss_curve_[-1] == pytest.approx(loss, rel=1e-3, abs=1e-12)
    assert loss < 1e-6 * model.loss_curve_[0]


def test_raw_coordinates_do_not_hide_columns_that_squares_hide():
    X, y = wide(), np.arange(ROWS) % 2
    plain = GDClassifier(alpha=1e-3).fit(X, y)
    X[:, 7] *= 1e150
    model = GDClassifier(alpha=1e-3, standardize=False).fit(X, y)
    assert model.loss_curve_[-1] <= plain.loss_curve_[-1] * (1.0 + 1e-4)
    with pytest.raises(ValueError, match="Column 7 of X holds values whose squares exceed"):
        GDClassifier(alpha=1e-3, standardize=False).fit(1e10 * X, y)


# ---------------------------------------------------------------- the space
@STORAGE
@WEIGHTED
@INTERCEPT
@EVERY_LOSS
def test_coefficients_of_the_space_have_one_objective_inside_and_outside(loss, fit_intercept, weighted, storage):
    """Both loss and penalty are the same, because the basis is orthonormal."""
    outer = objective_of(loss, storage(wide()), weighted=weighted, fit_intercept=fit_intercept)
    assert is_worthwhile(outer)
    space = RowSpace(outer)
    inner = random_theta(space.objective)
    theta = space.outside(inner)
    assert outer.evaluate(theta)[0] == pytest.approx(space.objective.evaluate(inner)[0], rel=1e-10)
    assert_allclose(space.inside(theta), inner, rtol=1e-7, atol=1e-8)


@STORAGE
@INTERCEPT
@EVERY_LOSS
def test_projection_keeps_the_scores_and_shortens_the_coefficients(loss, fit_intercept, storage):
    outer = objective_of(loss, storage(wide()), fit_intercept=fit_intercept)
    space, theta = RowSpace(outer), random_theta(outer)
    W, b = outer.coordinates.raw(theta)
    W_near, b_near = outer.coordinates.raw(space.outside(space.inside(theta)))
    assert_allclose(outer.table.X @ W_near + b_near, outer.table.X @ W + b, rtol=1e-8, atol=1e-8)
    assert np.square(W_near).sum() < np.square(W).sum()


@INTERCEPT
def test_the_space_has_the_rank_of_the_centred_rows(fit_intercept):
    X = wide()
    X[5] = X[6]
    space = RowSpace(objective_of(LogLoss(1), X, fit_intercept=fit_intercept))
    mean = X.mean(axis=0) if fit_intercept else 0.0
    assert space.objective.d == np.linalg.matrix_rank(X - mean)
    assert_allclose(space.Q.T @ space.Q, np.eye(space.objective.d), atol=1e-9)
    assert_allclose((X - mean) @ space.Q, space.objective.table.X, atol=1e-9)


@INTERCEPT
@pytest.mark.parametrize("unit", [1.0, 1e4])
def test_both_ways_lead_to_the_same_space(unit, fit_intercept):
    """The Gram matrix and orthogonal transformations find other bases of one space."""
    X = wide()
    X[:, 7] *= unit
    space = RowSpace(objective_of(LogLoss(1), X, fit_intercept=fit_intercept))
    (Z, Q), (Z_by_gram, Q_by_gram) = space._by_orthogonalisation(), space._by_gram_matrix()
    assert_allclose(Q @ Q.T, Q_by_gram @ Q_by_gram.T, atol=1e-7)
    assert_allclose(Z @ Z.T, Z_by_gram @ Z_by_gram.T, rtol=1e-9, atol=1e-9 * unit**2)


# ---------------------------------------------------------------- where it is worthwhile
def test_it_is_worthwhile_with_fewer_rows_than_columns():
    assert is_worthwhile(objective_of(LogLoss(1), wide()))
    assert not is_worthwhile(objective_of(LogLoss(1), wide(WIDE, WIDE)))
    assert not is_worthwhile(objective_of(LogLoss(1), wide(WIDE + 1, WIDE)))


@pytest.mark.parametrize(("unit", "resolved"), [(1.0, True), (1e7, True), (1e14, False)])
def test_it_is_worthwhile_without_a_penalty_for_least_squares(unit, resolved):
    """Least squares want the solution of least norm.  No column may be lost beside the largest."""
    X = wide()
    X[:, 7] *= unit
    assert is_worthwhile(objective_of(SQUARED["squared"], X, l2=0.0)) == resolved


def test_it_is_not_worthwhile_where_passes_are_cheaper_than_a_decomposition():
    """The data has 3,000 rows with three entries each."""
    X = sp.random(3000, 3001, density=1e-3, format="csr", random_state=0)
    assert not is_worthwhile(objective_of(LogLoss(1), X))
    assert is_worthwhile(objective_of(LogLoss(1), X[:100]))


@pytest.mark.parametrize("penalty", [{"l1": 0.1}, {"l1": 0.1, "l2": 0.0}, {"l2": 0.0}])
def test_it_needs_an_l2_penalty_alone(penalty):
    """The minimum with L1 is outside of the row space; without a penalty coefficients may be anywhere."""
    assert not is_worthwhile(objective_of(LogLoss(1), wide(), **penalty))


@pytest.mark.parametrize("unit", [1.0, 1e7, 1e14])
def test_it_is_not_worthwhile_where_a_column_would_be_lost(unit):
    """With or without the row space, the gradient vanishes in all units."""
    X, y, alpha = wide(), np.arange(ROWS) % 2, 1e-3
    X[:, 7] = unit * (1.0 + X[:, 8])
    assert is_worthwhile(objective_of(LogLoss(1), X, l2=alpha)) == (unit < 1e14)
    model = GDClassifier(alpha=alpha, tol=1e-12).fit(X, y)
    r = (expit(X @ model.coef_[0] + model.intercept_) - y) / ROWS
    gradient, deviation = X.T @ r + alpha * model.coef_[0], X.std(axis=0)
    assert_allclose(gradient[deviation > 0.0] / deviation[deviation > 0.0], 0.0, atol=1e-5)
    assert_allclose(r.sum(), 0.0, atol=1e-6)


def test_it_is_not_worthwhile_where_nothing_varies():
    assert not is_worthwhile(objective_of(LogLoss(1), np.full((ROWS, WIDE), 3.0)))
