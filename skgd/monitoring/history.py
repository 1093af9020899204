"""The history of a fit: the objective after each iteration, which may be printed, and watchers that see each iteration."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from time import perf_counter
from typing import Any

import numpy as np

TOO_LONG = "The steps were too long: lower eta0, or use learning_rate='auto'."
TOO_LARGE = "X, y or sample_weight hold values whose squares exceed the range of floats: rescale them."
# A function of the number of an iteration, of W and of b that returns whether the fit has to end.
Watcher = Callable[[int, np.ndarray, np.ndarray], bool]


class Halted(Exception):
    """Raised when a watcher ends the fit at W and b.  Solvers let it pass, so they need not know about watchers."""

    def __init__(self, W: np.ndarray, b: np.ndarray) -> None:
        self.W, self.b = W, b


class History:
    """Records the objective after each iteration or epoch, the values of `loss_curve_`.

    Parameters
    ----------
    solver : str
        The name of the solver, for messages.
    explicit : bool
        Whether the user chose the learning rate.
    verbose : int
        If not zero, each entry of the curve is printed.
    watchers : tuple of callable
        After every iteration, each watcher is called with the number of the iteration, counted from 1, and with the raw
        coefficients W (d, K) and intercepts b (K,).  If one returns True, the fit ends.
    began : float or None
        The start time of the fit, by `perf_counter`.  None: now.

    Attributes
    ----------
    curve : list of float
        The objective at the start and after each iteration or epoch.
    seconds : list of float
        Seconds since the fit began, one entry for each entry of the curve.
    """

    def __init__(
        self,
        solver: str,
        explicit: bool = False,
        verbose: int = 0,
        watchers: tuple[Watcher, ...] = (),
        began: float | None = None,
    ) -> None:
        self.solver, self.explicit, self.verbose, self.watchers = solver, explicit, verbose, watchers
        self.curve: list[float] = []
        self.seconds: list[float] = []
        self._began = perf_counter() if began is None else began
        self._raw: Callable[[Any], tuple[np.ndarray, np.ndarray]] = lambda theta: theta

    def through(self, outside: Callable[[np.ndarray], Any]) -> History:
        """The same history for a solver in other coordinates; `outside` maps its theta to the coordinates of this history."""
        view, raw = copy(self), self._raw
        view._raw = lambda theta: raw(outside(theta))
        return view

    def begin(self, objective: float, theta: np.ndarray) -> None:
        """Record that a solver starts at theta.  If another solver ran before, it ended at theta.

        Raises ValueError if a number is not finite.
        """
        if not (np.isfinite(objective) and np.isfinite(theta).all()):
            self.overflow(stepped=bool(self.curve))
        if self.curve:
            self.curve[-1] = objective
        else:
            self._append(objective)

    def record(self, objective: float, theta: np.ndarray) -> None:
        """Record that an iteration ended at theta.

        Raises ValueError if a number is not finite, and `Halted` if a watcher ends the fit.
        """
        if not (np.isfinite(objective) and np.isfinite(theta).all()):
            self.overflow()
        self._append(objective)
        if self.watchers:
            W, b = self._raw(theta)
            ends = [watcher(len(self.curve) - 1, W, b) for watcher in self.watchers]  # all are called, whichever ends the fit
            if any(ends):
                raise Halted(W, b)

    def _append(self, objective: float) -> None:
        self.curve.append(objective)
        self.seconds.append(perf_counter() - self._began)
        if self.verbose:
            print(f"skgd {self.solver}, pass {len(self.curve):4d}: objective {objective:.10g}")

    def overflow(self, stepped: bool = True) -> None:
        """Raise the ValueError for numbers beyond the range of floats; `stepped` says whether the solver has made steps."""
        cause = TOO_LONG if self.explicit and stepped else TOO_LARGE
        raise ValueError(f"The objective overflowed after {len(self.curve)} passes of solver={self.solver!r}. {cause}")
