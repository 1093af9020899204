"""Signs of coefficients, a penalty for each feature, starting points: against SciPy, scikit-learn and closed forms."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import Bounds, minimize, nnls
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV

from skgd import GDClassifier, GDRegressor

SOLVERS = ["gd", "sgd", "adam"]
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
TOL = {"gd": 1e-10, "sgd": 1e-8, "adam": 1e-4}
GAP = {"adam": 5e-4}  # of objectives, where it is not 1e-7
MIXED = np.array([True, False, True, True, False, True])


# ---------------------------------------------------------------- positive
@STORAGE
@pytest.mark.parametrize("solver", SOLVERS)
def test_positive_least_squares_are_those_of_nnls(solver, storage, regression):
    X, y = regression
    model = GDRegressor(solver=solver, random_state=0, penalty=None, positive=True, fit_intercept=False, tol=TOL[solver]).fit(
        storage(X), y
    )
    expected = nnls(X, y)[0]
    unit = X.std(axis=0)
    assert_allclose(model.coef_ * unit, expected * unit, rtol=1e-3, atol=1e-3)
    assert_array_equal(model.coef_ == 0.0, expected == 0.0)


@STORAGE
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"penalty": None}, lambda n: LinearRegression(positive=True)),
        ({"penalty": "l2", "alpha": 0.1}, lambda n: Ridge(0.1 * n, positive=True, tol=1e-14)),
        ({"penalty": "l1", "alpha": 0.3}, lambda n: Lasso(0.3, positive=True, tol=1e-12)),
        (
            {"penalty": "elasticnet", "alpha": 0.3, "l1_ratio": 0.4},
            lambda n: ElasticNet(0.3, l1_ratio=0.4, positive=True, tol=1e-12),
        ),
    ],
    ids=["none", "l2", "l1", "elasticnet"],
)
def test_positive_regressors_agree_with_scikit_learn(ours, theirs, storage, regression):
    X, y = regression
    X = X - X.mean(axis=0)
    model, expected = GDRegressor(positive=True, tol=1e-12, **ours).fit(storage(X), y), theirs(len(y)).fit(X, y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-5, atol=1e-6)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-6)


def _bounded(fun, d, mask):
    """A minimiser with bounds by L-BFGS-B, the intercept last."""
    lower = np.append(np.where(mask, 0.0, -np.inf), -np.inf)
    return minimize(
        fun, np.zeros(d + 1), jac=True, bounds=Bounds(lower, np.inf), options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000}
    )


def _logistic(X, y, alpha):
    def fun(v):
        z = X @ v[:-1] + v[-1]
        residual = 1.0 / (1.0 + np.exp(-z)) - y
        value = np.mean(np.logaddexp(0.0, z) - y * z) + 0.5 * alpha @ v[:-1] ** 2
        return value, np.append(X.T @ residual / len(y) + alpha * v[:-1], residual.mean())

    return fun


@STORAGE
@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_positive_classifiers_have_the_optimum_with_bounds(solver, storage, two_classes):
    X, y = two_classes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    found = _bounded(_logistic(X, y, np.full(6, 0.01)), 6, MIXED)
    model = GDClassifier(solver=solver, random_state=0, alpha=0.01, positive=MIXED, tol=TOL.get(solver, 1e-10)).fit(
        storage(X), y
    )
    assert (model.coef_[0, MIXED] >= 0.0).all()
    assert (found.x[:-1][MIXED] == 0.0).any()  # bounds that matter
    assert_allclose(model.loss_curve_[-1], found.fun, rtol=GAP.get(solver, 1e-7))
    assert_allclose(model.coef_[0], found.x[:-1], atol=1e-3 if solver != "adam" else 1e-2)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "log_loss"])
def test_positive_one_against_the_rest_satisfies_the_conditions_of_its_optimum(loss, three_classes):
    """No negative coefficient; another fit, started elsewhere, is not better."""
    X, y = three_classes
    model = GDClassifier(loss, positive=True, tol=1e-6).fit(X, y)
    assert (model.coef_ >= 0.0).all()
    other = GDClassifier(loss, positive=True, tol=1e-6).fit(X, y, coef_init=0.01 * np.ones((3, 6)))
    assert_allclose(other.loss_curve_[-1], model.loss_curve_[-1], rtol=1e-5)
    assert model.loss_curve_[-1] > GDClassifier(loss, tol=1e-6).fit(X, y).loss_curve_[-1]


@pytest.mark.parametrize("loss", ["poisson", "quantile", "huber", "epsilon_insensitive"])
def test_positive_regression_of_every_kind(loss, regression):
    X, y = regression
    y = np.abs(y)
    model = GDRegressor(loss, positive=True, tol=1e-6).fit(X, y)
    assert (model.coef_ >= 0.0).all()
    assert (model.coef_ == 0.0).any()
    free = GDRegressor(loss, positive=[False] * 6, tol=1e-6).fit(X, y)
    assert (free.coef_ < 0.0).any()
    assert free.loss_curve_[-1] < model.loss_curve_[-1]


@pytest.mark.parametrize("solver", SOLVERS)
def test_explicit_rates_stay_on_the_right_side(solver, regression):
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    how = {"solver": solver, "random_state": 0, "learning_rate": "constant", "eta0": 0.01, "tol": None, "max_iter": 1000}
    model = GDRegressor(positive=True, penalty=None, **how).fit(X, y)
    assert (model.coef_ >= 0.0).all()
    assert_allclose(model.coef_, LinearRegression(positive=True).fit(X, y).coef_, atol=0.3)


def test_a_warm_start_on_the_wrong_side_is_brought_over(regression):
    X, y = regression
    model = GDRegressor(warm_start=True).fit(X, y)
    assert (model.coef_ < 0.0).any()
    again = model.set_params(positive=True, tol=1e-10).fit(X, y)
    assert_allclose(again.coef_, GDRegressor(positive=True, tol=1e-10).fit(X, y).coef_, atol=1e-6)


def test_positive_wide_data(rng):
    """Working sets and the row space: fewer rows than columns."""
    X = rng.normal(size=(40, 1500))
    y = X[:, :5].sum(axis=1) - X[:, 5:8].sum(axis=1)
    model = GDRegressor(penalty="l1", alpha=0.1, positive=True, tol=1e-8).fit(X, y)
    expected = Lasso(0.1, positive=True, tol=1e-10, max_iter=100_000).fit(X, y)
    assert_allclose(model.coef_, expected.coef_, atol=1e-4)
    assert (GDRegressor(alpha=0.1, positive=True).fit(X, y).coef_ >= 0.0).all()


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("positive", [True, False], r"positive has shape \(2,\), but X has 6 features"),
        ("positive", [0, 1, 0, 1, 0, 2], "positive has to be one value, or an array, of True and False"),
        ("alpha", np.ones(5), r"alpha has shape \(5,\), but X has 6 features"),
        ("alpha", [1.0, 1.0, -1.0, 0.0, 0.0, 0.0], "alpha has to be one value, or an array, of finite numbers"),
        ("alpha", [1.0, 1.0, np.nan, 0.0, 0.0, 0.0], "alpha has to be"),
        ("alpha", ["a"] * 6, "alpha has to be"),
    ],
)
@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_wrong_arrays_are_named(estimator, parameter, value, message, two_classes):
    model = estimator(**{parameter: value})
    with pytest.raises(ValueError, match=message):
        model.fit(*two_classes)
    assert not hasattr(model, "coef_")


# ---------------------------------------------------------------- alpha for each feature
ALPHA = np.array([0.0, 0.01, 0.1, 1.0, 10.0, 0.5])


@STORAGE
@pytest.mark.parametrize("solver", SOLVERS)
def test_ridge_with_a_penalty_for_each_feature_has_a_closed_form(solver, storage, regression):
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = GDRegressor(solver=solver, random_state=0, alpha=ALPHA, tol=TOL[solver]).fit(storage(X), y)
    n = len(y)
    expected = np.linalg.solve(X.T @ X / n + np.diag(ALPHA), X.T @ (y - y.mean()) / n)
    assert_allclose(model.coef_, expected, atol={"gd": 1e-8, "sgd": 1e-3, "adam": 1e-2}[solver])


@pytest.mark.parametrize("solver", SOLVERS)
def test_lasso_with_a_penalty_for_each_feature_is_one_of_rescaled_columns(solver, regression):
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    alpha = ALPHA + 0.01
    model = GDRegressor(solver=solver, random_state=0, penalty="l1", alpha=alpha, tol=TOL[solver]).fit(X, y)
    expected = Lasso(1.0, tol=1e-12, max_iter=10**6).fit(X / alpha, y).coef_ / alpha
    assert_allclose(model.coef_, expected, atol=1e-3)
    assert_array_equal(model.coef_ == 0.0, expected == 0.0)


@STORAGE
@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_logistic_regression_with_a_penalty_for_each_feature(solver, storage, two_classes):
    X, y = two_classes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    found = _bounded(_logistic(X, y, ALPHA), 6, np.zeros(6, bool))
    model = GDClassifier(solver=solver, random_state=0, alpha=ALPHA, tol=TOL.get(solver, 1e-10)).fit(storage(X), y)
    assert_allclose(model.loss_curve_[-1], found.fun, rtol=GAP.get(solver, 1e-7))


def test_equal_penalties_are_one(two_classes):
    X, y = two_classes
    one, six = (GDClassifier(alpha=alpha, tol=1e-12).fit(X, y) for alpha in (0.1, np.full(6, 0.1)))
    assert_allclose(one.coef_, six.coef_, rtol=1e-6)


def test_arrays_as_parameters_go_through_search_clone_and_repr(two_classes):
    X, y = two_classes
    model = GDClassifier(alpha=ALPHA, positive=MIXED.tolist())
    assert_array_equal(clone(model).alpha, ALPHA)
    assert "alpha=array" in repr(model)
    search = GridSearchCV(GDClassifier(), {"alpha": [0.1, ALPHA], "positive": [False, MIXED]}).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ---------------------------------------------------------------- coef_init, intercept_init
@pytest.mark.parametrize("solver", ["auto", "gd", "sgd"])
def test_given_coefficients_are_where_a_fit_starts(solver, two_classes):
    X, y = two_classes
    first = GDClassifier(solver=solver).fit(X, y)
    again = GDClassifier(solver=solver).fit(X, y, coef_init=first.coef_, intercept_init=first.intercept_)
    assert again.loss_curve_[0] == pytest.approx(first.loss_curve_[-1], rel=1e-10)
    half = GDClassifier(solver=solver).fit(X, y, intercept_init=[0.0])
    assert half.loss_curve_[0] == pytest.approx(np.log(2.0))


def test_explicit_rates_start_there_too(regression):
    """With one batch of all rows, two epochs are one epoch twice."""
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    how = {"solver": "gd", "learning_rate": "constant", "eta0": 0.1, "tol": None}
    two, one = GDRegressor(max_iter=2, **how).fit(X, y), GDRegressor(max_iter=1, **how).fit(X, y)
    then = GDRegressor(max_iter=1, **how).fit(X, y, coef_init=one.coef_, intercept_init=one.intercept_)
    assert_allclose(then.coef_, two.coef_, rtol=1e-12)


def test_given_coefficients_come_before_those_of_a_warm_start(two_classes):
    X, y = two_classes
    model = GDClassifier(warm_start=True).fit(X, y)
    model.fit(X, y, coef_init=np.zeros(6))
    assert model.loss_curve_[0] == pytest.approx(np.log(2.0))


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"coef_init": np.zeros(5)}, r"Provided coef_init does not match dataset: its shape is \(5,\), but has to be \(3, 6\)"),
        ({"coef_init": np.zeros(6)}, "Provided coef_init does not match"),
        ({"intercept_init": 0.0}, "Provided intercept_init does not match"),
        ({"coef_init": np.full((3, 6), np.nan)}, "coef_init holds values that are not finite"),
    ],
)
def test_wrong_starts_are_named(init, message, three_classes):
    with pytest.raises(ValueError, match=message):
        GDClassifier().fit(*three_classes, **init)
