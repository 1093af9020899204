"""The first pass over a stream: an epoch of sgd or adam, at the same time as the rows are summarised.

Columns are standardised by the moments of the rows seen so far.  The coordinates and the rates are chosen on the first batch,
and again whenever the number of rows has doubled.  The steps then continue from the same raw coefficients.  So even a stream
that can be read only once gives a model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..coordinates import Coordinates, identity
from ..data.summary import Summary
from ..data.table import Table
from ..fit_cache import Progress
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import Penalty
from ..solvers import schedules
from ..solvers.rate_control import LOWER
from ..solvers.rules import stochastic_solver
from ..solvers.steps import Plan, State, run_epoch

DELAY = 2000.0  # steps before rates are damped; `fit` derives it from the length of the epoch, which is not known here


class FirstEpoch:
    """An epoch of stochastic steps on one batch after another.

    Parameters
    ----------
    W : ndarray of shape (d, K)
        Raw coefficients to start from.
    b : ndarray of shape (K,)
        Intercepts to start from.
    penalty : Penalty
        The penalty on the d raw coefficients.
    options : Options
    """

    def __init__(self, W: np.ndarray, b: np.ndarray, penalty: Penalty, options: Options) -> None:
        self.W, self.b, self.average = W, b, (W, b)
        self.penalty, self.options = penalty, options
        self.steps, self.rows_at_choice = 0, 0
        self.choice: tuple[Coordinates, Plan] | None = None
        self.optimizer_state, self.rate_factor = np.empty(0), 1.0

    def learn(self, table: Table, loss: Any, summary: Summary) -> None:
        """Make steps on a batch.  `summary` is the summary of all rows so far, this batch included."""
        unit = summary.n / summary.columns.weight  # scales the weights to mean one
        table = Table(table.X, table.Y, unit * table.s)
        if self.choice is None or summary.n >= 2 * self.rows_at_choice:
            self.choice, self.rows_at_choice = self._choose(table, loss, summary), summary.n
            self.optimizer_state = self._lasting_state()
        here, plan = self.choice
        objective = Objective(table, loss, self.penalty, here)
        state = State(objective, here.theta(self.W, self.b), plan)
        state.average, state.steps = state.whitening.phi(here.theta(*self.average)), self.steps
        if self.optimizer_state.shape == state.optimizer_state.shape:
            state.optimizer_state = self.optimizer_state
        state.rate_factor = self.rate_factor
        if not run_epoch(objective, plan, state, self.options.random_state):
            self._overflowed(summary)
            return
        self.W, self.b = here.raw(plan.whitening.theta(state.phi))
        self.average = here.raw(plan.whitening.theta(state.average))
        self.steps, self.optimizer_state = state.steps, state.optimizer_state

    def _overflowed(self, summary: Summary) -> None:
        """Leave the coefficients as they were before the batch, and lower automatic rates.

        Raises ValueError if the user chose the rate, or if the values of X are too large for any rate.
        """
        too_large = not np.isfinite(summary.columns.squares).all()
        if too_large or not self.options.automatic:
            History(self.options.solver, not (self.options.automatic or too_large)).overflow()
        self.rate_factor *= LOWER

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Raw W (d, K) and b (K,): the average of the iterates if averaging has begun, else the last iterate."""
        average_from = None if self.choice is None else self.choice[1].average_from
        averaged = average_from is not None and self.steps >= average_from
        return self.average if averaged else (self.W, self.b)

    def progress(self) -> Progress:
        """The state from which the following epochs continue."""
        return Progress(self.steps, 1.0, self._lasting_state(), self.options.random_state)

    def _lasting_state(self) -> np.ndarray:
        """The optimizer state for the next coordinates; empty if these may differ from the present ones."""
        return np.empty(0) if self.options.automatic or self.options.standardize else self.optimizer_state

    def _choose(self, table: Table, loss: Any, summary: Summary) -> tuple[Coordinates, Plan]:
        """Coordinates that standardise the rows seen so far, and a plan of the steps in these coordinates."""
        options, coordinates = self.options, identity(table.d, self.options.fit_intercept)
        if options.standardize:
            ridge = self.penalty.l2 / loss.curvature_bound()
            coordinates = summary.columns.coordinates(ridge, options.fit_intercept)
        objective = Objective(table, loss, self.penalty, coordinates)
        objective, plan = stochastic_solver(options.solver).plan_steps(objective, options)
        if options.automatic:
            rate = float(plan.schedule(np.ones(1))[0])
            plan = replace(plan, schedule=partial(schedules.damped, eta0=rate, delay=DELAY), variance_reduced=False)
        return objective.coordinates, plan
