"""Stochastic gradient descent: averaged, in whitened coordinates, at a rate derived from the data; or the textbook's.

The automatic rate is 1/(2 L), where L is the curvature that a batch of B rows sees: h (lambda (B - 1) + 2 trace) / B.  Here
h bounds the curvature of the loss by a score, and lambda and trace are the largest eigenvalue and the trace of the second
moments of the columns.

- In the first epoch the rate is damped like 1/sqrt(t), from a quarter of the epoch on.  From the second epoch on the noise of
  steps is reduced instead, and the rate follows the objective.
- Iterates are averaged with growing weights.
- Batches of all rows have no noise: their rate is constant and nothing is averaged.
- Where the loss has kinks, h is the reciprocal of the natural size of a score, and the rate is damped for ever.

The perceptron's objective is least at zero coefficients, which are of no use.  What counts are its steps: a constant rate,
averaged (Freund and Schapire, 1999), until the objective falls no more.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..coordinates import Coordinates
from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet
from . import schedules, stochastic
from .schedules import Schedule
from .solution import Solution
from .steps import Plan
from .updates import Momentum, UpdateRule
from .whitening import Whitening, largest_squared_row_norm, no_whitening, whitening_of

PARAMETERS: tuple[str, ...] = ("momentum",)
ONE_BATCH = 64  # rows that are one batch, if there are no more
# Rows of a batch where reading a row costs more than the sweep over all columns.  With 32 rows an epoch came as near to the
# minimum as with 16 and took less time; an epoch of many steps can spare some, so batches grow with the number of rows.
MIN_BATCH, MAX_BATCH = 16, 64
MAX_SPARSE_BATCH = 256  # rows of a batch where the sweep over all columns costs more than reading the rows
SWEEP = 8.0  # columns of the sweep that cost as much as one entry of a row
EPOCH_STEPS = 500  # steps of an epoch that batches leave before they grow beyond `MIN_BATCH`
RARE = 16.0  # times the variance of a column: what one row in a batch may add to the curvature along it
DELAY = 0.25  # share of the first epoch before its rate is damped
MIN_DELAY = 500.0  # steps before rates are damped, where that share is less
BLOCK_BYTES = 8192  # of X that stay together in a shuffle: epochs of large data took a sixth less time than with half of it


def supports(loss: Any, automatic: bool) -> bool:
    """Whether the loss has the bounded curvature that rates are derived from, or rates are explicit."""
    return loss.bounded_curvature() or not automatic


def online_rate(loss: Any) -> float | None:
    """1 for the perceptron, whose coefficients have no natural size; other losses take Newton steps on rows."""
    return 1.0 if loss.minimised_by_zero_scores() else None


def rule(options: Options) -> Momentum:
    """Gradient steps, with the user's momentum."""
    return Momentum(options.momentum, options.nesterovs_momentum)


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs of sgd; epochs of gradient descent for solver="gd" with an explicit rate."""
    return follow_plan(objective, theta, *plan_steps(objective, options), options, history)


def plan_steps(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """The objective in the coordinates to step in, and the plan of the steps."""
    if not options.automatic:
        return objective, textbook_plan(objective, options, rule(options))
    return automatic_plan(*choose_coordinates(objective, options), options)


def follow_plan(
    objective: Objective, theta: np.ndarray, scaled: Objective, plan: Plan, options: Options, history: History
) -> Solution:
    """Run the epochs of a plan in the coordinates of `scaled`, from and to theta in those of `objective`."""
    here, there = objective.coordinates, scaled.coordinates

    def to_objective(theta: np.ndarray) -> np.ndarray:
        return here.theta(*there.raw(theta))

    start = there.theta(*here.raw(theta))
    # Textbook steps are counted from 1 in every fit.  In a stream the epochs after the first belong to the same fit.
    cache = objective.cache if options.automatic or not objective.in_memory else None
    solution = stochastic.minimise(scaled, start, plan, options, history.through(to_objective), cache)
    return solution._replace(theta=to_objective(solution.theta))


# ---------------------------------------------------------------- rates from the data
def choose_coordinates(objective: Objective, options: Options) -> tuple[Objective, Whitening]:
    """The objective in the coordinates to step in: whitened ones, or ones in which rare columns take shorter steps.

    A column that is nearly always zero is seen rarely, and then with 1/B of its square in a batch of B rows.  Where that
    exceeds `RARE` times its variance, its scale shrinks accordingly; else such columns would bound the rate of all others.
    """
    whitening = whitening_of(objective)
    batch_size, steps = balanced_batches(objective, options, whitening)
    if len(whitening.matrix) or steps == 1:
        return objective, whitening
    low, high = objective.data.ranges()
    mean, scale = objective.coordinates
    longest = np.append(scale[:-1] * np.maximum(high - mean, mean - low), 0.0)
    objective = objective.in_coordinates(Coordinates(mean, scale / np.sqrt(1.0 + longest**2 / (RARE * batch_size))))
    return objective, no_whitening(objective)


def automatic_plan(objective: Objective, whitening: Whitening, options: Options) -> tuple[Objective, Plan]:
    """Rates from the data, and the objective in coordinates in which one rate suits the intercept, too."""
    batch_size, steps = balanced_batches(objective, options, whitening)
    full, h = steps == 1, objective.loss.curvature_bound()
    largest, trace = whitening.spectrum(objective)
    seen = batch_curvature(largest, trace, batch_size, full)
    smooth, trivial = objective.loss.smooth(), objective.loss.minimised_by_zero_scores()
    plan = Plan(
        rule=rule(options),
        schedule=_automatic_schedule((1.0 - options.momentum) * longest_rate(objective, seen), steps, smooth, trivial),
        batch_size=batch_size,
        penalty=ElasticNet(explicit=0.0),
        unit=np.ones(objective.K) if smooth else objective.score_scale() * h,
        whitening=whitening,
        average_from=averaging_step(options, batch_size, objective.n, default=not (full and smooth)),
        polynomial_averaging=True,
        curvature_bound=0.5 if objective.loss.coupled() else h,
        variance_reduced=not full,
        shuffle_block=shuffle_block(objective, batch_size),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change if trivial else 1,
        may_plateau=trivial,
        proximal_rate=proximal_rate(objective, largest),
        safe_rate_factor=partial(safe_rate_factor, objective, whitening, batch_size),
    )
    # The intercept is uncorrelated with centred columns: its curvature is h alone, and its rate 1/(2 h).
    return objective.in_coordinates(objective.coordinates.rescaled_intercept(np.sqrt(seen))), plan


def _automatic_schedule(rate: float, steps: int, smooth: bool, trivial: bool) -> Schedule:
    """Constant without noise and for the perceptron, else damped: in the first epoch, at kinks for ever."""
    if trivial or (smooth and steps == 1):
        return partial(schedules.constant, eta0=rate)
    delay = max(DELAY * steps, MIN_DELAY)
    if smooth:
        return partial(schedules.damped_in_first_epoch, eta0=rate, delay=delay, steps=steps)
    return partial(schedules.damped, eta0=rate, delay=delay)


def batch_curvature(largest: float, trace: float, batch_size: int, full: bool) -> float:
    """The curvature that a batch sees of a loss whose curvature is 1 at most; 1 if there is only the intercept.

    `largest` and `trace` are the largest eigenvalue and the trace of the second moments; `full`: the batch has all rows.
    """
    seen = largest if full else (largest * (batch_size - 1) + 2.0 * trace) / batch_size
    return seen if seen > 0.0 else 1.0


def longest_rate(objective: Objective, seen: float) -> float:
    """1/(2 L), with L the curvature that a batch sees: `seen` times the bound of the loss."""
    return 0.5 / (objective.loss.curvature_bound() * seen)


def proximal_rate(objective: Objective, largest: float) -> float:
    """The rate at which a step on all rows cannot overshoot: one over a bound of the Hessian's largest eigenvalue.

    `largest` is the largest eigenvalue of the second moments; the rate is 0 where that is.
    """
    return 1.0 / (objective.loss.curvature_bound() * largest) if largest > 0.0 else 0.0


def safe_rate_factor(objective: Objective, whitening: Whitening, batch_size: int) -> float:
    """The share of the rate that is left if every batch holds the largest row.  One pass.

    The square of this row replaces twice the trace, which is that of a typical row.
    """
    largest, trace = whitening.spectrum(objective)
    seen = batch_curvature(largest, trace, batch_size, batch_size == objective.n)
    square = largest_squared_row_norm(objective, whitening)
    return min(1.0, seen / batch_curvature(largest, 0.5 * square, batch_size, full=False))


def balanced_batches(objective: Objective, options: Options, whitening: Whitening) -> tuple[int, int]:
    """Rows of a batch, and batches of an epoch, such that all batches are nearly equal.

    A step sweeps over all d columns.  Rows with few entries come in larger batches, so that the sweep never costs much more
    than the rows; and so do rows in whitened coordinates, whose sweep multiplies by a (d, d) matrix.
    """
    n = objective.n
    usual = max(int(np.clip(n // EPOCH_STEPS, MIN_BATCH, MAX_BATCH)), len(whitening.matrix) // 2)
    if options.batch_size == "auto":
        entries = objective.data.entries / n
        rows = np.clip(objective.d / (SWEEP * max(entries, 1.0)), usual, MAX_SPARSE_BATCH)
        batch_size = n if n <= ONE_BATCH else int(rows)
    else:
        batch_size = min(options.batch_size, n)
    steps = -(-n // batch_size)
    return -(-n // steps), steps


def shuffle_block(objective: Objective, batch_size: int) -> int:
    """Rows that stay together in a shuffle, which memory delivers at full speed: at most half a batch."""
    row_bytes = 8.0 * objective.data.entries / objective.n
    return int(np.clip(BLOCK_BYTES / max(row_bytes, 1.0), 1, max(batch_size // 2, 1)))


# ---------------------------------------------------------------- explicit rates
def textbook_plan(objective: Objective, options: Options, rule: UpdateRule) -> Plan:
    """Steps along the gradient of the objective on a batch, at the user's rates; an L1 penalty is a proximal step."""
    rows = 1 if isinstance(options.batch_size, str) else options.batch_size
    batch_size = objective.n if options.solver == "gd" else min(rows, objective.n)
    return Plan(
        rule=rule,
        schedule=_textbook_schedule(objective, options),
        batch_size=batch_size,
        penalty=ElasticNet(explicit=1.0),
        unit=np.ones(objective.K),
        whitening=no_whitening(objective),
        average_from=averaging_step(options, batch_size, objective.n, default=False),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change,
        may_plateau=True,
        adaptive=options.learning_rate == "adaptive",
    )


