"""The solvers that step by an update rule, by name.  Fits, streams and `partial_fit` all ask this one table for them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from . import adam, sgd
from .solution import Solution
from .steps import Plan
from .updates import UpdateRule


class StochasticSolver(Protocol):
    """What the module of such a solver defines.

    Attributes
    ----------
    PARAMETERS : tuple of str
        The estimator's parameters that only this rule uses.  They have no effect with other solvers.
    """

    PARAMETERS: tuple[str, ...]

    def supports(self, loss: Any, automatic: bool) -> bool:
        """Whether the solver minimises the loss, with rates from the data (`automatic`) or with explicit ones."""

    def minimise(self, objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
        """Run epochs from theta (d + 1, K)."""

    def plan_steps(self, objective: Objective, options: Options) -> tuple[Objective, Plan]:
        """The objective in the coordinates to step in, and the plan of the steps."""

    def rule(self, options: Options) -> UpdateRule:
        """The update rule with the user's parameters, as explicit learning rates use it."""

    def online_rate(self, loss: Any) -> float | None:
        """The rate of `partial_fit` with ``learning_rate="auto"``, in natural units of coefficients.

        None: `partial_fit` makes Newton steps on single rows instead.
        """


STOCHASTIC_SOLVERS: dict[str, StochasticSolver] = {"sgd": sgd, "adam": adam}


def stochastic_solver(name: str) -> StochasticSolver:
    """The solver of this name; for "gd", whose explicit rates step by sgd's rule, and for "auto" it is sgd."""
    return STOCHASTIC_SOLVERS.get(name, sgd)
