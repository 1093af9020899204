"""Online learning, in one pass over a stream of batches: the state that `partial_fit` keeps between its calls.

Columns are standardised by running moments (`moments.py`).  Coefficients are kept in raw coordinates, so that a drifting scale
changes only the metric of the next steps.

- With rates from the data, each row makes a Newton step (`newton_learners.py`).  Update rules with an `online_rate`, such as
  Adam, make steps at that rate instead (`rule_steps.py`), in natural units of the coefficients.
- With an explicit rate, the steps of `fit` continue (`rule_steps.py`).

With rates from the data, the penalty acts on the coefficients of the standardised columns, because the units of a stream's
columns are not known beforehand.  This is what a StandardScaler in front of the model would do if it were updated with every
batch.
"""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

import numpy as np

from ..coordinates import Coordinates, identity
from ..data.table import Table
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import Penalty
from ..solvers import sgd
from ..solvers.rules import stochastic_solver
from .moments import HORIZON, RECENT_HORIZON, Moments
from .newton_learners import NewtonLearners
from .rule_steps import RuleSteps, averaging_start, online_plan

SMOOTHING = 0.1  # width, relative to the natural size of a score, over which Newton steps smooth a non-smooth loss


class Online:
    """The state of online learning.  It holds arrays and numbers only, so a pickled copy continues with the same bits.

    Parameters
    ----------
    W : ndarray of shape (d, K)
        Raw coefficients to start from.
    b : ndarray of shape (K,)
        Intercepts to start from.
    visits : int
        The number of row visits by the steps that led to W and b; a row counts once for every epoch.
    rows : int
        The number of rows that were visited; each row counts once.
    known : Coordinates or None
        The coordinates that standardise these rows, if they are known.
    random_state : RandomState

    Attributes
    ----------
    W, b : ndarray
        The coefficients and intercepts of the model.
    visits, rows : int
        As above; they grow with every batch.
    moments, recent : Moments
        Running moments of the columns, over a long and a short horizon.
    targets : Moments
        Running moments of the targets.
    learners : NewtonLearners or None
    rule_steps : RuleSteps or None
    """

    def __init__(
        self,
        W: np.ndarray,
        b: np.ndarray,
        visits: int,
        rows: int,
        known: Coordinates | None,
        random_state: np.random.RandomState,
    ) -> None:
        d, K = W.shape
        self.moments, self.recent, self.targets = Moments.none(d), Moments.none(d, RECENT_HORIZON), Moments.none(K)
        if known is not None:
            self.moments = Moments.of(known, min(float(rows), HORIZON))
        self.W, self.b, self.visits, self.rows, self.random_state = W, b, visits, rows, random_state
        self.learners: NewtonLearners | None = None
        self.rule_steps: RuleSteps | None = None

    def copied(self) -> Online:
        """A copy that can learn without changing this object."""
        new = copy(self)
        new.moments, new.recent, new.targets = copy(self.moments), copy(self.recent), copy(self.targets)
        if self.learners is not None:
            new.learners = self.learners.copied()
        return new

    def learn(self, X: Any, Y: np.ndarray, s: np.ndarray, loss: Any, penalty: Penalty, options: Options) -> None:
        """Learn from a batch, and update `W` and `b`.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (m, d)
        Y : ndarray of shape (T, m)
            Targets, or class codes.
        s : ndarray of shape (m,)
            Positive weights; a row of weight 2 counts as two rows.
        loss : struct of losses
        penalty : Penalty
            The penalty on the d raw coefficients.
        options : Options

        Raises
        ------
        ValueError
            If numbers exceed the range of floats.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            table = Table(X, Y, s)
            self._update_moments(table)
            loss = self._with_deviation(loss)
            rate = stochastic_solver(options.solver).online_rate(loss) if options.automatic else None
            if options.automatic and rate is None:
                self._step_by_newton(table, loss, penalty, options.fit_intercept)
            else:
                self._step_by_rule(table, loss, penalty, options, rate)
        self.rows, self.visits = self.rows + table.n, self.visits + table.n
        if not (np.isfinite(self.W).all() and np.isfinite(self.b).all()):
            History(options.solver, not options.automatic).overflow()

    def _update_moments(self, table: Table) -> None:
        """Add a batch to the running moments."""
        columns = table.column_moments
        self.moments.add(columns)
        self.recent.add(columns)
        self.moments.follow(self.recent)
        self.targets.add(table.target_moments())

    def _with_deviation(self, loss: Any) -> Any:
        """The loss, with the deviation of all targets so far if the loss depends on it."""
        return loss.with_deviation(float(self.targets.deviations.max()) or float(self.targets.units.max()))

    def _natural_curvature(self, loss: Any) -> float:
        """The curvature for an error of one deviation of the targets: the slope of the loss there, divided by the error."""
        deviation = float(self.targets.deviations.max())
        if loss.coupled() or not loss.scores_are_targets() or deviation == 0.0:
            return loss.curvature_bound()
        return abs(loss.derivative(0.0, deviation)) / deviation or loss.curvature_bound()

    def _step_by_newton(self, table: Table, loss: Any, penalty: Penalty, fit_intercept: bool) -> None:
        """Learn a batch by Newton steps on its rows."""
        if not loss.smooth():
            loss = loss.with_width(SMOOTHING / loss.curvature_bound())
        h, here = self._natural_curvature(loss), self.moments.coordinates(fit_intercept)
        if self.learners is None:
            self.learners = NewtonLearners.start(self.W, self.b, self.rows, here, h)
        self.learners.change_coordinates(here, h, settled=self.moments.weight > RECENT_HORIZON)
        self.learners.learn(table, loss, penalty, h, self.rows)
        self.W, self.b = self.learners.best()

    def _step_by_rule(self, table: Table, loss: Any, penalty: Penalty, options: Options, rate: float | None) -> None:
        """Learn a batch by steps of an update rule, at the constant `rate`, or at the user's rates if it is None."""
        self.random_state = deepcopy(self.random_state)
        standardised, here = options.automatic or options.standardize, identity(table.d, options.fit_intercept)
        if standardised:
            here = self.moments.coordinates(options.fit_intercept)
        if options.automatic:
            scale = here.scale[:-1]
            penalty = penalty.scaled(np.divide(1.0, scale, out=np.zeros(table.d), where=scale > 0.0))
        objective = Objective(Table(table.X, table.Y, table.s / table.s.mean()), loss, penalty, here)
        plan = online_plan(objective, options, rate, self.targets.units)
        batch_size = min(plan.batch_size, table.n)
        if self.rule_steps is None:
            made = sgd.steps_to_visit(self.visits, batch_size, max(self.rows, 1))
            self.rule_steps = RuleSteps.start(self.W, self.b, made, here.scale)
        average_from = averaging_start(options, self.rule_steps, batch_size, table.n, self.visits, self.rows)
        history = History(options.solver, not options.automatic)
        self.rule_steps = self.rule_steps.advanced(objective, plan, average_from, self.random_state, history)
        self.W, self.b = self.rule_steps.result()
