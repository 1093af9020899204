"""What every solver returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Solution(NamedTuple):
    """Where a solver stopped."""

    theta: np.ndarray  # (d + 1, K), in the coordinates of the objective
    iterations: int
    gap: float  # (F - F*) / F, estimated or bounded; NaN where it is not known
    converged: bool
    remark: str = ""  # the text of a warning, if there is more to say than how large the gap is
    bound: bool = False  # whether duality proves the gap, or it is an estimate
