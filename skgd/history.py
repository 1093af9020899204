"""What a fit tells while it runs: the curve of the objective, printed where asked for, and the check that it is finite."""

from __future__ import annotations

import numpy as np


class History:
    """The objective after each pass or epoch, as `loss_curve_` shows it.

    Parameters
    ----------
    solver : str
    explicit : bool
        Whether the user chose the rate.
    verbose : int
    """

    def __init__(self, solver: str, explicit: bool = False, verbose: int = 0) -> None:
        self.solver, self.explicit, self.verbose = solver, explicit, verbose
        self.curve: list[float] = []

    def record(self, objective: float, theta: np.ndarray) -> None:
        """Add the objective of theta; raise ValueError if either is not finite."""
        if not (np.isfinite(objective) and np.isfinite(theta).all()):
            self.overflow()
        self.curve.append(objective)
        if self.verbose:
            print(f"skgd {self.solver}, pass {len(self.curve):4d}: objective {objective:.10g}")

    def overflow(self) -> None:
        """Raise the error of a fit whose numbers left the range of floats."""
        cause = (
            "The steps were too long: lower eta0, or use learning_rate='auto'."
            if self.explicit and self.curve
            else "X, y or sample_weight hold values whose squares exceed the range of floats: rescale them."
        )
        raise ValueError(f"The objective overflowed after {len(self.curve)} passes of solver={self.solver!r}. {cause}")
