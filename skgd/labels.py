"""Class labels as codes: y = classes[codes], with the classes sorted."""

from __future__ import annotations

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

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
