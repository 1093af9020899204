"""The first pass over a stream: an epoch of sgd or another rule, and the survey of the rows, at once.

Columns are standardised by what was seen so far.  Coordinates, and the rates that follow from them, are chosen on the first
batch, and anew whenever the rows have doubled: then steps go on from the same raw coefficients.  So even a stream that can be
read but once ends in a model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..coordinates import identity
from ..data.summary import Summary
from ..data.table import Table
from ..fit_cache import Progress
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import Penalty
from ..solvers import schedules
from ..solvers.rules import ruling
from ..solvers.steps import State, run_epoch

DELAY = 2000.0  # steps before rates are damped: how long the epoch will be is not known


class FirstEpoch:
    """Steps on one batch after another.

    Parameters
    ----------
    W : ndarray of shape (d, K)
    b : ndarray of shape (K,)
        Where to begin.
    penalty : Penalty
        On the d raw coefficients.
    options : Options
    """

    def __init__(self, W: np.ndarray, b: np.ndarray, penalty: Penalty, options: Options) -> None:
        self.W, self.b, self.average = W, b, (W, b)
        self.penalty, self.options = penalty, options
        self.steps, self.chosen_at = 0, 0
        self.choice: tuple[Any, Any] = (None, None)  # coordinates and plan
        self.optimizer_state = np.empty(0)

    def learn(self, table: Table, loss: Any, survey: Summary) -> None:
        """Step on a batch, the last one of those that were surveyed."""
        unit = survey.n / survey.columns.weight  # that makes the mean weight one
        table = Table(table.X, table.Y, unit * table.s)
        if survey.n >= 2 * self.chosen_at:
            self._choose(table, loss, survey)
        here, plan = self.choice
        objective = Objective(table, loss, self.penalty, here)
        state = State(objective, here.theta(self.W, self.b), plan)
        state.average, state.steps = plan.whitening.phi(here.theta(*self.average)), self.steps
        if self.optimizer_state.shape == state.optimizer_state.shape:
            state.optimizer_state = self.optimizer_state
        too_large = not np.isfinite(survey.columns.squares).all()  # whatever the rate
        history = History(self.options.solver, not self.options.automatic and not too_large)
        run_epoch(objective, plan, state, self.options.random_state, history)
        self.W, self.b = here.raw(plan.whitening.theta(state.phi))
        self.average = here.raw(plan.whitening.theta(state.average))
        self.steps, self.optimizer_state = state.steps, state.optimizer_state

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """W and b."""
        plan = self.choice[1]
        averaged = plan is not None and plan.average_from is not None and self.steps >= plan.average_from
        return self.average if averaged else (self.W, self.b)

    def progress(self) -> Progress:
        """For the epochs that follow."""
        return Progress(self.steps, 1.0, self._kept(), self.options.random_state)

    def _kept(self) -> np.ndarray:
        """The memory of the rule for steps in the coordinates that come next: none, where those may be others."""
        return np.empty(0) if self.options.automatic or self.options.standardize else self.optimizer_state

    def _choose(self, table: Table, loss: Any, survey: Summary) -> None:
        """Coordinates of what was seen, and rates for them."""
        coordinates = identity(table.d, self.options.fit_intercept)
        if self.options.standardize:
            ridge = self.penalty.l2 / loss.curvature_bound()
            coordinates = survey.columns.coordinates(ridge, self.options.fit_intercept)
        objective, plan = ruling(self.options.solver).planned(Objective(table, loss, self.penalty, coordinates), self.options)
        if self.options.automatic:
            rate = float(plan.schedule(np.ones(1))[0])
            plan = replace(plan, schedule=partial(schedules.damped, eta0=rate, delay=DELAY), variance_reduced=False)
        self.choice, self.chosen_at, self.optimizer_state = (objective.coordinates, plan), survey.n, self._kept()
