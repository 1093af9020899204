"""Every loss and solver against other minimisers: SciPy, LIBSVM, linear programs and scikit-learn's Newton methods."""

import warnings
from copy import copy

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from problems import FORMULAS
from scipy.optimize import linprog, minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import GammaRegressor, PoissonRegressor, QuantileRegressor, SGDClassifier
from sklearn.metrics import d2_tweedie_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from skgd import GDClassifier, GDRegressor
from skgd.losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

SMOOTH = [
    *((GDClassifier, loss) for loss in ("squared_hinge", "modified_huber", "squared_error", "huber")),
    *((GDRegressor, loss) for loss in ("huber", "squared_epsilon_insensitive", "poisson", "gamma")),
]
NON_SMOOTH = [(GDClassifier, "hinge"), (GDRegressor, "epsilon_insensitive"), (GDRegressor, "quantile")]
STOCHASTIC = [case for case in SMOOTH + NON_SMOOTH if case != (GDRegressor, "huber")]


@pytest.fixture
def data(request, two_classes, regression):
    """X, not standardised, and targets for any loss."""

    def targets(estimator, loss):
        if estimator is GDClassifier:
            return two_classes
        X, y = regression
        mean = np.exp((y - y.mean()) / y.std())
        rng = np.random.default_rng(0)
        return X, rng.poisson(mean).astype(float) if loss == "poisson" else rng.gamma(2.0, mean) if loss == "gamma" else y

    return targets


def standardised_minimum(loss, X, y, alpha=0.0):
    """The minimum of the mean loss with an L2 penalty, by SciPy's quasi-Newton method on standardised columns."""
    scale, n = X.std(axis=0), len(y)
    A, ridge = np.column_stack([(X - X.mean(axis=0)) / scale, np.ones(n)]), np.append(alpha / scale**2, 0.0)

    def value(p):
        return FORMULAS[loss](y, A @ p).mean() + 0.5 * ridge @ (p * p)

    def gradient(p):
        z, step = A @ p, 1e-6
        slopes = (FORMULAS[loss](y, z + step) - FORMULAS[loss](y, z - step)) / (2.0 * step)
        return A.T @ slopes / n + ridge * p

    start = np.zeros(A.shape[1])
    start[-1] = np.log(y.mean()) if loss in ("poisson", "gamma") else 0.0
    return min(minimize(value, start, jac=gradient, method="BFGS", options={"gtol": gtol}).fun for gtol in (1e-6, 1e-8))


def linear_program(pieces, X, y, l1=0.0):
    """The least mean of the rows' largest slope z + constant over the pieces, or 0, plus l1 |w|_1: exact, by HiGHS."""
    n = len(y)
    scale = X.std(axis=0)
    A = np.column_stack([(X - X.mean(axis=0)) / scale, np.ones(n)])
    rows, bounds = [], []
    for slope, constant in pieces:
        F = slope[:, None] * A
        rows.append(np.hstack([F, -F, -np.eye(n)]))
        bounds.append(-constant)
    cost = np.concatenate([np.append(l1 / scale, 0.0), np.append(l1 / scale, 0.0), np.full(n, 1.0 / n)])
    return linprog(cost, A_ub=np.vstack(rows), b_ub=np.concatenate(bounds), method="highs").fun


def pieces_of(loss, y, epsilon=0.1, quantile=0.5):
    """Slopes and constants (n,) of the linear pieces, apart from 0, of each row's loss."""
    one = np.ones(len(y))
    return {
        "hinge": [(-y, one)],
        "epsilon_insensitive": [(one, -y - epsilon), (-one, y - epsilon)],
        "quantile": [((1.0 - quantile) * one, -(1.0 - quantile) * y), (-quantile * one, quantile * y)],
    }[loss]


def signs(estimator, y):
    return np.where(y == 1, 1.0, -1.0) if estimator is GDClassifier else y


def gap(model, best):
    return model.loss_curve_[-1] / best - 1.0


