"""Steps on mini-batches, epoch after epoch: the loop that sgd, adam and textbook gradient descent share.

What differs is the update rule, the schedule of rates and the batch; a batch of all rows is gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import kernels
from ..history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet, proximal_step
from . import Solution

SEGMENT = 1 << 16  # steps between two returns from compiled code
DIVERGED = "The objective rose from {:.3g} to {:.3g} in {} epochs: lower eta0, or use learning_rate='auto'."
RISEN = 100.0  # times the start: from there on it is divergence even where the user asked for a number of epochs
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
    capped : bool
        Whether the stochastic Polyak step bounds rates.
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
    """

    rule: Any
    schedule: Callable[[np.ndarray], np.ndarray]
    batch: int
    penalty: ElasticNet
    unit: np.ndarray
    average_from: int | None = None
    growing: bool = False
    capped: bool = False
    run: int = 1
    shuffle: bool = True
    patience: int = 1
    may_plateau: bool = False
    adaptive: bool = False
    smooth_rate: float = 0.0


@dataclass
class State:
    """Where the steps are: iterate and average (D, K), the rule's memory (2, D, K), the number of steps, their slow-down."""

    theta: np.ndarray
    average: np.ndarray = field(init=False)
    memory: np.ndarray = field(init=False)
    steps: int = 0
    slower: float = 1.0

    def __post_init__(self) -> None:
        self.theta = self.theta.copy()
        self.average = self.theta.copy()
        self.memory = np.zeros((2, *self.theta.shape))

    def result(self, plan: Plan) -> np.ndarray:
        averaged = plan.average_from is not None and self.steps >= plan.average_from
        return (self.average if averaged else self.theta).copy()


def minimise(objective: Objective, theta: np.ndarray, plan: Plan, options: Options, history: History) -> Solution:
    """Run epochs until their last half gained too little to matter, or `max_iter`.

    An error that falls like C/t with the epochs t fell by C/t since t/2: so the change of F since t/2 estimates the
    gap; where convergence is faster it overstates it.  Explicit rates may never settle: with them the fit ends when F
    has not fallen, for `patience` epochs in a row.
    """
    state = State(theta)
    F, _ = objective.evaluate(theta)
    history.record(F, theta)
    values, quiet, gap, converged = [F], 0, np.inf, options.tol is None
    for epoch in range(1, options.max_iter + 1):
        run_epoch(objective, plan, state, options.random_state, history)
        F, gradient = objective.evaluate(state.result(plan))
        history.record(F, state.theta)
        values.append(F)
        if options.tol is None:
            continue
        half = values[epoch // 2 :]
        change = half[0] - F if plan.may_plateau else max(half) - min(half)
        gap = 2.0 * max(change, 0.0) / max(F, np.finfo(float).tiny)
        quiet = quiet + 1 if epoch > 1 and gap <= options.tol else 0
        if quiet >= plan.patience:
            if plan.adaptive and plan.schedule(np.array([state.steps]))[0] * state.slower > SLOWEST:
                state.slower, quiet = state.slower / 5.0, 0
                continue
            converged = True
            break
    result = state.result(plan)
    if plan.smooth_rate and objective.l1_raw > 0.0:
        result, F = _sparse(objective, result, F, gradient, plan.smooth_rate)
    if plan.may_plateau and F > (1.0 + options.tol if options.tol is not None else RISEN) * values[0]:
        return Solution(result, epoch, np.inf, False, DIVERGED.format(values[0], F, epoch))
    if not plan.may_plateau and F > values[0]:  # the start, of a warm one say, was better than noise allows
        result, F = theta, values[0]
    history.curve[-1] = F
    return Solution(result, epoch, gap, converged)


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState, history: History) -> None:
    """Step once on every mini-batch; raise ValueError on overflow."""
    n, batch = objective.n, min(plan.batch, objective.n)
    order = _order(n, plan.run, random_state) if plan.shuffle and batch < n else np.arange(n)
    mean, scale = objective.coordinates
    for first in range(0, n, SEGMENT * batch):
        part = order[first : first + SEGMENT * batch]
        numbers = state.steps + 1.0 + np.arange(-(-len(part) // batch))
        finite = kernels.stochastic_steps(
            objective.rows,
            objective.loss,
            plan.penalty,
            plan.rule,
            part,
            batch,
            objective.tile,
            objective.Y,
            objective.s,
            mean,
            scale,
            objective.l1,
            objective.l2,
            plan.schedule(numbers) * state.slower,
            plan.unit,
            _average_weights(plan, numbers),
            plan.capped,
            state.steps + 1,
            state.theta,
            state.average,
            state.memory,
        )
        if not finite:
            history.overflow()
        state.steps += len(numbers)


def _order(n: int, run: int, random_state: np.random.RandomState) -> np.ndarray:
    """A random order of the rows, `run` neighbours at a time."""
    if run == 1:
        return random_state.permutation(n)
    starts = random_state.permutation(-(-n // run)) * run
    order = (starts[:, None] + np.arange(run)).ravel()
    return order[order < n]


def _average_weights(plan: Plan, numbers: np.ndarray) -> np.ndarray:
    """The weight of each new iterate in the average: 2/(t + 1) is polynomial-decay averaging (Shamir and Zhang, 2013)."""
    age = np.maximum(numbers - (plan.average_from or 0) + 1.0, 1.0)
    return 2.0 / (age + 1.0) if plan.growing else 1.0 / age


def _sparse(objective: Objective, theta: np.ndarray, F: float, gradient: np.ndarray, rate: float) -> tuple[np.ndarray, float]:
    """One full proximal step: an average of sparse iterates is sparse no more, and this makes its zeros exact again."""
    for _ in range(10):
        new = proximal_step(theta - rate * gradient, rate, objective.l1, objective.l2)
        F_new, _ = objective.evaluate(new)
        if F_new <= F:
            return new, F_new
        rate *= 0.5
    return theta, F
