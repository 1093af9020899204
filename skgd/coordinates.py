"""Implicit standardisation: solvers see columns of mean 0 and scale 1, X stays as it is.

With x~ = scale * (x - mean, 1), coefficients theta of x~ belong to raw coefficients W = scale * theta and the
intercept b = scale_d theta_d - mean W.  Scores and the objective are exactly the same; only the steps differ.
A column without variation gets scale 0, and so coefficient 0: the intercept already has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Below this share of its mean, the variation of a column is lost in rounding.
CONSTANT = 1e-12


class Coordinates(NamedTuple):
    """mean (d,) and scale (d + 1,), the last entry the intercept's (0: no intercept)."""

    mean: np.ndarray
    scale: np.ndarray

    @property
    def centred(self) -> bool:
        """Whether there is an intercept: without one nothing is centred."""
        return bool(self.scale[-1] > 0.0)

    def raw(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """W (d, K) and b (K,) of theta (d + 1, K)."""
        W = self.scale[:-1, None] * theta[:-1]
        return W, self.scale[-1] * theta[-1] - self.mean @ W

    def theta(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """theta (d + 1, K) of raw coefficients; those of columns without variation are dropped."""
        intercept = b + self.mean @ W
        theta = np.vstack([W, intercept[None, :]])
        return np.divide(theta, self.scale[:, None], out=np.zeros_like(theta), where=self.scale[:, None] > 0)

    def gradient(self, G: np.ndarray) -> np.ndarray:
        """The gradient by theta, given that by raw coefficients, G (d + 1, K) with the intercepts' in its last row."""
        centred = G.copy()
        centred[:-1] -= self.mean[:, None] * G[-1]
        return self.scale[:, None] * centred

    def rescaled_intercept(self, scale: float) -> Coordinates:
        """The same, with another scale of the intercept, where there is one."""
        return Coordinates(self.mean, np.append(self.scale[:-1], scale * self.centred))


def identity(d: int, fit_intercept: bool) -> Coordinates:
    """Raw coordinates."""
    return Coordinates(np.zeros(d), np.append(np.ones(d), float(fit_intercept)))


class ColumnMoments(NamedTuple):
    """Of rows: their weight, and weighted means (d,) and sums of squared deviations from these (d,) of their columns."""

    weight: float
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of_sums(cls, sums: np.ndarray, shift: np.ndarray, n: int, weight: float) -> ColumnMoments:
        """From the sums of `kernels.moments` over n rows of total weight `weight`."""
        stored, firsts, seconds, counts = sums
        with np.errstate(over="ignore", invalid="ignore"):  # of columns whose squares overflow: they are named later
            implicit = np.where(counts < n, weight - stored, 0.0)  # the zeros that CSR does not store
            offset = (firsts - implicit * shift) / weight
            square = (seconds + implicit * shift * shift) / weight
            return cls(weight, shift + offset, weight * np.maximum(square - offset * offset, 0.0))

    def __add__(self, other: ColumnMoments) -> ColumnMoments:  # type: ignore[override]  # not of tuples
        """Those of the rows of both (Chan, Golub and LeVeque, 1983)."""
        weight, apart = self.weight + other.weight, other.mean - self.mean
        between = apart**2 * (self.weight * other.weight / weight)
        return ColumnMoments(weight, self.mean + apart * (other.weight / weight), self.squares + other.squares + between)

    @property
    def variance(self) -> np.ndarray:
        return self.squares / self.weight

    @property
    def units(self) -> np.ndarray:
        """Natural sizes (d,) of the columns: their deviations; where they do not vary, what they are; 1 where that is zero."""
        size = np.abs(self.mean)
        size = np.where(self.variance > (CONSTANT * size) ** 2, np.sqrt(self.variance), size)
        return np.where(size > 0.0, size, 1.0)

    def mean_squares(self, centred: bool) -> np.ndarray:
        """Of what an objective sees of the columns, (d,): around their means if it is centred, else around zero."""
        return self.variance if centred else self.variance + self.mean**2

    def coordinates(self, ridge: np.ndarray | float, fit_intercept: bool) -> Coordinates:
        """Standardised coordinates, with scales 1 / sqrt(variance + ridge).

        That is the curvature of a loss of unit curvature_bound with an L2 penalty: columns of any size, tiny ones included,
        then have curvature 1.  Without an intercept nothing is centred.
        """
        mean = self.mean if fit_intercept else np.zeros_like(self.mean)
        square = self.mean_squares(fit_intercept)
        varies = square > (CONSTANT * mean) ** 2
        with np.errstate(divide="ignore"):
            scale = np.where(varies, 1.0 / np.sqrt(square + ridge), 0.0)
        return Coordinates(mean, np.append(scale, float(fit_intercept)))
