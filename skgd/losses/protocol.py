"""What solvers and estimators ask of a loss.

A loss is a NamedTuple: its first field is the number of scores of a row, the others are its parameters.  Compiled loops call
some of its methods (see `compiled.jit.struct`), and solvers and estimators call the others from Python.

Shapes: K is the number of scores of a row, T the number of rows of targets (T = K, or 1 where the targets are codes of
classes), and m the number of rows in a tile of the data.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np

from .ramps import SumOfRamps


class Loss(Protocol):
    """What a row pays for its scores, as a function of its target."""

    @property
    def n_outputs(self) -> int:
        """K, the number of scores of a row."""

    # ------------------------------------------------------------ called by compiled loops, on a tile of m rows
    def coupled(self) -> bool:
        """Whether the loss of a row depends on its scores jointly; if not, its K columns are independent problems."""

    def losses_and_residuals(self, y: np.ndarray, s: np.ndarray, Z: np.ndarray, totals: np.ndarray) -> None:
        """Replace scores Z (K, m) of m rows by weighted derivatives, and add the weighted sums of the losses to totals (K,).

        y (T, m) are the targets, one row for each column of scores, or the class codes; s (m,) are the weights.  A coupled
        loss has one sum, which it adds to the first total.
        """

    def curvatures(self, y: np.ndarray, s: np.ndarray, Z: np.ndarray) -> None:
        """Replace scores Z (K, m) by what `curvature_block` needs of them."""

    def curvature_block(self, s: np.ndarray, Z: np.ndarray, k: int, l: int, c: np.ndarray) -> None:
        """Write the weighted second derivative by the scores k and l of each row into c (m,)."""

    # ------------------------------------------------------------ asked by solvers
    def smooth(self) -> bool:
        """Whether the derivative is continuous."""

    def smoothed(self) -> bool:
        """Whether the non-smooth points of this loss are smoothed over a positive width: it is smooth only because of that."""

    def constant_curvature(self) -> bool:
        """Whether the second derivative is one constant."""

    def bounded_curvature(self) -> bool:
        """Whether `curvature_bound` bounds the second derivative for every score."""

    def curvature_bound(self) -> float:
        """The curvature for each unit of weight that sizes steps.

        A non-smooth loss has no curvature.  Its answer is the reciprocal of the natural size of a score.
        """

    def has_flat_rows(self) -> bool:
        """Whether rows whose loss is zero have no curvature either, and no surrogate of it."""

    def damps_far_rows(self) -> bool:
        """Whether rows far from their targets count with more than their curvature, so that steps cannot be too long.

        Near the minimum, `with_own_curvature` is the better model.
        """

    def with_own_curvature(self) -> Self:
        """The loss without the surrogate curvature of rows far from their targets; smoothed ramps keep theirs."""

    def attains_zero_only_at_infinity(self) -> bool:
        """Whether every finite score pays something: separable classes then have an infimum of zero and no minimiser."""

    def minimised_by_zero_scores(self) -> bool:
        """Whether zero scores pay nothing, whatever the targets, so that only the path of a solver makes a useful model."""

    def is_sum_of_ramps(self) -> bool:
        """Whether the loss is piecewise linear or quadratic, and ``as_ramps`` says how: see `PiecewiseLoss`."""

    def intercept_only_scores(self, y: np.ndarray, s: np.ndarray) -> np.ndarray:
        """The best scores (K,) that do not depend on X, or close to these, for targets y (T, n) with weights s (n,).

        Solvers start there.
        """

    def scores_are_targets(self) -> bool:
        """Whether scores have the unit of the targets; other scores are log-odds, margins or logarithms."""

    # ------------------------------------------------------------ asked by estimators
    def valid(self, y: np.ndarray) -> np.ndarray:
        """Which of the targets y have a loss, as an array of bools of the same shape."""

    def domain(self) -> str:
        """What valid targets are, in the words of an error message."""

    # ------------------------------------------------------------ the same loss with another parameter
    def with_n_outputs(self, n_outputs: int) -> Self:
        """The loss of as many scores."""

    def with_width(self, width: float) -> Self:
        """The loss whose non-smooth points are smoothed over this width of scores; losses that have none stay as they are."""

    def with_deviation(self, deviation: float) -> Self:
        """The loss whose `curvature_bound` is for targets of this standard deviation; most losses do not depend on it."""


class SeparableLoss(Loss, Protocol):
    """A loss whose columns of scores are independent problems: it is defined for one target y and one score z."""

    def value(self, y: float, z: float) -> float:
        """The loss."""

    def derivative(self, y: float, z: float) -> float:
        """The derivative by the score; at a non-smooth point, the one that scikit-learn's ``SGDClassifier`` takes."""

    def curvature(self, y: float, z: float) -> float:
        """The second derivative by the score, or its surrogate (see `surrogate_curvature`); only smooth losses need it."""


class PiecewiseLoss(SeparableLoss, Protocol):
    """A separable loss of linear and quadratic pieces, which the interior-point method can minimise."""

    def as_ramps(self, y: np.ndarray) -> SumOfRamps:
        """The loss of n scores of one column, as a sum of ramps, for targets y (n,)."""
