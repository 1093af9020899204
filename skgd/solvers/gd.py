"""solver="gd": chooses the cheapest method for an objective.

Smooth losses are minimised by Newton or quasi-Newton steps (`descent`).  Special cases take a shorter way:

- With fewer rows than columns, the problem is solved in the space that the rows span (`row_space`).
- With an L1 penalty on many columns, problems of few columns are solved (`working_sets`).
- For least squares, one pass over X determines the whole objective (`least_squares`).
- With many rows, the fit starts at the minimiser of a sample of the rows.
- Independent columns of scores descend separately, but share passes over X (`together`).

Non-smooth losses are minimised by an interior-point method (`interior_point`), or by smoothing if X is too large (`smoothing`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..models import least_norm, least_squares, row_space
from ..models.cost import HessianPlan
from ..models.metric import Metric
from ..models.quasi_newton import QuasiNewton
from ..monitoring.history import History
from ..objective import Objective
from . import interior_point, interior_systems, smoothing, together, working_sets
from .budget import Budget
from .descent import descend_column
from .descent_state import Start
from .in_row_space import in_row_space
from .passes import MeanObjective, run_alone
from .solution import Solution

GROWTH = 8  # Each sample has so many times the rows of the sample before.
ROWS_PER_COEFFICIENT = 5  # A sample has at least so many rows for each coefficient.
# The least number of entries of a sample of X, times the columns of scores.  With fewer entries the overhead of an iteration is
# larger than its pass, so a smaller sample saves nothing.
WORTHWHILE_ENTRIES = 32_000
SAMPLE_ITERATIONS = 20  # the largest number of iterations on one sample
# A descent that may stall gives way to the interior-point method after so many iterations.  Newton's method mostly needs fewer.
BEFORE_INTERIOR_POINT = 12
# The largest number of iterations on the sums of least squares.  Their model is exact, so further steps are rounding errors.
EXACT_ITERATIONS = 10


def supports(loss: Any, automatic: bool) -> bool:
    """Whether the minimum of the loss is useful.  The perceptron's is not: it is attained at zero coefficients."""
    return not (automatic and loss.minimised_by_zero_scores())


def minimise(
    objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, warm: bool = False
) -> Solution:
    """Minimise the objective from theta (D, K), until the relative gap (F - F*) / F is at most `tol`.

    `warm` says that theta is near the minimum.
    """
    budget = Budget(tol, max_iter, history)
    if row_space.is_worthwhile(objective):
        return in_row_space(objective, theta, budget, _in_all_columns)
    return _in_all_columns(objective, theta, budget, warm=warm)


