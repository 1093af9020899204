"""Epochs on rows in partitions.  Every partition is read once, and the steps on it are those of `steps.py`.

In a stream, the steps on each batch go on where those on the batch before ended.  On a cluster, all partitions start from the
same coefficients, and where they end is averaged with the weights of their rows (local SGD; McMahan et al., 2017).

From the second epoch on no partition drifts to the minimum of its own rows.  Steps follow the gradient of all rows at the
start of the epoch, plus what has changed since on the batch at hand (SVRG; Johnson and Zhang, 2013).  The residuals at the
start are computed when a partition is read, so that nothing is kept of single rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..coordinates import Coordinates
from ..data.table import Table
from ..data.tree_sum import PartialSums
from ..monitoring.history import History
from ..objective import Objective
from ..penalties import Penalty
from . import steps
from .steps import Plan, State, no_limit, reduces_variance


class Snapshot(NamedTuple):
    """The point of an epoch that its steps compare with, in SVRG's word."""

    theta: np.ndarray  # (d + 1, K)
    gradient: np.ndarray  # (d + 1, K), of the loss of all rows there, in the coordinates of the steps


@dataclass(frozen=True)
class LocalEpoch:
    """One epoch on the rows of a partition: a function from the state before it to the state after it.

    It is sent to the workers of a cluster, so it holds no rows.

    Attributes
    ----------
    loss : struct of losses
    penalty : Penalty
        On the d raw coefficients.
    coordinates : Coordinates
    plan : Plan
    weight_scale : float
        Factor of sample weights that makes their mean over all partitions one.
    rate_factor : float
        What all rates of the plan are multiplied by.
    seed : int
        Of the random orders of rows, with the number of the partition's first row.
    average_from : int or None
        The number of steps made when averaging started; None: nothing is averaged.
    snapshot : Snapshot or None
        None: the noise of steps is not reduced.
    solver : str
    explicit : bool
        Whether a rate that the user chose is to blame if numbers overflow.
    """

    loss: Any
    penalty: Penalty
    coordinates: Coordinates
    plan: Plan
    weight_scale: float
    rate_factor: float
    seed: int
    average_from: int | None
    snapshot: Snapshot | None
    solver: str
    explicit: bool

    def __call__(self, before: PartialSums, table: Table) -> PartialSums:
        """Step on the rows of a table.

        Both states are the iterate (D, K), the average (D, K), the optimizer state (2, D, K) and the number of steps made, so
        that those of several partitions can be averaged.
        """
        phi, average, optimizer_state, count = before
        data = Table(table.X, table.Y, self.weight_scale * table.s)
        objective = Objective(data, self.loss, self.penalty, self.coordinates)
        state = State(objective, self.plan.whitening.theta(phi), self.plan)
        state.optimizer_state, state.rate_factor = optimizer_state.copy(), self.rate_factor
        if self.snapshot is not None:
            state.phi = self.plan.whitening.phi(self.snapshot.theta)
            steps.refresh_residuals(objective, self.plan, state)
            state.table_gradient[:] = self.snapshot.gradient  # of all rows, instead of that of the partition
        state.phi, state.average = phi.copy(), average.copy()
        state.steps, state.average_from = int(count), self.average_from
        random_state = np.random.RandomState([self.seed, table.first % 2**32, table.first >> 32])
        steps.run_epoch(objective, self.plan, state, random_state, History(self.solver, self.explicit))
        return state.phi, state.average, state.optimizer_state, float(state.steps)


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState, history: History) -> None:
    """Make one epoch on all partitions, the state in place.  One pass.

    Where noise is reduced, the gradient of all rows costs another pass, unless the objective was last evaluated there.

    Raises
    ------
    ValueError
        If numbers leave the range of floats.
    """
    data = objective.partitioned
    snapshot = None
    if reduces_variance(plan, state):
        theta = objective.cache.near(state.result())
        snapshot = Snapshot(theta, plan.whitening.gradient(objective.evaluate(theta)[1]))
        state.average, state.average_from = state.phi.copy(), None if state.average_from is None else state.steps
    epoch = LocalEpoch(
        objective.loss,
        objective.raw_penalty,
        objective.coordinates,
        replace(plan, safe_rate_factor=no_limit, variance_reduced=snapshot is not None),  # which holds no rows
        data.weight_scale,
        state.rate_factor,
        int(random_state.randint(2**31)),
        state.average_from,
        snapshot,
        history.solver,
        history.explicit and bool(np.isfinite(data.column_moments.squares).all()),  # else X is too large at any rate
    )
    before = state.phi, state.average, state.optimizer_state, float(state.steps)
    state.phi, state.average, state.optimizer_state, count = data.partitions.advance(epoch, before)
    state.steps = int(np.ceil(count))
    if not np.isfinite(state.phi).all():
        history.overflow()
