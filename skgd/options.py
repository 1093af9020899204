"""The parameters of the estimators that solvers need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Options:
    """Validated parameters of the estimators, under the same names.

    `solver` is "auto" only if "gd" supports the loss.  `alpha` is the mean of the user's alpha over the features.  Solvers
    use it only for the rates of ``learning_rate="optimal"``.
    """

    solver: str
    alpha: float
    fit_intercept: bool
    max_iter: int
    tol: float | None
    shuffle: bool
    batch_size: int | str
    learning_rate: str
    eta0: float
    power_t: float
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    adam_epsilon: float
    standardize: bool
    average: bool | int
    n_iter_no_change: int
    n_jobs: int | None
    verbose: int
    random_state: np.random.RandomState

    @property
    def automatic(self) -> bool:
        """Whether learning rates are derived from the data."""
        return self.learning_rate == "auto"

    @property
    def unspecific(self) -> bool:
        """Whether rates are automatic, and no parameter asks for stochastic steps of a particular kind."""
        plain = self.momentum == 0.0 and self.average in ("auto", False) and self.batch_size == "auto"
        return self.automatic and plain
