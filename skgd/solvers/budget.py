"""The tolerance of a solver, the limit of its iterations, and the history that it records them in."""

from __future__ import annotations

from typing import NamedTuple

from ..monitoring.history import History


class Budget(NamedTuple):
    """When a solver has to stop, and where it records its iterations.

    Attributes
    ----------
    tol : float
        The largest relative gap (F - F*) / F at which a solver may stop.
    max_iter : int
        The largest number of iterations.
    history : History
        Where the objective after each iteration is recorded.
    """

    tol: float
    max_iter: int
    history: History
