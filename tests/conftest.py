"""Fixtures for several test files: data sets, and the documented objective computed with NumPy."""

import numpy as np
import pytest
from problems import FORMULAS
from scipy.special import logsumexp

SCALES = np.array([1e-2, 1e-1, 1.0, 3.0, 1e1, 1e2])
OFFSETS = np.array([0.0, 1.0, -2.0, 0.0, 30.0, -100.0])


def _features(rng, n):
    return rng.normal(size=(n, len(SCALES))) * SCALES + OFFSETS


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def two_classes():
    """Columns of several scales and offsets, and labels 0 and 1 of classes that overlap."""
    rng = np.random.default_rng(1)
    X = _features(rng, 150)
    z = ((X - OFFSETS) / SCALES) @ [1.0, -1.0, 0.5, 0.0, 0.3, -0.2]
    return X, (z + rng.logistic(size=len(X)) > 0.3).astype(int)


@pytest.fixture
def three_classes():
    """Columns of several scales and offsets, and labels 0, 1 and 2 of classes that overlap."""
    rng = np.random.default_rng(2)
    X = _features(rng, 180)
    Z = ((X - OFFSETS) / SCALES) @ rng.normal(size=(6, 3)) + rng.gumbel(size=(len(X), 3))
    return X, Z.argmax(axis=1)


@pytest.fixture
def regression():
    """Columns of several scales and offsets, and a noisy target."""
    rng = np.random.default_rng(3)
    X = _features(rng, 120)
    return X, ((X - OFFSETS) / SCALES) @ [3.0, -2.0, 0.0, 1.0, 0.05, 0.0] + 7.0 + rng.normal(size=len(X))


def _signs(y, columns):
    """Targets (n, columns): 1 if the row is in the class of the column (the second of two classes), else -1."""
    classes = np.unique(y)
    return np.where(np.reshape(y, (-1, 1)) == (classes if columns > 1 else classes[1:]), 1.0, -1.0)


@pytest.fixture
def objective():
    """The documented objective in NumPy, at the coefficients of a fitted model or at given ones."""

    def value(model, X, y, weights=None, coef=None, intercept=None):
        W = np.atleast_2d(model.coef_ if coef is None else coef)
        b = np.atleast_1d(model.intercept_ if intercept is None else intercept)
        Z, s = X @ W.T + b, np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
        if model.loss == "log_loss":
            Z = np.column_stack([np.zeros(len(y)), Z]) if Z.shape[1] == 1 else Z
            rows = logsumexp(Z, axis=1) - Z[np.arange(len(y)), np.unique(y, return_inverse=True)[1]]
        else:
            Y = np.reshape(y, Z.shape) if not hasattr(model, "classes_") else _signs(y, Z.shape[1])
            rows = FORMULAS[model.loss](Y, Z, **model.get_params()).sum(axis=1)
        alpha = 0.0 if model.penalty is None else model.alpha
        l1_ratio = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": model.l1_ratio}[model.penalty]
        return s @ rows / s.sum() + alpha * (l1_ratio * np.abs(W).sum() + (1 - l1_ratio) / 2 * np.square(W).sum())

    return value
