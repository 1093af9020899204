"""Full-batch descent in a curvature metric: proximal (quasi-)Newton.

Every iteration minimises a quadratic model of the loss plus the exact penalty, and moves there: with an L2 penalty
this is Newton's method or BFGS, with L1 its proximal form, whose zeros are exact (Lee, Sun and Saunders, 2014).
One iteration reads X once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import least_norm, least_squares, row_space
from ..column_metric import Columns
from ..history import History
from ..losses import LogLoss, Perceptron, Softmax
from ..objective import Objective
from ..proximal_metric import Full, Limited, proximal_metric
from ..quasi_newton import QuasiNewton
from . import Solution, interior_point, smoothing, working_sets

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
RARE, SLACK = 0.01, 0.1  # share of the weight of a class, and of the margin: see `_freed`
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


def takes(loss: Any, automatic: bool) -> bool:
    """Whether the loss has a minimum that is worth finding, not only a way."""
    return not (automatic and isinstance(loss, Perceptron))


def minimise(
    objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, warm: bool = False
) -> Solution:
    """Minimise from theta, which is near the minimum if `warm`, until the estimated relative gap is at most `tol`."""
    how: dict[str, Any] = {"tol": tol, "max_iter": max_iter}
    if row_space.pays(objective):
        return _in_row_space(objective, theta, tol, max_iter, history)
    if interior_point.takes(objective):
        return interior_point.minimise(objective, theta, **how, history=history)
    if not objective.loss.smooth():
        return smoothing.minimise(objective, theta, **how, history=history, descend=from_samples)
    return from_samples(objective, theta, **how, history=history, warm=warm)


def from_samples(
    objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History, warm: bool = False
) -> Solution:
    """Minimise a smooth objective: where it is large from minimisers of samples, unless theta is near (`warm`)."""
    if working_sets.pays(objective):
        return working_sets.minimise(objective, theta, tol=tol, max_iter=max_iter, history=history, descend=descend)
    if least_squares.pays(objective):
        return _least_squares(objective, theta, tol, max_iter, history)
    near = warm or objective.memory.point is not None
    for stride in [] if near else sample_strides(objective):
        noise = theta.size * stride / (8.0 * objective.n)
        theta = descend(objective.sample(stride), theta, tol=max(tol, noise), max_iter=20, history=History("gd")).theta
    return descend(objective, theta, tol=tol, max_iter=max_iter, history=history)


def _in_row_space(objective: Objective, theta: np.ndarray, tol: float, max_iter: int, history: History) -> Solution:
    """In the space that the rows span; by further passes where rounding on the way out has cost more than `tol`."""
    space = row_space.RowSpace(objective)
    inside = history.through(space.outside)
    solution = minimise(space.objective, space.inside(theta), tol=tol, max_iter=max_iter, history=inside)
    theta, F_inside = space.outside(solution.theta), history.curve[-1]
    F, left = objective.evaluate(theta)[0], max_iter - solution.iterations
    history.begin(F, theta)
    if F <= (1.0 + tol) * F_inside + _negligible(objective, history) or left == 0:
        return solution._replace(theta=theta)
    more = from_samples(objective, theta, tol=tol, max_iter=left, history=history, warm=True)
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
    return [] if objective.loss.quadratic() else strides


def descend(
    objective: Objective,
    theta: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    history: History,
    metric: Metric | None = None,
    certain: bool = True,
) -> Solution:
    """Iterate on all rows of the objective, at first in the given metric.

    `certain`: until it has been looked for what sampled and rough models hide.
    """
    # A coupled loss does not see equal shifts of all scores, and an L2 penalty prefers none.
    kinked = bool(objective.penalty.kinked.any())
    shifts = objective.loss.coupled() and not kinked
    if shifts:
        theta = theta - theta.mean(axis=1, keepdims=True)
    make = proximal_metric if kinked else QuasiNewton
    old = bool(objective.memory.curvature)  # the metric may be one of elsewhere
    # Rows far off count with more than their curvature: steps are shorter, but slow and no measure of what is left.
    cautious = hasattr(objective.loss, "far")
    metric = metric or make(objective, theta, remembered=True)
    F, gradient = objective.evaluate(theta)
    history.begin(F, theta)
    negligible = _negligible(objective, history)
    # The curvature of a rounded kink ends where a row leaves it: a step has to tell how far that is.
    rounded = getattr(objective.loss, "width", 0.0) > 0.0
    pinned = certain and _pinned(objective)
    values, gap, whole = [F], np.inf, True  # whole: the last step went all the way
    decreases: list[float] = []  # of this metric's models
    effort, F_then = 1.0, F

    def renewed(theta: np.ndarray, F: float) -> tuple[Metric, list[float], float, bool]:
        return make(objective, theta, effort), [], F, False

    while len(values) <= max_iter:
        # 1. minimise the model
        goal = min(tol, 1e-3) * F
        precision = 1e-3 * goal
        target, slope, decrease = metric.minimise(theta, gradient, precision, goal=goal if certain else 0.0)
        if shifts:
            target -= target.mean(axis=1, keepdims=True)
        decreases.append(max(decrease, 0.0))
        # 2. stop on the gap
        gap = _gap(metric, decreases, values, tol, whole) / max(F, negligible, TINY)
        if cautious and gap <= max(0.25 * tol, CLOSE) and metric.renewable and metric.cheap and F > negligible:
            objective, cautious = objective.with_own_curvature(), False
            if gap <= 0.25 * tol:  # else the next step, and new curvature after it, will tell
                metric, decreases, F_then, old = renewed(theta, F)
                continue
        near = gap <= 0.25 * tol and not (old and len(decreases) == 1) and (len(values) > 1 or not rounded)
        near = near and not (pinned and _freed(objective, make, theta, gradient, precision) > tol * F)
        outdated = metric.renewable and OUTDATED * F < F_then
        doubtful = near and certain and metric.unshrunk_decrease(theta, gradient, precision) > tol * F
        if (near and not outdated and not doubtful) or F <= negligible:
            return Solution(theta, max(len(values) - 1, 1), gap, True)
        if F <= tol * values[0] and _separates(objective, F):
            return Solution(theta, len(values) - 1, 1.0, False, SEPARABLE.format(tol=tol))
        if metric.renewable and metric.cheap:
            objective.look_ahead(target)
        # 3. step, shortened where it has to be, unless new curvature pays, or has to confirm the gap
        found = None if near or _stalled(metric, decreases) else _search(objective, theta, target, F, slope)
        if found is None:
            if (len(decreases) == 1 and not doubtful) or not metric.renewable:
                break  # rounding: no step along this direction lowers the objective
            effort *= MORE if doubtful or (len(decreases) <= SOON and not old) else 1.0
            metric, decreases, F_then, old = renewed(theta, F)
            continue
        new, F_new, new_gradient = found
        whole = new is target
        # 4. update the curvature
        if metric.renewable and metric.cheap:
            metric, decreases, F_then, old = renewed(new, F_new)
        else:
            metric.update(new - theta, new_gradient - gradient)
        theta, F, gradient = new, F_new, new_gradient
        values.append(F)
        history.record(F, theta)
    return Solution(theta, max(len(values) - 1, 1), gap, gap <= max(tol, ROUNDING))


def _pinned(objective: Objective) -> bool:
    """Whether the best constants hold the rows of all classes but a rare one at their margins, where their curvature ends."""
    loss = objective.loss
    return hasattr(loss, "slack") and bool(np.abs(objective.data.constant_scores(loss)).max() > 1.0 - 2.0 * RARE)


def _freed(objective: Objective, make: Any, theta: np.ndarray, gradient: np.ndarray, precision: float) -> float:
    """The decrease of a model without the curvature of rows that are barely short of their margin.

    They would hold their scores there against a rare class, though to one side they can move and pay nothing.
    """
    free = objective.with_loss(objective.loss._replace(slack=SLACK))
    return float(make(free, theta).minimise(theta, gradient, precision)[2])


def _negligible(objective: Objective, history: History) -> float:
    """An objective that fell to this share of its start, or of the best constants', is zero but for rounding."""
    constant = 0.5 * objective.data.target_moments().variance.sum() if objective.loss.quadratic() else 0.0
    return float(8 * EPS * max(history.curve[0], constant))


