"""Full-batch descent in a curvature metric: proximal (quasi-)Newton.

Every iteration minimises a quadratic model of the loss plus the exact penalty, and moves there: with an L2 penalty
this is Newton's method or BFGS, with L1 its proximal form, whose zeros are exact (Lee, Sun and Saunders, 2014).
One iteration reads X once.
"""

from __future__ import annotations

import numpy as np

from ..curvature import Full, Limited, metric_at
from ..history import History
from ..objective import Objective
from ..penalties import penalty_value
from . import Solution

EPS = float(np.finfo(float).eps)
ROUNDING = 1e-13  # relative gap that the arithmetic cannot tell from none
WINDOW = 10  # iterations over which a limited metric has to have gained little
SEPARABLE = (
    "The classes are perfectly separated and nothing is penalised: coefficients grow without end, and the fit stopped "
    "where the objective was below tol={tol:g} of its start. Set penalty='l2' and alpha > 0."
)
SUFFICIENT = 1e-4  # share of the decrease that the slope promises (Armijo)


def minimise(objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History) -> Solution:
    """Minimise from theta until the estimated relative gap is at most `tol`."""
    F, gradient = objective.evaluate(theta)
    history.record(F, theta)
    negligible = 8 * EPS * F  # an objective that fell to this share of its start is zero but for rounding
    values, previous, gap = [F], np.inf, np.inf
    metric, fresh = metric_at(objective, theta), True
    while len(values) <= max_iter:
        # 1. minimise the model
        target = metric.minimise(theta, gradient, 1e-3 * min(tol, 1e-3) * F)
        step = target - theta
        slope = float(np.vdot(gradient, step)) + _penalty_change(objective, theta, target)
        decrease = max(-slope - 0.5 * float(np.vdot(step, metric.product(step))), 0.0)
        # 2. stop on the gap
        gap = _gap(metric, decrease, previous, values, tol) / max(F, negligible, np.finfo(float).tiny)
        if gap <= 0.25 * tol or F <= negligible:
            return Solution(theta, max(len(values) - 1, 1), gap, True)
        if F <= tol * values[0] and _separates(objective, F):
            return Solution(theta, len(values) - 1, 1.0, False, SEPARABLE.format(tol=tol))
        # 3. renew the curvature on a stall
        stalled = metric.renewable and not fresh and decrease > 0.3 * previous
        # 4. step, shortened where it has to be
        found = None if stalled else _search(objective, theta, target, F, slope)
        if found is None:
            if fresh or not metric.renewable:
                break  # rounding: no step along this direction lowers the objective
            metric, fresh, previous = metric_at(objective, theta), True, np.inf
            continue
        new, F_new, new_gradient = found
        # 5. update the curvature
        metric.update(new - theta, new_gradient - gradient)
        theta, F, gradient, previous, fresh = new, F_new, new_gradient, decrease, False
        values.append(F)
        history.record(F, theta)
    return Solution(theta, max(len(values) - 1, 1), gap, gap <= max(tol, ROUNDING))


def _separates(objective: Objective, F: float) -> bool:
    """Whether every row is on its right side and nothing is penalised: then F has no minimiser, its infimum is zero.

    A row on the wrong side, or undecided, alone costs at least log 2 times its weight.
    """
    unpenalised = objective.l1_raw == objective.l2_raw == 0.0
    return unpenalised and objective.loss.scores_are_logits() and F * objective.n < np.log(2.0) * objective.s.min()


def _penalty_change(objective: Objective, old: np.ndarray, new: np.ndarray) -> float:
    return penalty_value(new, objective.l1, objective.l2) - penalty_value(old, objective.l1, objective.l2)


def _gap(metric: Full | Limited, decrease: float, previous: float, values: list[float], tol: float) -> float:
    """What F has still to lose: the model's decrease and those to come, summed as a geometric series.

    The decrease in a limited metric flatters, so there the last `WINDOW` iterations count as well.
    """
    estimate = decrease / (1.0 - min(decrease / previous, 0.9))
    if isinstance(metric, Full) or estimate <= 1e-4 * tol * values[-1]:
        return estimate
    return max(estimate, values[-WINDOW] - values[-1]) if len(values) >= WINDOW else max(estimate, tol * values[-1])


def _search(
    objective: Objective, theta: np.ndarray, target: np.ndarray, F: float, slope: float
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """Backtrack from target towards theta; (new theta, F, gradient), or None if nothing lowers F."""
    t = 1.0
    for _ in range(40):
        new = target if t == 1.0 else theta + t * (target - theta)  # at 1 itself: exact zeros stay
        F_new, gradient = objective.evaluate(new)
        if F_new <= F + SUFFICIENT * t * slope + 4 * EPS * abs(F):
            return new, F_new, gradient
        if np.isfinite(F_new):  # the minimum of the parabola through both values and the slope
            t *= float(np.clip(-0.5 * slope * t / (F_new - F - slope * t), 0.1, 0.5))
        else:
            t *= 0.1
    return None
