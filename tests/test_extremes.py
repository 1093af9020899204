"""Extreme input at the limits of floats and models: a fit has a finite result, or an error or warning names the cause."""

import contextlib
import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgd import GDClassifier, GDRegressor
from skgd.batches import mapped

SOLVERS = ["auto", "gd", "sgd", "adam"]
TOL = 1e-4  # the default
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def columns(kind, rng):
    """X with 60 rows and extreme columns of this kind."""
    Z = rng.normal(size=(60, 5))
    scales = np.array([1e-20, 1e-10, 1.0, 1e10, 1e20])
    return {
        "scales": Z * scales,
        "shifted scales": (Z + np.array([1e3, 1.0, 0.0, -1e3, 1.0])) * scales,
        "constant columns": np.column_stack([Z[:, :2], np.full(60, 3.0), np.zeros(60), np.full(60, 1e15)]),
        "duplicates": np.column_stack([Z[:, 0], Z[:, 0], Z[:, 1], 2.0 * Z[:, 1], -Z[:, 0]]),
        "one column": Z[:, :1],
        "more columns than rows": rng.normal(size=(60, 70)),
        "constant X": np.full((60, 3), 7.0),
        "zeros": np.zeros((60, 3)),
    }[kind]


KINDS = [
    "scales", "shifted scales", "constant columns", "duplicates", "one column", "more columns than rows", "constant X", "zeros",
]  # fmt: skip


def targets(X, classes, rng):
    z = X[:, 0] / (X[:, 0].std() + (X[:, 0].std() == 0)) + rng.normal(size=len(X))
    z -= z.mean()
    return z if classes == 0 else np.digitize(z, [0.0] if classes == 2 else [-0.7, 0.7])


def assert_sound(model, tol=TOL):
    """The coefficients are finite, and the objective did not rise; with mini-batches it may rise by `tol` from an optimum."""
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert np.isfinite(model.loss_curve_).all()
    slack = tol if model.solver in ("sgd", "adam") else 1e-12
    assert model.loss_curve_[-1] <= model.loss_curve_[0] * (1 + slack)


# ---------------------------------------------------------------- columns
@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l2", "l1", None])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("kind", KINDS)
def test_extreme_columns(kind, storage, penalty, solver, rng):
    X = columns(kind, rng)
    for classes in (0, 2, 3):
        y = targets(X, classes, rng)
        estimator = GDClassifier if classes else GDRegressor
        model = estimator(solver=solver, penalty=penalty, max_iter=15, random_state=0).fit(storage(X), y)
        assert_sound(model)
        assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("solver", ["auto", "gd"])
@pytest.mark.parametrize("kind", KINDS)
def test_default_fits_of_extreme_columns_converge_in_silence(kind, solver, rng):
    X = columns(kind, rng)
    GDRegressor(solver=solver).fit(X, targets(X, 0, rng))
    GDClassifier(solver=solver).fit(X, targets(X, 2, rng))
    GDClassifier(solver=solver).fit(X, targets(X, 3, rng))


@pytest.mark.parametrize("kind", ["scales", "shifted scales"])
def test_scales_of_forty_decades_are_fitted_exactly(kind, rng):
    """The expected predictions come from least squares on the standardised columns."""
    X = columns(kind, rng)
    A = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])
    y = A @ [1.0, -1.0, 2.0, 0.5, 3.0, 4.0] + 0.1 * rng.normal(size=len(X))
    expected = A @ np.linalg.lstsq(A, y)[0]
    assert_allclose(GDRegressor(penalty=None, tol=1e-10).fit(X, y).predict(X), expected, atol=1e-5)


def test_constant_columns_get_no_coefficient(rng):
    X = columns("constant columns", rng)
    for classes in (0, 2):
        model = (GDClassifier if classes else GDRegressor)(penalty=None).fit(X, targets(X, classes, rng))
        assert_array_equal(np.atleast_2d(model.coef_)[:, 2:], 0.0)
        assert np.all(np.atleast_2d(model.coef_)[:, :2])


