"""Small objectives of every loss, in standardised coordinates, that several files share."""

import numpy as np

from skgd.coordinates import identity
from skgd.losses import LogLoss, Softmax, SquaredError
from skgd.objective import Objective
from skgd.penalties import elastic_net

N, D = 40, 4
LOSSES = {"binary": LogLoss(1), "two columns": LogLoss(2), "softmax": Softmax(3, 0.2)}
SQUARED = {"squared": SquaredError(1), "two targets": SquaredError(2)}


def targets(loss, rng, n=N):
    """Targets or codes (T, n)."""
    if isinstance(loss, Softmax):
        return rng.integers(loss.columns, size=(1, n)).astype(float)
    if isinstance(loss, LogLoss):
        return rng.integers(2, size=(loss.columns, n)).astype(float)
    return rng.normal(size=(loss.columns, n))


def objective_of(loss, X=None, *, Y=None, weighted=False, l1=0.0, l2=0.1, fit_intercept=True, d=D):
    """An objective of X, or of N random rows of d columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, d)) + np.linspace(-1.0, 1.0, d) if X is None else X
    n, d = X.shape
    Y = targets(loss, rng, n) if Y is None else Y
    s = rng.uniform(0.1, 2.0, n) if weighted else np.ones(n)
    objective = Objective(X, loss, Y, s / s.mean(), elastic_net(l1, l2, d), identity(d, fit_intercept))
    return objective.in_coordinates(objective.standardise(fit_intercept))


def random_theta(objective, seed=1):
    """Coefficients of normal size, zero where there is nothing to multiply."""
    theta = np.random.default_rng(seed).normal(size=(objective.d + 1, objective.K))
    return theta * (objective.coordinates.scale > 0.0)[:, None]


def path(objective, steps, seed=1):
    """Steps between points, and the changes of the gradient of the loss part along them."""
    theta = random_theta(objective, seed)
    for number in range(steps):
        step = random_theta(objective, seed + 1 + number)
        yield step, objective.evaluate(theta + step)[1] - objective.evaluate(theta)[1]
        theta = theta + step
