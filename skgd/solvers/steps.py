"""One epoch of steps on the mini-batches of a table in memory, for sgd, adam and gradient descent with explicit rates.

These solvers differ in the update rule, the schedule of the rates and the size of the batches.  If a batch has all rows, an
epoch is one step of gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.kernels import Targets
from ..objective import Objective
from ..penalties import ElasticNet
from .schedules import Schedule
from .stochastic_steps import Batches, Iterate, StepSizes, Transform, stochastic_steps
from .updates import PenaltyTerms, UpdateRule
from .whitening import Whitening

# The number of steps that one call of compiled code makes.  It bounds the memory for their rates and weights.
SEGMENT = 1 << 16


def no_limit() -> float:
    """The factor 1 of a rate that nothing limits."""
    return 1.0


@dataclass(frozen=True)
class Plan:
    """The settings of the steps, which stay the same during a fit.

    Attributes
    ----------
    rule : UpdateRule
    schedule : callable
        Maps an array of step numbers to the rates of these steps.  Steps are counted from 1 over all epochs.
    batch_size : int
        The number of rows of a mini-batch.
    penalty : ElasticNet
        Says whether the L2 penalty is part of the gradient or of the proximal step.
    unit : ndarray of shape (K,)
        The natural size of each column of scores.  Rates of a column are multiplied by it.
    whitening : Whitening
        The coordinates of the steps, which are the coordinates of `State.phi`.
    average_from : int or None
        The number of the step where averaging starts.  None: the last iterate is the result.
    polynomial_averaging : bool
        Whether late iterates have larger weights in the average (polynomial-decay averaging), or all have the same weight.
    curvature_bound : float
        The bound of the curvature of the loss by a score, with which the rate of each batch is limited.  0: no limit.
    variance_reduced : bool
        Whether the variance of gradients is reduced from the second epoch on, when all residuals are known.
    shuffle_block : int
        The number of neighbouring rows that stay together in a shuffle, so that memory is read in longer pieces.
    shuffle : bool
        Whether every epoch visits the rows in a new random order.
    patience : int
        The number of epochs in a row without progress after which the fit ends.
    may_plateau : bool
        Whether the objective may stay above its minimum for ever, as with a constant rate.  Such a fit ends when the objective
        falls no more, without an estimate of its gap.
    adaptive : bool
        Whether the rate is divided when the fit would end, as with ``learning_rate="adaptive"``.
    proximal_rate : float
        A rate at which a proximal gradient step on all rows cannot raise F.  0 if no such rate is known.
    safe_rate_factor : callable
        Returns the factor of the rate with which a batch cannot overshoot even if it holds the row of the largest norm.  A call
        costs one pass over X, and is made only when it is needed.
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
    """The iterate, its average, and the memory of the update rule, in the coordinates of the plan.

    There are D = d + 1 coefficients for each of K columns of scores.

    Attributes
    ----------
    whitening : Whitening
    phi : ndarray of shape (D, K)
        The last iterate.
    average : ndarray of shape (D, K)
        The average of the iterates since step `average_from`.
    optimizer_state : ndarray of shape (2, D, K)
        The memory of the update rule; see `UpdateRule`.
    residual_table : ndarray of shape (K, n)
        The weighted residual of each row at its last visit.  Empty, of shape (0, 0), if the variance is not reduced, or if rows
        are in partitions.  Partitions compute these residuals whenever they are read.
    table_gradient : ndarray of shape (D, K)
        The gradient of the loss that the residuals of this table make.
    steps : int
        The number of steps made.
    rate : float
        The factor of all rates of the schedule that suits the present whitening.
    average_from : int or None
        The number of steps made when averaging started.  None: the last iterate is the result.
    rate_factor : float
        Another factor of all rates, which follows the objective.
    """

    def __init__(self, objective: Objective, theta: np.ndarray, plan: Plan) -> None:
        self.whitening, self.rate = plan.whitening, 1.0
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
        """The average or the last iterate, as theta (D, K) in the coordinates of the objective."""
        return self.whitening.theta(self.average if self.averaged else self.phi)

    def whiten(self, whitening: Whitening) -> None:
        """Change to the coordinates of another whitening.

        The iterate, the average and the momentum are carried over.  The second moments of Adam stay as they are: whatever they
        are, its epsilon keeps steps short enough.
        """
        before, self.whitening = self.whitening, whitening
        self.phi, self.average = (whitening.phi(before.theta(phi)) for phi in (self.phi, self.average))
        self.optimizer_state[0] = whitening.gradient(before.gradient_by_theta(self.optimizer_state[0]))

    def start_from(self, theta: np.ndarray) -> None:
        """Continue from theta, and average anew."""
        self.phi = self.whitening.phi(theta)
        self.restart_average()

    def restart_average(self) -> None:
        """Discard the average, and start a new one now, or at step `average_from` if this step is still to come."""
        self.average = self.phi.copy()
        if self.average_from is not None:
            self.average_from = max(self.average_from, self.steps)


def reduces_variance(plan: Plan, state: State) -> bool:
    """Whether the next epoch reduces the variance of its gradients, as all but the first one do if the plan says so."""
    return plan.variance_reduced and state.steps > 0


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState) -> bool:
    """Step once on every mini-batch, and change the state in place.  One pass over X.

    Returns whether all numbers stayed finite.
    """
    n, batch = objective.n, min(plan.batch_size, objective.n)
    order = _row_order(n, plan.shuffle_block, random_state) if plan.shuffle and batch < n else np.arange(n)
    variance_reduced = reduces_variance(plan, state)
    if variance_reduced and state.average_from is not None:  # drop the noisier iterates of the first epoch
        state.average_from = max(state.average_from, -(-n // batch))
    for first in range(0, n, SEGMENT * batch):
        part = order[first : first + SEGMENT * batch]
        numbers = state.steps + 1.0 + np.arange(-(-len(part) // batch))
        rates, weights = plan.schedule(numbers) * state.rate * state.rate_factor, _average_weights(plan, state, numbers)
        if not _steps(objective, plan, state, part, batch, rates, weights, variance_reduced):
            return False
        state.steps += len(numbers)
    return True


def refresh_residuals(objective: Objective, plan: Plan, state: State) -> None:
    """Fill the residual table with the residuals of all rows at the iterate, and compute its gradient.  One pass over X.

    This is a step of rate zero on one batch of all rows.
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
    """Step on the mini-batches of the rows in `order`.  Returns whether all numbers stayed finite."""
    table, K = objective.table, objective.K
    matrices, l2 = state.whitening.matrices, objective.penalty.l2
    lower = np.nan_to_num(objective.penalty.lower)  # in a step of rate 0, infinite weights would make NaN
    batches = Batches(Targets(table.Y, table.s, order), batch_size, table.tile(K))
    # A whitening by the curvature at the point makes rates that suit the heaviest row.  The bound would be far too large there.
    bound = 0.0 if variance_reduced and state.whitening.side else plan.curvature_bound
    transform = Transform(*objective.coordinates, matrices, np.ascontiguousarray(matrices.transpose(0, 2, 1)))
    terms = PenaltyTerms(plan.penalty, *(np.repeat(weights, K) for weights in (lower, objective.penalty.upper, l2)))
    sizes = StepSizes(rates, np.tile(plan.unit, objective.d + 1), weights, bound, state.steps + 1)
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
    """The weight of each new iterate in the average: 1/t, or 2/(t + 1) for polynomial decay (Shamir and Zhang, 2013)."""
    age = np.maximum(numbers - (state.average_from or 0) + 1.0, 1.0)
    return 2.0 / (age + 1.0) if plan.polynomial_averaging else 1.0 / age
