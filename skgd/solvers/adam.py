"""Adam (Kingma and Ba, 2015): by default in whitened coordinates, with averaged iterates and a rate damped like 1/sqrt(t).

Its epsilon is so large that no step is longer than a step of sgd.  Otherwise steps would become too long as soon as the
gradient noise, which Adam divides by, vanishes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..monitoring.history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet
from . import schedules, sgd
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
    return sgd.follow_plan(objective, theta, *plan_steps(objective, options), options, history)


def plan_steps(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """The objective in the coordinates of the steps, which are those of sgd, and the plan of the steps."""
    if not options.automatic:
        return objective, sgd.textbook_plan(objective, options, rule(options))
    scaled, whitening = sgd.choose_coordinates(objective, options)
    return scaled, _automatic_plan(scaled, options, whitening)


def _automatic_plan(objective: Objective, options: Options, whitening: Whitening) -> Plan:
    batch_size, steps = sgd.balanced_batches(objective, options, whitening)
    largest, trace = whitening.spectrum(objective)
    # The gradients of a smooth loss have the unit of scores, as the rule expects.  The gradients of a non-smooth loss have no
    # unit.  There h is the reciprocal of the natural size of a score, so multiplying epsilon by h corrects the unit.
    h = objective.loss.curvature_bound()
    slope = 1.0 if objective.loss.smooth() else h
    if steps == 1:
        rate, delay, epsilon = FULL_BATCH_RATE, FULL_BATCH_DELAY, max(FULL_BATCH_EPSILON, options.adam_epsilon) * slope
    else:
        rate, delay = RATE / np.sqrt(h / slope), max(sgd.DELAY * steps, MIN_DELAY)
        longest = sgd.longest_rate(objective, sgd.batch_curvature(largest, trace, batch_size, full=False))
        epsilon = rate / longest + options.adam_epsilon * slope
    trivial = objective.loss.minimised_by_zero_scores()
    constant, damped = partial(schedules.constant, eta0=rate), partial(schedules.damped, eta0=rate, delay=delay)
    return Plan(
        rule=Adam(options.beta_1, options.beta_2, epsilon),
        schedule=constant if trivial else damped,
        batch_size=batch_size,
        penalty=ElasticNet(explicit=0.0),
        unit=objective.score_scale(),
        whitening=whitening,
        average_from=sgd.averaging_step(options, batch_size, objective.n, default=True),
        polynomial_averaging=True,
        variance_reduced=steps > 1,
        shuffle_block=sgd.shuffle_block(objective, batch_size),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change if trivial else 1,
        may_plateau=trivial,
        proximal_rate=sgd.proximal_rate(objective, largest),
        safe_rate_factor=partial(sgd.safe_rate_factor, objective, whitening, batch_size),
    )
