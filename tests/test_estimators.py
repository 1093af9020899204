"""What a fitted estimator offers: attributes, predictions, copies, display, and routing of weights."""

import io
import pickle
import re
from numbers import Integral

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from problems import since
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Interval, InvalidParameterError, validate_parameter_constraints

from skgd import GDClassifier, GDRegressor

SOLVERS = ["auto", "gd", "sgd", "adam"]
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=["regression", "two_targets", "two_classes", "three_classes"])
def case(request):
    """An estimator with X and y, for every shape of the coefficients."""
    X, y = request.getfixturevalue(request.param.replace("two_targets", "regression"))
    if request.param == "two_targets":
        y = np.column_stack([y, X[:, 4] - 2.0 * y])
    return (GDClassifier if "classes" in request.param else GDRegressor)(), X, y


# ---------------------------------------------------------------- fitted attributes
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("ours", "theirs", "data"),
    [
        (GDRegressor, SGDRegressor, "regression"),
        (GDClassifier, SGDClassifier, "two_classes"),
        (GDClassifier, SGDClassifier, "three_classes"),
    ],
)
@unfinished
def test_fitted_attributes_are_those_of_sgd(ours, theirs, data, dtype, request):
    X, y = request.getfixturevalue(data)
    X = StandardScaler().fit_transform(X).astype(dtype)
    model, expected = ours().fit(X, y), theirs(max_iter=5).fit(X, y)
    for name in ("coef_", "intercept_"):
        value, reference = getattr(model, name), getattr(expected, name)
        assert value.shape == reference.shape
        assert value.dtype == dtype
    assert model.coef_.flags.c_contiguous
    assert model.n_features_in_ == expected.n_features_in_
    assert isinstance(model.n_iter_, int)
    if hasattr(expected, "classes_"):
        assert_array_equal(model.classes_, expected.classes_)
        assert model.classes_.dtype == y.dtype


def test_targets_have_rows_of_coefficients(regression):
    X, y = regression
    both = GDRegressor(tol=1e-10).fit(X, np.column_stack([y, -3.0 * y]))
    assert both.coef_.shape == (2, 6)
    assert both.intercept_.shape == (2,)
    assert both.predict(X).shape == (len(y), 2)
    alone = GDRegressor(tol=1e-10).fit(X, y)
    assert_allclose(both.coef_, [alone.coef_, -3.0 * alone.coef_], rtol=1e-8)
    column = GDRegressor(tol=1e-10).fit(X, y[:, None])  # one target is one target, as for Ridge
    assert_array_equal(column.coef_, alone.coef_)
    assert column.predict(X).shape == (len(y),)


@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
def test_loss_curve_ends_with_the_objective(solver, case, objective):
    """One value at the start and one an iteration; the last is the objective of `coef_`, computed by NumPy."""
    model, X, y = case
    model.set_params(solver=solver, max_iter=6, random_state=0).fit(X, y)
    assert model.n_iter_ <= 6
    assert len(model.loss_curve_) == model.n_iter_ + 1
    assert_allclose(model.loss_curve_[-1], objective(model, X, y), rtol=1e-9)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_time_goes_on(two_classes):
    model = GDClassifier(solver="sgd").fit(*two_classes)
    assert len(model.time_curve_) == len(model.loss_curve_)
    assert np.all(np.diff(model.time_curve_) >= 0.0)


@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l1", "elasticnet", None])
def test_loss_curve_counts_the_penalty(penalty, solver, regression, rng, objective):
    X, y = regression
    weights = rng.uniform(0.1, 3.0, len(y))
    model = GDRegressor("huber", solver=solver, penalty=penalty, alpha=0.1, max_iter=6, random_state=0).fit(X, y, weights)
    assert_allclose(model.loss_curve_[-1], objective(model, X, y, weights), rtol=1e-9)


