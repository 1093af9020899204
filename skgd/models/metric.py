"""A metric is an approximation of the Hessian of the loss.  This module states what a descent asks of it.

The metric defines a quadratic model of the loss around the current point.  A descent asks for the minimum of this model plus
the penalty, and reports its steps so that the metric can be corrected.  `QuasiNewton` serves objectives without a penalty or
with an L2 penalty.  `Full`, `Columns` and `Limited` also serve non-smooth penalties, such as L1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..objective import Objective


class ModelMinimum(NamedTuple):
    """The minimum of a quadratic model around theta, plus the penalty."""

    target: np.ndarray  # (D, K), the minimiser
    slope: float  # the slope of the loss from theta towards the target, plus the change of the penalty; negative
    decrease: float  # by how much the model plus the penalty falls from theta to the target


class Metric(Protocol):
    """An approximation of the Hessian of the loss part of the objective.

    Attributes
    ----------
    refreshable : bool
        Whether a new metric at the current point would be better than this one.
    exact_near_minimum : bool
        Whether near the minimum the objective falls by as much as the model.
    refreshed_every_step : bool
        Whether a new metric costs so little that it is made after every step.
    passes : float
        The cost of a new metric, in passes over X.
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

        The value at the target is above the minimum by at most `tol`, in the unit of F.  If the loss is not quadratic, it may
        also be above by a share of the decrease, as long as the decrease is larger than `goal`.
        """
        ...

    def unshrunk_decrease(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> float:
        """The decrease of the model without shrinkage: see `curvature.shrunk`.

        It is larger than the decrease of the shrunk model.  0 if the metric was not made from a sample of the rows.
        """
        ...

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Correct the metric, given that a step (D, K) changed the gradient of the loss part by `change` (D, K)."""
        ...


# Makes a metric from an objective, theta, effort and remembered; `curvature.curvature_at` explains the arguments.
MetricFactory = Callable[[Objective, np.ndarray, float, bool], Metric]
