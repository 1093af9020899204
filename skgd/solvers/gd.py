"""solver="gd": chooses, by the objective and what passes cost, how its minimum is found.

Smooth losses are minimised by a descent in the metric of their curvature (`descent`), with these short cuts:

- fewer rows than columns: the same problem in the space that the rows span (`row_space`);
- an L1 penalty on many columns: problems of few columns (`working_sets`);
- least squares: one pass over X tells the whole objective (`least_squares`);
- many rows: minimisers of samples are starting points for all rows;
- independent columns of scores: descents that share passes (`together`).

Losses with kinks go to the interior-point method.  If their data is too large for it, their kinks are rounded (`smoothing`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..constants import TINY
from ..models import least_norm, least_squares, row_space
from ..models.cost import HessianPlan
from ..models.metric import Metric
from ..models.quasi_newton import QuasiNewton
from ..monitoring.history import History
from ..objective import Objective
from . import interior_point, interior_systems, smoothing, together, working_sets
from .budget import Budget
from .certificates import Rounding
from .descent import descend_column
from .descent_state import Start
from .passes import Share, run_alone
from .solution import Solution

GROWTH = 8  # the ratio of the numbers of rows of two successive samples
ROWS_PER_COEFFICIENT = 5  # that a sample has at least
# Entries of X, times columns of scores, that a sample has at least.  An iteration on fewer costs as much on any number of rows.
WORTHWHILE_ENTRIES = 32_000
SAMPLE_ITERATIONS = 20  # at most, on one sample
# Iterations after which a descent that may stall gives way to the interior-point method.  Newton's method on losses with flat
# rows has mostly ended before.
BEFORE_INTERIOR_POINT = 12
EXACT_ITERATIONS = 10  # for a model that is exact: more of them only step in rounding


def supports(loss: Any, automatic: bool) -> bool:
    """Whether the loss has a minimum that is worth finding; of the perceptron only the way of its steps counts."""
    return not (automatic and loss.minimised_by_zero_scores())


def minimise(
    objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, warm: bool = False
) -> Solution:
    """Minimise from theta, which is near the minimum if `warm`, until the estimated relative gap is at most `tol`."""
    budget = Budget(tol, max_iter, history)
    if row_space.is_worthwhile(objective):
        return _in_row_space(objective, theta, budget)
    return _in_all_columns(objective, theta, budget, warm=warm)


def _in_all_columns(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool) -> Solution:
    if objective.loss.smooth():
        return minimise_smooth(objective, theta, budget, warm=warm)
    if interior_point.supports(objective):
        return interior_point.minimise(objective, theta, **budget._asdict())
    return smoothing.minimise(objective, theta, budget, minimise_smooth)


def minimise_smooth(objective: Objective, theta: np.ndarray, budget: Budget, *, warm: bool = False) -> Solution:
    """Minimise a smooth objective.  Unless theta is near the minimum (`warm`), large data starts from minimisers of samples."""
    if objective.loss.has_flat_rows() and interior_systems.row_matrix_is_worthwhile(objective):
        return interior_point.minimise(objective, theta, **budget._asdict())
    if working_sets.is_worthwhile(objective):
        return working_sets.minimise(objective, theta, budget, descend_to_the_end)
    if least_squares.is_worthwhile(objective):
        return _least_squares(objective, theta, budget)
    start = Start(theta, np.inf)
    if not (warm or objective.cache.point is not None):
        theta, start = _minimiser_of_samples(objective, start, budget.tol)
    return descend_to_the_end(objective, theta, budget, start=start)


def descend_to_the_end(
    objective: Objective, theta: np.ndarray, budget: Budget, *, thorough: bool = True, start: Start | None = None
) -> Solution:
    """`descend`; if it might stall, the interior-point method takes over after some iterations.

    Rows that pay nothing may have no curvature.  If fewer rows pay than there are coefficients, the Hessian is singular but
    for the penalty, and steps are short.  A diagonal says little of a Hessian whose rows come and go.
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
    """Descend on all rows of a smooth objective; each of several independent columns descends by itself.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (D, K)
    budget : Budget
    metric : Metric or None
        The first metric; None: the curvature at theta.
    thorough : bool
        Whether the descent stops only after it has looked for what sampled and rough models hide.
    start : Start or None
        Where the descent begins if theta is worse.  A row far out may be in no sample, and make the sample's minimiser
        worthless for all rows.
    """
    if metric is None and together.is_worthwhile(objective):
        starts = [None if start is None else Start(start.theta[:, [k]], start.F) for k in range(objective.K)]
        return together.minimise(objective, theta, starts, budget, thorough=thorough)
    descent = descend_column(objective, theta, start, budget, share=Share(), metric=metric, thorough=thorough)
    return run_alone(objective, descent)


