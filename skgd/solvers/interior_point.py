"""A primal-dual interior-point method, for losses of linear and quadratic pieces: those with kinks above all.

Such a loss is a sum of ramps max(0, t), t = sign z + offset, and an L1 penalty is one ramp for every coefficient.  With

    max(0, t) = max of p t over 0 <= p <= 1,

the p of all rows are variables of the dual problem.  Every iteration takes one Newton step on the optimality conditions of
primal and dual together, in which the complementarity of p and its ramp is relaxed to a mean mu that falls to zero, with
Mehrotra's predictor and corrector (Nocedal and Wright, 2006, algorithm 14.3; for quantiles Portnoy and Koenker, 1997).  Most
fits take 10 to 40 iterations; rows far out shorten the steps, and then it may be 90.

Any p inside their boxes bound the minimum from below once their gradient is balanced by the penalty, and the steps of this
method balance it: so the gap between the lowest objective and the largest bound is a true one.

Columns of scores are independent problems: each has its own mu, its own steps and its own end; passes over X are shared by
those that have not ended.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..monitoring.history import History
from ..objective import Objective
from ..penalties import Penalty
from .certificates import NEGLIGIBLE, price
from .interior_steps import advance, centre, condense, direct
from .interior_systems import Inverse, Model, inverse_for, solvable
from .solution import Solution

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
FAR = 5.0  # first mu, in units of the mean |t| and of its p: starts nearer to the boundary take up to twice the iterations
LEAST = 0.1  # of the natural size of a score, that the mean |t| counts with: all rows may start at their kinks
INSIDE = 0.99  # share of the longest step that keeps all variables positive
PATIENCE = 10  # iterations without a higher bound, a lower objective or a smaller mu, which end a column: rounding
NOTICED = 0.1  # share of the gap that is allowed, by which the objective has fallen
FALLS = 0.9  # share of the least mu so far, below which it has fallen
LONG = 0.5  # share of the direction that an estimate needs
SETTLED = 0.25  # share of the tolerance that an estimate has to be below
SHARES = (1.0, 0.1, 0.01, 1e-4)  # that are tried, from many zeros to few: see `Column.sparse`
ENOUGH = 0.05  # share of the gap that is allowed, which mu need not fall below
AHEAD = 10.0  # directions that a coefficient may still have to go


def supports(objective: Objective) -> bool:
    """Whether the loss is made of ramps, its rows are in memory, each with a variable of its own, and systems can be solved."""
    return hasattr(objective.loss, "ramps") and objective.in_memory and solvable(objective)


class Ramps:
    """Ramps of n arguments t, with the variables p, u and v of each: see `interior_steps`.

    Parameters
    ----------
    weight : ndarray of shape (n,)
        Of each in the objective.
    share : float
        Of mu.
    sign, t : ndarray of shape (n,)
        t changes by sign times the change of what the ramp is of, a score or a coefficient.
    box : ndarray of shape (n,)
    mu : float
        At the start.
    roundness : float
    """

    def __init__(
        self,
        weight: np.ndarray,
        share: float,
        sign: np.ndarray,
        t: np.ndarray,
        box: np.ndarray,
        mu: float,
        roundness: float = 0.0,
    ) -> None:
        self.weight, self.share, self.sign, self.t, self.box, self.roundness = weight, share, sign, t, box, roundness
        self.p, self.u, self.v, self.D, self.e = np.empty((5, len(t)))
        self.changes = np.zeros((3, len(t)))
        centre(t, box, roundness, share * mu, self.p, self.u, self.v)
        self.target = share * float(weight @ (1.0 + np.isfinite(box)))  # of `complementarity`, for each unit of mu

    def slopes(self) -> np.ndarray:
        """Of the loss by what the ramps are of, as p says."""
        return self.weight * self.sign * self.p

    def condense(self, mu: float) -> tuple[np.ndarray, np.ndarray]:
        """Curvature (n,) by what the ramps are of, and what has to be added to minus the gradient."""
        condense(self.t, self.box, self.roundness, self.share * mu, self.p, self.u, self.v, *self.changes, self.D, self.e)
        curvature = self.weight * self.D
        return curvature, curvature * self.sign * self.e

    def direct(self, change: np.ndarray, mu: float) -> tuple[float, float, float]:
        """Take the direction of a change of what the ramps are of; see `interior_steps.direct`."""
        self.dt = self.sign * change
        variables = self.p, self.u, self.v, self.D, self.e, *self.changes
        return direct(self.dt, self.weight, self.box, self.share * mu, *variables)

    def advance(self, step: float) -> None:
        advance(step, self.dt, self.t, self.p, self.u, self.v, *self.changes)

    def complementarity(self) -> float:
        """The weighted sum of all products, which is the gap of these ramps where the point is balanced."""
        left = np.where(np.isfinite(self.box), self.box - self.p, 0.0)
        return float(self.weight @ (self.p * self.u + left * self.v))

    def values(self) -> tuple[float, float]:
        """Of the ramps, and of what p makes of them: these are less by the gap of the ramps."""
        if self.roundness > 0.0:
            best = np.clip(self.t / self.roundness, 0.0, self.box)
        else:  # an infinite box keeps t below zero
            best = np.where((self.t > 0.0) & np.isfinite(self.box), self.box, 0.0)
        value, dual = (float(self.weight @ (p * (self.t - 0.5 * self.roundness * p))) for p in (best, self.p))
        return value, dual


class Column:
    """The problem of one column of scores.

    Parameters
    ----------
    objective : Objective
    k : int
        Its number.
    theta : ndarray of shape (D,)
        Where it starts.
    z : ndarray of shape (n,)
        Scores there.

    Attributes
    ----------
    theta, best : ndarray of shape (D,)
        The current point, and that of the lowest objective.
    F, bound : float
        The lowest objective, and the largest lower bound of its minimum.
    allowed : float
        The gap between them that ends the column.
    estimate : float
        Of the gap, the least of all iterations with a long step: what complementarity leaves, what the objective lost, as much
        less as mu fell, and what the direction promised of the residual.
    idle : int
        Iterations since the bound rose, or the objective or mu fell, for the last time.
    """

    def __init__(self, objective: Objective, k: int, theta: np.ndarray, z: np.ndarray) -> None:
        self.theta, self.z = theta, z
        self.weight, self.l2 = objective.table.s / objective.n, objective.penalty.l2
        form, n = objective.loss.ramps(objective.table.Y[k]), objective.n
        self.slope, self.constant = self.weight * form.slope, float(np.sum(self.weight * form.constant))
        pairs = [(np.broadcast_to(np.asarray(sign, dtype=float), n), sign * z + offset) for sign, offset in form.ramps]
        self.unit = float(objective.score_scale()[k])
        size = max(float(np.mean([self.weight @ np.abs(t) for _, t in pairs])), LEAST * self.unit)
        mu = FAR * size * (min(form.box, size / form.roundness) if form.roundness > 0.0 else form.box)
        box = np.full(n, form.box)
        self.rows = [Ramps(self.weight, 1.0, np.ascontiguousarray(sign), t, box, mu, form.roundness) for sign, t in pairs]
        self.kinked, self.pull = np.flatnonzero(objective.penalty.kinked), np.zeros(len(theta))
        self.parts = [*self.rows, *self._coefficients(objective.penalty.of(self.kinked), mu)]
        self.target = sum(part.target for part in self.parts)
        self.best, self.F, self.bound, self.allowed = theta, np.inf, -np.inf, 0.0
        self.idle, self.least, self.then, self.d = 0, np.inf, np.inf, np.zeros_like(theta)
        self.step, self.estimate = 0.0, np.inf

    def _coefficients(self, penalty: Penalty, mu: float) -> list[Ramps]:
        """The ramps of coefficients whose penalty has a kink; slopes at one of its sides go to `pull`."""
        if len(self.kinked) == 0:
            return []
        ruled_out = np.isneginf(penalty.lower)
        sign = np.where(ruled_out, -1.0, 1.0)
        self.pull[self.kinked] = np.where(ruled_out, penalty.upper, penalty.lower)
        box, ones = np.where(ruled_out, np.inf, penalty.upper - penalty.lower), np.ones(len(sign))
        return [Ramps(ones, 1.0 / len(sign), sign, sign * self.theta[self.kinked], box, mu / len(self.theta))]

    def row_slopes(self) -> np.ndarray:
        """Derivatives (n,) of the objective by the scores, as the dual variables say."""
        return self.slope + sum(ramps.slopes() for ramps in self.rows)

    def look(self, gradient: np.ndarray) -> None:
        """Update the lowest objective and the largest bound, given the gradient (D,) of `row_slopes`."""
        self.residual = gradient + self.l2 * self.theta + self.pull
        for part in self.parts[len(self.rows) :]:
            self.residual[self.kinked] += part.slopes()
        F = self.constant + float(self.slope @ self.z) + 0.5 * float(self.l2 @ self.theta**2) + float(self.pull @ self.theta)
        values, dual_values = (sum(values) for values in zip(*(part.values() for part in self.parts), strict=True))
        lost, guessed = self._price()
        self.idle += 1
        if self.mu < FALLS * self.least:
            self.least, self.idle = self.mu, 0
        if F + dual_values - lost > self.bound and guessed <= NEGLIGIBLE * self.allowed:
            self.bound, self.idle = F + dual_values - lost, 0
        fall = max(self.F - F - values, 0.0)
        if fall > 0.0:
            self.best, self.F = self.theta.copy(), F + values
        if fall > NOTICED * self.allowed:
            self.idle = 0
        mu, then, self.then = self.mu, self.then, self.mu
        if self.step >= LONG:
            left = values - dual_values + min(fall, self.F) * min(mu / then, 1.0)
            self.estimate = min(self.estimate, left + float(np.abs(self.residual) @ np.abs(self.d)))

    def _price(self) -> tuple[float, float]:
        """What the bound loses because the current point is not balanced, and the part of that which is a guess.

        The dual variable of a coefficient whose penalty has a kink takes up what it can within its bounds.
        """
        residual, change = self.residual.copy(), 0.0
        for part in self.parts[len(self.rows) :]:
            moved = np.clip(part.p - part.sign * residual[self.kinked], 0.0, part.box) - part.p
            residual[self.kinked] += part.sign * moved
            change += float(moved @ part.t)
        lost, guessed = self.imbalance(residual)
        return lost - change, guessed

    def imbalance(self, residual: np.ndarray) -> tuple[float, float]:
        """What the bound loses by this residual (D,), and the part of that which is a guess: see `certificates.price`.

        A coefficient may still move by as much as it is, by the natural size of a score, or by some of the last directions.
        """
        return price(residual, self.l2, np.maximum(np.maximum(np.abs(self.theta), self.unit), AHEAD * np.abs(self.d)))

    def linearise(self, mu: float) -> Model:
        """The optimality conditions with complementarities of `mu`, at the current point."""
        sums = np.zeros((2, len(self.z)))
        for ramps in self.rows:
            sums += ramps.condense(mu)
        own = np.zeros((2, len(self.theta)))
        for ramps in self.parts[len(self.rows) :]:
            own[:, self.kinked] += ramps.condense(mu)
        return Model(sums[0], own[0] + self.l2, sums[1], own[1] - self.residual)

    def direct(self, d: np.ndarray, dz: np.ndarray, mu: float) -> float:
        """Take the direction d, of which scores change by dz; the longest step."""
        self.d, self.dz = d, dz
        changes = [dz] * len(self.rows) + [d[self.kinked]] * (len(self.parts) - len(self.rows))
        steps, linear, quadratic = zip(
            *(part.direct(change, mu) for part, change in zip(self.parts, changes, strict=True)), strict=True
        )
        self.linear, self.quadratic = sum(linear), sum(quadratic)
        return min(steps)

    @property
    def mu(self) -> float:
        return sum(part.complementarity() for part in self.parts) / self.target

    def centring(self, step: float) -> float:
        """The mu to aim at: the less the predictor leaves of it, the smaller, but not far below what the gap may be."""
        mu = self.mu
        left = mu + (step * self.linear + step * step * self.quadratic) / self.target
        enough = ENOUGH * self.allowed / self.target
        return max(mu * min(max(left / mu, 0.0), 1.0) ** 3, min(enough, mu))

    def sparse(self, share: float) -> np.ndarray:
        """The best point, with zeros where the dual variable is far from its bounds beside the size of the coefficient.

        Where complementarity is small, one of the two is.  The smaller the share, the fewer zeros.
        """
        theta = self.best.copy()
        for part in self.parts[len(self.rows) :]:
            here = theta[self.kinked]
            box = np.where(np.isfinite(part.box), part.box, np.maximum(part.p, TINY))
            slack = np.where(np.isfinite(part.box), np.minimum(part.p, part.box - part.p), part.p) / box
            small = np.abs(here) <= share * slack * np.abs(theta[:-1]).max()
            ruled_out = (part.sign < 0.0) & (here < 0.0)
            theta[self.kinked] = np.where(small | ruled_out, 0.0, here)
        return theta

    def advance(self, longest: float) -> None:
        self.step = step = INSIDE * longest if longest < 1.0 else 1.0
        self.theta = self.theta + step * self.d
        self.z = self.z + step * self.dz
        for part in self.parts:
            part.advance(step)


def minimise(objective: Objective, theta: np.ndarray, *, tol: float, max_iter: int, history: History) -> Solution:
    """Iterate until the gap between objective and bound is at most `tol`, column by column."""
    ruled_out = np.isneginf(objective.penalty.lower)[:, None]  # negative coefficients: these begin inside of what is left
    inner = np.where(ruled_out, np.maximum(theta, LEAST * objective.score_scale()), theta)
    z = objective.table.scores(*objective.coordinates.raw(inner))
    columns = [Column(objective, k, inner[:, k].copy(), z[k]) for k in range(objective.K)]
    inverse_of = inverse_for(objective)
    iterations = 0
    _look(objective, columns)
    start = objective.evaluate(theta)[0] if ruled_out.any() else sum(column.F for column in columns)
    history.begin(start, theta)
    if start == 0.0:
        return Solution(theta, 1, 0.0, True, bound=True)
    zero = 8 * EPS * start
    while True:
        total = max(sum(column.F for column in columns), TINY)
        for column in columns:
            column.allowed = max(tol * total, zero) / len(columns)
        active = [column for column in columns if column.F - column.bound > column.allowed and column.idle < PATIENCE]
        if not active or iterations >= max_iter:
            break
        _step(objective, active, inverse_of)
        _look(objective, active)
        iterations += 1
        best = np.column_stack([column.best for column in columns])
        history.record(sum(column.F for column in columns), best)
    best, F = _sparse(objective, columns)
    bound = sum(column.bound for column in columns)
    history.begin(F, best)
    gap, estimate = ((value / max(F, TINY) if F > zero else 0.0) for value in (F - bound, _estimate(columns)))
    proven = gap <= tol
    return Solution(
        best, max(iterations, 1), gap if proven else min(estimate, 1.0), proven or estimate <= SETTLED * tol, bound=proven
    )


def _estimate(columns: list[Column]) -> float:
    """Of the gap, where rounding or conjugate gradients keep the bound from rising."""
    return sum(min(column.F - column.bound, column.estimate) for column in columns)


def _sparse(objective: Objective, columns: list[Column]) -> tuple[np.ndarray, float]:
    """The best points and the objective there; with an L1 penalty with exact zeros, as many as cost next to nothing."""
    theta, F = np.column_stack([column.best for column in columns]), sum(column.F for column in columns)
    if not objective.penalty.kinked.any():
        return theta, F
    most = max(F, sum(column.bound + column.allowed for column in columns))
    for share in SHARES:
        candidate = np.column_stack([column.sparse(share) for column in columns])
        value = objective.evaluate(candidate)[0]
        if value <= most:
            return candidate, value
    return theta, F


def _look(objective: Objective, columns: list[Column]) -> None:
    """One pass over X for all columns."""
    G = objective.coordinates.gradient(objective.table.transposed(np.array([column.row_slopes() for column in columns])))
    for k, column in enumerate(columns):
        column.look(G[:, k])


def _step(objective: Objective, columns: list[Column], inverse_of: Callable[..., Inverse]) -> None:
    """Predictor, corrector and step of each column, in four passes over X and what curvature costs."""
    table, coordinates = objective.table, objective.coordinates
    inverse, mus = None, [0.0] * len(columns)
    for _ in range(2):
        models = [column.linearise(mu) for column, mu in zip(columns, mus, strict=True)]
        if inverse is None:
            inverse = inverse_of(objective, models, columns)
        G = coordinates.gradient(table.transposed(np.array([model.pulls for model in models])))
        d = inverse(G + np.column_stack([model.own_pulls for model in models]))
        dz = table.scores(*coordinates.raw(d))
        steps = [column.direct(d[:, k], dz[k], mu) for k, (column, mu) in enumerate(zip(columns, mus, strict=True))]
        mus = [column.centring(step) for column, step in zip(columns, steps, strict=True)]
    for column, step in zip(columns, steps, strict=True):
        column.advance(step)
