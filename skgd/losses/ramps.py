"""The ramp max(0, t) and its smoothing: non-smooth losses are sums of ramps.

Smoothing over a width w replaces the corner at t = 0 by a parabola for |t| <= w/2.  The smoothed ramp is above the ramp by at
most w/8 there, and equal to it elsewhere.  Width 0 is the ramp itself, which stochastic solvers use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import linked
from .surrogate_curvature import FLAT_SHARE, RISING_SHARE

NONZERO_WIDTH = 1e-300  # the divisor instead of a width of 0; any positive number will do, because the dividend is 0 then


@linked
def ramp(t, width):
    """max(0, t), smoothed over the width."""
    inner = min(max(t + 0.5 * width, 0.0), width)
    return 0.5 * inner * (inner / max(width, NONZERO_WIDTH)) + max(t - 0.5 * width, 0.0)


@linked
def ramp_derivative(t, width):
    """The derivative of the smoothed ramp.  With width 0 it is 0 at t = 0."""
    return min(max((t + 0.5 * width) / max(width, NONZERO_WIDTH), 0.0), 1.0)


@linked
def ramp_curvature(t, width):
    """The second derivative of the smoothed ramp on its parabola, and elsewhere a share of the majorising curvature 1/(2 |t|).

    `surrogate_curvature` explains why linear pieces need a curvature, and why constant pieces need less.
    """
    return (1.0 if 2.0 * abs(t) <= width else RISING_SHARE if t > 0.0 else FLAT_SHARE) / max(2.0 * abs(t), width)


class SumOfRamps(NamedTuple):
    """A piecewise linear-quadratic loss of n scores z: slope z + constant + the sum of rho(sign z + offset) over its ramps.

    Here rho(t) is the maximum of p t - smoothing p^2 / 2 over 0 <= p <= max_slope.  Without smoothing, rho(t) is
    max_slope max(0, t).  With smoothing, rho is 0 for t < 0 and a parabola for t >= 0, which continues as a straight line when
    its slope reaches max_slope (Rockafellar and Wets, 1998, example 11.18).
    """

    slope: np.ndarray | float  # (n,), or one number for all rows
    constant: np.ndarray | float  # (n,), or one number for all rows
    ramps: list[tuple[np.ndarray | float, np.ndarray | float]]  # the sign and the offset of each ramp, (n,) or one number
    max_slope: float = 1.0
    smoothing: float = 0.0
