"""The losses by the names that users give them, and how one is made for given targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..coordinates import CONSTANT
from .cross_entropy import LogLoss
from .log_link import Gamma, Poisson
from .margins import Hinge, ModifiedHuber, Perceptron, SquaredHinge
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
CLASSIFICATION_LOSSES = {  # log_loss has targets 0 and 1, and is Softmax for more than two classes; others have -1 and 1
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


def loss_for(cls: Any, Y: np.ndarray, s: np.ndarray, **parameters: float) -> Any:
    """A separable loss for targets Y (T, n) with weights s (n,): its fields are parameters of the user, or facts of Y."""
    facts = {"mean": _largest_mean, "deviation": _largest_unit}
    known = {name: value for name, value in parameters.items() if name in cls._fields}
    known |= {name: fact(Y, s) for name, fact in facts.items() if name in cls._fields}
    return cls(len(Y), **known)


def _largest_mean(Y: np.ndarray, s: np.ndarray) -> float:
    return float((Y @ s).max() / s.sum())


def _largest_unit(Y: np.ndarray, s: np.ndarray) -> float:
    """The deviation of targets; where they do not vary, what they are; 1 where that is zero: as `ColumnMoments.units`."""
    centred = Y - (Y @ s / s.sum())[:, None]
    largest = np.abs(centred).max() or 1.0  # squares of what is at most 1 do not overflow
    deviation = float(largest * np.sqrt((centred / largest) ** 2 @ s / s.sum()).max())
    size = float(np.abs(Y).max())
    return deviation if deviation > CONSTANT * size else size or 1.0
