"""Full-batch descent: samples of many rows, the line search, and when a fit stops."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from problems import objective_of
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, LogisticRegression

from skgd import GDClassifier, GDRegressor
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import Huber, SquaredError
from skgd.objective import Objective
from skgd.solvers import descent
from skgd.solvers.convergence import is_stalling
from skgd.solvers.gd import GROWTH, sample_strides
from skgd.solvers.line_search import Ray, line_search
from skgd.solvers.passes import run_alone

ROWS, COLUMNS = 40_000, 8


@pytest.fixture(scope="module")
def many_rows():
    """Columns of several scales, and a score that explains some of the labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, COLUMNS)) * np.logspace(-2.0, 2.0, COLUMNS) + np.linspace(-5.0, 5.0, COLUMNS)
    return X, ((X - X.mean(axis=0)) / X.std(axis=0)) @ rng.normal(size=COLUMNS) + rng.logistic(size=ROWS)


def sampled(objective):
    """Which rows belong to a sample (n,)."""
    return np.any([np.arange(objective.n) % stride == 0 for stride in sample_strides(objective)], axis=0)


def codes(z, classes):
    return np.digitize(z, [0.0, 1.5][: classes - 1])


def assert_optimal(model, X, y, weights=None, storage=np.asarray):
    """The fitted model has the minimum of scikit-learn's Newton method."""
    s = np.ones(len(y)) if weights is None else weights
    model.set_params(alpha=1e-3, tol=1e-9).fit(storage(X), y, weights)
    expected = LogisticRegression(C=1.0 / (1e-3 * s.sum()), solver="newton-cholesky", tol=1e-12).fit(X, y, weights)
    deviation = X.std(axis=0)
    assert_allclose(model.coef_ * deviation, expected.coef_ * deviation, atol=1e-4 * np.abs(expected.coef_ * deviation).max())


def test_samples_grow_from_enough_rows_to_an_eighth_of_all():
    rng = np.random.default_rng(0)
    strides = {n: sample_strides(objective_of(LogLoss(1), rng.normal(size=(n, 20)))) for n in (2_000, 40_000, 200_000)}
    assert strides == {2_000: [], 40_000: [GROWTH], 200_000: [GROWTH**2, GROWTH]}


def test_small_samples_of_many_coefficients_are_not_taken():
    X = np.random.default_rng(0).normal(size=(20_000, 20))
    assert sample_strides(objective_of(LogLoss(1), X))
    assert not sample_strides(objective_of(Softmax(30, 0.03), X))


@pytest.mark.parametrize("loss", [Huber(1), LogLoss(1), Softmax(3, 0.2)])
def test_only_a_quadratic_loss_needs_no_sample(loss, many_rows):
    X, z = many_rows
    Y = codes(z, 3).astype(float)[None] if loss.coupled() else codes(z, 2).astype(float)[None]
    assert sample_strides(objective_of(loss, X, Y=Y))
    assert not sample_strides(objective_of(SquaredError(1), X, Y=Y))


# ---------------------------------------------------------------- the minimum is the same
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_minimum_of_many_rows(classes, weighted, storage, many_rows):
    X, z = many_rows
    weights = np.random.default_rng(1).uniform(0.1, 3.0, ROWS) if weighted else None
    assert_optimal(GDClassifier(), X, codes(z, classes), weights, storage)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("order", ["labels", "column"])
def test_minimum_of_sorted_rows(order, classes, many_rows):
    X, z = many_rows
    y = codes(z, classes)
    rows = np.argsort(y if order == "labels" else X[:, 3], kind="stable")
    assert_optimal(GDClassifier(), X[rows], y[rows])


