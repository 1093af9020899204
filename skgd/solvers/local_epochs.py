"""Epochs on rows in partitions: every one is read once, and steps on it are those of `steps.py`.

In a stream each batch goes on where the last one ended.  On a cluster all partitions start from the same coefficients, and what
they reach is averaged, weighted by rows (local SGD; McMahan et al., 2017).  From the second epoch on no partition drifts to the
minimum of its own rows: steps follow the gradient of all rows at the start of the epoch, plus what changed on the batch since
(as SVRG; Johnson and Zhang, 2013).  The residuals at the start are found when the partition is read, so that nothing is kept of
rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..coordinates import Coordinates
from ..data.table import Table
from ..data.tree_sum import PartialSums
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import Penalty
from . import steps
from .steps import Plan, State


@dataclass(frozen=True)
class LocalEpoch:
    """From a state (iterate, average, memory of the rule, number of steps) to the next: one epoch on the rows of a table."""

    loss: Any
    penalty: Penalty
    coordinates: Coordinates
    plan: Plan
    unit: float  # that makes the mean weight of all rows one
    rate_factor: float
    seed: int
    average_from: int | None
    start: tuple[np.ndarray, np.ndarray] | None  # theta, and the gradient of all rows there, where noise is reduced
    solver: str
    explicit: bool  # whether a rate that the user chose is to blame for an overflow

    def __call__(self, state: PartialSums, table: Table) -> PartialSums:
        phi, average, optimizer_state, count = state
        data = Table(table.X, table.Y, self.unit * table.s)
        objective = Objective(data, self.loss, self.penalty, self.coordinates)
        here = State(objective, self.plan.whitening.theta(phi), self.plan)
        here.optimizer_state, here.rate_factor = optimizer_state.copy(), self.rate_factor
        if self.start is not None:
            theta, gradient = self.start
            here.phi = self.plan.whitening.phi(theta)
            steps.refresh_residuals(objective, self.plan, here)  # the residuals, and their gradient in this partition,
            here.table_gradient[:] = gradient  # instead of which that of all is followed
        here.phi, here.average = phi.copy(), average.copy()
        here.steps, here.average_from = int(count), self.average_from
        random_state = np.random.RandomState([self.seed, table.first % 2**32, table.first >> 32])
        steps.run_epoch(objective, self.plan, here, random_state, History(self.solver, self.explicit))
        return here.phi, here.average, here.optimizer_state, float(here.steps)


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState, history: History) -> None:
    """One epoch of all partitions, state in place; raise ValueError on overflow."""
    data = objective.partitioned
    variance_reduced, start = plan.variance_reduced and state.steps > 0, None
    if variance_reduced:
        theta = objective.cache.near(state.result())
        start = theta, plan.whitening.gradient(objective.evaluate(theta)[1])
        state.average, state.average_from = state.phi.copy(), None if state.average_from is None else state.steps
    step = LocalEpoch(
        objective.loss,
        objective.raw_penalty,
        objective.coordinates,
        replace(plan, safe_rate_factor=_whole, variance_reduced=variance_reduced),  # what is sent holds no data
        data.weight_scale,
        state.rate_factor,
        int(random_state.randint(2**31)),
        state.average_from,
        start,
        history.solver,
        history.explicit and bool(np.isfinite(data.column_moments.squares).all()),  # else X is too large at any rate
    )
    before = state.phi, state.average, state.optimizer_state, float(state.steps)
    state.phi, state.average, state.optimizer_state, count = data.partitions.advance(step, before)
    state.steps = int(np.ceil(count))
    if not np.isfinite(state.phi).all():
        history.overflow()


def _whole() -> float:
    return 1.0
