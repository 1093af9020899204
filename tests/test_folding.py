"""A folded pipeline predicts what the pipeline predicts."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC, LinearSVR

from skgd import GDClassifier, GDRegressor, fold

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
STEPS = {
    "standard": StandardScaler(),
    "standard, no mean": StandardScaler(with_mean=False),
    "standard, no scale": StandardScaler(with_std=False),
    "min and max": MinMaxScaler((-1.0, 3.0)),
    "largest": MaxAbsScaler(),
    "robust": RobustScaler(),
    "robust, no centre": RobustScaler(with_centering=False),
    "pca": PCA(4),
    "whitened": PCA(3, whiten=True),
    "svd": TruncatedSVD(4),
    "variance": VarianceThreshold(0.5),
    "best": SelectKBest(f_classif, k=3),
    "from a model": SelectFromModel(LogisticRegression()),
    "recursive": RFE(Ridge(), n_features_to_select=3),
    "nothing": "passthrough",
}
MODELS = [
    GDClassifier(), GDClassifier("hinge"), GDRegressor(), LogisticRegression(), RidgeClassifier(), LinearSVC(),
    SGDClassifier(random_state=0), Ridge(), LinearRegression(fit_intercept=False), ElasticNet(), LinearSVR(),
    SGDRegressor(random_state=0), PoissonRegressor(),
]  # fmt: skip


def assert_same_predictions(folded, pipeline, X):
    method = "decision_function" if hasattr(pipeline, "decision_function") else "predict"
    expected = getattr(pipeline, method)(X)
    size = np.abs(expected).max()
    assert_allclose(getattr(folded, method)(X), expected, rtol=1e-8, atol=1e-9 * max(size, 1.0))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_step_folds(step, classes, two_classes, three_classes):
    X, y = two_classes if classes == 2 else three_classes
    pipeline = Pipeline([("step", STEPS[step]), ("model", GDClassifier())]).fit(X, y)
    folded = fold(pipeline)
    assert_same_predictions(folded, pipeline, X)
    assert_array_equal(folded.predict(X), pipeline.predict(X))
    assert_allclose(folded.predict_proba(X), pipeline.predict_proba(X), atol=1e-9)
    assert folded.n_features_in_ == 6


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_every_linear_model_folds(model, two_classes):
    X, y = two_classes
    pipeline = make_pipeline(StandardScaler(), PCA(4), model).fit(X, y)
    folded = fold(pipeline)
    assert_same_predictions(folded, pipeline, X)
    assert np.shape(folded.coef_) == (*np.shape(pipeline[-1].coef_)[:-1], 6)
    assert np.shape(folded.intercept_) == np.shape(pipeline[-1].intercept_)
    assert type(folded) is type(model)


@pytest.mark.parametrize("seed", range(12))
def test_random_compositions_fold(seed, three_classes):
    X, y = three_classes
    rng = np.random.default_rng(seed)
    chosen = rng.choice([name for name in STEPS if name not in ("from a model", "variance")], 3, replace=False)
    inner = make_pipeline(
        *(STEPS[name] for name in chosen if "pca" not in name and "svd" not in name and name != "whitened"), "passthrough"
    )
    pipeline = make_pipeline(StandardScaler(), inner, PCA(2), GDRegressor()).fit(X, y)
    assert_same_predictions(fold(pipeline), pipeline, X)


def test_names_and_dtypes_are_those_of_the_pipeline(two_classes):
    X, y = two_classes
    frame = pd.DataFrame(X, columns=list("abcdef"))
    pipeline = make_pipeline(StandardScaler(), SelectKBest(k=3), GDClassifier()).fit(frame, y)
    folded = fold(pipeline)
    assert_array_equal(folded.feature_names_in_, frame.columns)
    assert_array_equal(folded.predict(frame), pipeline.predict(frame))
    narrow = fold(make_pipeline(StandardScaler(), GDClassifier()).fit(X.astype(np.float32), y))
    assert narrow.coef_.dtype == np.float32


def test_sparse_coefficients_and_the_pipeline_itself(two_classes):
    X, y = two_classes
    pipeline = make_pipeline(StandardScaler(), GDClassifier(penalty="l1", alpha=0.05)).fit(X, y)
    before = pipeline.predict(X)
    pipeline[-1].sparsify()
    assert_same_predictions(fold(pipeline), pipeline, X)
    assert_array_equal(pipeline.predict(X), before)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([("fill", SimpleImputer()), ("model", GDClassifier())], "Step 'fill', SimpleImputer, is not one of the affine steps"),
        ([("powers", PolynomialFeatures()), ("model", GDClassifier())], "Step 'powers', PolynomialFeatures"),
        ([("scale", MinMaxScaler(clip=True)), ("model", GDClassifier())], "Step 'scale', MinMaxScaler, clips"),
        ([("scale", StandardScaler()), ("model", KNeighborsClassifier())], "Step 'model', KNeighborsClassifier, is no linear"),
        ([("scale", StandardScaler()), ("model", SVC(kernel="linear"))], "Step 'model', SVC, is no linear model"),
    ],
)
def test_what_does_not_fold_is_named(steps, message, two_classes):
    pipeline = Pipeline(steps).fit(*two_classes)
    with pytest.raises(ValueError, match=message):
        fold(pipeline)


def test_only_fitted_pipelines_fold():
    with pytest.raises(NotFittedError):
        fold(make_pipeline(StandardScaler(), GDClassifier()))


# ---------------------------------------------------------------- learning on
def stream(n, seed):
    """Raw columns that are correlated and have several scales, with labels."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 6)) + rng.normal(size=(n, 1))
    return Z * np.logspace(-2.0, 3.0, 6) + 50.0, (Z @ [1.0, -2.0, 1.0, 0.5, 0.0, 2.0] + rng.logistic(size=n) > 0.0).astype(int)


