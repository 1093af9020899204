"""A folded pipeline predicts what the pipeline predicts."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
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
