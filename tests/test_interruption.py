"""Ctrl-C: a fit raises KeyboardInterrupt after its present pass, and the estimator stays as it was before the fit."""

import contextlib
import os
import signal
import threading
import time
import warnings

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from in_process import run_alone
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skgd import GDClassifier

LONG = {"tol": 0.0, "max_iter": 10**9, "random_state": 0}
ENDLESS = 60  # seconds after which a fit counts as not interrupted


def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 50))
    return X, (X[:, 0] + 3.0 * rng.normal(size=len(X)) > 0).astype(int)


def assert_interrupted(model, run):
    """Send SIGINT half a second after `run` begins: it has to raise KeyboardInterrupt and leave the model as it was."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start, before = time.perf_counter(), {}
    try:
        while True:  # start again if it ends before the signal comes
            before = dict(vars(model))
            run()
    except KeyboardInterrupt:
        assert time.perf_counter() - start < ENDLESS, model
        assert vars(model) == before, model
    finally:
        timer.join()


def fits():
    X, y = problem()
    rng = np.random.default_rng(0)
    words = rng.integers(50_000, size=20_000 * 50), np.arange(0, 20_001 * 50, 50)
    words = sp.csr_matrix((rng.random(20_000 * 50), *words), shape=(20_000, 50_000))
    warnings.simplefilter("ignore")
    for estimator, data in [
        (GDClassifier(solver="gd", **LONG), X),
        (GDClassifier(solver="gd", n_jobs=2, **LONG), X),
        (GDClassifier("hinge", solver="gd", **LONG), X),
        (GDClassifier(solver="gd", penalty="l1", alpha=1e-3, **LONG), X),
        (GDClassifier(solver="sgd", **LONG), X),
        (GDClassifier(solver="adam", **LONG), X),
        (GDClassifier(solver="sgd", learning_rate="constant", eta0=1e-4, **LONG), X),
        (GDClassifier(alpha=1e-8, **LONG), words),
    ]:
        labels = y[: data.shape[0]]
        short = clone(estimator).set_params(max_iter=1, tol=None)
        short.fit(data[:2000], labels[:2000])  # kernels are compiled
        for warm_start in (False, True):
            model = clone(estimator).set_params(warm_start=warm_start)
            assert_interrupted(model, lambda: model.fit(data, labels))  # noqa: B023  # called at once
        again = clone(short).fit(data[:2000], labels[:2000])
        assert_array_equal(again.coef_, short.coef_)


def predictions_and_streams():
    X, y = problem()
    model = GDClassifier().fit(X, y)
    assert_interrupted(model, lambda: model.predict_proba(X))
    stream = GDClassifier().partial_fit(X[:100], y[:100], classes=[0, 1])
    assert_interrupted(stream, lambda: stream.partial_fit(X, y))
    assert stream.partial_fit(X[:100], y[:100]).predict(X[:2]).shape == (2,)


def other_handlers():
    """An exception that is raised by the handler of another signal is raised by the fit, too."""
    X, y = problem()

    def too_late(*_):
        raise TimeoutError("too late")

    signal.signal(signal.SIGALRM, too_late)
    model = GDClassifier(solver="gd").fit(X, y)  # kernels are compiled
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(TimeoutError, match="too late"):
        fit_again_and_again(model.set_params(**LONG), X, y)


def fit_again_and_again(model, X, y):
    while True:
        model.fit(X, y)


def first_fits():
    """Interrupt fits while kernels are compiled; the next fit still finds a complete kernel."""
    X, y = np.arange(12.0).reshape(6, 2) ** 1.5, [0, 0, 1, 0, 1, 1]
    for seconds in np.linspace(0.5, 3.0, 6):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with contextlib.suppress(KeyboardInterrupt):
            for solver in ("gd", "sgd"):
                GDClassifier(solver=solver).fit(X, y)
            timer.join()
            time.sleep(0.1)
    assert GDClassifier(solver="gd").fit(X, y).score(X, y) > 0.5


def test_an_interruption_while_compiling_leaves_no_incomplete_kernel(tmp_path):
    run_alone(first_fits, NUMBA_CACHE_DIR=str(tmp_path))


def test_other_packages_may_compile_functions_without_a_module():
    """Numba makes such functions itself, for the constructors of jitclasses."""
    made = {}
    exec("def one(): return 1", made)
    made["one"].__module__ = None
    assert numba.njit(made["one"])() == 1


@pytest.mark.parametrize("scenario", [fits, predictions_and_streams, other_handlers])
def test_signals_end_fits_and_predictions(scenario):
    run_alone(scenario)
