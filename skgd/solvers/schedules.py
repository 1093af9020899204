"""Schedules of the learning rate: functions that map an array of step numbers, counted from 1, to an array of rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Schedule = Callable[[np.ndarray], np.ndarray]


def constant(step: np.ndarray, eta0: float) -> np.ndarray:
    """eta0 for every step."""
    return np.full(len(step), eta0)


def invscaling(step: np.ndarray, eta0: float, power_t: float) -> np.ndarray:
    """eta0 / step^power_t."""
    return eta0 / step**power_t


def optimal(step: np.ndarray, alpha: float, eta0: float) -> np.ndarray:
    """1 / (alpha (t0 + step)), with t0 such that the rate starts near eta0 (Bottou, 2012, section 5.2)."""
    return 1.0 / (alpha * (1.0 / (eta0 * alpha) + step - 1.0))


def damped(step: np.ndarray, eta0: float, delay: float) -> np.ndarray:
    """eta0 / sqrt(1 + (step - 1) / delay): nearly constant for `delay` steps, then falling like 1/sqrt(step)."""
    return eta0 / np.sqrt(1.0 + (step - 1.0) / delay)


def damped_in_first_epoch(step: np.ndarray, eta0: float, delay: float, steps: int) -> np.ndarray:
    """The rates of `damped` during the first epoch, which has `steps` steps, and eta0 in all other epochs."""
    return constant(step, eta0) if step[0] > steps else damped(step, eta0, delay)
