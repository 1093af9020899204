"""Adam (Kingma and Ba, 2015): by default in whitened coordinates, averaged, its rate damped like 1/sqrt(t).

Epsilon is such that no step is longer than one of sgd: once the noise is gone, dividing by it would only magnify what is
left.
"""

from __future__ import annotations

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

RATE = 0.02  # of a coefficient: 1 over the deviation of its column, times that of the scores, over sqrt(h)
FULL_BATCH_RATE = 0.1
FULL_BATCH_EPSILON = 0.1  # without noise, gradients below this would be blown up to steps that overshoot for ever
PARAMETERS = ("beta_1", "beta_2", "adam_epsilon")
PATIENT = 3000.0  # steps before rates are damped, where an epoch is shorter than that


def supports(loss: Any, automatic: bool) -> bool:
    """As sgd."""
    return sgd.supports(loss, automatic)


def rule(options: Options) -> Adam:
    """Adam with the user's parameters."""
    return Adam(options.beta_1, options.beta_2, options.adam_epsilon)


def online_rate(loss: Any) -> float | None:
    """That of epochs."""
    return float(RATE / np.sqrt(loss.curvature_bound()))


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Epochs of Adam."""
    return sgd.stepped(objective, theta, *planned(objective, options), options, history)


def planned(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """As sgd."""
    if not options.automatic:
        return objective, sgd.textbook_plan(objective, options, rule(options))
    scaled, whitening = sgd.prepared(objective, options)
    return scaled, _automatic_plan(scaled, options, whitening)


def _automatic_plan(objective: Objective, options: Options, whitening: Whitening) -> Plan:
    batch, steps = sgd.balanced_batch(objective, options, whitening)
    largest, trace = whitening.spectrum(objective)
    # Slopes of a loss with kinks have no unit, those of others that of the scores, and so has the curvature.
    h, smooth = objective.loss.curvature_bound(), objective.loss.smooth()
    slope = 1.0 if smooth else h
    if steps == 1:
        rate, delay, epsilon = FULL_BATCH_RATE, 50.0, max(FULL_BATCH_EPSILON, options.adam_epsilon) * slope
    else:
        rate, delay = RATE / np.sqrt(h / slope), max(0.25 * steps, PATIENT)
        longest = sgd.longest_rate(objective, sgd.curvature_seen(largest, trace, batch, full=False))
        epsilon = rate / longest + options.adam_epsilon * slope
    trivial = objective.loss.minimised_by_zero_scores()
    return Plan(
        rule=Adam(options.beta_1, options.beta_2, epsilon),
        schedule=lambda t: schedules.constant(t, rate) if trivial else schedules.damped(t, rate, delay),
        batch=batch,
        penalty=ElasticNet(explicit=0.0),
        unit=objective.score_scale(),
        whitening=whitening,
        average_from=sgd.averaging(options, batch, objective.n, default=True),
        polynomial_averaging=True,
        variance_reduced=steps > 1,
        run=sgd.neighbours(objective, batch),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change if trivial else 1,
        may_plateau=trivial,
        smooth_rate=1.0 / (h * largest) if largest > 0.0 else 0.0,
        safe_rate_factor=lambda: sgd.safe_rate_factor(objective, whitening, batch),
    )