def test_start_is_the_best_constant(two_classes, three_classes, regression):
    """So the first value of the curve is the entropy of the classes, or half the variance of the target."""
    for X, y in (two_classes, three_classes):
        share = np.bincount(y) / len(y)
        assert_allclose(GDClassifier().fit(X, y).loss_curve_[0], -share @ np.log(share))
    X, y = regression
    assert_allclose(GDRegressor().fit(X, y).loss_curve_[0], 0.5 * y.var())


def test_feature_names_are_kept_and_checked(regression):
    X, y = regression
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = GDRegressor().fit(frame, y)
    assert_array_equal(model.feature_names_in_, list("abcdef"))
    assert model.feature_names_in_.dtype == object
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("fedcba")])
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")


# ---------------------------------------------------------------- predictions
def test_regression_predictions_agree(regression, rng):
    X, y = regression
    weights = rng.uniform(size=len(y))
    model = GDRegressor().fit(X, y)
    assert_allclose(model.predict(X), X @ model.coef_ + model.intercept_, rtol=1e-12)
    assert model.score(X, y) == r2_score(y, model.predict(X))
    assert model.score(X, y, weights) == r2_score(y, model.predict(X), sample_weight=weights)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_class_predictions_agree(data, storage, dtype, request, rng):
    X, y = request.getfixturevalue(data)
    labels = np.array(["low", "mid", "top"])[y]
    X = storage(X.astype(dtype))
    model = GDClassifier().fit(X, labels)
    scores, P = model.decision_function(X), model.predict_proba(X)
    eps = np.finfo(dtype).eps
    Z = np.asarray(X @ model.coef_.T.astype(float)) + model.intercept_
    assert_allclose(scores, Z[:, 0] if data == "two_classes" else Z, rtol=1e3 * eps, atol=1e3 * eps)
    expected = np.exp(np.column_stack([0.0 * Z, Z]) if data == "two_classes" else Z).astype(float)
    assert_allclose(P, expected / expected.sum(axis=1, keepdims=True), rtol=1e4 * eps, atol=eps)
    assert P.dtype == scores.dtype == dtype
    assert_allclose(P.sum(axis=1), 1.0, rtol=4 * eps)
    assert_allclose(np.exp(model.predict_log_proba(X)), P, rtol=100 * eps)
    assert_array_equal(model.predict(X), model.classes_[P.argmax(axis=1)])
    weights = rng.uniform(size=len(y))
    assert model.score(X, labels, weights) == accuracy_score(labels, model.predict(X), sample_weight=weights)


@pytest.mark.parametrize("estimator", [GDRegressor(), GDClassifier()])
@pytest.mark.parametrize(
    "method", ["predict", "decision_function", "predict_proba", "predict_log_proba", "sparsify", "densify"]
)
def test_methods_need_a_fit(method, estimator):
    if hasattr(estimator, method):
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(*([] if method.endswith("ify") else [[[1.0]]]))
    else:
        assert isinstance(estimator, GDRegressor)


def test_sparsify_and_densify_keep_predictions(case):
    model, X, y = case
    model.set_params(penalty="l1", alpha=0.05).fit(X, y)
    coef, predictions = model.coef_, model.predict(X)
    assert model.densify() is model
    assert model.coef_ is coef
    assert model.sparsify() is model
    assert sp.issparse(model.coef_)
    assert model.coef_.nnz == np.count_nonzero(coef)
    assert_allclose(model.predict(X), predictions, rtol=1e-12)
    assert_allclose(pickle.loads(pickle.dumps(model)).predict(sp.csr_matrix(X)), predictions, rtol=1e-10)
    assert_array_equal(model.densify().coef_, coef)
    assert model.coef_.shape == coef.shape
    assert_array_equal(model.predict(X), predictions)


# ---------------------------------------------------------------- copies
def test_clone_keeps_parameters_only(case):
    model, X, y = case
    model.set_params(alpha=0.3, solver="gd", penalty="elasticnet").fit(X, y)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert set(vars(copy)) == set(model.get_params())


