"""What a descent knows between its stages (see `descent`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..constants import TINY, UNRESOLVED_GAP
from ..models.metric import Metric, MetricFactory
from ..objective import Objective
from .budget import Budget
from .certificates import Rounding, proven_gap
from .passes import Share
from .solution import Solution

MODEL_GOAL = 1e-3  # the largest relative gap that models are minimised for, whatever `tol` is
MODEL_PRECISION = 1e-3  # the share of that gap by which the minimum of a model may be missed


class Start(NamedTuple):
    """Where a fit starts, and the objective there as far as a sample of the rows tells it."""

    theta: np.ndarray
    F: float


@dataclass
class DescentState:
    """What a descent knows between its stages.

    Attributes
    ----------
    objective : Objective
    theta, F, gradient : ndarray of shape (D, K), float, ndarray of shape (D, K)
        The current point, the objective there, and the gradient of its loss part.
    metric : Metric
    remembered : bool
        Whether the metric may have been taken at a point of an earlier fit.
    budget : Budget
    thorough : bool
        Whether the descent stops only after it has looked for what sampled and rough models hide.
    share : Share
    make_metric : callable
        Takes a new metric.
    centred : bool
        Whether theta has no part along equal shifts of all scores.
    values : list of float
        F at the start and after every iteration.
    decreases : list of float
        What the models of the current metric promised.
    F_of_metric : float
        F where the metric was taken.
    effort : float
        How many rows new curvature takes, relative to the usual number.
    full_step : bool
        Whether the last step went to the target of its model.
    damped : bool
        Whether rows far off still count with more curvature than they have: steps are shorter, but promise too little.
    zero : float
        The largest F here that is zero but for rounding.
    scale : float
        What gaps are relative to: F, or the column's share of all columns' objective if that is larger.
    gap : float
        The estimate of F - F*, relative to the scale.
    target, slope : ndarray of shape (D, K), float
        Where the next step leads, and the slope of F towards it.
    near, doubtful : bool
        Whether the gap is small enough to stop, and whether an unshrunk sample says otherwise.
    """

    objective: Objective
    theta: np.ndarray
    F: float
    gradient: np.ndarray
    metric: Metric
    remembered: bool
    budget: Budget
    thorough: bool
    share: Share
    make_metric: MetricFactory
    centred: bool
    values: list[float] = field(init=False)
    decreases: list[float] = field(init=False, default_factory=list)
    F_of_metric: float = field(init=False)
    effort: float = 1.0
    full_step: bool = True
    damped: bool = field(init=False)
    zero: float = 0.0
    scale: float = TINY
    gap: float = np.inf
    target: np.ndarray = field(init=False)
    slope: float = 0.0
    near: bool = False
    doubtful: bool = False

    def __post_init__(self) -> None:
        self.values, self.F_of_metric = [self.F], self.F
        self.damped = self.objective.loss.damps_far_rows()
        self.rounding = Rounding(self.objective, self.F)

    @property
    def is_newton(self) -> bool:
        """Whether every step has a curvature of its own."""
        return self.metric.refreshable and self.metric.refreshed_every_step

    @property
    def model_precision(self) -> float:
        """By how much the minimum of a model may be missed, in the unit of F."""
        return MODEL_PRECISION * self.model_goal

    @property
    def model_goal(self) -> float:
        """The decrease, in the unit of F, above which the minimum of a model need not be exact."""
        return min(self.budget.tol, MODEL_GOAL) * self.scale

    def take_metric(self) -> None:
        """Take new curvature at the current point."""
        self.metric = self.make_metric(self.objective, self.theta, self.effort, False)
        self.decreases, self.F_of_metric, self.remembered = [], self.F, False

    def ended(self) -> Solution:
        """The solution at the current point.  Its gap is the one that duality proves if that is small, else the estimate."""
        bound = proven_gap(self.objective, self.theta, self.gradient, self.budget.tol * self.scale)
        gap = self.gap * self.scale if bound is None else bound
        converged = gap <= max(self.budget.tol, UNRESOLVED_GAP) * self.scale
        relative = gap / self.F if self.F > 0.0 else 0.0
        return Solution(self.theta, max(len(self.values) - 1, 1), relative, converged, bound=bound is not None)
