"""Full-batch descent in a curvature metric: proximal (quasi-)Newton.

Every iteration minimises a quadratic model of the loss plus the exact penalty, and moves there: with an L2 penalty
this is Newton's method or BFGS, with L1 its proximal form, whose zeros are exact (Lee, Sun and Saunders, 2014).
One iteration reads X once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np

from ..models import least_norm, least_squares, row_space
from ..models.column_metric import Columns
from ..models.curvature import Matrices
from ..models.proximal_metric import Full, Limited, proximal_metric
from ..models.quasi_newton import QuasiNewton
from ..monitoring.history import History
from ..objective import Objective
from . import interior_point, interior_systems, smoothing, together, working_sets
from .certificates import Rounding, newton_direction, proves
from .solution import Solution
from .together import Answer, Descent, Share

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
ROUNDING = 1e-13  # relative gap that the arithmetic cannot tell from none
GROWTH = 8  # of samples
ROWS = 5  # of a sample, for each coefficient
WORTHWHILE = 32_000  # entries of a sample, below which an iteration costs as much on any number of rows
RENEWED = 0.03
SOON, MORE = 3, 4.0  # a curvature that stalls after so few iterations came from too few rows: more effort for the next
OUTDATED = 3.0  # fall of F since its curvature was taken, after which that says nothing of what is still to come
WINDOW = 10  # iterations over which a limited metric has to have gained little
SLOW, SLOWEST = 0.9, 0.99  # rates of convergence that are believed, at most: of one curvature, and of one for every step
SHORT = 12  # iterations of Newton's method on rows that may be flat; it has mostly ended before
SURE = 1e-3  # share of the tolerance that a model promises at most, where its curvature may end at the next row
CLOSE = 1e-3  # relative gap from which rows far off count as they are
FEW = 10  # iterations for an exact model: more are steps in rounding
SEPARABLE = (
    "The classes are perfectly separated and nothing is penalised: coefficients grow without end, and the fit stopped "
    "where the objective was below tol={tol:g} of its start. Set penalty='l2' and alpha > 0."
)
Metric = QuasiNewton | Full | Columns | Limited
SHORTER, TRIALS = 0.25, 32  # from one trial of a step to the next, and how many there are
STRAIGHT, LONGER = 0.9, 4.0  # share of its slope that a step keeps where a fifth of the curvature is there; how it goes on
AT_ONCE = 8  # trials in one pass, where that is dear
SUFFICIENT = 0.2  # share of the slope that a step keeps on average (Armijo); a quadratic model promises 1/2


class Start(NamedTuple):
    """Where a fit starts, and the objective there as far as a sample of the rows tells it."""

    theta: np.ndarray
    F: float


def supports(loss: Any, automatic: bool) -> bool:
    """Whether the loss has a minimum that is worth finding, not only a way."""
    return not (automatic and loss.minimised_by_zero_scores())


def minimise(
    objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, warm: bool = False
) -> Solution:
    """Minimise from theta, which is near the minimum if `warm`, until the estimated relative gap is at most `tol`."""
    if row_space.is_worthwhile(objective):
        return _in_row_space(objective, theta, tol, max_iter, history)
    return _in_all_columns(objective, theta, tol=tol, max_iter=max_iter, history=history, warm=warm)


def _in_all_columns(objective: Objective, theta: np.ndarray, *, warm: bool, **how: Any) -> Solution:
    if objective.loss.smooth():
        return from_samples(objective, theta, **how, warm=warm)
    if interior_point.supports(objective):
        return interior_point.minimise(objective, theta, **how)
    return smoothing.minimise(objective, theta, **how, descend=from_samples)


def from_samples(
    objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, warm: bool = False
) -> Solution:
    """Minimise a smooth objective: where it is large from minimisers of samples, unless theta is near (`warm`)."""
    if objective.loss.has_flat_rows() and interior_systems.row_matrix_is_worthwhile(objective):
        return interior_point.minimise(objective, theta, tol=tol, max_iter=max_iter, history=history)
    if working_sets.is_worthwhile(objective):
        return working_sets.minimise(objective, theta, tol=tol, max_iter=max_iter, history=history, descend=finish)
    if least_squares.is_worthwhile(objective):
        return _least_squares(objective, theta, tol, max_iter, history)
    near, start = warm or objective.cache.point is not None, Start(theta, np.inf)
    for stride in [] if near else sample_strides(objective):
        noise, of_sample = theta.size * stride / (8.0 * objective.n), History("gd")
        theta = descend(objective.sample(stride), theta, tol=max(tol, noise), max_iter=20, history=of_sample, start=start).theta
        start = start._replace(F=min(start.F, of_sample.curve[0]))
    return finish(objective, theta, tol=tol, max_iter=max_iter, history=history, start=start)


def finish(objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, **how: Any) -> Solution:
    """`descend`, which ends soon where many rows pay; where it might not, an interior-point method goes on after a while.

    Rows that pay nothing may have no curvature.  Where those that pay are fewer than coefficients, the Hessian is singular but
    for the penalty, and steps are short; and its diagonal says little of a Hessian whose rows come and go.
    """
    stalls = objective.loss.has_flat_rows() or not Matrices(objective, constant=False).worthwhile
    if not (stalls and interior_point.supports(objective)):
        return descend(objective, theta, tol=tol, max_iter=max_iter, history=history, **how)
    first = descend(objective, theta, tol=tol, max_iter=min(max_iter, SHORT), history=history, **how)
    left = max_iter - first.iterations
    if first.converged or left <= 0:
        return first
    second = interior_point.minimise(objective, first.theta, tol=tol, max_iter=left, history=history)
    return second._replace(iterations=first.iterations + second.iterations)


def _in_row_space(objective: Objective, theta: np.ndarray, tol: float, max_iter: int, history: History) -> Solution:
    """In the space that the rows span; by further passes where rounding on the way out has cost more than `tol`."""
    space = row_space.RowSpace(objective)
    inside = history.through(space.outside)
    solution = minimise(space.objective, space.inside(theta), tol=tol, max_iter=max_iter, history=inside)
    theta, F_inside = space.outside(solution.theta), history.curve[-1]
    F, left = objective.evaluate(theta)[0], max_iter - solution.iterations
    history.begin(F, theta)
    risen = max(F - F_inside, 0.0)
    gap = solution.gap + risen / max(F, TINY)
    nothing = risen <= Rounding(objective, history.curve[0]).below(F)
    if nothing or gap <= tol or left == 0 or not solution.converged:
        return solution._replace(theta=theta, gap=gap, converged=solution.converged and (nothing or gap <= tol))
    more = _in_all_columns(objective, theta, tol=tol, max_iter=left, history=history, warm=True)
    history.begin(objective.evaluate(more.theta)[0], more.theta)
    return more._replace(iterations=solution.iterations + more.iterations)


def _least_squares(objective: Objective, theta: np.ndarray, tol: float, max_iter: int, history: History) -> Solution:
    """After one pass over X; by further ones where that does not resolve the minimum.  Of least norm, if there are many."""
    squares = least_squares.LeastSquares(objective)
    shortest = least_norm.matters(objective)
    metric = QuasiNewton(squares, theta) if shortest else None
    solution = descend(squares, theta, tol=tol, max_iter=min(max_iter, FEW), history=history, metric=metric)
    if not (solution.converged and squares.resolves(tol, history.curve[-1], solution.theta)):
        metric = QuasiNewton(squares, theta) if shortest else None  # without steps whose changes were rounding
        solution = descend(objective, solution.theta, tol=tol, max_iter=max_iter, history=history, metric=metric)
    if metric is None:
        return solution
    theta = least_norm.shortened(objective, solution.theta, metric.base.null, tol)
    if theta is not solution.theta:
        history.begin(objective.evaluate(theta)[0], theta)
    return solution._replace(theta=theta)


def sample_strides(objective: Objective) -> list[int]:
    """Strides of ever larger samples, whose minimisers are starting points for one another and at last for all rows.

    The minimiser of m rows is about size/(2 m) above that of all (in nats, for `size` coefficients), so few iterations
    are left after each; and an iteration on a sample costs a `GROWTH`-th of the next.
    """
    size, entries = objective.K * (objective.d + 1), objective.data.entries * objective.K
    strides: list[int] = []
    stride = GROWTH
    while objective.n // stride >= ROWS * size and entries // stride > WORTHWHILE:
        if objective.data.thins(stride):
            strides.insert(0, stride)
        stride *= GROWTH
    return [] if objective.loss.constant_curvature() else strides


def descend(
    objective: Objective,
    theta: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    history: History,
    metric: Metric | None = None,
    certain: bool = True,
    start: Start | None = None,
) -> Solution:
    """Iterate on all rows of the objective, at first in the given metric; each of several columns by itself.

    `certain`: until it has been looked for what sampled and rough models hide.  Where theta is worse than the `start`, the
    descent begins there: a row far out may be in no sample, and make its minimiser worthless.
    """
    how: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "certain": certain}
    if metric is None and together.is_worthwhile(objective):
        starts = [None if start is None else Start(start.theta[:, [k]], start.F) for k in range(objective.K)]
        return together.minimise(objective, theta, starts, history=history, descend=_descent, **how)
    descent = _descent(objective, theta, start, history=history, metric=metric, share=Share(), **how)
    return together.alone(objective, descent)


def _descent(
    objective: Objective,
    theta: np.ndarray,
    start: Start | None,
    *,
    tol: float,
    max_iter: int,
    history: History,
    share: Share,
    metric: Metric | None = None,
    certain: bool = True,
) -> Descent:
    """`descend`, as a generator: see `together`."""
    # A coupled loss does not see equal shifts of all scores, and an L2 penalty prefers none.
    kinked = bool(objective.penalty.non_smooth.any())
    shifts = objective.loss.coupled() and not kinked
    if shifts:
        theta = theta - theta.mean(axis=1, keepdims=True)
    make = proximal_metric if kinked else QuasiNewton
    old = bool(objective.cache.curvature)  # the metric may be one of elsewhere
    # Rows far off count with more than their curvature: steps are shorter, but slow and no measure of what is left.
    cautious = objective.loss.damps_far_rows()
    metric = metric or make(objective, theta, remembered=True)
    F, gradient = yield theta
    if start is not None and not start.F >= F:
        F_start, gradient_start = yield start.theta
        if not F_start >= F:
            theta, F, gradient = start.theta, F_start, gradient_start
            metric = make(objective, theta)
    history.begin(F, theta)
    rounding = Rounding(objective, F)
    # The curvature of a rounded kink ends where a row leaves it: a step has to tell how far that is.
    rounded = objective.loss.smoothed()
    # Where rows that pay nothing are flat, a model is exact once no row changes sides: the one after it promises nothing.
    sure = SURE if objective.loss.has_flat_rows() else 1.0
    values, gap, unit, whole = [F], np.inf, max(F, TINY), True  # whole: the last step went all the way
    decreases: list[float] = []  # of this metric's models
    effort, F_then = 1.0, F

    def renewed(theta: np.ndarray, F: float) -> tuple[Metric, list[float], float, bool]:
        return make(objective, theta, effort), [], F, False

    while True:
        # 1. minimise the model
        zero = rounding.below(F)
        unit = max(F, share.value, zero, TINY)
        goal = min(tol, 1e-3) * unit
        precision = 1e-3 * goal
        target, slope, decrease = metric.minimise(theta, gradient, precision, goal=goal if certain else 0.0)
        if shifts:
            target -= target.mean(axis=1, keepdims=True)
        decreases.append(max(decrease, 0.0))
        # 2. stop on the gap
        gap = _gap(metric, decreases, values, tol, whole) / unit
        if cautious and gap <= max(0.25 * tol, CLOSE) and metric.refreshable and metric.refreshed_every_step and F > zero:
            objective, cautious = objective.with_own_curvature(), False
            if gap <= 0.25 * tol:  # else the next step, and new curvature after it, will tell
                metric, decreases, F_then, old = renewed(theta, F)
                continue
        near = gap <= 0.25 * tol * (sure if metric.exact_near_minimum else 1.0)
        near = near and not (old and len(decreases) == 1) and (len(values) > 1 or not rounded)
        outdated = metric.refreshable and OUTDATED * F < F_then
        doubtful = near and certain and metric.unshrunk_decrease(theta, gradient, precision) > tol * unit
        if near and certain and isinstance(metric, QuasiNewton) and not metric.exact_near_minimum:
            step, promise = _confirmed(objective, theta, gradient, metric, tol * unit)
            gap = max(gap, promise / unit)
            if promise > 0.25 * tol * unit:
                near, target, slope = False, theta + step, float(np.vdot(gradient + metric.l2 * theta, step))
        if F <= zero:  # no loss is negative
            return Solution(theta, max(len(values) - 1, 1), 0.0, True, bound=True)
        if near and not outdated and not doubtful:
            return _ended(objective, theta, F, gradient, len(values), gap, tol, unit)
        if F <= tol * values[0] and _separates(objective, F):
            return Solution(theta, len(values) - 1, 1.0, False, SEPARABLE.format(tol=tol))
        if len(values) > max_iter:
            if (
                metric.exact_near_minimum and metric.refreshed_every_step and whole
            ):  # its curvature is that of the last point: no rate is needed
                gap = decreases[-1] / unit
            break
        if metric.refreshable and metric.refreshed_every_step:
            objective.look_ahead(target)
        # 3. step, shortened where it has to be, unless new curvature pays, or has to confirm the gap
        found = None
        if not (near or _stalled(metric, decreases)):
            found = yield from _search(objective, theta, target, F, slope)
        if found is None:
            if (len(decreases) == 1 and not doubtful) or not metric.refreshable:
                break  # rounding: no step along this direction lowers the objective
            effort *= MORE if doubtful or (len(decreases) <= SOON and not old) else 1.0
            metric, decreases, F_then, old = renewed(theta, F)
            continue
        new, F_new, new_gradient = found
        whole = new is target
        # 4. update the curvature
        if metric.refreshable and metric.refreshed_every_step:
            metric, decreases, F_then, old = renewed(new, F_new)
        else:
            metric.update(new - theta, new_gradient - gradient)
        theta, F, gradient = new, F_new, new_gradient
        values.append(F)
        history.record(F, theta)
    return _ended(objective, theta, F, gradient, len(values), gap, tol, unit)


def _confirmed(
    objective: Objective, theta: np.ndarray, gradient: np.ndarray, metric: QuasiNewton, most: float
) -> tuple[np.ndarray, float]:
    """A step, and what it promises, by the Hessian of all rows, where a metric knows but a diagonal; 0 where duality proves
    that no more than `most` is left.
    """
    if proves(objective, theta, gradient, most) is not None:
        return np.zeros_like(theta), 0.0
    return newton_direction(objective, theta, gradient + metric.l2 * theta, metric.inverse, 0.25 * most)


def _ended(
    objective: Objective, theta: np.ndarray, F: float, gradient: np.ndarray, values: int, gap: float, tol: float, unit: float
) -> Solution:
    """The solution at theta: with the gap that duality proves, where that is small, else with the one that models promise."""
    bound = proves(objective, theta, gradient, tol * unit)
    gap = gap * unit if bound is None else bound
    converged = gap <= max(tol, ROUNDING) * unit
    return Solution(theta, max(values - 1, 1), gap / F if F > 0.0 else 0.0, converged, bound=bound is not None)


def _stalled(metric: Metric, decreases: list[float]) -> bool:
    """Whether new curvature pays: it would gain a factor of `RENEWED` in the gap for its own cost and that of a pass."""
    recent = decreases[-4:]
    if not metric.refreshable or len(recent) < 2 or recent[0] == 0.0:
        return False
    rate = (recent[-1] / recent[0]) ** (1.0 / (len(recent) - 1))
    return rate > RENEWED ** (1.0 / (1.0 + metric.passes))


def _separates(objective: Objective, F: float) -> bool:
    """Whether every row is on its right side and nothing is penalised: then F has no minimiser, its infimum is zero.

    A row on the wrong side, or undecided, alone costs at least log 2 times its weight.
    """
    wrong = np.log(2.0) * objective.data.smallest_weight() / objective.n
    return objective.unpenalised and objective.loss.attains_zero_only_at_infinity() and F < wrong


def _gap(metric: Metric, decreases: list[float], values: list[float], tol: float, whole: bool) -> float:
    """What F has still to lose, from the decreases of this metric's models and those that came true.

    Each is continued as a geometric series, and the larger sum counts: a model may be too steep, a rate be luck.  A metric
    of every step has one decrease, but rows off their kinks damp it: there the rate that came true counts as well.  Without
    matrices, or after a step that had to be shortened, both flatter: there the last `WINDOW` iterations count as well.
    """
    estimate, renews = decreases[-1], metric.refreshable and metric.refreshed_every_step
    if len(decreases) > 1 or (renews and len(values) > 2):
        most, lost = SLOWEST if renews else SLOW, values[-2] - values[-1]
        rate = min(decreases[-1] / max(decreases[-2], TINY), most) if len(decreases) > 1 else 0.0
        observed = min(lost / max(values[-3] - values[-2], TINY), most) if renews or len(decreases) > 2 else rate
        estimate = max(estimate / (1.0 - rate), lost * observed / (1.0 - observed))
    if (metric.exact_near_minimum and whole) or estimate <= 1e-4 * tol * values[-1]:
        return estimate
    return max(estimate, values[-WINDOW] - values[-1]) if len(values) >= WINDOW else max(estimate, tol * values[-1])


Found = tuple[np.ndarray, float, np.ndarray]  # theta, F and the gradient there


def _extended(theta: np.ndarray, F: float, slope: float, found: Found) -> Generator[np.ndarray, Answer, Found]:
    """Go on along a step while F falls nearly as straight as its slope says: the model has too much curvature."""
    target, t = found[0], 1.0
    while found[1] <= F + STRAIGHT * t * slope:
        t *= LONGER
        new = theta + t * (target - theta)
        F_new, gradient = yield new
        if not F_new < found[1]:
            break
        found = new, F_new, gradient
    return found


def _search(
    objective: Objective, theta: np.ndarray, target: np.ndarray, F: float, slope: float
) -> Generator[np.ndarray, Answer, Found | None]:
    """Backtrack from target towards theta; (new theta, F, gradient), or None if nothing lowers F."""

    def lowers(F_new: float, t: float) -> bool:
        return F_new <= F + SUFFICIENT * t * slope + 4 * EPS * abs(F)

    F_new, gradient = yield target
    if lowers(F_new, 1.0):
        return (yield from _extended(theta, F, slope, (target, F_new, gradient)))
    # The minimum of the parabola through both values and the slope, and ever shorter steps.
    t = float(np.clip(-0.5 * slope / (F_new - F - slope), 0.1, 0.5)) if np.isfinite(F_new) else 0.1
    lengths = t * SHORTER ** np.arange(TRIALS)
    if objective.data.expensive:
        return _first_lower(objective, theta, target, lengths, lowers)
    for t in lengths:
        new = theta + t * (target - theta)
        F_new, gradient = yield new
        if lowers(F_new, t):
            return new, F_new, gradient
    return None


def _first_lower(
    objective: Objective, theta: np.ndarray, target: np.ndarray, lengths: np.ndarray, lowers: Callable[[float, float], bool]
) -> Found | None:
    """The same where passes are dear: each tries several lengths at once."""
    for some in np.split(lengths, TRIALS // AT_ONCE):
        points = [theta + t * (target - theta) for t in some]
        for t, new, value in zip(some, points, objective.values(points), strict=True):
            if lowers(value, t):
                return new, *objective.evaluate(new)
    return None
