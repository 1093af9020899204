"""The losses by the names of the estimators' parameter `loss`, and a function that makes one for given targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..coordinates import CONSTANT
from .cross_entropy import LogLoss
from .log_link import Gamma, Poisson
from .margins import Hinge, ModifiedHuber, Perceptron, SquaredHinge
from .protocol import SeparableLoss
from .regression import EpsilonInsensitive, Huber, Quantile, SquaredEpsilonInsensitive, SquaredError

REGRESSION_LOSSES = {
    "squared_error": SquaredError,
    "huber": Huber,
    "epsilon_insensitive": EpsilonInsensitive,
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
    "quantile": Quantile,
    "poisson": Poisson,
    "gamma": Gamma,
}
# log_loss has the targets 0 and 1, the other losses have -1 and 1.  With more than two classes log_loss is `Softmax`.
CLASSIFICATION_LOSSES = {
    "log_loss": LogLoss,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "modified_huber": ModifiedHuber,
    "perceptron": Perceptron,
    "squared_error": SquaredError,
    "huber": Huber,
    "epsilon_insensitive": EpsilonInsensitive,
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
}


def loss_for(cls: Any, Y: np.ndarray, s: np.ndarray, **parameters: float) -> SeparableLoss:
    """A separable loss for targets Y (T, n) with weights s (n,).

    Parameters
    ----------
    cls : class of a separable loss
        Its fields are filled by their names.  ``mean`` and ``deviation`` are computed from the targets, the others are
        parameters.
    Y : ndarray of shape (T, n)
    s : ndarray of shape (n,)
    **parameters : float
        Parameters of the estimator.  Only those that are fields of the loss are used.
    """
    statistics = {"mean": _largest_mean, "deviation": _largest_deviation}
    fields = {name: value for name, value in parameters.items() if name in cls._fields}
    fields |= {name: statistic(Y, s) for name, statistic in statistics.items() if name in cls._fields}
    return cls(len(Y), **fields)


def _largest_mean(Y: np.ndarray, s: np.ndarray) -> float:
    """The largest weighted mean of a row of targets."""
    return float((Y @ s).max() / s.sum())


def _largest_deviation(Y: np.ndarray, s: np.ndarray) -> float:
    """The largest standard deviation of a row of targets, consistent with `ColumnMoments.units`.

    If no target varies, it is the largest absolute value of a target.  If all targets are zero, it is 1.
    """
    centred = Y - (Y @ s / s.sum())[:, None]
    largest = np.abs(centred).max() or 1.0  # squares of values divided by it do not overflow
    deviation = float(largest * np.sqrt((centred / largest) ** 2 @ s / s.sum()).max())
    size = float(np.abs(Y).max())
    return deviation if deviation > CONSTANT * size else size or 1.0