def _textbook_schedule(objective: Objective, options: Options) -> Schedule:
    if options.learning_rate == "invscaling":
        return partial(schedules.invscaling, eta0=options.eta0, power_t=options.power_t)
    if options.learning_rate == "optimal":
        return partial(schedules.optimal, alpha=options.alpha, eta0=_typical_rate(objective, options.alpha))
    return partial(schedules.constant, eta0=options.eta0)


def _typical_rate(objective: Objective, alpha: float) -> float:
    """The first rate of learning_rate="optimal": a typical weight divided by a typical derivative (Bottou, 2012).

    SGDClassifier means the same, but it takes the derivative with its sign, which is negative, so that it never counts.
    """
    typical = np.sqrt(1.0 / np.sqrt(alpha))
    derivative = abs(objective.loss.derivative(1.0, -typical)) if not objective.loss.coupled() else 1.0
    return typical / max(1.0, derivative)


# ---------------------------------------------------------------- averaging
def averaging_step(options: Options, batch_size: int, n: int, default: bool) -> int | None:
    """The number of the step that averaging starts at, in epochs of n rows; None: nothing is averaged."""
    row = averaging_row(options, default)
    return None if row is None else steps_to_visit(row, batch_size, n)


def averaging_row(options: Options, default: bool) -> int | None:
    """The number of the row that averaging starts at, counted over all epochs as in SGDClassifier; None: no averaging."""
    average = default if options.average == "auto" else options.average
    return None if average is False else int(average)


def steps_to_visit(rows: int, batch_size: int, n: int) -> int:
    """The steps that visit so many rows, in epochs of n rows whose last batch may be smaller."""
    epochs, rest = divmod(rows, n)
    return epochs * -(-n // batch_size) + -(-rest // batch_size)
