"""exp, log1p and the logistic function without branches, so that loops over them vectorise.

Their relative error is about 1e-15.
"""

from __future__ import annotations

import numpy as np

from ..compiled.jit import ORDERED, exp2, linked


@linked(fastmath=ORDERED)
def exp(x):
    """exp(x) with a relative error of about 1e-15, for x clipped to [-708, 708].

    With x = k log 2 + r and |r| <= log(2)/2, exp(x) = 2^k exp(r).  exp(r) is computed by its Taylor series of degree 13, and
    2^k by setting the bits of its exponent.  log 2 is split into a sum of two constants.  The product of k and the first one is
    exact, so the two products have to be subtracted in this order.
    """
    finite = min(max(x, -708.0), 708.0) + 0.0 * x  # the last term lets NaN through
    k = np.floor(finite * 1.4426950408889634 + 0.5)
    r = finite - k * 6.93145751953125e-1 - k * 1.42860682030941723212e-6
    # exp = cosh + sinh gives two chains of operations that the processor runs in parallel, instead of one of twice the length.
    t = r * r
    cosh = 1.0 / 479001600.0
    cosh = cosh * t + 1.0 / 3628800.0
    cosh = cosh * t + 1.0 / 40320.0
    cosh = cosh * t + 1.0 / 720.0
    cosh = cosh * t + 1.0 / 24.0
    cosh = cosh * t + 0.5
    cosh = cosh * t + 1.0
    sinh = 1.0 / 6227020800.0
    sinh = sinh * t + 1.0 / 39916800.0
    sinh = sinh * t + 1.0 / 362880.0
    sinh = sinh * t + 1.0 / 5040.0
    sinh = sinh * t + 1.0 / 120.0
    sinh = sinh * t + 1.0 / 6.0
    sinh = sinh * t + 1.0
    return (cosh + r * sinh) * exp2(k)


@linked
def log1p(e):
    """log(1 + e) for e in [0, 1] with a relative error of about 1e-15, by the series of 2 atanh(e / (2 + e))."""
    q = e / (2.0 + e)
    t = q * q
    p = 1.0 / 29.0
    p = p * t + 1.0 / 27.0
    p = p * t + 1.0 / 25.0
    p = p * t + 1.0 / 23.0
    p = p * t + 1.0 / 21.0
    p = p * t + 1.0 / 19.0
    p = p * t + 1.0 / 17.0
    p = p * t + 1.0 / 15.0
    p = p * t + 1.0 / 13.0
    p = p * t + 1.0 / 11.0
    p = p * t + 1.0 / 9.0
    p = p * t + 1.0 / 7.0
    p = p * t + 1.0 / 5.0
    p = p * t + 1.0 / 3.0
    p = p * t + 1.0
    return 2.0 * q * p


@linked
def logistic(z):
    """1 / (1 + exp(-z))."""
    e = exp(-abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)
