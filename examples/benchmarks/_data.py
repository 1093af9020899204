"""The data of losses.py for each kind of targets: bundled with scikit-learn, or generated."""

import numpy as np
from _measure import raw, sparse
from sklearn.datasets import load_breast_cancer, load_diabetes, make_classification, make_regression
from sklearn.preprocessing import normalize


def labels(rows):
    return raw(*make_classification(rows, 50, n_informative=20, flip_y=0.1, random_state=0))


def numbers(rows):
    """Return columns and targets with errors that have heavy tails."""
    X, y = make_regression(rows, 50, n_informative=20, random_state=0)
    return raw(X, y + 0.5 * y.std() * np.random.default_rng(1).standard_t(3.0, size=rows))


def means(rows, rng):
    """Return columns, and positive means that depend on them."""
    X = rng.normal(size=(rows, 50))
    return X, np.exp(1.0 + 0.1 * X @ rng.normal(size=50))


def counts(rows):
    rng = np.random.default_rng(0)
    X, mu = means(rows, rng)
    return raw(X, rng.poisson(mu).astype(float))


def amounts(rows):
    rng = np.random.default_rng(0)
    X, mu = means(rows, rng)
    return raw(X, rng.gamma(2.0, mu / 2.0))


def diabetes(rows=None):
    return load_diabetes(return_X_y=True, scaled=False)


def text(rows, kind):
    """Return rows of 50 words out of as many as there are rows, with norm 1, and labels or numbers."""
    X, y = sparse(rows, rows, 50)
    X.sum_duplicates()  # liblinear takes the norms of rows entry by entry, and does not converge with duplicates
    X = normalize(X)
    rng = np.random.default_rng(1)
    return X, y if kind == "labels" else X @ rng.normal(size=rows) + 0.1 * rng.normal(size=rows)


BUNDLED = {
    "labels": ("breast_cancer", lambda: load_breast_cancer(return_X_y=True)),
    "numbers": ("diabetes", diabetes),
    "counts": ("diabetes", diabetes),
    "amounts": ("diabetes", diabetes),
}
GENERATED = {"labels": labels, "numbers": numbers, "counts": counts, "amounts": amounts}
