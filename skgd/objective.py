"""The objective F(theta) = sum_i s_i loss(y_i, scores_i) / n + penalty(theta), on given data in given coordinates.

Weights s have mean one.  A pass over X runs on a fixed partition of the rows, whose records are added in order: the
bits of the result do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from . import kernels
from ._jit import writable
from .coordinates import Coordinates, standardised
from .penalties import penalty_value
from .rows import rows_of, stored_entries

PARTS = 16  # of the rows of a large X: more than any thread count worth having here, few enough to cost nothing
SMALL = 1 << 16  # entries of X that one thread reads in the time that handing out parts takes


class Objective:
    """A loss with its data, a penalty and coordinates.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        Validated; not copied.
    loss : struct of losses.py
    Y : ndarray of shape (T, n)
        Targets, or class codes.
    s : ndarray of shape (n,)
        Weights of mean one.
    l1, l2 : float
        Weights of the penalty on raw coefficients.
    coordinates : Coordinates
    run : callable
        Maps a function over the parts of the rows: ``map``, or that of a thread pool.
    """

    def __init__(self, X, loss, Y, s, l1: float, l2: float, coordinates: Coordinates, run: Callable[..., Any] = map) -> None:
        self.X, self.loss, self.Y, self.s = X, loss, writable(Y), s
        self.rows = rows_of(X)
        self.n, self.d = X.shape
        self.K = loss.columns
        self.l1_raw, self.l2_raw = l1, l2
        self.coordinates, self.run = coordinates, run

    @cached_property
    def l1(self) -> np.ndarray:
        """L1 weights (d + 1,) of theta; the intercept has none."""
        return np.append(self.l1_raw * self.coordinates.scale[:-1], 0.0)

    @cached_property
    def l2(self) -> np.ndarray:
        """L2 weights (d + 1,) of theta."""
        return np.append(self.l2_raw * self.coordinates.scale[:-1] ** 2, 0.0)

    @cached_property
    def tile(self) -> int:
        """Rows of a tile: up to 256 (64 for one column), as many as fit the nearest caches."""
        return int(np.clip((8192 if self.K == 1 else 32768) // self.d, 8, 64 if self.K == 1 else 256))

    def in_coordinates(self, coordinates: Coordinates) -> Objective:
        return Objective(self.X, self.loss, self.Y, self.s, self.l1_raw, self.l2_raw, coordinates, self.run)

    def parts(self) -> Iterator[tuple[int, int]]:
        """The fixed partition: a function of the data's size alone."""
        count = PARTS if stored_entries(self.X) * self.K > SMALL and self.n >= 64 * PARTS else 1
        edges = np.linspace(0, self.n, count + 1).astype(int)
        return zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """F(theta), and the gradient (d + 1, K) of its loss part.  One pass over X."""
        W, b = self.coordinates.raw(theta)
        loss, G = self._sum(lambda part: kernels.record(self.rows, self.loss, self.Y, self.s, W, b, *part, self.tile))
        return loss / self.n + penalty_value(theta, self.l1, self.l2), self.coordinates.gradient(G / self.n)

    def mean_loss(self, W: np.ndarray, b: np.ndarray) -> float:
        """The loss part of F at raw coefficients, without its gradient."""
        (loss,) = self._sum(lambda part: (kernels.loss_sum(self.rows, self.loss, self.Y, self.s, W, b, *part, 64),))
        return loss / self.n

    def _sum(self, record: Callable[[tuple[int, int]], tuple[Any, ...]]) -> list[Any]:
        """Add the records of all parts, in their order."""
        totals: list[Any] = []
        for values in self.run(record, self.parts()):
            totals = [total + value for total, value in zip(totals, values, strict=True)] if totals else list(values)
        return totals

    def score_scale(self) -> np.ndarray:
        """The natural size (K,) of each column's scores: the deviation of a regression's targets, 1 for log-odds."""
        if self.loss.scores_are_logits():
            return np.ones(self.K)
        mean = self.Y @ self.s / self.n
        deviation = np.sqrt((self.Y - mean[:, None]) ** 2 @ self.s / self.n)
        return np.where(deviation > 0.0, deviation, 1.0)

    def standardise(self, fit_intercept: bool) -> Coordinates:
        """Standardised coordinates of the data.  One pass; ValueError for a column whose squares overflow."""
        shift = self._heaviest_row() if fit_intercept else np.zeros(self.d)
        (sums,) = self._sum(lambda part: (kernels.moments(self.rows, self.s, shift, *part),))
        overflown = np.flatnonzero(~np.isfinite(sums).all(axis=0))
        if len(overflown):
            raise ValueError(f"Column {overflown[0]} of X holds values whose squares exceed the range of floats: rescale it.")
        ridge = self.l2_raw / self.loss.smoothness()
        return standardised(sums, shift, self.n, float(self.s.sum()), ridge, fit_intercept)

    def _heaviest_row(self) -> np.ndarray:
        """A row of the data to shift columns by: (x - mean)^2 <= n variance for it, so rounding stays below n eps."""
        out = np.empty((1, self.d))
        kernels.densify(self.rows, np.array([np.argmax(self.s)]), out)
        return out[0]

    def curvature(self, theta: np.ndarray, most_rows: int) -> np.ndarray:
        """The Hessian of the loss part at theta, from at most about `most_rows` evenly spaced rows; see `kernels.curvature`."""
        index = np.arange(0, self.n, max(1, self.n // most_rows))
        blocks = 1 if self.loss.quadratic() else self.K
        mean, scale = self.coordinates
        H = kernels.curvature(self.rows, self.loss, index, self.Y, self.s, mean, scale, theta, blocks, 128)
        return H / self.s[index].sum()
