"""Stochastic dual coordinate ascent: exact steps on single rows, for logistic losses with an L2 penalty.

The dual of the objective has one variable a row, the class probabilities p_i that the row remembers:

    D(P) = sum_i s_i entropy(p_i) / n - l2/2 ||W||^2,   W = sum_i s_i x_i (y_i - p_i)' / (l2 n)

The unpenalised intercept adds a condition: the mean of the probabilities is that of the classes.  For such probabilities D is
at most the minimum of F, and its maximum is equal to it.  A visit of a row maximises D along its variable, in O(nonzeros x K)
operations and without a step size (Shalev-Shwartz and Zhang, 2013).

That converges in a few epochs where rows are light, which is where q_i = s_i |x_i|^2 / (l2 n) is small: in text, most of all.
Steps are in raw coefficients.
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

MAX_MEAN_WEIGHT = 10.0  # of h q, with h the curvature of the loss: below it, this takes fewer epochs than gd takes passes
MIN_COEFFICIENTS = 1500  # with fewer, gd has the whole Hessian and takes even fewer passes
INTERCEPT_RATE = 0.1  # of the intercept's steps; the curvature of the loss by its score is at most 1/2
MAX_EPOCHS_LEFT = 50  # epochs still needed with which solver="auto" goes on with gd
MIN_EPOCHS_TO_TELL = 3  # of gaps, before they are extrapolated: the first few say little


def is_worthwhile(objective: Objective) -> bool:
    """Whether the loss has this dual, there are many coefficients, and rows are light enough to be almost independent."""
    loss, coefficients = objective.loss, objective.K * objective.d
    if not isinstance(loss, LogLoss | Softmax | SoftLabels) or coefficients < MIN_COEFFICIENTS or not objective.in_memory:
        return False
    curvature = 0.25 if isinstance(loss, LogLoss) else 0.5
    return objective.raw_penalty.ridge > 0.0 and bool(curvature * _row_weights(objective).mean() <= MAX_MEAN_WEIGHT)


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs until the duality gap is at most `tol`, or `max_iter` of them.

    With solver="auto" the fit also ends, for another solver to go on, where the gap falls too slowly.
    """
    state = DualState(objective, theta)
    start, gaps = _value(objective, *objective.coordinates.raw(theta)), [np.inf]
    history.begin(start, theta)
    for epoch in range(1, options.max_iter + 1):
        # 1. visit all rows
        state.visit(options.random_state.permutation(objective.n) if options.shuffle else np.arange(objective.n))
        F = _value(objective, state.W, state.b)
        history.record(F, state.theta())
        if options.tol is None:
            continue
        # 2. stop on the gap
        gaps.append(_relative(state.estimated_gap(F), F))
        tol = max(options.tol, UNRESOLVED_GAP)
        if gaps[-1] <= tol:
            gaps[-1] = _relative(state.gap(F), F)
        if gaps[-1] <= tol:
            return Solution(state.theta(), epoch, gaps[-1], True, bound=True)
        # 3. give way where this would take long
        if options.solver == "auto" and _epochs_left(gaps, tol) > MAX_EPOCHS_LEFT:
            break
    if F > start:
        history.curve[-1] = start
        return Solution(theta, epoch, gaps[-1], options.tol is None)
    return Solution(state.theta(), epoch, gaps[-1], options.tol is None)


def _row_weights(objective: Objective) -> np.ndarray:
    """q (n,) of all rows."""
    return objective.table.s * objective.table.squared_norms / (objective.raw_penalty.ridge * objective.n)


def _relative(gap: float, F: float) -> float:
    """The gap as a share of F - gap, which the minimum is not below; infinite where that is not positive."""
    return gap / (F - gap) if gap < F else np.inf


def _epochs_left(gaps: list[float], tol: float) -> float:
    """Epochs until the gap is at most `tol`, if it goes on falling as fast as in the last half of the epochs."""
    half = len(gaps) // 2
    if half < MIN_EPOCHS_TO_TELL:
        return 0.0
    speed = np.log(gaps[half] / gaps[-1]) / (len(gaps) - 1 - half)
    return np.log(gaps[-1] / tol) / speed if speed > 0.0 else np.inf


