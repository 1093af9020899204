"""Stochastic gradient descent: with a rate derived from the data, or with explicit rates as in textbooks.

The automatic rate is 1/(2 L), where L is the curvature of F that a batch of B rows sees in the coordinates of the steps.
Whitened coordinates have the curvature one in every direction, so L = (B - 1 + 2 trace) / B.  The trace of the Hessian stands
for a typical row.  Once the Hessian comes from the current point, the heaviest row counts if it is heavier.  Where steps are
not whitened, L follows from the spectrum of the second moments of the columns and from a bound of the curvature of the loss.

- In the first epoch the rate is damped like 1/sqrt(t), from a quarter of the epoch on.  From the second epoch on, the variance
  of the gradients is reduced instead, and the rate follows the objective (`rate_control`).
- The result of the steps of an epoch is an average of iterates, in which late ones have larger weights.
- Gradients of batches of all rows have no noise.  Their rate is constant, and iterates are not averaged.
- An epoch ends with a step on all rows (`model_steps`).

The perceptron's objective is lowest at zero coefficients, which are useless.  Its result is the average of steps with a
constant rate (Freund and Schapire, 1999), up to the epoch when the objective falls no more.
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
from . import epochs, schedules
from .row_sizes import largest_squared_row_norm, spectrum
from .schedules import Schedule
from .solution import Solution
from .steps import Plan
from .updates import Momentum, UpdateRule
from .whitening import CurvatureSample, Whitening, is_worthwhile, no_whitening

PARAMETERS: tuple[str, ...] = ("momentum",)
ONE_BATCH = 64  # If X has at most so many rows, they are one batch.
# The least and the largest number of rows of a batch if X is dense.  Batches grow with the number of rows, because an epoch of
# many steps can do with fewer.  With 32 rows an epoch came as near to the minimum as with 16, and took less time.
MIN_BATCH, MAX_BATCH = 16, 64
# The largest number of rows of a batch if rows have so few entries that updating all coefficients costs more than the rows.
MAX_SPARSE_BATCH = 1024
UPDATES_PER_ENTRY = 2.0  # An update of so many coefficients costs as much as reading one entry of a row.
EPOCH_STEPS = 500  # Batches have more than `MIN_BATCH` rows only if an epoch still has so many steps.
# The largest curvature that a single row in a batch may add along a column, relative to the column's variance.
RARE = 16.0
DELAY = 0.25  # the share of the first epoch before its rate is damped
MIN_DELAY = 500.0  # the least number of steps before rates are damped, in case that share is less
# The bytes of X that stay together in a shuffle.  Epochs of large data took a sixth less time than with half as many bytes.
BLOCK_BYTES = 8192


def supports(loss: Any, automatic: bool) -> bool:
    """Whether sgd can minimise the loss.  It takes all losses."""
    return True


def online_rate(loss: Any) -> float | None:
    """1 for the perceptron, whose coefficients have no natural size.  None for other losses, which make Newton steps."""
    return 1.0 if loss.minimised_by_zero_scores() else None


def rule(options: Options) -> Momentum:
    """Gradient steps with the user's momentum."""
    return Momentum(options.momentum, options.nesterovs_momentum)


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs of sgd, or of full-batch gradient descent for solver="gd" with explicit rates."""
    return epochs.minimise(objective, theta, options, history, plan_steps)


def plan_steps(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """The objective in the coordinates of the steps, and the plan of the steps."""
    if not options.automatic:
        return objective, textbook_plan(objective, options, rule(options))
    return automatic_plan(*choose_coordinates(objective, options), options)


# ---------------------------------------------------------------- rates from the data
def choose_coordinates(objective: Objective, options: Options) -> tuple[Objective, Whitening]:
    """The objective in the coordinates of the steps, and their whitening.

    Where X is not whitened, the scales of rare columns are reduced.  A rare column is zero in nearly all rows.  A row with an
    entry adds 1/B of its square to the curvature of a batch of B rows.  If this exceeds `RARE` times the variance of the
    column, the scale of the column is reduced accordingly.  Otherwise the column would limit the rate of all others.
    """
    if is_worthwhile(objective):
        return objective, CurvatureSample(objective).bounded()
    batch_size, steps = balanced_batches(objective, options, no_whitening())
    if steps > 1:
        low, high = objective.data.ranges()
        mean, scale = objective.coordinates
        longest = np.append(scale[:-1] * np.maximum(high - mean, mean - low), 0.0)
        objective = objective.in_coordinates(Coordinates(mean, scale / np.sqrt(1.0 + longest**2 / (RARE * batch_size))))
    h, (largest, trace) = objective.loss.curvature_bound(), spectrum(objective)
    return objective, no_whitening(h * largest, h * trace)


def automatic_plan(objective: Objective, whitening: Whitening, options: Options) -> tuple[Objective, Plan]:
    """The plan with rates from the data, and the objective with the intercept scaled such that the same rate suits it."""
    batch_size, steps = balanced_batches(objective, options, whitening)
    full, h = steps == 1, objective.loss.curvature_bound()
    seen = whitening.batch_curvature(batch_size, objective.n)
    smooth, trivial = objective.loss.smooth(), objective.loss.minimised_by_zero_scores()
    plan = Plan(
        rule=rule(options),
        schedule=_automatic_schedule((1.0 - options.momentum) * longest_rate(seen), steps, trivial),
        batch_size=batch_size,
        penalty=penalty_of_steps(whitening),
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
        proximal_rate=proximal_rate(whitening),
        safe_rate_factor=partial(safe_rate_factor, objective, whitening, batch_size),
    )
    if whitening.side:
        return objective, plan
    # The intercept is uncorrelated with centred columns.  The curvature along it is h, so its rate is 1/(2 h).
    return objective.in_coordinates(objective.coordinates.rescaled_intercept(np.sqrt(seen / h))), plan


def _automatic_schedule(rate: float, steps: int, trivial: bool) -> Schedule:
    """The rate is constant for full batches and for the perceptron, and damped in the first epoch for other losses."""
    if trivial or steps == 1:
        return partial(schedules.constant, eta0=rate)
    return partial(schedules.damped_in_first_epoch, eta0=rate, delay=max(DELAY * steps, MIN_DELAY), steps=steps)


def longest_rate(seen: float) -> float:
    """The rate 1/(2 L), where L is the curvature `seen` by a batch."""
    return 0.5 / seen


def penalty_of_steps(whitening: Whitening) -> ElasticNet:
    """The penalty as compiled steps use it: L2 is part of the gradient where it is no sum over phi, else of proximal steps."""
    return ElasticNet(explicit=1.0 if whitening.side else 0.0)


def proximal_rate(whitening: Whitening) -> float:
    """The rate at which a gradient step on all rows cannot raise F: one over a bound of the Hessian's largest eigenvalue.

    If the largest eigenvalue is 0, so is the rate.
    """
    return 1.0 / whitening.largest if whitening.largest > 0.0 else 0.0


def safe_rate_factor(objective: Objective, whitening: Whitening, batch_size: int) -> float:
    """The factor that makes the rate safe even if every batch holds the row of the largest norm.  One pass over X.

    In whitened coordinates it is 1, because there the rate follows from the heaviest row anyway.
    """
    if whitening.side:
        return 1.0
    heaviest = objective.loss.curvature_bound() * largest_squared_row_norm(objective)
    seen = whitening.batch_curvature(batch_size, objective.n)
    return min(1.0, seen / whitening._replace(heaviest=heaviest, trace=0.0).batch_curvature(batch_size, objective.n))


def balanced_batches(objective: Objective, options: Options, whitening: Whitening) -> tuple[int, int]:
    """The number of rows of a batch, and the number of batches of an epoch.  All batches have nearly the same size.

    Each step updates all d coefficients.  If rows have few entries, batches are larger, so that these updates do not cost much
    more than reading the rows.  So are batches in whitened coordinates, where each step multiplies by a (d, d) matrix.
    """
    n = objective.n
    usual = max(int(np.clip(n // EPOCH_STEPS, MIN_BATCH, MAX_BATCH)), whitening.side // 2)
    if options.batch_size == "auto":
        entries = objective.data.entries / n
        rows = np.clip(objective.d / (UPDATES_PER_ENTRY * max(entries, 1.0)), usual, MAX_SPARSE_BATCH)
        batch_size = n if n <= ONE_BATCH else int(rows)
    else:
        batch_size = min(options.batch_size, n)
    steps = -(-n // batch_size)
    return -(-n // steps), steps


def shuffle_block(objective: Objective, batch_size: int) -> int:
    """The number of rows that stay together in a shuffle: enough to read memory at full speed, at most half a batch."""
    row_bytes = 8.0 * objective.data.entries / objective.n
    return int(np.clip(BLOCK_BYTES / max(row_bytes, 1.0), 1, max(batch_size // 2, 1)))


# ---------------------------------------------------------------- explicit rates
def textbook_plan(objective: Objective, options: Options, rule: UpdateRule) -> Plan:
    """The plan of steps along the gradient of F on a batch, at the user's rates.  An L1 penalty is a proximal step."""
    rows = 1 if isinstance(options.batch_size, str) else options.batch_size
    batch_size = objective.n if options.solver == "gd" else min(rows, objective.n)
    return Plan(
        rule=rule,
        schedule=_textbook_schedule(objective, options),
        batch_size=batch_size,
        penalty=ElasticNet(explicit=1.0),
        unit=np.ones(objective.K),
        whitening=no_whitening(),
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

    SGDClassifier does not take the absolute value of the derivative, which is negative, and so it always divides by 1.
    """
    typical = np.sqrt(1.0 / np.sqrt(alpha))
    derivative = abs(objective.loss.derivative(1.0, -typical)) if not objective.loss.coupled() else 1.0
    return typical / max(1.0, derivative)


# ---------------------------------------------------------------- averaging
def averaging_step(options: Options, batch_size: int, n: int, default: bool) -> int | None:
    """The number of the step where averaging starts, in epochs of n rows.  None: iterates are not averaged."""
    row = averaging_row(options, default)
    return None if row is None else steps_to_visit(row, batch_size, n)


def averaging_row(options: Options, default: bool) -> int | None:
    """The number of rows to visit before averaging starts, in all epochs, as in SGDClassifier.  None: no averaging."""
    average = default if options.average == "auto" else options.average
    return None if average is False else int(average)


def steps_to_visit(rows: int, batch_size: int, n: int) -> int:
    """The number of steps that visit this number of rows, in epochs of n rows whose last batch may be smaller."""
    epochs, rest = divmod(rows, n)
    return epochs * -(-n // batch_size) + -(-rest // batch_size)
