"""The stochastic solvers by name.  Each of them has an update rule, which `fit` and `partial_fit` use."""

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
    """What the module of a stochastic solver defines.

    Attributes
    ----------
    PARAMETERS : tuple of str
        The names of the estimator's parameters that only this solver uses.
    """

    PARAMETERS: tuple[str, ...]

    def supports(self, loss: Any, automatic: bool) -> bool:
        """Whether the solver can minimise the loss, with rates derived from the data (`automatic`) or with explicit rates."""

    def minimise(self, objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
        """Run epochs from theta (d + 1, K), and return the point where they end."""

    def plan_steps(self, objective: Objective, options: Options) -> tuple[Objective, Plan]:
        """The objective in the coordinates of the steps, and the plan of the steps."""

    def rule(self, options: Options) -> UpdateRule:
        """The update rule with the user's parameters, for explicit learning rates."""

    def online_rate(self, loss: Any) -> float | None:
        """The rate of `partial_fit` with ``learning_rate="auto"``, in natural units of coefficients.

        None: `partial_fit` makes Newton steps on single rows instead.
        """


STOCHASTIC_SOLVERS: dict[str, StochasticSolver] = {"sgd": sgd, "adam": adam}


def stochastic_solver(name: str) -> StochasticSolver:
    """The stochastic solver of this name.

    It is sgd for "auto", and for "gd": with explicit rates, gd makes steps of sgd whose batches hold all rows.
    """
    return STOCHASTIC_SOLVERS.get(name, sgd)
