"""Minima of quadratic models between epochs, and how much they may cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PASSES_OF_EPOCH = 8.0  # An epoch takes as long as so many passes of all threads.


class Minimum(NamedTuple):
    """The minimum of a quadratic model plus the penalty."""

    target: np.ndarray  # (D, K), the minimiser
    slope: float  # the slope from the point where the model was made towards the target, plus the change of the penalty
    decrease: float  # by how much the model falls from there to the target
    reliable: bool  # whether near the minimum the objective falls by as much


class ModelBudget:
    """Lets models take no longer than epochs."""

    def __init__(self) -> None:
        self._spent = 0.0

    def affords(self, passes: float, epochs: int) -> bool:
        """Whether a model that costs so many passes is affordable after so many epochs."""
        return self._spent + passes <= PASSES_OF_EPOCH * epochs

    def spend(self, passes: float) -> None:
        """Record that a model has cost so many passes."""
        self._spent += passes
