"""The Hessian of sparse columns, never formed, against the same Hessian as a matrix; and fits that use it."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import LOSSES, SQUARED, objective_of, random_theta, sparse_logistic_regression
from sklearn.linear_model import ElasticNet, Lasso

from skgd import GDClassifier, GDRegressor
from skgd.losses.cross_entropy import LogLoss
from skgd.losses.regression import Huber
from skgd.models.column_metric import Columns, is_worthwhile
from skgd.models.curvature import hessian
from skgd.models.proximal_metric import proximal_metric
from skgd.models.quadratic import descend_matrix

EVERY_LOSS = pytest.mark.parametrize("loss", [LogLoss(1), LogLoss(2), Huber(1), *SQUARED.values()], ids=str)


def sparse(rows=80, columns=25, seed=0):
    X = sp.random(rows, columns, density=0.3, random_state=seed, format="csr")
    X.data += 1.0
    return X


@EVERY_LOSS
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("positive", [True, False])
def test_its_minimiser_is_that_of_the_hessian_as_a_matrix(loss, fit_intercept, weighted, positive):
    objective = objective_of(loss, sparse(), l1=0.03, l2=0.01, weighted=weighted, fit_intercept=fit_intercept)
    if positive:
        objective.raw_penalty = objective.raw_penalty._replace(lower=np.full(25, -np.inf))
    theta = random_theta(objective) * (np.arange(26) % 3 > 0)[:, None]
    theta = np.abs(theta) if positive else theta
    gradient = objective.evaluate(theta)[1]
    metric = Columns(objective, theta)
    metric.refreshable = False  # so that models are minimised exactly
    target, slope, decrease = metric.minimise(theta, gradient, 1e-18)
    blocks = hessian(objective, theta, objective.n, loss.n_outputs)
    for k, block in enumerate(blocks):
        expected = descend_matrix(block, gradient[:, k], theta[:, k], objective.penalty, 1e-18)
        np.testing.assert_allclose(target[:, k], expected, rtol=1e-6, atol=1e-8)
    step = target - theta
    curved = sum(step[:, k] @ block @ step[:, k] for k, block in enumerate(blocks))
    assert (target == 0.0).any()
    assert decrease == pytest.approx(-slope - 0.5 * curved, rel=1e-9)
    F, after = objective.evaluate(theta)[0], objective.evaluate(theta + 1e-7 * step)[0]
    assert after - F <= 1e-7 * slope * (1.0 - 1e-3)  # convex: the penalty changes no faster than along the whole step


@pytest.mark.parametrize("seed", range(3))
def test_a_rough_minimum_is_near(seed):
    objective = objective_of(LogLoss(1), sparse(seed=seed), l1=0.01, l2=0.0)
    theta = random_theta(objective)
    gradient = objective.evaluate(theta)[1]
    rough, exact = Columns(objective, theta), Columns(objective, theta)
    exact.refreshable = False
    most = exact.minimise(theta, gradient, 1e-16)[2]
    assert 0.9 * most <= rough.minimise(theta, gradient, 0.0)[2] <= most * (1.0 + 1e-9)


def test_it_is_worthwhile_for_sparse_columns_with_independent_scores_and_a_large_hessian():
    assert is_worthwhile(objective_of(LogLoss(1), sparse(), l1=0.1))
    assert not is_worthwhile(objective_of(LogLoss(1), sparse().toarray(), l1=0.1))
    assert not is_worthwhile(objective_of(LOSSES["softmax"], sparse(), l1=0.1))
    wide, small = (objective_of(LogLoss(1), sparse(columns=d), l1=0.1, d=d) for d in (3000, 25))
    assert isinstance(proximal_metric(wide, np.zeros((3001, 1))), Columns)
    assert not isinstance(proximal_metric(small, np.zeros((26, 1))), Columns)


# ---------------------------------------------------------------- fits
@pytest.fixture(scope="module")
def text():
    """Rows of a few words out of 3,000; the first 40 words explain the target."""
    rng = np.random.default_rng(0)
    told = rng.uniform(size=(400, 40)) * (rng.uniform(size=(400, 40)) < 0.3)
    X = sp.hstack([told, sp.random(400, 2960, density=0.01, random_state=0)]).tocsr()
    return X, 3.0 * (told @ rng.normal(size=40)) + 0.3 * rng.logistic(size=400)


def test_lasso_and_elastic_net_on_text(text):
    X, y = text
    for model, expected in (
        (GDRegressor(penalty="l1", alpha=0.01, tol=1e-10), Lasso(alpha=0.01, tol=1e-12, max_iter=100_000)),
        (
            GDRegressor(penalty="elasticnet", l1_ratio=0.6, alpha=0.02, tol=1e-10),
            ElasticNet(alpha=0.02, l1_ratio=0.6, tol=1e-12, max_iter=100_000),
        ),
    ):
        model.fit(X, y)
        expected.fit(X.toarray(), y)
        np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-5)
        np.testing.assert_array_equal(model.coef_ != 0.0, expected.coef_ != 0.0)
        assert 20 < np.count_nonzero(model.coef_) < 400


@pytest.mark.parametrize("alpha", [0.003, 0.0003])
@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
def test_logistic_regression_on_text_stops_within_tol(alpha, tol, text):
    X, y = text
    model = GDClassifier(penalty="l1", alpha=alpha, tol=tol, fit_intercept=False).fit(X, y > 0.0)
    reference = sparse_logistic_regression(
        C=1.0 / (alpha * len(y)),
        solver="liblinear",
        tol=1e-8,
        max_iter=10_000,
        fit_intercept=False,
        random_state=0,
    ).fit(X, y > 0.0)
    z = reference.decision_function(X)
    least = np.mean(np.logaddexp(0.0, z) - z * (y > 0.0)) + alpha * np.abs(reference.coef_).sum()
    assert model.loss_curve_[-1] <= (1.0 + tol) * least


def test_nearly_collinear_columns_end_in_the_same_minimum(text):
    """Coordinate descent is slow there."""
    X, y = text
    X = sp.hstack([X, X[:, :40] + 1e-2 * X[:, 40:80]]).tocsr()
    model = GDRegressor(penalty="l1", alpha=1e-4, tol=1e-5).fit(X, y)
    dense = GDRegressor(penalty="l1", alpha=1e-4, tol=1e-8).fit(X.toarray(), y)
    assert model.loss_curve_[-1] <= (1.0 + 1e-5) * dense.loss_curve_[-1]
