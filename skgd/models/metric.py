"""What a descent asks of a metric: a quadratic model of the loss, its minimum with the penalty, and updates.

`QuasiNewton` serves objectives with an L2 penalty at most.  `Full`, `Columns` and `Limited` also take penalties with kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..objective import Objective


class ModelMinimum(NamedTuple):
    """Where a model plus the penalty is lowest, seen from theta."""

    target: np.ndarray  # (D, K), the minimiser
    slope: float  # of F from theta towards the target: of the loss by its gradient, of the penalty by its change
    decrease: float  # of the model plus the penalty, from theta to the target


class Metric(Protocol):
    """The curvature of the loss as far as it is known.

    Attributes
    ----------
    refreshable : bool
        Whether curvature taken at another point would be better.
    exact_near_minimum : bool
        Whether the decrease of its model is the decrease of the objective, near the minimum.
    refreshed_every_step : bool
        Whether new curvature costs so little that every step should have its own.
    passes : float
        The cost of new curvature, in passes over X.
    """

    @property
    def refreshable(self) -> bool: ...

    @property
    def exact_near_minimum(self) -> bool: ...

    @property
    def refreshed_every_step(self) -> bool: ...

    @property
    def passes(self) -> float: ...

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float, goal: float = 0.0) -> ModelMinimum:
        """Minimise the model plus the penalty, given the gradient (D, K) of the loss part at theta (D, K).

        The minimum is missed by `tol` at most, in the unit of F.  Where the model itself is not exact, a share of the decrease
        may be missed, too, unless the decrease is below `goal`.
        """
        ...

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """The decrease of the model whose curvature is a sample's before it was shrunk; 0 where no sample was taken."""
        ...

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Learn that a step (D, K) changed the gradient of the loss part by `change` (D, K)."""
        ...


MetricFactory = Callable[[Objective, np.ndarray, float, bool], Metric]  # from objective, theta, effort and remembered