@pytest.mark.parametrize("classes", [2, 3])
def test_minimum_where_no_sample_has_a_class(classes, many_rows):
    X, z = many_rows
    y = np.minimum(codes(z, classes), classes - 2)
    absent = np.flatnonzero(~sampled(objective_of(LogLoss(1), X)))
    y[absent[:2000:20]] = classes - 1
    assert sample_strides(objective_of(LogLoss(1), X, Y=np.minimum(y, 1.0)[None]))
    assert_optimal(GDClassifier(), X, y)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalty", ["l2", None])
def test_minimum_where_a_column_is_constant_in_every_sample(penalty, classes, many_rows):
    """The coefficient of that column must neither follow noise nor stay at zero."""
    X, z = many_rows[0].copy(), many_rows[1].copy()
    outside = ~sampled(objective_of(LogLoss(1), X))
    X[:, 2] = outside & (np.random.default_rng(1).random(ROWS) < 0.02)
    z += 2.0 * X[:, 2]
    y = codes(z, classes)
    if penalty:
        assert_optimal(GDClassifier(), X, y)
    else:
        model = GDClassifier(penalty=None, tol=1e-10).fit(X, y)
        P = model.predict_proba(X)
        residuals = P - np.eye(classes)[y]
        scaled = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(ROWS)])
        assert_allclose(scaled.T @ residuals / ROWS, 0.0, atol=1e-6)


def test_minimum_of_many_rows_with_an_l1_penalty(many_rows):
    """The zeros are the ones of all rows, which the optimality conditions tell."""
    X, z = many_rows
    y, alpha = codes(z, 2), 0.05
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = GDClassifier(penalty="l1", alpha=alpha, tol=1e-10).fit(X, y)
    w = model.coef_[0]
    gradient = X.T @ (model.predict_proba(X)[:, 1] - y) / ROWS
    assert 0 < np.count_nonzero(w) < COLUMNS
    assert_allclose(gradient[w != 0.0], -alpha * np.sign(w[w != 0.0]), atol=1e-5)
    assert (np.abs(gradient[w == 0.0]) < alpha).all()


def test_minimum_of_huber_regression(many_rows):
    X, z = many_rows
    y = z + 50.0 * (np.random.default_rng(1).random(ROWS) < 0.1)
    model = GDRegressor("huber", epsilon=1.0, penalty=None, tol=1e-10).fit(X, y)
    scaled = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(ROWS)])
    assert_allclose(scaled.T @ np.clip(model.predict(X) - y, -1.0, 1.0) / ROWS, 0.0, atol=1e-5)


def test_minimum_of_many_rows_of_the_elastic_net(many_rows):
    X, z = many_rows
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    expected = ElasticNet(alpha=0.3, l1_ratio=0.7, tol=1e-12).fit(X, z)
    model = GDRegressor(penalty="elasticnet", alpha=0.3, l1_ratio=0.7, tol=1e-12).fit(X, z)
    assert_allclose(model.coef_, expected.coef_, atol=1e-6)


# ---------------------------------------------------------------- what a fit reports
def test_samples_are_not_in_the_history(many_rows):
    """The curve holds objectives of all rows.  It starts where the samples ended, and falls."""
    X, z = many_rows
    model = GDClassifier(tol=1e-9).fit(X, codes(z, 2))
    assert len(model.loss_curve_) <= model.n_iter_ + 1
    assert np.all(np.diff(model.loss_curve_) <= 1e-12)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("classes", [2, 3])
def test_samples_and_matrices_are_the_same_for_any_number_of_threads(classes, storage, many_rows):
    X, z = many_rows
    fits = [GDClassifier(n_jobs=jobs).fit(storage(X), codes(z, classes)) for jobs in (1, 2, 3)]
    for model in fits[1:]:
        np.testing.assert_array_equal(model.coef_, fits[0].coef_)
        assert model.loss_curve_ == fits[0].loss_curve_


