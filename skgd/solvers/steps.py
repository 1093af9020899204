"""Steps on the mini-batches of a table: one epoch of sgd, adam or textbook gradient descent.

These differ in the update rule, the schedule of the rates and the size of the batches.  With one batch of all rows an epoch
is a step of gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.kernels import Targets
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import ElasticNet
from .schedules import Schedule
from .stochastic_steps import Batches, Iterate, StepSizes, Transform, stochastic_steps
from .updates import PenaltyTerms, UpdateRule
from .whitening import Whitening

SEGMENT = 1 << 16  # steps that one call of compiled code makes, which bounds the arrays of their rates and weights


def no_limit() -> float:
    """The factor of the rate where nothing limits it."""
    return 1.0


@dataclass(frozen=True)
class Plan:
    """How to step: everything about the steps that stays the same during a fit.

    Attributes
    ----------
    rule : UpdateRule
    schedule : callable
        The rates of steps, given an array of their numbers, which count from 1 over all epochs.
    batch_size : int
        Rows of a mini-batch.
    penalty : ElasticNet
        Whether the L2 penalty joins the gradient or is left to the proximal step.
    unit : ndarray of shape (K,)
        The natural size of each column of scores, by which rates of that column are multiplied.
    whitening : Whitening
        The coordinates to step in, which `State.phi` belongs to.
    average_from : int or None
        The number of the step from which on iterates are averaged.  None: the last iterate is the result.
    polynomial_averaging : bool
        Whether the average favours late iterates, with weights 2/(t + 1), or weighs all of them equally.
    curvature_bound : float
        Bound of the curvature of the loss by a score, from which the kernel bounds the rate of each batch.  0: no bound.
    variance_reduced : bool
        Whether the noise of steps is reduced from the second epoch on, when the residuals of all rows have been seen.
    shuffle_block : int
        Neighbouring rows that stay together when rows are shuffled, so that memory is read in longer pieces.
    shuffle : bool
        Whether every epoch visits the rows in a new random order.
    patience : int
        Epochs in a row without progress that end the fit.
    may_plateau : bool
        Whether the objective may stay above its minimum for ever, as with a constant rate.  Then the fit ends where the
        objective falls no more, which says nothing about its minimum.
    adaptive : bool
        Whether the rate is divided where the fit would else end, as with ``learning_rate="adaptive"``.
    proximal_rate : float
        The rate of a proximal gradient step on all rows that cannot overshoot.  0 if it is not known.
    safe_rate_factor : callable
        The share of the rate at which a batch cannot overshoot even if it holds the largest row.  It costs a pass and is
        called only when it is needed.
    """

    rule: UpdateRule
    schedule: Schedule
    batch_size: int
    penalty: ElasticNet
    unit: np.ndarray
    whitening: Whitening
    average_from: int | None = None
    polynomial_averaging: bool = False
    curvature_bound: float = 0.0
    variance_reduced: bool = False
    shuffle_block: int = 1
    shuffle: bool = True
    patience: int = 1
    may_plateau: bool = False
    adaptive: bool = False
    proximal_rate: float = 0.0
    safe_rate_factor: Callable[[], float] = no_limit


class State:
    """Where the steps are, in the coordinates of the plan; D = d + 1 coefficients for each of K columns of scores.

    Attributes
    ----------
    whitening : Whitening
    phi : ndarray of shape (D, K)
        The last iterate.
    average : ndarray of shape (D, K)
        The average of the iterates since step `average_from`.
    optimizer_state : ndarray of shape (2, D, K)
        What the update rule remembers; see `UpdateRule`.
    residual_table : ndarray of shape (K, n)
        The weighted residual that each row had when it was last seen.  Of shape (0, 0) where noise is not reduced, or where
        rows are in partitions, which find these residuals anew.
    table_gradient : ndarray of shape (D, K)
        The gradient of the loss at the residuals of the table.
    steps : int
        The number of steps made.
    average_from : int or None
        The number of steps made when averaging started; None: the last iterate is the result.
    rate_factor : float
        What all rates of the schedule are multiplied by.
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
        """theta (D, K): the average or the last iterate."""
        return self.whitening.theta(self.average if self.averaged else self.phi)

    def restart_average(self) -> None:
        """Let the average forget all iterates so far; it starts at step `average_from` if that is still to come, else now."""
        self.average = self.phi.copy()
        if self.average_from is not None:
            self.average_from = max(self.average_from, self.steps)


