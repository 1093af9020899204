"""What every solver returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Solution(NamedTuple):
    """Where a solver stopped."""

    theta: np.ndarray  # (d + 1, K), in the coordinates of the objective
    iterations: int
    gap: float  # (F - F*) / F, or a bound of it; NaN where it is not known
    converged: bool
    remark: str = ""  # what is to be said of it, where that is more than the gap
    bound: bool = False  # whether the gap is a bound that duality gives, or an estimate
