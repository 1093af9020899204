"""The estimators in scikit-learn's tools: pipelines, searches, ensembles, feature selection, and memory maps of joblib."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from problems import since
from scipy.stats import loguniform
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, StackingRegressor, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # makes HalvingRandomSearchCV importable
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import RFECV, SelectFromModel
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.data.kernels import loss_sums, moments
from skgd.solvers.stochastic_steps import stochastic_steps

SOLVERS = ["auto", "gd", "sgd", "adam"]
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---------------------------------------------------------------- pipelines
def test_pipeline_finds_the_same_model_with_and_without_a_scaler(two_classes):
    X, y = two_classes
    scaled = make_pipeline(StandardScaler(), GDClassifier(penalty=None, tol=1e-10)).fit(X, y)
    raw = GDClassifier(penalty=None, tol=1e-10).fit(X, y)
    assert_allclose(scaled.predict_proba(X), raw.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame,
        pytest.param(pl.DataFrame, marks=since("1.8", "ColumnTransformer passes columns of polars through")),
    ],
)
def test_columns_of_strings_and_numbers(frame, rng):
    colour = rng.choice(["red", "green", "blue"], 200)
    size, price = rng.normal(size=200), 1e4 * rng.lognormal(size=200)
    X = frame({"colour": colour.tolist(), "size": size.tolist(), "price": price.tolist()})
    labels = np.where(2.0 * (colour == "red") + size + rng.logistic(size=200) > 1.0, "buy", "leave")
    table = ColumnTransformer([("one-hot", OneHotEncoder(), ["colour"])], remainder="passthrough")
    model = make_pipeline(table, GDClassifier(alpha=1e-2, tol=1e-10)).fit(X, labels)
    A = table.fit_transform(X)
    A = A.toarray() if sp.issparse(A) else A
    expected = LogisticRegression(C=1 / (1e-2 * 200), solver="newton-cholesky", tol=1e-12).fit(A, labels)
    assert_allclose(model.predict_proba(X), expected.predict_proba(A), atol=1e-5)
    assert_array_equal(model.classes_, ["buy", "leave"])


def test_text_in_a_pipeline():
    texts = ["good film", "good plot, good cast", "a good one", "bad film", "bad plot, bad cast", "a bad one"] * 5
    labels = (["+"] * 3 + ["-"] * 3) * 5
    model = make_pipeline(TfidfVectorizer(), GDClassifier()).fit(texts, labels)
    assert_array_equal(model.predict(["good", "bad"]), ["+", "-"])
    assert sp.issparse(model[:-1].transform(texts))


def test_output_names_pass_through_a_pipeline(regression):
    X, y = regression
    model = make_pipeline(StandardScaler(), GDRegressor()).set_output(transform="pandas")
    model.fit(pd.DataFrame(X, columns=list("abcdef")), y)
    assert_array_equal(model[-1].feature_names_in_, list("abcdef"))


def test_transformed_targets(regression):
    X, y = regression
    model = TransformedTargetRegressor(GDRegressor(), func=np.arcsinh, inverse_func=np.sinh).fit(X, y)
    assert_allclose(model.predict(X), np.sinh(GDRegressor().fit(X, np.arcsinh(y)).predict(X)))


# ---------------------------------------------------------------- searches and validation
def test_grid_search_in_two_processes(two_classes):
    X, y = two_classes
    grid = {"gdclassifier__alpha": [1e-4, 1e-2, 10.0], "gdclassifier__penalty": ["l2", "l1"]}
    searches = [
        GridSearchCV(make_pipeline(StandardScaler(), GDClassifier()), grid, n_jobs=jobs, cv=3, scoring="neg_log_loss").fit(X, y)
        for jobs in (1, 2)
    ]
    for name in ("mean_test_score", "std_test_score"):  # scores may differ by rounding, as BLAS computes them
        assert_allclose(searches[0].cv_results_[name], searches[1].cv_results_[name], rtol=1e-12)
    assert_array_equal(*(search.best_estimator_[-1].coef_ for search in searches))
    assert searches[0].best_params_ == searches[1].best_params_
    assert searches[0].best_params_["gdclassifier__alpha"] < 10.0


def test_halving_random_search(regression):
    X, y = regression
    model, space = make_pipeline(StandardScaler(), GDRegressor()), {"gdregressor__alpha": loguniform(1e-6, 1e3)}
    search = HalvingRandomSearchCV(model, space, n_candidates=9, min_resources=40, cv=3, random_state=0).fit(X, y)
    assert search.n_iterations_ >= 2
    assert search.best_params_["gdregressor__alpha"] < 1.0
    assert search.score(X, y) > 0.7


def test_cross_validated_predictions(three_classes, regression):
    X, y = three_classes
    P = cross_val_predict(GDClassifier(), X, y, cv=4, method="predict_proba")
    assert P.shape == (len(y), 3)
    assert (P.argmax(axis=1) == y).mean() > 0.6
    X, y = regression
    assert cross_val_score(GDRegressor(), X, y, cv=4).min() > 0.5


# ---------------------------------------------------------------- ensembles
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method, two_classes):
    X, y = two_classes
    P = CalibratedClassifierCV(GDClassifier(), method=method, cv=3).fit(X, y).predict_proba(X)
    assert_allclose(P.sum(axis=1), 1.0)
    assert abs(P[:, 1].mean() - y.mean()) < 0.05


def test_soft_votes_are_mean_probabilities(three_classes):
    X, y = three_classes
    labels = np.array(["a", "b", "c"])[y]
    models = [("weak", GDClassifier(alpha=1e-4)), ("strong", GDClassifier(alpha=1.0))]
    vote = VotingClassifier(models, voting="soft").fit(X, labels)
    expected = np.mean([model.fit(X, labels).predict_proba(X) for _, model in models], axis=0)
    assert_allclose(vote.predict_proba(X), expected, rtol=1e-12)


def test_bagging(two_classes, regression):
    X, y = two_classes
    bag = BaggingClassifier(GDClassifier(), n_estimators=4, max_features=0.7, random_state=0, n_jobs=2).fit(X, y)
    assert bag.score(X, y) > 0.65
    X, y = regression
    assert BaggingRegressor(GDRegressor(), n_estimators=4, random_state=0).fit(X, y).score(X, y) > 0.7


def test_stacking(regression):
    X, y = regression
    stack = StackingRegressor([("line", GDRegressor()), ("huber", GDRegressor("huber"))], GDRegressor(), cv=3)
    assert stack.fit(X, y).score(X, y) > 0.7


# ---------------------------------------------------------------- selection and inspection
def test_recursive_elimination_keeps_the_columns_that_matter(rng):
    X = rng.normal(size=(150, 8))
    y = (4.0 * X[:, 2] - 4.0 * X[:, 5] + rng.logistic(size=150) > 0).astype(int)
    assert RFECV(GDClassifier(), cv=3, scoring="neg_log_loss").fit(X, y).support_[[2, 5]].all()


def test_selection_by_exact_zeros(rng):
    X = rng.normal(size=(150, 8))
    y = 3.0 * X[:, 2] - 3.0 * X[:, 5] + 0.1 * rng.normal(size=150)
    selector = SelectFromModel(GDRegressor(penalty="l1", alpha=0.5)).fit(X, y)
    assert_array_equal(np.flatnonzero(selector.get_support()), [2, 5])
    assert selector.transform(X).shape == (150, 2)


def test_permutation_importance(rng):
    X = rng.normal(size=(150, 4))
    model = GDRegressor().fit(X, 3.0 * X[:, 1] + X[:, 3])
    importances = permutation_importance(model, X, 3.0 * X[:, 1] + X[:, 3], random_state=0).importances_mean
    assert_array_equal(np.argsort(importances)[::-1][:2], [1, 3])
    assert_allclose(importances[[0, 2]], 0.0, atol=1e-3)


def test_two_targets_equal_two_regressors(regression):
    X, y = regression
    Y = np.column_stack([y, X[:, 4] - y])
    both = GDRegressor(tol=1e-10).fit(X, Y)
    each = MultiOutputRegressor(GDRegressor(tol=1e-10)).fit(X, Y)
    assert_allclose(both.predict(X), each.predict(X), rtol=1e-6, atol=1e-6)


def test_polynomial_features_of_raw_columns(regression):
    """The columns have scales from 1e-4 to 1e4 and are nearly collinear; the fit converges without a warning."""
    X, y = regression
    model = make_pipeline(PolynomialFeatures(2, include_bias=False), GDRegressor()).fit(X, y)
    assert model.score(X, y) >= GDRegressor().fit(X, y).score(X, y)


# ---------------------------------------------------------------- memory maps
def _mapped(array, folder, name):
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def _stored(X, y, weights, storage, folder):
    """Read-only memory maps of X, y and the weights."""
    if storage == "dense":
        return _mapped(X, folder, "X"), _mapped(y, folder, "y"), _mapped(weights, folder, "s")
    joblib.dump((sp.csr_matrix(X), y, weights), folder / "data.joblib")
    return joblib.load(folder / "data.joblib", mmap_mode="r")


@unfinished
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("data", ["regression", "two_classes", "three_classes"])
def test_read_only_memory_maps(data, storage, solver, request, rng, tmp_path):
    """Memory maps give the same bits as arrays in memory, and no kernel is compiled for them."""
    X, y = request.getfixturevalue(data)
    weights = rng.uniform(0.5, 2.0, len(y))
    model = (GDRegressor if data == "regression" else GDClassifier)(solver=solver, max_iter=3, random_state=0)
    ours = X if storage == "dense" else sp.csr_matrix(X)
    expected = model.fit(ours, y, weights)
    coef, predictions = expected.coef_, expected.predict(ours)
    compiled = [len(kernel.signatures) for kernel in (moments, loss_sums, stochastic_steps)]

    X_mapped, y_mapped, s_mapped = _stored(X, y, weights, storage, tmp_path)
    assert not (X_mapped if storage == "dense" else X_mapped.data).flags.writeable
    assert not y_mapped.flags.writeable
    model.fit(X_mapped, y_mapped, s_mapped)
    assert_array_equal(model.coef_, coef)
    assert_array_equal(model.predict(X_mapped), predictions)
    assert compiled == [len(kernel.signatures) for kernel in (moments, loss_sums, stochastic_steps)]


def test_models_on_memory_maps_predict(three_classes, tmp_path):
    """A model that joblib loads as a memory map has read-only coefficients; it can predict and be fitted again."""
    X, y = three_classes
    model = GDClassifier(warm_start=True).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert not mapped.coef_.flags.writeable
    assert_array_equal(mapped.predict_proba(X), model.predict_proba(X))
    assert mapped.fit(X, y).n_iter_ <= model.n_iter_
