"""The costs of passes over X, Hessians and factorisations, in nanoseconds of one core.  Only their ratios matter.

`HessianPlan` compares these costs and decides whether a Hessian is worth its cost.
"""

from __future__ import annotations

from ..objective import Objective

ENTRY = 0.6  # the cost of an entry of a dense row in a pass, if there is one column of scores
NONZERO = 2.5  # the cost of a stored entry of a sparse row in a pass
OVERHEAD = 1e5  # the cost of an iteration that does not depend on the size of the data
SCORE = 10.0  # the cost of the exponential and the logarithm of a score
PRODUCT = 0.07  # the cost of a multiplication and an addition inside a product of matrices
SCATTER = 3.0  # the cost of a multiplication and an addition at a random address of memory
CHEAP = 3e5  # A Hessian below this cost is computed anew at every step.
HEAVY = 1e8  # A Hessian above this cost is never computed at every step.  Otherwise fits of mnist took minutes.
CHANGED = 0.1  # the share of the curved rows that typically gain or lose their curvature from one step to the next
PASSES_SAVED = 50  # The number of passes that a descent saves, at least, if it has the Hessian instead of its diagonal.
# The same number if rows whose loss is zero have no curvature.  The diagonal is then a poor model, so the Hessian saves more.
PASSES_SAVED_WITH_FLAT_ROWS = 150
LARGEST_SIDE = 6000  # The largest side of a matrix that is formed, however many passes it would save.
ROWS_PER_COEFFICIENT = 6  # A sample of the rows that a Hessian is made from has at least so many rows for each coefficient.
PASSES_FOR_ROWS = 2.0  # It has even more rows, as long as the Hessian costs no more than so many passes.


def pass_cost(objective: Objective) -> float:
    """The cost of one row in an evaluation of the objective and its gradient, in nanoseconds."""
    entries = objective.data.entries / objective.n
    if objective.data.sparse:
        return NONZERO * entries * (1.0 if objective.K == 1 else 0.5 * objective.K) + SCORE * objective.K
    return max(ENTRY, 2.0 * PRODUCT * objective.K) * entries + SCORE * objective.K


def gram_cost(objective: Objective) -> float:
    """The cost of one row in one block (D, D) of the Hessian, in nanoseconds."""
    if objective.data.sparse:
        return SCORE + 0.5 * SCATTER * (objective.data.entries / objective.n) ** 2
    return SCORE + PRODUCT * (objective.d + 1) ** 2


def factor_cost(side: int) -> float:
    """The cost of the Cholesky factorisation of a matrix of this side, in nanoseconds."""
    return 0.5 * PRODUCT * side**3 / 3.0


class HessianPlan:
    """The size and the cost of a Hessian, computed before the Hessian itself.

    Parameters
    ----------
    objective : Objective
    constant : bool
        Whether all rows have the same scores.  Then the Hessian of a coupled loss consists of K blocks (D, D) instead of one
        large matrix.
    effort : float
        The number of rows of a sample, relative to the usual number.
    curved_share : float
        The share of the rows that have curvature.  The other rows only cost a pass.

    Attributes
    ----------
    whole : bool
        Whether the Hessian is one matrix (K D, K D) of all coefficients.
    side, count : int
        The side of the matrices that are factorised, and their number.
    diagonal_blocks : int
        The number of blocks (k, k) that are computed.  0: all blocks (k, l) are computed.
    rows : int
        The number of rows that the Hessian is made from.
    shrinkage : float
        The weight of the diagonal when the Hessian of a sample is shrunk: see `curvature.shrunk`.  0 if all rows are used.
    passes : float
        The cost of the Hessian, in passes over X.
    refreshed_every_step : bool
        Whether the Hessian is computed anew at every step.
    """

    def __init__(self, objective: Objective, constant: bool = False, effort: float = 1.0, curved_share: float = 1.0) -> None:
        D, K, coupled = objective.d + 1, objective.K, objective.loss.coupled()
        self.whole = coupled and not constant
        self.side = K * D if self.whole else D
        self.count = 1 if self.whole or objective.loss.constant_curvature() else K
        computed = K * (K + 1) // 2 if self.whole else 1 if coupled or objective.loss.constant_curvature() else K
        self.diagonal_blocks = 0 if self.whole else computed
        a_row, a_pass = computed * gram_cost(objective), OVERHEAD + objective.n * pass_cost(objective)
        # If only few rows have curvature, a sample misses most of them, so all rows are used.
        flat = objective.loss.has_flat_rows()
        exact = objective.loss.constant_curvature() or constant or flat
        enough = effort * max(ROWS_PER_COEFFICIENT * self.side, PASSES_FOR_ROWS * a_pass / a_row)
        self.rows = objective.n if exact else int(min(objective.n, enough))
        self.shrinkage = min(1.0, D / self.rows) if self.rows < objective.n else 0.0
        cost = curved_share * self.rows * a_row + self.count * factor_cost(self.side) + flat * a_pass
        # Every step changes which rows have curvature, so a Hessian of an earlier point is soon wrong.
        renewal = CHANGED * curved_share * self.rows * a_row + self.count * factor_cost(self.side) + a_pass
        flat = flat and renewal <= HEAVY
        self.passes, self.refreshed_every_step = cost / a_pass, cost < CHEAP or flat
        self._passes_to_save = PASSES_SAVED_WITH_FLAT_ROWS if flat else PASSES_SAVED

    @property
    def worthwhile(self) -> bool:
        """Whether the Hessian costs less than the passes that a descent saves with it, compared to the diagonal."""
        return self.side <= LARGEST_SIDE and self.passes <= self._passes_to_save