@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_outdated_curvature_says_nothing_of_the_gap(tol):
    """Few rows of many columns separate the classes, so F falls by orders of magnitude, and the curvature with it."""
    n, d, alpha = 60, 300, 1e-4
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(n, d)) * 300.0 * rng.random(d) ** 4
    y = (rng.random(n) < 0.45).astype(int)

    def objective_at(model):
        z = X @ model.coef_[0] + model.intercept_[0]
        return np.mean(np.logaddexp(0.0, z) - y * z) + 0.5 * alpha * np.sum(model.coef_**2)

    reference = LogisticRegression(C=1.0 / (alpha * n), solver="newton-cg", tol=1e-8, max_iter=1000)
    assert objective_at(GDClassifier(alpha=alpha, tol=tol).fit(X, y)) <= (1.0 + tol) * objective_at(reference.fit(X, y))


def test_a_step_far_beyond_the_minimum_is_taken_back():
    """Such a step gains a hundredth of what its direction allows.  The search must gain at least half."""
    objective = objective_of(LogLoss(1), l2=1e-6)
    F, gradient = objective.evaluate(np.zeros((objective.d + 1, 1)))

    def decrease(length):
        return F - objective.evaluate(-length * gradient)[0]

    best = minimize_scalar(lambda length: -decrease(length), bounds=(0.0, 100.0), method="bounded")
    far = brentq(lambda length: decrease(length) - 0.01 * decrease(best.x), best.x, 1e4)
    slope = -far * float(np.vdot(gradient, gradient))
    search = line_search(objective, Ray(np.zeros_like(gradient), -far * gradient, F, slope))
    assert F - run_alone(objective, search).F >= 0.5 * decrease(best.x)