# ---------------------------------------------------------------- smooth losses
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize(("estimator", "loss"), SMOOTH)
def test_minimum_of_smooth_losses_is_that_of_scipy(estimator, loss, alpha, data, objective):
    """The gap is within tol, whatever it is, and the last value of the curve is the objective of the coefficients."""
    X, y = data(estimator, loss)
    best = standardised_minimum(loss, X, signs(estimator, y), alpha)
    for tol in (1e-2, 1e-4, 1e-8):
        model = estimator(loss, alpha=alpha, tol=tol).fit(X, y)
        assert gap(model, best) <= max(tol, 1e-8)
        assert_allclose(objective(model, X, y), model.loss_curve_[-1], rtol=1e-9)


@pytest.mark.parametrize("penalty", [{"alpha": 0.0}, {"penalty": "l1", "alpha": 1e-8}], ids=str)
@pytest.mark.parametrize("loss", ["squared_hinge", "modified_huber"])
def test_a_class_of_one_row_is_told_from_rows_at_their_margin(loss, penalty):
    """With curvature on both sides of the margin the fit would stop 31 times tol above the minimum."""
    rng = np.random.default_rng(18)
    X, y, weights = rng.normal(size=(800, 5)), (rng.random(800) < 0.2).astype(int), 10.0 ** rng.uniform(-1.0, 1.0, 800)
    y[0], weights[0], A = 2, 10.0 ** rng.uniform(-1.0, 1.0), np.column_stack([X, np.ones(len(y))])

    def minimum(k):
        signs = np.where(y == k, 1.0, -1.0)
        F, start = (lambda p: weights @ FORMULAS[loss](signs, A @ p) / weights.sum()), np.append(np.zeros(5), signs @ weights)
        start[-1] /= weights.sum()
        unit = F(start)  # relative to it, gtol is small for a rare class, too
        return unit * minimize(lambda p: F(p) / unit, start, method="BFGS", options={"gtol": 1e-7}).fun

    model = GDClassifier(loss, tol=1e-4, **penalty).fit(X, y, weights)
    assert gap(model, sum(minimum(k) for k in range(3))) <= 1e-4 + 1e-6


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize(("loss", "peer"), [("poisson", PoissonRegressor), ("gamma", GammaRegressor)])
def test_generalised_linear_models(loss, peer, storage, data, rng):
    X, y = data(GDRegressor, loss)
    X, weights = StandardScaler().fit_transform(X), rng.uniform(0.1, 3.0, len(y))
    for s in (None, weights):
        expected = peer(alpha=0.01, solver="newton-cholesky", tol=1e-12).fit(X, y, s)
        model = GDRegressor(loss, alpha=0.01, tol=1e-12).fit(storage(X), y, s)
        assert_allclose(model.coef_, expected.coef_, rtol=1e-5, atol=1e-6)
        assert_allclose(model.intercept_, expected.intercept_, rtol=1e-5)
        assert_allclose(model.predict(storage(X)), expected.predict(X), rtol=1e-5)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize(("loss", "peer"), [("poisson", PoissonRegressor), ("gamma", GammaRegressor)])
