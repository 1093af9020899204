"""Encoding of class labels: y = classes[codes], with sorted classes.  Soft labels are probabilities of the classes."""

from __future__ import annotations

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

SUM_TOLERANCE = 1e-6  # the sum of a row's probabilities may differ from 1 by this; float32 rounds them to about 1e-7
CASTABLE = 2.0**31  # floats of smaller magnitude can be cast to integers without overflow, even on 32-bit platforms


def encode(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes of labels y (n,), and the code (n,) of each row's class.

    Raises
    ------
    ValueError
        If y does not hold class labels.
    """
    integers = _as_integers(y)
    if integers is not None:
        low, high = int(integers.min()), int(integers.max())
        if high - low < len(y) // 2:  # beyond that, scikit-learn may have to warn of too many classes
            return _look_up(integers, low, y.dtype)
    check_classification_targets(y)
    return np.unique(y, return_inverse=True)


def encode_as(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The code (n,) of each row's class among known classes; if y is of shape (n, K), the probabilities (n, K) of classes.

    Raises
    ------
    ValueError
        If a label is not among the classes, or a row of y (n, K) is not a probability distribution.
    """
    if y.ndim == 2:
        return class_probabilities(y, len(classes))[1]
    unknown = ~np.isin(y, classes)
    if unknown.any():
        raise ValueError(f"The label {y[unknown].tolist()[0]!r} is none of the classes {classes.tolist()}.")
    return np.searchsorted(classes, y)


def class_probabilities(y: np.ndarray, n_classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The classes 0, 1, ..., K - 1 of soft labels y (n, K), and the probabilities (n, K), scaled to sum to 1 in each row.

    Raises
    ------
    ValueError
        If a row of y is not a probability distribution, if a class has probability 0 in all rows, or if K is not `n_classes`.
    """
    P = y.astype(np.float64)
    if n_classes is not None and P.shape[1] != n_classes:
        raise ValueError(f"y has probabilities of {P.shape[1]} classes, but the model has {n_classes} classes.")
    totals = P.sum(axis=1)
    wrong = (P < 0.0).any(axis=1) | (np.abs(totals - 1.0) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"y has {P.shape[1]} columns and is taken for probabilities of as many classes, but its row {row}, "
            f"{P[row].tolist()}, is not non-negative with the sum 1. For labels, pass y of shape (n_samples,)."
        )
    absent = ~P.any(axis=0)
    if absent.any():
        raise ValueError(f"Class {int(np.argmax(absent))} has probability 0 in every row of y: leave its column out.")
    return np.arange(P.shape[1]), P / totals[:, None]


def most_likely(labels: np.ndarray) -> np.ndarray:
    """The code (n,) of each row's most likely class, from codes (n,) or probabilities (n, K)."""
    return labels if labels.ndim == 1 else labels.argmax(axis=1)


def signs(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Targets 1 for a class and -1 for others: (1, n) for the second of two classes, else (n_classes, n) for each class."""
    positive = np.array([1]) if n_classes == 2 else np.arange(n_classes)
    return np.where(codes == positive[:, None], 1.0, -1.0)


def _as_integers(y: np.ndarray) -> np.ndarray | None:
    """The labels as integers if all of them are whole numbers or booleans, else None."""
    if np.can_cast(y.dtype, np.intp):
        return y.astype(np.intp, copy=False)
    if y.dtype.kind == "f" and float(np.abs(y).max()) < CASTABLE:
        integers = y.astype(np.intp)
        return integers if np.array_equal(integers, y) else None
    return None


def _look_up(integers: np.ndarray, low: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Find classes and codes with a table of all integers in the range, several times faster than by sorting or hashing."""
    offsets = integers - low
    occurs = np.bincount(offsets) > 0
    classes = (np.flatnonzero(occurs) + low).astype(dtype)
    return classes, offsets if occurs.all() else (np.cumsum(occurs) - 1)[offsets]