def dummies(rows, levels, columns, seed, shares=None):
    """Dummy columns of all levels sum to one, which makes directions along which only the penalty is curved."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(levels, shares)) if shares else None
    codes = rng.choice(levels, p=shares, size=(columns, rows))
    X = np.hstack([np.eye(levels)[code] for code in codes] + [rng.standard_t(2.5, size=(rows, 4))])
    X /= np.where(X.std(axis=0) > 0.0, X.std(axis=0), 1.0)
    return X, rng.uniform(size=rows) < expit(X @ rng.normal(size=X.shape[1]) * 0.3 - 1.0)


@pytest.mark.parametrize(
    ("data", "penalty", "tol"),
    [((40_000, 12, 4, 0, 0.3), "l2", 1e-8), ((20_000, 8, 3, 5), "l1", 1e-7), ((8_000, 8, 3, 5), "l1", 1e-7)],
    ids=["the curvature of a sample is shrunk", "as well with L1", "models with L1 are minimised roughly"],
)
def test_a_fit_does_not_stop_before_directions_without_curvature_are_minimised(data, penalty, tol):
    X, y = dummies(*data)
    model = GDClassifier(alpha=1e-6 if penalty == "l2" else 1e-7, penalty=penalty, tol=tol).fit(X, y)
    least = clone(model).set_params(tol=1e-13).fit(X, y).loss_curve_[-1]
    assert model.loss_curve_[-1] <= (1.0 + tol) * least


def gamma_deviance(y, z):
    return y / np.exp(z) - 1.0 - np.log(y) + z


def modified_huber(y, z):
    margin = np.where(y == 1, z, -z)
    return np.where(margin < -1.0, -4.0 * margin, np.maximum(0.0, 1.0 - margin) ** 2)


FAR_OFF = {
    "gamma": (GDRegressor("gamma"), [1.0, 1.0, 1.0, 0.01], np.exp([-5.0, -5.0, -5.0, 7.0]), gamma_deviance),
    "poisson": (
        GDRegressor("poisson"),
        [1.0, 1.0, 1.0, -0.1],
        [1, 1, 1, 32],
        lambda y, z: np.exp(z) - y - y * z + y * np.log(y),
    ),
    "modified_huber": (GDClassifier("modified_huber"), [1.0] + [0.01] * 205, [0] + [1] * 205, modified_huber),
    "log_loss": (GDClassifier(), [1.0] + [0.01] * 205, [0] + [1] * 205, lambda y, z: np.logaddexp(0.0, z) - y * z),
}


@pytest.mark.parametrize("loss", FAR_OFF)
def test_rows_far_off_at_the_minimum_do_not_slow_the_last_steps(loss):
    model, x, y, losses = FAR_OFF[loss]
    x, y = np.array(x), np.array(y)
    model.set_params(alpha=0.0, fit_intercept=False, tol=1e-8).fit(x[:, None], y)
    best = minimize_scalar(lambda w: np.mean(losses(y, w * x)), bracket=(-1.0, 1.0), tol=1e-12).fun
    assert np.mean(losses(y, model.coef_.item() * x)) <= (1.0 + 1e-8) * best
    assert model.n_iter_ <= 10


def test_rows_far_off_do_not_hide_what_is_left():
    """Found by drawing random problems: the gains of steps fell to a tenth twice, 7 times tol above the minimum."""
    X = np.ones((7, 4))
    X[[0, 1, 2, 3, 4], [1, 3, 3, 0, 0]] = [3.44619, -0.169168, 1.00369, 0.251990, 1.80215]
    y = np.array([0.0265326, 0.469839, 0.675609, 0.0847138, 0.0234566, 73.3237, 0.0082686])
    weights = np.array([0.198770, 0.228021, 1.17266, 1.56349, 1.41124, 8.62229, 8.62229])
    model = GDRegressor("gamma", alpha=0.0, fit_intercept=False, tol=1e-4).fit(X, y, weights)

    def objective(w):
        residual = weights * (1.0 - y / np.exp(X @ w)) / weights.sum()
        return weights @ gamma_deviance(y, X @ w) / weights.sum(), X.T @ residual

    best = minimize(objective, model.coef_, jac=True, method="BFGS", options={"gtol": 1e-9}).fun
    assert objective(model.coef_)[0] <= (1.0 + 1e-4) * best


@pytest.mark.parametrize("tol", [1e-1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("loss", ["log_loss", "poisson", "gamma", "huber"])
def test_a_fit_that_stops_by_the_hessian_of_the_point_before_is_within_tol(loss, tol, rng, monkeypatch, objective):
    """The plain reference makes a Hessian at every point.  Over all these fits the other one makes fewer."""
    hessians, curvature = [], Objective.curvature
    monkeypatch.setattr(Objective, "curvature", lambda self, *a, **k: hessians.append(1) or curvature(self, *a, **k))
    counts, objectives = [], []
    for seed in range(6):
        X = rng.normal(size=(150, 3)) * 10.0 ** rng.uniform(-2.0, 2.0, 3)
        z = X / X.std(axis=0) @ rng.normal(size=3) + 0.3 * rng.normal(size=150)
        y = z > 0.0 if loss == "log_loss" else z if loss == "huber" else np.exp(z)
        cls = GDClassifier if loss == "log_loss" else GDRegressor
        for trusted in (descent.AS_PROMISED, 0.0):
            hessians.clear()
            with monkeypatch.context() as patch:
                patch.setattr(descent, "AS_PROMISED", trusted)
                model = cls(loss, tol=tol).fit(X, y)
            counts.append(len(hessians))
            objectives.append(objective(model, X, y))
        best = objective(cls(loss, tol=1e-12).fit(X, y), X, y)
        assert objectives[-2] - best <= tol * best, seed
    assert sum(counts[::2]) < sum(counts[1::2])


def test_decreases_of_any_size_are_compared():
    """Found by drawing random problems: a rate of 1e300 to the power of the passes overflowed."""
    metric = SimpleNamespace(refreshable=True, passes=3.0)
    assert is_stalling(metric, [1e-200, 1e100])
    assert not is_stalling(metric, [1.0, 1e-100])
    assert not is_stalling(metric, [1.0, 0.0, 1e-20, 0.0, 0.0])
