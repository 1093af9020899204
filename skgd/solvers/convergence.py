"""Estimates of the gap F - F* of a descent, from its rate of convergence."""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..models.metric import Metric
from ..objective import Objective

# Rates of convergence are limited to these values, because the sum 1 / (1 - rate) of a geometric series has no bound.  The
# first one is for the iterations of one metric, the second one for metrics that are new at every step.
SLOWEST_OF_ONE_METRIC, SLOWEST_OF_NEW_METRICS = 0.9, 0.99
# A metric without a Hessian converges slowly, and its models fall by less than F - F*.  So the gap is estimated to be no less
# than the fall of F over so many iterations.
WINDOW = 10
FAR_BELOW = 1e-4  # An estimate below this share of the tolerance is accepted from any metric.
# A new metric is made if the decreases of the current one would not fall to this share during the passes that the new one
# costs.
WORTHWHILE_FACTOR = 0.03


def remaining_decrease(metric: Metric, decreases: list[float], values: list[float], tol: float, full_step: bool) -> float:
    """An estimate of F - F*.

    Parameters
    ----------
    metric : Metric
    decreases : list of float
        By how much each model of this metric fell to its minimum, one number for every iteration.  Not empty.
    values : list of float
        F at the start and after every iteration, whatever the metric was.
    tol : float
        The relative gap that ends the descent.
    full_step : bool
        Whether the last step was neither shortened nor extended by the line search.

    Notes
    -----
    The extrapolated decrease is a good estimate if the metric is exact near the minimum and the last step was a full one.
    Otherwise it may be too small, so the estimate is at least the fall of F over the last `WINDOW` iterations.
    """
    estimate = _extrapolated(metric, decreases, values)
    if (metric.exact_near_minimum and full_step) or estimate <= FAR_BELOW * tol * values[-1]:
        return estimate
    if len(values) < WINDOW:
        return max(estimate, tol * values[-1])
    return max(estimate, values[-WINDOW] - values[-1])


def _extrapolated(metric: Metric, decreases: list[float], values: list[float]) -> float:
    """The larger sum of two geometric series: one continues the decreases of the models, the other one the decreases of F.

    Either of them alone may be too small.  If every step has a new metric, the decreases of its models have no rate.  The rate
    of F is used there as well, because surrogate curvature makes the decreases of models too small.
    """
    promised, renewed = decreases[-1], metric.refreshable and metric.refreshed_every_step
    if len(decreases) == 1 and not (renewed and len(values) > 2):
        return promised
    slowest = SLOWEST_OF_NEW_METRICS if renewed else SLOWEST_OF_ONE_METRIC
    rate = min(promised / max(decreases[-2], TINY), slowest) if len(decreases) > 1 else 0.0
    gained = values[-2] - values[-1]
    observed = rate
    if renewed or len(decreases) > 2:
        observed = min(gained / max(values[-3] - values[-2], TINY), slowest)
    return max(promised / (1.0 - rate), gained * observed / (1.0 - observed))


def is_stalling(metric: Metric, decreases: list[float]) -> bool:
    """Whether the metric converges so slowly that a new one is worth its cost.

    It is if the decreases, at their current rate, would not fall to `WORTHWHILE_FACTOR` within the passes that a new metric
    costs plus one more.
    """
    recent = decreases[-4:]
    if not metric.refreshable or len(recent) < 2 or recent[0] == 0.0:
        return False
    rate = (recent[-1] / recent[0]) ** (1.0 / (len(recent) - 1))
    return rate > WORTHWHILE_FACTOR ** (1.0 / (1.0 + metric.passes))


def separates(objective: Objective, F: float) -> bool:
    """Whether F shows that the classes are perfectly separated and nothing is penalised, so that F has no minimiser.

    If a single row has a score of zero or of the wrong sign, its loss is at least log 2 times its weight.
    """
    undecided = np.log(2.0) * objective.data.smallest_weight() / objective.n
    return objective.unpenalised and objective.loss.attains_zero_only_at_infinity() and F < undecided
