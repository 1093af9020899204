"""Stochastic dual coordinate ascent: exact steps on single rows, for losses whose conjugate is known, with an L2 penalty.

The dual objective has one variable r_i for each row i.  With loss_i* the convex conjugate of the loss (`losses/conjugates.py`),
it is

    D(R) = -sum_i s_i loss_i*(r_i) / n - l2/2 ||W||^2,   W = -sum_i s_i x_i r_i' / (l2 n)

The unpenalised intercept adds a constraint: the weighted mean of r_i over the rows is zero.  If it holds, D(R) is at most the
minimum of F, and the maximum of D is equal to it.  There, r_i is the slope of the loss of row i.  Each step maximises D over
the variable of one row, in O(nonzeros x K) operations and without a step size (Shalev-Shwartz and Zhang, 2013; for hinge
losses Hsieh et al., 2008).

The weight of a row is q_i = s_i |x_i|^2 / (l2 n).  If the weights are small, as they mostly are for text, rows are almost
independent, and the ascent converges in a few epochs.  Steps are made in raw coefficients.

If columns of scores are independent problems, groups of columns are visited by several threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..compiled.threads import ALONE
from ..constants import UNRESOLVED_GAP
from ..models import row_space
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from .dual_state import DualState, row_weights
from .solution import Solution

# The largest mean of h q_i, with h the bound of the curvature of the loss, if the steps are approximations or the rows are
# dense.  Below it the ascent needs fewer epochs than gd needs passes.  Exact steps on sparse rows are always tried: few rows
# have a column in common then, whatever their weights.
MAX_MEAN_WEIGHT = 10.0
MIN_COEFFICIENTS = 1500  # With fewer coefficients gd uses the whole Hessian and needs even fewer passes.
# With more rows for each column, few quasi-Newton steps minimise a squared error.
ROWS_PER_COLUMN = 10
# The ascent gives way to another solver if it would need more epochs than this.  Losses with kinks have
# more, because the other solvers need seconds for them.
MAX_EPOCHS_LEFT, MAX_EPOCHS_LEFT_WITH_KINKS = 50, 1000
MIN_EPOCHS_TO_TELL = 3  # The number of epochs that the rate of convergence is estimated from, at least.
GROUP = 10  # the number of columns of scores in a group, at least; a narrower group reads each row for too few columns


def is_worthwhile(objective: Objective) -> bool:
    """Whether the conjugate of the loss is known, a Hessian would be large, and the ascent may converge in a few epochs."""
    loss, conjugate, penalty = objective.loss, objective.loss.conjugate(), objective.raw_penalty
    coefficients = objective.d * (objective.K if loss.coupled() else 1)  # that a Hessian would be of
    if coefficients < MIN_COEFFICIENTS or not objective.in_memory or conjugate is None or penalty.ridge == 0.0:
        return False
    if loss.constant_curvature() and objective.n > ROWS_PER_COLUMN * objective.d:
        return False
    curvature = 0.5 if loss.coupled() else loss.curvature_bound()
    if curvature * row_weights(objective).mean() <= MAX_MEAN_WEIGHT:
        return True
    return objective.data.sparse and conjugate.has_exact_steps() and not row_space.is_worthwhile(objective)


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs until the relative duality gap is at most `tol`, or `max_iter` of them.  An epoch costs a few passes over X.

    It also ends if the gap falls too slowly.  Another solver then continues from its result.
    """
    ascent = Ascent(objective, theta)
    most_left = MAX_EPOCHS_LEFT if objective.loss.smooth() else MAX_EPOCHS_LEFT_WITH_KINKS
    gaps, start = [np.inf], objective.values([theta])[0]
    history.begin(start, theta)
    history = history.through(lambda intercepts: ascent.theta())
    for epoch in range(1, options.max_iter + 1):
        # 1. make a step on every row
        ascent.visit(options.random_state.permutation(objective.n) if options.shuffle else np.arange(objective.n))
        F = ascent.objective_value
        history.record(F, ascent.intercepts)
        if options.tol is None:
            continue
        # 2. stop if the gap is small enough
        gaps.append(_relative(ascent.estimate, F))
        tol = max(options.tol, UNRESOLVED_GAP)
        if gaps[-1] <= tol:
            gaps[-1] = _relative(ascent.gap(), F)
        if gaps[-1] <= tol:
            return Solution(ascent.theta(), epoch, gaps[-1], True, bound=True)
        # 3. give way to another solver if many epochs are left
        if _epochs_left(gaps, tol) > most_left:
            break
    if F > start:
        history.curve[-1] = start
        return Solution(theta, epoch, gaps[-1], options.tol is None)
    return Solution(ascent.theta(), epoch, gaps[-1], options.tol is None)


