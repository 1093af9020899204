"""Rounding of coefficients to float32 for X of float32, and how much this raises the objective."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .constants import TINY
from .coordinates import Coordinates
from .monitoring.warning import warn
from .objective import Objective
from .penalties import penalty_value

FEW_DIGITS = 1e-4  # relative error of a rounded coefficient; only numbers below the normal range of float32 exceed it
NEGLIGIBLE = 1e-6  # a rise of the objective by this fraction of its value at the start is no reason to warn


class Rounded(NamedTuple):
    """Rounded raw coefficients."""

    W: np.ndarray  # (d, K), numbers that float32 represents exactly
    b: np.ndarray  # (K,)
    rise: float  # the relative rise of the objective by rounding, at most


class _Errors(NamedTuple):
    """Absolute errors by rounding."""

    coef: np.ndarray  # (d, K), the errors of the coefficients
    intercept: np.ndarray  # (K,), the errors of the intercepts
    scores: np.ndarray  # (d, K), the errors of scores in a row whose column is one standard deviation from its mean
    few_digits: np.ndarray  # (d, K), whether a coefficient has lost too many digits


def rounded_to_float32(
    objective: Objective, W: np.ndarray, b: np.ndarray, coordinates: Coordinates, tol: float, curve: list[float]
) -> Rounded:
    """Round the coefficients to float32, and change the intercepts so that the mean scores stay the same.

    The rise of the objective is estimated, which costs no pass.  If the estimate is too large, the objective is evaluated
    before and after rounding, which costs two passes.  If it rises by more than `tol` allows, a warning names the coefficient
    or intercept that float32 represents worst.

    Parameters
    ----------
    objective : Objective
    W : ndarray of shape (d, K)
    b : ndarray of shape (K,)
        Raw coefficients and intercepts.
    coordinates : Coordinates
        The standardised coordinates of the columns.
    tol : float
        The relative rise of the objective that is allowed.
    curve : list of float
        The objective during the fit.  A rise is negligible relative to the first value; the last is the value at W and b.
    """
    with np.errstate(over="ignore"):
        coef = W.astype(np.float32).astype(np.float64)
    if not np.isfinite(coef).all():
        return Rounded(W, b, 0.0)  # the estimator raises an error for coefficients that float32 cannot represent
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
    """A rough upper estimate of the rise of the objective: second-order for smooth losses, else slopes of 1 times errors."""
    error = errors.intercept + errors.scores.sum(axis=0)
    return 0.5 * loss.curvature_bound() * error @ error if loss.smooth() else error.sum()


def _value(objective: Objective, W: np.ndarray, b: np.ndarray) -> float:
    """The objective at raw coefficients.  One pass."""
    return objective.mean_loss(W, b) + penalty_value(W, objective.raw_penalty)


def _warn(W: np.ndarray, intercept: np.ndarray, errors: _Errors, before: float, after: float) -> None:
    """Warn of the number that float32 represents worst, and name a remedy."""
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
