"""Synthetic data of the kinds that real sets have: each is hard in a way that small random problems are not.

Every generator takes a number of rows and a seed, and returns X and y.  `KINDS` names them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

CLASSES = ("log_loss", "hinge", "squared_hinge", "modified_huber")
TARGETS = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile")
# The losses for each task.  Counts and positive numbers can be targets of the other regression losses, too.
LOSSES_OF = {
    "classes": CLASSES,
    "targets": TARGETS,
    "counts": (*TARGETS, "poisson"),
    "positive": (*TARGETS, "poisson", "gamma"),
}
Data = tuple[Any, np.ndarray]


# ---------------------------------------------------------------- parts
def varying(X):
    """The columns of X that hold more than one value: a rare level may be in no row of a small draw."""
    return X[:, np.ptp(X, axis=0) > 0.0]


def standardised(generate: Callable[[int, int], Data]) -> Callable[[int, int], Data]:
    """A generator of the same data with columns of mean 0 and variance 1."""

    def generate_standardised(n: int, seed: int) -> Data:
        X, y = generate(n, seed)
        return (X - X.mean(axis=0)) / X.std(axis=0), y

    return generate_standardised


def one_hot(codes, levels):
    """CSR (n, levels) with a one at the code of each row."""
    n = len(codes)
    return sp.csr_matrix((np.ones(n), codes, np.arange(n + 1)), shape=(n, levels))


def stored_somewhere(X):
    """The columns of a CSR matrix X that store an entry."""
    return X[:, np.diff(X.tocsc().indptr) > 0]


# ---------------------------------------------------------------- classes
def sequences(n, seed):
    """One-hot codes of 60 letters.  Letters near the middle tell three classes apart.  Each place has a fifth, rare letter."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=[0.24, 0.24, 0.52])
    blocks = []
    for place in range(60):
        logits = 3.0 * np.exp(-(((place - 30) / 4) ** 2)) * rng.normal(size=(3, 4))
        letters = (logits[y] + rng.gumbel(size=(n, 4))).argmax(axis=1)
        letters[rng.random(n) < 0.001] = 4
        blocks.append(np.eye(5)[letters])
    return varying(np.hstack(blocks)), y


def wide(n, seed):
    """Three times as many columns as rows.  They mix 40 hidden factors, in units from 1e-4 to 1e6."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 40))
    X = factors @ rng.normal(size=(40, 3 * n)) + 0.1 * rng.normal(size=(n, 3 * n))
    y = factors[:, :3].sum(axis=1) + 0.3 * rng.normal(size=n) > -0.7
    return X * 10.0 ** rng.uniform(-4.0, 6.0, 3 * n), y.astype(int)


def rare_class(n, seed, distance=1e7):
    """One row in a hundred is of the second class.  A column of numbers near 1e7 tells it: the minimum is nearly zero."""
    rng = np.random.default_rng(seed)
    X = rng.lognormal(0.0, 2.0, (n, 50)) * (rng.random((n, 50)) < 0.1)
    y = (np.arange(n) < max(n // 100, 2)).astype(int)
    X[:, 0] = rng.uniform(0.0, 1e3, n) + distance * y
    return varying(X), y


def rare_class_nearer(n, seed):
    """The same with a column of numbers near 1e4.  The minimum is 1e-10 of the start, which is more than rounding."""
    return rare_class(n, seed, distance=1e4)


def text(n, seed):
    """CSR of tf-idf rows.  Frequencies of words follow Zipf's law, and each of four topics prefers other words."""
    rng = np.random.default_rng(seed)
    words, topics = 4_000, 4
    lengths, y = np.ceil(rng.lognormal(3.7, 0.7, n)).astype(int), rng.integers(topics, size=n)
    frequency = 1.0 / (np.arange(words) + 2.7)
    X = sp.lil_matrix((n, words)).tocsr()
    for topic in range(topics):
        preferred = frequency * rng.lognormal(0.0, 1.0, words)
        rows = np.repeat(np.flatnonzero(y == topic), lengths[y == topic])
        drawn = rng.choice(words, len(rows), p=preferred / preferred.sum())
        X = X + sp.csr_matrix((np.ones(len(rows)), (rows, drawn)), shape=X.shape)
    return TfidfTransformer(sublinear_tf=True).fit_transform(stored_somewhere(X)), y


def letters(n, seed):
    """26 classes told apart by 16 whole numbers from 0 to 15, like measurements of printed letters."""
    rng = np.random.default_rng(seed)
    centres, y = rng.uniform(3.0, 12.0, (26, 16)), np.arange(n) % 26
    return np.round(centres[y] + 2.0 * rng.normal(size=(n, 16))).clip(0.0, 15.0), y


def lone_row(n, seed):
    """Three classes, of which the last has a single row."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 20)) @ rng.normal(size=(20, 20))
    y = (X[:, 0] + 3.0 * rng.normal(size=n) > 4.0).astype(int)
    y[n // 2] = 2
    return X, y


def units_of_classes(n, seed):
    """Ten columns in units from 1e-3 to 1e6, each with an offset of many times its spread, and two classes that overlap."""
    X, y = units(n, seed)
    return X, (y > np.median(y)).astype(int)


# ---------------------------------------------------------------- targets
def units(n, seed):
    """Ten columns in units from 1e-3 to 1e6, each with an offset of many times its spread."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 10))
    y = Z @ rng.normal(size=10) + rng.normal(size=n)
    return (Z + rng.uniform(10.0, 100.0, 10)) * 10.0 ** np.linspace(-3.0, 6.0, 10), y