def test_set_params_takes_effect(case):
    model, X, y = case
    plain = model.fit(X, y).coef_
    assert model.set_params(alpha=10.0) is model
    assert np.abs(model.fit(X, y).coef_).sum() < np.abs(plain).sum()
    with pytest.raises(ValueError, match="Invalid parameter 'rate'"):
        model.set_params(rate=1)


@pytest.mark.parametrize("store", [pickle.dump, joblib.dump])
def test_stored_models_predict_the_same(store, case):
    model, X, y = case
    model.set_params(random_state=0).fit(X, y)
    file = io.BytesIO()
    store(model, file)
    file.seek(0)
    copy = (pickle if store is pickle.dump else joblib).load(file)
    assert vars(copy).keys() == vars(model).keys()
    assert_array_equal(copy.predict(X), model.predict(X))
    assert_array_equal(copy.fit(X, y).coef_, model.coef_)


def test_a_fit_leaves_its_input_alone(case, rng):
    model, X, y = case
    weights = rng.uniform(size=len(y))
    before = X.copy(), y.copy(), weights.copy(), model.get_params()
    model.fit(X, y, weights)
    assert all(np.array_equal(a, b) for a, b in zip(before[:3], (X, y, weights), strict=True))
    assert model.get_params() == before[3]


# ---------------------------------------------------------------- display
@pytest.mark.parametrize("estimator", [GDRegressor(alpha=0.25), GDClassifier(alpha=0.25)])
def test_repr_names_the_estimator(estimator):
    name = type(estimator).__name__
    assert repr(estimator) == f"{name}(alpha=0.25)"
    html = estimator._repr_html_()
    assert name in html
    assert "alpha" in html


@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
def test_verbose_prints_a_line_a_pass(solver, case, capsys):
    model, X, y = case
    model.set_params(solver=solver, max_iter=5).fit(X, y)
    assert capsys.readouterr().out == ""
    model.set_params(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(model.loss_curve_)
    for line, value in zip(lines, model.loss_curve_, strict=True):
        assert solver in line
        assert float(re.search(r"objective (\S+)", line)[1]) == pytest.approx(value, rel=1e-8)


# ---------------------------------------------------------------- weights, by name and by route
def test_class_weight_is_a_weight_of_rows(three_classes, rng):
    X, y = three_classes
    weights = rng.uniform(0.5, 2.0, len(y))
    table = {0: 2.0, 1: 0.5, 2: 1.0}
    by_class = GDClassifier(class_weight=table, tol=1e-10).fit(X, y, weights)
    by_row = GDClassifier(tol=1e-10).fit(X, y, weights * np.array([2.0, 0.5, 1.0])[y])
    assert_allclose(by_class.coef_, by_row.coef_, rtol=1e-10)


def test_balanced_classes_count_sample_weights(two_classes):
    """Repeated rows and doubled weights leave the classes as balanced as before."""
    X, y = two_classes
    weights = 1.0 + (y == 1)
    rows = np.repeat(np.arange(len(y)), weights.astype(int))
    weighted = GDClassifier(class_weight="balanced", tol=1e-10).fit(X, y, weights)
    repeated = GDClassifier(class_weight="balanced", tol=1e-10).fit(X[rows], y[rows])
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-6)
    assert_allclose(weighted.predict_proba(X)[:, 1] @ weights / weights.sum(), 0.5, atol=0.1)


@pytest.mark.parametrize(
    "search", [False, pytest.param(True, marks=since("1.8", "searches route weights to the score of a pipeline"))]
)
def test_sample_weights_are_routed(search, two_classes, rng):
    X, y = two_classes
    weights = np.where(rng.random(len(y)) < 0.5, 1e-9, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = GDClassifier(alpha=1e-3).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), model)
        if search:
            routed = GridSearchCV(routed, {"gdclassifier__alpha": [1e-3]}, cv=2)
        routed.fit(X, y, sample_weight=weights)
    fitted = (routed.best_estimator_ if search else routed)[-1]
    scaled = StandardScaler().fit(X, sample_weight=weights).transform(X)
    assert_array_equal(fitted.coef_, GDClassifier(alpha=1e-3).fit(scaled, y, weights).coef_)
    assert not np.allclose(fitted.coef_, GDClassifier(alpha=1e-3).fit(scaled, y).coef_, rtol=1e-2)