def _value(objective: Objective, W: np.ndarray, b: np.ndarray) -> float:
    """F at raw coefficients.  One pass."""
    return objective.mean_loss(W, b) + _penalty(objective, W)


def _penalty(objective: Objective, W: np.ndarray) -> float:
    return 0.5 * objective.raw_penalty.ridge * float(np.vdot(W, W))


class DualState:
    """Where the ascent is, in raw coefficients.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (d + 1, K)
        Where to start: rows remember the probabilities that it predicts, or their classes where it is zero.

    Attributes
    ----------
    q : ndarray of shape (n,)
        Weights of the rows.
    unit : float
        1 / (l2 n).
    Y : ndarray of shape (n, K)
        Probabilities of the classes in the data.
    P : ndarray of shape (n, K)
        Probabilities that the rows remember.
    W : ndarray of shape (d, K)
        The coefficients that P determines.
    b : ndarray of shape (K,)
        Intercepts.
    excess : ndarray of shape (K,)
        The mean of s (P - Y), which vanishes at the optimum where there is an intercept.
    intercept_rate : float
        0 without an intercept.
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
        # Large weights make the steps of the intercept noisy; 1/2 bounds the curvature of the loss.
        self.intercept_rate = min(INTERCEPT_RATE, 0.5 / self.s.max()) if objective.coordinates.centred else 0.0

    def visit(self, order: np.ndarray) -> None:
        """Make one step on each row, in this order."""
        run_epoch = softmax_epoch if self.objective.loss.coupled() else binary_epoch
        rows, rate = self.objective.table.rows, self.intercept_rate
        run_epoch(rows, order, self.s, self.q, self.unit, rate, self.W, self.b, self.P, self.excess)

    def theta(self) -> np.ndarray:
        """theta (d + 1, K) in the coordinates of the objective."""
        return self.objective.coordinates.theta(self.W, self.b)

    def estimated_gap(self, F: float) -> float:
        """F - D to first order in the excess, with the intercept as its multiplier.  Needs no pass."""
        return F - self._dual(self.P, self.W) - (self.b @ self.excess if self.intercept_rate > 0.0 else 0.0)

    def gap(self, F: float) -> float:
        """F - D, which is at least F - F*, with D at probabilities whose mean is that of the classes.  One pass."""
        P = self._balanced() if self.intercept_rate > 0.0 else self.P
        return F - self._dual(P, self._coefficients(P))

    def _balanced(self) -> np.ndarray:
        """P mixed with constant probabilities, such that the mean is that of the classes.

        As little of the constants is taken as keeps all probabilities positive, with a factor of two to spare.
        """
        wanted, actual = self._mean(self.Y), self._mean(self.P)
        ratios = np.append(wanted / actual, (1.0 - wanted) / (1.0 - actual))  # the second class of two, too
        share = min(2.0 * (1.0 - ratios.min()), 1.0)
        return (1.0 - share) * self.P + (wanted - (1.0 - share) * actual)

    def _dual(self, P: np.ndarray, W: np.ndarray) -> float:
        """D(P), given the coefficients W that P determines."""
        entropies = entr(P) + entr(1.0 - P) if self.objective.K == 1 else entr(P)
        return float(self._mean(entropies).sum()) - _penalty(self.objective, W)

    def _coefficients(self, P: np.ndarray) -> np.ndarray:
        """W (d, K) that P determines.  One pass."""
        W = np.zeros((self.objective.d, self.objective.K))
        add_rows(self.objective.table.rows, self.unit * self.s[:, None] * (self.Y - P), W)
        return W

    def _predicted(self, W: np.ndarray) -> np.ndarray:
        """Probabilities (n, K) that W and b predict: at the optimum they determine W.  One pass."""
        Z = np.asarray(self.objective.table.X @ W) + self.b
        return expit(Z) if self.objective.K == 1 else softmax(Z, axis=1)

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """The weighted mean of values (n, K) over the rows, (K,)."""
        return self.s @ values / self.objective.n