def _stalled(metric: Metric, decreases: list[float]) -> bool:
    """Whether new curvature pays: it would gain a factor of `RENEWED` in the gap for its own cost and that of a pass."""
    recent = decreases[-4:]
    if not metric.renewable or len(recent) < 2 or recent[0] == 0.0:
        return False
    rate = (recent[-1] / recent[0]) ** (1.0 / (len(recent) - 1))
    return rate > RENEWED ** (1.0 / (1.0 + metric.passes))


def _separates(objective: Objective, F: float) -> bool:
    """Whether every row is on its right side and nothing is penalised: then F has no minimiser, its infimum is zero.

    A row on the wrong side, or undecided, alone costs at least log 2 times its weight.
    """
    wrong = np.log(2.0) * objective.data.lightest() / objective.n
    return objective.unpenalised and isinstance(objective.loss, LogLoss | Softmax) and F < wrong


def _gap(metric: Metric, decreases: list[float], values: list[float], tol: float, whole: bool) -> float:
    """What F has still to lose, from the decreases of this metric's models and those that came true.

    Each is continued as a geometric series, and the larger sum counts: a model may be too steep, a rate be luck.  A metric
    of every step has one decrease, but rows off their kinks damp it: there the rate that came true counts as well.  Without
    matrices, or after a step that had to be shortened, both flatter: there the last `WINDOW` iterations count as well.
    """
    estimate, renews = decreases[-1], metric.renewable and metric.cheap
    if len(decreases) > 1 or (renews and len(values) > 2):
        most, lost = SLOWEST if renews else SLOW, values[-2] - values[-1]
        rate = min(decreases[-1] / max(decreases[-2], TINY), most) if len(decreases) > 1 else 0.0
        observed = min(lost / max(values[-3] - values[-2], TINY), most) if renews or len(decreases) > 2 else rate
        estimate = max(estimate / (1.0 - rate), lost * observed / (1.0 - observed))
    if (metric.faithful and whole) or estimate <= 1e-4 * tol * values[-1]:
        return estimate
    return max(estimate, values[-WINDOW] - values[-1]) if len(values) >= WINDOW else max(estimate, tol * values[-1])