def test_duplicated_columns_share_their_coefficient(rng):
    X = columns("duplicates", rng)
    coef = GDRegressor(tol=1e-10, alpha=1e-2).fit(X, targets(X, 0, rng)).coef_
    assert_allclose(coef[:2], coef[0], rtol=1e-6)
    assert_allclose(coef[4], -coef[0], rtol=1e-6)
    assert_allclose(coef[3], 2.0 * coef[2], rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_features_give_the_best_constant_prediction(solver):
    X, y = np.full((40, 2), -3.0), np.arange(40.0)
    assert_allclose(GDRegressor(solver=solver, random_state=0).fit(X, y).predict(X), 19.5, rtol=0.05)
    labels = (y >= 30).astype(int)
    assert_allclose(GDClassifier(solver=solver, random_state=0).fit(X, labels).predict_proba(X)[:, 1], 0.25, atol=0.02)


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_row(solver):
    model = GDRegressor(solver=solver).fit([[2.0, -1.0]], [5.0])
    assert_allclose(model.predict([[2.0, -1.0]]), 5.0)
    assert_array_equal(model.coef_, 0.0)


# ---------------------------------------------------------------- targets
@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize(("factor", "offset"), [(0.0, 5.0), (0.0, 0.0), (1.0, 1e12), (1.0, -1e12), (1e100, 0.0), (1e-100, 0.0)])
def test_extreme_targets(factor, offset, loss, solver, regression):
    X, y = regression
    model = GDRegressor(loss, solver=solver, max_iter=20, random_state=0).fit(X, factor * y + offset)
    assert_sound(model)
    if factor == 0.0:
        assert_array_equal(model.predict(X), offset)
        assert_array_equal(model.coef_, 0.0)


def test_an_offset_of_the_target_moves_the_intercept(regression):
    X, y = regression
    model, moved = GDRegressor(tol=1e-10).fit(X, y), GDRegressor(tol=1e-10).fit(X, y + 1e8)
    assert_allclose(moved.coef_, model.coef_, rtol=1e-5)
    assert_allclose(moved.intercept_ - 1e8, model.intercept_, rtol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_without_a_penalty_warn(classes, solver, rng):
    """There is no minimum, because the coefficients would grow without bound."""
    X = rng.normal(size=(60, 3))
    y = np.digitize(X[:, 0], [0.0, 0.8][: classes - 1])
    model = GDClassifier(solver=solver, penalty=None, max_iter=100, random_state=0)
    with pytest.warns(ConvergenceWarning, match="separated"):
        model.fit(X, y)
    assert_sound(model)
    assert np.isfinite(model.predict_log_proba(X)).all()
    assert model.score(X, y) >= 0.8


@pytest.mark.parametrize("solver", ["auto", "gd"])
def test_separable_classes_with_a_penalty_converge(solver, rng):
    X = rng.normal(size=(60, 3))
    assert GDClassifier(solver=solver).fit(X, X[:, 0] > 0).score(X, X[:, 0] > 0) == 1.0


# ---------------------------------------------------------------- scores
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_probabilities_of_huge_scores(data, dtype, request):
    X, y = request.getfixturevalue(data)
    model = GDClassifier().fit(X.astype(dtype), y)
    model.coef_, model.intercept_ = np.zeros_like(model.coef_), np.zeros_like(model.intercept_)
    model.coef_[:, 0] = [1.0] if data == "two_classes" else [1.0, 0.0, -1.0]
    rows = np.zeros((5, 6), dtype)
    rows[:, 0] = [-1e4, -30.0, 0.0, 30.0, 1e4]
    P, logs = model.predict_proba(rows), model.predict_log_proba(rows)
    assert P.dtype == dtype
    assert np.isfinite(P).all()
    assert np.isfinite(logs).all()
    assert_allclose(P.sum(axis=1), 1.0, rtol=4 * np.finfo(dtype).eps)
    first, last = (0, 1) if data == "two_classes" else (2, 0)
    steps = 1.0 if data == "two_classes" else 2.0
    assert_allclose(logs[[0, 4], [last, first]], -1e4 * steps, rtol=1e-6)
    assert_allclose(logs[[0, 4], [first, last]], 0.0, atol=1e-12)
    assert_allclose(P[2], 1.0 / P.shape[1], rtol=1e-6)


# ---------------------------------------------------------------- errors
@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [1e160, 1e300])
@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("standardize", ["auto", False])
def test_columns_whose_squares_overflow_raise(standardize, estimator, factor, solver, two_classes):
    X, y = two_classes
    with pytest.raises(ValueError, match=r"exceed the range of floats.*rescale"):
        estimator(solver=solver, standardize=standardize, max_iter=5).fit(factor * X, y)


@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
def test_targets_whose_squares_overflow_raise(solver, regression):
    X, y = regression
    with pytest.raises(ValueError, match=r"exceed the range of floats.*rescale"):
        GDRegressor(solver=solver, max_iter=5).fit(X, 1e200 * y)


def test_coefficients_beyond_float32_raise(rng):
    X = (1e-30 * rng.normal(size=(50, 2))).astype(np.float32)
    with pytest.raises(ValueError, match="range of float32: pass X as float64"):
        GDRegressor(penalty=None).fit(X, 1e30 * X[:, 0].astype(float) * 1e20)


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("what", ["y", "weights", "labels", "overflow", "NaN"])
def test_a_failed_fit_leaves_the_estimator_as_it_was(what, estimator, two_classes):
    X, y = two_classes
    model = estimator().fit(X, y)
    before = dict(vars(model))
    X_new, y_new, weights = X[:, :4].copy(), y.copy(), None
    if what == "y":
        y_new = y[:-1]
    elif what == "weights":
        weights = -np.ones(len(y))
    elif what == "labels":
        y_new = np.full(len(y), np.nan)
    elif what == "overflow":
        model.set_params(learning_rate="constant", eta0=1e200, solver="gd", penalty="l2", alpha=1.0)
        before = dict(vars(model))
    else:
        X_new[3, 1] = np.nan
    with pytest.raises(ValueError, match=r".+"):
        model.fit(X_new, y_new, weights)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)
    assert model.n_features_in_ == 6
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_non_finite_values_raise(storage, value, estimator, two_classes):
    X, y = two_classes
    message = "NaN" if np.isnan(value) else "infinity"
    spoilt = X.copy()
    spoilt[3, 1] = value
    with pytest.raises(ValueError, match=f"Input X contains {message}"):
        estimator().fit(storage(spoilt), y)
    with pytest.raises(ValueError, match=f"Input X contains {message}"):
        estimator().fit(X, y).predict(storage(spoilt))
    spoilt = y.astype(float)
    spoilt[3] = value
    with pytest.raises(ValueError, match=message):
        estimator().fit(storage(X), spoilt)
    weights = np.ones(len(y))
    weights[3] = value
    with pytest.raises(ValueError, match=f"sample_weight contains {message}|[Nn]egative values in .*sample_weight"):
        estimator().fit(storage(X), y, weights)


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_invalid_weights_raise(estimator, two_classes):
    X, y = two_classes
    with pytest.raises(ValueError, match=r"[Nn]egative values in .*sample_weight"):
        estimator().fit(X, y, np.where(np.arange(len(y)) == 2, -1.0, 1.0))
    with pytest.raises(ValueError, match=r"[Ss]ample.weight.*zero"):
        estimator().fit(X, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"sample_weight.shape"):
        estimator().fit(X, y, np.ones(len(y) - 1))
    with pytest.raises(ValueError, match="1D array or scalar"):
        estimator().fit(X, y, np.ones((len(y), 2)))


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_wrong_shapes_raise(estimator, two_classes):
    X, y = two_classes
    with pytest.raises(ValueError, match="Expected 2D array"):
        estimator().fit(X[:, 0], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator().fit(X, y[:-1])
    with pytest.raises(ValueError, match="0 sample"):
        estimator().fit(X[:0], y[:0])
    with pytest.raises(ValueError, match="0 feature"):
        estimator().fit(X[:, :0], y)
    with pytest.raises(ValueError, match="expecting 6 features"):
        estimator().fit(X, y).predict(X[:, :5])


def test_invalid_targets_raise(two_classes):
    X, y = two_classes
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        GDClassifier().fit(X, y + 0.5 * X[:, 0])
    with pytest.raises(ValueError, match=r"probabilities of as many classes, but its row 0, \[1\.0, 1\.0\], is not"):
        GDClassifier().fit(X, np.ones((len(y), 2)))
    with pytest.raises(ValueError, match="y has to be of shape"):
        GDClassifier("hinge").fit(X, np.column_stack([y, 1 - y]))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_single_class_raises(hidden, two_classes):
    """This includes the case that all rows of the other class have weight zero (`hidden`)."""
    X, y = two_classes
    labels, weights = np.array(["no", "yes"])[y], y if hidden else None
    if not hidden:
        X, labels = X[y == 1], labels[y == 1]
    with pytest.raises(ValueError, match=r"one class.*yes"):
        GDClassifier().fit(X, labels, weights)


def test_class_weights_of_zero_raise(two_classes):
    X, y = two_classes
    with pytest.raises(ValueError, match="class_weight is zero for class 0"):
        GDClassifier(class_weight={0: 0.0, 1: 0.0}).fit(X, y)


# ---------------------------------------------------------------- explicit rates
@pytest.mark.parametrize("solver", ["auto", "gd", "sgd"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
def test_rates_far_too_large_raise(learning_rate, solver, regression):
    """The error blames the rate, not the data."""
    X, y = regression
    model = GDRegressor(solver=solver, learning_rate=learning_rate, eta0=1e100, random_state=0)
    with pytest.raises(ValueError, match=r"lower eta0.*learning_rate='auto'"):
        model.fit(X, y)


def _in_calls(model, X, y):
    for _ in range(5):
        model.partial_fit(X, y)


def _in_mapped_partitions(model, X, y):
    partitions = [(X[:80], y[:80]), (X[80:], y[80:])]
    model.fit_batches(mapped(lambda function: [function(*numbered) for numbered in enumerate(partitions)]))


WAYS = {
    "calls": _in_calls,
    "batches": lambda model, X, y: model.fit_batches([(X[:80], y[:80]), (X[80:], y[80:])]),
    "mapped partitions": _in_mapped_partitions,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["auto", "sgd", "adam"])
@pytest.mark.parametrize("way", WAYS)
def test_the_rate_is_blamed_in_batches_too(way, solver, dtype, regression):
    X, y = regression
    eta0 = 1e300 if solver == "adam" or dtype == np.float64 else 1e30
    model = GDRegressor(solver=solver, learning_rate="constant", eta0=eta0, max_iter=3, tol=None, random_state=0)
    with pytest.raises(ValueError, match=r"lower eta0.*learning_rate='auto'"):
        WAYS[way](model, X.astype(dtype), y)


@pytest.mark.parametrize("way", WAYS)
def test_the_rate_is_not_blamed_for_values_far_too_large(way, regression):
    X, y = regression
    model = GDRegressor(learning_rate="constant", eta0=0.01, random_state=0)
    with pytest.raises(ValueError, match="squares exceed the range of floats"):
        WAYS[way](model, 1e300 * X, y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive", "optimal"])
@pytest.mark.parametrize("eta0", [1.0, 1e6])
def test_no_rate_diverges_in_silence(eta0, learning_rate, solver, regression):
    """A fit raises, warns or lowers the objective.  SGDRegressor silently returns a model with an R2 of -1e28 here."""
    X, y = regression
    model = GDRegressor(solver=solver, learning_rate=learning_rate, max_iter=30, random_state=0)
    if learning_rate != "optimal":
        model.set_params(eta0=eta0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(ValueError):
            model.fit(X, y)
    warned = any(warning.category is ConvergenceWarning for warning in caught)
    assert warned or not hasattr(model, "loss_curve_") or model.loss_curve_[-1] <= model.loss_curve_[0]


def test_the_optimal_rate_needs_alpha(two_classes):
    with pytest.raises(ValueError, match="set one alpha > 0"):
        GDClassifier(learning_rate="optimal", alpha=0.0).fit(*two_classes)


# ---------------------------------------------------------------- warnings
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("estimator", [GDRegressor("huber"), GDClassifier()], ids=["huber", "log_loss"])
def test_an_unfinished_fit_names_the_distance_and_the_remedy(estimator, solver, two_classes):
    distance = r"about \d\.\de[+-]\d+ \(relative\) above its minimum"
    remedy = "raise max_iter or tol" + (", or use solver='auto'" if solver in ("sgd", "adam") else "")
    message = rf"solver='{solver}' stopped after 1 \w+ without reaching tol=1e-12: the objective is {distance}. .* {remedy}"
    with pytest.warns(ConvergenceWarning, match=message):
        clone(estimator).set_params(solver=solver, max_iter=1, tol=1e-12, random_state=0).fit(*two_classes)


@pytest.mark.parametrize("max_iter", [1, 2])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_the_named_distance_is_right(data, max_iter, request):
    """The distance in the warning is within a factor of ten of the true one."""
    X, y = request.getfixturevalue(data)
    model = GDClassifier(solver="gd", max_iter=max_iter, tol=1e-9)
    with pytest.warns(ConvergenceWarning, match="without reaching tol") as caught:
        model.fit(X, y)
    said = float(re.search(r"about (\S+) ", str(caught[0].message))[1])
    best = GDClassifier(tol=1e-12).fit(X, y).loss_curve_[-1]
    # The distance is estimated before the last step, which cannot have increased it.
    assert model.loss_curve_[-1] / best - 1 <= 10 * said
    assert said <= 10 * (model.loss_curve_[-2] / best - 1)


def accuracy_of(model, X, y):
    return model.score(X, y)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"eta0": 0.5}, ["eta0=0.5"]),
        ({"power_t": 0.7}, ["power_t=0.7"]),
        ({"eta0": 0.5, "power_t": 0.7}, ["eta0=0.5", "power_t=0.7"]),
        ({"beta_1": 0.5}, ["beta_1=0.5"]),
        ({"solver": "sgd", "beta_2": 0.5}, ["beta_2=0.5"]),
        ({"solver": "gd", "adam_epsilon": 0.1}, ["adam_epsilon=0.1"]),
        ({"solver": "gd", "momentum": 0.5}, ["momentum=0.5"]),
        ({"solver": "adam", "momentum": 0.5}, ["momentum=0.5"]),
        ({"solver": "gd", "batch_size": 8}, ["batch_size=8"]),
        ({"solver": "gd", "learning_rate": "constant", "batch_size": 8}, ["batch_size=8"]),
        ({"solver": "gd", "average": True}, ["average=True"]),
        ({"learning_rate": "constant", "power_t": 0.7}, ["power_t=0.7"]),
        ({"learning_rate": "optimal", "alpha": 0.1, "eta0": 0.5}, ["eta0=0.5"]),
        ({"l1_ratio": 0.5}, ["l1_ratio=0.5", "penalty='l2'"]),
        ({"penalty": "l1", "l1_ratio": 0.5}, ["l1_ratio=0.5", "penalty='l1'"]),
        ({"penalty": None, "alpha": 0.1, "l1_ratio": 0.5}, ["l1_ratio=0.5", "penalty=None"]),
        ({"scoring": "loss"}, ["scoring='loss'", "early_stopping=False"]),
        ({"scoring": accuracy_of}, ["accuracy_of"]),
        ({"validation_fraction": 0.3}, ["validation_fraction=0.3", "early_stopping=False"]),
        ({"scoring": "loss", "beta_1": 0.5}, ["scoring='loss'", "beta_1=0.5"]),
    ],
    ids=lambda value: str(sorted(value)),
)
def test_parameters_without_effect_warn(parameters, names, two_classes):
    X, y = two_classes
    with pytest.warns(UserWarning, match="has no effect") as caught:
        GDClassifier(max_iter=3, tol=None, **parameters).fit((X - X.mean(axis=0)) / X.std(axis=0), y)
    assert len(caught) == 1
    assert all(name in str(caught[0].message) for name in names)


def test_validation_fraction_has_no_effect_if_validation_rows_are_given(two_classes):
    X, y = two_classes
    own = {"X_val": X[:50], "y_val": y[:50]}
    model = GDClassifier(early_stopping=True, validation_fraction=0.3, scoring="loss")
    message = "^validation_fraction=0.3 has no effect with .*, early_stopping=True and X_val"
    with pytest.warns(UserWarning, match=message):
        model.fit(X[50:], y[50:], **own)
    with pytest.warns(UserWarning, match=message):
        model.fit_batches([(X[50:], y[50:])], **own)


def test_parameters_without_effect_on_online_learning_warn(two_classes):
    with pytest.warns(UserWarning, match=r"l1_ratio=0.5, scoring='loss', validation_fraction=0.3 has no effect"):
        GDClassifier(l1_ratio=0.5, scoring="loss", validation_fraction=0.3).partial_fit(*two_classes, classes=[0, 1])


def test_parameters_with_effect_on_penalty_and_validation_do_not_warn(two_classes):
    """Warnings are errors here."""
    X, y = two_classes
    GDClassifier(penalty="elasticnet", l1_ratio=0.5).fit(X, y)
    GDClassifier(early_stopping=True, validation_fraction=0.3, scoring="loss").fit(X, y)
    GDClassifier(early_stopping=True, scoring="loss").fit_batches([(X[50:], y[50:])], X_val=X[:50], y_val=y[:50])


@pytest.mark.parametrize("penalty", ["l2", "l1", None])
def test_l1_ratio_may_be_none_without_an_elastic_net(penalty, two_classes):
    """Warnings are errors here."""
    GDClassifier(penalty=penalty, l1_ratio=None).fit(*two_classes)


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "sgd", "learning_rate": "constant", "eta0": 0.005, "momentum": 0.5},
        {"solver": "sgd", "learning_rate": "invscaling", "eta0": 0.02, "power_t": 0.4, "average": 10},
        {"solver": "gd", "learning_rate": "constant", "eta0": 0.5, "momentum": 0.5},
        {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "adam_epsilon": 1e-7, "batch_size": 8},
        {"momentum": 0.5, "batch_size": 8, "average": False},
        {"learning_rate": "adaptive", "eta0": 0.005, "n_iter_no_change": 3},
    ],
    ids=str,
)
def test_parameters_with_effect_do_not_warn(parameters, two_classes):
    """The parameters also change the result."""
    X, y = two_classes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = GDClassifier(max_iter=6, tol=None, random_state=0, **parameters).fit(X, y)
    for name in set(parameters) - {"solver", "learning_rate", "n_iter_no_change"}:
        kept = {key: value for key, value in parameters.items() if key != name}
        assert not np.array_equal(GDClassifier(max_iter=6, tol=None, random_state=0, **kept).fit(X, y).coef_, model.coef_), name


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("learning_rate", ["auto", "constant"])
@pytest.mark.parametrize("max_iter", [1, 7])
def test_without_tol_all_epochs_are_run(max_iter, learning_rate, solver, two_classes):
    X, y = two_classes
    model = GDClassifier(solver=solver, learning_rate=learning_rate, max_iter=max_iter, tol=None, random_state=0)
    model.fit((X - X.mean(axis=0)) / X.std(axis=0), y)
    assert model.n_iter_ == max_iter
    assert len(model.loss_curve_) == max_iter + 1


