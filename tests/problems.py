"""What several test files share: formulas of the losses in NumPy, and small objectives in standardised coordinates."""

import os

import numpy as np
import pytest
import sklearn
from packaging.version import Version
from scipy.special import huber as scipy_huber
from scipy.special import kl_div
from sklearn.linear_model import LogisticRegression

from skgd import GDRegressor
from skgd.coordinates import identity
from skgd.data.table import Table
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import SquaredError
from skgd.objective import Objective
from skgd.options import Options
from skgd.penalties import elastic_net

NIGHTLY = os.environ.get("SKGD_NIGHTLY") == "1"  # whether to run the tests that take too long for every day
# The losses of targets y and scores z, given the parameters epsilon and quantile.
FORMULAS = {
    "log_loss": lambda y, z, **_: np.logaddexp(0.0, z) - y * z,
    "hinge": lambda y, z, **_: np.maximum(0.0, 1.0 - y * z),
    "squared_hinge": lambda y, z, **_: np.maximum(0.0, 1.0 - y * z) ** 2,
    "modified_huber": lambda y, z, **_: np.where(y * z >= -1.0, np.maximum(0.0, 1.0 - y * z) ** 2, -4.0 * y * z),
    "perceptron": lambda y, z, **_: np.maximum(0.0, -y * z),
    "squared_error": lambda y, z, **_: 0.5 * (y - z) ** 2,
    "huber": lambda y, z, epsilon=0.1, **_: scipy_huber(epsilon, y - z),
    "epsilon_insensitive": lambda y, z, epsilon=0.1, **_: np.maximum(0.0, np.abs(y - z) - epsilon),
    "squared_epsilon_insensitive": lambda y, z, epsilon=0.1, **_: np.maximum(0.0, np.abs(y - z) - epsilon) ** 2,
    "quantile": lambda y, z, quantile=0.5, **_: np.where(y >= z, quantile * (y - z), (1.0 - quantile) * (z - y)),
    "poisson": lambda y, z, **_: kl_div(y, np.exp(z)),
    "gamma": lambda y, z, **_: y * np.exp(-z) - 1.0 - np.log(y) + z,
}
N, D = 40, 4
LOSSES = {"binary": LogLoss(1), "two columns": LogLoss(2), "softmax": Softmax(3, 0.2)}
SQUARED = {"squared": SquaredError(1), "two targets": SquaredError(2)}


def targets(loss, rng, n=N):
    """Random targets, or codes of classes, (T, n)."""
    if isinstance(loss, Softmax):
        return rng.integers(loss.n_outputs, size=(1, n)).astype(float)
    if isinstance(loss, LogLoss):
        return rng.integers(2, size=(loss.n_outputs, n)).astype(float)
    return rng.normal(size=(loss.n_outputs, n))


def objective_of(loss, X=None, *, Y=None, weighted=False, l1=0.0, l2=0.1, fit_intercept=True, d=D):
    """An objective for X, or for N random rows of d columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, d)) + np.linspace(-1.0, 1.0, d) if X is None else X
    n, d = X.shape
    Y = targets(loss, rng, n) if Y is None else Y
    s = rng.uniform(0.1, 2.0, n) if weighted else np.ones(n)
    objective = Objective(Table(X, Y, s / s.mean()), loss, elastic_net(l1, l2, d), identity(d, fit_intercept))
    return objective.in_coordinates(objective.standardise(fit_intercept))


def default_options(**parameters):
    """The options of an estimator with the solver sgd."""
    model = GDRegressor(solver="sgd", **parameters)
    values = model.get_params() | {"alpha": 1e-4, "momentum": 0.0, "average": "auto", "random_state": np.random.RandomState(0)}
    return Options(**{name: values[name] for name in Options.__dataclass_fields__})


def random_theta(objective, seed=1):
    """Random coefficients (d + 1, K); zeros for columns of scale 0."""
    theta = np.random.default_rng(seed).normal(size=(objective.d + 1, objective.K))
    return theta * (objective.coordinates.scale > 0.0)[:, None]


def older_than(version):
    """Whether the installed scikit-learn is older than this version."""
    return Version(sklearn.__version__) < Version(version)


def since(version, what):
    """A mark that skips a test of what scikit-learn has from this version on, if an older one is installed."""
    return pytest.mark.skipif(older_than(version), reason=f"{what} from scikit-learn {version} on")


def sparse_logistic_regression(*, l1_ratio=1.0, **parameters):
    """scikit-learn's logistic regression with an L1 penalty or an elastic net."""
    if older_than("1.8"):  # l1_ratio alone does not choose the penalty there
        parameters["penalty"] = "l1" if l1_ratio == 1.0 else "elasticnet"
        l1_ratio = None if l1_ratio == 1.0 else l1_ratio
    return LogisticRegression(l1_ratio=l1_ratio, **parameters)


def path(objective, steps, seed=1):
    """Random steps from point to point, each with the change of the gradient of the loss part."""
    theta = random_theta(objective, seed)
    for number in range(steps):
        step = random_theta(objective, seed + 1 + number)
        yield step, objective.evaluate(theta + step)[1] - objective.evaluate(theta)[1]
        theta = theta + step
