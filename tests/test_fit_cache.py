"""A path of alphas with `warm_start`: the same minima as without it, in fewer passes, and never the minima of old data."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer

from skgd import GDClassifier, GDRegressor
from skgd.objective import Objective

ALPHAS = np.geomspace(1.0, 1e-4, 9)
STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
MODELS = {
    "ridge": GDRegressor(),
    "lasso": GDRegressor(penalty="l1"),
    "huber": GDRegressor(loss="huber", epsilon=0.5),
    "logistic": GDClassifier(),
    "logistic l1": GDClassifier(penalty="l1"),
}
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def data():
    """Columns of several scales, and targets or classes."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(6000, 12)) + 2.0) * np.logspace(-2.0, 2.0, 12)
    return X, ((X - X.mean(axis=0)) / X.std(axis=0)) @ rng.normal(size=12) + rng.logistic(size=6000)


def targets(name, z):
    return z > 0.0 if "logistic" in name else z


@pytest.fixture
def passes(monkeypatch):
    """Names of the passes over X, as they are made."""
    made = []
    for name in ("standardise", "loss_part", "curvature", "normal_equations"):
        plain = getattr(Objective, name)
        monkeypatch.setattr(Objective, name, lambda *args, name=name, plain=plain: made.append(name) or plain(*args))
    return made


STANDARDIZE = pytest.mark.parametrize("standardize", ["auto", False], ids=["standardised", "raw"])


@STORAGE
@EVERY_MODEL
@STANDARDIZE
def test_a_path_ends_at_the_minima(standardize, name, storage, data):
    X, z = data
    X = X if standardize else X / X.std(axis=0)
    y, model = targets(name, z), clone(MODELS[name]).set_params(warm_start=True, tol=1e-5, standardize=standardize)
    for alpha in ALPHAS:
        model.set_params(alpha=alpha).fit(storage(X), y)
        least = clone(model).set_params(warm_start=False, tol=1e-10).fit(storage(X), y).loss_curve_[-1]
        assert model.loss_curve_[-1] <= (1.0 + 1e-5) * least


def test_a_path_of_three_classes_ends_at_the_minima(data):
    X, z = data
    y, model = np.digitize(z, [-1.0, 1.0]), GDClassifier(warm_start=True, tol=1e-5)
    for alpha in ALPHAS:
        model.set_params(alpha=alpha).fit(X, y)
        least = clone(model).set_params(warm_start=False, tol=1e-10).fit(X, y).loss_curve_[-1]
        assert model.loss_curve_[-1] <= (1.0 + 1e-5) * least


@pytest.mark.parametrize("name", ["ridge", "lasso"])
@STANDARDIZE
def test_least_squares_needs_no_further_pass(standardize, name, data, passes):
    X, z = data
    model = clone(MODELS[name]).set_params(warm_start=True, standardize=standardize)
    for alpha in ALPHAS:
        model.set_params(alpha=alpha).fit(X / X.std(axis=0), z)
    assert passes == (["standardise"] if standardize else []) + ["normal_equations"]


@pytest.mark.parametrize("name", ["huber", "logistic", "logistic l1"])
@STANDARDIZE
def test_other_losses_need_fewer(standardize, name, data, passes):
    X, z = data
    X = X / X.std(axis=0)
    made = {}
    for warm in (False, True):
        model = clone(MODELS[name]).set_params(warm_start=warm, standardize=standardize)
        for alpha in np.geomspace(1.0, 1e-4, 30):
            model.set_params(alpha=alpha).fit(X, targets(name, z))
        made[warm] = len(passes)
        passes.clear()
    assert made[True] < 0.5 * made[False]


@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_second_fit_takes_a_step(penalty, dtype, data, passes):
    """One step is enough to show whether the curvature of the first fit is still right."""
    X, z = data[0].astype(dtype), data[1]
    model = GDClassifier(warm_start=True, penalty=penalty).fit(X, z > 0.0)
    passes.clear()
    model.set_params(tol=1e-2).fit(X, z > 0.0)
    assert len(passes) <= 2


@EVERY_MODEL
@pytest.mark.parametrize(
    "change", ["an entry", "two rows", "a target", "a weight", "fit_intercept", "standardize", "dtype", "storage"]
)
def test_other_data_is_noticed(change, name, data):
    """Also where it is the same array with other contents."""
    X, z = data[0].copy(), data[1].copy()
    s, model = np.ones(len(z)), clone(MODELS[name]).set_params(warm_start=True, alpha=0.01, tol=1e-9)
    model.fit(X, targets(name, z), s)
    if change == "an entry":
        X[17, 3] *= 100.0
    elif change == "two rows":
        X[[5, 4000]] = X[[4000, 5]]
    elif change == "a target":
        z[int(np.argmax(z))] *= -1.0
    elif change == "a weight":
        s[99] = 500.0
    elif change == "fit_intercept":
        model.set_params(fit_intercept=False)
    elif change == "standardize":
        model.set_params(standardize=False)
    elif change == "dtype":
        X = X.astype(np.float32)
    else:
        X[:, 4] = 0.0
        X = sp.csr_matrix(X)
    model.fit(X, targets(name, z), s)
    expected = clone(model).set_params(warm_start=False).fit(X, targets(name, z), s)
    assert model.loss_curve_[-1] == pytest.approx(expected.loss_curve_[-1], rel=1e-8)


def test_the_cache_is_not_pickled(data):
    X, z = data
    model = GDRegressor(warm_start=True).fit(X, z)
    size = len(pickle.dumps(model))
    assert size < len(pickle.dumps(GDRegressor().fit(X, z))) + 100
    copy = pickle.loads(pickle.dumps(model)).set_params(alpha=0.1).fit(X, z)
    np.testing.assert_allclose(copy.coef_, clone(model).set_params(alpha=0.1).fit(X, z).coef_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@STANDARDIZE
def test_stochastic_steps_go_on_where_they_stopped(standardize, solver):
    """Rates are not damped anew, and noise is reduced at once.  A pickled model goes on with the same bits."""
    X, y = load_breast_cancer(return_X_y=True)
    X = X if standardize else X / X.std(axis=0)
    how = {"solver": solver, "max_iter": 3, "random_state": 0, "standardize": standardize}
    first = GDClassifier(warm_start=True, **how).fit(X, y)
    anew = GDClassifier(**how).fit(X, y, coef_init=first.coef_, intercept_init=first.intercept_)
    pickled = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(pickled.fit(X, y).coef_, first.fit(X, y).coef_)
    assert pickled.loss_curve_ == first.loss_curve_
    assert first.loss_curve_[0] == pytest.approx(anew.loss_curve_[0], rel=1e-12)
    assert first.loss_curve_[1] < anew.loss_curve_[1]
