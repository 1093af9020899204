"""Epochs of steps on mini-batches: the loop that sgd, adam and gradient descent with explicit rates share."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from ..constants import TINY
from ..fit_cache import FitCache, Progress
from ..models import column_metric
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from . import local_epochs, steps
from .certificates import proven_gap
from .descent import SEPARABLE
from .model_steps import ModelSteps
from .polishing import polish
from .rate_control import RateController
from .solution import Solution
from .steps import Plan, State, reduces_variance, refresh_residuals
from .stopping import StoppingRule

DIVERGED = "The objective rose from {:.3g} to {:.3g} in {} epochs: lower eta0, or use learning_rate='auto'."


def minimise(
    objective: Objective,
    theta: np.ndarray,
    plan: Plan,
    options: Options,
    history: History,
    cache: FitCache | None = None,
    warm: bool = False,
) -> Solution:
    """Run epochs until the stopping rule is satisfied, or `max_iter` of them.

    An epoch costs one pass over X for the steps, and a few more for the objective and a step on all rows.

    Parameters
    ----------
    objective : Objective
        The objective in the coordinates of the plan.
    theta : ndarray of shape (d + 1, K)
        The starting point.
    plan : Plan
    options : Options
    history : History
    cache : FitCache or None
        Holds the progress of an earlier fit, which this fit continues, and receives the progress of this fit.  None: the fit
        starts anew and leaves no progress.
    warm : bool
        Whether theta is near the minimum, so that the variance of gradients is reduced from the first epoch on.
    """
    state, random_state = _begin(objective, theta, plan, options, cache, warm)
    run_epoch = steps.run_epoch if objective.in_memory else local_epochs.run_epoch
    start, _ = objective.evaluate(theta)
    history.begin(start, theta)
    control = RateController(objective, plan, state, theta, start)
    stop = StoppingRule(plan, options.tol, start)
    models = ModelSteps(objective, plan, options.tol, start) if control.follows_objective else None
    if models is not None and state.steps:  # a warm start is near the minimum
        models.advance(state, control, epochs=1)
        state.start_from(control.best)
    for epoch in range(1, options.max_iter + 1):
        # 1. step once on every mini-batch
        variance_reduced = reduces_variance(plan, state)
        finite = run_epoch(objective, plan, state, random_state)
        if not (finite or control.follows_objective):
            history.overflow(stepped=_has_finite_squares(objective))
        if cache is not None:
            cache.progress = Progress(state.steps, state.rate_factor, state.optimizer_state.copy(), random_state)
        # 2. evaluate the result
        F = objective.evaluate(state.result())[0] if finite else np.inf
        # 3. keep or undo the epoch, set the rate of the next one, and step on all rows
        control.update(F, variance_reduced)
        minimum = None if models is None else models.advance(state, control, epoch)
        history.record(control.lowest, control.best)
        # 4. stop where a model says so, or where the fit has settled and the rate cannot be divided
        settled = stop.settles(F, control.share_of_rate)
        if models is not None:
            separated = stop.is_separated(objective, control.lowest)
            if separated or stop.agrees(models, minimum, settled, control.lowest):
                break
            state.start_from(control.best)
        elif settled:
            if not control.divide():
                stop.converged = True
                break
            stop.start_anew()
    return _solution(objective, plan, options.tol, history, control, stop)


def _solution(
    objective: Objective,
    plan: Plan,
    tol: float | None,
    history: History,
    control: RateController,
    stop: StoppingRule,
) -> Solution:
    """The solution after the last epoch: the best point, polished if the penalty is not smooth, so that zeros are exact."""
    best, epochs = control.best, stop.epochs
    if not plan.may_plateau and stop.is_separated(objective, control.lowest):
        return Solution(best, epochs, 1.0, False, SEPARABLE.format(tol=tol))
    if plan.may_plateau and stop.has_risen():
        return Solution(best, epochs, np.inf, False, DIVERGED.format(stop.start, stop.last, epochs))
    if plan.may_plateau:
        return Solution(best, epochs, stop.gap, stop.converged)
    exact = not (control.best_is_average or column_metric.is_worthwhile(objective))  # sparse columns have rough models
    if plan.proximal_rate and objective.penalty.non_smooth.any() and not exact:
        best, history.curve[-1] = polish(objective, best, plan.proximal_rate, epochs)
    return _certified(objective, best, stop, tol)


def _begin(
    objective: Objective, theta: np.ndarray, plan: Plan, options: Options, cache: FitCache | None, warm: bool
) -> tuple[State, np.random.RandomState]:
    """The state at theta, and the generator of the random orders of rows.

    With progress in the cache, the state continues the earlier fit: the number of steps, the factor of the rate and the
    optimizer state are the same, and the variance of gradients is reduced from the first epoch on.
    """
    state, progress = State(objective, theta, plan), None if cache is None else cache.progress
    if (warm or progress is not None) and plan.variance_reduced and objective.in_memory:
        refresh_residuals(objective, plan, state)
    if progress is None:
        state.steps = -(-objective.n // plan.batch_size) if warm else 0
        state.restart_average()
        return state, options.random_state
    state.steps, state.rate_factor = progress.steps, progress.rate_factor
    same = progress.optimizer_state.shape == state.optimizer_state.shape
    state.optimizer_state = progress.optimizer_state.copy() if same else np.zeros_like(state.optimizer_state)
    state.restart_average()
    return state, deepcopy(progress.random_state)


def _has_finite_squares(objective: Objective) -> bool:
    """Whether the squares of all columns of X are in the range of floats.  If they are not, no rate suits X."""
    return objective.in_memory or bool(np.isfinite(objective.data.column_moments.squares).all())


def _certified(objective: Objective, theta: np.ndarray, stop: StoppingRule, tol: float | None) -> Solution:
    """The solution theta, with the gap that duality proves if it is within `tol`, else with the estimated gap."""
    F, gradient = objective.evaluate(theta)
    proven = proven_gap(objective, theta, gradient, (tol or 0.0) * F)
    if proven is None:
        return Solution(theta, stop.epochs, stop.gap, stop.converged)
    return Solution(theta, stop.epochs, proven / max(F, TINY), True, bound=True)
