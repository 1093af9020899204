"""The Hessian of an objective with a smooth loss and an L2 penalty at a point, or its diagonal, ready to be inverted.

``Blocks``
    Factorised matrices: the whole Hessian, or one matrix for each independent column of scores.  Where all rows have the same
    scores, a coupled loss has one matrix for each eigenvector of its second derivatives (K, K) by the scores of a row.
``Diagonal``
    The diagonal of the Hessian, used where matrices cost more than they save.

`curvature_at` chooses one of them by its cost.
"""

from __future__ import annotations

import numpy as np

from ..constants import EPS
from ..objective import Objective
from .cost import HessianPlan
from .factorisation import factor

# An L2 weight below this share of the curvature of its column counts as zero when equal shifts of all scores are looked for.
UNDECIDED = 1e-10
MISSED = 0.5  # A sample misses a column if it holds less than this share of the column's curvature.
# The first step with a diagonal is multiplied by this number, because correlated columns make the curvature along the step
# larger than the diagonal says.  A step that is too long gives rows large scores of the wrong sign, which cost many iterations.
FIRST_STEP_OF_DIAGONAL = 0.1


def curvature_at(objective: Objective, theta: np.ndarray, effort: float = 1.0, remembered: bool = False) -> Blocks | Diagonal:
    """The Hessian at theta if it costs less than the passes that it saves, else its diagonal.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (D, K)
    effort : float
        The number of rows of a sample, relative to the usual number.
    remembered : bool
        Whether a Hessian in the cache may be used, although an earlier fit computed it at another point.
    """
    constant = objective.loss.coupled() and not theta[:-1].any()
    plan = HessianPlan(objective, constant, effort)
    if not plan.worthwhile:
        return Diagonal(objective, theta)
    H = hessian(objective, theta, plan.rows, plan.diagonal_blocks, remembered)
    rotation = None
    if constant:
        H, rotation = _at_constant_scores(objective, theta, H[0])
    share = curved_share(objective, H)
    diagonals = np.einsum("pii->pi", H)  # a view
    l2 = objective.penalty.l2
    diagonals += l2 if diagonals.shape[1] == len(l2) else np.tile(l2, objective.K)
    later = HessianPlan(objective, effort=effort, curved_share=share) if constant or share < 1.0 else plan
    refreshable = later.worthwhile and not objective.loss.constant_curvature()
    # The solution of least norm, which least squares need, has no part along directions without curvature.
    flat_slope = _rounding_of_slopes(objective, theta, diagonals) if refreshable else np.inf
    traits = rotation, later, flat_slope, refreshable, refreshable or objective.loss.constant_curvature()
    if plan.shrinkage == 0.0:
        return Blocks(H, *traits)
    return Blocks(shrunk(H, plan.shrinkage), *traits, unshrunk=Blocks(H, *traits))


def curved_share(objective: Objective, H: np.ndarray) -> float:
    """The share of the rows that have curvature, estimated from the intercept's entry of Hessian blocks (P, D, D)."""
    if not (objective.loss.has_flat_rows() and objective.coordinates.centred):
        return 1.0
    return min(1.0, float(H[:, -1, -1].max()) / (objective.loss.curvature_bound() * objective.coordinates.scale[-1] ** 2))


def _rounding_of_slopes(objective: Objective, theta: np.ndarray, diagonals: np.ndarray) -> float:
    """The largest rounding error of a slope along a direction without curvature, if the Hessian is scaled to a unit diagonal.

    A coupled loss has no slope along equal shifts of all scores, except for rounding errors.  These are large if the columns of
    X are far from zero, because then large products cancel in the scores.  Independent columns of scores have slopes along
    equal columns of X that are exactly zero.
    """
    if not objective.loss.coupled():
        return 0.0
    mean, scale = objective.coordinates
    size = np.abs(theta[:-1]) * (1.0 + np.abs(mean) * scale[:-1])[:, None]
    return EPS * float(size.max(initial=0.0)) * float(np.sqrt(diagonals.max(initial=0.0)))


