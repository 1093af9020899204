"""ONNX models give the labels and, to the rounding of float32, the probabilities of the estimators."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgd.onnx
from skgd import GDClassifier, GDRegressor
from skgd.losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed: pip install skgd[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install skgd[onnx]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(autouse=True)
def _registered():
    skgd.onnx.register()


def run(model, X, options=None):
    options = None if options is None else {id(model): options}
    proto = skl2onnx.to_onnx(model, X[:1], options=options)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})


DATA = {"two classes": load_breast_cancer, "three classes": load_wine, "ten classes": load_digits}


@pytest.mark.parametrize("loss", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("name", ["two classes", "three classes"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_classifiers(dtype, name, loss):
    X, y = DATA[name](return_X_y=True)
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(dtype)
    model = GDClassifier(loss, alpha=1e-2).fit(X, y)
    labels, values = run(model, X, {"zipmap": False})
    assert_array_equal(labels, model.predict(X))
    if hasattr(model, "predict_proba"):
        assert_allclose(values, model.predict_proba(X), atol=1e-5)
        values = run(model, X, {"zipmap": False, "raw_scores": True})[1]
    scores = model.decision_function(X)
    expected = np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
    assert_allclose(values, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("targets", [1, 2])
def test_regressors(targets, loss):
    X, y = load_diabetes(return_X_y=True)
    X = (X / X.std(axis=0)).astype(np.float32)
    y = y / 100.0
    model = GDRegressor(loss, alpha=1e-2).fit(X, y if targets == 1 else np.column_stack([y, 2.0 * y]))
    (found,) = run(model, X)
    expected = model.predict(X).reshape(len(X), -1)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_names_pipelines_and_maps():
    X, y = load_wine(return_X_y=True)
    X = X.astype(np.float32)
    names = np.array(["red", "white", "rosé"])[y]
    pipeline = make_pipeline(StandardScaler(), GDClassifier()).fit(X, names)
    labels, maps = run(pipeline, X)
    assert_array_equal(labels, pipeline.predict(X))
    assert maps[0].keys() == set(names)
    assert_allclose([row["red"] for row in maps], pipeline.predict_proba(X)[:, 0], atol=1e-5)


def test_many_classes_and_sparse_coefficients():
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    model = GDClassifier(penalty="l1", alpha=1e-2).fit(X, y).sparsify()
    labels, P = run(model, X, {"zipmap": False})
    assert_array_equal(labels, model.predict(X))
    assert_allclose(P, model.predict_proba(X), atol=1e-5)
    assert sp.issparse(model.coef_)


def test_integers_are_refused():
    X, y = load_wine(return_X_y=True)
    model = GDClassifier().fit(X, y)
    with pytest.raises(ValueError, match="has to be of float32 or float64"):
        run(model, X.astype(np.int64))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'skgd\[onnx\]'"):
        skgd.onnx.register()