def test_the_score_of_a_generalised_linear_model_is_its_explained_deviance(loss, peer, storage, data, rng):
    """Both have the same coefficients, which need not be good ones."""
    X, y = data(GDRegressor, loss)
    X, weights = StandardScaler().fit_transform(X), rng.integers(0, 3, len(y))
    model, theirs = GDRegressor(loss).fit(storage(X), y), peer().fit(X, y)
    for factor in (1.0, 0.5, -1.0):
        theirs.coef_, theirs.intercept_ = factor * model.coef_, float(model.intercept_[0])
        other = copy(model)
        other.coef_ = factor * model.coef_
        assert other.score(storage(X), y) == pytest.approx(theirs.score(X, y), rel=1e-9)
        assert other.score(storage(X), y, weights) == pytest.approx(theirs.score(X, y, weights), rel=1e-9)
    assert model.score(storage(X), y) > 0.0


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_the_explained_deviance_of_several_targets_is_their_mean(loss, data):
    X, y = data(GDRegressor, loss)
    both = GDRegressor(loss).fit(X, np.column_stack([y, y[::-1]]))
    alone = []
    for k, target in enumerate((y, y[::-1])):
        model = GDRegressor(loss).fit(X, target)
        model.coef_, model.intercept_ = both.coef_[k], both.intercept_[k : k + 1]
        alone.append(model.score(X, target))
    assert both.score(X, np.column_stack([y, y[::-1]])) == pytest.approx(np.mean(alone), rel=1e-12)
    assert model.score(X, np.full(len(y), 3.0)) == 0.0
    model.coef_, scores = np.array([0.0, 1e6, 0.0, 0.0, 0.0, 0.0]), []  # exponentials leave the range of floats
    for sign in (1.0, -1.0):
        model.coef_ = sign * model.coef_
        scores.append(model.score(X, y))
    assert np.isfinite(scores).all()
    assert min(scores) < -1e100
    with pytest.raises(ValueError, match="y is of shape"):
        both.score(X, y)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_early_stopping_scores_the_explained_deviance(loss, data):
    X, y = data(GDRegressor, loss)
    model = GDRegressor(loss, early_stopping=True).fit(X, y, X_val=X[:50], y_val=y[:50])
    expected = d2_tweedie_score(y[:50], model.predict(X[:50]), power=1 if loss == "poisson" else 2)
    assert model.best_validation_score_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_two_targets_of_a_generalised_linear_model_are_two_problems(loss, data):
    X, y = data(GDRegressor, loss)
    both = GDRegressor(loss, tol=1e-12).fit(X, np.column_stack([y, 1000.0 * y[::-1] + 1.0]))
    for k, target in enumerate((y, 1000.0 * y[::-1] + 1.0)):
        alone = GDRegressor(loss, tol=1e-12).fit(X, target)
        assert_allclose(both.predict(X)[:, k], alone.predict(X), rtol=1e-4)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_outliers_of_many_orders_of_magnitude(loss):
    """Newton's steps from constant scores would overflow the exponential."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = np.exp(6.0 * X[:, 0]) * rng.gamma(1.0, size=200)
    y[:3] = 1e12, 1e-9, 1e6
    best = standardised_minimum(loss, X, y, 0.1)
    assert gap(GDRegressor(loss, alpha=0.1, tol=1e-6).fit(X, y), best) <= 1e-6


def test_squared_hinge_by_liblinear(two_classes):
    """Without an intercept, which liblinear penalises."""
    X, y = two_classes
    X = StandardScaler().fit_transform(X)
    expected = LinearSVC(C=1 / (0.02 * len(y)), tol=1e-12, max_iter=100_000, fit_intercept=False)
    model = GDClassifier("squared_hinge", alpha=0.02, tol=1e-12, fit_intercept=False).fit(X, y)
    assert_allclose(model.coef_, expected.fit(X, y).coef_, rtol=1e-5)


# ---------------------------------------------------------------- non-smooth losses
@pytest.mark.parametrize("l1", [0.0, 0.01])
@pytest.mark.parametrize(("estimator", "loss"), NON_SMOOTH)
def test_minimum_of_non_smooth_losses_is_that_of_a_linear_program(estimator, loss, l1, data, objective):
    """The gap is within tol, whatever it is, and the curve ends with the objective of the loss itself, not smoothed."""
    X, y = data(estimator, loss)
    best = linear_program(pieces_of(loss, signs(estimator, y)), X, signs(estimator, y), l1)
    for tol in (1e-2, 1e-4, 1e-6):
        model = estimator(loss, penalty="l1", alpha=l1, tol=tol).fit(X, y)
        assert -1e-8 <= gap(model, best) <= tol
        assert_allclose(objective(model, X, y), model.loss_curve_[-1], rtol=1e-9)
        assert len(model.loss_curve_) == model.n_iter_ + 1
        assert np.diff(model.loss_curve_[:-1]).max() <= 1e-12  # exact zeros at the end may cost a share of tol


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("alpha", [1e-1, 1e-3])
def test_support_vector_machines(alpha, storage, two_classes, regression, objective):
    X, y = two_classes
    X = StandardScaler().fit_transform(X)
    svc = SVC(kernel="linear", C=1 / (alpha * len(y)), tol=1e-8).fit(X, y)
    model = GDClassifier("hinge", alpha=alpha, tol=1e-6).fit(storage(X), y)
    assert gap(model, objective(model, X, y, None, svc.coef_, svc.intercept_)) <= 1e-6
    X, y = StandardScaler().fit_transform(regression[0]), regression[1]
    svr = SVR(kernel="linear", C=1 / (alpha * len(y)), epsilon=0.5, tol=1e-8).fit(X, y)
    model = GDRegressor("epsilon_insensitive", epsilon=0.5, alpha=alpha, tol=1e-6).fit(storage(X), y)
    assert gap(model, objective(model, X, y, None, svr.coef_, svr.intercept_)) <= 1e-6


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.8])
def test_quantile_regression(quantile, regression, rng, objective):
    X, y = regression
    weights = rng.uniform(0.1, 3.0, len(y))
    expected = QuantileRegressor(quantile=quantile, alpha=0.0).fit(X, y, weights)
    model = GDRegressor("quantile", quantile=quantile, penalty=None, tol=1e-6).fit(X, y, weights)
    assert gap(model, objective(model, X, y, weights, expected.coef_, expected.intercept_)) <= 1e-6
    below = weights @ (y < model.predict(X)) / weights.sum()
    assert abs(below - quantile) <= 8 * weights.max() / weights.sum()


def test_more_columns_than_rows(rng, objective):
    """Every row is a support vector, at a non-smooth point: smoothing would cost something on all rows."""
    X = rng.normal(size=(60, 400))
    y = (X[:, 0] + rng.normal(size=60) > 0).astype(int)
    svc = SVC(kernel="linear", C=1 / (0.1 * 60), tol=1e-10).fit(X, y)
    for tol in (1e-2, 1e-4):
        model = GDClassifier("hinge", alpha=0.1, tol=tol).fit(X, y)
        assert gap(model, objective(model, X, y, None, svc.coef_, svc.intercept_)) <= tol


def test_separable_classes_without_a_penalty_cost_nothing(two_classes):
    X = two_classes[0]
    y = (X[:, 2] > X[:, 2].mean()).astype(int)
    for loss in ("hinge", "squared_hinge", "modified_huber"):
        model = GDClassifier(loss, penalty=None).fit(X, y)
        assert model.loss_curve_[-1] <= 1e-14
        assert model.score(X, y) == 1.0


def test_a_start_at_the_minimum_is_kept():
    X = np.arange(12.0).reshape(6, 2) % 5.0
    model = GDRegressor("epsilon_insensitive", epsilon=2.0).fit(X, np.array([1.0, 2.0, 1.5, 1.0, 2.0, 1.0]))
    assert_array_equal(model.coef_, 0.0)
    assert model.loss_curve_ == [0.0]


@pytest.mark.parametrize("classes", [2, 4])
def test_no_fit_is_worse_than_the_best_constant(classes):
    """The best constant is the minimum where there is nothing to learn; smoothing would move the fit away from it."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), np.repeat(np.arange(classes), [300 - 60 * (classes - 1)] + [60] * (classes - 1))
    model = GDClassifier("hinge", alpha=0.1).fit(X, y)
    share = np.bincount(y)[1 if classes == 2 else 0 :] / 300
    assert_allclose(model.loss_curve_[0], 2.0 * np.minimum(share, 1.0 - share).sum())
    assert model.loss_curve_[-1] <= model.loss_curve_[0]


