"""Dual coordinate ascent against the optimum that SciPy finds for the objective in NumPy, and against scikit-learn."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skgd import GDClassifier
from skgd.coordinates import identity
from skgd.data.table import Table
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import SquaredError
from skgd.objective import Objective
from skgd.penalties import elastic_net
from skgd.solvers import dual

STORAGES = [np.asarray, sp.csr_matrix]
ALPHA = 0.01


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
    """Fail if another solver makes the fit or goes on with it."""

    def fail(*args, **kwargs):
        raise AssertionError("another solver")

    monkeypatch.setattr(dual, "MIN_COEFFICIENTS", 0)
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


@pytest.mark.usefixtures("dual_only")
def test_weights_are_repetitions(text):
    X, y = text
    s = np.arange(len(y)) % 3 + 1
    models = [
        GDClassifier(alpha=ALPHA, tol=1e-12, random_state=0).fit(sp.csr_matrix(rows), labels, weights)
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
    ("columns", "scale", "loss", "l1", "l2", "expected"),
    [
        (2000, 1.0, LogLoss(), 0.0, 0.01, True),
        (2000, 1.0, Softmax(3, 0.2), 0.0, 0.01, True),
        (20, 1.0, LogLoss(), 0.0, 0.01, False),  # gd has the Hessian
        (2000, 100.0, LogLoss(), 0.0, 0.01, False),  # heavy rows
        (2000, 1.0, LogLoss(), 0.01, 0.01, False),
        (2000, 1.0, LogLoss(), 0.0, 0.0, False),
        (2000, 1.0, SquaredError(), 0.0, 0.01, False),
    ],
)
def test_is_worthwhile(columns, scale, loss, l1, l2, expected):
    X = scale * sp.eye_array(100, columns, format="csr")
    y = np.arange(100.0)[None] % loss.n_outputs
    assert (
        dual.is_worthwhile(Objective(Table(X, y, np.ones(100)), loss, elastic_net(l1, l2, columns), identity(columns, True)))
        == expected
    )


@pytest.mark.parametrize("parameters", [{"momentum": 0.9}, {"batch_size": 8}, {"average": True}, {"learning_rate": "constant"}])
def test_mini_batches_that_were_asked_for_are_made(parameters, text, monkeypatch):
    def fail(*args):
        raise AssertionError("no mini-batches")

    monkeypatch.setattr(dual, "MIN_COEFFICIENTS", 0)
    monkeypatch.setattr(dual, "minimise", fail)
    X, y = text
    assert GDClassifier(alpha=ALPHA, tol=None, max_iter=2, random_state=0, **parameters).fit(X, y).n_iter_ == 2
