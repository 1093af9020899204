"""Running means and variances of columns: what `online.py` standardises a stream by.

They forget slowly, so that they follow a drift; and where the rows of late vary far less than what is remembered, the unit of
a column has changed, and what is remembered says nothing of it any more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..coordinates import CONSTANT, ColumnMoments, Coordinates

RECENT, LATE = 1000.0, 100.0  # rows over which they are forgotten; and those that tell of another unit
CHANGED = 10.0  # times the variance of late, beyond which the variance of all that is remembered is of another unit


@dataclass
class Moments:
    """Running means and variances of columns, in which rows count less the more came after them (Chan et al., 1983)."""

    horizon: float  # rows
    weight: float
    mean: np.ndarray
    squares: np.ndarray  # sums of squared deviations

    @classmethod
    def none(cls, columns: int, horizon: float = RECENT) -> Moments:
        return cls(horizon, 0.0, np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, coordinates: Coordinates, weight: float) -> Moments:
        """Those of rows whose standardised coordinates are known, as if they had been of this weight."""
        scale = coordinates.scale[:-1]
        variance = np.divide(1.0, scale**2, out=np.zeros_like(scale), where=scale > 0.0)
        return cls(RECENT, weight, coordinates.mean, weight * variance)

    def add(self, rows: ColumnMoments) -> None:
        """Those of new rows."""
        kept = np.exp(-rows.weight / self.horizon)
        self.weight, self.mean, self.squares = ColumnMoments(kept * self.weight, self.mean, kept * self.squares) + rows
        beyond = np.flatnonzero(~np.isfinite(self.squares))
        if len(beyond):
            raise ValueError(
                f"Column {beyond[0]} of X (or of y) holds values whose squares exceed the range of floats: rescale it."
            )

    def follow(self, late: Moments) -> None:
        """Take over what was seen of late of columns whose unit has changed: their past would take long to fade."""
        variance, now = self.squares / self.weight, late.squares / late.weight
        changed = (variance > CHANGED * now) & (now > (CONSTANT * late.mean) ** 2)
        self.mean = np.where(changed, late.mean, self.mean)
        self.squares = np.where(changed, now * self.weight, self.squares)

    @property
    def units(self) -> np.ndarray:
        """Natural sizes (d,) of the columns."""
        return ColumnMoments(self.weight, self.mean, self.squares).units

    def coordinates(self, fit_intercept: bool) -> Coordinates:
        """Those in which columns have mean 0 and variance 1; scale 0 where a column has not varied yet."""
        return ColumnMoments(self.weight, self.mean, self.squares).coordinates(0.0, fit_intercept)