class Ascent:
    """Dual coordinate ascent in all columns of scores from theta (d + 1, K); see `DualState`."""

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        W, b = objective.coordinates.raw(theta)
        self.team, self.coordinates, q = objective.table.team, objective.coordinates, row_weights(objective)
        self.states = [DualState(of_group, q, W[:, group], b[group]) for of_group, group in _groups(objective)]

    def visit(self, order: np.ndarray) -> None:
        """Make one step on each row, in this order, and compute the objective."""
        self._for_all(lambda state: state.visit(order))

    def gap(self) -> float:
        """An upper bound of F - F*.  One pass over X."""
        return sum(self._for_all(DualState.gap))

    @property
    def objective_value(self) -> float:
        """The objective after the last visit."""
        return sum(state.F for state in self.states)

    @property
    def estimate(self) -> float:
        """The estimated gap after the last visit.  It is F - D, corrected to first order for the excess of the constraint.

        The intercept is the Lagrange multiplier of the constraint.
        """
        return sum(state.estimate for state in self.states)

    @property
    def intercepts(self) -> np.ndarray:
        """The raw intercepts (K,)."""
        return np.concatenate([state.variables.b for state in self.states])

    def theta(self) -> np.ndarray:
        """theta (d + 1, K) in the coordinates of the objective."""
        return self.coordinates.theta(np.hstack([state.variables.W for state in self.states]), self.intercepts)

    def _for_all(self, work: Callable[[DualState], float | None]) -> list:
        """The results of the work on all states, which the threads of the team share."""
        if len(self.states) == 1:
            return [work(self.states[0])]
        shares = np.array_split(np.arange(len(self.states)), self.team.size)
        results = self.team.map(lambda share: [work(self.states[group]) for group in share], shares)
        return [result for share in results for result in share]


def _groups(objective: Objective) -> list[tuple[Objective, np.ndarray]]:
    """The objectives of groups of columns of scores, and the columns of each group.

    A coupled loss has one group, and its passes use all threads.  The groups do not depend on the number of threads, so the
    results do not either.
    """
    columns = np.arange(objective.K)
    if objective.loss.coupled() or objective.K < 2 * GROUP:
        return [(objective, columns)]
    groups = np.array_split(columns, objective.K // GROUP)
    return [(objective.for_outputs(group).with_team(ALONE), group) for group in groups]


def _relative(gap: float, F: float) -> float:
    """The gap relative to F - gap, a lower bound of the minimum.  Infinite if this bound is not positive."""
    return gap / (F - gap) if gap < F else np.inf


def _epochs_left(gaps: list[float], tol: float) -> float:
    """The number of epochs until the gap is at most `tol`, if it falls as fast as in the last half of the epochs."""
    half = len(gaps) // 2
    if half < MIN_EPOCHS_TO_TELL:
        return 0.0
    before, now = min(gaps[: half + 1]), min(gaps)
    speed = np.log(before / now) / (len(gaps) - 1 - half)
    return np.log(now / tol) / speed if speed > 0.0 else np.inf