def near_copies(n, seed):
    """Ten columns, of which each comes three times: the copies differ by a millionth of their spread."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 10))
    X = np.hstack([Z + 1e-6 * rng.normal(size=Z.shape) for _ in range(3)])
    return X, Z @ rng.normal(size=10) + rng.normal(size=n)


def ratings(n, seed):
    """CSR of one-hot codes of 900 users and 1,600 items, columns scaled to mean square 1.  Targets are standardised ratings."""
    rng = np.random.default_rng(seed)
    users, items = 900, 1_600
    user, item = (users * rng.random(n) ** 2).astype(int), (items * rng.random(n) ** 3).astype(int)
    taste = 0.5 * rng.normal(size=users)[user] + 0.6 * rng.normal(size=items)[item] + 0.9 * rng.normal(size=n)
    y = np.round(3.5 + taste).clip(1.0, 5.0)
    X = stored_somewhere(sp.hstack([one_hot(user, users), one_hot(item, items)], format="csr"))
    mean_squares = np.asarray(X.multiply(X).mean(axis=0)).ravel()
    return (X @ sp.diags(mean_squares**-0.5)).tocsr(), (y - y.mean()) / y.std()


def rare_levels(n, seed):
    """CSR of five numbers and the one-hot levels of a category.  Most levels have only a few rows, as place names do."""
    rng = np.random.default_rng(seed)
    levels = max(n // 10, 5)
    frequency = 1.0 / np.arange(1, levels + 1)
    level, Z = rng.choice(levels, n, p=frequency / frequency.sum()), rng.normal(size=(n, 5))
    y = Z @ rng.normal(size=5) + rng.normal(size=levels)[level] + rng.standard_t(3.0, n)
    return stored_somewhere(sp.hstack([sp.csr_matrix(Z), one_hot(level, levels)], format="csr")), y


# ---------------------------------------------------------------- counts and positive targets
def counts(n, seed):
    """Counts whose rates have a heavy tail, with skewed columns: most counts are zero, a few are hundreds."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.lognormal(0.0, 1.0, (n, 4)), rng.normal(size=(n, 8))])
    rate = np.exp(-1.0 + 0.1 * X[:, :4].clip(0.0, 10.0).sum(axis=1) + X[:, 4:] @ (0.3 * rng.normal(size=8)))
    return X, rng.poisson(rate * rng.pareto(1.5, n).clip(0.0, 1e3)).astype(float)


def claims(n, seed):
    """Positive amounts with a heavy tail, of mean one: the largest are thousands of times the median."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.lognormal(0.0, 1.0, (n, 3)), rng.normal(size=(n, 9))])
    y = np.exp(X[:, 3:] @ (0.4 * rng.normal(size=9))) * (rng.pareto(1.3, n) + 0.01)
    return X, y / y.mean()


def slip_of_the_pen(n, seed):
    """Prices that grow with a size.  One size is 58.9 in place of 5.89, in a row that samples of every 8th row do not hold."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 25))
    X[:, 0] = rng.normal(5.7, 1.1, n).clip(3.5, 9.5)
    y = np.exp(0.9 * (X[:, 0] - 5.7) + X[:, 1:] @ (0.05 * rng.normal(size=24)) + 0.1 * rng.normal(size=n))
    X[n // 24 * 8 + 3, 0] = 58.9
    return X, y / y.mean() + 0.05


# ---------------------------------------------------------------- all of them
class Kind(NamedTuple):
    """A kind of data.

    Attributes
    ----------
    name : str
    generate : callable
        Takes a number of rows and a seed, and returns X and y.
    task : {"classes", "targets", "counts", "positive"}
        What y holds.
    rows : int
        The number of rows of a problem that is fitted in about a second.
    most : int
        The number of rows of the largest problem.
    """

    name: str
    generate: Callable[[int, int], Data]
    task: str
    rows: int = 3_000
    most: int = 60_000

    @property
    def losses(self):
        """The losses that can be fitted to it."""
        return LOSSES_OF[self.task]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sequences", sequences, "classes", most=30_000),
        Kind("standardised sequences", standardised(sequences), "classes", most=30_000),
        Kind("wide", wide, "classes", rows=250, most=500),
        Kind("standardised wide", standardised(wide), "classes", rows=250, most=500),
        Kind("rare class", rare_class, "classes"),
        Kind("rare class, nearer", rare_class_nearer, "classes"),
        Kind("text", text, "classes", most=20_000),
        Kind("letters", letters, "classes"),
        Kind("lone row", lone_row, "classes"),
        Kind("units of classes", units_of_classes, "classes"),
        Kind("units", units, "targets"),
        Kind("near copies", near_copies, "targets"),
        Kind("ratings", ratings, "targets"),
        Kind("rare levels", rare_levels, "targets"),
        Kind("counts", counts, "counts"),
        Kind("claims", claims, "positive"),
        Kind("slip of the pen", slip_of_the_pen, "positive", rows=12_000),  # gd takes no sample of fewer
    )
}


@cache
def data_of(name: str, n: int | None = None, seed: int = 0) -> Data:
    """X and y of a kind, with n rows or its default number.  They are drawn once and shared, so tests must not change them."""
    kind = KINDS[name]
    return kind.generate(n or kind.rows, seed)
