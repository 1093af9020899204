"""What a fit with `warm_start` leaves for the next fit of the same data.  Nothing of it depends on the penalty.

Along a path of alphas columns are standardised once.  A quadratic loss needs no further pass over X at all.  Another loss
starts with the gradient and the curvature at the point where the last fit ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .coordinates import Coordinates

SAME = 1e-6  # relative difference of coefficients that rounding to float32, whose precision is 6e-8, may have made


class Point(NamedTuple):
    """The loss part of an objective at theta, and its gradient."""

    theta: np.ndarray  # (D, K)
    loss: float
    gradient: np.ndarray  # (D, K)


class Progress(NamedTuple):
    """Where stochastic steps stopped, for the epochs that go on from there."""

    steps: int  # made so far
    rate_factor: float  # what all rates of the schedule are multiplied by
    optimizer_state: np.ndarray  # (2, D, K), what the update rule remembers; empty where that is lost
    random_state: np.random.RandomState  # draws the order of rows


@dataclass
class FitCache:
    """What is known of one set of data in one set of coordinates.

    Attributes
    ----------
    data : tuple or None
        What tells the data from others: the loss, whether there is an intercept, whether columns are standardised, and
        `Table.fingerprint`.
    coordinates : Coordinates or None
        The coordinates of everything below.
    point : Point or None
        Where the loss was evaluated last.
    squares : tuple or None
        What `LeastSquares` knows.
    curvature : dict or None
        Hessians of the loss by their numbers of diagonal blocks.  None: none are kept.
    progress : Progress or None
        Where the steps of sgd or adam stopped; it may be of other data.
    columns : list of FitCache
        One for each column of scores that is a problem of its own.
    """

    data: tuple[Any, ...] | None = None
    coordinates: Coordinates | None = None
    point: Point | None = None
    squares: tuple[Any, ...] | None = None
    curvature: dict[int, np.ndarray] | None = None
    progress: Progress | None = None
    columns: list[FitCache] = field(default_factory=list)

    def begin(self, data: tuple[Any, ...], coordinates: Coordinates) -> None:
        """Forget the data of the last fit for new data; only the progress of stochastic steps is kept."""
        vars(self).update(vars(FitCache(data, coordinates, curvature={}, progress=self.progress)))

    def near(self, theta: np.ndarray) -> np.ndarray:
        """The last point if theta is the same up to rounding, else theta itself."""
        if self.point is None:
            return theta
        size = SAME * float(np.abs(self.point.theta).max(initial=0.0))
        return self.point.theta if np.allclose(theta, self.point.theta, rtol=SAME, atol=size) else theta
