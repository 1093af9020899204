"""Prediction: the scores of NumPy, the same bits with and without validation, and scikit-learn's errors for unusual input."""

import pickle
import tempfile
import tracemalloc
import warnings

import hypothesis
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from skgd import GDClassifier, GDRegressor
from skgd.prediction.scores import SCORES, blocks_of, fast_scores, probabilities, scores

hypothesis.settings.register_profile("skgd", deadline=None, max_examples=100, derandomize=True)
hypothesis.settings.load_profile("skgd")
DTYPES = [np.float32, np.float64]


def model_of(coef, intercept, loss="log_loss"):
    """A classifier with given coefficients (K, d)."""
    model = GDClassifier(loss)
    model.coef_, model.intercept_ = coef, intercept
    model.n_features_in_ = coef.shape[1]
    model.classes_ = np.arange(max(2, len(coef)))
    return model


def careful(model, X):
    """The slow way: validation, then NumPy in float64."""
    X = validate_data(model, X, accept_sparse="csr", dtype=DTYPES[::-1], reset=False)
    X = X.toarray() if sp.issparse(X) else X
    return X.astype(np.float64) @ model.coef_.T.astype(np.float64) + model.intercept_


shapes = st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(1, 9))
seeds = st.integers(0, 10**6)


def problem(shape, seed, dtype=np.float64, coef_dtype=np.float64):
    (n, d, K), rng = shape, np.random.default_rng(seed)
    model = model_of(rng.normal(size=(K, d)).astype(coef_dtype), rng.normal(size=K).astype(coef_dtype))
    return model, rng.normal(size=(n, d)).astype(dtype), rng


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "subclass": lambda X: X.view(type("Sub", (np.ndarray,), {})),
    "read-only": lambda X: pickle.loads(pickle.dumps(X)).view(),
    "unaligned": lambda X: _unaligned(X),
    "memory map": lambda X: _on_disk(X),
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "list": lambda X: X.tolist(),
}


def _on_disk(X):
    with tempfile.TemporaryFile() as file:
        X.tofile(file)
        file.flush()
        return np.memmap(file, X.dtype, "r", shape=X.shape)


