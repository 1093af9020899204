"""Steps of an update rule that continue from batch to batch of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet
from ..solvers import schedules, sgd
from ..solvers.rules import stochastic_solver
from ..solvers.steps import Plan, State, run_epoch
from ..solvers.whitening import no_whitening
from .moments import raw_coefficients

BATCH_SIZE = 32  # rows of a mini-batch with rates from the data and batch_size="auto"


@dataclass
class RuleSteps:
    """The state of the steps after a batch.  All but the optimizer state is in raw coordinates.

    Attributes
    ----------
    W : ndarray of shape (d, K)
        The last iterate.
    b : ndarray of shape (K,)
        The intercepts of the last iterate.
    average : (ndarray of shape (d, K), ndarray of shape (K,))
        The average of the iterates.
    optimizer_state : ndarray of shape (2, d + 1, K)
        The state of the update rule, in the coordinates of the last batch.
    steps : int
        The number of steps so far.
    scale : ndarray of shape (d + 1,)
        The scale of the coordinates of the last batch.
    average_from : int or None
        The number of the step at which averaging starts.  None: this is not known yet, or there is no averaging.
    """

    W: np.ndarray
    b: np.ndarray
    average: tuple[np.ndarray, np.ndarray]
    optimizer_state: np.ndarray
    steps: int
    scale: np.ndarray
    average_from: int | None = None

    @classmethod
    def start(cls, W: np.ndarray, b: np.ndarray, steps: int, scale: np.ndarray) -> RuleSteps:
        """The state at W and b after a number of steps whose optimizer state and average are not known."""
        return cls(W, b, (W, b), np.zeros((2, len(scale), len(b))), steps, scale)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Raw W (d, K) and b (K,): the average of the iterates if averaging has begun, else the last iterate."""
        averaged = self.average_from is not None and self.steps >= self.average_from
        return self.average if averaged else (self.W, self.b)

    def advanced(
        self, objective: Objective, plan: Plan, average_from: int | None, random_state: np.random.RandomState, history: History
    ) -> RuleSteps:
        """The state after one epoch on the rows of the objective, which are the next batch; `self` is not changed."""
        here = objective.coordinates
        state = State(objective, here.theta(self.W, self.b), plan)
        state.average, state.steps, state.average_from = here.theta(*self.average), self.steps, average_from
        # Derivatives by a coefficient have the unit of 1/scale.  The optimizer state holds gradients and squared gradients.
        units = np.divide(here.scale, self.scale, out=np.ones(len(here.scale)), where=self.scale > 0.0)[:, None]
        state.optimizer_state = self.optimizer_state * np.stack([units, units**2])
        if not run_epoch(objective, plan, state, random_state):
            history.overflow()
        W, b = raw_coefficients(here, state.phi, self.W)
        average = raw_coefficients(here, state.average, self.average[0])
        return RuleSteps(W, b, average, state.optimizer_state, state.steps, here.scale, average_from)


def online_plan(objective: Objective, options: Options, rate: float | None, target_units: np.ndarray) -> Plan:
    """The plan of the steps on a batch.

    `rate` is a constant rate in natural units of the coefficients.  If scores have the unit of the targets, `target_units`
    (K,) are their natural sizes.  If `rate` is None, the plan has the user's rates and schedule.
    """
    rule = stochastic_solver(options.solver).rule(options)
    if rate is None:
        return sgd.textbook_plan(objective, options, rule)
    return Plan(
        rule=rule,
        schedule=partial(schedules.constant, eta0=rate),
        batch_size=BATCH_SIZE if isinstance(options.batch_size, str) else options.batch_size,
        penalty=ElasticNet(explicit=0.0),
        unit=target_units if objective.loss.scores_are_targets() else np.ones(objective.K),
        whitening=no_whitening(),
        polynomial_averaging=True,
        shuffle=options.shuffle,
    )


def averaging_start(options: Options, before: RuleSteps, batch_size: int, n: int, visits: int, rows: int) -> int | None:
    """The number of the step at which averaging starts; None: no averaging.

    Averaging starts at the same row, however the rows of the stream are divided into batches.

    Parameters
    ----------
    options : Options
    before : RuleSteps
        The state before the next batch.
    batch_size : int
        The number of rows in a mini-batch.
    n : int
        The number of rows in the next batch.
    visits, rows : int
        The number of row visits before the next batch, and of different rows.
    """
    row = sgd.averaging_row(options, default=False)
    if row is None:
        return None
    if row > visits:
        return before.steps + sgd.steps_to_visit(row - visits, batch_size, n)
    return sgd.steps_to_visit(row, batch_size, max(rows, 1)) if before.average_from is None else before.average_from