@pytest.mark.parametrize("solver", ["auto", "gd"])
def test_without_tol_gd_reaches_the_minimum_up_to_rounding(solver, two_classes):
    X, y = two_classes
    model = GDClassifier(solver=solver, max_iter=50, tol=None).fit(X, y)
    assert_allclose(model.loss_curve_[-1], GDClassifier(tol=1e-12).fit(X, y).loss_curve_[-1], rtol=1e-12)


# ---------------------------------------------------------------- warm start
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", ["regression", "two_classes", "three_classes"])
def test_warm_start_continues_the_last_fit(data, solver, request):
    X, y = request.getfixturevalue(data)
    estimator = GDRegressor if data == "regression" else GDClassifier
    model = estimator(solver=solver, warm_start=True, tol=0.02, random_state=0).fit(X, y)
    value, iterations = model.loss_curve_[-1], model.n_iter_
    model.fit(X, y)
    assert_allclose(model.loss_curve_[0], value, rtol=1e-8)
    fewest = 2 if solver in ("sgd", "adam") else 1  # stochastic solvers need two epochs to compare
    assert model.n_iter_ <= max(iterations - 1, fewest)
    model.sparsify().fit(X, y)
    assert model.loss_curve_[0] <= 1.02 * value
    assert model.set_params(warm_start=False).fit(X, y).n_iter_ == iterations


