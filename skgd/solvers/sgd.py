"""Stochastic gradient descent: averaged, in standardised coordinates, with a rate derived from the data; or the textbook's.

The automatic rate is 1/(2 L), L the curvature that a batch of B rows sees: h (lambda (B - 1) + 2 trace) / B, with h the
smoothness of the loss, lambda and trace the largest eigenvalue and the sum of all of the (implicitly standardised)
second moments.  It is damped like 1/sqrt(t) from a quarter epoch on, and the iterates are averaged with growing
weights.  Batches of all rows are free of noise: their rate and iterate stand as they are.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .. import schedules
from ..history import History
from ..objective import Objective
from ..options import Options
from ..penalties import ElasticNet
from ..rows import stored_entries
from ..updates import Momentum
from . import Solution, stochastic
from .stochastic import Plan

SMALL = 64  # fewer rows make one batch
BATCH = 16
SAMPLE = 1000  # rows that the moments are estimated from
PATIENT = 500.0  # steps before rates are damped, where an epoch is shorter than that


def minimise(objective: Objective, theta: np.ndarray, options: Options, history: History) -> Solution:
    """Epochs of sgd; of gradient descent, where solver='gd' has an explicit rate."""
    if not options.automatic:
        return stochastic.minimise(objective, theta, textbook_plan(objective, options, _rule(options)), options, history)
    scaled, plan = automatic_plan(objective, options)
    here, there = objective.coordinates, scaled.coordinates
    solution = stochastic.minimise(scaled, there.theta(*here.raw(theta)), plan, options, history)
    return solution._replace(theta=here.theta(*there.raw(solution.theta)))


def automatic_plan(objective: Objective, options: Options) -> tuple[Objective, Plan]:
    """Rates derived from the data, and the objective in coordinates where one rate suits the intercept too."""
    h = objective.loss.smoothness()
    batch, steps = balanced_batch(objective, options, BATCH)
    largest, trace = second_moments(objective)
    full = steps == 1
    seen = largest if full else (largest * (batch - 1) + 2.0 * trace) / batch
    seen = seen if seen > 0.0 else 1.0  # there is only the intercept
    rate = 0.5 * (1.0 - options.momentum) / (h * seen)
    delay = max(0.25 * steps, PATIENT)
    plan = Plan(
        rule=_rule(options),
        schedule=lambda t: schedules.constant(t, rate) if full else schedules.damped(t, rate, delay),
        batch=batch,
        penalty=ElasticNet(explicit=0.0),
        unit=np.ones(objective.K),
        average_from=averaging(options, batch, default=not full),
        growing=True,
        capped=True,
        run=neighbours(objective, batch),
        shuffle=options.shuffle,
        smooth_rate=1.0 / (h * largest) if largest > 0.0 else 0.0,
    )
    # The intercept is uncorrelated with centred columns: its curvature is h alone, and its rate 1/(2 h).
    return objective.in_coordinates(objective.coordinates.rescaled_intercept(np.sqrt(seen))), plan


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

    batch = (
        objective.n if options.solver == "gd" else min(1 if options.batch_size == "auto" else options.batch_size, objective.n)
    )
    return Plan(
        rule=rule,
        schedule=schedule,
        batch=batch,
        penalty=ElasticNet(explicit=1.0),
        unit=np.ones(objective.K),
        average_from=averaging(options, batch, default=False),
        shuffle=options.shuffle,
        patience=options.n_iter_no_change,
        may_plateau=True,
        adaptive=options.learning_rate == "adaptive",
    )


def _rule(options: Options) -> Momentum:
    return Momentum(options.momentum, options.nesterovs_momentum)


def _typical_rate(objective: Objective, alpha: float) -> float:
    """The first rate of learning_rate='optimal': typical weight over typical derivative (Bottou, 2012, as SGDClassifier)."""
    typical = np.sqrt(1.0 / np.sqrt(alpha))
    derivative = abs(objective.loss.derivative(1.0, -typical)) if not objective.loss.coupled() else 1.0
    return typical / max(1.0, derivative)


def averaging(options: Options, batch: int, default: bool) -> int | None:
    """The step that averaging starts at, or None; `average` counts rows, as in SGDClassifier."""
    average = default if options.average == "auto" else options.average
    if average is False:
        return None
    return -(-int(average) // batch)


def balanced_batch(objective: Objective, options: Options, usual: int) -> tuple[int, int]:
    """Rows a step, and steps an epoch, of nearly equal batches.

    A step sweeps over all d columns: rows with few non-zeros come in larger batches, so that the sweep never costs
    much more than the rows.
    """
    n = objective.n
    if options.batch_size == "auto":
        nonzeros = stored_entries(objective.X) / n
        batch = n if n <= SMALL else int(np.clip(objective.d / (8.0 * max(nonzeros, 1.0)), usual, 256))
    else:
        batch = min(options.batch_size, n)
    steps = -(-n // batch)
    return -(-n // steps), steps


def neighbours(objective: Objective, batch: int) -> int:
    """Rows that stay together in a shuffle: about 2 KiB of X, which memory delivers at full speed, at most half a batch."""
    row = 8.0 * stored_entries(objective.X) / objective.n
    return int(np.clip(2048 / max(row, 1.0), 1, max(batch // 2, 1)))


def second_moments(objective: Objective) -> tuple[float, float]:
    """Largest eigenvalue and trace of sum_i s_i x~_i x~_i' / n, from at most a thousand evenly spaced rows."""
    mean, scale = objective.coordinates.mean, objective.coordinates.scale[:-1]
    index = np.linspace(0, objective.n - 1, min(objective.n, SAMPLE)).astype(np.intp)
    A = objective.X[index].astype(np.float64)  # float32 overflows where squares of its values do not
    s = objective.s[index] / objective.s[index].sum()
    squares = A.multiply(A) if sp.issparse(A) else A * A
    trace = s @ (squares @ scale**2) - 2.0 * (s @ (A @ (scale**2 * mean))) + np.sum((scale * mean) ** 2)
    v, largest = np.ones(objective.d), 0.0
    for _ in range(30):
        scores = A @ (scale * v) - mean @ (scale * v)
        product = scale * ((s * scores) @ A - mean * (s @ scores))
        largest = float(np.linalg.norm(product))
        if largest == 0.0:
            break
        v = product / largest
    return largest, max(float(trace), largest)
