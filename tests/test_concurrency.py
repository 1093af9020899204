"""Simultaneous fits and predictions: in threads, under joblib, in forked processes, and at the first use of the cache."""

import json
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from in_process import run_alone
from joblib import Parallel, delayed
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from test_cache import fit_in_new_process

from skgd import GDClassifier, GDRegressor
from skgd.compiled.threads import _blas, threads


def problems():
    """Estimators of every solver with data; the first two problems are large enough for threads."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 40))
    z = X[:, :3].sum(axis=1) + rng.normal(size=len(X))
    small, labels, words = (
        X[:400, :5].copy(),
        np.digitize(z, [-1.0, 1.0])[:400],
        sp.random(400, 3000, density=0.01, random_state=0),
    )
    return [
        (GDClassifier(), X, (z > 0).astype(int)),
        (GDRegressor(n_jobs=2), X, np.column_stack([z, -z])),
        (GDClassifier(), small, labels),
        (GDClassifier("hinge"), small, labels),
        (GDClassifier(penalty="l1", alpha=1e-2), small, labels),
        (GDClassifier(solver="sgd", random_state=0), small, labels),
        (GDClassifier(solver="adam", random_state=0), small, labels),
        (GDClassifier(), sp.csr_array(words), labels),
    ]


def bits(estimator, X, y):
    """The bytes of the coefficients and scores of a fit."""
    model = clone(estimator).fit(X, y)
    scores = model.decision_function(X) if hasattr(model, "decision_function") else model.predict(X)
    return model.coef_.tobytes() + model.intercept_.tobytes() + scores.tobytes()


def eight_threads():
    cases = problems()
    alone = [bits(*case) for case in cases]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda case: bits(*case), 3 * cases)) == 3 * alone
    model = GDClassifier().fit(*cases[0][1:])
    expected = model.predict_proba(cases[0][1])
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: model.predict_proba(cases[0][1]), range(24)):
            assert_array_equal(found, expected)


def streams_in_threads():
    X, y = problems()[2][1:]

    def stream(_):
        model = GDClassifier(random_state=0)
        for first in range(0, len(X), 50):
            model.partial_fit(X[first : first + 50], y[first : first + 50], classes=[0, 1, 2])
        return model.coef_.tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(stream, range(8))) == {stream(0)}


def under_joblib():
    cases = problems()
    alone = [bits(*case) for case in cases]
    for backend in ("loky", "threading", "multiprocessing"):
        assert Parallel(n_jobs=2, backend=backend)(delayed(bits)(*case) for case in cases) == alone, backend


def nested():
    """A grid search in a thread and an ensemble at the same time; both have jobs, and their fits have jobs."""
    X, y = problems()[2][1:]
    expected = GridSearchCV(GDClassifier(), {"alpha": [1e-4, 1e-2, 1.0]}, cv=3).fit(X, y).cv_results_["mean_test_score"]
    search = GridSearchCV(GDClassifier(n_jobs=2), {"alpha": [1e-4, 1e-2, 1.0]}, cv=3, n_jobs=2)
    thread = threading.Thread(target=search.fit, args=(X, y))
    thread.start()
    vote = VotingClassifier([("a", GDClassifier(n_jobs=2)), ("b", GDClassifier("hinge", n_jobs=2))], n_jobs=2).fit(X, y)
    thread.join()
    assert_array_equal(search.cv_results_["mean_test_score"], expected)
    assert_array_equal(vote.named_estimators_["a"].coef_, GDClassifier().fit(X, y).coef_)


def forks():
    """Fork after fits on threads, and while another thread limits BLAS to one thread."""
    cases = problems()
    alone = [bits(*case) for case in cases]
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.starmap(bits, cases) == alone
    held, done = threading.Event(), threading.Event()

    def hold():
        with threads(1):
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with context.Pool(1) as pool:
        assert pool.apply(inside) == 0
        assert pool.starmap(bits, cases[:3]) == alone[:3]
    done.set()
    thread.join()


def inside():
    """The number of fits of this process that limit BLAS to one thread."""
    return _blas().inside


@pytest.mark.parametrize("scenario", [eight_threads, streams_in_threads, under_joblib, nested])
def test_simultaneous_fits_give_the_same_bits_as_separate_fits(scenario):
    run_alone(scenario)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_processes_can_fit():
    run_alone(forks)


def test_two_processes_can_fill_the_cache_at_the_same_time(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(fit_in_new_process, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
        objectives = {json.dumps(result.result()[0]["objective"]) for result in results}
    assert len(objectives) == 1
    assert fit_in_new_process(NUMBA_CACHE_DIR=str(tmp_path))[0]["misses"] == 0