def test_sample_weights_need_a_request(two_classes):
    X, y = two_classes
    with sklearn.config_context(enable_metadata_routing=True), pytest.raises(ValueError, match="sample_weight"):
        GridSearchCV(GDClassifier(), {"alpha": [1e-3]}, cv=2).fit(X, y, sample_weight=np.ones(len(y)))


@pytest.mark.parametrize(
    ("parameters", "message"), [({"max_iter": 1, "tol": 1e-10}, "without reaching tol"), ({"beta_1": 0.5}, "has no effect")]
)
def test_warnings_point_at_the_line_of_the_user(parameters, message, two_classes):
    X, y = two_classes
    with pytest.warns(UserWarning, match=message) as caught:
        GDClassifier(**parameters).fit(X, y)
    assert [warning.filename for warning in caught] == [__file__]


# ---------------------------------------------------------------- parameters are validated as scikit-learn does it
def _validated_by_scikit_learn(model):
    validate_parameter_constraints(model._parameter_constraints, model.get_params(deep=False), type(model).__name__)


def _error(function, *args):
    with pytest.raises(InvalidParameterError) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_defaults_are_valid(estimator):
    """So `fit` may validate only the parameters that differ from the defaults."""
    _validated_by_scikit_learn(estimator())


@pytest.mark.parametrize("data", ["regression", "two_classes"])
@pytest.mark.parametrize(
    "parameters", [{"alpha": -1.0}, {"tol": "tight", "alpha": None}, {"max_iter": 1.5}, {"solver": "lbfgs"}, {"shuffle": 1.0}]
)
def test_invalid_parameters_raise_what_scikit_learn_raises(parameters, data, request):
    X, y = request.getfixturevalue(data)
    model = (GDRegressor if data == "regression" else GDClassifier)().fit(X, y)
    model.set_params(**parameters)
    assert _error(model.fit, X, y) == _error(_validated_by_scikit_learn, model)
    assert _error(clone(model).fit, X, y) == _error(_validated_by_scikit_learn, model)


def test_validation_can_be_skipped(two_classes):
    X, y = two_classes
    model = GDClassifier(class_weight=[])  # no valid type, and yet as good as none
    with pytest.raises(InvalidParameterError, match="class_weight"):
        model.fit(X, y)
    with sklearn.config_context(skip_parameter_validation=True):
        model.fit(X, y)


class _Ridge(GDRegressor):
    """Fewer parameters, another default, and one more parameter."""

    _parameter_constraints = {**GDRegressor._parameter_constraints, "power": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, alpha=-1.0, power=0):
        super().__init__(alpha=alpha)
        self.power = power


def test_parameters_of_subclasses_are_validated(regression):
    X, y = regression
    assert _error(_Ridge(power=1).fit, X, y) == _error(_validated_by_scikit_learn, _Ridge(power=1))
    assert _error(_Ridge(1e-4).fit, X, y) == _error(_validated_by_scikit_learn, _Ridge(1e-4))
    model = _Ridge(1e-3, 1).fit(X, y)
    assert_array_equal(model.coef_, GDRegressor(alpha=1e-3).fit(X, y).coef_)
    assert model.get_params() == {"alpha": 1e-3, "power": 1}


# ---------------------------------------------------------------- weights of one
@pytest.mark.parametrize(("class_weight", "sample_weight"), [({}, None), ({0: 1.0, 1: 1.0}, None), (None, np.ones(150))])
def test_no_weights_are_weights_of_one(class_weight, sample_weight, two_classes):
    X, y = two_classes
    weighted = GDClassifier(class_weight=class_weight).fit(X, y, sample_weight)
    assert_array_equal(weighted.coef_, GDClassifier().fit(X, y).coef_)
