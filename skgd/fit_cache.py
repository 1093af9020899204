"""What a fit with `warm_start` leaves for the next one on the same data.  Nothing of it depends on the penalty.

So along a path of alphas, columns are standardised once; a quadratic loss needs no further pass over X at all, and another
one starts from the gradient and the curvature where the last fit ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .coordinates import Coordinates

SAME = 1e-6  # relative difference of coefficients that rounding to float32 may have made


class Point(NamedTuple):
    """The loss part of an objective, and its gradient (D, K), at theta (D, K)."""

    theta: np.ndarray
    loss: float
    gradient: np.ndarray


class Progress(NamedTuple):
    """Where stochastic steps stopped, for the epochs that go on from there."""

    steps: int  # made so far
    rate_factor: float  # what all rates of the schedule are multiplied by
    optimizer_state: np.ndarray  # (2, D, K), what the update rule remembers; empty where that is lost
    random_state: np.random.RandomState  # draws the order of rows


@dataclass
class FitCache:
    """Of one set of data in one set of coordinates.

    Attributes
    ----------
    data : tuple or None
        The loss, whether there is an intercept, whether columns are standardised, and `Table.fingerprint`.
    coordinates : Coordinates or None
    point : Point or None
        Where the loss was evaluated last.
    squares : tuple or None
        What `LeastSquares` knows.
    curvature : dict or None
        Hessians of the loss by their numbers of diagonal blocks; None: none are kept.
    progress : Progress or None
        Of sgd or adam, whatever the data.
    columns : list of FitCache
        Of the columns of scores, where each is a problem of its own.
    """

    data: tuple[Any, ...] | None = None
    coordinates: Coordinates | None = None
    point: Point | None = None
    squares: tuple[Any, ...] | None = None
    curvature: dict[int, np.ndarray] | None = None
    progress: Progress | None = None
    columns: list[FitCache] = field(default_factory=list)

    def near(self, theta: np.ndarray) -> np.ndarray:
        """The last point, where theta is the same but for rounding; else theta."""
        if self.point is None:
            return theta
        size = SAME * float(np.abs(self.point.theta).max(initial=0.0))
        return self.point.theta if np.allclose(theta, self.point.theta, rtol=SAME, atol=size) else theta
