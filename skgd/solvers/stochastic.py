"""Steps on mini-batches, epoch after epoch: the loop that sgd, adam and textbook gradient descent share."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from ..fit_cache import FitCache, Progress
from ..models.cost import HessianPlan
from ..models.curvature import Diagonal
from ..models.proximal_metric import proximal_metric
from ..models.quasi_newton import QuasiNewton
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import penalty_value, proximal_step
from . import gd, local_epochs, steps
from .budget import Budget
from .certificates import newton_direction, proven_gap
from .solution import Solution
from .steps import Plan, State, refresh_residuals

DIVERGED = "The objective rose from {:.3g} to {:.3g} in {} epochs: lower eta0, or use learning_rate='auto'."
RISEN = 100.0  # times the start: from there on it is divergence even where the user asked for a number of epochs
FASTER, SLOWER = 2.0, 0.25  # factors of the rate after an epoch that lowered the objective, and after one that raised it
DIVERGES = 0.1  # share of the decrease so far, which noise alone does not undo in an epoch
AFFORDABLE = 0.5  # passes of a model that has the last word on convergence, for each epoch
STEPS = 3  # of descent on a rounded loss, which have that word where the loss has kinks
AGAIN = 1.5  # times the epochs so far, after which it is asked again
TINY = float(np.finfo(float).tiny)
ROUNDING = 1e-13  # share of F at the start below which all of F is rounding
SLOWEST = 1e-6  # rate at which learning_rate='adaptive' gives up, as in SGDClassifier


def minimise(
    objective: Objective, theta: np.ndarray, plan: Plan, options: Options, history: History, kept: FitCache | None = None
) -> Solution:
    """Run epochs until their last half gained too little to matter, or `max_iter`.

    An epoch with a rate from the data that raised a smooth objective is taken back, and the next one has a lower rate.  One
    that lowered it makes the rate higher where it can be: the curvature of a loss, which its curvature_bound bounds, falls as
    rows are decided.

    An error that falls like C/t with the epochs t fell by C/t since t/2: so the change of F since t/2 estimates the
    gap; where convergence is faster it overstates it.  At kinks noise never ends, and what it adds falls as slowly as the
    rate: there the change counts ten times as much.  Explicit rates may never settle: with them the fit ends when F
    has not fallen, for `patience` epochs in a row.

    Before a fit is said to have converged, a quadratic model has to agree, where one is to be had at a share of the cost;
    at kinks, a few steps on the rounded loss.

    Steps go on where the `progress` that is kept says, and tell there how far they have come.
    """
    state, random_state = State(objective, theta, plan), options.random_state
    run_epoch = steps.run_epoch if objective.in_memory else local_epochs.run_epoch
    if kept is not None and kept.progress is not None:
        random_state = deepcopy(kept.progress.random_state)
        _resume(objective, plan, state, kept.progress)
    F, _ = objective.evaluate(theta)
    history.begin(F, theta)
    best, lowest, optimizer_state = theta, F, state.optimizer_state.copy()
    adapts = objective.loss.smooth() and not plan.may_plateau
    faster = adapts and plan.variance_reduced and not objective.loss.constant_curvature()
    values, quiet, gap, converged = [F], 0, np.inf, options.tol is None
    verifies, patient = not plan.may_plateau, 0.0
    caution = 2.0 if objective.loss.smooth() or plan.may_plateau else 20.0
    for epoch in range(1, options.max_iter + 1):
        known = state.steps > 0
        run_epoch(objective, plan, state, random_state, history)
        if kept is not None:
            kept.progress = Progress(state.steps, state.rate_factor, state.optimizer_state.copy(), random_state)
        F, _ = objective.evaluate(state.result())
        if adapts and known and plan.variance_reduced and state.average_from is not None and objective.in_memory:
            F = _renew_average(objective, state, F)
        values.append(F)
        if F <= lowest or not adapts:
            best, lowest, optimizer_state = state.result(), F, state.optimizer_state.copy()
            state.rate_factor *= FASTER if faster and known else 1.0
        else:
            diverges = not F - lowest <= DIVERGES * (values[0] - lowest)  # also if F is not a number
            retreat(objective, plan, state, best, optimizer_state, diverges)
            faster = False
        history.record(lowest, best)
        if options.tol is None:
            continue
        half = values[epoch // 2 :]
        # A share of the rate gets a share of the way, unless there is none to go: from the start every step led up.
        rate_factor = min(state.rate_factor, 1.0) if adapts and lowest < values[0] else 1.0
        change = half[0] - F if plan.may_plateau else max(half) - min(half)
        gap = caution * max(change, 0.0) / (rate_factor * max(F, TINY))
        quiet = quiet + 1 if epoch > 1 and gap <= options.tol else 0
        if quiet >= plan.patience:
            if plan.adaptive and plan.schedule(np.array([state.steps]))[0] * state.rate_factor > SLOWEST:
                state.rate_factor, quiet = state.rate_factor / 5.0, 0
                continue
            if verifies and epoch >= patient:
                modelled = _modelled_gap(objective, best, epoch, options.tol, values[0])
                if modelled > options.tol:
                    gap, quiet, patient = modelled, 0, AGAIN * epoch
                    continue
            converged = epoch >= patient
            if converged:
                break
    risen = F > (1.0 + options.tol if options.tol is not None else RISEN) * values[0]
    if plan.may_plateau and risen and values[0] > 0.0:  # a perceptron's start costs nothing, and any step some
        return Solution(best, epoch, np.inf, False, DIVERGED.format(values[0], F, epoch))
    if not plan.may_plateau and lowest > values[0]:  # the start, of a warm one say, was better than noise allows
        best, history.curve[-1] = theta, values[0]
    if plan.smooth_rate and objective.penalty.kinked.any():
        best, history.curve[-1] = _sparse(objective, best, plan.smooth_rate, epoch)
    bound = _proven(objective, best, options.tol) if verifies and objective.loss.smooth() else None
    return Solution(best, epoch, gap if bound is None else bound, converged or bound is not None, bound=bound is not None)


def _proven(objective: Objective, theta: np.ndarray, tol: float | None) -> float | None:
    """The gap that duality proves, relative to F, if it is within `tol`."""
    F, gradient = objective.evaluate(theta)
    bound = proven_gap(objective, theta, gradient, (tol or 0.0) * F)
    return None if bound is None else bound / max(F, TINY)


def _modelled_gap(objective: Objective, theta: np.ndarray, epochs: int, tol: float, start: float) -> float:
    """What a quadratic model at theta promises, relative to F.

    Where its matrix costs too much beside the epochs, some conjugate gradients do; with kinks there is no such model, and 0 is
    the answer.
    """
    F, gradient = objective.evaluate(theta)
    scale, kinked = max(F, ROUNDING * start, TINY), bool(objective.penalty.kinked.any())
    affordable = HessianPlan(objective).passes <= AFFORDABLE * epochs
    if not objective.loss.smooth():
        return (F - objective.values([_on_rounded(objective, theta)])[0]) / scale if affordable else 0.0
    if affordable:
        metric = (proximal_metric if kinked else QuasiNewton)(objective, theta)
        return metric.minimise(theta, gradient, 1e-3 * tol * scale)[2] / scale
    if kinked:
        return 0.0
    slope, diagonal = gradient + objective.penalty.l2[:, None] * theta, Diagonal(objective, theta)
    most = max(int(AFFORDABLE * epochs), 1)
    return newton_direction(objective, theta, slope, diagonal.solve, tol * scale, most)[1] / scale


def _on_rounded(objective: Objective, theta: np.ndarray) -> np.ndarray:
    """Where a few steps on the loss lead, its kinks rounded so that it rises by less than itself."""
    F, _ = objective.evaluate(theta)
    rounded = objective.with_loss(objective.loss._replace(width=min(1.0 / objective.loss.curvature_bound(), max(F, TINY))))
    return gd.descend(rounded, theta, Budget(0.0, STEPS, History("gd")), thorough=False).theta


def _renew_average(objective: Objective, state: State, F: float) -> float:
    """Start averaging anew at the last iterate where its objective is lower than F, that of the average; the lower one.

    An average lags behind while steps still get far: only where their noise matters it is better.
    """
    last = state.whitening.theta(state.phi)
    F_last = objective.mean_loss(*objective.coordinates.raw(last)) + penalty_value(last, objective.penalty)
    if F_last < F:
        state.average, state.average_from = state.phi.copy(), state.steps
    return min(F, F_last)


def retreat(
    objective: Objective, plan: Plan, state: State, theta: np.ndarray, optimizer_state: np.ndarray, diverges: bool
) -> None:
    """Go back to theta, with the rule's memory then and the residuals of all rows, and on at a lower rate.

    Where steps diverged, it is at once one that heavy rows allow: they are seen once an epoch, and meanwhile the gradient
    that is remembered of them is followed too far.
    """
    state.phi = plan.whitening.phi(theta)
    state.average = state.phi.copy()
    if state.average_from is not None:
        state.average_from = max(state.average_from, state.steps)
    state.rate_factor *= SLOWER
    if diverges and state.rate_factor < 1.0:
        state.rate_factor = min(state.rate_factor, plan.safe_rate_factor())
    if plan.variance_reduced and objective.in_memory:  # parts find their residuals when they are read
        refresh_residuals(objective, plan, state)
    state.optimizer_state = optimizer_state.copy()
    state.optimizer_state[0] = 0.0  # a momentum that had gone too far would go on to


def _resume(objective: Objective, plan: Plan, state: State, progress: Progress) -> None:
    """Go on after as many steps: rates that are steady by now, noise that is reduced at once."""
    if plan.variance_reduced and objective.in_memory:
        refresh_residuals(objective, plan, state)
    state.steps, state.rate_factor = progress.steps, progress.rate_factor
    state.optimizer_state = (
        progress.optimizer_state.copy()
        if progress.optimizer_state.shape == state.optimizer_state.shape
        else np.zeros_like(state.optimizer_state)
    )
    if state.average_from is not None:
        state.average_from = max(state.average_from, state.steps)


def _sparse(objective: Objective, theta: np.ndarray, rate: float, epochs: int) -> tuple[np.ndarray, float]:
    """Full proximal steps: an average of sparse iterates is sparse no more, and these make its zeros exact again.

    One in the metric of the Hessian, an iteration of gd, where that costs no more than the epochs did; and one in that of
    the coordinates, whatever became of the first.
    """
    if objective.loss.smooth() and HessianPlan(objective).passes <= epochs:
        theta = gd.descend(objective, theta, Budget(0.0, 1, History("gd"))).theta
    F, gradient = objective.evaluate(theta)
    for _ in range(10):
        new = proximal_step(theta - rate * gradient, rate, objective.penalty)
        F_new, _ = objective.evaluate(new)
        if F_new <= F:
            return new, F_new
        rate *= 0.5
    return theta, F
