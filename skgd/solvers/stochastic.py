"""Steps on mini-batches, epoch after epoch: the loop that sgd, adam and textbook gradient descent share.

What differs is the update rule, the schedule of rates and the batch; a batch of all rows is gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from ..curvature import Matrices
from ..history import History
from ..memory import Memory, Progress
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet, penalty_value, proximal_step
from ..proximal_metric import proximal_metric
from ..quasi_newton import QuasiNewton
from ..whitening import Whitening
from . import Solution, gd

SEGMENT = 1 << 16  # steps between two returns from compiled code
DIVERGED = "The objective rose from {:.3g} to {:.3g} in {} epochs: lower eta0, or use learning_rate='auto'."
RISEN = 100.0  # times the start: from there on it is divergence even where the user asked for a number of epochs
FASTER, SLOWER = 2.0, 0.25  # factors of the rate after an epoch that lowered the objective, and after one that raised it
DIVERGES = 0.1  # share of the decrease so far, which noise alone does not undo in an epoch
AFFORDABLE = 0.5  # passes of a model that has the last word on convergence, for each epoch
AGAIN = 1.5  # times the epochs so far, after which it is asked again
ROUNDING = 1e-13  # share of F at the start below which all of F is rounding
SLOWEST = 1e-6  # rate at which learning_rate='adaptive' gives up, as in SGDClassifier


@dataclass(frozen=True)
class Plan:
    """How to step.

    Attributes
    ----------
    rule : struct of updates.py
    schedule : callable
        Numbers of steps, from 1 -> rates.
    batch : int
        Rows a step.
    penalty : ElasticNet
    unit : ndarray of shape (K,)
        Scale of the scores of each column.
    average_from : int or None
        The step from which iterates are averaged; None: the last one counts.
    growing : bool
        Whether the average favours late iterates, with weights 2/(t + 1), or is uniform.
    smoothness : float
        Bound of the curvature of the loss, by which the rate of each batch is bounded; 0: it is not.
    whitening : Whitening
        Coordinates to step in.
    reduced : bool
        Whether the noise of steps is reduced from the second epoch on, when all residuals are known.
    run : int
        Rows that stay together when rows are shuffled: random enough, and read in order.
    shuffle : bool
    patience : int
        Epochs in a row without progress that end the fit.
    may_plateau : bool
        Whether F may stay above its minimum for ever, as with a constant rate.
    adaptive : bool
        Whether the rate is divided by 5 instead, while it is above 1e-6.
    smooth_rate : float
        Rate of a full-batch proximal step that cannot overshoot; 0 if unknown.
    safe_pace : callable
        The share of the rate at which the heaviest row cannot overshoot, found when it is needed.
    """

    rule: Any
    schedule: Callable[[np.ndarray], np.ndarray]
    batch: int
    penalty: ElasticNet
    unit: np.ndarray
    whitening: Whitening
    average_from: int | None = None
    growing: bool = False
    smoothness: float = 0.0
    reduced: bool = False
    run: int = 1
    shuffle: bool = True
    patience: int = 1
    may_plateau: bool = False
    adaptive: bool = False
    smooth_rate: float = 0.0
    safe_pace: Callable[[], float] = lambda: 1.0


class State:
    """Where the steps are, in the coordinates of the plan.

    Iterate and average (D, K), the rule's memory (2, D, K), the residuals last seen (K, n) and their gradient (D, K), the
    numbers of steps made and of those before averaging, the factor of all rates.
    """

    def __init__(self, objective: Objective, theta: np.ndarray, plan: Plan) -> None:
        self.whitening = plan.whitening
        self.phi = self.whitening.phi(theta)
        self.average = self.phi.copy()
        self.memory = np.zeros((2, *theta.shape))
        self.table = np.zeros((objective.K, objective.n) if plan.reduced else (0, 0))
        self.known = np.zeros(theta.shape)
        self.steps, self.average_from, self.pace = 0, plan.average_from, 1.0

    def result(self) -> np.ndarray:
        averaged = self.average_from is not None and self.steps >= self.average_from
        return self.whitening.theta(self.average if averaged else self.phi)


def minimise(
    objective: Objective, theta: np.ndarray, plan: Plan, options: Options, history: History, kept: Memory | None = None
) -> Solution:
    """Run epochs until their last half gained too little to matter, or `max_iter`.

    An epoch with a rate from the data that raised a smooth objective is taken back, and the next one has a lower rate.  One
    that lowered it makes the rate higher where it can be: the curvature of a loss, which its smoothness bounds, falls as
    rows are decided.

    An error that falls like C/t with the epochs t fell by C/t since t/2: so the change of F since t/2 estimates the
    gap; where convergence is faster it overstates it.  At kinks noise never ends, and what it adds falls as slowly as the
    rate: there the change counts ten times as much.  Explicit rates may never settle: with them the fit ends when F
    has not fallen, for `patience` epochs in a row.

    Before a fit is said to have converged, a quadratic model has to agree, where one is to be had at a share of the cost.

    Steps go on where the `progress` that is kept says, and tell there how far they have come.
    """
    state, random_state = State(objective, theta, plan), options.random_state
    if kept is not None and kept.progress is not None:
        random_state = deepcopy(kept.progress.random_state)
        _resume(objective, plan, state, kept.progress)
    F, _ = objective.evaluate(theta)
    history.begin(F, theta)
    best, lowest, memory = theta, F, state.memory.copy()
    adapts = objective.loss.smooth() and not plan.may_plateau
    faster = adapts and plan.reduced and not objective.loss.quadratic()
    values, quiet, gap, converged = [F], 0, np.inf, options.tol is None
    verifies, patient = objective.loss.smooth() and not plan.may_plateau, 0.0
    caution = 2.0 if objective.loss.smooth() or plan.may_plateau else 20.0
    for epoch in range(1, options.max_iter + 1):
        known = state.steps > 0
        run_epoch(objective, plan, state, random_state, history)
        if kept is not None:
            kept.progress = Progress(state.steps, state.pace, state.memory.copy(), random_state)
        F, _ = objective.evaluate(state.result())
        if adapts and known and plan.reduced and state.average_from is not None:
            F = _renew_average(objective, state, F)
        values.append(F)
        if F <= lowest or not adapts:
            best, lowest, memory = state.result(), F, state.memory.copy()
            state.pace *= FASTER if faster and known else 1.0
        else:
            diverges = not F - lowest <= DIVERGES * (values[0] - lowest)  # also if F is not a number
            retreat(objective, plan, state, best, memory, diverges)
            faster = False
        history.record(lowest, best)
        if options.tol is None:
            continue
        half = values[epoch // 2 :]
        # A share of the rate gets a share of the way, unless there is none to go: from the start every step led up.
        pace = min(state.pace, 1.0) if adapts and lowest < values[0] else 1.0
        change = half[0] - F if plan.may_plateau else max(half) - min(half)
        gap = caution * max(change, 0.0) / (pace * max(F, np.finfo(float).tiny))
        quiet = quiet + 1 if epoch > 1 and gap <= options.tol else 0
        if quiet >= plan.patience:
            if plan.adaptive and plan.schedule(np.array([state.steps]))[0] * state.pace > SLOWEST:
                state.pace, quiet = state.pace / 5.0, 0
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
    return Solution(best, epoch, gap, converged)


def _modelled_gap(objective: Objective, theta: np.ndarray, epochs: int, tol: float, start: float) -> float:
    """What a quadratic model at theta promises, relative to F; 0 where it costs too much beside the epochs."""
    if Matrices(objective, constant=False).passes > AFFORDABLE * epochs:
        return 0.0
    F, gradient = objective.evaluate(theta)
    scale = max(F, ROUNDING * start, np.finfo(float).tiny)
    metric = (proximal_metric if objective.penalty.kinked.any() else QuasiNewton)(objective, theta)
    return metric.minimise(theta, gradient, 1e-3 * tol * scale)[2] / scale


def _renew_average(objective: Objective, state: State, F: float) -> float:
    """Start averaging anew at the last iterate where its objective is lower than F, that of the average; the lower one.

    An average lags behind while steps still get far: only where their noise matters it is better.
    """
    last = state.whitening.theta(state.phi)
    F_last = objective.mean_loss(*objective.coordinates.raw(last)) + penalty_value(last, objective.penalty)
    if F_last < F:
        state.average, state.average_from = state.phi.copy(), state.steps
    return min(F, F_last)


def retreat(objective: Objective, plan: Plan, state: State, theta: np.ndarray, memory: np.ndarray, diverges: bool) -> None:
    """Go back to theta, with the rule's memory then and the residuals of all rows, and on at a lower rate.

    Where steps diverged, it is at once one that heavy rows allow: they are seen once an epoch, and meanwhile the gradient
    that is remembered of them is followed too far.
    """
    state.phi = plan.whitening.phi(theta)
    state.average = state.phi.copy()
    if state.average_from is not None:
        state.average_from = max(state.average_from, state.steps)
    state.pace *= SLOWER
    if diverges and state.pace < 1.0:
        state.pace = min(state.pace, plan.safe_pace())
    if plan.reduced:
        _look(objective, plan, state)
    state.memory = memory.copy()
    state.memory[0] = 0.0  # a momentum that had gone too far would go on to


def _look(objective: Objective, plan: Plan, state: State) -> None:
    """The residuals of all rows at the iterate, and their gradient: a step of no length on one batch of all rows."""
    state.table[:], state.known[:] = 0.0, 0.0
    still = np.zeros(1)
    _steps(objective, plan, state, np.arange(objective.n), objective.n, still, still, reduced=False)


def _resume(objective: Objective, plan: Plan, state: State, progress: Progress) -> None:
    """Go on after as many steps: rates that are steady by now, noise that is reduced at once."""
    if plan.reduced:
        _look(objective, plan, state)
    state.steps, state.pace = progress.steps, progress.pace
    state.memory = progress.memory.copy() if progress.memory.shape == state.memory.shape else np.zeros_like(state.memory)
    if state.average_from is not None:
        state.average_from = max(state.average_from, state.steps)


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState, history: History) -> None:
    """Step once on every mini-batch; raise ValueError on overflow."""
    n, batch = objective.n, min(plan.batch, objective.n)
    order = _order(n, plan.run, random_state) if plan.shuffle and batch < n else np.arange(n)
    reduced = plan.reduced and state.steps > 0
    if reduced and state.average_from is not None:  # iterates with more noise count no longer
        state.average_from = max(state.average_from, -(-n // batch))
    for first in range(0, n, SEGMENT * batch):
        part = order[first : first + SEGMENT * batch]
        numbers = state.steps + 1.0 + np.arange(-(-len(part) // batch))
        rates, weights = plan.schedule(numbers) * state.pace, _average_weights(plan, state, numbers)
        if not _steps(objective, plan, state, part, batch, rates, weights, reduced):
            history.overflow()
        state.steps += len(numbers)


def _steps(
    objective: Objective,
    plan: Plan,
    state: State,
    order: np.ndarray,
    batch: int,
    rates: np.ndarray,
    weights: np.ndarray,
    reduced: bool,
) -> bool:
    """Step on the mini-batches of `order`; whether all numbers stayed finite."""
    mean, scale = objective.coordinates
    mixing, l2 = plan.whitening
    return kernels.stochastic_steps(
        objective.rows,
        objective.loss,
        plan.penalty,
        plan.rule,
        order,
        batch,
        objective.tile,
        objective.Y,
        objective.s,
        mean,
        scale,
        mixing,
        np.ascontiguousarray(mixing.T),
        np.nan_to_num(objective.penalty.lower),  # 0 times infinity, in a step of rate 0, is no number
        objective.penalty.upper,
        l2,
        rates,
        plan.unit,
        weights,
        plan.smoothness,
        state.steps + 1,
        state.phi,
        state.average,
        state.memory,
        state.table,
        state.known,
        reduced,
    )


def _order(n: int, run: int, random_state: np.random.RandomState) -> np.ndarray:
    """A random order of the rows, `run` neighbours at a time."""
    if run == 1:
        return random_state.permutation(n)
    starts = random_state.permutation(-(-n // run)) * run
    order = (starts[:, None] + np.arange(run)).ravel()
    return order[order < n]


def _average_weights(plan: Plan, state: State, numbers: np.ndarray) -> np.ndarray:
    """The weight of each new iterate in the average: 2/(t + 1) is polynomial-decay averaging (Shamir and Zhang, 2013)."""
    age = np.maximum(numbers - (state.average_from or 0) + 1.0, 1.0)
    return 2.0 / (age + 1.0) if plan.growing else 1.0 / age


def _sparse(objective: Objective, theta: np.ndarray, rate: float, epochs: int) -> tuple[np.ndarray, float]:
    """Full proximal steps: an average of sparse iterates is sparse no more, and these make its zeros exact again.

    One in the metric of the Hessian, an iteration of gd, where that costs no more than the epochs did; and one in that of
    the coordinates, whatever became of the first.
    """
    if objective.loss.smooth() and Matrices(objective, constant=False).passes <= epochs:
        theta = gd.descend(objective, theta, tol=0.0, max_iter=1, history=History("gd")).theta
    F, gradient = objective.evaluate(theta)
    for _ in range(10):
        new = proximal_step(theta - rate * gradient, rate, objective.penalty)
        F_new, _ = objective.evaluate(new)
        if F_new <= F:
            return new, F_new
        rate *= 0.5
    return theta, F
