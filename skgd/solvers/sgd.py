"""Stochastic gradient descent: averaged, in whitened coordinates, with a rate derived from the data; or the textbook's.

The automatic rate is 1/(2 L), L the curvature that a batch of B rows sees: h (lambda (B - 1) + 2 trace) / B, with h the
curvature_bound of the loss, lambda and trace the largest eigenvalue and the sum of all of the second moments.  In the first
epoch it is damped like 1/sqrt(t), from a quarter on; later the noise of steps is reduced instead, and the rate follows
the objective.  Iterates are averaged with growing weights.  Batches of all rows are free of noise: no average is needed.
Where the loss has kinks, h is the reciprocal of the natural size of a score, and rates are damped for ever.

The perceptron's minimum, at zero coefficients, is of no use; what counts is its way: a constant rate, averaged (Freund
and Schapire, 1999), until its objective falls no more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..coordinates import Coordinates
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet
from . import schedules, stochastic
from .solution import Solution
from .steps import Plan
from .updates import Momentum
from .whitening import Whitening, identity, largest_squared_row_norm, whitened

SMALL = 64  # fewer rows make one batch
FEWEST, MOST = 16, 64  # rows a step, where a row is worth more than the sweep over all columns
RARE = 16.0  # times its variance: what a single row of a column may add to the curvature of a batch
STEPS = 500  # of an epoch, from which on larger batches cost it little
PARAMETERS = ("momentum",)
PATIENT = 500.0  # steps before rates are damped, where an epoch is shorter than that


def supports(loss: Any, automatic: bool) -> bool:
    """Whether the loss has what rates are derived from, or none are."""
    return loss.bounded_curvature() or not automatic


def online_rate(loss: Any) -> float | None:
    """1 for the perceptron, whose coefficients have no natural size; other losses take Newton's steps."""
    return 1.0 if loss.minimised_by_zero_scores() else None


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Epochs of sgd; of gradient descent, where solver='gd' has an explicit rate."""
    return stepped(objective, theta, *planned(objective, options), options, history)


def planned(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """The objective in coordinates to step in, and how."""
    if not options.automatic:
        return objective, textbook_plan(objective, options, rule(options))
    return automatic_plan(*prepared(objective, options), options)


def stepped(
    objective: Objective, theta: np.ndarray, scaled: Objective, plan: Plan, options: Options, history: History
) -> Solution:
    """Steps in the coordinates of `scaled`, from and to theta in those of `objective`."""
    here, there = objective.coordinates, scaled.coordinates

    def outside(theta: np.ndarray) -> np.ndarray:
        return here.theta(*there.raw(theta))

    start = there.theta(*here.raw(theta))
    # The textbook's steps are counted from 1 in every fit, but for epochs of the same one.
    kept = objective.cache if options.automatic or not objective.in_memory else None
    solution = stochastic.minimise(scaled, start, plan, options, history.through(outside), kept)
    return solution._replace(theta=outside(solution.theta))


def prepared(objective: Objective, options: Options) -> tuple[Objective, Whitening]:
    """The objective in coordinates to step in: whitened, or with shorter steps in columns that few rows determine.

    A column that is nearly always zero is seen rarely, and then with a B-th of its square in a batch of B rows.  Where
    that exceeds `RARE` times its variance, the scale shrinks to it: else such columns would bound the rate of all others.
    """
    whitening = whitened(objective)
    batch, steps = balanced_batch(objective, options, whitening)
    if len(whitening.matrix) or steps == 1:
        return objective, whitening
    low, high = objective.data.ranges()
    mean, scale = objective.coordinates
    longest = np.append(scale[:-1] * np.maximum(high - mean, mean - low), 0.0)
    objective = objective.in_coordinates(Coordinates(mean, scale / np.sqrt(1.0 + longest**2 / (RARE * batch))))
    return objective, identity(objective)


def automatic_plan(objective: Objective, whitening: Whitening, options: Options) -> tuple[Objective, Plan]:
    """Rates derived from the data, and the objective in coordinates where one rate suits the intercept too."""
    batch, steps = balanced_batch(objective, options, whitening)
    full = steps == 1
    largest, trace = whitening.spectrum(objective)
    seen = curvature_seen(largest, trace, batch, full)
    rate = (1.0 - options.momentum) * longest_rate(objective, seen)
    delay = max(0.25 * steps, PATIENT)
    smooth, trivial = objective.loss.smooth(), objective.loss.minimised_by_zero_scores()

    def schedule(t):
        steady = trivial or (smooth and (full or t[0] > steps))
        return schedules.constant(t, rate) if steady else schedules.damped(t, rate, delay)

    plan = Plan(
        rule=rule(options),
        schedule=schedule,
        batch=batch,
        penalty=ElasticNet(explicit=0.0),
        unit=np.ones(objective.K) if smooth else objective.score_scale() * objective.loss.curvature_bound(),
        whitening=whitening,
        average_from=averaging(options, batch, objective.n, default=not (full and smooth)),
        polynomial_averaging=True,
        curvature_bound=0.5 if objective.loss.coupled() else objective.loss.curvature_bound(),
        variance_reduced=not full,
        run=neighbours(objective, batch),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change if trivial else 1,
        may_plateau=trivial,
        smooth_rate=1.0 / (objective.loss.curvature_bound() * largest) if largest > 0.0 else 0.0,
        safe_rate_factor=lambda: safe_rate_factor(objective, whitening, batch),
    )
    # The intercept is uncorrelated with centred columns: its curvature is h alone, and its rate 1/(2 h).
    return objective.in_coordinates(objective.coordinates.rescaled_intercept(np.sqrt(seen))), plan


def curvature_seen(largest: float, trace: float, batch: int, full: bool) -> float:
    """The curvature that a batch sees, of a loss of unit curvature_bound; 1 if there is only the intercept."""
    seen = largest if full else (largest * (batch - 1) + 2.0 * trace) / batch
    return seen if seen > 0.0 else 1.0


def safe_rate_factor(objective: Objective, whitening: Whitening, batch: int) -> float:
    """The share of the rate that is left if every batch holds the heaviest row, whose square replaces twice the trace."""
    largest, trace = whitening.spectrum(objective)
    seen, square = curvature_seen(largest, trace, batch, batch == objective.n), largest_squared_row_norm(objective, whitening)
    return min(1.0, seen / curvature_seen(largest, 0.5 * square, batch, full=False))


def longest_rate(objective: Objective, seen: float) -> float:
    return 0.5 / (objective.loss.curvature_bound() * seen)


def textbook_plan(objective: Objective, options: Options, rule) -> Plan:
    """theta <- theta - eta_t * gradient of the objective on the batch (its L1 part by a proximal step), as users wrote it."""
    eta0, power_t, alpha = options.eta0, options.power_t, options.alpha
    if options.learning_rate == "invscaling":

        def schedule(t):
            return schedules.invscaling(t, eta0, power_t)

    elif options.learning_rate == "optimal":
        initial = _typical_rate(objective, alpha)

        def schedule(t):
            return schedules.optimal(t, alpha, initial)

    else:

        def schedule(t):
            return schedules.constant(t, eta0)

    rows = 1 if isinstance(options.batch_size, str) else options.batch_size
    batch = objective.n if options.solver == "gd" else min(rows, objective.n)
    return Plan(
        rule=rule,
        schedule=schedule,
        batch=batch,
        penalty=ElasticNet(explicit=1.0),
        unit=np.ones(objective.K),
        whitening=identity(objective),
        average_from=averaging(options, batch, objective.n, default=False),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change,
        may_plateau=True,
        adaptive=options.learning_rate == "adaptive",
    )


def rule(options: Options) -> Momentum:
    """Gradient steps, with a momentum or not."""
    return Momentum(options.momentum, options.nesterovs_momentum)


def _typical_rate(objective: Objective, alpha: float) -> float:
    """The first rate of learning_rate='optimal': typical weight over typical derivative (Bottou, 2012).

    SGDClassifier means the same, but takes the derivative with its sign, which is negative, and so never counts.
    """
    typical = np.sqrt(1.0 / np.sqrt(alpha))
    derivative = abs(objective.loss.derivative(1.0, -typical)) if not objective.loss.coupled() else 1.0
    return typical / max(1.0, derivative)


def averaging(options: Options, batch: int, n: int, default: bool) -> int | None:
    """The step that averaging starts at in epochs of n rows, or None."""
    row = averaging_row(options, default)
    return None if row is None else steps_of(row, batch, n)


def averaging_row(options: Options, default: bool) -> int | None:
    """The number of the row that averaging starts at, counted over all epochs as in SGDClassifier, or None."""
    average = default if options.average == "auto" else options.average
    return None if average is False else int(average)


def steps_of(rows: int, batch: int, n: int) -> int:
    """The steps that visit so many rows, in epochs of n rows whose last batch may be smaller."""
    epochs, rest = divmod(rows, n)
    return epochs * -(-n // batch) + -(-rest // batch)


def balanced_batch(objective: Objective, options: Options, whitening: Whitening) -> tuple[int, int]:
    """Rows a step, and steps an epoch, of nearly equal batches.

    A step sweeps over all d columns: rows with few non-zeros come in larger batches, so that the sweep never costs
    much more than the rows; and so do rows whose sweep multiplies by a matrix.
    """
    n = objective.n
    usual = max(int(np.clip(n // STEPS, FEWEST, MOST)), len(whitening.matrix) // 2)
    if options.batch_size == "auto":
        nonzeros = objective.data.entries / n
        batch = n if n <= SMALL else int(np.clip(objective.d / (8.0 * max(nonzeros, 1.0)), usual, 256))
    else:
        batch = min(options.batch_size, n)
    steps = -(-n // batch)
    return -(-n // steps), steps


def neighbours(objective: Objective, batch: int) -> int:
    """Rows that stay together in a shuffle: about 8 KiB of X, which memory delivers at full speed, at most half a batch."""
    row = 8.0 * objective.data.entries / objective.n
    return int(np.clip(8192 / max(row, 1.0), 1, max(batch // 2, 1)))
