"""Validation of the arguments of `fit`: rows with weights, validation rows, and coefficients to start from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..data.table import Table
from ..monitoring.warning import warn

LARGE_MAP = 1 << 24  # bytes, 16 MiB; copying a memory map of at least this size is worth a warning
VALID = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}  # for `validate_data`: the forms of X that kernels read
NUMBERS = {"multi_output": True, "y_numeric": True}  # for `validate_data`: y holds numbers, in one column or several


class Rows(NamedTuple):
    """Validated rows; the weight of each is above zero."""

    X: Any  # (n, d), an array or a CSR matrix of float64 or float32
    y: np.ndarray  # (n,) or (n, columns), as the user gave it
    weights: np.ndarray  # (n,)
    weighted: bool  # whether the user gave weights; otherwise all of them are one
    given: Any  # X as the user gave it, for example a data frame; if rows were left out, the same as `X`

    def of(self, index: np.ndarray) -> Rows:
        """Some of the rows, chosen by their numbers or by a mask."""
        X = self.X[index]
        return Rows(X, self.y[index], self.weights[index], self.weighted, X)

    def table(self, Y: np.ndarray) -> Table:
        """A table of the rows with targets Y (T, n) and with weights scaled to mean one."""
        s = self.weights * (len(self.weights) / self.weights.sum()) if self.weighted else self.weights
        return Table(self.X, Y, s)

    def hook_data(self) -> dict[str, Any]:
        """The data that scikit-learn passes to the hooks of callbacks."""
        return {"X": self.given, "y": self.y, "metadata": {"sample_weight": self.weights} if self.weighted else None}


class Start(NamedTuple):
    """The user's coefficients and intercepts to start a fit from; None if the user gave none."""

    coef: Any
    intercept: Any


class ValidationSet(NamedTuple):
    """The rows that the user passes for early stopping: `X_val`, `y_val` and `sample_weight_val`."""

    X: Any
    y: Any
    sample_weight: Any

    @property
    def given(self) -> bool:
        return self.X is not None

    def check(self, early_stopping: bool) -> None:
        """Raise ValueError if X_val is missing although its targets or weights are given, or if nothing would use the rows."""
        if not self.given and not (self.y is None and self.sample_weight is None):
            raise ValueError("y_val and sample_weight_val belong to X_val: pass X_val, too.")
        if self.given and not early_stopping:
            raise ValueError("X_val is for early stopping: set early_stopping=True, or leave X_val out.")


def validated(estimator: Any, X: Any, y: Any, sample_weight: Any, allow_none: bool = False, **how: Any) -> Rows:
    """Validate the rows, and leave out rows of weight zero.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
    X, y, sample_weight
        As the user gave them.
    allow_none : bool
        Whether all weights may be zero; then no rows are returned.
    **how
        Further arguments of scikit-learn's `validate_data`.

    Raises
    ------
    ValueError
        If anything is invalid, or if all weights are zero and `allow_none` is False.
    """
    given = X
    warn_of_copy(X)
    X, y = validate_data(estimator, X, y, order="C", **VALID, **how)
    if sample_weight is None:
        return Rows(X, y, np.ones(len(y)), False, given)
    none = allow_none and not np.any(sample_weight)
    if none:  # validate weights of one instead, because scikit-learn 1.9 and later refuse weights that are all zero
        sample_weight = np.asarray(sample_weight) + 1.0
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if none:
        return Rows(X, y, weights, True, given).of(np.zeros(len(y), dtype=bool))
    counted = weights > 0.0
    if not counted.any():  # scikit-learn 1.9 and later raise this error themselves
        raise ValueError("Sample weights must contain at least one non-zero number.")
    rows = Rows(X, y, weights, True, given)
    return rows if counted.all() else rows.of(counted)


def initial(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The user's coefficients or intercepts to start from, as an array of this shape; zeros if `values` is None."""
    if values is None:
        return np.zeros(shape)
    array = np.array(values, dtype=np.float64)
    if array.shape != shape and not (shape[0] == 1 and array.shape == shape[1:]):
        raise ValueError(f"Provided {name} does not match dataset: its shape is {array.shape}, but has to be {shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite.")
    return array.reshape(shape)


def target_rows(y: np.ndarray) -> np.ndarray:
    """Targets as float64 of shape (T, n), for y of shape (n,) or (n, T)."""
    return np.ascontiguousarray(np.atleast_2d(y.T), dtype=np.float64)


def warn_of_copy(X: Any) -> None:
    """Warn if X is a large memory map that scikit-learn's validation will copy into memory."""
    if not isinstance(X, np.memmap) or X.nbytes < LARGE_MAP:
        return
    wrong = [f"is of {X.dtype}"] if X.dtype not in (np.float32, np.float64) else []
    if not X.flags.c_contiguous:
        wrong += ["is not in C order"]
    if wrong:
        warn(
            f"X is a memory map that {' and '.join(wrong)}: all of it is copied into memory, {X.size * 8 / 2**30:.1f} GiB. "
            "Store it as float32 or float64 in C order, or pass it in pieces to fit_batches.",
            UserWarning,
        )
