"""Learners that make Newton steps on rows (`recursive_newton.py`) and forget at different rates; the best one is the model.

How fast the past should be forgotten depends on the stream.  Each batch tests all learners before they learn from it, and the
one whose losses over the last thousand rows or so are least is the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..constants import TINY
from ..coordinates import Coordinates
from ..data.table import Table
from ..penalties import Penalty
from .moments import HORIZON, raw_coefficients
from .recursive_newton import batch_loss, diagonal_steps, full_steps

HORIZONS = (np.inf, 1000.0, 200.0, 40.0)  # rows that the learners remember, roughly: their drift is 1/horizon^2
INTERCEPT_DRIFT = 10.0  # times the drift of other coefficients, because the intercept has most to follow
LEAP = 10.0  # times a column's deviation from one batch to the next: its unit has changed, and its coefficient has to
PRIOR = 0.25  # h P before anything is seen, and its bound later: one row cannot move a coefficient further
MAX_MATRIX_ENTRIES = 400_000  # of the P of a learner, beyond which its diagonal has to do
BLOCK_ENTRIES = 1 << 20  # of the rows that are standardised at one time: 8 MiB


@dataclass
class NewtonLearners:
    """R learners of one stream; D = d + 1 coefficients for each of K columns of scores.

    Attributes
    ----------
    W : ndarray of shape (R, d, K)
        Raw coefficients.
    b : ndarray of shape (R, K)
        Intercepts.
    P : ndarray of shape (R, K, D, D) or (R, K, D)
        Inverse Hessians, or their diagonals, in `coordinates`.
    losses : ndarray of shape (R,)
        Sums of the losses of the rows so far, before they were learned, in which older rows count less.
    coordinates : Coordinates
        Of the last batch.
    prior : float
        h P of a column that has not varied yet, with h the curvature of the loss.
    """

    W: np.ndarray
    b: np.ndarray
    P: np.ndarray
    losses: np.ndarray
    coordinates: Coordinates
    prior: float

    @classmethod
    def start(cls, W: np.ndarray, b: np.ndarray, rows: int, coordinates: Coordinates, h: float) -> NewtonLearners:
        """All alike: at W (d, K) and b (K,), as uncertain as the number of rows leaves it that these were learned from."""
        R, (d, K) = len(HORIZONS), W.shape
        D, prior = d + 1, min(PRIOR, 1.0 / max(rows, 1))
        diagonal = np.full((R, K, D), prior / h)
        P = diagonal if K * D * D > MAX_MATRIX_ENTRIES else diagonal[..., None] * np.eye(D)
        return cls(np.repeat(W[None], R, 0), np.repeat(b[None], R, 0), P, np.zeros(R), coordinates, prior)

    def copied(self) -> NewtonLearners:
        """The same learners, in memory of their own."""
        W, b, P, losses = (values.copy() for values in (self.W, self.b, self.P, self.losses))
        return NewtonLearners(W, b, P, losses, self.coordinates, self.prior)

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """W (d, K) and b (K,) of the learner that lost least."""
        best = int(np.argmin(self.losses))
        return self.W[best].copy(), self.b[best].copy()

    def learn(self, table: Table, loss: Any, penalty: Penalty, h: float, first: int) -> None:
        """Test all learners on a batch, then let them learn it.

        Parameters
        ----------
        table : Table
        loss : struct of losses
            A smooth one.
        penalty : Penalty
            On the d coefficients in `coordinates`, for each row.
        h : float
            The curvature of the loss that sets the unit of the drift.
        first : int
            The number of the batch's first row in the stream.
        """
        here, X, s, d = self.coordinates, table.X, table.s, table.d
        ridge, columns = np.append(penalty.l2, 0.0), np.append(np.ones(d), INTERCEPT_DRIFT)
        drifts = [columns / (h * horizon**2) for horizon in HORIZONS]
        thetas = [here.theta(W, b) for W, b in zip(self.W, self.b, strict=True)]
        self.losses *= np.exp(-s.sum() / HORIZON)
        steps, block = full_steps if self.P.ndim == 4 else diagonal_steps, max(1, BLOCK_ENTRIES // (d + 1))
        for start in range(0, table.n, block):
            part = slice(start, start + block)
            rows = loss, _standardised(X[part], here), np.ascontiguousarray(table.Y[:, part]), s[part]
            for r, theta in enumerate(thetas):
                self.losses[r] += batch_loss(*rows, theta)
                steps(*rows, theta, self.P[r], drifts[r], ridge, first + start)
        for r, theta in enumerate(thetas):
            if penalty.non_smooth.any():
                theta[:-1] = _proximal_step(theta[:-1], float(s.sum()) * _diagonal(self.P[r])[:-1], penalty)
            self.W[r], self.b[r] = raw_coefficients(here, theta, self.W[r])

    def change_coordinates(self, here: Coordinates, h: float, settled: bool) -> None:
        """Go on in other coordinates: other units of columns, and the intercept at other means.

        Raw coefficients stay.  But where the unit of a column has changed at once, their effect in standardised coordinates
        stays, if there had been enough rows to know the unit (`settled`).
        """
        leaps = self.coordinates.scale[:-1] > LEAP * np.where(here.scale[:-1] > 0.0, here.scale[:-1], np.inf)
        if settled and leaps.any():
            self._keep_effects(here, leaps)
        self._transform_inverse_hessians(here, h)
        self.coordinates = here

    def _keep_effects(self, here: Coordinates, leaps: np.ndarray) -> None:
        """Rescale the coefficients of the columns chosen by a mask (d,), so that standardised coefficients stay."""
        then = self.coordinates
        changed = np.where(leaps, np.divide(here.scale[:-1], then.scale[:-1], out=np.ones(len(leaps)), where=leaps), 1.0)
        W = self.W * changed[:, None]
        self.b += np.einsum("j,rjk->rk", then.mean * leaps, self.W) - np.einsum("j,rjk->rk", here.mean * leaps, W)
        self.W = W

    def _transform_inverse_hessians(self, here: Coordinates, h: float) -> None:
        """Bring P to other coordinates; the prior is added for columns that vary now, and bounds all of its diagonal."""
        then, full, P = self.coordinates, self.P.ndim == 4, self.P
        if full:  # the intercept of theta is b + mean W
            shift = (here.mean - then.mean) * then.scale[:-1]
            P[:, :, -1, :] += np.einsum("j,rkjl->rkl", shift, P[:, :, :-1, :])
            P[:, :, :, -1] += np.einsum("j,rklj->rkl", shift, P[:, :, :, :-1])
        known = (here.scale > 0.0) & (then.scale > 0.0)
        units = np.divide(then.scale, here.scale, out=np.zeros(len(known)), where=known)
        P *= units[:, None] * units if full else units**2
        diagonal = np.einsum("rkjj->rkj", P) if full else P
        diagonal += np.where((here.scale > 0.0) & ~known, self.prior / h, 0.0)
        bound = np.sqrt(np.minimum(1.0, PRIOR / h / np.maximum(diagonal, TINY)))
        P *= bound[..., :, None] * bound[..., None, :] if full else bound**2


def _standardised(X: Any, coordinates: Coordinates) -> np.ndarray:
    """x~ (m, d + 1) of the rows of X, dense or sparse; the last column is the intercept's."""
    A = np.empty((X.shape[0], X.shape[1] + 1))
    A[:, :-1] = X.toarray() if sp.issparse(X) else X
    A[:, :-1] -= coordinates.mean
    A *= coordinates.scale
    A[:, -1] = coordinates.scale[-1]
    return A


def _diagonal(P: np.ndarray) -> np.ndarray:
    """The diagonals (D, K) of P (K, D, D), or P (K, D) itself."""
    return (np.einsum("kjj->kj", P) if P.ndim == 3 else P).T


def _proximal_step(theta: np.ndarray, metric: np.ndarray, penalty: Penalty) -> np.ndarray:
    """The proximal step of the penalty's kinks at theta (d, K), in a diagonal metric (d, K)."""
    lower, upper = np.nan_to_num(penalty.lower)[:, None] * metric, penalty.upper[:, None] * metric
    return np.maximum(theta - upper, 0.0) - np.maximum(lower - theta, 0.0)
