"""Learners that make Newton steps on rows (`recursive_newton.py`) and forget old rows at different speeds.

The best speed depends on the stream.  Before the learners learn a batch, it tests all of them.  The learner with the smallest
losses over about the last thousand rows is the model.
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

HORIZONS = (np.inf, 1000.0, 200.0, 40.0)  # the rows that each learner remembers, roughly; its drift is 1/horizon^2
INTERCEPT_DRIFT = 10.0  # the drift of the intercept as a multiple of other drifts, because the intercept changes most
LEAP = 10.0  # if the deviation of a column grows by this factor between two batches, its unit has changed
PRIOR = 0.25  # h P before the first row, and its largest value later; it bounds how far one row moves a coefficient
MAX_MATRIX_ENTRIES = 400_000  # the largest number of entries of a learner's P; beyond it, only the diagonal is kept
BLOCK_ENTRIES = 1 << 20  # entries of the rows that are standardised at one time: 8 MiB


@dataclass
class NewtonLearners:
    """R learners of one stream.  Each has D = d + 1 coefficients for each of K columns of scores.

    Attributes
    ----------
    W : ndarray of shape (R, d, K)
        Raw coefficients.
    b : ndarray of shape (R, K)
        Intercepts.
    P : ndarray of shape (R, K, D, D) or (R, K, D)
        Inverse Hessians, or their diagonals, in `coordinates`.
    losses : ndarray of shape (R,)
        Sums of the losses of all rows so far, each computed before the row was learned.  Older rows count less.
    coordinates : Coordinates
        The coordinates of the last batch.
    prior : float
        h P for a column that has not varied yet, where h is the curvature of the loss.
    """

    W: np.ndarray
    b: np.ndarray
    P: np.ndarray
    losses: np.ndarray
    coordinates: Coordinates
    prior: float

    @classmethod
    def start(cls, W: np.ndarray, b: np.ndarray, rows: int, coordinates: Coordinates, h: float) -> NewtonLearners:
        """Equal learners that start at W (d, K) and b (K,), which were learned from this number of rows."""
        R, (d, K) = len(HORIZONS), W.shape
        D, prior = d + 1, min(PRIOR, 1.0 / max(rows, 1))
        diagonal = np.full((R, K, D), prior / h)
        P = diagonal if K * D * D > MAX_MATRIX_ENTRIES else diagonal[..., None] * np.eye(D)
        return cls(np.repeat(W[None], R, 0), np.repeat(b[None], R, 0), P, np.zeros(R), coordinates, prior)

    def copied(self) -> NewtonLearners:
        """A copy of the learners with its own arrays."""
        W, b, P, losses = (values.copy() for values in (self.W, self.b, self.P, self.losses))
        return NewtonLearners(W, b, P, losses, self.coordinates, self.prior)

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """W (d, K) and b (K,) of the learner with the smallest losses."""
        best = int(np.argmin(self.losses))
        return self.W[best].copy(), self.b[best].copy()

    def learn(self, table: Table, loss: Any, penalty: Penalty, h: float, first: int) -> None:
        """Test all learners on a batch, then let them learn it.

        Parameters
        ----------
        table : Table
        loss : struct of losses
            It has to be smooth.
        penalty : Penalty
            The penalty on the d coefficients in `coordinates`, per row.
        h : float
            The curvature of the loss, which sets the unit of the drift.
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
        """Continue in other coordinates, with other scales and means of columns.

        In general the raw coefficients stay the same.  If the unit of a column has changed abruptly, its coefficient in
        standardised coordinates stays the same instead, provided that enough rows had shown the old unit (`settled`).
        """
        leaps = self.coordinates.scale[:-1] > LEAP * np.where(here.scale[:-1] > 0.0, here.scale[:-1], np.inf)
        if settled and leaps.any():
            self._keep_effects(here, leaps)
        self._transform_inverse_hessians(here, h)
        self.coordinates = here

    def _keep_effects(self, here: Coordinates, leaps: np.ndarray) -> None:
        """Rescale the coefficients of the columns in the mask `leaps` (d,), so that standardised coefficients stay the same."""
        then = self.coordinates
        changed = np.where(leaps, np.divide(here.scale[:-1], then.scale[:-1], out=np.ones(len(leaps)), where=leaps), 1.0)
        W = self.W * changed[:, None]
        self.b += np.einsum("j,rjk->rk", then.mean * leaps, self.W) - np.einsum("j,rjk->rk", here.mean * leaps, W)
        self.W = W

    def _transform_inverse_hessians(self, here: Coordinates, h: float) -> None:
        """Transform P to other coordinates; add the prior for columns that vary for the first time; bound the diagonal."""
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
    """The rows of X, dense or sparse, in standardised coordinates (m, d + 1); the last column is the intercept's."""
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
    """The proximal step of the non-smooth part of the penalty at theta (d, K), in a diagonal metric (d, K)."""
    lower, upper = np.nan_to_num(penalty.lower)[:, None] * metric, penalty.upper[:, None] * metric
    return np.maximum(theta - upper, 0.0) - np.maximum(lower - theta, 0.0)
