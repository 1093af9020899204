"""Pickles hold names of classes and arrays, and nothing that is compiled; skops has to trust the estimator alone."""

import pickle
import pickletools
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

import skgd
from skgd import GDClassifier, GDRegressor

MODELS = {
    "newton": GDClassifier(),
    "sgd, warm": GDClassifier(solver="sgd", warm_start=True, random_state=0),
    "early stopping": GDClassifier("hinge", early_stopping=True, random_state=0),
    "several targets": GDRegressor(),
    "online": GDClassifier(),
}


@pytest.fixture(params=MODELS)
def fitted(request, two_classes):
    X, y = two_classes
    model = MODELS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "online":
            return model.partial_fit(X, y, classes=[0, 1]), X
        return model.fit(X, np.column_stack([y, -y]) if request.param == "several targets" else y), X


def test_pickles_hold_no_compiled_code(fitted):
    """They name classes of this package, of NumPy and of the standard library, but no struct of a loss and no kernel."""
    model, X = fitted
    stream = pickle.dumps(model)
    strings = {argument for _, argument, _ in pickletools.genops(stream) if isinstance(argument, str)}
    modules = {text for text in strings if text.startswith(("skgd", "numba", "llvmlite", "sklearn", "scipy"))}
    assert modules <= {
        f"skgd.estimators.{'regressor' if isinstance(model, GDRegressor) else 'classifier'}",
        "skgd.streaming.online",
        "skgd.streaming.newton_learners",
        "skgd.streaming.rule_steps",
        "skgd.streaming.moments",
        "skgd.fit_cache",
        "skgd.coordinates",
    }
    assert_array_equal(pickle.loads(stream).predict(X), model.predict(X))


def test_skops_trusts_the_estimator_alone(fitted):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    model, X = fitted
    stored = skops.dumps(model)
    names = skops.get_untrusted_types(data=stored)
    own = f"{type(model).__module__}.{type(model).__name__}"
    resumable = hasattr(model, "_online") or hasattr(model, "_fit_cache")
    assert names == [own] if not resumable else own in names and all(name.startswith("skgd.") for name in names)
    assert_array_equal(skops.loads(stored, trusted=names).predict(X), model.predict(X))


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("pickles/*.pkl")), ids=lambda path: path.stem)
def test_models_of_every_version_predict_and_learn_on(path):
    """tests/pickles/write.py wrote them."""
    X, y = load_iris(return_X_y=True)
    for model, predicted in pickle.loads(path.read_bytes()).values():
        np.testing.assert_allclose(model.predict(X), predicted, rtol=1e-10)
        if hasattr(model, "_online"):
            model.partial_fit(X[:10], y[:10])
        elif model.warm_start:
            model.fit(X, y)
        assert np.isfinite(model.intercept_).all()


def test_this_version_has_left_its_models():
    assert (Path(__file__).parent / "pickles" / f"{skgd.__version__}.pkl").exists()
