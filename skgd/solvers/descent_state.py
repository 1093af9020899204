"""The state of a descent, which its stages read and change (see `descent`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..constants import TINY, UNRESOLVED_GAP
from ..models.metric import Metric, MetricFactory
from ..objective import Objective
from .budget import Budget
from .certificates import Rounding, proven_gap
from .passes import MeanObjective
from .solution import Solution

MODEL_GOAL = 1e-3  # the largest relative gap that the minimisation of a model has to resolve, even if `tol` is larger
MODEL_PRECISION = 1e-3  # the share of that gap by which the minimum of a model may be missed


class Start(NamedTuple):
    """Where a fit starts."""

    theta: np.ndarray  # (D, K)
    F: float  # the lowest objective there on any sample of the rows; infinite without samples


@dataclass
class DescentState:
    """The current point of a descent, its metric, and what it knows of its convergence.

    Attributes
    ----------
    objective : Objective
    theta, F, gradient : ndarray of shape (D, K), float, ndarray of shape (D, K)
        The current point, the objective there, and the gradient of its loss part.
    metric : Metric
    remembered : bool
        Whether the metric may be a Hessian that an earlier fit computed at another point.
    budget : Budget
    thorough : bool
        Whether the descent checks the estimated gap before it stops.  The checks use the Hessian of a sample before it was
        shrunk, and a Newton step on all rows where the metric is a corrected diagonal.
    mean_objective : MeanObjective
    make_metric : callable
        Makes a new metric.
    centred : bool
        Whether the columns of theta are kept at a mean of zero, so that theta has no equal shift of all scores.
    values : list of float
        F at the start and after every iteration.
    decreases : list of float
        By how much each model of the current metric fell from the current point to its minimum.
    F_of_metric : float
        F at the point where the metric was made.
    effort : float
        The number of rows of the sample for a new metric, relative to the usual number.
    full_step : bool
        Whether the last step ended at the minimiser of its model.
    damped : bool
        Whether far rows still have surrogate curvature: see `losses.surrogate_curvature`.  It makes steps safer, but models
        fall by less than F.
    zero : float
        A value of F at or below this is zero up to rounding errors.
    scale : float
        The unit of relative gaps: the largest of F, the mean objective and `zero`.
    gap : float
        The estimate of F - F*, in units of `scale`.
    target, slope : ndarray of shape (D, K), float
        The minimiser of the model, and the slope of F towards it.
    near : bool
        Whether the estimated gap is small enough to stop.
    doubtful : bool
        Whether the model without shrinkage falls by more than the tolerance.
    """

    objective: Objective
    theta: np.ndarray
    F: float
    gradient: np.ndarray
    metric: Metric
    remembered: bool
    budget: Budget
    thorough: bool
    mean_objective: MeanObjective
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
        """Whether a new metric is made after every step."""
        return self.metric.refreshable and self.metric.refreshed_every_step

    @property
    def model_precision(self) -> float:
        """By how much the minimum of a model may be missed, in the unit of F."""
        return MODEL_PRECISION * self.model_goal

    @property
    def model_goal(self) -> float:
        """The minimum of a model may be missed by a share of its decrease if the decrease is above this, in the unit of F."""
        return min(self.budget.tol, MODEL_GOAL) * self.scale

    def take_metric(self) -> None:
        """Make a new metric at the current point."""
        self.metric = self.make_metric(self.objective, self.theta, self.effort, False)
        self.decreases, self.F_of_metric, self.remembered = [], self.F, False

    def ended(self) -> Solution:
        """The solution at the current point, with the gap that duality proves if it is small enough, else the estimated one."""
        bound = proven_gap(self.objective, self.theta, self.gradient, self.budget.tol * self.scale)
        gap = self.gap * self.scale if bound is None else bound
        converged = gap <= max(self.budget.tol, UNRESOLVED_GAP) * self.scale
        relative = gap / self.F if self.F > 0.0 else 0.0
        return Solution(self.theta, max(len(self.values) - 1, 1), relative, converged, bound=bound is not None)
