"""Implicit standardisation: solvers see columns of mean 0 and variance 1, while X stays as it is.

A standardised row is x~ = scale * (x - mean, 1), with d + 1 entries.  Solvers work with coefficients theta (d + 1, K) of x~.
Row j < d of theta stands for row j of the raw coefficients, W[j] = scale[j] theta[j].  The last row stands for the intercepts,
b = scale[d] theta[d] - mean W (K,).  Both give the same scores and the same objective, but steps in theta converge faster.  A
column that does not vary gets scale 0 and therefore coefficient 0, because it would do the same as the intercept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A column whose standard deviation is below this share of its mean counts as constant, because rounding errors vary as much.
CONSTANT = 1e-12


class Coordinates(NamedTuple):
    """The means and scales of standardised columns."""

    mean: np.ndarray  # (d,)
    scale: np.ndarray  # (d + 1,); the last entry is the intercept's, and 0 if there is none

    @property
    def centred(self) -> bool:
        """Whether there is an intercept; without one, columns are not centred."""
        return bool(self.scale[-1] > 0.0)

    def raw(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The raw coefficients W (d, K) and intercepts b (K,) of theta (d + 1, K)."""
        W = self.scale[:-1, None] * theta[:-1]
        return W, self.scale[-1] * theta[-1] - self.mean @ W

    def theta(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The theta (d + 1, K) of raw coefficients W (d, K) and intercepts b (K,).

        What a column that does not vary contributes to scores becomes part of the intercept.
        """
        intercept = b + self.mean @ W
        theta = np.vstack([W, intercept[None, :]])
        return np.divide(theta, self.scale[:, None], out=np.zeros_like(theta), where=self.scale[:, None] > 0)

    def gradient(self, G: np.ndarray) -> np.ndarray:
        """The gradient by theta (d + 1, K), given the gradient G (d + 1, K) by raw coefficients and intercepts."""
        centred = G.copy()
        centred[:-1] -= self.mean[:, None] * G[-1]
        return self.scale[:, None] * centred

    def rescaled_intercept(self, scale: float) -> Coordinates:
        """The same coordinates with another scale of the intercept, if there is one."""
        return Coordinates(self.mean, np.append(self.scale[:-1], scale * self.centred))


def identity(d: int, fit_intercept: bool) -> Coordinates:
    """The coordinates in which theta holds the raw coefficients and, in its last row, the intercepts."""
    return Coordinates(np.zeros(d), np.append(np.ones(d), float(fit_intercept)))


class ColumnMoments(NamedTuple):
    """The weighted moments of the columns of some rows."""

    weight: float  # the total weight of the rows
    mean: np.ndarray  # (d,)
    squares: np.ndarray  # (d,), the weighted sums of squared deviations from the means

    @classmethod
    def of_sums(cls, sums: np.ndarray, shift: np.ndarray, n: int, weight: float) -> ColumnMoments:
        """The moments of n rows of total weight `weight`, from the sums of `kernels.moments` around `shift` (d,)."""
        stored, firsts, seconds, counts = sums
        with np.errstate(over="ignore", invalid="ignore"):  # columns whose squares overflow are reported later
            implicit = np.where(counts < n, weight - stored, 0.0)  # the zeros that CSR does not store
            offset = (firsts - implicit * shift) / weight
            square = (seconds + implicit * shift * shift) / weight
            return cls(weight, shift + offset, weight * np.maximum(square - offset * offset, 0.0))

    def __add__(self, other: ColumnMoments) -> ColumnMoments:  # type: ignore[override]  # tuples are concatenated
        """The moments of the rows of `self` and `other` together (Chan, Golub and LeVeque, 1983)."""
        weight, apart = self.weight + other.weight, other.mean - self.mean
        between = apart**2 * (self.weight * other.weight / weight)
        return ColumnMoments(weight, self.mean + apart * (other.weight / weight), self.squares + other.squares + between)

    @property
    def variance(self) -> np.ndarray:
        """The variances (d,) of the columns."""
        return self.squares / self.weight

    @property
    def units(self) -> np.ndarray:
        """The natural sizes (d,) of the columns.

        The size of a column is its standard deviation; the absolute value if it is constant; 1 if all its entries are zero.
        """
        size = np.abs(self.mean)
        size = np.where(self.variance > (CONSTANT * size) ** 2, np.sqrt(self.variance), size)
        return np.where(size > 0.0, size, 1.0)

    def mean_squares(self, centred: bool) -> np.ndarray:
        """The mean squares (d,) of the columns, around their means if `centred`, else around zero."""
        return self.variance if centred else self.variance + self.mean**2

    def coordinates(self, ridge: np.ndarray | float, fit_intercept: bool) -> Coordinates:
        """Standardised coordinates, with scales 1 / sqrt(variance + ridge).

        A loss of curvature 1 plus an L2 penalty of weight `ridge` has curvature variance + ridge along a raw coefficient.  In
        these coordinates the curvature is 1 along every coefficient.  Without an intercept columns are not centred, and mean
        squares take the place of variances.
        """
        mean = self.mean if fit_intercept else np.zeros_like(self.mean)
        square = self.mean_squares(fit_intercept)
        varies = square > (CONSTANT * mean) ** 2
        with np.errstate(divide="ignore"):
            scale = np.where(varies, 1.0 / np.sqrt(square + ridge), 0.0)
        return Coordinates(mean, np.append(scale, float(fit_intercept)))