# ---------------------------------------------------------------- the Hessian as matrices
def hessian(
    objective: Objective, theta: np.ndarray, max_rows: int, diagonal_blocks: int, remembered: bool = False
) -> np.ndarray:
    """The Hessian of the loss part at theta (D, K), from at most about `max_rows` rows.

    The result has shape (P, D, D) for P = `diagonal_blocks` independent blocks.  If `diagonal_blocks` is 0, it has shape
    (1, K D, K D), with coefficients ordered by columns of scores.  Where a sample of the rows misses a column, the diagonal
    entry comes from all rows, because a direction without curvature would be ignored.  If `remembered`, the Hessian may come
    from the cache, at another point.
    """
    kept = objective.cache.curvature
    if remembered and kept and diagonal_blocks in kept:
        return kept[diagonal_blocks].copy()
    H = objective.curvature(theta, max_rows, diagonal_blocks)
    if max_rows < objective.n:
        exact = objective.curvature_diagonal(theta)
        entries = np.arange(len(exact))
        for k in range(diagonal_blocks or objective.K):
            block = H[k if diagonal_blocks else k * (k + 3) // 2]
            sampled = block[entries, entries]
            block[entries, entries] = np.where(sampled < MISSED * exact[:, k], exact[:, k], sampled)
    if not diagonal_blocks:
        H = assembled(objective, H)
    if kept is not None:
        kept[diagonal_blocks] = H.copy()
    return H


def shrunk(H: np.ndarray, share: float) -> np.ndarray:
    """Matrices (P, N, N) with off-diagonal entries multiplied by 1 - share (shrinkage as in Ledoit and Wolf, 2004).

    The Hessian of a sample may be nearly singular where the Hessian of all rows is not, and steps would be too long there.
    """
    moved = (1.0 - share) * H
    np.einsum("pii->pi", moved)[:] = np.einsum("pii->pi", H)
    return moved


def assembled(objective: Objective, pairs: np.ndarray) -> np.ndarray:
    """The matrix (1, K D, K D) that consists of the blocks (k, l) with l <= k and their mirror images."""
    K, D = objective.K, objective.d + 1
    H = np.empty((K, D, K, D))
    for k in range(K):
        for l in range(k + 1):
            H[k, :, l, :] = H[l, :, k, :] = pairs[k * (k + 1) // 2 + l]
    _curve_shifts(objective, H)
    return H.reshape(1, K * D, K * D)


def _curve_shifts(objective: Objective, H: np.ndarray) -> None:
    """Add curvature along equal shifts of all scores, for coefficients where neither the coupled loss nor a penalty has any.

    Gradients are zero along these shifts, so steps are zero, too.  Without the curvature, steps would be rounding errors
    divided by nearly zero.
    """
    trace = np.einsum("kjkj->j", H)
    free = np.flatnonzero(~objective.penalty.non_smooth & (objective.penalty.l2 <= UNDECIDED * trace))
    for j in free:
        H[:, j, :, j] += trace[j] / len(H) ** 2


def _at_constant_scores(objective: Objective, theta: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Hessian of softmax where all rows have the same probabilities p, as blocks (K, D, D) and a rotation (K, K).

    This Hessian is the Kronecker product of diag(p) - p p' and C, the second moments of the standardised columns.  `first` is
    its first block p_0 (1 - p_0) C.  The blocks returned are m_k C for the eigenvalues m_k of diag(p) - p p', and the columns
    of the rotation are the eigenvectors.
    """
    scores = objective.coordinates.scale[-1] * theta[-1]
    p = np.exp(scores - scores.max())
    p /= p.sum()
    values, rotation = np.linalg.eigh(np.diag(p) - np.outer(p, p))
    values[0] = 0.0  # the eigenvalue of equal shifts
    C = first / (p[0] * (1.0 - p[0]))
    H = values[:, None, None] * C
    trace = values.sum() * C.diagonal()
    free = np.flatnonzero(objective.penalty.l2 <= UNDECIDED * trace)
    H[0, free, free] = trace[free] / len(p)  # as in `_curve_shifts`
    return H, rotation


# ---------------------------------------------------------------- curvature that can be inverted
class Blocks:
    """Factorised matrices (P, N, N): one of all coefficients, one for each column of scores, or one that all columns share.

    Parameters
    ----------
    matrices : ndarray of shape (P, N, N)
    rotation : ndarray of shape (K, K) or None
        An orthogonal matrix.  The matrices are Hessians by the columns of theta @ rotation.  None: by the columns of theta.
    later : HessianPlan
        The plan of the next Hessian, at another point.
    flat_slope : float
        The largest slope along a direction without curvature that may be a rounding error: see `factor`.
    refreshable, exact_near_minimum : bool
        See `Metric`.
    unshrunk : Blocks or None
        The same matrices before they were shrunk.  None: they were made from all rows and are not shrunk.

    Attributes
    ----------
    null : ndarray of shape (N, m)
        A basis of the directions along which the first matrix has no curvature.
    first_scale : float
        The factor of the first step.
    """

    first_scale = 1.0

    def __init__(
        self,
        matrices: np.ndarray,
        rotation: np.ndarray | None,
        later: HessianPlan,
        flat_slope: float,
        refreshable: bool,
        exact_near_minimum: bool,
        unshrunk: Blocks | None = None,
    ) -> None:
        self.solvers, nulls = zip(*(factor(matrix, flat_slope) for matrix in matrices), strict=True)
        self.null = nulls[0]
        self.side_of_single = matrices.shape[1] if len(matrices) == 1 else 0
        self.rotation, self.unshrunk = rotation, unshrunk
        self.passes, self.refreshed_every_step = later.passes, later.refreshed_every_step
        self.refreshable, self.exact_near_minimum = refreshable, exact_near_minimum

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """The inverse Hessian times a gradient (D, K)."""
        if self.rotation is not None:
            gradient = gradient @ self.rotation
        if self.side_of_single == gradient.size:
            x = self.solvers[0](gradient.T.ravel()).reshape(gradient.shape[::-1]).T
        elif self.side_of_single:
            x = self.solvers[0](gradient)
        else:
            x = np.column_stack([solve(gradient[:, k]) for k, solve in enumerate(self.solvers)])
        return x if self.rotation is None else x @ self.rotation.T


class Diagonal:
    """The diagonal of the Hessian.  It is not refreshed, because the corrections of L-BFGS since then are worth more."""

    refreshable, exact_near_minimum, refreshed_every_step, passes, unshrunk = False, False, False, 0.0, None
    first_scale = FIRST_STEP_OF_DIAGONAL

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        curvature = objective.curvature_diagonal(theta) + objective.penalty.l2[:, None]
        self.inverse = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0.0)
        self.null = np.empty((len(curvature), 0))  # no direction is known to have no curvature

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """The inverse of the diagonal times a gradient (D, K)."""
        return self.inverse * gradient
