"""Running means and variances of columns, by which `online.py` standardises a stream.

Older rows count less, so that the moments follow a drift.  If the variance of the most recent rows is far below the running
variance of a column, the unit of the column has changed, and its older moments are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..coordinates import CONSTANT, ColumnMoments, Coordinates

HORIZON = 1000.0  # the weight of a row in running moments falls to 1/e after this many rows
RECENT_HORIZON = 100.0  # the same for the shorter moments that show a change of unit
CHANGED = 10.0  # if a running variance is above this multiple of the recent variance, the unit of the column has changed


@dataclass
class Moments:
    """Running means and variances of d columns, updated as in Chan et al. (1983).

    The weight of a row decays exponentially with the weight of the rows that came after it.

    Attributes
    ----------
    horizon : float
        The weight of later rows after which the weight of a row has fallen to 1/e.
    weight : float
        The sum of the decayed weights of all rows so far.
    mean : ndarray of shape (d,)
    squares : ndarray of shape (d,)
        Weighted sums of squared deviations from the mean.
    """

    horizon: float
    weight: float
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, columns: int, horizon: float = HORIZON) -> Moments:
        """The moments before the first row."""
        return cls(horizon, 0.0, np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, coordinates: Coordinates, weight: float) -> Moments:
        """The moments of rows with this total weight, from the coordinates that standardise them."""
        scale = coordinates.scale[:-1]
        variance = np.divide(1.0, scale**2, out=np.zeros_like(scale), where=scale > 0.0)
        return cls(HORIZON, weight, coordinates.mean, weight * variance)

    def add(self, rows: ColumnMoments) -> None:
        """Add the moments of new rows; raise ValueError if squares exceed the range of floats."""
        kept = np.exp(-rows.weight / self.horizon)
        self.weight, self.mean, self.squares = ColumnMoments(kept * self.weight, self.mean, kept * self.squares) + rows
        beyond = np.flatnonzero(~np.isfinite(self.squares))
        if len(beyond):
            raise ValueError(
                f"Column {beyond[0]} of X (or of y) holds values whose squares exceed the range of floats: rescale it."
            )

    def follow(self, recent: Moments) -> None:
        """Take over the recent moments of columns whose unit has changed, because older moments decay slowly."""
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
        """The natural size (d,) of each column; see `ColumnMoments.units`."""
        return ColumnMoments(self.weight, self.mean, self.squares).units

    def coordinates(self, fit_intercept: bool) -> Coordinates:
        """Coordinates in which columns have mean 0 and variance 1; the scale of a column that has not varied is 0."""
        return ColumnMoments(self.weight, self.mean, self.squares).coordinates(0.0, fit_intercept)


def raw_coefficients(here: Coordinates, theta: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw W (d, K) and b (K,) of theta; columns that have not varied yet keep their coefficients in `before` (d, K)."""
    W, b = here.raw(theta)
    still = here.scale[:-1] == 0.0
    W[still] = before[still]
    return W, b - here.mean[still] @ before[still]  # the intercept of theta includes their scores
