"""Stochastic dual coordinate ascent: exact steps on single rows, for logistic losses with an L2 penalty.

The dual of the objective has one variable a row, the class probabilities p_i that the row remembers:

    D(P) = sum_i s_i entropy(p_i) / n - l2/2 ||W||^2,   W = sum_i s_i x_i (y_i - p_i)' / (l2 n)

No D of probabilities whose mean is that of the classes exceeds the minimum of F, and the largest is equal to it (the
condition comes from the unpenalised intercept).  Every visit of a row maximises D along its variable, in O(nonzeros x K)
and without a step size (Shalev-Shwartz and Zhang, 2013).  That converges in a few epochs where
rows are light, q_i = s_i |x_i|^2 / (l2 n): text, most of all.  It works on raw coefficients.
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr, expit, softmax

from ..losses.cross_entropy import LogLoss, SoftLabels, Softmax
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from .dual_steps import add_rows, binary_epoch, softmax_epoch
from .solution import Solution

LIGHT = 10.0  # mean of h q, h the curvature of the loss: below it, fewer epochs do than gd needs passes
MANY = 1500  # coefficients, up to which gd has the whole Hessian and needs even fewer
RATE = 0.1  # of the intercept's steps: the loss's curvature by its score is 1/2 at most
ROUNDING = 1e-13  # relative gap that the arithmetic cannot tell from none
PATIENCE = 50  # epochs still needed that make another solver the better choice


def is_worthwhile(objective: Objective) -> bool:
    """Whether the loss has this dual, there are many coefficients, and rows are light enough to be almost independent."""
    loss = objective.loss
    if not isinstance(loss, LogLoss | Softmax | SoftLabels) or objective.K * objective.d < MANY or not objective.in_memory:
        return False
    curvature = 0.25 if isinstance(loss, LogLoss) else 0.5
    return objective.raw_penalty.ridge > 0.0 and bool(curvature * _row_weights(objective).mean() <= LIGHT)


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs until the duality gap is at most `tol`, or `max_iter`.

    With solver='auto' the fit also ends, for another solver to go on, where the gap falls too slowly.
    """
    state = State(objective, theta)
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
        tol = max(options.tol, ROUNDING)
        if gaps[-1] <= tol:
            gaps[-1] = _relative(state.gap(F), F)
        if gaps[-1] <= tol:
            return Solution(state.theta(), epoch, gaps[-1], True, bound=True)
        # 3. give way where this would take long
        if options.solver == "auto" and _epochs_left(gaps, tol) > PATIENCE:
            break
    if F > start:
        history.curve[-1] = start
        return Solution(theta, epoch, gaps[-1], options.tol is None)
    return Solution(state.theta(), epoch, gaps[-1], options.tol is None)


def _row_weights(objective: Objective) -> np.ndarray:
    """q (n,)."""
    return objective.table.s * objective.table.squared_norms / (objective.raw_penalty.ridge * objective.n)


def _relative(gap: float, F: float) -> float:
    """To the lower bound F - gap of the minimum."""
    return gap / (F - gap) if gap < F else np.inf


def _epochs_left(gaps: list[float], tol: float) -> float:
    """At the pace of the last half of the epochs; that of the first few says little."""
    half = len(gaps) // 2
    if half < 3:
        return 0.0
    pace = np.log(gaps[half] / gaps[-1]) / (len(gaps) - 1 - half)
    return np.log(gaps[-1] / tol) / pace if pace > 0.0 else np.inf


def _value(objective: Objective, W: np.ndarray, b: np.ndarray) -> float:
    return objective.mean_loss(W, b) + _penalty(objective, W)


def _penalty(objective: Objective, W: np.ndarray) -> float:
    return 0.5 * objective.raw_penalty.ridge * float(np.vdot(W, W))


class State:
    """Coefficients W (d, K) and intercepts b (K,), the probabilities P (n, K) that W comes from, the mean of s (P - Y)."""

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
        # Heavy weights make the intercept's steps noisy; 1/2 bounds the curvature of the loss.
        self.rate = min(RATE, 0.5 / self.s.max()) if objective.coordinates.centred else 0.0

    def visit(self, order: np.ndarray) -> None:
        """One step on each row."""
        objective, epoch = self.objective, softmax_epoch if self.objective.loss.coupled() else binary_epoch
        epoch(objective.table.rows, order, self.s, self.q, self.unit, self.rate, self.W, self.b, self.P, self.excess)

    def theta(self) -> np.ndarray:
        return self.objective.coordinates.theta(self.W, self.b)

    def estimated_gap(self, F: float) -> float:
        """F - D, to first order in the excess, with the intercept as its multiplier."""
        return F - self._dual(self.P, self.W) - (self.b @ self.excess if self.rate > 0.0 else 0.0)

    def gap(self, F: float) -> float:
        """F - D >= F - F*, D at probabilities whose mean is that of the classes."""
        P = self._balanced() if self.rate > 0.0 else self.P
        return F - self._dual(P, self._coefficients(P))

    def _balanced(self) -> np.ndarray:
        """P mixed with constant probabilities, so few that their share shrinks with the excess."""
        wanted, actual = self._mean(self.Y), self._mean(self.P)
        ratios = np.append(wanted / actual, (1.0 - wanted) / (1.0 - actual))  # the second class of two, too
        share = min(2.0 * (1.0 - ratios.min()), 1.0)
        return (1.0 - share) * self.P + (wanted - (1.0 - share) * actual)

    def _dual(self, P: np.ndarray, W: np.ndarray) -> float:
        entropies = entr(P) + entr(1.0 - P) if self.objective.K == 1 else entr(P)
        return float(self._mean(entropies).sum()) - _penalty(self.objective, W)

    def _coefficients(self, P: np.ndarray) -> np.ndarray:
        W = np.zeros((self.objective.d, self.objective.K))
        add_rows(self.objective.table.rows, self.unit * self.s[:, None] * (self.Y - P), W)
        return W

    def _predicted(self, W: np.ndarray) -> np.ndarray:
        """Those of W and b: at an optimum, W comes from them."""
        Z = np.asarray(self.objective.table.X @ W) + self.b
        return expit(Z) if self.objective.K == 1 else softmax(Z, axis=1)

    def _mean(self, values: np.ndarray) -> np.ndarray:
        return self.s @ values / self.objective.n