@pytest.mark.parametrize("online", [False, True], ids=["after a fit", "after a stream"])
@pytest.mark.parametrize("solver", ["auto", "adam"])
@pytest.mark.parametrize(
    "steps",
    [
        ["standard"],
        ["robust", "min and max", "nothing"],
        ["standard", "pca"],
        ["whitened"],
        ["best", "standard"],
        ["standard", "svd"],
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("size", [1, 40])
def test_a_folded_model_learns_on_as_one_that_was_fitted_there(size, steps, solver, online):
    X, y = stream(800, seed=0)
    late, labels = stream(400, seed=1)
    fitted = GDClassifier(solver=solver, random_state=0).fit(X, y)
    pipeline = make_pipeline(*(clone(STEPS[step], safe=False) for step in steps), clone(fitted)).fit(X, y)
    if online:
        pipeline[-1].partial_fit(pipeline[:-1].transform(X[:100]), y[:100])
    folded = fold(pipeline)
    coef = folded.coef_.copy()
    for first in range(0, 400, size):
        for model in (folded, fitted):
            model.partial_fit(late[first : first + size], labels[first : first + size])
    assert folded.score(late, labels) > fitted.score(late, labels) - 0.03
    assert folded.coef_.shape == (1, 6)
    assert not np.array_equal(folded.coef_, coef)


@pytest.mark.parametrize("step", ["standard", "standard, no mean", "robust", "min and max", "largest"])
def test_scalers_hand_on_what_is_known_of_the_columns(step):
    """So steps on raw columns are the steps of a model that was fitted to these columns."""
    X, y = stream(800, seed=0)
    late, labels = stream(100, seed=1)
    folded = fold(make_pipeline(clone(STEPS[step]), GDClassifier(penalty=None, tol=1e-12)).fit(X, y))
    fitted = GDClassifier(penalty=None, tol=1e-12).fit(X, y)
    for first in range(0, 100, 5):
        for model in (folded, fitted):
            model.partial_fit(late[first : first + 5], labels[first : first + 5])
    assert_allclose(folded.coef_, fitted.coef_, rtol=1e-4)


def test_an_intercept_that_steps_made_is_learned_on():
    X, _ = stream(400, seed=0)
    y = X[:, 4] - X[:, 4].mean()
    pipeline = make_pipeline(StandardScaler(), GDRegressor(fit_intercept=False, tol=1e-12)).fit(X, y)
    folded = fold(pipeline)
    folded.partial_fit(X[:40], y[:40])
    assert_allclose(folded.predict(X), y, atol=1e-2 * y.std())


def test_columns_that_have_not_varied_keep_their_effect():
    """After a single row no deviation is known."""
    X, _ = stream(800, seed=0)
    folded = fold(make_pipeline(TruncatedSVD(5), GDRegressor(tol=1e-12)).fit(X, X[:, 4]))
    expected = folded.predict(X)
    folded.partial_fit(X[:1], X[:1, 4])
    assert np.abs(folded.predict(X) - expected).max() < 0.1 * expected.std()
