"""The losses by the names that users give them, and how one is made for given targets."""

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
# The targets of log_loss are 0 and 1, and those of the other losses -1 and 1.  With more than two classes log_loss is Softmax.
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
        Its fields are filled by name: with the parameters, and ``mean`` and ``deviation`` with those of the targets.
    Y : ndarray of shape (T, n)
    s : ndarray of shape (n,)
    **parameters : float
        Parameters of the estimator; those that are no fields of the loss are not used.
    """
    statistics = {"mean": _largest_mean, "deviation": _largest_deviation}
    fields = {name: value for name, value in parameters.items() if name in cls._fields}
    fields |= {name: statistic(Y, s) for name, statistic in statistics.items() if name in cls._fields}
    return cls(len(Y), **fields)


def _largest_mean(Y: np.ndarray, s: np.ndarray) -> float:
    return float((Y @ s).max() / s.sum())


def _largest_deviation(Y: np.ndarray, s: np.ndarray) -> float:
    """The largest standard deviation of a row of targets, as `ColumnMoments.units` of columns.

    Where no target varies it is the largest absolute target, and where all are zero it is 1.
    """
    centred = Y - (Y @ s / s.sum())[:, None]
    largest = np.abs(centred).max() or 1.0  # what is divided by it has squares that do not overflow
    deviation = float(largest * np.sqrt((centred / largest) ** 2 @ s / s.sum()).max())
    size = float(np.abs(Y).max())
    return deviation if deviation > CONSTANT * size else size or 1.0
