"""What every solver returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Solution(NamedTuple):
    """The point where a solver stopped, and what is known of its gap."""

    theta: np.ndarray  # (d + 1, K), in the coordinates of the objective
    iterations: int
    gap: float  # (F - F*) / F, an estimate or an upper bound; NaN if it is not known
    converged: bool
    remark: str = ""  # the text of a warning; empty: the warning, if there is one, only states the gap
    bound: bool = False  # whether the gap is an upper bound that duality proves
