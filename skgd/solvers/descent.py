"""The descent: Newton or quasi-Newton steps, or proximal ones if the penalty is not smooth (Lee, Sun and Saunders, 2014).

Every iteration minimises a quadratic model of the loss plus the penalty, steps there, and makes one pass over X for the new
gradient.  It has four stages, each of them a function of the `DescentState`:

1. `model` minimises the model, and estimates the gap F - F*.
2. `stop` ends the descent if the gap is within the tolerance, and if further checks agree.
3. `search` makes a step towards the minimiser of the model, by a line search.
4. `refresh` corrects the metric by this step, or makes a new metric.

Between the first two, `undamp` lets rows far off count with their own curvature once the minimum is near.

A descent is a generator: it yields the points at which it needs the objective (see `passes`).
"""

from __future__ import annotations

import numpy as np

from ..constants import TINY
from ..models.metric import Metric, MetricFactory
from ..models.proximal_metric import proximal_metric
from ..models.quasi_newton import QuasiNewton
from ..objective import Objective
from .budget import Budget
from .certificates import newton_direction, proven_gap
from .convergence import is_stalling, remaining_decrease, separates
from .descent_state import DescentState, Start
from .line_search import Found, Ray, line_search
from .passes import Descent, Evaluations, MeanObjective
from .solution import Solution

NEAR = 0.25  # The estimated gap must be below this share of the tolerance, because an estimate may be too small.
# If rows whose loss is zero have no curvature, the estimated gap must even be below this share of NEAR.  The model is wrong as
# soon as a row gains or loses curvature.
NEAR_WITH_FLAT_ROWS = 1e-3
# Below this relative gap far rows are no longer damped.  With damped rows a Poisson fit of four rows took 130 iterations to
# tol=1e-8, and a gamma fit stopped 7 times its tolerance above the minimum.
UNDAMPED_FROM = 1e-3
# If a metric stalls after at most EARLY_STALL iterations, the next one is made from MORE_EFFORT times as many rows.
EARLY_STALL, MORE_EFFORT = 3, 4.0
# A Newton step whose gain is so close to that of its model, relatively, shows that curvature hardly changed along it.  The next
# gap is then estimated by the same Hessian, times a factor for what this does not see.
AS_PROMISED, CAUTION = 0.25, 4.0
OUTDATED = 3.0  # A metric says nothing about the gap once F has fallen by this factor since the metric was made.
SEPARABLE = (
    "The classes are perfectly separated and nothing is penalised: coefficients grow without end, and the fit stopped "
    "where the objective was below tol={tol:g} of its start. Set penalty='l2' and alpha > 0."
)


def descend_column(
    objective: Objective,
    theta: np.ndarray,
    start: Start | None,
    budget: Budget,
    *,
    mean_objective: MeanObjective,
    metric: Metric | None = None,
    thorough: bool = True,
) -> Descent:
    """Minimise F by all columns of theta (D, K) jointly, from theta or from the `start` if F is lower there.

    The first metric is `metric`, or a new one at theta.  `DescentState` explains the other parameters.
    """
    state = yield from _initial_state(objective, theta, start, metric, budget, thorough, mean_objective)
    while True:
        model(state)
        if undamp(state):
            continue
        solution = stop(state)
        if solution is not None:
            return solution
        found = yield from search(state)
        if not refresh(state, found):
            return state.ended()


def _initial_state(
    objective: Objective,
    theta: np.ndarray,
    start: Start | None,
    metric: Metric | None,
    budget: Budget,
    thorough: bool,
    mean_objective: MeanObjective,
) -> Evaluations[DescentState]:
    """The state at theta, or at the start if F is lower there."""
    non_smooth = bool(objective.penalty.non_smooth.any())
    make: MetricFactory = proximal_metric if non_smooth else QuasiNewton
    # Equal shifts of all scores do not change a coupled loss, and an L2 penalty is lowest without such a shift.
    centred = objective.loss.coupled() and not non_smooth
    if centred:
        theta = theta - theta.mean(axis=1, keepdims=True)
    remembered = bool(objective.cache.curvature)
    metric = metric or make(objective, theta, 1.0, True)
    F, gradient = yield theta
    if start is not None and not start.F >= F:
        F_start, gradient_start = yield start.theta
        if not F_start >= F:
            theta, F, gradient = start.theta, F_start, gradient_start
            metric = make(objective, theta, 1.0, False)
    budget.history.begin(F, theta)
    return DescentState(objective, theta, F, gradient, metric, remembered, budget, thorough, mean_objective, make, centred)


# ---------------------------------------------------------------- 1. model
def model(state: DescentState) -> None:
    """Minimise the model plus the penalty, and estimate the gap."""
    state.zero = state.rounding.below(state.F)
    state.scale = max(state.F, state.mean_objective.value, state.zero, TINY)
    goal = state.model_goal if state.thorough else 0.0
    minimum = state.metric.minimise(state.theta, state.gradient, state.model_precision, goal)
    state.target, state.slope = minimum.target, minimum.slope
    if state.centred:
        state.target -= state.target.mean(axis=1, keepdims=True)
    state.decreases.append(max(minimum.decrease, 0.0))
    tol = state.budget.tol
    state.gap = remaining_decrease(state.metric, state.decreases, state.values, tol, state.full_step) / state.scale