def _in_all_columns(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution:
    """Minimise by all coefficients, not in the row space."""
    if objective.loss.smooth():
        return minimise_smooth(objective, theta, budget, warm=warm)
    if interior_point.supports(objective):
        return interior_point.minimise(objective, theta, **budget._asdict())
    return smoothing.minimise(objective, theta, budget, minimise_smooth)


def minimise_smooth(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution:
    """Minimise an objective with a smooth loss.

    If there are many rows, the descent starts at the minimiser of a sample, unless `warm` says that theta is near the minimum.
    """
    if objective.loss.has_flat_rows() and interior_systems.row_matrix_is_worthwhile(objective):
        return interior_point.minimise(objective, theta, **budget._asdict())
    if working_sets.is_worthwhile(objective):
        return working_sets.minimise(objective, theta, budget, partial(descend_to_the_end, thorough=False))
    if least_squares.is_worthwhile(objective):
        return _least_squares(objective, theta, budget)
    start = Start(theta, np.inf)
    if not (warm or objective.cache.point is not None):
        theta, start = _minimiser_of_samples(objective, start, budget.tol)
    return descend_to_the_end(objective, theta, budget, start=start)


def descend_to_the_end(
    objective: Objective, theta: np.ndarray, budget: Budget, *, thorough: bool = True, start: Start | None = None
) -> Solution:
    """Like `descend`, but the interior-point method takes over after some iterations if the descent may stall.

    A descent may stall in two cases.  If rows whose loss is zero have no curvature, the Hessian may be singular except for the
    penalty, and then steps are short.  If the Hessian costs too much, its diagonal may be a poor model.
    """
    may_stall = objective.loss.has_flat_rows() or not HessianPlan(objective).worthwhile
    if not (may_stall and interior_point.supports(objective)):
        return descend(objective, theta, budget, thorough=thorough, start=start)
    short = budget._replace(max_iter=min(budget.max_iter, BEFORE_INTERIOR_POINT))
    first = descend(objective, theta, short, thorough=thorough, start=start)
    rest = budget._replace(max_iter=budget.max_iter - first.iterations)
    if first.converged or rest.max_iter <= 0:
        return first
    second = interior_point.minimise(objective, first.theta, **rest._asdict())
    return second._replace(iterations=first.iterations + second.iterations)


def descend(
    objective: Objective,
    theta: np.ndarray,
    budget: Budget,
    *,
    metric: Metric | None = None,
    thorough: bool = True,
    start: Start | None = None,
) -> Solution:
    """Minimise a smooth loss plus a penalty by `descent`.  Independent columns of scores descend separately.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (D, K)
    budget : Budget
    metric : Metric or None
        The first metric.  None: it is made at theta.
    thorough : bool
        Whether the descent checks its estimated gap before it stops: see `DescentState`.
    start : Start or None
        Another starting point, which is used if its objective is lower.  The minimiser of a sample may be a bad starting point
        for all rows, if the sample misses an outlier.
    """
    if metric is None and together.is_worthwhile(objective):
        starts = [None if start is None else Start(start.theta[:, [k]], start.F) for k in range(objective.K)]
        return together.minimise(objective, theta, starts, budget, thorough=thorough)
    descent = descend_column(objective, theta, start, budget, mean_objective=MeanObjective(), metric=metric, thorough=thorough)
    return run_alone(objective, descent)


# ---------------------------------------------------------------- samples
def _minimiser_of_samples(objective: Objective, start: Start, tol: float) -> tuple[np.ndarray, Start]:
    """The minimiser (D, K) of the largest sample, and the start with its lowest objective on any of the samples."""
    theta = start.theta
    for stride in sample_strides(objective):
        noise = theta.size * stride / (8.0 * objective.n)  # a quarter of the expected gap of the sample's minimiser on all rows
        budget = Budget(max(tol, noise), SAMPLE_ITERATIONS, History("gd"))
        theta = descend(objective.sample(stride), theta, budget, start=start).theta
        start = start._replace(F=min(start.F, budget.history.curve[0]))
    return theta, start


def sample_strides(objective: Objective) -> list[int]:
    """The strides of samples of the rows, from the smallest sample to the largest.  The minimiser of each is the next start.

    At the minimiser of m rows, F is above its minimum by about size / (2 m), for `size` coefficients and a loss in nats.  So
    the next sample needs few iterations, and each costs `GROWTH` times as much as an iteration on the sample before.
    """
    size, entries = objective.K * (objective.d + 1), objective.data.entries * objective.K
    strides: list[int] = []
    stride = GROWTH
    while objective.n // stride >= ROWS_PER_COEFFICIENT * size and entries // stride > WORTHWHILE_ENTRIES:
        if objective.data.thins(stride):
            strides.insert(0, stride)
        stride *= GROWTH
    return [] if objective.loss.constant_curvature() else strides


# ---------------------------------------------------------------- smaller problems
def _least_squares(objective: Objective, theta: np.ndarray, budget: Budget) -> Solution:
    """Minimise a squared error by the sums of one pass, and by further passes if rounding errors of the sums exceed `tol`.

    If there are several minimisers, the one of least norm is returned.
    """
    squares = least_squares.LeastSquares(objective)
    shortest = least_norm.matters(objective)
    metric = QuasiNewton(squares, theta) if shortest else None
    short = budget._replace(max_iter=min(budget.max_iter, EXACT_ITERATIONS))
    solution = descend(squares, theta, short, metric=metric)
    if not (solution.converged and squares.resolves(budget.tol, budget.history.curve[-1], solution.theta)):
        # A new metric is needed, because the last one was corrected by rounding errors.
        metric = QuasiNewton(squares, theta) if shortest else None
        solution = descend(objective, solution.theta, budget, metric=metric)
    if metric is None:
        return solution
    theta = least_norm.shortened(objective, solution.theta, metric.base.null, budget.tol)
    if theta is not solution.theta:
        budget.history.begin(objective.evaluate(theta)[0], theta)
    return solution._replace(theta=theta)
