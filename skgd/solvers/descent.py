"""The descent: minimise a quadratic model plus the exact penalty, step there, and read X once for the new gradient.

With an L2 penalty this is Newton's method or BFGS.  With L1 it is its proximal form, whose zeros are exact (Lee, Sun and
Saunders, 2014).  Every iteration has four stages, each a function of the `DescentState`:

1. `model`: minimise the model, and estimate what F has still to lose;
2. `stop`: end where that is within the tolerance and nothing speaks against it;
3. `search`: step towards the model's minimiser, as far as F falls;
4. `refresh`: learn from the step, or take new curvature.

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
from .passes import Descent, Evaluations, Share
from .solution import Solution

NEAR = 0.25  # the share of the tolerance that the estimated gap must be below: an estimate may be too small by as much
# With flat rows the gap must be below this share of what is asked elsewhere.  A model is exact there until a row begins or
# ceases to pay, and its curvature ends at that row.
NEAR_WITH_FLAT_ROWS = 1e-3
# The relative gap from which on all rows count with their own curvature.  With damped rows a Poisson fit of four rows took 130
# iterations to tol=1e-8, and a gamma fit stopped 7 times its tolerance above the minimum.
UNDAMPED_FROM = 1e-3
# A curvature that stalls after so few iterations came from too few rows: the next one takes four times the effort.
EARLY_STALL, MORE_EFFORT = 3, 4.0
OUTDATED = 3.0  # Curvature says nothing of the gap once F has fallen by this factor since it was taken.
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
    share: Share,
    metric: Metric | None = None,
    thorough: bool = True,
) -> Descent:
    """Descend from theta (D, K), or from the `start` if theta is worse.

    All columns of theta share each step.  The first metric is the given one, or the curvature at theta.  See `DescentState` for
    the other parameters.
    """
    state = yield from _begun(objective, theta, start, metric, budget, thorough, share)
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


def _begun(
    objective: Objective,
    theta: np.ndarray,
    start: Start | None,
    metric: Metric | None,
    budget: Budget,
    thorough: bool,
    share: Share,
) -> Evaluations[DescentState]:
    """The state at the lower one of theta and the start."""
    kinked = bool(objective.penalty.non_smooth.any())
    make: MetricFactory = proximal_metric if kinked else QuasiNewton
    # A coupled loss does not see equal shifts of all scores, and an L2 penalty prefers none.
    centred = objective.loss.coupled() and not kinked
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
    return DescentState(objective, theta, F, gradient, metric, remembered, budget, thorough, share, make, centred)


# ---------------------------------------------------------------- 1. model
def model(state: DescentState) -> None:
    """Minimise the model, and estimate the gap."""
    state.zero = state.rounding.below(state.F)
    state.scale = max(state.F, state.share.value, state.zero, TINY)
    goal = state.model_goal if state.thorough else 0.0
    minimum = state.metric.minimise(state.theta, state.gradient, state.model_precision, goal)
    state.target, state.slope = minimum.target, minimum.slope
    if state.centred:
        state.target -= state.target.mean(axis=1, keepdims=True)
    state.decreases.append(max(minimum.decrease, 0.0))
    tol = state.budget.tol
    state.gap = remaining_decrease(state.metric, state.decreases, state.values, tol, state.full_step) / state.scale


def undamp(state: DescentState) -> bool:
    """Near the minimum, let rows far off count with their own curvature; True if the model must be made anew for that.

    If the gap is not yet small enough to stop, the curvature of the next step is early enough.
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
    """The solution, if the descent ends here."""
    tol, iterations = state.budget.tol, len(state.values) - 1
    if state.F <= state.zero:  # no loss is negative
        return Solution(state.theta, max(iterations, 1), 0.0, True, bound=True)
    _judge(state)
    outdated = state.metric.refreshable and OUTDATED * state.F < state.F_of_metric
    if state.near and not outdated and not state.doubtful:
        return state.ended()
    if state.F <= tol * state.values[0] and separates(state.objective, state.F):
        return Solution(state.theta, iterations, 1.0, False, SEPARABLE.format(tol=tol))
    if iterations >= state.budget.max_iter:
        if state.metric.exact_near_minimum and state.metric.refreshed_every_step and state.full_step:
            state.gap = state.decreases[-1] / state.scale  # the curvature is the current point's, so no rate is needed
        return state.ended()
    if state.is_newton:
        state.objective.look_ahead(state.target)
    return None


def _judge(state: DescentState) -> None:
    """Set `near` and `doubtful`; where only a diagonal is known, a Newton step of all rows has the last word."""
    metric, first = state.metric, len(state.decreases) == 1
    flat = metric.exact_near_minimum and state.objective.loss.has_flat_rows()
    near = state.gap <= NEAR * state.budget.tol * (NEAR_WITH_FLAT_ROWS if flat else 1.0)
    # The curvature of a smoothed kink ends where a row leaves it: a step has to tell how far that is.
    untested = state.objective.loss.smoothed() and len(state.values) == 1
    state.near = near and not (state.remembered and first) and not untested
    tolerated, checks = state.budget.tol * state.scale, state.near and state.thorough
    state.doubtful = checks and metric.unshrunk_decrease(state.theta, state.gradient, state.model_precision) > tolerated
    if checks and isinstance(metric, QuasiNewton) and not metric.exact_near_minimum:
        _confirm(state, metric, tolerated)


def _confirm(state: DescentState, metric: QuasiNewton, tolerated: float) -> None:
    """Raise the gap to what the Hessian of all rows promises, unless duality proves that at most `tolerated` is left.

    If that is too much, the descent is not near the minimum, and its next step is the one that promises this.
    """
    if proven_gap(state.objective, state.theta, state.gradient, tolerated) is not None:
        return
    slope = state.gradient + metric.l2 * state.theta
    step, promised = newton_direction(state.objective, state.theta, slope, metric.inverse, NEAR * tolerated)
    state.gap = max(state.gap, promised / state.scale)
    if promised > NEAR * tolerated:
        state.near, state.target, state.slope = False, state.theta + step, float(np.vdot(slope, step))


# ---------------------------------------------------------------- 3. search
def search(state: DescentState) -> Evaluations[Found | None]:
    """A lower point on the way to the target; None without a step if new curvature is worth more, or has to confirm the gap."""
    if state.near or is_stalling(state.metric, state.decreases):
        return None
    return (yield from line_search(state.objective, Ray(state.theta, state.target, state.F, state.slope)))


# ---------------------------------------------------------------- 4. refresh
def refresh(state: DescentState, found: Found | None) -> bool:
    """Move to the point found and learn from the step, or take new curvature; False if neither can lower F any more."""
    if found is not None:
        _move(state, found)
        return True
    first = len(state.decreases) == 1
    if not state.metric.refreshable or (first and not state.doubtful):
        return False
    if state.doubtful or (len(state.decreases) <= EARLY_STALL and not state.remembered):
        state.effort *= MORE_EFFORT
    state.take_metric()
    return True


def _move(state: DescentState, found: Found) -> None:
    """Go on at the point found, with new curvature if every step has its own."""
    state.full_step = found.theta is state.target
    step, change = found.theta - state.theta, found.gradient - state.gradient
    state.theta, state.F, state.gradient = found
    if state.is_newton:
        state.take_metric()
    else:
        state.metric.update(step, change)
    state.values.append(state.F)
    state.budget.history.record(state.F, state.theta)
