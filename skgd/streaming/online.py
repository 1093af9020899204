"""Learning from batches as they come, one pass and no second look: what `partial_fit` keeps between its calls.

Columns are standardised by running moments, which forget slowly; coefficients stay in raw coordinates, so that a scale that
drifts changes only the metric of the next steps.  With rates from the data, steps are Newton's on single rows
(`recursive_newton.py`), and how fast the past should be forgotten is found out: a few learners forget at different rates, each
batch is a test for all of them before they learn from it, and the one that lost least lately is the model.

With an explicit rate, steps are those of `fit`, resumed.  Rules with an `online_rate`, such as Adam, have that one with rates
from the data, too, in the natural unit of coefficients.

With rates from the data, the penalty acts on the coefficients of standardised columns: behind a scaler that runs along,
where others would learn, it does so too, and nobody can know beforehand in which unit a stream will come.
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..coordinates import Coordinates, identity
from ..data.table import Table
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet, Penalty
from ..solvers import schedules, sgd
from ..solvers.rules import ruling
from ..solvers.steps import Plan, State, run_epoch
from ..solvers.whitening import identity as unmixed
from .moments import LATE, RECENT, Moments
from .recursive_newton import batch_loss, diagonal_steps, full_steps

HORIZONS = (np.inf, 1000.0, 200.0, 40.0)  # rows that learners remember, roughly: their drift is 1/horizon^2
INTERCEPT = 10.0  # times the drift of the intercept, which has most to follow
LEAP = 10.0  # times the deviation, from one batch to the next: the unit has changed, and so coefficients have to
PRIOR = 0.25  # of h P before anything is seen, and its bound: a row cannot move a coefficient further
LARGEST = 400_000  # entries of P, beyond which its diagonal has to do
ENTRIES = 1 << 20  # of rows that are standardised at one time
BATCH = 32  # rows a step of a rule


@dataclass
class Learners:
    """Candidates that forget at different rates: raw coefficients (R, d, K), intercepts (R, K), inverse Hessians, losses."""

    W: np.ndarray
    b: np.ndarray
    P: np.ndarray  # (R, K, D, D) or (R, K, D), in the coordinates of the last batch
    losses: np.ndarray
    coordinates: Coordinates
    prior: float  # h P of a column that has not varied yet

    def copied(self) -> Learners:
        return Learners(self.W.copy(), self.b.copy(), self.P.copy(), self.losses.copy(), self.coordinates, self.prior)


@dataclass
class Steps:
    """Where the steps of an update rule are, in raw coordinates but for the memory of the rule."""

    W: np.ndarray
    b: np.ndarray
    average: tuple[np.ndarray, np.ndarray]
    optimizer_state: np.ndarray
    steps: int
    scale: np.ndarray
    average_from: int | None = None  # the step that averaging started at


class Online:
    """What is known of a stream.  Plain arrays and numbers: pickled and resumed, it goes on with the same bits.

    Parameters
    ----------
    W : ndarray of shape (d, K)
    b : ndarray of shape (K,)
        Where to begin.
    visits : int
        Of rows, that made W and b.  It grows with every batch.
    rows : int
        That were visited, each counted once.  It grows, too.
    known : Coordinates or None
        Standardised ones of these rows.
    random_state : RandomState
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
        self.moments, self.late, self.targets = Moments.none(len(W)), Moments.none(len(W), LATE), Moments.none(len(b))
        if known is not None:
            self.moments = Moments.of(known, min(float(rows), RECENT))
        self.W, self.b, self.visits, self.rows, self.random_state = W, b, visits, rows, random_state
        self.learners: Learners | None = None
        self.steps: Steps | None = None

    def copied(self) -> Online:
        """One that learns on without changing this one."""
        new = copy(self)
        new.moments, new.late, new.targets = copy(self.moments), copy(self.late), copy(self.targets)
        if self.learners is not None:
            new.learners = self.learners.copied()
        return new

    def learn(self, X: Any, Y: np.ndarray, s: np.ndarray, loss: Any, penalty: Penalty, options: Options) -> None:
        """Learn from a batch; `W` and `b` are then the model.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (m, d)
        Y : ndarray of shape (T, m)
            Targets, or class codes.
        s : ndarray of shape (m,)
            Positive weights: 2 counts as the row twice.
        loss : struct of losses
        penalty : Penalty
            On the d raw coefficients.
        options : Options

        Raises
        ------
        ValueError
            If numbers leave the range of floats.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            rows = Table(X, Y, s)
            columns = rows.column_moments
            self.moments.add(columns)
            self.late.add(columns)
            self.moments.follow(self.late)
            self.targets.add(rows.target_moments())
            loss = self._in_its_unit(loss)
            if not options.automatic or ruling(options.solver).online_rate(loss) is not None:
                self._step(X, Y, s, loss, penalty, options)
            else:
                self._learn_rows(X, Y, s, loss, penalty, options.fit_intercept)
        self.rows, self.visits = self.rows + X.shape[0], self.visits + X.shape[0]
        if not (np.isfinite(self.W).all() and np.isfinite(self.b).all()):
            History(options.solver, not options.automatic).overflow()

    def _in_its_unit(self, loss: Any) -> Any:
        """The loss, with the unit of all targets so far."""
        deviation = float(np.sqrt(self.targets.squares / self.targets.weight).max())
        return loss.with_deviation(deviation or float(self.targets.units.max()))

    def _natural_curvature(self, loss: Any) -> float:
        """What a score as far off as the targets deviate sees: the slope there over the way."""
        deviation = float(np.sqrt(self.targets.squares / self.targets.weight).max())
        if loss.coupled() or not loss.scores_are_targets() or deviation == 0.0:
            return loss.curvature_bound()
        return abs(loss.derivative(0.0, deviation)) / deviation or loss.curvature_bound()

    # ------------------------------------------------------------ Newton steps
    def _learn_rows(self, X: Any, Y: np.ndarray, s: np.ndarray, loss: Any, penalty: Penalty, fit_intercept: bool) -> None:
        if not loss.smooth():
            loss = loss.with_width(0.1 / loss.curvature_bound())
        (n, d), h = X.shape, self._natural_curvature(loss)
        here = self.moments.coordinates(fit_intercept)
        if self.learners is None:
            self.learners = self._first(here, d, loss.n_outputs, h)
        learners = self.learners
        _carry_over(learners, here, h, settled=self.moments.weight > LATE)
        ridge, columns = np.append(penalty.l2, 0.0), np.append(np.ones(d), INTERCEPT)
        drifts = [columns / (h * horizon**2) for horizon in HORIZONS]
        thetas = [here.theta(W, b) for W, b in zip(learners.W, learners.b, strict=True)]
        learners.losses *= np.exp(-s.sum() / RECENT)
        steps, block = full_steps if learners.P.ndim == 4 else diagonal_steps, max(1, ENTRIES // (d + 1))
        for first in range(0, n, block):
            part = slice(first, first + block)
            rows = loss, _standardised(X[part], here), np.ascontiguousarray(Y[:, part]), s[part]
            for r, theta in enumerate(thetas):
                learners.losses[r] += batch_loss(*rows, theta)
                steps(*rows, theta, learners.P[r], drifts[r], ridge, self.rows + first)
        for r, theta in enumerate(thetas):
            if penalty.non_smooth.any():
                theta[:-1] = _shrunk(theta[:-1], float(s.sum()) * _diagonal(learners.P[r])[:-1], penalty)
            learners.W[r], learners.b[r] = _raw(here, theta, learners.W[r])
        best = int(np.argmin(learners.losses))
        self.W, self.b = learners.W[best].copy(), learners.b[best].copy()

    def _first(self, here: Coordinates, d: int, K: int, h: float) -> Learners:
        """All alike: at W and b, as uncertain as the rows behind them leave it."""
        R, D = len(HORIZONS), d + 1
        prior = min(PRIOR, 1.0 / max(self.rows, 1))
        diagonal = np.full((R, K, D), prior / h)
        P = diagonal if K * D * D > LARGEST else diagonal[..., None] * np.eye(D)
        return Learners(np.repeat(self.W[None], R, 0), np.repeat(self.b[None], R, 0), P, np.zeros(R), here, prior)

    # ------------------------------------------------------------ steps of a rule
    def _step(self, X: Any, Y: np.ndarray, s: np.ndarray, loss: Any, penalty: Penalty, options: Options) -> None:
        d, self.random_state = X.shape[1], deepcopy(self.random_state)
        running = options.automatic or options.standardize
        here = self.moments.coordinates(options.fit_intercept) if running else identity(d, options.fit_intercept)
        if options.automatic:
            penalty = penalty.scaled(np.divide(1.0, here.scale[:-1], out=np.zeros(d), where=here.scale[:-1] > 0.0))
        objective = Objective(Table(X, Y, s / s.mean()), loss, penalty, here)
        plan = self._plan(objective, options)
        batch = min(plan.batch, objective.n)
        if self.steps is None:
            optimizer_state, made = np.zeros((2, d + 1, loss.n_outputs)), sgd.steps_of(self.visits, batch, max(self.rows, 1))
            self.steps = Steps(self.W, self.b, (self.W, self.b), optimizer_state, made, here.scale)
        steps = self.steps
        state = State(objective, here.theta(steps.W, steps.b), plan)
        state.average, state.steps = here.theta(*steps.average), steps.steps
        state.average_from = self._average_from(options, steps, batch, objective.n)
        units = np.divide(here.scale, steps.scale, out=np.ones(d + 1), where=steps.scale > 0.0)[:, None]
        state.optimizer_state = steps.optimizer_state * np.stack([units, units**2])  # moments of gradients
        run_epoch(objective, plan, state, self.random_state, History(options.solver, not options.automatic))
        now, average = _raw(here, state.phi, steps.W), _raw(here, state.average, steps.average[0])
        self.steps = Steps(*now, average, state.optimizer_state, state.steps, here.scale, state.average_from)
        self.W, self.b = average if state.averaged else now

    def _average_from(self, options: Options, steps: Steps, batch: int, n: int) -> int | None:
        """The step that averaging starts at: that of the same row, whatever batches the rows before it came in."""
        row = sgd.averaging_row(options, default=False)
        if row is None:
            return None
        if row > self.visits:
            return steps.steps + sgd.steps_of(row - self.visits, batch, n)
        return sgd.steps_of(row, batch, max(self.rows, 1)) if steps.average_from is None else steps.average_from

    def _plan(self, objective: Objective, options: Options) -> Plan:
        solver = ruling(options.solver)
        if not options.automatic:
            return sgd.textbook_plan(objective, options, solver.rule(options))
        rate = solver.online_rate(objective.loss)
        unit = self.targets.units if objective.loss.scores_are_targets() else np.ones(objective.K)
        return Plan(
            rule=solver.rule(options),
            schedule=lambda t: schedules.constant(t, rate),
            batch=BATCH if isinstance(options.batch_size, str) else options.batch_size,
            penalty=ElasticNet(explicit=0.0),
            unit=unit,
            whitening=unmixed(objective),
            polynomial_averaging=True,
            shuffle=options.shuffle,
        )


def _carry_over(learners: Learners, here: Coordinates, h: float, settled: bool) -> None:
    """Bring inverse Hessians to new coordinates: other units of columns, and the intercept at other means.

    Coefficients stay, unless the unit of their column has changed at once, when there had been enough rows to know it: then
    their effect in standardised coordinates stays.
    """
    then = learners.coordinates
    full, P = learners.P.ndim == 4, learners.P
    leaps = then.scale[:-1] > LEAP * np.where(here.scale[:-1] > 0.0, here.scale[:-1], np.inf)
    if settled and leaps.any():
        changed = np.where(leaps, np.divide(here.scale[:-1], then.scale[:-1], out=np.ones(len(leaps)), where=leaps), 1.0)
        W = learners.W * changed[:, None]
        learners.b += np.einsum("j,rjk->rk", then.mean * leaps, learners.W) - np.einsum("j,rjk->rk", here.mean * leaps, W)
        learners.W = W
    if full:  # the intercept of theta is b + mean W
        shift = (here.mean - then.mean) * then.scale[:-1]
        P[:, :, -1, :] += np.einsum("j,rkjl->rkl", shift, P[:, :, :-1, :])
        P[:, :, :, -1] += np.einsum("j,rklj->rkl", shift, P[:, :, :, :-1])
    known = (here.scale > 0.0) & (then.scale > 0.0)
    units = np.divide(then.scale, here.scale, out=np.zeros(len(known)), where=known)
    P *= units[:, None] * units if full else units**2
    diagonal = np.einsum("rkjj->rkj", P) if full else P
    diagonal += np.where((here.scale > 0.0) & ~known, learners.prior / h, 0.0)
    bound = np.sqrt(np.minimum(1.0, PRIOR / h / np.maximum(diagonal, np.finfo(float).tiny)))
    P *= bound[..., :, None] * bound[..., None, :] if full else bound**2
    learners.coordinates = here


def _raw(here: Coordinates, theta: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw W and b of theta; a column that has not varied yet keeps the coefficients (d, K) that it had before."""
    W, b = here.raw(theta)
    still = here.scale[:-1] == 0.0
    W[still] = before[still]
    return W, b - here.mean[still] @ before[still]  # theta's intercept has what these columns add to the scores


def _standardised(X: Any, coordinates: Coordinates) -> np.ndarray:
    """x~ (m, d + 1) of rows, the last column the intercept's."""
    A = np.empty((X.shape[0], X.shape[1] + 1))
    A[:, :-1] = X.toarray() if sp.issparse(X) else X
    A[:, :-1] -= coordinates.mean
    A *= coordinates.scale
    A[:, -1] = coordinates.scale[-1]
    return A


def _diagonal(P: np.ndarray) -> np.ndarray:
    """(D, K) of P (K, D, D) or (K, D)."""
    return (np.einsum("kjj->kj", P) if P.ndim == 3 else P).T


def _shrunk(theta: np.ndarray, metric: np.ndarray, penalty: Penalty) -> np.ndarray:
    """The proximal step of the kinks in a diagonal metric (d, K)."""
    lower, upper = np.nan_to_num(penalty.lower)[:, None] * metric, penalty.upper[:, None] * metric
    return np.maximum(theta - upper, 0.0) - np.maximum(lower - theta, 0.0)
