"""The curvature of the smooth part of an objective, loss and L2 penalty, at a point: in forms that can be inverted.

``Blocks``
    matrices, factorised once: the whole Hessian; one for each of several separable columns; or, where all rows have
    the same scores, one for each eigenvector of the Hessian in the scores, which a coupled loss has there.
``Diagonal``
    where matrices are too large to pay.

`curvature_at` chooses by cost.
"""

from __future__ import annotations

import numpy as np

from ..objective import Objective
from .quadratic import factor

EPS = float(np.finfo(float).eps)
# Nanoseconds, of one core: only their ratios count.
ENTRY = 0.6  # of a row of X in a pass; `PRODUCT` for each of several columns
NONZERO = 2.5  # of a sparse row
OVERHEAD = 1e5  # of an iteration
CHEAP = 3e5  # curvature for which it is not worth making do with the last one
SCORE = 10.0  # exponential and logarithm of a score
PRODUCT = 0.07  # a multiplication and addition inside a product of matrices
SCATTER = 3.0  # one at a random place
PASSES = 50  # that a matrix saves against a diagonal, at least
FLAT = 150  # the same where few rows have curvature: a diagonal says little of them
HEAVY = 1e8  # matrices that are too slow to be made in every step
LARGEST = 6000  # side of a matrix, however many passes it would save
SAMPLED = 6  # rows a coefficient, at least, for a matrix from a sample
UNDECIDED = 1e-10  # L2 weight, relative to the curvature of a column, that is none
FIRST = 2.0  # passes that the first matrix may cost beyond that


def pass_cost(objective: Objective) -> float:
    """Of one evaluation, for each row."""
    entries = objective.data.entries / objective.n
    if objective.data.sparse:
        return NONZERO * entries * (1.0 if objective.K == 1 else 0.5 * objective.K) + SCORE * objective.K
    return max(ENTRY, 2.0 * PRODUCT * objective.K) * entries + SCORE * objective.K


def gram_cost(objective: Objective) -> float:
    """Of one block of the Hessian, for each row."""
    if objective.data.sparse:
        return SCORE + 0.5 * SCATTER * (objective.data.entries / objective.n) ** 2
    return SCORE + PRODUCT * (objective.d + 1) ** 2


def factor_cost(side: int) -> float:
    """Of a Cholesky factorisation."""
    return 0.5 * PRODUCT * side**3 / 3.0


class Matrices:
    """How many blocks a Hessian has, of which side, from how many rows, and what it costs.

    `share` is that of the rows which have curvature: the others cost a pass.
    """

    def __init__(self, objective: Objective, constant: bool, effort: float = 1.0, share: float = 1.0) -> None:
        D, K, coupled = objective.d + 1, objective.K, objective.loss.coupled()
        self.whole = coupled and not constant
        self.side = K * D if self.whole else D
        self.count = 1 if self.whole or objective.loss.constant_curvature() else K
        computed = K * (K + 1) // 2 if self.whole else 1 if coupled or objective.loss.constant_curvature() else K
        a_row, a_pass = computed * gram_cost(objective), OVERHEAD + objective.n * pass_cost(objective)
        # Where rows that pay nothing are flat, a sample would miss most of the few that are not.
        self.flat = objective.loss.has_flat_rows()
        exact = objective.loss.constant_curvature() or constant or self.flat
        enough = effort * max(SAMPLED * self.side, FIRST * a_pass / a_row)
        self.rows = objective.n if exact else int(min(objective.n, enough))
        # Of its eigenvalues, that sampling may have moved them away by.
        self.share = min(1.0, D / self.rows) if self.rows < objective.n else 0.0
        self.diagonal = 0 if self.whole else computed
        cost = share * self.rows * a_row + self.count * factor_cost(self.side) + self.flat * a_pass
        # Which rows are flat changes with every step: what the last ones told is worth less than new curvature.
        self.flat = self.flat and cost <= HEAVY
        self.passes, self.refreshed_every_step = cost / a_pass, cost < CHEAP or self.flat

    @property
    def worthwhile(self) -> bool:
        return self.side <= LARGEST and self.passes <= (FLAT if self.flat else PASSES)


