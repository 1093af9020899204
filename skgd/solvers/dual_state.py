"""The primal and dual variables of dual coordinate ascent, for some columns of scores."""

from __future__ import annotations

import numpy as np

from ..losses.conjugates import Conjugate
from ..losses.cross_entropy import Softmax
from ..objective import Objective
from .dual_steps import DualProblem, DualVariables, add_rows, epoch

INTERCEPT_RATE = 0.1  # the rate of the intercept's steps for light rows, none of which has a weight in F above 5
# The rate for heavy rows is this number times the median of q / s, divided by the number of rows.  With 16 instead of 4 the
# ascent on standardised text (sms_spam, squared hinge) was so slow that it gave way to gd.
HEAVY_RATE = 4.0


class DualState:
    """The state of dual coordinate ascent, in raw coefficients.

    Parameters
    ----------
    objective : Objective
    q : ndarray of shape (n,)
        The weights of the rows in the dual problem.
    W, b : ndarray of shape (d, K), ndarray of shape (K,)
        The starting point.  If W is zero, all dual variables start at zero.  Otherwise they start at the slopes of the loss.

    Attributes
    ----------
    conjugate : Conjugate
        The conjugate of the loss.
    problem : DualProblem
    variables : DualVariables
    F, estimate : float
        The objective, and the estimated gap, after the last visit.
    """

    def __init__(self, objective: Objective, q: np.ndarray, W: np.ndarray, b: np.ndarray) -> None:
        table, l2 = objective.table, objective.raw_penalty.ridge
        self.objective, self.rows = objective, table.rows
        self.conjugate: Conjugate = objective.loss.conjugate()
        codes = isinstance(objective.loss, Softmax)
        Y = np.eye(objective.K)[table.Y[0].astype(np.intp)] if codes else np.ascontiguousarray(table.Y.T)
        rate = _intercept_rate(objective, q) if objective.coordinates.centred else 0.0
        self.problem = DualProblem(Y, table.s, q + rate * table.s, 1.0 / (l2 * objective.n), rate)
        R = np.zeros_like(Y)
        if W.any():
            R = np.ascontiguousarray(self.conjugate.slopes(Y, np.asarray(table.X @ W) + b))
            W = self._coefficients(R)
        self.variables = DualVariables(R, np.ascontiguousarray(W), b.copy(), self._mean(R))
        self.F, self.estimate = np.inf, np.inf

    def visit(self, order: np.ndarray) -> None:
        """Make one step on each row, in this order, then revisit variables that changed, and compute F and its gap."""
        changed = np.empty(self.variables.R.shape, bool)
        epoch(self.rows, self.conjugate, order, self.problem, self.variables, changed)
        if not self.objective.loss.coupled():
            for k in range(self.objective.K):
                self._revisit(k, order, changed[:, k : k + 1])
        R, W, b, excess = self.variables
        self.F = self.objective.mean_loss(W, b) + self._penalty(W)
        self.estimate = self.F - self._dual_value(R, W) - (b @ excess if self.problem.rate > 0.0 else 0.0)

    def _revisit(self, k: int, order: np.ndarray, changed: np.ndarray) -> None:
        """Make more steps on the variables of column k that changed when they were visited last, if these are few.

        Other variables have mostly settled at a bound.  All these steps together visit as many rows as there are, at most.
        """
        left = len(order)
        order = order[changed[order, 0]]
        if not 0 < len(order) <= left // 2:
            return
        views = [values[..., k : k + 1] for values in self.variables]
        problem = self.problem._replace(Y=np.ascontiguousarray(self.problem.Y[:, k : k + 1]))
        column, changed = DualVariables(*map(np.ascontiguousarray, views)), np.ascontiguousarray(changed)
        while 0 < len(order) <= left:
            epoch(self.rows, self.conjugate, order, problem, column, changed)
            left -= len(order)
            order = order[changed[order, 0]]
        for view, values in zip(views, column, strict=True):
            view[:] = values

    def gap(self) -> float:
        """F - D at feasible dual variables, which is at least F - F*.  One pass over X."""
        R = self.variables.R
        if self.problem.rate > 0.0:
            R = self.conjugate.balanced(self.problem.Y, R, self.problem.s)
        return self.F - self._dual_value(R, self._coefficients(R))

    def _dual_value(self, R: np.ndarray, W: np.ndarray) -> float:
        """D(R), given the coefficients W that R determines."""
        return -float(self._mean(self.conjugate.conjugate_values(self.problem.Y, R)).sum()) - self._penalty(W)

    def _penalty(self, W: np.ndarray) -> float:
        return 0.5 * self.objective.raw_penalty.ridge * float(np.vdot(W, W))

    def _coefficients(self, R: np.ndarray) -> np.ndarray:
        """The coefficients W (d, K) that R determines.  One pass over X."""
        W = np.zeros((self.objective.d, self.objective.K))
        add_rows(self.rows, -self.problem.unit * self.problem.s[:, None] * R, W)
        return W

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """The weighted mean (K,) of values (n, K) over the rows."""
        return self.problem.s @ values / self.objective.n


def _intercept_rate(objective: Objective, q: np.ndarray) -> float:
    """The rate of the intercept's steps.

    Its unit is that of a score divided by a slope, as the unit of q.  Heavy rows follow a change of the intercept, and so the
    excess hardly changes.  The intercept therefore has to make steps in proportion to the weights.
    """
    loss, s = objective.loss, objective.table.s
    size = 1.0 if loss.smooth() else 1.0 / loss.curvature_bound()  # Slopes of a non-smooth loss have no unit.
    light = min(INTERCEPT_RATE, 0.5 / float(s.max())) * size  # Light rows of a large weight in F make the steps noisy.
    return max(light, HEAVY_RATE * float(np.median(q / s)) / objective.n)


def row_weights(objective: Objective) -> np.ndarray:
    """The weights q (n,) of all rows in the dual problem."""
    return objective.table.s * objective.table.squared_norms / (objective.raw_penalty.ridge * objective.n)
