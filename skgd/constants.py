"""Constants of floating-point arithmetic that several modules share.  All sums and coefficients are float64 inside."""

from __future__ import annotations

import numpy as np

# The distance from 1 to the next float, 2.2e-16: the relative error of one operation is at most half of it.
EPS = float(np.finfo(float).eps)
# The smallest normal float, 2.2e-308.  Denominators that may be zero are replaced by it.
TINY = float(np.finfo(float).tiny)
# A share of the objective of the intercept-only model.  An objective below it is zero up to the rounding errors of its sums.
ZERO = 8.0 * EPS
# A relative gap (F - F*) / F.  Sums over rows cannot resolve a smaller gap, so a fit that reaches this one has converged even
# if `tol` is smaller.
UNRESOLVED_GAP = 1e-13