def test_warm_start_refuses_what_it_cannot_go_on_from(two_classes, three_classes, regression):
    X, y = two_classes
    model = GDClassifier(warm_start=True).fit(X, y)
    coef = model.coef_
    with pytest.raises(ValueError, match="warm_start needs the classes"):
        model.fit(*three_classes)
    with pytest.raises(ValueError, match="warm_start needs the classes"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="The coefficients to go on from have the shape"):
        model.fit(X[:, :3], y)
    assert model.coef_ is coef
    X, y = regression
    model = GDRegressor(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="The coefficients to go on from have the shape"):
        model.fit(X, np.column_stack([y, y]))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_float32_columns_of_1e20_are_squared_in_float64(solver):
    """The solvers' estimates of curvature square the columns, and these squares exceed the range of float32."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(200, 3))
    y = (Z[:, 0] - Z[:, 1] + rng.logistic(size=200) > 0.0).astype(int)
    X = (Z * [1e20, 1.0, 1e-3]).astype(np.float32)
    fits = [
        GDClassifier(solver=solver, penalty=None, tol=None, max_iter=5, random_state=0).fit(A, y) for A in (X, sp.csr_matrix(X))
    ]
    assert fits[0].loss_curve_[-1] < fits[0].loss_curve_[0]
    assert_allclose(fits[1].loss_curve_, fits[0].loss_curve_, rtol=1e-6)


# ---------------------------------------------------------------- found by the random problems of test_fuzz.py
def test_l1_shrinks_coefficients_whose_rows_have_no_loss():
    """At the start, all rows are beyond their margins, so the loss has no curvature; the penalty still has to act."""
    n, alpha = 5, 0.01
    model = GDClassifier("squared_hinge", penalty="l1", alpha=alpha, fit_intercept=False, tol=1e-10)
    y = np.array([0, 1, 1, 0, 1])
    model.fit(np.diag(2.0 * y - 1.0), y, coef_init=np.full(n, 3.0))
    assert_allclose(model.coef_[0], 1.0 - 0.5 * alpha * n, rtol=1e-6)


@pytest.mark.parametrize("loss", ["quantile", "epsilon_insensitive"])
@pytest.mark.parametrize("factor", [1e-116, 1e-12, 1e100])
def test_non_smooth_losses_allow_targets_of_any_size(factor, loss, regression):
    X, y = regression
    parameters = {"penalty": None, "tol": 1e-6, "epsilon": 0.1} if loss != "quantile" else {"penalty": None, "tol": 1e-6}
    model = GDRegressor(loss, **parameters).fit(X, y)
    if loss != "quantile":
        parameters["epsilon"] *= factor
    scaled = GDRegressor(loss, **parameters).fit(X, y * factor)
    assert_allclose(scaled.loss_curve_[-1] / factor, model.loss_curve_[-1], rtol=1e-5)
    assert_allclose(scaled.predict(X) / factor, model.predict(X), rtol=1e-2, atol=0.05)


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
@unfinished
def test_the_steps_of_adam_scale_with_the_targets(loss, regression):
    X, y = regression
    parameters = {"solver": "adam", "alpha": 0.0, "max_iter": 20, "random_state": 0}
    model, scaled = (GDRegressor(loss, **parameters).fit(X, y * factor) for factor in (1.0, 1e10))
    assert_allclose(scaled.coef_, 1e10 * model.coef_, rtol=1e-5)


def test_an_intercept_that_float32_cannot_hold_warns(rng):
    Z = rng.normal(size=(40, 2))
    X = (1e3 * Z + 1e9).astype(np.float32)
    with pytest.warns(ConvergenceWarning, match="float32 holds the intercept"):
        GDRegressor().fit(X, Z[:, 0] + 0.01 * rng.normal(size=40))


def test_a_loss_of_accuracy_by_float32_is_reported(objective):
    """One row outweighs all others.  Rounding the intercept by 9e-5 made the objective 26 times its minimum."""
    y, weights, warned = np.array([0.0, 8.0, 3.0, 0.0]), np.array([1e-7, 1.0, 1e-7, 1e-7]), 0
    for seed in range(10):
        X = np.random.default_rng(seed).normal(-1e3, 1.5, size=(4, 3)).astype(np.float32)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = GDRegressor("poisson", alpha=1e-10).fit(X, y, weights)
        F = objective(model, X.astype(float), y, weights)
        assert caught or F <= model.loss_curve_[-1] * (1.0 + TOL) + 1e-6 * model.loss_curve_[0]
        warned += any("float32 holds the intercept" in str(warning.message) for warning in caught)
    assert warned > 0


def test_coefficients_below_the_normal_range_of_float32_warn():
    """Rounding to few digits left the objective 2.7 % above its minimum."""
    X, y = np.array([[0.12451606], [13.44368]], dtype=np.float32), np.array([-9.31937772e-44, 1.23526272e-41])
    model = GDRegressor("quantile", alpha=0.0, fit_intercept=False)
    with pytest.warns(ConvergenceWarning, match=r"float32 holds the coefficient 9\.19e-43 .* pass X as float64, or rescale y"):
        model.fit(X, y)
    model.fit(X, 1e42 * y)
    model.fit(X.astype(np.float64), y)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_columns_far_from_zero_keep_their_curvature_in_csr(storage):
    """CSR stores all entries of the column.  Sums of x^2 lost its variance, and the fit stopped above the minimum."""
    x, y = np.array([-17.4, 0.0, 0.3] + 14 * [0.0])[:, None], np.array([0, 0] + 15 * [1])
    near, far = (GDClassifier(alpha=0.0, tol=1e-6).fit(A, y) for A in (x, storage(x + 1e6)))
    assert_allclose(far.loss_curve_[-1], near.loss_curve_[-1], rtol=1e-5)


def test_float32_coefficients_are_rounded_around_the_means(rng):
    """Rounding the coefficients changes the mean score; the intercept compensates for this."""
    Z = rng.normal(size=(40, 2))
    X = (Z + 1e4).astype(np.float32)
    y = Z @ [1.0, -1.0] + 1e-3 * rng.normal(size=40)
    model, exact = GDRegressor(alpha=0.0).fit(X, y), GDRegressor(alpha=0.0).fit(X.astype(float), y)
    moved = np.mean(X.astype(float) @ (model.coef_.astype(float) - exact.coef_)) + model.intercept_ - exact.intercept_
    assert abs(moved) < 1e-6 * abs(exact.intercept_) + 1e-6


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_offset_columns_without_an_intercept_warn(spread, rng):
    X = rng.normal([1e6, 0.0, 1e6], [spread, 1.0, spread], size=(40, 3))
    with pytest.warns(ConvergenceWarning, match="Columns 0 and 2 of X vary by less"):
        GDRegressor(fit_intercept=False).fit(X, X[:, 0] - X[:, 2])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive"])
def test_slow_progress_is_not_taken_for_convergence(loss, solver, rng):
    """The target depends on differences of columns, which are a thousandth of the columns, so each epoch gains little."""
    X = rng.normal([0.0, -1e3, 0.0, -1e3, 0.0, -1e3], size=(53, 6))
    y = X[:, 1] - X[:, 3] + 0.1 * rng.normal(size=53)
    assert_near_minimum_or_warned(loss, solver, X, y)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_slow_progress_towards_nothing_is_not_taken_for_convergence(solver):
    """Two rows can be fitted exactly, but the first epochs gain only a tenth.  A non-smooth loss shows no curvature."""
    X = np.array([[-1000.0, -1000.0, -1000.0], [-999.2, -1000.0, -999.2]])
    assert_near_minimum_or_warned("epsilon_insensitive", solver, X, np.array([0.0, -2.0]))


def assert_near_minimum_or_warned(loss, solver, X, y):
    """A fit by sgd or adam ends near the minimum, or warns."""
    parameters = {"alpha": 1e-10, "epsilon": 0.2, "fit_intercept": False, "max_iter": 200, "random_state": 0}
    best = GDRegressor(loss, **parameters).fit(X, y).loss_curve_
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GDRegressor(loss, solver=solver, **parameters).fit(X, y)
    assert caught or model.loss_curve_[-1] <= best[-1] * (1.0 + 30 * TOL) + TOL * best[0]


@pytest.mark.parametrize("max_iter", [100, 200])
def test_slow_progress_at_non_smooth_points_is_reported(max_iter):
    """One of two rows has nearly no weight.  Each step gains a fiftieth of the remaining distance, with a new metric."""
    X, y, s = np.array([[0.126, -0.132], [0.105, -0.536]]), np.array([1.02, 0.67]), np.array([2.0, 1e-3])
    model = GDRegressor("epsilon_insensitive", epsilon=0.1, max_iter=max_iter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        F = model.fit(X, y, s).loss_curve_[-1]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        least = model.set_params(max_iter=10_000, tol=1e-9).fit(X, y, s).loss_curve_[-1]
    distance = float(re.search(r"about (\S+) \(relative\)", str(caught[0].message))[1]) if caught else TOL
    assert F <= least * (1.0 + 2.0 * distance)


def test_a_fit_does_not_stop_at_the_non_smooth_point_of_one_row():
    """At the start only one row shows curvature, so a model of the objective suggested that the fit had converged."""
    x, y, s = np.zeros(23), np.ones(23, int), np.linspace(0.5, 1.8, 23)
    x[[2, 17]], y[[8, 10, 13, 16, 17, 22]] = [-1.5, 0.04], 0
    model = GDClassifier("hinge", alpha=0.0).fit(x[:, None], y, s)
    # At the minimum, rows 2 and 17 have no loss, and the intercept minimises the loss of the other rows.
    others = np.where(y > 0, s, -s)[x == 0.0].sum(), s[(x == 0.0) & (y == 0)].sum()
    least = 2.0 * others[1] / s.sum()
    assert others[0] > 0.0
    assert_allclose(model.loss_curve_[-1], least, rtol=5 * TOL)


@pytest.mark.parametrize("target", [1e-17, 0.1, -1e17])
def test_constant_targets_set_the_unit_of_smoothing(target):
    """Without an intercept, the loss was smoothed over a width of 1, although the targets are 1e-17."""
    X, y = np.array([[1.0], [1.0], [3.0]]), np.full(3, target)
    curve = GDRegressor("quantile", alpha=0.0, fit_intercept=False).fit(X, y).loss_curve_
    assert_allclose(curve[-1], 0.5 * abs(target) * 4 / 9, rtol=TOL)  # the third row is fitted exactly
    assert max(curve) == curve[0]


def test_small_slopes_are_followed_to_the_end():
    """The columns are far from zero, and differences of a thousandth of their size separate the classes."""
    first = np.array([0.265, 1.318, -0.294, 0.85, -0.903, -0.834, -1.798, -0.802, -1.38, 0.907])
    second = np.array([-0.946, -1.313, -0.54, -0.749, -1.034, 1.178, 0.561, 0.328, 0.549, 0.775])
    X, y = np.column_stack([first, second, first]) - 1000.0, np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
    model = GDClassifier("squared_hinge", alpha=0.0, fit_intercept=False).fit(X, y)
    assert model.loss_curve_[-1] < 1e-9


def test_a_slope_that_is_only_rounding_is_not_followed():
    """Weights span eleven decades and one column occurs twice; the coefficients of these columns grew to 1e13."""
    X = np.array([[1, 1, 0], [2.762, 1, 0.56], [1, 0.957, -0.367], [1, 1, 0], [1, -0.871, 0], [1, 1.163, 0]])
    y, s = list("bacdab"), np.array([2.35e4, 9.09e-7, 39.4, 8.33e-4, 0.679, 0.0113])
    model = GDClassifier(alpha=0.0).fit(sp.csr_matrix(X[:, [0, 1, 2, 0]]), y, s)
    # All rows can be separated except the first and the fourth, which are equal.
    probabilities = s[[0, 3]] / s[[0, 3]].sum()
    least = -(s[[0, 3]] @ np.log(probabilities)) / s.sum()
    assert_allclose(model.loss_curve_[-1], least, rtol=5 * TOL)


def test_steps_are_not_too_short_where_a_loss_is_linear():
    """Two rows have slopes of opposite sign.  The curvature that the model assumed for them made the steps too short."""
    x, y, epsilon = np.array([-1000.8, -999.7]), np.array([-0.66, 0.26]), 0.07
    model = GDRegressor("epsilon_insensitive", epsilon=epsilon, alpha=0.0, fit_intercept=False).fit(x[:, None], y)
    kinks = np.concatenate([(y - epsilon) / x, (y + epsilon) / x])  # the objective is linear between these points
    values = np.maximum(np.abs(kinks[:, None] * x - y) - epsilon, 0.0).mean(axis=1)
    assert_allclose(model.loss_curve_[-1], values.min(), rtol=TOL)


@pytest.mark.parametrize("seed", range(3))
def test_rows_far_from_the_quadratic_part_of_the_huber_loss_are_fitted(seed):
    """There are more columns than rows, so all rows can be fitted; columns have an offset and some weights are small."""
    X = np.random.default_rng(seed).standard_t(2.0, size=(7, 70)) - 1e3
    y, s = np.array([5.0, -2.0, 19.0, -14.0, 1.0, 29.0, -31.0]), np.array([0.16, 0.18, 3e-3, 2e-4, 1.0, 0.05, 2e-4])
    model = GDRegressor("huber", epsilon=3.0, alpha=0.0, fit_intercept=False).fit(X, y, s)
    assert model.loss_curve_[-1] < TOL * model.loss_curve_[0]
    assert np.abs(model.predict(X) - y).max() < 3.0
