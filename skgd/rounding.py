"""Coefficients for X of float32: rounded to float32, and how much that costs the objective."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .constants import TINY
from .coordinates import Coordinates
from .monitoring.warning import warn
from .objective import Objective
from .penalties import penalty_value

FEW_DIGITS = 1e-4  # relative error of a coefficient that only numbers below the normal range of float32 have
NEGLIGIBLE = 1e-6  # rise of the objective, as a share of its value at the start, that is no reason to warn


class Rounded(NamedTuple):
    """Raw coefficients, and what rounding them adds to the objective at most, as a share of it."""

    W: np.ndarray  # (d, K), numbers that float32 holds
    b: np.ndarray  # (K,)
    rise: float


class _Errors(NamedTuple):
    """What rounding changes."""

    coef: np.ndarray  # (d, K), of the coefficients
    intercept: np.ndarray  # (K,), of the intercepts
    scores: np.ndarray  # (d, K), of the scores at one deviation of a column from its mean
    few_digits: np.ndarray  # (d, K), which coefficients have too few digits


def rounded_to_float32(
    objective: Objective, W: np.ndarray, b: np.ndarray, coordinates: Coordinates, tol: float, curve: list[float]
) -> Rounded:
    """Round coefficients (d, K) to float32, and let intercepts (K,) make up for what that changes mean scores by.

    An estimate of the rise of the objective costs no pass.  Where it is too large, the objective is evaluated before and after,
    two passes, and a warning names the number that float32 holds worst, if that is still more than `tol` allows.

    Parameters
    ----------
    objective : Objective
    W : ndarray of shape (d, K)
    b : ndarray of shape (K,)
        Raw coefficients and intercepts.
    coordinates : Coordinates
        Standardised ones.
    tol : float
        Relative rise of the objective that is allowed.
    curve : list of float
        The objective during the fit; its first value is the unit of what is negligible, its last is the value at W and b.
    """
    with np.errstate(over="ignore"):
        coef = W.astype(np.float32).astype(np.float64)
    if not np.isfinite(coef).all():
        return Rounded(W, b, 0.0)  # the estimator refuses such coefficients
    intercept = b + coordinates.mean @ (W - coef)
    errors = _errors(W, coef, intercept, coordinates)
    rise, negligible = _estimated_rise(objective.loss, errors), NEGLIGIBLE * curve[0]
    share = rise / max(curve[-1], TINY)
    if errors.few_digits.any() or not rise <= tol * curve[-1] + negligible:
        before = _value(objective, W, b)
        after = _value(objective, coef, intercept.astype(np.float32).astype(np.float64))
        share = max(after - before, 0.0) / max(before, TINY)
        if not after <= before * (1.0 + tol) + negligible:
            _warn(W, intercept, errors, before, after)
    return Rounded(coef, intercept, share)


def _errors(W: np.ndarray, coef: np.ndarray, intercept: np.ndarray, coordinates: Coordinates) -> _Errors:
    change, scale = np.abs(coef - W), coordinates.scale[:-1, None]
    of_scores = np.divide(change, scale, out=np.zeros_like(W), where=scale > 0.0)
    return _Errors(change, np.abs(intercept.astype(np.float32) - intercept), of_scores, change > FEW_DIGITS * np.abs(W))


def _estimated_rise(loss, errors: _Errors) -> float:
    """What the objective rises by at most, roughly: by curvature times squares where the loss is smooth, else by slopes."""
    error = errors.intercept + errors.scores.sum(axis=0)
    return 0.5 * loss.curvature_bound() * error @ error if loss.smooth() else error.sum()


def _value(objective: Objective, W: np.ndarray, b: np.ndarray) -> float:
    """The objective at raw coefficients.  One pass."""
    return objective.mean_loss(W, b) + penalty_value(W, objective.raw_penalty)


def _warn(W: np.ndarray, intercept: np.ndarray, errors: _Errors, before: float, after: float) -> None:
    """Name the number that float32 holds worst, and a remedy."""
    tiny = errors.few_digits.any()
    what, value, error = "intercept", intercept[errors.intercept.argmax()], errors.intercept.max()
    if tiny or errors.scores.max() > errors.intercept.max():
        worst = np.unravel_index((errors.few_digits if tiny else errors.scores).argmax(), W.shape)
        what, value, error = "coefficient", W[worst], errors.coef[worst]
    warn(
        f"float32 holds the {what} {value:.3g} to {error:.1g} only, and the objective is {after:.3g} instead of "
        f"{before:.3g}: pass X as float64, or {'rescale y' if tiny else 'subtract an offset from its columns'}.",
        ConvergenceWarning,
    )
