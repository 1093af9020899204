"""Stochastic dual coordinate ascent: exact steps on single rows, for logistic losses with an L2 penalty.

The dual objective has one variable p_i for each row i, which holds class probabilities.  With y_i the probabilities of the
classes in the data, it is

    D(P) = sum_i s_i entropy(p_i) / n - l2/2 ||W||^2,   W = sum_i s_i x_i (y_i - p_i)' / (l2 n)

The unpenalised intercept adds a constraint: the weighted means of p_i and y_i over the rows are equal.  If it holds, D(P) is at
most the minimum of F, and the maximum of D is equal to it.  Each step maximises D over the variable of one row, in
O(nonzeros x K) operations and without a step size (Shalev-Shwartz and Zhang, 2013).

The weight of a row is q_i = s_i |x_i|^2 / (l2 n).  If the weights are small, as they mostly are for text, rows are almost
independent, and the ascent converges in a few epochs.  Steps are made in raw coefficients.
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr, expit, softmax

from ..constants import UNRESOLVED_GAP
from ..losses.cross_entropy import LogLoss, SoftLabels, Softmax
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from .dual_steps import add_rows, binary_epoch, softmax_epoch
from .solution import Solution

# The largest mean of h q_i, with h the bound of the curvature of the loss.  Below it the ascent needs fewer epochs than gd
# needs passes.
MAX_MEAN_WEIGHT = 10.0
MIN_COEFFICIENTS = 1500  # With fewer coefficients gd uses the whole Hessian and needs even fewer passes.
INTERCEPT_RATE = 0.1  # the rate of the intercept's steps; the curvature of the loss by a score is at most 1/2
MAX_EPOCHS_LEFT = 50  # With solver="auto" the ascent gives way to another solver if it would need more epochs than this.
MIN_EPOCHS_TO_TELL = 3  # The number of epochs that the rate of convergence is estimated from, at least.


def is_worthwhile(objective: Objective) -> bool:
    """Whether the loss is logistic, there are many coefficients, and the weights q_i of the rows are small."""
    loss, coefficients = objective.loss, objective.K * objective.d
    if not isinstance(loss, LogLoss | Softmax | SoftLabels) or coefficients < MIN_COEFFICIENTS or not objective.in_memory:
        return False
    curvature = 0.25 if isinstance(loss, LogLoss) else 0.5
    return objective.raw_penalty.ridge > 0.0 and bool(curvature * _row_weights(objective).mean() <= MAX_MEAN_WEIGHT)


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs until the relative duality gap is at most `tol`, or `max_iter` of them.  An epoch costs two passes over X.

    With solver="auto" the ascent also ends if the gap falls too slowly.  Another solver then continues from its result.
    """
    state = DualState(objective, theta)
    start, gaps = _value(objective, *objective.coordinates.raw(theta)), [np.inf]
    history.begin(start, theta)
    for epoch in range(1, options.max_iter + 1):
        # 1. make a step on every row
        state.visit(options.random_state.permutation(objective.n) if options.shuffle else np.arange(objective.n))
        F = _value(objective, state.W, state.b)
        history.record(F, state.theta())
        if options.tol is None:
            continue
        # 2. stop if the gap is small enough
        gaps.append(_relative(state.estimated_gap(F), F))
        tol = max(options.tol, UNRESOLVED_GAP)
        if gaps[-1] <= tol:
            gaps[-1] = _relative(state.gap(F), F)
        if gaps[-1] <= tol:
            return Solution(state.theta(), epoch, gaps[-1], True, bound=True)
        # 3. give way to another solver if many epochs are left
        if options.solver == "auto" and _epochs_left(gaps, tol) > MAX_EPOCHS_LEFT:
            break
    if F > start:
        history.curve[-1] = start
        return Solution(theta, epoch, gaps[-1], options.tol is None)
    return Solution(state.theta(), epoch, gaps[-1], options.tol is None)


def _row_weights(objective: Objective) -> np.ndarray:
    """The weights q (n,) of all rows."""
    return objective.table.s * objective.table.squared_norms / (objective.raw_penalty.ridge * objective.n)


def _relative(gap: float, F: float) -> float:
    """The gap relative to F - gap, a lower bound of the minimum.  Infinite if this bound is not positive."""
    return gap / (F - gap) if gap < F else np.inf


def _epochs_left(gaps: list[float], tol: float) -> float:
    """The number of epochs until the gap is at most `tol`, if it falls as fast as in the last half of the epochs."""
    half = len(gaps) // 2
    if half < MIN_EPOCHS_TO_TELL:
        return 0.0
    speed = np.log(gaps[half] / gaps[-1]) / (len(gaps) - 1 - half)
    return np.log(gaps[-1] / tol) / speed if speed > 0.0 else np.inf