def test_too_few_iterations_warn(two_classes):
    X, y = two_classes
    with pytest.warns(ConvergenceWarning, match="without reaching tol=1e-06"):
        model = GDClassifier("hinge", tol=1e-6, max_iter=5).fit(X, y)
    assert model.n_iter_ == 5


# ---------------------------------------------------------------- mini-batches
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(("estimator", "loss"), STOCHASTIC)
def test_mini_batches_come_near_in_few_epochs(estimator, loss, solver, data):
    """They come within two hundredths of the minimum in 50 epochs of 120 or 150 rows."""
    X, y = data(estimator, loss)
    Y = signs(estimator, y)
    best = linear_program(pieces_of(loss, Y), X, Y) if (estimator, loss) in NON_SMOOTH else standardised_minimum(loss, X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = estimator(loss, solver=solver, penalty=None, max_iter=50, random_state=0).fit(X, y)
    assert -1e-8 <= gap(model, best) <= 2e-2


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(("estimator", "loss"), SMOOTH + NON_SMOOTH)
def test_mini_batches_reach_tol(estimator, loss, solver, data):
    """Without a warning, with rates from the data, also where losses have kinks and where their curvature has no bound."""
    X, y = data(estimator, loss)
    Y = signs(estimator, y)
    best = linear_program(pieces_of(loss, Y), X, Y) if (estimator, loss) in NON_SMOOTH else standardised_minimum(loss, X, Y)
    for tol in (1e-2, 1e-4):
        model = estimator(loss, solver=solver, penalty=None, tol=tol, max_iter=300, random_state=0).fit(X, y)
        assert -1e-8 <= gap(model, best) <= tol


def test_targets_of_different_units_come_equally_near(regression):
    """Kinks are smoothed over the same width for both targets, so their steps are not the same."""
    X, y = regression
    Y = np.column_stack([y, 1e3 * y])
    params = {"solver": "sgd", "penalty": None, "max_iter": 30, "tol": None, "random_state": 0}
    model = GDRegressor("quantile", **params).fit(X, Y)
    far = FORMULAS["quantile"](Y, model.predict(X)).mean(axis=0) / [1.0, 1e3]
    assert far[0] == pytest.approx(far[1], rel=1e-2)
    assert far[0] <= 1.05 * linear_program(pieces_of("quantile", y), X, y)


# ---------------------------------------------------------------- the perceptron
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the average's last mistakes fade slowly
@pytest.mark.parametrize("solver", ["auto", "sgd", "adam"])
def test_perceptron_separates_what_can_be_separated(solver, three_classes):
    X = three_classes[0]
    y = np.digitize(X[:, 1] + X[:, 2], [0.0])
    X = X + np.outer(y, [0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert GDClassifier("perceptron", solver=solver, random_state=0).fit(X, y).score(X, y) == 1.0


def test_perceptron_on_raw_classes_that_overlap(three_classes):
    """The fit learns them without a warning, although zero coefficients would cost less."""
    X, y = three_classes
    model = GDClassifier("perceptron", random_state=0).fit(X, y)
    assert model.loss_curve_[0] == 0.0 < model.loss_curve_[-1]
    assert model.score(X, y) >= GDClassifier().fit(X, y).score(X, y) - 0.03


# ---------------------------------------------------------------- classes
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "squared_error", "huber"])
def test_more_than_two_classes_are_one_against_the_rest(loss, three_classes):
    X, y = three_classes
    labels = np.array(["low", "mid", "top"])[y]
    model = GDClassifier(loss, alpha=0.01, tol=1e-6).fit(X, labels)
    assert model.coef_.shape == (3, 6)
    total = 0.0
    for k, label in enumerate(model.classes_):
        one = GDClassifier(loss, alpha=0.01, tol=1e-6).fit(X, labels == label)
        total += one.loss_curve_[-1]
        assert np.mean((one.decision_function(X) > 0.0) == (model.decision_function(X)[:, k] > 0.0)) >= 0.99
    assert_allclose(model.loss_curve_[-1], total, rtol=3e-6)
    assert_array_equal(model.predict(X), model.classes_[model.decision_function(X).argmax(axis=1)])
    assert model.score(X, labels) >= 0.65


def test_class_weights_count_for_margins(two_classes):
    X, y = two_classes
    by_class = GDClassifier("squared_hinge", class_weight={0: 3.0, 1: 0.5}, tol=1e-10).fit(X, y)
    by_row = GDClassifier("squared_hinge", tol=1e-10).fit(X, y, np.array([3.0, 0.5])[y])
    assert_allclose(by_class.coef_, by_row.coef_, rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_probabilities_of_modified_huber_are_those_of_sgdclassifier(data, dtype, request):
    X, y = request.getfixturevalue(data)
    X = StandardScaler().fit_transform(X).astype(dtype)
    model, peer = GDClassifier("modified_huber").fit(X, y), SGDClassifier(loss="modified_huber", max_iter=5, tol=None)
    model.intercept_ -= 1.0  # some rows are of no class then
    peer.fit(X, y)
    peer.coef_, peer.intercept_ = model.coef_, model.intercept_
    P = model.predict_proba(X)
    assert_allclose(P, peer.predict_proba(X), rtol=1e-5, atol=1e-6)
    assert P.dtype == dtype
    assert_allclose(P.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.ptp(P, axis=1) == 0.0).any() == (data == "three_classes")
    assert_array_equal(np.exp(model.predict_log_proba(X)) == 0.0, P == 0.0)


@pytest.mark.parametrize("loss", sorted(set(CLASSIFICATION_LOSSES) - {"log_loss", "modified_huber"}))
@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_other_losses_have_no_probabilities(method, loss):
    assert hasattr(GDClassifier(), method)
    assert hasattr(GDClassifier("modified_huber"), method)
    model = GDClassifier(loss)
    assert not hasattr(model, method)
    with pytest.raises(AttributeError) as error:
        getattr(model, method)
    message = f"probability estimates are not available for loss='{loss}': use one of 'log_loss', 'modified_huber'"
    assert message in str(error.value.__cause__)


# ---------------------------------------------------------------- what cannot work
def test_gd_does_not_take_the_perceptron(two_classes):
    with pytest.raises(ValueError, match=r"'gd' does not take loss='perceptron'.*Use one of 'auto', 'sgd', 'adam'"):
        GDClassifier("perceptron", solver="gd").fit(*two_classes)


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_explicit_rates_take_any_loss(solver, data):
    X, y = data(GDRegressor, "poisson")
    X = StandardScaler().fit_transform(X)
    model = GDRegressor("poisson", solver=solver, learning_rate="constant", eta0=1e-2, max_iter=20, tol=None, random_state=0)
    assert model.fit(X, y).loss_curve_[-1] < 0.9 * model.loss_curve_[0]


@pytest.mark.parametrize(
    ("loss", "bad", "message"),
    [
        ("poisson", -0.5, "'poisson' needs targets y >= 0, not all of them 0, but row 7 of y holds -0.5"),
        ("gamma", 0.0, "'gamma' needs targets y > 0, but row 7 of y holds 0"),
        ("gamma", -2.0, "'gamma' needs targets y > 0, but row 7 of y holds -2"),
    ],
)
def test_bad_targets_are_named(loss, bad, message, data):
    X, y = data(GDRegressor, "gamma")
    y = y + 0.1
    y[[7, 20]] = bad
    weights = np.ones(len(y))
    weights[3] = 0.0
    for target in (y, np.column_stack([np.ones(len(y)), y])):
        for s in (None, weights):
            with pytest.raises(ValueError, match=message):
                GDRegressor(loss).fit(X, target, s)
    weights[[7, 20]] = 0.0
    assert np.isfinite(GDRegressor(loss).fit(X, y, weights).coef_).all()


def test_counts_that_are_all_zero_are_named(regression):
    with pytest.raises(ValueError, match=r"'poisson' needs .* not all of them 0, but row 0 of y holds 0"):
        GDRegressor("poisson").fit(regression[0], np.zeros(len(regression[1])))


def test_huber_needs_a_width(regression):
    with pytest.raises(ValueError, match="'huber' needs epsilon > 0"):
        GDRegressor("huber", epsilon=0.0).fit(*regression)
    median = GDRegressor("quantile", penalty=None, tol=1e-6).fit(*regression)
    absolute = GDRegressor("epsilon_insensitive", epsilon=0.0, penalty=None, tol=1e-6).fit(*regression)
    assert_allclose(absolute.loss_curve_[-1], 2.0 * median.loss_curve_[-1], rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (GDRegressor(epsilon=0.5), "epsilon=0.5"),
        (GDRegressor("huber", quantile=0.9), "quantile=0.9"),
        (GDClassifier(epsilon=0.5), "epsilon=0.5"),
    ],
)
def test_parameters_of_other_losses_warn(model, name, data):
    with pytest.warns(UserWarning, match=f"{name} has no effect with loss='{model.loss}'"):
        model.fit(*data(type(model), model.loss))


def test_only_positive_targets_are_tagged():
    for loss in REGRESSION_LOSSES:
        tags = GDRegressor(loss).__sklearn_tags__()
        assert tags.target_tags.positive_only == (loss in ("poisson", "gamma"))