def _extended(
    objective: Objective, theta: np.ndarray, F: float, slope: float, found: tuple[np.ndarray, float, np.ndarray]
) -> tuple[np.ndarray, float, np.ndarray]:
    """Go on along a step while F falls nearly as straight as its slope says: the model has too much curvature."""
    target, t = found[0], 1.0
    while found[1] <= F + STRAIGHT * t * slope:
        t *= LONGER
        new = theta + t * (target - theta)
        F_new, gradient = objective.evaluate(new)
        if not F_new < found[1]:
            break
        found = new, F_new, gradient
    return found


def _search(
    objective: Objective, theta: np.ndarray, target: np.ndarray, F: float, slope: float
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """Backtrack from target towards theta; (new theta, F, gradient), or None if nothing lowers F."""

    def lowers(F_new: float, t: float) -> bool:
        return F_new <= F + SUFFICIENT * t * slope + 4 * EPS * abs(F)

    F_new, gradient = objective.evaluate(target)
    if lowers(F_new, 1.0):
        return _extended(objective, theta, F, slope, (target, F_new, gradient))
    # The minimum of the parabola through both values and the slope, and ever shorter steps.
    t = float(np.clip(-0.5 * slope / (F_new - F - slope), 0.1, 0.5)) if np.isfinite(F_new) else 0.1
    lengths = t * SHORTER ** np.arange(TRIALS)
    for some in np.split(lengths, TRIALS // AT_ONCE) if objective.data.dear else lengths[:, None]:
        points = [theta + t * (target - theta) for t in some]
        values = objective.values(points) if len(points) > 1 else [objective.evaluate(points[0])[0]]
        for t, new, value in zip(some, points, values, strict=True):
            if lowers(value, t):
                return new, *objective.evaluate(new)
    return None