def _value(objective: Objective, W: np.ndarray, b: np.ndarray) -> float:
    """F at raw coefficients.  One pass over X."""
    return objective.mean_loss(W, b) + _penalty(objective, W)


def _penalty(objective: Objective, W: np.ndarray) -> float:
    return 0.5 * objective.raw_penalty.ridge * float(np.vdot(W, W))


class DualState:
    """The primal and dual variables of the ascent, in raw coefficients.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (d + 1, K)
        The starting point.  The dual variables start at the probabilities that theta predicts, or at the classes of the rows if
        theta is zero.

    Attributes
    ----------
    q : ndarray of shape (n,)
        The weights of the rows.
    unit : float
        1 / (l2 n).
    Y : ndarray of shape (n, K)
        The probabilities of the classes in the data.
    P : ndarray of shape (n, K)
        The dual variables.
    W : ndarray of shape (d, K)
        The coefficients that P determines.
    b : ndarray of shape (K,)
        The intercepts.
    excess : ndarray of shape (K,)
        The weighted mean of P - Y over the rows.  With an intercept it is zero at the optimum.
    intercept_rate : float
        The rate of the intercept's steps.  0 without an intercept.
    """

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        self.objective, self.s = objective, objective.table.s
        self.q, self.unit = _row_weights(objective), 1.0 / (objective.raw_penalty.ridge * objective.n)
        codes = isinstance(objective.loss, Softmax)
        self.Y = np.eye(objective.K)[objective.table.Y[0].astype(np.intp)] if codes else objective.table.Y.T.copy()
        W, self.b = objective.coordinates.raw(theta)
        if W.any():
            self.P = self._predicted(W)
            self.W = self._coefficients(self.P)
        else:
            self.P, self.W = self.Y.copy(), W
        self.excess = self._mean(self.P - self.Y)
        # Rows of large weight make the steps of the intercept noisy.  1/2 is the bound of the curvature of the loss.
        self.intercept_rate = min(INTERCEPT_RATE, 0.5 / self.s.max()) if objective.coordinates.centred else 0.0

    def visit(self, order: np.ndarray) -> None:
        """Make one step on each row, in this order.  One pass over X."""
        run_epoch = softmax_epoch if self.objective.loss.coupled() else binary_epoch
        rows, rate = self.objective.table.rows, self.intercept_rate
        run_epoch(rows, order, self.s, self.q, self.unit, rate, self.W, self.b, self.P, self.excess)

    def theta(self) -> np.ndarray:
        """theta (d + 1, K) in the coordinates of the objective."""
        return self.objective.coordinates.theta(self.W, self.b)

    def estimated_gap(self, F: float) -> float:
        """F - D, corrected to first order for the excess, with the intercept as Lagrange multiplier.  No pass over X."""
        return F - self._dual(self.P, self.W) - (self.b @ self.excess if self.intercept_rate > 0.0 else 0.0)

    def gap(self, F: float) -> float:
        """F - D at probabilities that satisfy the constraint of the intercept, which is at least F - F*.  One pass over X."""
        P = self._balanced() if self.intercept_rate > 0.0 else self.P
        return F - self._dual(P, self._coefficients(P))

    def _balanced(self) -> np.ndarray:
        """Probabilities (n, K) near P that satisfy the constraint of the intercept: a mixture of P and constant probabilities.

        The share of the constants is twice the smallest one that keeps all probabilities positive.
        """
        wanted, actual = self._mean(self.Y), self._mean(self.P)
        ratios = np.append(wanted / actual, (1.0 - wanted) / (1.0 - actual))  # also for the second one of two classes
        share = min(2.0 * (1.0 - ratios.min()), 1.0)
        return (1.0 - share) * self.P + (wanted - (1.0 - share) * actual)

    def _dual(self, P: np.ndarray, W: np.ndarray) -> float:
        """D(P), given the coefficients W that P determines."""
        entropies = entr(P) + entr(1.0 - P) if self.objective.K == 1 else entr(P)
        return float(self._mean(entropies).sum()) - _penalty(self.objective, W)

    def _coefficients(self, P: np.ndarray) -> np.ndarray:
        """The coefficients W (d, K) that P determines.  One pass over X."""
        W = np.zeros((self.objective.d, self.objective.K))
        add_rows(self.objective.table.rows, self.unit * self.s[:, None] * (self.Y - P), W)
        return W

    def _predicted(self, W: np.ndarray) -> np.ndarray:
        """The probabilities (n, K) that W and b predict.  At the optimum they are P.  One pass over X."""
        Z = np.asarray(self.objective.table.X @ W) + self.b
        return expit(Z) if self.objective.K == 1 else softmax(Z, axis=1)

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """The weighted mean (K,) of values (n, K) over the rows."""
        return self.s @ values / self.objective.n
