"""From data and options to coefficients: statistics, coordinates, starting point, solver, warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .compiled.threads import thread_count, threads
from .coordinates import Coordinates, identity
from .data.partitioned_data import PartitionedData
from .data.table import Table
from .fit_cache import FitCache
from .monitoring.history import Halted, History, Watcher
from .monitoring.warning import warn
from .objective import Objective
from .options import Options
from .penalties import Penalty, penalty_value
from .solvers import dual, gd
from .solvers.rules import STOCHASTIC_SOLVERS, stochastic_solver
from .solvers.solution import Solution

NOTICEABLE = 1e-4  # share of a coefficient that rounding costs it
NEGLIGIBLE = 1e-6  # rise of the objective, as a share of its start, that is left to float32 without a word
TINY = float(np.finfo(float).tiny)
ONE_EPOCH = "One epoch (max_iter=1) does not tell how far the objective is from its minimum. Raise max_iter, or set tol=None."
SCATTERED = 4  # entries in memory order that take the time of one of CSR


class Fit(NamedTuple):
    """What estimators keep of a fit."""

    W: np.ndarray  # (d, K)
    b: np.ndarray  # (K,)
    iterations: int
    curve: list[float]
    seconds: list[float]
    coordinates: Coordinates | None  # in which columns are standardised, where they were
    converged: bool  # whether the gap is known to be at most `tol`
    gap: float  # (F - F*) / F at W and b; NaN where it was not asked for
    bound: bool  # whether that is a bound that duality gives, or an estimate


class FirstEpochResult(NamedTuple):
    """What a sample of the rows says of the objective before and after an epoch that was made before all rows were known."""

    start: float
    end: float
    began: float  # when, by `perf_counter`


def takers(loss: Any, automatic: bool) -> list[str]:
    """The solvers that take a loss, with rates derived from the data or not."""
    solvers: dict[str, Any] = {"gd": gd, **STOCHASTIC_SOLVERS}
    return [name for name, solver in solvers.items() if solver.supports(loss, automatic)]


def minimise(
    data: Table | PartitionedData,
    loss: Any,
    penalty: Penalty,
    options: Options,
    start: tuple[np.ndarray, np.ndarray] | None,
    cache: FitCache | None = None,
    watchers: tuple[Watcher, ...] = (),
    begun: FirstEpochResult | None = None,
) -> Fit:
    """Minimise the objective and warn if `tol` was not reached.

    Parameters
    ----------
    data : Table or PartitionedData
        n rows of d columns, with weights of mean one.
    loss : struct of losses
    penalty : Penalty
        On the d raw coefficients.
    options : Options
    start : (ndarray of shape (d, K), ndarray of shape (K,)) or None
        Coefficients and intercepts to start from; None: the best constant scores (zero with an explicit rate).
    cache : FitCache or None
        Of the fit before, brought up to date for the next one; None: nothing is kept.
    watchers : tuple of callable
        See `History`.
    begun : FirstEpochResult or None
        An epoch that has been made already; `start` is where it ended.

    Raises
    ------
    ValueError
        If numbers leave the range of floats.
    """
    work = data.entries * loss.n_outputs * (SCATTERED if data.sparse else 1)
    count = thread_count(options.n_jobs, work)
    with threads(count) as team, np.errstate(over="ignore", invalid="ignore"):
        kept = None if isinstance(data, Table) else cache
        objective = Objective(data.shared_by(team), loss, penalty, identity(data.d, options.fit_intercept), kept)
        W, b = start if start is not None else _first_guess(objective, options)
        halted = False
        history = History(
            options.solver, not options.automatic, options.verbose, watchers, None if begun is None else begun.began
        )
        try:
            if begun is not None:
                theta, here = objective.coordinates.theta(W, b), history.through(objective.coordinates.raw)
                here.begin(begun.start, theta)
                history.seconds[0] = 0.0  # it is known only now
                here.record(begun.end, theta)
                options = replace(options, max_iter=options.max_iter - 1)
            if options.max_iter > 0:
                W, b, solution, coordinates = _solve(objective, W, b, options, history, cache)
                if begun is not None:
                    solution = solution._replace(iterations=solution.iterations + 1)
            else:
                solution, coordinates = Solution(np.empty(0), 1, np.inf, False, "" if options.tol is None else ONE_EPOCH), None
        except Halted as end:
            W, b, coordinates, halted = end.W, end.b, None, True
            solution = Solution(np.empty(0), len(history.curve) - 1, np.nan, True)
        # Explicit rates and the perceptron end where the objective falls no more, which says nothing of its minimum.
        aimed = options.tol is not None and options.automatic and gd.supports(loss, automatic=True)
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            history.overflow()
        W, b, risen = _rounded(objective, W, b, coordinates, options, history.curve)
    if solution.remark or not (solution.converged or options.tol is None):
        _warn(solution, options, loss)
    # No loss is negative, so the gap is at most 1; below 0 it is rounding.
    gap = float(np.clip(solution.gap + risen, 0.0, 1.0)) if aimed and np.isfinite(solution.gap) else np.nan
    converged = options.tol is not None and solution.converged and not halted
    return Fit(W, b, solution.iterations, history.curve, history.seconds, coordinates, converged, gap, solution.bound)


def _first_guess(objective: Objective, options: Options) -> tuple[np.ndarray, np.ndarray]:
    W, b = np.zeros((objective.d, objective.K)), np.zeros(objective.K)
    if options.automatic and options.fit_intercept:
        b = objective.data.intercept_only_scores(objective.loss)
    return W, b


def _solve(
    objective: Objective, W: np.ndarray, b: np.ndarray, options: Options, history: History, cache: FitCache | None
) -> tuple[np.ndarray, np.ndarray, Solution, Coordinates | None]:
    """Choose and run a solver, or two; the coefficients, what the (last) solver says of them, and standardised coordinates."""
    before = None
    if options.solver in ("auto", "sgd") and options.unspecific and dual.is_worthwhile(objective):
        theta = objective.coordinates.theta(W, b)
        before = dual.minimise(objective, theta, options, history.through(objective.coordinates.raw))
        W, b = objective.coordinates.raw(before.theta)
        if before.converged or before.iterations == options.max_iter:
            return W, b, before, None
    objective = _remembering(objective, options, cache)
    stochastic = options.solver in STOCHASTIC_SOLVERS or not options.automatic
    theta = objective.coordinates.theta(W, b)
    if not stochastic:
        theta = objective.cache.near(theta)
    history = history.through(objective.coordinates.raw)
    if before is not None:
        solution = _descend(objective, theta, options, history, options.max_iter - before.iterations)
        solution = solution._replace(iterations=before.iterations + solution.iterations)
    elif stochastic:
        solution = stochastic_solver(options.solver).minimise(objective, theta, options, history)
    else:
        solution = _descend(objective, theta, options, history, options.max_iter)
    standard = objective.coordinates if options.standardize else None
    return *objective.coordinates.raw(solution.theta), solution, standard


def _remembering(objective: Objective, options: Options, cache: FitCache | None) -> Objective:
    """The objective in coordinates to step in, with what is remembered of the same data there."""
    if cache is None or not objective.in_memory:
        return objective.in_coordinates(_coordinates(objective, options), cache)
    data = objective.loss, objective.coordinates.centred, options.standardize, *objective.table.fingerprint()
    known = cache.coordinates if cache.data == data else None
    if known is None:
        known = _coordinates(objective, options)
        vars(cache).update(vars(FitCache(data, known, curvature={}, progress=cache.progress)))
    return objective.in_coordinates(known, cache)


def _coordinates(objective: Objective, options: Options) -> Coordinates:
    """Standardised ones, or the raw ones that the objective is in."""
    if options.standardize:
        return objective.standardise(options.fit_intercept)
    if options.automatic:
        objective.finite_moments(options.fit_intercept)  # curvature has the squares of columns
    return objective.coordinates


def _descend(objective: Objective, theta: np.ndarray, options: Options, history: History, most: int) -> Solution:
    warm = not objective.in_memory and len(history.curve) > 1  # an epoch has been made
    return gd.minimise(objective, theta, tol=options.tol or 0.0, max_iter=most, history=history, warm=warm)


def _rounded(
    objective: Objective, W: np.ndarray, b: np.ndarray, coordinates: Coordinates | None, options: Options, curve: list[float]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients that float32 holds, where X is that; intercepts make up for what rounding moves mean scores by.

    The last result is what rounding adds to the objective at most, as a share of it.
    """
    if objective.data.dtype != np.float32 or coordinates is None:
        return W, b, 0.0
    with np.errstate(over="ignore"):
        coef = W.astype(np.float32).astype(np.float64)
    if not np.isfinite(coef).all():
        return W, b, 0.0  # which is an error where they are turned into attributes
    intercept, scale = b + coordinates.mean @ (W - coef), coordinates.scale[:-1, None]
    tiny = np.abs(coef - W) > NOTICEABLE * np.abs(W)  # below the normal range, where float32 has few digits
    off = np.abs(intercept.astype(np.float32) - intercept)
    spread = np.divide(np.abs(coef - W), scale, out=np.zeros_like(W), where=scale > 0.0)  # of scores, of each coefficient
    error = off + spread.sum(axis=0)
    rise = 0.5 * objective.loss.curvature_bound() * error @ error if objective.loss.smooth() else error.sum()
    allowed, noise = options.tol or 0.0, NEGLIGIBLE * curve[0]
    risen = rise / max(curve[-1], TINY)
    if tiny.any() or not rise <= allowed * curve[-1] + noise:
        F, F_rounded = (
            objective.mean_loss(*at) + penalty_value(at[0], objective.raw_penalty)
            for at in ((W, b), (coef, intercept.astype(np.float32).astype(np.float64)))
        )
        risen = max(F_rounded - F, 0.0) / max(F, TINY)
        if not F_rounded <= F * (1.0 + allowed) + noise:
            what, value, error = "intercept", intercept[off.argmax()], off.max()
            if tiny.any() or spread.max() > off.max():
                worst = np.unravel_index((tiny if tiny.any() else spread).argmax(), W.shape)
                what, value, error = "coefficient", W[worst], np.abs(coef - W)[worst]
            warn(
                f"float32 holds the {what} {value:.3g} to {error:.1g} only, and the objective is {F_rounded:.3g} instead of "
                f"{F:.3g}: pass X as float64, or {'rescale y' if tiny.any() else 'subtract an offset from its columns'}.",
                ConvergenceWarning,
            )
    return coef, intercept, risen


def _warn(solution: Solution, options: Options, loss: Any) -> None:
    """Say how far the fit is from its minimum and what would bring it there."""
    message = solution.remark
    if not message:
        unit = "iterations" if options.solver in ("gd", "auto") else "epochs"
        remedies = ["raise max_iter or tol"]
        if not options.automatic:
            remedies.append("tune eta0 or use learning_rate='auto'")
        elif options.solver in STOCHASTIC_SOLVERS and gd.supports(loss, automatic=True):
            remedies.append("use solver='auto'")
        near = solution.gap <= (options.tol or 0.0)
        distance = f"is about {solution.gap:.1e} (relative) above its minimum" if not near else "has not settled yet"
        message = (
            f"solver={options.solver!r} stopped after {solution.iterations} {unit} without reaching tol={options.tol:g}: "
            f"the objective {distance}. To get closer, {', or '.join(remedies)}."
        )
    warn(message, ConvergenceWarning)
