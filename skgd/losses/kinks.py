"""The kink of max(0, t), and its rounding: a parabola where |t| <= width/2, which lies at most width/8 above.

Losses with kinks are sums of it.  Width 0 is the kink itself: what stochastic steps take.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import kernel

TINY = 1e-300  # in place of a width of 0, which nothing can be divided by
SHARE, FLAT = 0.01, 0.001  # of the curvature of a parabola above the loss, that rows beyond the kink count with, and before it


@kernel
def ramp(t, width):
    """max(0, t), rounded."""
    inner = min(max(t + 0.5 * width, 0.0), width)
    return 0.5 * inner * (inner / max(width, TINY)) + max(t - 0.5 * width, 0.0)


@kernel
def step(t, width):
    """Its derivative; 0 at the kink."""
    return min(max((t + 0.5 * width) / max(width, TINY), 0.0), 1.0)


@kernel
def bend(t, width):
    """Its curvature.

    Off the kink it is zero, but rows there have slopes, and the metric must not be singular along them: they count with a
    share of what the parabola has that touches at +-t and lies above, 1/(2 |t|).  All of it would need many more steps, and
    that of heavy rows where they are flat would hold what light ones pull at.
    """
    return (1.0 if 2.0 * abs(t) <= width else SHARE if t > 0.0 else FLAT) / max(2.0 * abs(t), width)


class Ramps(NamedTuple):
    """A loss of one column of n scores z, as slope z + constant + the sum of rho(sign z + offset) of all ramps.

    rho(t) = max of p t - roundness p^2 / 2 over 0 <= p <= box.  That is box max(0, t) where the roundness is 0, and a parabola
    that ends in a straight line elsewhere: a linear-quadratic loss, piece by piece (Rockafellar and Wets, 1998, example 11.18).
    """

    slope: np.ndarray | float  # (n,), or one for all rows
    constant: np.ndarray | float
    ramps: list[tuple[np.ndarray | float, np.ndarray | float]]  # sign and offset
    box: float = 1.0
    roundness: float = 0.0
