"""Adam (Kingma and Ba, 2015): by default in whitened coordinates, with averaged iterates.

Its rate is damped like 1/sqrt(t) in the first epoch.  Its epsilon is so large that no step is longer than a step of sgd.
Otherwise steps would become too long as soon as the gradient noise, which Adam divides by, vanishes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from . import epochs, schedules, sgd
from .solution import Solution
from .steps import Plan
from .updates import Adam
from .whitening import Whitening

PARAMETERS: tuple[str, ...] = ("beta_1", "beta_2", "adam_epsilon")
# The first rate, in units of sigma_z / (sigma_x sqrt(h)).  Here sigma_z is the natural size of the scores, sigma_x the standard
# deviation of the column, and h the bound of the curvature of the loss.
RATE = 0.02
FULL_BATCH_RATE = 0.1  # the first rate if a batch has all rows
FULL_BATCH_DELAY = 50.0  # the number of steps before this rate is damped
FULL_BATCH_EPSILON = 0.1  # the least epsilon if a batch has all rows; with a smaller one, steps overshoot the minimum for ever
MIN_DELAY = 3000.0  # the least number of steps before rates are damped, in case `sgd.DELAY` times an epoch is less


def supports(loss: Any, automatic: bool) -> bool:
    """Whether Adam can minimise the loss.  It takes the same losses as sgd."""
    return sgd.supports(loss, automatic)


def rule(options: Options) -> Adam:
    """Adam with the user's parameters."""
    return Adam(options.beta_1, options.beta_2, options.adam_epsilon)


def online_rate(loss: Any) -> float | None:
    """The first rate of epochs, also for `partial_fit`."""
    return float(RATE / np.sqrt(loss.curvature_bound()))


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Run epochs of Adam."""
    return epochs.minimise(objective, theta, options, history, plan_steps)


def plan_steps(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """The objective in the coordinates of the steps, which are those of sgd, and the plan of the steps."""
    if not options.automatic:
        return objective, sgd.textbook_plan(objective, options, rule(options))
    scaled, whitening = sgd.choose_coordinates(objective, options)
    return scaled, _automatic_plan(scaled, options, whitening)


def _automatic_plan(objective: Objective, options: Options, whitening: Whitening) -> Plan:
    batch_size, steps = sgd.balanced_batches(objective, options, whitening)
    # The gradients of a smooth loss have the unit of scores, as the rule expects.  The gradients of a non-smooth loss have no
    # unit, even if it is smoothed.  There h is the reciprocal of the natural size of a score, so multiplying epsilon by h
    # corrects the unit.
    h = objective.loss.curvature_bound()
    slope = h if objective.loss.smoothed() or not objective.loss.smooth() else 1.0
    trivial = objective.loss.minimised_by_zero_scores()
    if steps == 1:
        rate, epsilon = FULL_BATCH_RATE, max(FULL_BATCH_EPSILON, options.adam_epsilon) * slope
        schedule = partial(schedules.damped, eta0=rate, delay=FULL_BATCH_DELAY)
    else:
        rate = RATE * np.sqrt(slope / (1.0 if whitening.side else h))
        longest = sgd.longest_rate(whitening.batch_curvature(batch_size, objective.n))
        epsilon = rate / longest + options.adam_epsilon * slope
        delay = max(sgd.DELAY * steps, MIN_DELAY)
        schedule = partial(schedules.damped_in_first_epoch, eta0=rate, delay=delay, steps=steps)
    return Plan(
        rule=Adam(options.beta_1, options.beta_2, epsilon),
        schedule=partial(schedules.constant, eta0=rate) if trivial else schedule,
        batch_size=batch_size,
        penalty=sgd.penalty_of_steps(whitening),
        unit=objective.score_scale(),
        whitening=whitening,
        average_from=sgd.averaging_step(options, batch_size, objective.n, default=True),
        polynomial_averaging=True,
        variance_reduced=steps > 1,
        shuffle_block=sgd.shuffle_block(objective, batch_size),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change if trivial else 1,
        may_plateau=trivial,
        proximal_rate=sgd.proximal_rate(whitening),
        safe_rate_factor=partial(sgd.safe_rate_factor, objective, whitening, batch_size),
    )
