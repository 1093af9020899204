"""Dual coordinate ascent against the optimum that SciPy or the interior-point method finds, and against scikit-learn."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from problems import FORMULAS
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skgd import GDClassifier, GDRegressor
from skgd.coordinates import identity
from skgd.data.rows import rows_of
from skgd.data.table import Table
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.log_link import Poisson
from skgd.losses.margins import Hinge, Perceptron
from skgd.losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.losses.regression import Huber, Quantile, SquaredError
from skgd.objective import Objective
from skgd.penalties import elastic_net
from skgd.solvers import dual
from skgd.solvers.dual_steps import DualProblem, DualVariables, add_rows, epoch

STORAGES = [np.asarray, sp.csr_matrix]
ALPHA = 0.01
MARGINS = ["hinge", "squared_hinge", "modified_huber"]
KINKED = ["hinge", "epsilon_insensitive", "quantile"]
PARAMETERS = {
    "huber": {"epsilon": 0.5},
    "epsilon_insensitive": {"epsilon": 0.2},
    "squared_epsilon_insensitive": {"epsilon": 0.2},
    "quantile": {"quantile": 0.3},
}


class Case(NamedTuple):
    """A loss with 1 or more columns of scores: 2 classes or 3 of them, or targets."""

    loss: str
    columns: int
    weighted: bool = True
    fit_intercept: bool = True

    def data(self):
        """X of short rows of counts, mostly zero, one row empty; y (n,) or (n, columns); and weights."""
        rng = np.random.default_rng(7)
        X = np.minimum(rng.poisson(0.15, size=(200, 30)), 2.0)
        X[11] = 0.0
        scores = X @ rng.normal(size=(30, 3)) + np.arange(3.0) + 0.5 * rng.standard_t(3.0, size=(200, 3))
        s = rng.exponential(size=200)
        if self.loss in MARGINS:
            y = (scores[:, 0] > 0.3).astype(int) if self.columns == 1 else scores.argmax(axis=1)
        else:
            y = scores[:, 0] if self.columns == 1 else scores[:, : self.columns]
        return X, y, s if self.weighted else np.ones(200)

    def model(self, **parameters):
        estimator = GDClassifier if self.loss in MARGINS else GDRegressor
        parameters = PARAMETERS.get(self.loss, {}) | {"alpha": ALPHA, "fit_intercept": self.fit_intercept} | parameters
        return estimator(self.loss, random_state=0, **parameters)

    def targets(self):
        """The targets (n, columns) of the scores."""
        _, y, _ = self.data()
        if self.loss not in MARGINS:
            return y.reshape(len(y), -1)
        return np.where(y[:, None] == (1 if self.columns == 1 else np.arange(3)), 1.0, -1.0)


@cache
def optimum_of(case):
    """(coefficients (K, d), intercepts (K,)) of a case.

    Those of smooth losses are found by SciPy, from the formula of the loss alone.  Those of losses with kinks are found by the
    interior-point method, to a tolerance of 1e-11.
    """
    X, y, s = case.data()
    if case.loss in KINKED:
        model = case.model(solver="gd", tol=1e-11).fit(X, y, s)
        assert model.gap_kind_ == "bound"
        return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    A, h = np.column_stack([X, np.full(len(X), float(case.fit_intercept))]), 1e-5

    def value(v, target):
        z, w = A @ v, np.append(v[:-1], 0.0)
        below, at, above = (FORMULAS[case.loss](target, z + shift, **case.model().get_params()) for shift in (-h, 0.0, h))
        return s @ at / s.sum() + ALPHA / 2 * w @ w, A.T @ (s * (above - below)) / (2 * h * s.sum()) + ALPHA * w

    best = [
        minimize(value, np.zeros(A.shape[1]), (target,), jac=True, method="BFGS", options={"gtol": 1e-8, "maxiter": 1000})
        for target in case.targets().T
    ]
    assert max(np.abs(one.jac).max() for one in best) <= 1e-5
    return np.array([one.x[:-1] for one in best]), np.array([one.x[-1] for one in best]) * case.fit_intercept


LOSSES = [*MARGINS, "squared_error", *PARAMETERS]
CASES = [Case(loss, columns) for loss in LOSSES for columns in (1, 3 if loss in MARGINS else 2)]


@pytest.fixture(params=[2, 3])
def text(request):
    """X of short rows of counts, mostly zero, one row empty; and labels of classes of different sizes."""
    rng = np.random.default_rng(7)
    X = np.minimum(rng.poisson(0.15, size=(200, 30)), 2.0)
    X[11] = 0.0
    scores = X @ rng.normal(size=(30, request.param)) + np.arange(request.param)
    return X, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


@pytest.fixture
def dual_only(monkeypatch):
    """Dual ascent makes the whole fit, however many epochs it takes.  Fail if another solver does or goes on with it."""

    def fail(*args, **kwargs):
        raise AssertionError("another solver")

    for name in ("MAX_EPOCHS_LEFT", "MAX_EPOCHS_LEFT_WITH_KINKS"):
        monkeypatch.setattr(dual, name, np.inf)
    monkeypatch.setattr(dual, "MIN_COEFFICIENTS", 0)
    monkeypatch.setattr(dual, "MAX_MEAN_WEIGHT", np.inf)
    for module in ("gd", "sgd"):
        monkeypatch.setattr(f"skgd.solvers.{module}.minimise", fail)


def optimum(X, y, s, alpha, fit_intercept=True):
    """(coefficients (K, d), intercepts (K,)) of softmax with labels, or of the log loss, by L-BFGS."""
    (n, d), classes = X.shape, y.max() + 1
    Y = np.eye(classes)[y]
    K = 1 if classes == 2 else classes

    def value(v):
        W, b = v[: K * d].reshape(K, d), v[K * d :] * fit_intercept
        Z = X @ W.T + b
        Z = np.column_stack([np.zeros(n), Z]) if K == 1 else Z
        F = -(s @ (Y * log_softmax(Z, axis=1)).sum(axis=1)) / s.sum() + alpha / 2 * (W**2).sum()
        R = (s[:, None] * (softmax(Z, axis=1) - Y) / s.sum())[:, -K:]
        return F, np.append((R.T @ X + alpha * W).ravel(), R.sum(axis=0) * fit_intercept)

    best = minimize(
        value, np.zeros(K * (d + 1)), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-11, "maxiter": 5000}
    )
    assert np.abs(best.jac).max() <= 1e-9
    return best.x[: K * d].reshape(K, d), best.x[K * d :]


# ---------------------------------------------------------------- the optimum
@pytest.mark.usefixtures("dual_only")
@pytest.mark.parametrize("solver", ["auto", "sgd"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_optimum(fit_intercept, weighted, storage, solver, text, rng):
    X, y = text
    s = rng.exponential(size=len(y)) if weighted else np.ones(len(y))
    coef, intercept = optimum(X, y, s, ALPHA, fit_intercept)
    model = GDClassifier(solver=solver, alpha=ALPHA, tol=1e-12, fit_intercept=fit_intercept, random_state=0)
    model.fit(storage(X), y, s)
    assert_allclose(model.coef_, coef, atol=1e-4)
    # softmax leaves a common shift of the intercepts free
    assert_allclose(model.intercept_ - model.intercept_.mean(), intercept - intercept.mean(), atol=1e-4)


def check_optimum(case, storage, objective, **parameters):
    X, y, s = case.data()
    coef, intercept = optimum_of(case)
    model = case.model(solver="sgd", tol=1e-9, max_iter=5000, **parameters).fit(storage(X), y, s)
    best = objective(model, X, y, s, coef, intercept)
    assert model.converged_
    assert abs(objective(model, X, y, s) - best) <= 2e-9 * best
    assert_allclose(np.atleast_2d(model.coef_), coef, atol=1e-3)


@pytest.fixture(params=CASES, ids=lambda case: f"{case.loss}-{case.columns}")
def case(request):
    """A case whose optimum is known, before `dual_only` forbids other solvers."""
    optimum_of(request.param)
    return request.param


def test_optimum_of_separable_losses(case, objective, request):
    request.getfixturevalue("dual_only")
    check_optimum(case, sp.csr_matrix, objective)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("loss", ["hinge", "squared_error"])
def test_optimum_for_all_kinds_of_rows(loss, storage, fit_intercept, weighted, objective, request):
    """Kernels are the same for all losses with exact steps, so two losses are enough."""
    case = Case(loss, 1, weighted, fit_intercept)
    optimum_of(case)
    request.getfixturevalue("dual_only")
    check_optimum(case, storage, objective)


@pytest.mark.parametrize("loss", ["squared_hinge", "quantile"])
def test_optimum_from_another_start(loss, objective, request):
    """The dual variables start at the slopes of the loss, and the coefficients become those that they determine."""
    case = Case(loss, 1)
    coef, intercept = optimum_of(case)
    request.getfixturevalue("dual_only")
    X, y, s = case.data()
    model = case.model(solver="sgd", tol=1e-9, max_iter=5000)
    model.fit(sp.csr_matrix(X), y, s, coef_init=0.9 * coef, intercept_init=0.9 * intercept)
    best = objective(model, X, y, s, coef, intercept)
    assert objective(model, X, y, s) <= best * (1.0 + 2e-9)


@pytest.mark.usefixtures("dual_only")
@pytest.mark.parametrize("loss", ["epsilon_insensitive", "quantile"])
def test_the_unit_of_the_targets_does_not_matter(loss):
    """The slopes of these losses have no unit, so the steps of the intercept must have that of the targets.

    Powers of two leave the rounding errors as they are.
    """
    X, y, s = Case(loss, 1).data()
    curves = []
    for unit in (1.0, 2.0**-10, 2.0**13):
        parameters = PARAMETERS[loss] | ({"epsilon": 0.2 * unit} if loss == "epsilon_insensitive" else {})
        model = GDRegressor(loss, solver="sgd", alpha=ALPHA / unit, tol=1e-5, max_iter=3000, random_state=0, **parameters)
        model.fit(sp.csr_matrix(X), unit * y, s)
        assert model.converged_
        curves.append(np.array(model.loss_curve_) / unit)
    assert len(curves[0]) > 10
    assert_allclose(curves[1], curves[0], rtol=1e-9)
    assert_allclose(curves[2], curves[0], rtol=1e-9)


@pytest.mark.usefixtures("dual_only")
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_weights_are_repetitions(loss, text):
    X, y = text
    s = np.arange(len(y)) % 3 + 1
    models = [
        GDClassifier(loss, solver="sgd", alpha=ALPHA, tol=1e-12, random_state=0).fit(sp.csr_matrix(rows), labels, weights)
        for rows, labels, weights in [(X, y, s), (np.repeat(X, s, axis=0), np.repeat(y, s), None)]
    ]
    assert_allclose(models[0].coef_, models[1].coef_, atol=1e-5)
    assert_allclose(models[0].intercept_, models[1].intercept_, atol=1e-5)


@pytest.mark.usefixtures("dual_only")
def test_float32_and_duplicate_entries(text):
    X, y = text
    twice = sp.csr_matrix(X / 2)
    duplicated = sp.csr_matrix(
        (np.repeat(twice.data, 2).astype(np.float32), np.repeat(twice.indices, 2), 2 * twice.indptr), shape=X.shape
    )
    coef, _ = optimum(X, y, np.ones(len(y)), ALPHA)
    model = GDClassifier(alpha=ALPHA, tol=1e-10, random_state=0).fit(duplicated, y)
    assert_allclose(model.coef_, coef, atol=1e-4)


# ---------------------------------------------------------------- where it stops
@pytest.mark.usefixtures("dual_only")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-5, 1e-8])
def test_gap_is_at_most_tol(tol, weighted, text, rng, objective):
    X, y = text
    s = rng.exponential(size=len(y)) if weighted else np.ones(len(y))
    coef, intercept = optimum(X, y, s, ALPHA)
    for seed in range(5):
        model = GDClassifier(alpha=ALPHA, tol=tol, random_state=seed).fit(sp.csr_matrix(X), y, s)
        best = objective(model, X, y, s, coef, intercept)
        assert objective(model, X, y, s) - best <= tol * best
        assert_allclose(model.loss_curve_[-1], objective(model, X, y, s), rtol=1e-12)
        assert len(model.loss_curve_) == model.n_iter_ + 1


@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-5, 1e-8])
def test_gap_is_a_bound(tol, case, objective, request):
    coef, intercept = optimum_of(case)
    request.getfixturevalue("dual_only")
    X, y, s = case.data()
    model = case.model(solver="sgd", tol=tol, max_iter=5000).fit(sp.csr_matrix(X), y, s)
    best = objective(model, X, y, s, coef, intercept)
    assert model.gap_kind_ == "bound"
    assert model.gap_ <= tol
    assert objective(model, X, y, s) - best <= model.gap_ * best + 1e-10 * best  # the optimum is not exact either


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "squared_error", "quantile"])
def test_gaps_of_all_epochs_are_bounds(loss, fit_intercept, objective):
    """Also far from the minimum, where the dual variables do not meet the constraint of the intercept."""
    case = Case(loss, 1, fit_intercept=fit_intercept)
    X, _, s = case.data()
    model = case.model()
    best = objective(model, X, case.targets()[:, 0], s, *optimum_of(case))
    of_case = (REGRESSION_LOSSES | CLASSIFICATION_LOSSES)[loss](1, **PARAMETERS.get(loss, {}))
    table = Table(sp.csr_matrix(X), case.targets().T.copy(), s / s.mean())
    ascent = dual.Ascent(Objective(table, of_case, elastic_net(0.0, ALPHA, 30), identity(30, fit_intercept)), np.zeros((31, 1)))
    for number in range(12):
        ascent.visit(np.random.default_rng(number).permutation(200))
        F, gap = ascent.objective_value, ascent.gap()
        theta = ascent.theta()
        assert pytest.approx(objective(model, X, case.targets()[:, 0], s, theta[:-1].T, theta[-1])) == F
        assert F - best <= gap + 1e-10 * best
    assert gap <= 0.1 * best


@pytest.mark.parametrize("kind", ["without an intercept", "with an intercept", "weighted", "one long row"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_separable_text_with_heavy_rows(loss, kind, objective, request):
    """The weight q of most rows is about 3000.  The intercept needs long steps then, because rows follow it."""
    rng = np.random.default_rng(3)
    words = 1.0 / np.arange(3.0, 2003.0)
    counts = [np.bincount(rng.choice(2000, size=40, p=words / words.sum()), minlength=2000) for _ in range(300)]
    X = np.array(counts) / np.linalg.norm(counts, axis=1, keepdims=True)
    scores = X @ rng.normal(size=2000)
    y = (scores > np.quantile(scores, 0.8)).astype(int)
    X[0] *= 1000.0 if kind == "one long row" else 1.0
    s = rng.exponential(size=300) ** 3 if kind == "weighted" else None
    parameters = {"alpha": 1e-6, "fit_intercept": kind != "without an intercept", "random_state": 0}
    expected = GDClassifier(loss, solver="gd", tol=1e-9, **parameters).fit(X, y, s)
    assert expected.converged_
    best = objective(expected, X, y, s)
    request.getfixturevalue("dual_only")
    model = GDClassifier(loss, solver="sgd", tol=1e-4, max_iter=150, **parameters).fit(sp.csr_matrix(X), y, s)
    assert model.converged_
    assert objective(model, X, y, s) - best <= 1e-4 * best


@pytest.mark.usefixtures("dual_only")
def test_warm_start_at_the_optimum_stays_there(text):
    X, y = text
    model = GDClassifier(alpha=ALPHA, tol=1e-10, random_state=0, warm_start=True).fit(X, y)
    coef, iterations = model.coef_, model.n_iter_
    model.fit(X, y)
    assert iterations > 2
    assert model.n_iter_ == 1
    assert_allclose(model.coef_, coef, atol=1e-5)


@pytest.mark.usefixtures("dual_only")
@pytest.mark.parametrize("tol", [None, 1e-12])
def test_epochs_are_counted(tol, text):
    X, y = text
    model = GDClassifier(alpha=ALPHA, tol=tol, max_iter=3, random_state=0)
    if tol is None:
        model.fit(X, y)
    else:
        with pytest.warns(ConvergenceWarning, match="relative"):
            model.fit(X, y)
    assert model.n_iter_ == 3
    assert len(model.loss_curve_) == 4


def test_gd_goes_on_where_rows_are_too_heavy(text, monkeypatch, objective):
    """The dual sees rows of |x|^2 / (alpha n) = 1e5, and gives up."""
    monkeypatch.setattr(dual, "MIN_COEFFICIENTS", 0)
    monkeypatch.setattr(dual, "MAX_MEAN_WEIGHT", np.inf)
    X, y = text
    X, alpha = 10.0 * X, 1e-5
    model = GDClassifier(alpha=alpha, tol=1e-8, random_state=0).fit(X, y)
    expected = LogisticRegression(C=1 / (alpha * len(y)), solver="newton-cholesky", tol=1e-12).fit(X, y)
    best = objective(model, X, y, None, expected.coef_, expected.intercept_)
    assert objective(model, X, y) - best <= 1e-8 * best
    assert len(model.loss_curve_) == model.n_iter_ + 1
    assert_allclose(model.loss_curve_[-1], objective(model, X, y), rtol=1e-9)


# ---------------------------------------------------------------- where it is used
@pytest.mark.parametrize(
    ("rows", "columns", "storage", "scale", "loss", "l1", "l2", "expected"),
    [
        (1000, 2000, "sparse", 1.0, LogLoss(), 0.0, 0.01, True),
        (1000, 2000, "sparse", 1.0, Softmax(3, 0.2), 0.0, 0.01, True),
        (1000, 700, "sparse", 1.0, Softmax(3, 0.2), 0.0, 0.01, True),  # the Hessian of all classes would be large
        (1000, 700, "sparse", 1.0, LogLoss(3), 0.0, 0.01, False),  # and these have one each
        (1000, 20, "sparse", 1.0, LogLoss(), 0.0, 0.01, False),  # gd has the Hessian
        (1000, 2000, "sparse", 100.0, LogLoss(), 0.0, 0.01, False),  # heavy rows
        (1000, 2000, "sparse", 1.0, LogLoss(), 0.01, 0.01, False),
        (1000, 2000, "sparse", 1.0, LogLoss(), 0.0, 0.0, False),
        (1000, 2000, "sparse", 1.0, Hinge(), 0.0, 0.01, True),
        (1000, 2000, "sparse", 100.0, Hinge(), 0.0, 0.01, True),  # heavy rows, but exact steps
        (1000, 2000, "sparse", 100.0, Huber(2), 0.0, 0.01, True),
        (1000, 2000, "sparse", 100.0, Hinge(), 0.01, 0.01, False),
        (1000, 20, "sparse", 100.0, Hinge(), 0.0, 0.01, False),
        (1000, 2000, "dense", 1.0, Hinge(), 0.0, 0.01, True),
        (1000, 2000, "dense", 100.0, Hinge(), 0.0, 0.01, False),
        (100, 2000, "sparse", 1.0, Hinge(), 0.0, 0.01, True),
        (100, 2000, "sparse", 100.0, Hinge(), 0.0, 0.01, False),  # heavy rows, so few that their row space is small
        (100, 2000, "sparse", 100.0, SquaredError(), 0.0, 0.01, False),
        (1000, 2000, "sparse", 1.0, SquaredError(), 0.0, 0.01, True),
        (15_000, 1500, "sparse", 1.0, SquaredError(), 0.0, 0.01, True),
        (15_001, 1500, "sparse", 1.0, SquaredError(), 0.0, 0.01, False),  # more than 10 rows for each column
        (15_001, 1500, "sparse", 1.0, Huber(), 0.0, 0.01, True),
        (1000, 2000, "sparse", 1.0, Poisson(), 0.0, 0.01, False),  # no conjugate
        (1000, 2000, "sparse", 1.0, Perceptron(), 0.0, 0.01, False),
    ],
)
def test_is_worthwhile(rows, columns, storage, scale, loss, l1, l2, expected):
    X = scale * sp.eye_array(rows, columns, format="csr")
    codes = np.arange(float(rows))[None] % loss.n_outputs
    y = codes if loss.coupled() else np.repeat(codes, loss.n_outputs, axis=0)
    table = Table(X if storage == "sparse" else X.toarray(), y, np.ones(rows))
    assert dual.is_worthwhile(Objective(table, loss, elastic_net(l1, l2, columns), identity(columns, True))) == expected


# ---------------------------------------------------------------- the loops
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    "loss", [Quantile(1, 0.3), Quantile(3, 0.3), LogLoss(), LogLoss(3), Softmax(3, 0.2)], ids=lambda loss: repr(loss)[:10]
)
def test_an_epoch_is_that_of_plain_loops(loss, storage, rng):
    n, d = 40, 6
    X = rng.normal(size=(n, d)) * (rng.uniform(size=(n, d)) < 0.5)
    X[3] = 0.0
    K, conjugate = loss.n_outputs, loss.conjugate()
    Y = np.eye(3)[rng.integers(3, size=n)] if loss.coupled() else rng.uniform(size=(n, K)).round(1)
    P = rng.dirichlet(np.ones(3), size=n) if loss.coupled() else rng.uniform(size=(n, K))
    R = rng.choice([-0.3, 0.1, 0.7], size=(n, K)) if isinstance(loss, Quantile) else P - Y
    s, unit, rate = rng.exponential(size=n), 0.05, 0.1
    problem = DualProblem(Y, s, unit * s * (X**2).sum(axis=1) + rate * s, unit, rate)
    W, b, excess = -unit * X.T @ (s[:, None] * R), rng.normal(size=K), s @ R / n
    found = DualVariables(R.copy(), W.copy(), b.copy(), excess.copy())
    order, changed = rng.permutation(n)[:30], np.zeros((n, K), bool)
    epoch(rows_of(storage(X)), conjugate, order, problem, found, changed)

    own = np.zeros((n, K), bool)
    for i in order:
        new = np.empty(K)
        conjugate.dual_step(Y[i], X[i] @ W + b, problem.q[i], R[i].copy(), new, np.empty(K))
        change = s[i] * (new - R[i])
        own[i] = change != 0.0
        b -= rate * (change + excess)
        excess += change / n
        R[i] = new
        W -= unit * np.outer(X[i], change)
    for values, expected in zip(found, (R, W, b, excess), strict=True):
        assert_allclose(values, expected, rtol=1e-12, atol=1e-12)
    assert_allclose(W, -unit * X.T @ (s[:, None] * R), atol=1e-12)
    assert_allclose(excess, s @ R / n, atol=1e-12)
    if isinstance(loss, Quantile):  # Other variables always change, if only by rounding.
        assert (changed == own).all()
        assert 0 < changed.sum() < 30 * K
    sums = np.zeros((d, K))
    add_rows(rows_of(storage(X)), R, sums)
    assert_allclose(sums, X.T @ R, atol=1e-12)


@pytest.mark.usefixtures("dual_only")
@pytest.mark.parametrize("loss", ["hinge", "huber", "log_loss"])
def test_threads_do_not_change_the_bits(loss, rng):
    """20 columns of scores are two groups of 10.  Softmax has one group, whose passes use all threads."""
    X = sp.random_array((400, 30), density=0.2, rng=rng, format="csr")
    scores = X @ rng.normal(size=(30, 20)) + 0.3 * rng.normal(size=(400, 20))
    labels = (scores - scores.mean(axis=0)).argmax(axis=1)
    assert len(np.unique(labels)) == 20
    estimator, y = (GDRegressor, scores) if loss == "huber" else (GDClassifier, labels)
    first, second = (
        estimator(loss, solver="sgd", alpha=ALPHA, tol=1e-6, n_jobs=n_jobs, random_state=0).fit(X, y) for n_jobs in (1, 2)
    )
    assert first.converged_
    assert first.n_iter_ > 2
    np.testing.assert_array_equal(first.coef_, second.coef_)
    np.testing.assert_array_equal(first.intercept_, second.intercept_)
    np.testing.assert_array_equal(first.loss_curve_, second.loss_curve_)
    assert first.gap_ == second.gap_


@pytest.mark.usefixtures("dual_only")
def test_groups_of_columns_are_independent_problems(rng, objective):
    """Each of 25 targets, in groups of 13 and 12, has the coefficients that it has alone."""
    X = sp.random_array((200, 30), density=0.2, rng=rng, format="csr")
    Y = X @ rng.normal(size=(30, 25)) + np.arange(25.0) + 0.3 * rng.normal(size=(200, 25))
    model = GDRegressor(solver="sgd", alpha=ALPHA, tol=1e-11, random_state=0).fit(X, Y)
    assert_allclose(model.loss_curve_[-1], objective(model, X.toarray(), Y), rtol=1e-12)
    for target in (0, 12, 13, 24):
        alone = GDRegressor(solver="sgd", alpha=ALPHA, tol=1e-11, random_state=0).fit(X, Y[:, target])
        assert_allclose(model.coef_[target], alone.coef_, atol=1e-3)
        assert_allclose(model.intercept_[target], alone.intercept_, atol=1e-3)


@pytest.mark.parametrize("parameters", [{"momentum": 0.9}, {"batch_size": 8}, {"average": True}, {"learning_rate": "constant"}])
def test_mini_batches_that_were_asked_for_are_made(parameters, text, monkeypatch):
    def fail(*args):
        raise AssertionError("no mini-batches")

    monkeypatch.setattr(dual, "MIN_COEFFICIENTS", 0)
    monkeypatch.setattr(dual, "minimise", fail)
    X, y = text
    assert GDClassifier(alpha=ALPHA, tol=None, max_iter=2, random_state=0, **parameters).fit(X, y).n_iter_ == 2
