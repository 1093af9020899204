"""Along a line, a quadratic model plus a penalty with kinks at zero is a piecewise quadratic: where it is lowest."""

from __future__ import annotations

import numpy as np

from ..penalties import Penalty


def crossing(here: np.ndarray, move: np.ndarray, penalty: Penalty) -> np.ndarray:
    """Which coefficients (N,) reach or cross a kink at zero as they go from `here` by `move`."""
    return ((here + move) * here <= 0.0) & penalty.non_smooth & (move != 0.0)


def lowest_on_the_way(
    here: np.ndarray, move: np.ndarray, crosses: np.ndarray, penalty: Penalty, slope: np.ndarray, curved: np.ndarray
) -> tuple[np.ndarray, float]:
    """The lowest point of a model plus the penalty on the way from `here` by `move`, and the decrease up to there.

    Parameters
    ----------
    here, move : ndarray of shape (N,)
        The coefficients, none of them zero, and a descent direction.
    crosses : ndarray of shape (N,)
        See `crossing`.
    penalty : Penalty
        On these coefficients.
    slope : ndarray of shape (N,)
        The gradient at `here`, penalty included.
    curved : ndarray of shape (N,)
        The curvature times `move`.

    Returns
    -------
    end : ndarray of shape (N,)
        A coefficient whose kink is the lowest point is exactly zero.
    decrease : float
    """
    zeros = np.divide(-here, move, out=np.full_like(move, np.inf), where=crosses)
    jumps = (penalty.upper - penalty.lower) * np.abs(move)
    share, change = line_minimum(float(move @ slope), float(move @ curved), zeros[crosses], jumps[crosses])
    return np.where(zeros == share, 0.0, here + share * move), -change


def line_minimum(a: float, b: float, kinks: np.ndarray, jumps: np.ndarray) -> tuple[float, float]:
    """The minimiser over t >= 0 of a t + b t^2/2 + sum_i jumps_i max(0, t - kinks_i), given a < 0 <= b, and its value.

    The minimiser is one of the kinks, exactly, or lies between them.
    """
    order = np.argsort(kinks)
    kinks, jumps = kinks[order], jumps[order]
    slopes = a + b * kinks + np.cumsum(jumps)  # just beyond each kink
    passed = int(np.searchsorted(slopes >= 0.0, True)) if len(kinks) else 0
    t = max(-(a + jumps[:passed].sum()), 0.0) / b if b > 0.0 else np.inf
    t = min(t, float(kinks[passed])) if passed < len(kinks) else t
    return t, a * t + 0.5 * b * t * t + float(jumps[:passed] @ (t - kinks[:passed]))
