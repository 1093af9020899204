"""Steps on the mini-batches of a table: an epoch of sgd, adam or textbook gradient descent.

What differs is the update rule, the schedule of rates and the batch; a batch of all rows is gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.kernels import Targets
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import ElasticNet
from .stochastic_steps import Batches, Iterate, PenaltyTerms, StepSizes, Transform, stochastic_steps
from .whitening import Whitening

SEGMENT = 1 << 16  # steps between two returns from compiled code


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
    polynomial_averaging : bool
        Whether the average favours late iterates, with weights 2/(t + 1), or is uniform.
    curvature_bound : float
        Bound of the curvature of the loss, by which the rate of each batch is bounded; 0: it is not.
    whitening : Whitening
        Coordinates to step in.
    variance_reduced : bool
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
    safe_rate_factor : callable
        The share of the rate at which the heaviest row cannot overshoot, found when it is needed.
    """

    rule: Any
    schedule: Callable[[np.ndarray], np.ndarray]
    batch: int
    penalty: ElasticNet
    unit: np.ndarray
    whitening: Whitening
    average_from: int | None = None
    polynomial_averaging: bool = False
    curvature_bound: float = 0.0
    variance_reduced: bool = False
    run: int = 1
    shuffle: bool = True
    patience: int = 1
    may_plateau: bool = False
    adaptive: bool = False
    smooth_rate: float = 0.0
    safe_rate_factor: Callable[[], float] = lambda: 1.0


class State:
    """Where the steps are, in the coordinates of the plan.

    Iterate and average (D, K), the rule's memory (2, D, K), the residuals last seen (K, n) and their gradient (D, K), the
    numbers of steps made and of those before averaging, the factor of all rates.
    """

    def __init__(self, objective: Objective, theta: np.ndarray, plan: Plan) -> None:
        self.whitening = plan.whitening
        self.phi = self.whitening.phi(theta)
        self.average = self.phi.copy()
        self.optimizer_state = np.zeros((2, *theta.shape))
        self.residual_table = np.zeros((objective.K, objective.n) if plan.variance_reduced and objective.in_memory else (0, 0))
        self.table_gradient = np.zeros(theta.shape)
        self.steps, self.average_from, self.rate_factor = 0, plan.average_from, 1.0

    @property
    def averaged(self) -> bool:
        """Whether the average is the result."""
        return self.average_from is not None and self.steps >= self.average_from

    def result(self) -> np.ndarray:
        return self.whitening.theta(self.average if self.averaged else self.phi)


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState, history: History) -> None:
    """Step once on every mini-batch; raise ValueError on overflow."""
    n, batch = objective.n, min(plan.batch, objective.n)
    order = _order(n, plan.run, random_state) if plan.shuffle and batch < n else np.arange(n)
    variance_reduced = plan.variance_reduced and state.steps > 0
    if variance_reduced and state.average_from is not None:  # iterates with more noise count no longer
        state.average_from = max(state.average_from, -(-n // batch))
    for first in range(0, n, SEGMENT * batch):
        part = order[first : first + SEGMENT * batch]
        numbers = state.steps + 1.0 + np.arange(-(-len(part) // batch))
        rates, weights = plan.schedule(numbers) * state.rate_factor, _average_weights(plan, state, numbers)
        if not _steps(objective, plan, state, part, batch, rates, weights, variance_reduced):
            history.overflow()
        state.steps += len(numbers)


def refresh_residuals(objective: Objective, plan: Plan, state: State) -> None:
    """The residuals of all rows at the iterate, and their gradient: a step of no length on one batch of all rows."""
    state.residual_table[:], state.table_gradient[:] = 0.0, 0.0
    still = np.zeros(1)
    _steps(objective, plan, state, np.arange(objective.n), objective.n, still, still, variance_reduced=False)


def _steps(
    objective: Objective,
    plan: Plan,
    state: State,
    order: np.ndarray,
    batch: int,
    rates: np.ndarray,
    weights: np.ndarray,
    variance_reduced: bool,
) -> bool:
    """Step on the mini-batches of `order`; whether all numbers stayed finite."""
    table, K = objective.table, objective.K
    mixing, l2 = plan.whitening
    lower = np.nan_to_num(objective.penalty.lower)  # 0 times infinity, in a step of rate 0, is no number
    batches = Batches(Targets(table.Y, table.s, order), batch, table.tile(K))
    transform = Transform(*objective.coordinates, mixing, np.ascontiguousarray(mixing.T))
    terms = PenaltyTerms(plan.penalty, *(np.repeat(weights, K) for weights in (lower, objective.penalty.upper, l2)))
    sizes = StepSizes(rates, np.tile(plan.unit, objective.d + 1), weights, plan.curvature_bound, state.steps + 1)
    iterate = Iterate(
        state.phi, state.average, state.optimizer_state, state.residual_table, state.table_gradient, variance_reduced
    )
    return stochastic_steps(table.rows, objective.loss, plan.rule, batches, transform, terms, sizes, iterate)


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
    return 2.0 / (age + 1.0) if plan.polynomial_averaging else 1.0 / age
