"""What passes over X, Hessians and factorisations cost, in nanoseconds of one core.  Only the ratios count.

`HessianPlan` compares them, and tells whether a Hessian is worth its cost.
"""

from __future__ import annotations

from ..objective import Objective

ENTRY = 0.6  # an entry of a dense row in a pass, if there is one column of scores
NONZERO = 2.5  # an entry of a sparse row in a pass
OVERHEAD = 1e5  # an iteration, whatever the size of the data
SCORE = 10.0  # the exponential and the logarithm of a score
PRODUCT = 0.07  # a multiplication and addition inside a product of matrices
SCATTER = 3.0  # a multiplication and addition at a random place of memory
CHEAP = 3e5  # curvature below this cost is taken at every step: it is not worth making do with the last one
HEAVY = 1e8  # curvature above this cost is never taken at every step: fits of mnist took minutes so
PASSES = 50  # that a Hessian saves beside its diagonal, at least
# The same where few rows have curvature.  A diagonal says little of them, so a Hessian saves more.
PASSES_WITH_FLAT_ROWS = 150
LARGEST_SIDE = 6000  # of a matrix, however many passes it would save
ROWS_PER_COEFFICIENT = 6  # that a Hessian is made from at least, if it is made from a sample
PASSES_FOR_ROWS = 2.0  # a sample has more rows if they cost no more than so many passes


def pass_cost(objective: Objective) -> float:
    """The cost of one row in an evaluation of the objective and its gradient."""
    entries = objective.data.entries / objective.n
    if objective.data.sparse:
        return NONZERO * entries * (1.0 if objective.K == 1 else 0.5 * objective.K) + SCORE * objective.K
    return max(ENTRY, 2.0 * PRODUCT * objective.K) * entries + SCORE * objective.K


def gram_cost(objective: Objective) -> float:
    """The cost of one row in one block of the Hessian."""
    if objective.data.sparse:
        return SCORE + 0.5 * SCATTER * (objective.data.entries / objective.n) ** 2
    return SCORE + PRODUCT * (objective.d + 1) ** 2


def factor_cost(side: int) -> float:
    """The cost of a Cholesky factorisation."""
    return 0.5 * PRODUCT * side**3 / 3.0


class HessianPlan:
    """The size and the cost of a Hessian, before it is made.

    Parameters
    ----------
    objective : Objective
    constant : bool
        Whether all rows have the same scores, so that the Hessian of a coupled loss has K blocks instead of one large matrix.
    effort : float
        How many rows to take, relative to the usual number, where a sample of them does.
    curved_share : float
        The share of the rows that have curvature.  The others cost a pass only.

    Attributes
    ----------
    whole : bool
        Whether the Hessian is one matrix of all K D coefficients.
    side, count : int
        The side of its matrices, and their number.
    diagonal_blocks : int
        How many blocks (k, k) are made; 0: all blocks (k, l).
    rows : int
        The number of rows that it is made from.
    shrinkage : float
        The share of their distance to one another by which sampling may have moved eigenvalues; 0 where all rows are taken.
    passes : float
        The cost, in passes over X.
    refreshed_every_step : bool
        Whether every step should have its own.
    """

    def __init__(self, objective: Objective, constant: bool = False, effort: float = 1.0, curved_share: float = 1.0) -> None:
        D, K, coupled = objective.d + 1, objective.K, objective.loss.coupled()
        self.whole = coupled and not constant
        self.side = K * D if self.whole else D
        self.count = 1 if self.whole or objective.loss.constant_curvature() else K
        computed = K * (K + 1) // 2 if self.whole else 1 if coupled or objective.loss.constant_curvature() else K
        self.diagonal_blocks = 0 if self.whole else computed
        a_row, a_pass = computed * gram_cost(objective), OVERHEAD + objective.n * pass_cost(objective)
        # If rows that pay nothing are flat, a sample misses most of the few rows that are not.
        flat = objective.loss.has_flat_rows()
        exact = objective.loss.constant_curvature() or constant or flat
        enough = effort * max(ROWS_PER_COEFFICIENT * self.side, PASSES_FOR_ROWS * a_pass / a_row)
        self.rows = objective.n if exact else int(min(objective.n, enough))
        self.shrinkage = min(1.0, D / self.rows) if self.rows < objective.n else 0.0
        cost = curved_share * self.rows * a_row + self.count * factor_cost(self.side) + flat * a_pass
        # Which rows are flat changes with every step, so past steps tell less than new curvature.
        flat = flat and cost <= HEAVY
        self.passes, self.refreshed_every_step = cost / a_pass, cost < CHEAP or flat
        self._passes_to_save = PASSES_WITH_FLAT_ROWS if flat else PASSES

    @property
    def worthwhile(self) -> bool:
        """Whether the Hessian costs less than the passes that it saves beside its diagonal."""
        return self.side <= LARGEST_SIDE and self.passes <= self._passes_to_save
