"""How fast a descent converges, and how much of the objective it has still to gain."""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..models.metric import Metric
from ..objective import Objective

# The largest rates of convergence that are believed, since 1 / (1 - rate) has no bound: of the models of one metric, and of
# metrics that are new at every step.
SLOWEST_OF_ONE_METRIC, SLOWEST_OF_NEW_METRICS = 0.9, 0.99
WINDOW = 10  # iterations over which a metric without matrices must have gained little, as its models promise too little
FAR_BELOW = 1e-4  # An estimate below this share of the tolerance is believed of any metric.
# New curvature is taken if the current rate gains less than a factor of 1 / 0.03 while the new curvature is paid for.
WORTHWHILE_FACTOR = 0.03


def remaining_decrease(metric: Metric, decreases: list[float], values: list[float], tol: float, full_step: bool) -> float:
    """An estimate of F - F*.

    Parameters
    ----------
    metric : Metric
    decreases : list of float
        What the models of this metric promised, one for every iteration; not empty.
    values : list of float
        F at the start and after every iteration, whatever the metric was.
    tol : float
        The relative gap that ends the descent.
    full_step : bool
        Whether the last step was neither shortened nor extended.

    Notes
    -----
    The extrapolated decrease is enough where the metric is exact near the minimum and its last step was a full one.  Elsewhere
    models and recent gains promise too little: there the estimate is at least what the last `WINDOW` iterations gained.
    """
    estimate = _extrapolated(metric, decreases, values)
    if (metric.exact_near_minimum and full_step) or estimate <= FAR_BELOW * tol * values[-1]:
        return estimate
    if len(values) < WINDOW:
        return max(estimate, tol * values[-1])
    return max(estimate, values[-WINDOW] - values[-1])


def _extrapolated(metric: Metric, decreases: list[float], values: list[float]) -> float:
    """The larger one of two geometric series: the decreases that models promise, and those that F went through.

    A model may be too steep, and an observed rate may be luck.  Where every step has a new metric, there is no rate of its
    decreases.  The observed rate counts there because rows off their kinks, or far on their wrong side, damp the promises.
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
    """Whether new curvature is worth its cost.

    It is, if the passes that it costs and one more would gain less at the current rate than new curvature is expected to.
    """
    recent = decreases[-4:]
    if not metric.refreshable or len(recent) < 2 or recent[0] == 0.0:
        return False
    rate = (recent[-1] / recent[0]) ** (1.0 / (len(recent) - 1))
    return rate > WORTHWHILE_FACTOR ** (1.0 / (1.0 + metric.passes))


def separates(objective: Objective, F: float) -> bool:
    """Whether F shows that all rows are on their right side and nothing is penalised, so that F has no minimiser.

    A row that is undecided or on the wrong side alone costs at least log 2 times its weight.
    """
    undecided = np.log(2.0) * objective.data.smallest_weight() / objective.n
    return objective.unpenalised and objective.loss.attains_zero_only_at_infinity() and F < undecided