def reduces_variance(plan: Plan, state: State) -> bool:
    """Whether the next epoch reduces the noise of its steps: from the second one on, when all residuals are known."""
    return plan.variance_reduced and state.steps > 0


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState, history: History) -> None:
    """Step once on every mini-batch, the state in place.  One pass.

    Raises
    ------
    ValueError
        If numbers leave the range of floats.
    """
    n, batch = objective.n, min(plan.batch_size, objective.n)
    order = _row_order(n, plan.shuffle_block, random_state) if plan.shuffle and batch < n else np.arange(n)
    variance_reduced = reduces_variance(plan, state)
    if variance_reduced and state.average_from is not None:  # the iterates of the first epoch, with more noise, are dropped
        state.average_from = max(state.average_from, -(-n // batch))
    for first in range(0, n, SEGMENT * batch):
        part = order[first : first + SEGMENT * batch]
        numbers = state.steps + 1.0 + np.arange(-(-len(part) // batch))
        rates, weights = plan.schedule(numbers) * state.rate_factor, _average_weights(plan, state, numbers)
        if not _steps(objective, plan, state, part, batch, rates, weights, variance_reduced):
            history.overflow()
        state.steps += len(numbers)


def refresh_residuals(objective: Objective, plan: Plan, state: State) -> None:
    """Bring the table to the residuals of all rows at the iterate, and its gradient with it.  One pass.

    It is a step of rate zero on one batch of all rows.
    """
    state.residual_table[:], state.table_gradient[:] = 0.0, 0.0
    still = np.zeros(1)
    _steps(objective, plan, state, np.arange(objective.n), objective.n, still, still, variance_reduced=False)


def _steps(
    objective: Objective,
    plan: Plan,
    state: State,
    order: np.ndarray,
    batch_size: int,
    rates: np.ndarray,
    weights: np.ndarray,
    variance_reduced: bool,
) -> bool:
    """Step on the mini-batches of `order`; whether all numbers stayed finite."""
    table, K = objective.table, objective.K
    mixing, l2 = plan.whitening
    lower = np.nan_to_num(objective.penalty.lower)  # 0 times infinity, in a step of rate 0, is no number
    batches = Batches(Targets(table.Y, table.s, order), batch_size, table.tile(K))
    transform = Transform(*objective.coordinates, mixing, np.ascontiguousarray(mixing.T))
    terms = PenaltyTerms(plan.penalty, *(np.repeat(weights, K) for weights in (lower, objective.penalty.upper, l2)))
    sizes = StepSizes(rates, np.tile(plan.unit, objective.d + 1), weights, plan.curvature_bound, state.steps + 1)
    iterate = Iterate(
        state.phi, state.average, state.optimizer_state, state.residual_table, state.table_gradient, variance_reduced
    )
    return stochastic_steps(table.rows, objective.loss, plan.rule, batches, transform, terms, sizes, iterate)


def _row_order(n: int, block: int, random_state: np.random.RandomState) -> np.ndarray:
    """A random order of n rows in which `block` neighbours stay together."""
    if block == 1:
        return random_state.permutation(n)
    starts = random_state.permutation(-(-n // block)) * block
    order = (starts[:, None] + np.arange(block)).ravel()
    return order[order < n]


def _average_weights(plan: Plan, state: State, numbers: np.ndarray) -> np.ndarray:
    """The weight of each new iterate in the average: 2/(t + 1) is polynomial-decay averaging (Shamir and Zhang, 2013)."""
    age = np.maximum(numbers - (state.average_from or 0) + 1.0, 1.0)
    return 2.0 / (age + 1.0) if plan.polynomial_averaging else 1.0 / age
