"""Scores of predictions from sums over partitions, in one pass: accuracy, R^2, and the D^2 of Poisson and gamma."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import xlogy

from ..coordinates import ColumnMoments
from ..data.tree_sum import PartialSums
from ..estimators.parameters import LOG_LINK
from ..losses.registry import REGRESSION_LOSSES
from ..prediction.scores import means

# A function of a local model and of X, y and the weights of a partition that returns sums over its rows.
Sums = Callable[[Any, Any, np.ndarray, np.ndarray], PartialSums]

# The deviance of a constant prediction is a difference of two sums.  Below this fraction of them it is only rounding error.
NO_DEVIANCE = 1e-13


def on_partition(sums: Sums, model: Any, number: int, partition: tuple[Any, ...]) -> PartialSums | None:
    """The sums over one partition (X, y) or (X, y, sample_weight); None if it has no rows."""
    X, y, *weights = partition
    if len(y) == 0:
        return None
    y = np.asarray(y)
    return sums(model, X, y, np.asarray(weights[0], dtype=float) if weights else np.ones(len(y)))


def hits(model: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> PartialSums:
    """The weight of the rows with a correctly predicted label, and the weight of all rows."""
    return float(weights @ (model.predict(X) == y)), float(weights.sum())


def squared_errors(model: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> PartialSums:
    """The weighted sum (T,) of squared errors of each target, and the moments of the T targets."""
    Y, errors = np.atleast_2d(y.T), np.atleast_2d((y - model.predict(X)).T) ** 2 @ weights
    mean = Y @ weights / weights.sum()
    return errors, ColumnMoments(float(weights.sum()), mean, (Y - mean[:, None]) ** 2 @ weights)


def explained_variance(errors: np.ndarray, targets: ColumnMoments) -> float:
    """R^2, averaged over the targets.  For a target that does not vary it is 1 if there are no errors, else 0."""
    unexplained = np.where(errors > 0.0, 1.0, 0.0)  # for targets that do not vary
    return float(1.0 - np.mean(np.divide(errors, targets.squares, out=unexplained, where=targets.squares > 0.0)))


def deviances(model: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> PartialSums:
    """The weighted sums over rows that D^2 needs.

    These are the sums (T,) of half the deviance, of y, of the generator of the deviance and of its absolute value, and the
    weight of all rows.
    """
    Y, mu, power = np.atleast_2d(y.T).astype(float), means(model._scores(X)).T, LOG_LINK[model.loss]
    model._check_targets(model._separable_loss(REGRESSION_LOSSES[model.loss], Y, weights), Y, None, "y", partition=True)
    halves = xlogy(Y, Y / mu) - Y + mu if power == 1 else Y / mu - 1.0 - np.log(Y / mu)
    values = _generator(power, Y)
    return halves @ weights, Y @ weights, values @ weights, np.abs(values) @ weights, float(weights.sum())


def explained_deviance(power: int, halves: Any, total: Any, values: Any, sizes: Any, weight: float) -> float:
    """D^2 from the sums of `deviances`, averaged over the targets; 0 for a target that does not vary, up to rounding.

    The deviance of the mean m of y is 2 sum_i s_i (generator(y_i) - generator(m)).
    """
    null = values - weight * _generator(power, total / weight)
    unexplained = np.divide(halves, null, out=np.ones(len(null)), where=null > NO_DEVIANCE * sizes)
    return float(1.0 - np.mean(unexplained))


def _generator(power: int, y: np.ndarray) -> np.ndarray:
    """The convex function whose Bregman divergence is half the deviance of Poisson (power 1) or gamma (power 2)."""
    return xlogy(y, y) if power == 1 else -np.log(y)