def share_of_rows(objective: Objective, H: np.ndarray) -> float:
    """The share of the rows that have curvature, as the intercept's entry of Hessian blocks (P, D, D) of a loss tells it."""
    if not (objective.loss.has_flat_rows() and objective.coordinates.centred):
        return 1.0
    return min(1.0, float(H[:, -1, -1].max()) / (objective.loss.curvature_bound() * objective.coordinates.scale[-1] ** 2))


def curvature_at(objective: Objective, theta: np.ndarray, effort: float = 1.0, remembered: bool = False) -> Blocks | Diagonal:
    """The curvature at theta: matrices where they cost less than the passes that they save, else their diagonal.

    More `effort` takes more rows, where a sample of them would do.  A Hessian that is `remembered` may be of another point.
    """
    constant = objective.loss.coupled() and not theta[:-1].any()
    matrices = Matrices(objective, constant, effort)
    if not matrices.worthwhile:
        return Diagonal(objective, theta)
    H = hessian(objective, theta, matrices.rows, matrices.diagonal, remembered)
    rotation = None
    if constant:
        H, rotation = _at_constant_scores(objective, theta, H[0])
    share = share_of_rows(objective, H)
    diagonals = np.einsum("pii->pi", H)  # a view
    l2 = objective.penalty.l2
    diagonals += l2 if diagonals.shape[1] == len(l2) else np.tile(l2, objective.K)
    later = Matrices(objective, False, effort, share) if constant or share < 1.0 else matrices
    refreshable = later.worthwhile and not objective.loss.constant_curvature()
    # A quadratic loss has the solution of least norm.
    least = _rounding_of_slopes(objective, theta, diagonals) if refreshable else np.inf
    traits = rotation, later, least, refreshable, refreshable or objective.loss.constant_curvature()
    if matrices.share == 0.0:
        return Blocks(H, *traits)
    return Blocks(shrunk(H, matrices.share), *traits, unshrunk=Blocks(H, *traits))


def _rounding_of_slopes(objective: Objective, theta: np.ndarray, diagonals: np.ndarray) -> float:
    """Of a coupled loss by the rounding of scores, in units in which the Hessian has a unit diagonal.

    Scores are those of raw coefficients, which cancel where columns are far from zero.  Equal shifts of all scores have no
    slope but what rounding makes; where columns of scores are independent, slopes along equal columns are zero exactly.
    """
    if not objective.loss.coupled():
        return 0.0
    mean, scale = objective.coordinates
    size = np.abs(theta[:-1]) * (1.0 + np.abs(mean) * scale[:-1])[:, None]
    return EPS * float(size.max(initial=0.0)) * float(np.sqrt(diagonals.max(initial=0.0)))


