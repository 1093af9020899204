"""Minimise a problem: choose the start, the coordinates and the solver, run it, and warn if it did not converge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .compiled.threads import Team, thread_count, threads
from .coordinates import Coordinates, identity
from .data.partitioned_data import PartitionedData
from .data.table import Table
from .fit_cache import FitCache
from .monitoring.history import Halted, History, Watcher
from .monitoring.warning import warn
from .objective import Objective
from .options import Options
from .penalties import Penalty
from .rounding import rounded_to_float32
from .solvers import dual, gd
from .solvers.rules import STOCHASTIC_SOLVERS, stochastic_solver
from .solvers.solution import Solution

ONE_EPOCH = "One epoch (max_iter=1) does not tell how far the objective is from its minimum. Raise max_iter, or set tol=None."
SPARSE_COST = 4  # in a pass, an entry of a CSR matrix takes as long as this many entries of a dense array

Coefficients = tuple[np.ndarray, np.ndarray]  # W (d, K) and b (K,) in raw coordinates


class FirstEpochResult(NamedTuple):
    """The result of an epoch that ran before all rows were known.  Objectives are those of a sample of the rows."""

    start: float  # the objective at the start of the epoch
    end: float  # the objective at its end
    began: float  # the time of its start, by `perf_counter`


@dataclass(frozen=True)
class Problem:
    """What a fit minimises, with which options, and where it starts.

    Parameters
    ----------
    data : Table or PartitionedData
        n rows of d columns, with weights of mean one.
    loss : struct of losses
    penalty : Penalty
        The penalty on the d raw coefficients.
    options : Options
    start : (ndarray of shape (d, K), ndarray of shape (K,)) or None
        Raw coefficients and intercepts to start from.  None: coefficients of zero with the best intercepts, or intercepts
        of zero with an explicit rate or without an intercept.
    cache : FitCache or None
        What the last fit computed; this fit updates it for the next one.  None: nothing is reused.
    first_epoch : FirstEpochResult or None
        An epoch that has run already, and that ended at `start`.
    """

    data: Table | PartitionedData
    loss: Any
    penalty: Penalty
    options: Options
    start: Coefficients | None
    cache: FitCache | None = None
    first_epoch: FirstEpochResult | None = None


class Fit(NamedTuple):
    """The result of a fit."""

    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)
    iterations: int
    loss_curve: list[float]
    time_curve: list[float]  # seconds
    coordinates: Coordinates | None  # the standardised coordinates of the solver; None if it used raw ones
    converged: bool  # whether the gap is known to be at most `tol`
    gap: float  # (F - F*) / F at W and b; NaN if it is not known
    gap_is_bound: bool  # whether the gap is an upper bound proved by duality; otherwise it is an estimate

    def at(self, W: np.ndarray, b: np.ndarray) -> Fit:
        """The fit with other coefficients, whose gap is not known; the same fit if the coefficients are the same."""
        if np.array_equal(W, self.W) and np.array_equal(b, self.b):
            return self
        return self._replace(W=W, b=b, converged=False, gap=np.nan)


class _Found(NamedTuple):
    """What the solvers have found."""

    W: np.ndarray
    b: np.ndarray
    solution: Solution  # the solution of the last solver
    coordinates: Coordinates | None = None  # as in `Fit`
    halted: bool = False  # whether a watcher ended the fit


def supporting_solvers(loss: Any, automatic: bool) -> list[str]:
    """Names of the solvers that minimise a loss, with rates from the data (`automatic`) or with explicit rates."""
    solvers: dict[str, Any] = {"gd": gd, **STOCHASTIC_SOLVERS}
    return [name for name, solver in solvers.items() if solver.supports(loss, automatic)]


def minimise(problem: Problem, watchers: tuple[Watcher, ...] = ()) -> Fit:
    """Minimise the objective, and warn if `tol` was not reached.

    Parameters
    ----------
    problem : Problem
    watchers : tuple of callable
        Functions that see every iteration and may end the fit; see `History`.

    Raises
    ------
    ValueError
        If numbers exceed the range of floats.
    """
    options, first_epoch = problem.options, problem.first_epoch
    began = None if first_epoch is None else first_epoch.began
    with threads(_thread_count(problem)) as team, np.errstate(over="ignore", invalid="ignore"):
        objective = _objective(problem, team)
        history = History(options.solver, not options.automatic, options.verbose, watchers, began)
        try:
            found = _run(objective, problem, history)
        except Halted as end:
            found = _Found(end.W, end.b, Solution(np.empty(0), len(history.curve) - 1, np.nan, True), halted=True)
        if not (np.isfinite(found.W).all() and np.isfinite(found.b).all()):
            history.overflow()
        found, rise = _rounded(objective, found, options, history)
    _warn_of_distance(found.solution, options, problem.loss)
    return _fit(found, rise, problem, history)


def _thread_count(problem: Problem) -> int:
    data = problem.data
    work = data.entries * problem.loss.n_outputs * (SPARSE_COST if data.sparse else 1)
    return thread_count(problem.options.n_jobs, work)


def _objective(problem: Problem, team: Team) -> Objective:
    """The objective in raw coordinates."""
    data, coordinates = problem.data, identity(problem.data.d, problem.options.fit_intercept)
    cache = None if isinstance(data, Table) else problem.cache
    return Objective(data.shared_by(team), problem.loss, problem.penalty, coordinates, cache)


def _run(objective: Objective, problem: Problem, history: History) -> _Found:
    """Run the solvers from the start of the problem; a first epoch counts as one of the `max_iter` iterations."""
    options, first_epoch = problem.options, problem.first_epoch
    W, b = _start(objective, problem)
    if first_epoch is None:
        return _solve(objective, (W, b), options, history, problem.cache)
    _record(first_epoch, objective, (W, b), history)
    if options.max_iter == 1:
        return _Found(W, b, Solution(np.empty(0), 1, np.inf, False, "" if options.tol is None else ONE_EPOCH))
    options = replace(options, max_iter=options.max_iter - 1)
    found = _solve(objective, (W, b), options, history, problem.cache)
    return found._replace(solution=found.solution._replace(iterations=found.solution.iterations + 1))


def _start(objective: Objective, problem: Problem) -> Coefficients:
    """The start of the problem, made feasible for the penalty; if it has none, see `Problem.start`.  One pass at most."""
    if problem.start is not None:
        W, b = problem.start
        return problem.penalty.feasible(W), b
    W, b = np.zeros((objective.d, objective.K)), np.zeros(objective.K)
    if problem.options.automatic and problem.options.fit_intercept:
        b = objective.data.intercept_only_scores(objective.loss)
    return W, b


def _record(first_epoch: FirstEpochResult, objective: Objective, end: Coefficients, history: History) -> None:
    """Enter a first epoch, which ended at these coefficients, into the history."""
    theta, here = objective.coordinates.theta(*end), history.through(objective.coordinates.raw)
    here.begin(first_epoch.start, theta)
    history.seconds[0] = 0.0  # the objective at the start was not known before the epoch ended
    here.record(first_epoch.end, theta)


def _solve(objective: Objective, start: Coefficients, options: Options, history: History, cache: FitCache | None) -> _Found:
    """Run dual coordinate ascent if it is worthwhile, and another solver if it is not or has not converged."""
    if not (options.solver in ("auto", "sgd") and options.unspecific and dual.is_worthwhile(objective)):
        return _run_solver(objective, start, options, history, cache)
    ascent = dual.minimise(objective, objective.coordinates.theta(*start), options, history.through(objective.coordinates.raw))
    end = objective.coordinates.raw(ascent.theta)
    if ascent.converged or ascent.iterations == options.max_iter:
        return _Found(*end, ascent)
    return _run_solver(objective, end, options, history, cache, ascent)


def _run_solver(
    objective: Objective,
    start: Coefficients,
    options: Options,
    history: History,
    cache: FitCache | None,
    ascent: Solution | None = None,
) -> _Found:
    """Run the solver of the options in its coordinates, after a dual `ascent` only for the iterations that are left."""
    objective = _in_solver_coordinates(objective, options, cache)
    stochastic = options.solver in STOCHASTIC_SOLVERS or not options.automatic
    theta, history = objective.coordinates.theta(*start), history.through(objective.coordinates.raw)
    if not stochastic:
        theta = objective.cache.near(theta)
    before = 0 if ascent is None else ascent.iterations
    options = replace(options, max_iter=options.max_iter - before)
    if stochastic:
        solution = stochastic_solver(options.solver).minimise(objective, theta, options, history)
    else:
        solution = _descend(objective, theta, options, history)
    solution = solution._replace(iterations=before + solution.iterations)
    standardised = objective.coordinates if options.standardize else None
    return _Found(*objective.coordinates.raw(solution.theta), solution, standardised)


def _descend(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    warm = not objective.in_memory and len(history.curve) > 1  # a first epoch has brought theta near the minimum
    return gd.minimise(objective, theta, tol=options.tol or 0.0, max_iter=options.max_iter, history=history, warm=warm)


def _in_solver_coordinates(objective: Objective, options: Options, cache: FitCache | None) -> Objective:
    """The objective in the coordinates of the solver; the coordinates come from the cache if it is for the same data."""
    if cache is None or not objective.in_memory:
        return objective.in_coordinates(_coordinates(objective, options), cache)
    data = objective.loss, objective.coordinates.centred, options.standardize, *objective.table.fingerprint()
    known = cache.coordinates if cache.data == data else None
    if known is None:
        known = _coordinates(objective, options)
        cache.begin(data, known)
    return objective.in_coordinates(known, cache)


def _coordinates(objective: Objective, options: Options) -> Coordinates:
    """Standardised coordinates if the options ask for them, else the raw coordinates that the objective has."""
    if options.standardize:
        return objective.standardise(options.fit_intercept)
    if options.automatic:
        objective.finite_moments(options.fit_intercept)  # raises if squares of columns, which curvature needs, overflow
    return objective.coordinates


def _rounded(objective: Objective, found: _Found, options: Options, history: History) -> tuple[_Found, float]:
    """Round the coefficients to float32 if X is float32; also return how much, relatively, this may raise the objective."""
    if objective.data.dtype != np.float32 or found.coordinates is None:
        return found, 0.0
    W, b, rise = rounded_to_float32(objective, found.W, found.b, found.coordinates, options.tol or 0.0, history.curve)
    return found._replace(W=W, b=b), rise


def _fit(found: _Found, rise: float, problem: Problem, history: History) -> Fit:
    """The result of the fit, with its gap if it is known.

    Solvers with an explicit rate and for the perceptron stop when the objective no longer falls.  This says nothing about
    the distance from its minimum, so the gap is NaN.
    """
    solution, options = found.solution, problem.options
    known = options.tol is not None and options.automatic and gd.supports(problem.loss, automatic=True)
    gap = np.nan
    if known and np.isfinite(solution.gap):
        gap = float(np.clip(solution.gap + rise, 0.0, 1.0))  # F >= F* >= 0, as no loss is negative; only rounding is outside
    return Fit(
        W=found.W,
        b=found.b,
        iterations=solution.iterations,
        loss_curve=history.curve,
        time_curve=history.seconds,
        coordinates=found.coordinates,
        converged=options.tol is not None and solution.converged and not found.halted,
        gap=gap,
        gap_is_bound=solution.bound,
    )


def _warn_of_distance(solution: Solution, options: Options, loss: Any) -> None:
    """If the fit has not converged, warn how far the objective is from its minimum, and what the user can do."""
    message = solution.remark
    if not message:
        if solution.converged or options.tol is None:
            return
        unit = "iterations" if options.solver in ("gd", "auto") else "epochs"
        remedies = ["raise max_iter or tol"]
        if not options.automatic:
            remedies.append("tune eta0 or use learning_rate='auto'")
        elif options.solver in STOCHASTIC_SOLVERS and gd.supports(loss, automatic=True):
            remedies.append("use solver='auto'")
        near = solution.gap <= options.tol
        distance = f"is about {solution.gap:.1e} (relative) above its minimum" if not near else "has not settled yet"
        message = (
            f"solver={options.solver!r} stopped after {solution.iterations} {unit} without reaching tol={options.tol:g}: "
            f"the objective {distance}. To get closer, {', or '.join(remedies)}."
        )
    warn(message, ConvergenceWarning)
