"""The minimum along a line of a quadratic model plus a non-smooth penalty.

Along a line this sum is a piecewise quadratic function.  Its kinks are the points where its slope jumps: where a coefficient
with a non-smooth penalty crosses zero.
"""

from __future__ import annotations

import numpy as np

from ..penalties import Penalty


def crossing(here: np.ndarray, move: np.ndarray, penalty: Penalty) -> np.ndarray:
    """Which coefficients (N,) with a non-smooth penalty reach or cross zero on the way from `here` to `here + move`."""
    return ((here + move) * here <= 0.0) & penalty.non_smooth & (move != 0.0)


def lowest_on_the_way(
    here: np.ndarray, move: np.ndarray, crosses: np.ndarray, penalty: Penalty, slope: np.ndarray, curved: np.ndarray
) -> tuple[np.ndarray, float]:
    """The lowest point of the model plus the penalty on the ray from `here` in the direction `move`, and the decrease there.

    Parameters
    ----------
    here, move : ndarray of shape (N,)
        The coefficients, none of which is zero, and a descent direction.
    crosses : ndarray of shape (N,)
        The result of `crossing`.
    penalty : Penalty
        The penalty on these coefficients.
    slope : ndarray of shape (N,)
        The gradient of the model plus the penalty at `here`.
    curved : ndarray of shape (N,)
        The Hessian of the model plus the penalty, times `move`.

    Returns
    -------
    end : ndarray of shape (N,)
        The lowest point.  If it is a kink, the coefficient that crosses zero there is exactly zero.
    decrease : float
        By how much the model plus the penalty is lower at `end` than at `here`.
    """
    zeros = np.divide(-here, move, out=np.full_like(move, np.inf), where=crosses)
    jumps = (penalty.upper - penalty.lower) * np.abs(move)
    share, change = line_minimum(float(move @ slope), float(move @ curved), zeros[crosses], jumps[crosses])
    return np.where(zeros == share, 0.0, here + share * move), -change


def line_minimum(a: float, b: float, kinks: np.ndarray, jumps: np.ndarray) -> tuple[float, float]:
    """The minimiser over t >= 0 of a t + b t^2/2 + sum_i jumps_i max(0, t - kinks_i), given a < 0 <= b, and its value.

    A minimiser at one of the kinks is returned exactly.
    """
    order = np.argsort(kinks)
    kinks, jumps = kinks[order], jumps[order]
    slopes = a + b * kinks + np.cumsum(jumps)  # the slopes just beyond each kink
    passed = int(np.searchsorted(slopes >= 0.0, True)) if len(kinks) else 0
    t = max(-(a + jumps[:passed].sum()), 0.0) / b if b > 0.0 else np.inf
    t = min(t, float(kinks[passed])) if passed < len(kinks) else t
    return t, a * t + 0.5 * b * t * t + float(jumps[:passed] @ (t - kinks[:passed]))