def hessian(objective: Objective, theta: np.ndarray, most_rows: int, diagonal: int, remembered: bool = False) -> np.ndarray:
    """Hessian (P, N, N) of the loss part; coefficients are ordered by columns.  `diagonal` as in `Objective.curvature`.

    Columns of whose curvature a sample of the rows missed more than half get it from all rows; others not, as directions
    without any curvature would be lost.  Where one is `remembered`, it may be of another point.
    """
    kept = objective.cache.curvature
    if remembered and kept and diagonal in kept:
        return kept[diagonal].copy()
    H = objective.curvature(theta, most_rows, diagonal)
    if most_rows < objective.n:
        exact = objective.curvature_diagonal(theta)
        entries = np.arange(len(exact))
        for k in range(diagonal or objective.K):
            block = H[k if diagonal else k * (k + 3) // 2]
            sampled = block[entries, entries]
            block[entries, entries] = np.where(sampled < 0.5 * exact[:, k], exact[:, k], sampled)
    if not diagonal:
        H = _assembled(objective, H)
    if kept is not None:
        kept[diagonal] = H.copy()
    return H


def shrunk(H: np.ndarray, share: float) -> np.ndarray:
    """Matrices (P, N, N) moved towards their diagonals by a share (as Ledoit and Wolf, 2004).

    Steps would be followed too far where a sample is nearly singular and the data is not.
    """
    moved = (1.0 - share) * H
    np.einsum("pii->pi", moved)[:] = np.einsum("pii->pi", H)
    return moved


def _assembled(objective: Objective, pairs: np.ndarray) -> np.ndarray:
    """One matrix (1, K D, K D) of its blocks (k, l), l <= k."""
    K, D = objective.K, objective.d + 1
    H = np.empty((K, D, K, D))
    for k in range(K):
        for l in range(k + 1):
            H[k, :, l, :] = H[l, :, k, :] = pairs[k * (k + 1) // 2 + l]
    _fix_shifts(objective, H)
    return H.reshape(1, K * D, K * D)


def _fix_shifts(objective: Objective, H: np.ndarray) -> None:
    """Give curvature to the directions that a coupled loss cannot see, and no penalty decides: equal shifts of all scores.

    Gradients have no part along them, so steps get none either, instead of rounding divided by next to nothing.
    """
    trace = np.einsum("kjkj->j", H)
    free = np.flatnonzero(~objective.penalty.non_smooth & (objective.penalty.l2 <= UNDECIDED * trace))
    for j in free:
        H[:, j, :, j] += trace[j] / len(H) ** 2


def _at_constant_scores(objective: Objective, theta: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Hessian where all rows have the same probabilities p: (diag(p) - p p') (x) C, C the second moments of x~.

    Given its first block, p_0 (1 - p_0) C, returns m_k C for the eigenvalues m_k of diag(p) - p p', and the eigenvectors.
    """
    scores = objective.coordinates.scale[-1] * theta[-1]
    p = np.exp(scores - scores.max())
    p /= p.sum()
    values, rotation = np.linalg.eigh(np.diag(p) - np.outer(p, p))
    values[0] = 0.0  # of equal shifts
    C = first / (p[0] * (1.0 - p[0]))
    H = values[:, None, None] * C
    trace = values.sum() * C.diagonal()
    free = np.flatnonzero(objective.penalty.l2 <= UNDECIDED * trace)
    H[0, free, free] = trace[free] / len(p)  # as `_fix_shifts`
    return H, rotation


class Blocks:
    """Matrices (P, N, N), factorised: one for all coefficients, for each column, or for all columns alike.

    Parameters
    ----------
    matrices : ndarray of shape (P, N, N)
    rotation : ndarray of shape (K, K) or None
        Orthogonal; the matrices are those of theta @ rotation.
    later : Matrices
        What the next one would be.
    least : float
        Slope in a direction without curvature above which it is more than rounding.
    renewable : bool
        Whether curvature taken at another point would be better.
    faithful : bool
        Whether the decrease of its model is that of the objective, near the minimum.
    unshrunk : Blocks or None
        The same as a sample of the rows says, where `matrices` are shrunk.

    Attributes
    ----------
    null : ndarray of shape (N, m)
        Directions in which the first matrix has no curvature.
    """

    caution = 1.0  # share of the first step, before gradients have told how far it should go

    def __init__(
        self,
        matrices: np.ndarray,
        rotation: np.ndarray | None,
        later: Matrices,
        least: float,
        refreshable: bool,
        exact_near_minimum: bool,
        unshrunk: Blocks | None = None,
    ) -> None:
        self.solvers, nulls = zip(*(factor(matrix, least) for matrix in matrices), strict=True)
        self.null = nulls[0]
        self.whole = matrices.shape[1] if len(matrices) == 1 else 0
        self.rotation, self.unshrunk = rotation, unshrunk
        self.passes, self.refreshed_every_step, self.refreshable, self.exact_near_minimum = (
            later.passes,
            later.refreshed_every_step,
            refreshable,
            exact_near_minimum,
        )

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """The inverse times a gradient (D, K)."""
        if self.rotation is not None:
            gradient = gradient @ self.rotation
        if self.whole == gradient.size:
            x = self.solvers[0](gradient.T.ravel()).reshape(gradient.shape[::-1]).T
        elif self.whole:
            x = self.solvers[0](gradient)
        else:
            x = np.column_stack([solve(gradient[:, k]) for k, solve in enumerate(self.solvers)])
        return x if self.rotation is None else x @ self.rotation.T


class Diagonal:
    """The diagonal of the Hessian.  Never renewed: what the steps have told since is worth more.

    Where columns agree, curvature is many times that of each: the first step goes a tenth of the way, as the rows that
    one too long throws far to the wrong side take many to bring back.
    """

    refreshable, exact_near_minimum, refreshed_every_step, passes, caution, unshrunk = False, False, False, 0.0, 0.1, None

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        curvature = objective.curvature_diagonal(theta) + objective.penalty.l2[:, None]
        self.inverse = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0.0)
        self.null = np.empty((len(curvature), 0))  # none that it knows of

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        return self.inverse * gradient