# ---------------------------------------------------------------- samples
def _minimiser_of_samples(objective: Objective, start: Start, tol: float) -> tuple[np.ndarray, Start]:
    """The minimiser (D, K) of the largest sample; and the start, with the lowest objective that any sample began at."""
    theta = start.theta
    for stride in sample_strides(objective):
        noise = theta.size * stride / (8.0 * objective.n)  # a quarter of the gap at the sample's minimiser
        budget = Budget(max(tol, noise), SAMPLE_ITERATIONS, History("gd"))
        theta = descend(objective.sample(stride), theta, budget, start=start).theta
        start = start._replace(F=min(start.F, budget.history.curve[0]))
    return theta, start


def sample_strides(objective: Objective) -> list[int]:
    """The strides of ever larger samples of rows: the minimiser of each is the starting point for the next.

    The minimiser of m rows is about size / (2 m) above that of all rows (in nats, for `size` coefficients), so few iterations
    are left after each; and an iteration on a sample costs a `GROWTH`-th of one on the next.
    """
    size, entries = objective.K * (objective.d + 1), objective.data.entries * objective.K
    strides: list[int] = []
    stride = GROWTH
    while objective.n // stride >= ROWS_PER_COEFFICIENT * size and entries // stride > WORTHWHILE_ENTRIES:
        if objective.data.thins(stride):
            strides.insert(0, stride)
        stride *= GROWTH
    return [] if objective.loss.constant_curvature() else strides


# ---------------------------------------------------------------- problems that become small
def _in_row_space(objective: Objective, theta: np.ndarray, budget: Budget) -> Solution:
    """Minimise in the space that the rows span; go on in all columns if rounding on the way out cost more than `tol`."""
    history = budget.history
    space = row_space.RowSpace(objective)
    inner = budget._replace(history=history.through(space.outside))
    solution = minimise(space.objective, space.inside(theta), **inner._asdict())
    theta, F_inside = space.outside(solution.theta), history.curve[-1]
    F, left = objective.evaluate(theta)[0], budget.max_iter - solution.iterations
    history.begin(F, theta)
    risen = max(F - F_inside, 0.0)
    gap = solution.gap + risen / max(F, TINY)
    harmless = risen <= Rounding(objective, history.curve[0]).below(F)
    if harmless or gap <= budget.tol or left == 0 or not solution.converged:
        converged = solution.converged and (harmless or gap <= budget.tol)
        return solution._replace(theta=theta, gap=gap, converged=converged)
    more = _in_all_columns(objective, theta, budget._replace(max_iter=left), warm=True)
    history.begin(objective.evaluate(more.theta)[0], more.theta)
    return more._replace(iterations=solution.iterations + more.iterations)


def _least_squares(objective: Objective, theta: np.ndarray, budget: Budget) -> Solution:
    """Minimise by the sums of one pass, and by further passes if those sums do not resolve the minimum.

    Of several minimisers the one of least norm is returned.
    """
    squares = least_squares.LeastSquares(objective)
    shortest = least_norm.matters(objective)
    metric = QuasiNewton(squares, theta) if shortest else None
    short = budget._replace(max_iter=min(budget.max_iter, EXACT_ITERATIONS))
    solution = descend(squares, theta, short, metric=metric)
    if not (solution.converged and squares.resolves(budget.tol, budget.history.curve[-1], solution.theta)):
        metric = QuasiNewton(squares, theta) if shortest else None  # a new one: changes of the gradient were rounding
        solution = descend(objective, solution.theta, budget, metric=metric)
    if metric is None:
        return solution
    theta = least_norm.shortened(objective, solution.theta, metric.base.null, budget.tol)
    if theta is not solution.theta:
        budget.history.begin(objective.evaluate(theta)[0], theta)
    return solution._replace(theta=theta)
