"""What a fit records while it runs: the curve of the objective.  It is printed, and watchers see each iteration."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from time import perf_counter
from typing import Any

import numpy as np

TOO_LONG = "The steps were too long: lower eta0, or use learning_rate='auto'."
TOO_LARGE = "X, y or sample_weight hold values whose squares exceed the range of floats: rescale them."
Watcher = Callable[[int, np.ndarray, np.ndarray], bool]  # of an iteration's number, W and b: whether the fit ends


class Halted(Exception):
    """A watcher ended the fit at W and b.  It passes through the solvers, which need not know of watchers."""

    def __init__(self, W: np.ndarray, b: np.ndarray) -> None:
        self.W, self.b = W, b


class History:
    """The objective after each pass or epoch, as `loss_curve_` shows it.

    Parameters
    ----------
    solver : str
        Its name, for messages.
    explicit : bool
        Whether the user chose the rate.
    verbose : int
        If not zero, each entry of the curve is printed.
    watchers : tuple of callable
        Each is called with the number of every iteration that has ended, counted from 1, and the raw coefficients W (d, K) and
        intercepts b (K,) there.  If one returns True, the fit ends.
    began : float or None
        When the fit began, by `perf_counter`; None: now.

    Attributes
    ----------
    curve : list of float
        The objective at the start and after each pass or epoch.
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
        """The same history for a solver in other coordinates; `outside` takes its theta to the coordinates of this one."""
        view, raw = copy(self), self._raw
        view._raw = lambda theta: raw(outside(theta))
        return view

    def begin(self, objective: float, theta: np.ndarray) -> None:
        """Record that a solver starts at theta, which is where the solver before it ended, if there was one.

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
            ends = [watcher(len(self.curve) - 1, W, b) for watcher in self.watchers]  # all are asked, whichever ends the fit
            if any(ends):
                raise Halted(W, b)

    def _append(self, objective: float) -> None:
        self.curve.append(objective)
        self.seconds.append(perf_counter() - self._began)
        if self.verbose:
            print(f"skgd {self.solver}, pass {len(self.curve):4d}: objective {objective:.10g}")

    def overflow(self, stepped: bool = True) -> None:
        """Raise the error of a fit whose numbers left the range of floats; `stepped` says whether steps had been made."""
        cause = TOO_LONG if self.explicit and stepped else TOO_LARGE
        raise ValueError(f"The objective overflowed after {len(self.curve)} passes of solver={self.solver!r}. {cause}")
