"""The solvers that step by an update rule, by name: the one table that fits, streams and `partial_fit` ask for a rule.

Such a solver is a module of these:

``supports(loss, automatic)``
    whether it minimises the loss, with rates from the data or not.
``minimise(objective, theta, options, history)``
    its epochs: a `Solution`.
``planned(objective, options)``
    coordinates to step in, as an objective in them, and the `Plan` of its steps.
``rule(options)``
    its rule, with the user's parameters: what an explicit `learning_rate` steps by.
``online_rate(loss)``
    the rate of `partial_fit` with ``learning_rate="auto"``, in the natural unit of coefficients; None: the steps there are
    Newton's on single rows.
``PARAMETERS``
    names of the parameters that its rule has, which mean nothing to other solvers.
"""

from __future__ import annotations

from typing import Any

from . import adam, sgd

RULES: dict[str, Any] = {"sgd": sgd, "adam": adam}


def ruling(solver: str) -> Any:
    """The one of that name; that of sgd for gd with an explicit rate, and for "auto"."""
    return RULES.get(solver, sgd)
