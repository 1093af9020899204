"""What users pass to `fit`, validated: rows with weights, validation rows, coefficients to start from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..data.table import Table
from ..monitoring.warning import warn

LARGE_MAP = 1 << 24  # bytes of a memory map from which its copy is worth a warning: 16 MiB
VALID = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}  # forms of X that kernels read
NUMBERS = {"multi_output": True, "y_numeric": True}  # how `validate_data` checks a y of numbers in one column or several


class Rows(NamedTuple):
    """Validated rows, each with a weight above zero."""

    X: Any  # (n, d), an array or a CSR matrix of float64 or float32
    y: np.ndarray  # (n,) or (n, columns), as the user gave it
    weights: np.ndarray  # (n,)
    weighted: bool  # whether the user gave weights; else all of them are one
    given: Any  # X as the user gave it, maybe a frame, if all of its rows are here; else the same as X

    def of(self, index: np.ndarray) -> Rows:
        """Some of the rows, by their numbers or by a mask."""
        X = self.X[index]
        return Rows(X, self.y[index], self.weights[index], self.weighted, X)

    def table(self, Y: np.ndarray) -> Table:
        """The rows with targets Y (T, n), and with weights of mean one."""
        s = self.weights * (len(self.weights) / self.weights.sum()) if self.weighted else self.weights
        return Table(self.X, Y, s)

    def of_hooks(self) -> dict[str, Any]:
        """The data that scikit-learn gives to the hooks of callbacks."""
        return {"X": self.given, "y": self.y, "metadata": {"sample_weight": self.weights} if self.weighted else None}


class Start(NamedTuple):
    """The coefficients and intercepts that the user asks a fit to start from; None where there are none."""

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
        """Raise ValueError if something is missing, or if nothing would use the rows."""
        if not self.given and not (self.y is None and self.sample_weight is None):
            raise ValueError("y_val and sample_weight_val belong to X_val: pass X_val, too.")
        if self.given and not early_stopping:
            raise ValueError("X_val is for early stopping: set early_stopping=True, or leave X_val out.")


def validated(estimator: Any, X: Any, y: Any, sample_weight: Any, allow_none: bool = False, **how: Any) -> Rows:
    """The rows whose weight is not zero: a row of weight zero is as good as absent.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
    X, y, sample_weight
        As the user gave them.
    allow_none : bool
        Whether all weights may be zero.
    **how
        Further arguments of scikit-learn's `validate_data`.

    Raises
    ------
    ValueError
        If anything is invalid, or all weights are zero and must not be.
    """
    given = X
    warn_of_copy(X)
    X, y = validate_data(estimator, X, y, order="C", **VALID, **how)
    if sample_weight is None:
        return Rows(X, y, np.ones(len(y)), False, given)
    none = allow_none and not np.any(sample_weight)
    if none:  # they are checked as ones: scikit-learn refuses zeros from 1.9 on
        sample_weight = np.asarray(sample_weight) + 1.0
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if none:
        return Rows(X, y, weights, True, given).of(np.zeros(len(y), dtype=bool))
    counted = weights > 0.0
    if not counted.any():  # scikit-learn says so from 1.9 on
        raise ValueError("Sample weights must contain at least one non-zero number.")
    rows = Rows(X, y, weights, True, given)
    return rows if counted.all() else rows.of(counted)


def initial(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The coefficients or intercepts that a user wants to start from, as an array of that shape; zeros instead of None."""
    if values is None:
        return np.zeros(shape)
    array = np.array(values, dtype=np.float64)
    if array.shape != shape and not (shape[0] == 1 and array.shape == shape[1:]):
        raise ValueError(f"Provided {name} does not match dataset: its shape is {array.shape}, but has to be {shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite.")
    return array.reshape(shape)


def target_rows(y: np.ndarray) -> np.ndarray:
    """Targets (T, n) in float64 of y (n,) or (n, T)."""
    return np.ascontiguousarray(np.atleast_2d(y.T), dtype=np.float64)


def warn_of_copy(X: Any) -> None:
    """Warn if X is a large memory map that scikit-learn's validation is going to copy into memory."""
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
