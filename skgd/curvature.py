"""The metric that gd steps in: what is known of the curvature of the loss at the current point.

``Full``
    the Hessian as a matrix, one block per separable column or one for all that are coupled, kept up to date by BFGS.
``Limited``
    a diagonal and the last few changes of the gradient (L-BFGS in its compact form), where the matrix is too large.

Both answer the same three calls: `minimise` a model with the penalty, `product` with a vector, `update` by a step.
"""

from __future__ import annotations

import numpy as np

from .objective import Objective
from .quadratic import LowRank, descend_low_rank, descend_matrix, solve_low_rank, solve_matrix

LARGEST = 1500  # side of a block; its factorisation then takes some tens of passes over a typical X
ENTRIES = 8_000_000  # of all blocks
OPERATIONS = 5e8  # for a Hessian whose columns are coupled; more rows are sampled down to this
MEMORY = 10  # steps that a limited metric remembers


def metric_at(objective: Objective, theta: np.ndarray) -> Full | Limited:
    """The metric at theta: full where the matrix is affordable, limited elsewhere."""
    D, K = theta.shape
    coupled = objective.loss.coupled()
    side = K * D if coupled else D
    blocks = 1 if coupled or objective.loss.quadratic() else K
    if side > LARGEST or blocks * side * side > ENTRIES:
        return Limited(objective)
    pairs = K * (K + 1) / 2
    rows = max(4 * side, int(OPERATIONS / (pairs * D * D))) if coupled else objective.n
    B = objective.curvature(theta, rows)
    if coupled:
        _fix_shifts(objective, B[0].reshape(K, D, K, D))
    return Full(objective, B)


def _fix_shifts(objective: Objective, B: np.ndarray) -> None:
    """Give curvature to the directions that a coupled loss cannot see, and no penalty decides: equal shifts of all scores.

    Gradients have no part along them, so steps get none either, instead of rounding divided by zero.
    """
    free = np.flatnonzero((objective.l1 == 0.0) & (objective.l2 == 0.0) & (objective.coordinates.scale > 0.0))
    trace = np.einsum("kjkj->j", B)
    for j in free:
        B[:, j, :, j] += trace[j] / len(B) ** 2


class Full:
    """Hessian blocks B (P, N, N), one for each column of theta, or a single one for all of it."""

    @property
    def renewable(self) -> bool:
        """Whether another point has another curvature."""
        return not self.exact

    def __init__(self, objective: Objective, B: np.ndarray) -> None:
        self.objective, self.B = objective, B
        self.exact = objective.loss.quadratic()
        copies = objective.K if objective.loss.coupled() else 1
        self.l1, self.l2 = np.tile(objective.l1, copies), np.tile(objective.l2, copies)

    def _split(self, theta: np.ndarray) -> np.ndarray:
        """theta (D, K) as one row per block."""
        return np.ascontiguousarray(theta.T).reshape(-1, len(self.l1))

    def _join(self, rows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        return np.ascontiguousarray(rows.reshape(shape[1], shape[0]).T)

    def _block(self, p: int) -> np.ndarray:
        return self.B[p if len(self.B) > 1 else 0]  # a quadratic loss has one curvature for all its columns

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> np.ndarray:
        """The minimiser of the model at theta plus the penalty, exact zeros included."""
        new = []
        for p, (w, g) in enumerate(zip(self._split(theta), self._split(gradient), strict=True)):
            B = self._block(p)
            if self.l1.any():
                new.append(descend_matrix(B, g, w, self.l1, self.l2, tol))
            else:
                new.append(w - solve_matrix(B + np.diag(self.l2), g + self.l2 * w))
        return self._join(np.array(new), theta.shape)

    def product(self, step: np.ndarray) -> np.ndarray:
        return self._join(np.array([self._block(p) @ s for p, s in enumerate(self._split(step))]), step.shape)

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        """BFGS: afterwards B maps this step to this change of the gradient (Nocedal and Wright, 2006, eq. 6.19)."""
        if self.exact:
            return
        for p, (s, y) in enumerate(zip(self._split(step), self._split(change), strict=True)):
            Bs = self.B[p] @ s
            if s @ y > 1e-12 * (s @ Bs) > 0.0:
                self.B[p] += np.outer(y, y / (s @ y)) - np.outer(Bs, Bs / (s @ Bs))


class Limited:
    """diag + U M U' of the last steps S and changes Y (Byrd, Nocedal and Schnabel, 1994, theorem 2.3)."""

    renewable = False

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        inert = objective.coordinates.scale == 0.0
        curvature = np.maximum(objective.loss.smoothness() - objective.l2, 1e-3 * objective.loss.smoothness())
        self.start = np.repeat(np.where(inert, 0.0, curvature), objective.K)
        self.l1, self.l2 = np.repeat(objective.l1, objective.K), np.repeat(objective.l2, objective.K)
        self.steps: list[np.ndarray] = []
        self.changes: list[np.ndarray] = []
        self.B = self._compact()

    def _compact(self) -> LowRank:
        if not self.steps:
            return LowRank(self.start, np.empty((len(self.start), 0)), np.empty((0, 0)))
        S, Y = np.array(self.steps), np.array(self.changes)
        y, s = Y[-1], S[-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(self.start > 0.0, 1.0 / self.start, 0.0)
        diagonal = self.start * ((y @ (inverse * y)) / (s @ y))
        BS, SY = S * diagonal, S @ Y.T
        L = np.tril(SY, -1)
        inner = -np.block([[S @ BS.T, L], [L.T, -np.diag(np.diagonal(SY))]])
        return LowRank(diagonal, np.ascontiguousarray(np.vstack([BS, Y]).T), inner)

    def minimise(self, theta: np.ndarray, gradient: np.ndarray, tol: float) -> np.ndarray:
        w, g = theta.ravel(), gradient.ravel()
        if self.l1.any():
            return descend_low_rank(self.B, g, w, self.l1, self.l2, tol).reshape(theta.shape)
        penalised = self.B._replace(diagonal=self.B.diagonal + self.l2)
        return (w - solve_low_rank(penalised, g + self.l2 * w)).reshape(theta.shape)

    def product(self, step: np.ndarray) -> np.ndarray:
        return (self.B @ step.ravel()).reshape(step.shape)

    def update(self, step: np.ndarray, change: np.ndarray) -> None:
        s, y = step.ravel(), change.ravel()
        if s @ y > 1e-14 * np.sqrt((s @ s) * (y @ y)):
            self.steps, self.changes = [*self.steps, s][-MEMORY:], [*self.changes, y][-MEMORY:]
            self.B = self._compact()