def undamp(state: DescentState) -> bool:
    """Near the minimum, replace the surrogate curvature of far rows by their second derivatives.

    Returns True if the model has to be minimised again, with a new metric.  That is so if the gap is small enough to stop; else
    the metric of the next step is made without damping anyway.
    """
    near = NEAR * state.budget.tol
    if not (state.damped and state.gap <= max(near, UNDAMPED_FROM) and state.is_newton and state.F > state.zero):
        return False
    state.objective, state.damped = state.objective.with_own_curvature(), False
    if state.gap > near:
        return False
    state.take_metric()
    return True


# ---------------------------------------------------------------- 2. stop
def stop(state: DescentState) -> Solution | None:
    """The solution if the descent ends at the current point, else None."""
    tol, iterations = state.budget.tol, len(state.values) - 1
    if state.F <= state.zero:  # no loss is negative
        return Solution(state.theta, max(iterations, 1), 0.0, True, bound=True)
    _check_gap(state)
    outdated = state.metric.refreshable and OUTDATED * state.F < state.F_of_metric
    if state.near and not outdated and not state.doubtful:
        return state.ended()
    if state.F <= tol * state.values[0] and separates(state.objective, state.F):
        return Solution(state.theta, iterations, 1.0, False, SEPARABLE.format(tol=tol))
    if iterations >= state.budget.max_iter:
        if state.metric.exact_near_minimum and state.metric.refreshed_every_step and state.full_step:
            state.gap = state.decreases[-1] / state.scale  # the metric was made here, so no extrapolation is needed
        return state.ended()
    if state.is_newton:
        state.objective.look_ahead(state.target)
    return None


def _check_gap(state: DescentState) -> None:
    """Set `near` and `doubtful`.  Where the metric is a corrected diagonal, a Newton step on all rows checks the gap."""
    metric, first = state.metric, len(state.decreases) == 1
    flat = metric.exact_near_minimum and state.objective.loss.has_flat_rows()
    near = state.gap <= NEAR * state.budget.tol * (NEAR_WITH_FLAT_ROWS if flat else 1.0)
    # The model of a smoothed loss is wrong as soon as a row leaves its parabola, so one step has to be made before.
    untested = state.objective.loss.smoothed() and len(state.values) == 1
    state.near = near and not (state.remembered and first) and not untested
    tolerated, checks = state.budget.tol * state.scale, state.near and state.thorough
    state.doubtful = checks and metric.unshrunk_decrease(state.theta, state.gradient, state.model_precision) > tolerated
    if checks and isinstance(metric, QuasiNewton) and not metric.exact_near_minimum:
        _check_by_newton_step(state, metric, tolerated)


def _check_by_newton_step(state: DescentState, metric: QuasiNewton, tolerated: float) -> None:
    """Raise the estimated gap to the decrease of a Newton step on all rows, unless duality proves F - F* <= tolerated.

    If this decrease is too large to stop, the next step of the descent is the Newton step.
    """
    if proven_gap(state.objective, state.theta, state.gradient, tolerated) is not None:
        return
    slope = state.gradient + metric.l2 * state.theta
    step, promised, _ = newton_direction(state.objective, state.theta, slope, metric.inverse, NEAR * tolerated)
    state.gap = max(state.gap, promised / state.scale)
    if promised > NEAR * tolerated:
        state.near, state.target, state.slope = False, state.theta + step, float(np.vdot(slope, step))


# ---------------------------------------------------------------- 3. search
def search(state: DescentState) -> Evaluations[Found | None]:
    """A lower point on the way to the target.  None if no step is made, because a new metric has to be made first."""
    if state.near or is_stalling(state.metric, state.decreases):
        return None
    return (yield from line_search(state.objective, Ray(state.theta, state.target, state.F, state.slope)))


# ---------------------------------------------------------------- 4. refresh
def refresh(state: DescentState, found: Found | None) -> bool:
    """Move to the point found, or make a new metric.  False if F is near its minimum, or if nothing can lower it."""
    if found is not None:
        return _move(state, found)
    first = len(state.decreases) == 1
    if not state.metric.refreshable or (first and not state.doubtful):
        return False
    if state.doubtful or (len(state.decreases) <= EARLY_STALL and not state.remembered):
        state.effort *= MORE_EFFORT
    state.take_metric()
    return True


def _move(state: DescentState, found: Found) -> bool:
    """Move to the point found.  Make a new metric there if every step has its own, else correct the old one.

    False if the old metric is enough to say that the gap is small.  Then no new one is made.
    """
    state.full_step = found.theta is state.target
    step, change = found.theta - state.theta, found.gradient - state.gradient
    state.theta, state.F, state.gradient = found
    state.values.append(state.F)
    state.budget.history.record(state.F, state.theta)
    if not state.is_newton:
        state.metric.update(step, change)
        return True
    gap = _gap_by_last_metric(state)
    if gap <= NEAR * state.budget.tol:
        state.gap = gap
        return False
    state.take_metric()
    return True


def _gap_by_last_metric(state: DescentState) -> float:
    """A cautious estimate of the gap, in units of `scale`, by the metric of the point before.  Infinite if it is not trusted.

    The metric is trusted if F fell by nearly as much as its model had promised.  It is not if rows gain and lose curvature at
    once, or if the penalty is not smooth.
    """
    loss, promised, fall = state.objective.loss, state.decreases[-1], state.values[-2] - state.F
    smooth = not (loss.has_flat_rows() or loss.smoothed() or state.objective.penalty.non_smooth.any())
    if not (smooth and state.full_step and abs(fall - promised) <= AS_PROMISED * promised):
        return np.inf
    return CAUTION * state.metric.minimise(state.theta, state.gradient, state.model_precision).decrease / state.scale
