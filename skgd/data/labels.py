"""Class labels as codes: y = classes[codes], with the classes sorted."""

from __future__ import annotations

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

SUM = 1e-6  # by which probabilities may miss the sum 1, for rounding
EXACT = 2.0**31  # floats below it are cast to integers without overflow


def encode(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted classes of labels y (n,), and the code of each row's class.

    Raises
    ------
    ValueError
        If y holds something else than class labels.
    """
    integers = _as_integers(y)
    if integers is not None:
        low, high = int(integers.min()), int(integers.max())
        if high - low < len(y) // 2:  # beyond it, scikit-learn warns of too many classes
            return _look_up(integers, low, y.dtype)
    check_classification_targets(y)
    return np.unique(y, return_inverse=True)


def encode_as(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The code of each row's class among known ones; probabilities as they are.

    Raises
    ------
    ValueError
        If y holds labels that are none of the classes.
    """
    if y.ndim == 2:
        return shares(y, len(classes))[1]
    unknown = ~np.isin(y, classes)
    if unknown.any():
        raise ValueError(f"The label {y[unknown].tolist()[0]!r} is none of the classes {classes.tolist()}.")
    return np.searchsorted(classes, y)


def shares(y: np.ndarray, columns: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Classes 0, 1, ... and probabilities (n, K) of soft labels y (n, K).

    Raises
    ------
    ValueError
        If a row of y is no distribution, or y has not the given number of columns.
    """
    P = y.astype(np.float64)
    if columns is not None and P.shape[1] != columns:
        raise ValueError(f"Probabilities of {P.shape[1]} classes do not suit a model of {columns}.")
    totals = P.sum(axis=1)
    wrong = (P < 0.0).any(axis=1) | (np.abs(totals - 1.0) > SUM)
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
    """Codes, of probabilities those of the largest."""
    return labels if labels.ndim == 1 else labels.argmax(axis=1)


def signs(codes: np.ndarray, classes: int) -> np.ndarray:
    """Targets -1 and 1: of the second class against the first (1, n), or of each against the rest (classes, n)."""
    positive = np.array([1]) if classes == 2 else np.arange(classes)
    return np.where(codes == positive[:, None], 1.0, -1.0)


def _as_integers(y: np.ndarray) -> np.ndarray | None:
    """The labels as integers, where they are whole numbers or booleans."""
    if np.can_cast(y.dtype, np.intp):
        return y.astype(np.intp, copy=False)
    if y.dtype.kind == "f" and float(np.abs(y).max()) < EXACT:
        integers = y.astype(np.intp)
        return integers if np.array_equal(integers, y) else None
    return None


def _look_up(integers: np.ndarray, low: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Classes and codes from a table of all integers in the range: several times faster than sorting or hashing."""
    offsets = integers - low
    occurs = np.bincount(offsets) > 0
    classes = (np.flatnonzero(occurs) + low).astype(dtype)
    return classes, offsets if occurs.all() else (np.cumsum(occurs) - 1)[offsets]
