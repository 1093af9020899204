"""What a fit with `warm_start` keeps for the next fit of the same data.  Nothing in the cache depends on the penalty.

With the cache, a path of alphas standardises the columns only once.  With a quadratic loss, later fits need no further pass
over X.  With another loss, they start with the gradient and the Hessian at the point where the last fit ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .coordinates import Coordinates

SAME = 1e-6  # relative difference of coefficients that are the same but for rounding to float32, whose precision is 6e-8


class Point(NamedTuple):
    """A point and the mean loss there, without the penalty."""

    theta: np.ndarray  # (D, K)
    loss: float
    gradient: np.ndarray  # (D, K), the gradient of the mean loss


class Progress(NamedTuple):
    """The state of stochastic steps after an epoch, from which later epochs continue."""

    steps: int  # the number of steps so far
    rate_factor: float  # the factor of all rates of the schedule
    optimizer_state: np.ndarray  # (2, D, K), the state of the update rule; empty if it is not known in the new coordinates
    random_state: np.random.RandomState  # the generator of the order of rows


@dataclass
class FitCache:
    """What fits have computed for one set of data in one set of coordinates.

    Attributes
    ----------
    data : tuple or None
        The identity of the data: the loss, whether there is an intercept, whether columns are standardised, and
        `Table.fingerprint`.
    coordinates : Coordinates or None
        The coordinates of all attributes below.
    point : Point or None
        The last point at which the loss was evaluated.
    squares : tuple or None
        The normal equations of `LeastSquares`.
    curvature : dict or None
        Hessians of the loss; the key is the number of diagonal blocks.  None: no Hessians are kept.
    progress : Progress or None
        The state of the steps of sgd or adam; it may come from other data.
    columns : list of FitCache
        If each column of scores is a separate problem, one cache for each.
    """

    data: tuple[Any, ...] | None = None
    coordinates: Coordinates | None = None
    point: Point | None = None
    squares: tuple[Any, ...] | None = None
    curvature: dict[int, np.ndarray] | None = None
    progress: Progress | None = None
    columns: list[FitCache] = field(default_factory=list)

    def begin(self, data: tuple[Any, ...], coordinates: Coordinates) -> None:
        """Empty the cache for new data; only the progress of stochastic steps is kept."""
        vars(self).update(vars(FitCache(data, coordinates, curvature={}, progress=self.progress)))

    def near(self, theta: np.ndarray) -> np.ndarray:
        """The last point if theta equals it up to rounding to float32, else theta itself."""
        if self.point is None:
            return theta
        size = SAME * float(np.abs(self.point.theta).max(initial=0.0))
        return self.point.theta if np.allclose(theta, self.point.theta, rtol=SAME, atol=size) else theta
