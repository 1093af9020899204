"""Epochs on rows in partitions.  An epoch reads every partition once and makes the steps of `steps.py` on its rows.

In a stream, partitions are read one after another, and the steps on one start where the steps on the last one ended.  On a
cluster, the steps on all partitions start at the same coefficients.  Their final coefficients are then averaged, weighted by
the rows of the partitions (local SGD; McMahan et al., 2017).

From the second epoch on, variance reduction keeps the steps from drifting to the minimum of each partition.  Each step follows
the gradient of all rows at the start of the epoch, plus the change of the gradient of its batch since then (SVRG; Johnson and
Zhang, 2013).  The residuals at the start are computed when a partition is read, so nothing has to be kept for single rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..coordinates import Coordinates
from ..data.table import Table
from ..data.tree_sum import PartialSums
from ..objective import Objective
from ..penalties import Penalty
from . import steps
from .steps import Plan, State, no_limit, reduces_variance


class Snapshot(NamedTuple):
    """The start of an epoch, from which its steps compute changes of gradients.  SVRG calls it a snapshot."""

    theta: np.ndarray  # (d + 1, K)
    gradient: np.ndarray  # (d + 1, K), the gradient of the loss of all rows there


@dataclass(frozen=True)
class LocalEpoch:
    """One epoch on the rows of a partition: a function from the state before it to the state after it.

    It is sent to the workers of a cluster, so it holds no rows.

    Attributes
    ----------
    loss : struct of losses
    penalty : Penalty
        The penalty on the d raw coefficients.
    coordinates : Coordinates
    plan : Plan
    weight_scale : float
        The factor of sample weights that makes their mean over all partitions one.
    rate_factor : float
        The factor of all rates of the plan.
    seed : int
        Seeds the random order of rows, together with the number of the partition's first row.
    average_from : int or None
        The number of steps made when averaging started.  None: iterates are not averaged.
    snapshot : Snapshot or None
        None: the variance of gradients is not reduced.
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

    def __call__(self, before: PartialSums, table: Table) -> PartialSums:
        """Step on the rows of a table.

        A state consists of the iterate (D, K), the average (D, K), the optimizer state (2, D, K) and the number of steps made.
        All of them are arrays or numbers, so that the states of several partitions can be averaged.
        """
        phi, average, optimizer_state, count = before
        data = Table(table.X, table.Y, self.weight_scale * table.s)
        objective = Objective(data, self.loss, self.penalty, self.coordinates)
        state = State(objective, self.plan.whitening.theta(phi), self.plan)
        state.optimizer_state, state.rate_factor = optimizer_state.copy(), self.rate_factor
        if self.snapshot is not None:
            state.phi = state.whitening.phi(self.snapshot.theta)
            steps.refresh_residuals(objective, self.plan, state)
            state.table_gradient[:] = self.snapshot.gradient  # the gradient of all rows, not of the partition
        state.phi, state.average = phi.copy(), average.copy()
        state.steps, state.average_from = int(count), self.average_from
        random_state = np.random.RandomState([self.seed, table.first % 2**32, table.first >> 32])
        if not steps.run_epoch(objective, self.plan, state, random_state):
            state.phi[:] = np.nan
        return state.phi, state.average, state.optimizer_state, float(state.steps)


def run_epoch(objective: Objective, plan: Plan, state: State, random_state: np.random.RandomState) -> bool:
    """Make one epoch on all partitions, and change the state in place.  One pass over X.

    If the variance is reduced, the gradient of all rows costs another pass, unless the objective was last evaluated there.
    Returns whether all numbers stayed finite.
    """
    data = objective.partitioned
    snapshot = None
    if reduces_variance(plan, state):
        theta = objective.cache.near(state.result())
        snapshot = Snapshot(theta, objective.evaluate(theta)[1])
        state.average, state.average_from = state.phi.copy(), None if state.average_from is None else state.steps
    reduced = snapshot is not None
    local_plan = replace(plan, whitening=state.whitening, safe_rate_factor=no_limit, variance_reduced=reduced)
    epoch = LocalEpoch(
        objective.loss,
        objective.raw_penalty,
        objective.coordinates,
        local_plan,
        data.weight_scale,
        state.rate * state.rate_factor,
        int(random_state.randint(2**31)),
        state.average_from,
        snapshot,
    )
    before = state.phi, state.average, state.optimizer_state, float(state.steps)
    state.phi, state.average, state.optimizer_state, count = data.partitions.advance(epoch, before)
    state.steps = int(np.ceil(count))
    return bool(np.isfinite(state.phi).all())
