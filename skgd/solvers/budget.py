"""How exactly a solver has to minimise, and in how many iterations at most."""

from __future__ import annotations

from typing import NamedTuple

from ..monitoring.history import History


class Budget(NamedTuple):
    """What the solvers around gd hand on to one another.

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
