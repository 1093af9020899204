"""Schedules: the number of a step -> its rate.  Plain functions of an array of step numbers, counted from 1."""

from __future__ import annotations

import numpy as np


def constant(step: np.ndarray, eta0: float) -> np.ndarray:
    return np.full(len(step), eta0)


def invscaling(step: np.ndarray, eta0: float, power_t: float) -> np.ndarray:
    """eta0 / step^power_t."""
    return eta0 / step**power_t


def optimal(step: np.ndarray, alpha: float, eta0: float) -> np.ndarray:
    """1 / (alpha (t0 + step)), with t0 such that the rate starts near eta0 (Bottou, 2012, section 5.2)."""
    return 1.0 / (alpha * (1.0 / (eta0 * alpha) + step - 1.0))


def damped(step: np.ndarray, eta0: float, delay: float) -> np.ndarray:
    """eta0 / sqrt(1 + (step - 1) / delay): constant at first, 1/sqrt(step) later."""
    return eta0 / np.sqrt(1.0 + (step - 1.0) / delay)
