"""The methods of a loss that solvers and estimators call.

A loss is a NamedTuple.  Its first field is the number of scores of a row, and its other fields are parameters.  Compiled loops
call some of its methods (see `compiled.jit.struct`); solvers and estimators call the others from Python.

In the shapes below, K is the number of scores of a row.  T is the number of targets of a row, which is K, or 1 if the targets
are codes of classes.  A tile is a block of m rows of the data, which compiled loops process at once.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np


class Loss(Protocol):
    """The loss of a row, as a function of its target and its scores."""

    @property
    def n_outputs(self) -> int:
        """K, the number of scores of a row."""

    # ------------------------------------------------------------ called by compiled loops, on a tile of m rows
    def coupled(self) -> bool:
        """Whether the loss of a row depends on all its scores jointly.  If not, columns of scores are independent problems."""

    def losses_and_residuals(self, y: np.ndarray, s: np.ndarray, Z: np.ndarray, totals: np.ndarray) -> None:
        """Replace scores Z (K, m) by weighted derivatives, and add the weighted sums of the losses to totals (K,).

        y (T, m) are the targets, and s (m,) the weights of the rows.  A coupled loss has one sum only, which it adds to the
        first total.
        """

    def curvatures(self, y: np.ndarray, s: np.ndarray, Z: np.ndarray) -> None:
        """Replace scores Z (K, m) by the intermediate results that `curvature_block` needs."""

    def curvature_block(self, s: np.ndarray, Z: np.ndarray, k: int, l: int, c: np.ndarray) -> None:
        """Write the weighted second derivative of each row by its scores k and l into c (m,)."""

    # ------------------------------------------------------------ asked by solvers
    def smooth(self) -> bool:
        """Whether the derivative is continuous."""

    def smoothed(self) -> bool:
        """Whether this is a non-smooth loss whose non-smooth points are smoothed over a positive width."""

    def constant_curvature(self) -> bool:
        """Whether the second derivative is the same constant everywhere."""

    def bounded_curvature(self) -> bool:
        """Whether `curvature_bound` bounds the second derivative for every score."""

    def curvature_bound(self) -> float:
        """The curvature of a row of weight one that step sizes are derived from: a bound, or a typical value if there is none.

        A non-smooth loss has no curvature.  It returns the reciprocal of the natural size of a score.
        """

    def has_flat_rows(self) -> bool:
        """Whether rows whose loss is zero have no curvature, not even a surrogate."""

    def damps_far_rows(self) -> bool:
        """Whether rows far from their targets have a larger surrogate curvature, so that steps are not too long.

        Near the minimum `with_own_curvature` gives a better model.
        """

    def with_own_curvature(self) -> Self:
        """The loss without the surrogate curvature of rows far from their targets.  Smoothed ramps keep their surrogate."""

    def attains_zero_only_at_infinity(self) -> bool:
        """Whether the loss is positive at every finite score.  Then the loss of separable classes has no minimiser."""

    def minimised_by_zero_scores(self) -> bool:
        """Whether zero scores minimise the loss for all targets, so that the minimiser is useless."""

    def is_sum_of_ramps(self) -> bool:
        """Whether the loss is piecewise linear or quadratic, but no parabola, so that `conjugate` is a sum of ramps."""

    def conjugate(self) -> Any:
        """The `Conjugate` of the loss, or None if it is not implemented."""

    def intercept_only_scores(self, y: np.ndarray, s: np.ndarray) -> np.ndarray:
        """The scores (K,) of the intercept-only model, or close ones, for targets y (T, n) with weights s (n,).

        Fits start at these scores.
        """

    def scores_are_targets(self) -> bool:
        """Whether scores predict the targets in their own unit.  Other scores are log-odds, margins or logarithms."""

    # ------------------------------------------------------------ asked by estimators
    def valid(self, y: np.ndarray) -> np.ndarray:
        """Which of the targets y are allowed, as an array of bools of the same shape."""

    def domain(self) -> str:
        """The allowed targets, in words for an error message."""

    # ------------------------------------------------------------ the same loss with another parameter
    def with_n_outputs(self, n_outputs: int) -> Self:
        """The same loss with this number of scores of a row."""

    def with_width(self, width: float) -> Self:
        """The loss with its non-smooth points smoothed over this width of scores.  A smooth loss returns itself."""

    def with_deviation(self, deviation: float) -> Self:
        """The loss with a `curvature_bound` for targets of this standard deviation.  Most losses do not depend on it."""


class SeparableLoss(Loss, Protocol):
    """A loss that is a sum over the scores of a row, defined for one target y and one score z."""

    def value(self, y: float, z: float) -> float:
        """The loss."""

    def derivative(self, y: float, z: float) -> float:
        """The derivative by the score.  At a non-smooth point it is the subgradient that ``SGDClassifier`` uses."""

    def curvature(self, y: float, z: float) -> float:
        """The second derivative by the score, or its surrogate: see `surrogate_curvature`.  Only smooth losses need it."""
