"""Running means and variances of columns, by which `online.py` standardises a stream.

Older rows count less, so that they follow a drift.  Where the variance of the last rows is far below the remembered one, the
unit of the column has changed, and the memory of it is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..coordinates import CONSTANT, ColumnMoments, Coordinates

HORIZON = 1000.0  # rows that running moments remember, roughly: a row has faded to 1/e after so many
RECENT_HORIZON = 100.0  # rows of the shorter moments that show a change of unit
CHANGED = 10.0  # times the recent variance: a remembered variance above it is of another unit


@dataclass
class Moments:
    """Running means and variances of d columns, in which a row counts less the more came after it (Chan et al., 1983).

    Attributes
    ----------
    horizon : float
        Weight of rows after which a row has faded to 1/e.
    weight : float
        Of all rows so far, faded.
    mean : ndarray of shape (d,)
    squares : ndarray of shape (d,)
        Sums of squared deviations from the mean.
    """

    horizon: float
    weight: float
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, columns: int, horizon: float = HORIZON) -> Moments:
        """The moments of no row."""
        return cls(horizon, 0.0, np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, coordinates: Coordinates, weight: float) -> Moments:
        """The moments of rows of this weight whose standardised coordinates are known."""
        scale = coordinates.scale[:-1]
        variance = np.divide(1.0, scale**2, out=np.zeros_like(scale), where=scale > 0.0)
        return cls(HORIZON, weight, coordinates.mean, weight * variance)

    def add(self, rows: ColumnMoments) -> None:
        """Add the moments of new rows; raise ValueError where squares exceed the range of floats."""
        kept = np.exp(-rows.weight / self.horizon)
        self.weight, self.mean, self.squares = ColumnMoments(kept * self.weight, self.mean, kept * self.squares) + rows
        beyond = np.flatnonzero(~np.isfinite(self.squares))
        if len(beyond):
            raise ValueError(
                f"Column {beyond[0]} of X (or of y) holds values whose squares exceed the range of floats: rescale it."
            )

    def follow(self, recent: Moments) -> None:
        """Take over the recent moments of columns whose unit has changed: their past would take long to fade."""
        variance, now = self.squares / self.weight, recent.squares / recent.weight
        changed = (variance > CHANGED * now) & (now > (CONSTANT * recent.mean) ** 2)
        self.mean = np.where(changed, recent.mean, self.mean)
        self.squares = np.where(changed, now * self.weight, self.squares)

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviations (d,)."""
        return np.sqrt(self.squares / self.weight)

    @property
    def units(self) -> np.ndarray:
        """Natural sizes (d,) of the columns; see `ColumnMoments.units`."""
        return ColumnMoments(self.weight, self.mean, self.squares).units

    def coordinates(self, fit_intercept: bool) -> Coordinates:
        """Coordinates in which columns have mean 0 and variance 1; scale 0 where a column has not varied yet."""
        return ColumnMoments(self.weight, self.mean, self.squares).coordinates(0.0, fit_intercept)


def raw_coefficients(here: Coordinates, theta: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw W (d, K) and b (K,) of theta; a column that has not varied yet keeps its coefficient in `before` (d, K)."""
    W, b = here.raw(theta)
    still = here.scale[:-1] == 0.0
    W[still] = before[still]
    return W, b - here.mean[still] @ before[still]  # theta's intercept has what these columns add to the scores
