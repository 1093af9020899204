"""The curvature of the smooth part of an objective, loss and L2 penalty, at a point: in forms that can be inverted.

``Blocks``
    Matrices, factorised once: the whole Hessian, or one matrix for each of several independent columns.  Where all rows have
    the same scores, a coupled loss has one matrix for each eigenvector of its Hessian by the scores.
``Diagonal``
    The diagonal of the Hessian, where matrices cost more than they save.

`curvature_at` chooses by cost.
"""

from __future__ import annotations

import numpy as np

from ..constants import EPS
from ..objective import Objective
from .cost import HessianPlan
from .factorisation import factor

# An L2 weight is taken for none below this share of the curvature of its column: it does not decide equal shifts of all scores.
UNDECIDED = 1e-10
MISSED = 0.5  # A sample misses a column if it sees less than this share of the column's curvature.
# The share of the first step that a diagonal goes, before gradients have told how far it should go.  Where columns agree, the
# curvature is many times that of each.  A step that is too long throws rows far to the wrong side, and bringing them back takes
# many iterations.
CAUTION = 0.1


def curvature_at(objective: Objective, theta: np.ndarray, effort: float = 1.0, remembered: bool = False) -> Blocks | Diagonal:
    """The curvature at theta: matrices where they cost less than the passes that they save, else the diagonal.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (D, K)
    effort : float
        How many rows to take, relative to the usual number, where a sample of them does.
    remembered : bool
        Whether a Hessian that an earlier fit left, of another point, will do.
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
    # Least squares want the solution of least norm, which has no part along directions without curvature.
    flat_slope = _rounding_of_slopes(objective, theta, diagonals) if refreshable else np.inf
    traits = rotation, later, flat_slope, refreshable, refreshable or objective.loss.constant_curvature()
    if plan.shrinkage == 0.0:
        return Blocks(H, *traits)
    return Blocks(shrunk(H, plan.shrinkage), *traits, unshrunk=Blocks(H, *traits))


def curved_share(objective: Objective, H: np.ndarray) -> float:
    """The share of the rows that have curvature, as the intercept's entry of Hessian blocks (P, D, D) tells it."""
    if not (objective.loss.has_flat_rows() and objective.coordinates.centred):
        return 1.0
    return min(1.0, float(H[:, -1, -1].max()) / (objective.loss.curvature_bound() * objective.coordinates.scale[-1] ** 2))


def _rounding_of_slopes(objective: Objective, theta: np.ndarray, diagonals: np.ndarray) -> float:
    """The largest slope that rounding makes along a direction without curvature, in units of a unit diagonal of the Hessian.

    Equal shifts of all scores of a coupled loss have no slope but what rounding makes of it.  Scores are sums of raw
    coefficients, which cancel where columns are far from zero.  Independent columns have slopes that are exactly zero along
    equal columns of X.
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

    The result has shape (P, D, D) for P = `diagonal_blocks` independent blocks, or (1, K D, K D) where that is 0, with
    coefficients ordered by columns.  If a sample of the rows missed more than half of a column's curvature, its diagonal entry
    is that of all rows: directions without any curvature would be lost.  A `remembered` Hessian may be of another point.
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
        H = _assembled(objective, H)
    if kept is not None:
        kept[diagonal_blocks] = H.copy()
    return H


def shrunk(H: np.ndarray, share: float) -> np.ndarray:
    """Matrices (P, N, N) moved towards their diagonals by a share (as Ledoit and Wolf, 2004).

    A sample of the rows may be nearly singular where the data is not, and steps along such directions would be too long.
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
    _curve_shifts(objective, H)
    return H.reshape(1, K * D, K * D)


def _curve_shifts(objective: Objective, H: np.ndarray) -> None:
    """Give curvature to equal shifts of all scores where neither the coupled loss nor a penalty has any.

    Gradients have no part along them, so steps get none either, instead of rounding divided by next to nothing.
    """
    trace = np.einsum("kjkj->j", H)
    free = np.flatnonzero(~objective.penalty.non_smooth & (objective.penalty.l2 <= UNDECIDED * trace))
    for j in free:
        H[:, j, :, j] += trace[j] / len(H) ** 2


def _at_constant_scores(objective: Objective, theta: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Hessian of softmax where all rows have the same probabilities p: (diag(p) - p p') (x) C, a Kronecker product.

    C holds the second moments of the standardised columns.  Given the first block of the Hessian, p_0 (1 - p_0) C, this returns
    m_k C for the eigenvalues m_k of diag(p) - p p', and their eigenvectors (K, K).
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


# ---------------------------------------------------------------- in forms that can be inverted
class Blocks:
    """Matrices (P, N, N), factorised: one for all coefficients, for each column, or for all columns alike.

    Parameters
    ----------
    matrices : ndarray of shape (P, N, N)
    rotation : ndarray of shape (K, K) or None
        Orthogonal; the matrices belong to theta @ rotation.
    later : HessianPlan
        What curvature at another point would cost.
    flat_slope : float
        The slope along a direction without curvature above which it is more than rounding: see `factor`.
    refreshable, exact_near_minimum : bool
        See `Metric`.
    unshrunk : Blocks or None
        The curvature that a sample of the rows had before it was shrunk, if it was.

    Attributes
    ----------
    null : ndarray of shape (N, m)
        Directions along which the first matrix has no curvature.
    """

    caution = 1.0  # a Hessian knows how far the first step should go

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
        """The inverse times a gradient (D, K)."""
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
    """The diagonal of the Hessian.  It is never taken anew: what the steps have told since is worth more."""

    refreshable, exact_near_minimum, refreshed_every_step, passes, unshrunk = False, False, False, 0.0, None
    caution = CAUTION

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        curvature = objective.curvature_diagonal(theta) + objective.penalty.l2[:, None]
        self.inverse = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0.0)
        self.null = np.empty((len(curvature), 0))  # a diagonal knows of no such directions

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """The inverse times a gradient (D, K)."""
        return self.inverse * gradient