def _unaligned(X):
    room = np.empty(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    room[:] = X
    return room


@given(shapes, seeds, st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(sorted(LAYOUTS)))
def test_every_layout_gives_the_same_bits(shape, seed, dtype, coef_dtype, layout):
    model, X, _ = problem(shape, seed, dtype, coef_dtype)
    expected = model.decision_function(X)
    assert expected.dtype == np.result_type(dtype, coef_dtype)
    reference = careful(model, X)
    tolerance = 1e-12 if expected.dtype == np.float64 else 1e-5
    assert_allclose(expected.reshape(reference.shape), reference, rtol=tolerance, atol=tolerance)
    stored = LAYOUTS[layout](X)
    if layout == "read-only":
        stored.flags.writeable = False
    found = model.decision_function(stored)
    if layout not in ("list", "big-endian") or dtype == np.float64:  # which are converted to float64
        assert_array_equal(found, expected)
    assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@given(shapes, seeds, st.sampled_from(DTYPES), st.booleans())
def test_a_row_alone_is_a_row_among_many(shape, seed, dtype, sparse):
    model, X, rng = problem(shape, seed, dtype)
    X = X * (rng.random(X.shape) < 0.5) if sparse else X
    stored = sp.csr_array(X) if sparse else X
    row = int(rng.integers(len(X)))
    for method in (model.decision_function, model.predict, model.predict_proba):
        assert_array_equal(method(stored[row : row + 1]), method(stored)[row : row + 1])


@given(shapes, seeds, st.sampled_from([np.nan, np.inf, -np.inf]), st.sampled_from(DTYPES), st.booleans(), st.booleans())
def test_what_is_not_finite_is_named(shape, seed, value, dtype, zero, sparse):
    """Also where the coefficient of the column is zero, and where two infinities cancel."""
    model, X, rng = problem(shape, seed, dtype)
    i, j = int(rng.integers(len(X))), int(rng.integers(X.shape[1]))
    X[i, j] = value
    if zero:
        model.coef_[:, j] = 0.0
    with pytest.raises(ValueError, match="NaN" if np.isnan(value) else "infinity"):
        model.predict(sp.csr_matrix(X) if sparse else X)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of scikit-learn's search for them
def test_infinities_that_cancel_are_found():
    with pytest.raises(ValueError, match="infinity"):
        model_of(np.ones((1, 2)), np.zeros(1)).predict(np.array([[np.inf, -np.inf]]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_that_overflow_are_no_error(dtype):
    largest = np.finfo(dtype).max
    X = np.full((1, 2), largest, dtype)
    found = model_of(np.full((1, 2), 2.0, dtype), np.zeros(1, dtype)).decision_function(X)
    assert_array_equal(found, [np.inf])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("K", [1, 7])
def test_threads_do_not_change_a_bit(K, sparse, rng):
    model, X, _ = problem((40_000 // K, 40, K), 0)
    X = sp.random(200_000 // K, 40, density=0.3, format="csr", random_state=0) if sparse else X
    model.n_jobs = 1
    expected = model.decision_function(X)
    for n_jobs in (2, None, -1):
        model.n_jobs = n_jobs
        assert_array_equal(model.decision_function(X), expected)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("K", [1, 3])
def test_labels_of_very_many_rows_keep_few_scores(K, sparse, rng):
    """Labels of many rows are predicted in blocks of rows, and are the same; so are those of a frame."""
    model, _, _ = problem((1, 2, K), 0)
    X = rng.normal(size=(SCORES + 5, 2))
    stored = sp.csr_matrix(X) if sparse else X
    assert len(blocks_of(model, stored)) > 1
    scores = model.decision_function(stored)
    expected = (scores > 0).astype(int) if K == 1 else scores.argmax(axis=1)
    tracemalloc.start()
    found = model.predict(stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_array_equal(found, expected)
    assert peak < found.nbytes + 5 * 8 * SCORES
    assert len(blocks_of(model, X[:1000])) == len(blocks_of(model, X.tolist()[:1])) == len(blocks_of(GDClassifier(), X)) == 1


# ---------------------------------------------------------------- which road
def test_usual_rows_take_the_fast_road(two_classes):
    X, y = two_classes
    model = GDClassifier().fit(X, y)
    for stored in (X, X.astype(np.float32), X[3:4], sp.csr_matrix(X), sp.csr_array(X)):
        assert_array_equal(fast_scores(model, stored), scores(stored, model.coef_, model.intercept_, None)[0])


def test_anything_unusual_does_not(two_classes):
    X, y = two_classes
    model = GDClassifier().fit(X, y)
    unusual = [
        X[:, :5], X[0], X[None], X[:0], X.astype(int), X.astype(object), X.tolist(), np.asfortranarray(X), np.ma.array(X),
        pd.DataFrame(X), sp.csc_matrix(X), sp.coo_array(X), "X", None, X.astype(complex), X.astype(np.float16),
    ]  # fmt: skip
    for stored in unusual:
        assert fast_scores(model, stored) is None
    assert fast_scores(GDClassifier(), X) is None
    assert fast_scores(GDClassifier().fit(pd.DataFrame(X, columns=list("abcdef")), y), X) is None
    assert fast_scores(GDClassifier().fit(X, y).sparsify(), X) is None


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda X: X[:, :5], ValueError, "5 features, but GDClassifier is expecting 6"),
        (lambda X: X[0], ValueError, "Expected 2D array, got 1D array"),
        (lambda X: X[:0], ValueError, "Found array with 0 sample"),
        (lambda X: X[None], ValueError, "dim 3"),
        (lambda X: np.full(X.shape, "a"), ValueError, "could not convert string"),
        (lambda X: X.astype(complex), ValueError, "Complex data"),
        (lambda X: None, ValueError, "Expected 2D array"),
    ],
)
def test_errors_are_those_of_scikit_learn(spoil, error, message, two_classes):
    X, y = two_classes
    model = GDClassifier().fit(X, y)
    with pytest.raises(error, match=message):
        model.predict(spoil(X))


def test_the_unfitted_say_so(two_classes):
    for method in ("predict", "decision_function", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(GDClassifier(), method)(two_classes[0])


def test_missing_names_warn(two_classes):
    X, y = two_classes
    model = GDClassifier().fit(pd.DataFrame(X, columns=list("abcdef")), y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(pd.DataFrame(X, columns=list("abcdef")))


# ---------------------------------------------------------------- models that were touched
def test_coefficients_may_change_after_the_fit(two_classes):
    X, y = two_classes
    model = GDClassifier().fit(X, y)
    model.coef_[0, 0] = 0.0
    assert_allclose(model.decision_function(X), X @ model.coef_[0] + model.intercept_)
    model.coef_ = np.asfortranarray(np.vstack([model.coef_, model.coef_]))[:1]
    model.intercept_ = model.intercept_.astype(np.float32)
    assert_allclose(model.decision_function(X), X @ model.coef_[0] + model.intercept_, rtol=1e-6)
    model.intercept_ = 0.5
    assert_allclose(model.decision_function(X), X @ model.coef_[0] + 0.5)
    model.coef_.flags.writeable = False
    assert_allclose(pickle.loads(pickle.dumps(model)).decision_function(X), X @ model.coef_[0] + 0.5)
    model.coef_ = np.ones((1, 3))
    with pytest.raises(ValueError, match="X has 6 features, but coef_ has 3"):
        model.decision_function(X)


def test_subclasses_may_score_otherwise(two_classes):
    class Contrary(GDClassifier):
        def decision_function(self, X):
            return -super().decision_function(X)

    X, y = two_classes
    assert_array_equal(Contrary().fit(X, y).predict(X), 1 - GDClassifier().fit(X, y).predict(X))


def test_sparse_coefficients_score_alike(three_classes):
    X, y = three_classes
    model = GDClassifier(penalty="l1", alpha=0.05).fit(X, y)
    expected = model.decision_function(X)
    assert_allclose(model.sparsify().decision_function(X), expected, rtol=1e-12)
    assert_allclose(model.decision_function(sp.csr_matrix(X)), expected, rtol=1e-12)


def test_regressors_predict_alike(regression):
    X, y = regression
    model = GDRegressor().fit(X, y)
    assert model.predict(X).shape == (len(y),)
    assert_array_equal(model.predict(X[5:6]), model.predict(X)[5:6])
    two = GDRegressor().fit(X, np.column_stack([y, -y]))
    assert_allclose(two.predict(X), X @ two.coef_.T + two.intercept_)


# ---------------------------------------------------------------- probabilities
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [1, 2, 5])
def test_probabilities_are_softmax(K, dtype, rng):
    Z = (20.0 * rng.normal(size=(200, K))).astype(dtype)
    P = probabilities(Z)
    expected = softmax(np.column_stack([np.zeros(200), Z]) if K == 1 else Z.astype(float), axis=1)
    assert P.dtype == dtype
    assert_allclose(P, expected, rtol=1e-13 if dtype == np.float64 else 2e-6, atol=1e-30)
    assert_allclose(P.sum(axis=1), 1.0, rtol=1e-6)


def test_probabilities_of_infinite_scores():
    assert_array_equal(probabilities(np.array([[np.inf], [-np.inf], [800.0], [-800.0]]))[:, 1], [1.0, 0.0, 1.0, 0.0])
    assert_array_equal(probabilities(np.array([[0.0, -np.inf, -900.0]])), [[1.0, 0.0, 0.0]])
