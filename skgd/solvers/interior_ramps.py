"""A group of ramps in the interior-point method: it holds their variables, and calls the compiled loops over them."""

from __future__ import annotations

import numpy as np

from . import interior_steps
from .interior_steps import Direction, Eliminated, Ramps


class RampGroup:
    """One ramp for each row, or one for each coefficient with a non-smooth penalty.

    Parameters
    ----------
    weight : ndarray of shape (n,)
        The weights of the ramps in the objective.
    sign, t : ndarray of shape (n,)
        The arguments t of the ramps.  They change by `sign` times the change of the score or coefficient.
    upper : ndarray of shape (n,)
        The upper bounds of the dual variables, which are the largest slopes of the ramps.
    mu : float
        The barrier parameter at the start.
    mu_factor : float
        Newton steps aim at products of complementary variables that are equal to mu_factor times mu.
    smoothing : float
        The smoothing of the ramps: see `interior_steps`.

    Attributes
    ----------
    mu_weight : float
        The result of `complementarity` if mu is 1 and all products have the value that Newton steps aim at.
    """

    def __init__(
        self,
        weight: np.ndarray,
        sign: np.ndarray,
        t: np.ndarray,
        upper: np.ndarray,
        mu: float,
        mu_factor: float = 1.0,
        smoothing: float = 0.0,
    ) -> None:
        n = len(t)
        self.weight, self.sign, self.smoothing, self.mu_factor = weight, sign, smoothing, mu_factor
        self.ramps = Ramps(t, upper, *np.empty((3, n)))
        self.direction, self.eliminated = Direction(*np.zeros((4, n))), Eliminated(*np.empty((2, n)))
        self.bounded = np.isfinite(upper)
        self.mu_weight = mu_factor * float(weight @ (1.0 + self.bounded))
        interior_steps.centre(self.ramps, smoothing, mu_factor * mu)

    @property
    def p(self) -> np.ndarray:
        """The dual variables (n,)."""
        return self.ramps.p

    @property
    def upper(self) -> np.ndarray:
        """The upper bounds (n,) of the dual variables."""
        return self.ramps.upper

    def derivatives(self) -> np.ndarray:
        """The derivatives (n,) of the objective by the scores or coefficients, computed from the dual variables."""
        return self.weight * self.sign * self.p

    def linearise(self, mu: float) -> tuple[np.ndarray, np.ndarray]:
        """The curvatures (n,) and right-hand sides (n,) of the scores or coefficients in the Newton system for this mu."""
        interior_steps.eliminate(self.ramps, self.smoothing, self.mu_factor * mu, self.direction, self.eliminated)
        curvature = self.weight * self.eliminated.slope
        return curvature, curvature * self.sign * self.eliminated.shift

    def set_direction(self, change: np.ndarray, mu: float) -> tuple[float, float, float]:
        """Set the direction for this change (n,) of the scores or coefficients, and return what `substitute` returns."""
        np.multiply(self.sign, change, out=self.direction.dt)
        return interior_steps.substitute(self.ramps, self.weight, self.mu_factor * mu, self.eliminated, self.direction)

    def advance(self, step: float) -> None:
        """Move by `step` times the direction."""
        interior_steps.advance(step, self.direction, self.ramps)

    def complementarity(self) -> float:
        """The weighted sum of all products of complementary variables.  At a feasible point it is the ramps' duality gap."""
        _, upper, p, u, v = self.ramps
        left = np.where(self.bounded, upper - p, 0.0)
        return float(self.weight @ (p * u + left * v))

    def values(self) -> tuple[float, float]:
        """The weighted sum of the ramps, and the same sum with the current p instead of the maximisers, which is not larger."""
        t, upper, p, *_ = self.ramps
        if self.smoothing > 0.0:
            best = np.clip(t / self.smoothing, 0.0, upper)
        else:  # where p has no upper bound, t is negative and p = 0 is the maximiser
            best = np.where((t > 0.0) & self.bounded, upper, 0.0)
        value, dual_value = (float(self.weight @ (q * (t - 0.5 * self.smoothing * q))) for q in (best, p))
        return value, dual_value
