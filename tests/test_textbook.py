"""With an explicit rate, solvers make textbook steps in raw coordinates: NumPy computes the same steps, starting from zero."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, log_softmax, softmax
from scipy.special import huber as scipy_huber
from sklearn.linear_model import SGDClassifier, SGDRegressor

from skgd import GDClassifier, GDRegressor
from skgd.losses.registry import CLASSIFICATION_LOSSES

N, D, EPOCHS, SEED = 83, 4, 3, 7
ALPHA = 0.05


class Problem:
    """Data, an estimator, and its loss in NumPy: the values and the residuals of rows at scores Z (m, K)."""

    def __init__(self, estimator, y, columns, value, residual):
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(N, D)) * [0.5, 1.0, 2.0, 0.1] + [0.0, 0.5, 0.0, 1.0]
        self.weights = rng.uniform(0.2, 2.0, N)
        self.y, self.columns, self.value, self.residual = y, columns, value, residual
        self.estimator = partial(
            estimator, learning_rate="constant", eta0=0.1, standardize=False, average=False, tol=None, alpha=ALPHA
        )

    def gradient(self, theta, rows, l2, s):
        """The gradient of the smooth part of the objective on a batch; the last row is the intercept's, without penalty."""
        A = np.column_stack([self.X[rows], np.ones(len(rows))])
        R = s[rows, None] * self.residual(A @ theta, rows)
        return A.T @ R / len(rows) + l2 * theta * (np.arange(D + 1) < D)[:, None]

    def objective(self, theta, l1, l2):
        values = self.value(self.X @ theta[:-1] + theta[-1], np.arange(N))
        return values.mean() + l1 * abs(theta[:-1]).sum() + 0.5 * l2 * (theta[:-1] ** 2).sum()


def binary():
    y = np.random.default_rng(1).integers(2, size=N)
    column = y[:, None]
    return Problem(
        GDClassifier,
        np.array(["no", "yes"])[y],
        1,
        lambda Z, rows: np.logaddexp(0.0, Z) - column[rows] * Z,
        lambda Z, rows: expit(Z) - column[rows],
    )


def multinomial():
    y = np.random.default_rng(1).integers(3, size=N)
    onehot = np.eye(3)[y]
    return Problem(
        GDClassifier,
        y,
        3,
        lambda Z, rows: -(onehot[rows] * log_softmax(Z, axis=1)).sum(axis=1),
        lambda Z, rows: softmax(Z, axis=1) - onehot[rows],
    )


def two_targets():
    Y = np.random.default_rng(1).normal(size=(N, 2)) * [1.0, 3.0] + [0.0, 2.0]
    return Problem(GDRegressor, Y, 2, lambda Z, rows: 0.5 * ((Z - Y[rows]) ** 2).sum(axis=1), lambda Z, rows: Z - Y[rows])


def huber():
    y = np.random.default_rng(1).normal(size=N)
    return Problem(
        partial(GDRegressor, loss="huber", epsilon=0.5),
        y,
        1,
        lambda Z, rows: scipy_huber(0.5, Z[:, 0] - y[rows]),
        lambda Z, rows: np.clip(Z - y[rows, None], -0.5, 0.5),
    )


@pytest.fixture(params=[binary, multinomial, two_targets, huber], ids=lambda make: make.__name__)
def problem(request):
    return request.param()


def soft(w, threshold):
    return np.sign(w) * np.maximum(abs(w) - threshold, 0.0)


def epoch_batches(batch, epochs, shuffle):
    """The numbers of the rows of each step, epoch after epoch."""
    random_state = np.random.RandomState(SEED)
    for _ in range(epochs):
        order = random_state.permutation(N) if shuffle else np.arange(N)
        yield from (order[first : first + batch] for first in range(0, N, batch))


def plain(theta, state, t, rate, gradient):
    return theta - rate * gradient(theta)


def heavy_ball(theta, state, t, rate, gradient, momentum=0.9):
    """Polyak (1964)."""
    new = theta - rate * gradient(theta) + momentum * (theta - state.get("before", theta))
    state["before"] = theta
    return new


def nesterov(theta, state, t, rate, gradient, momentum=0.9):
    """Sutskever et al. (2013), equations 3 and 4, written in terms of the points at which gradients are computed."""
    v = state.get("v", np.zeros_like(theta))
    w = theta - momentum * v
    state["v"] = momentum * v - rate * gradient(theta)
    return w + state["v"] + momentum * state["v"]


def adam(theta, state, t, rate, gradient, beta_1=0.9, beta_2=0.999, epsilon=1e-8, l1=0.0):
    """Kingma and Ba (2015), algorithm 1, followed by a proximal step for L1 in the same metric."""
    g = gradient(theta)
    state["m"] = beta_1 * state.get("m", 0.0) + (1.0 - beta_1) * g
    state["v"] = beta_2 * state.get("v", 0.0) + (1.0 - beta_2) * g**2
    metric = rate / (np.sqrt(state["v"] / (1.0 - beta_2**t)) + epsilon)
    return shrunk(theta - metric * state["m"] / (1.0 - beta_1**t), metric, l1)


def plain_l1(theta, state, t, rate, gradient, l1):
    return shrunk(plain(theta, state, t, rate, gradient), rate, l1)


def shrunk(theta, rate, l1):
    """The soft threshold of all coefficients except the intercept, which has no penalty."""
    return soft(theta, rate * l1 * (np.arange(D + 1) < D)[:, None])


def follow(problem, rule, batches, rate=lambda t: 0.1, l2=ALPHA, s=None):
    """The coefficients (D + 1, K) after each step, with the intercepts in the last row."""
    s = np.ones(N) if s is None else s
    theta, state, path = np.zeros((D + 1, problem.columns)), {}, []
    for t, rows in enumerate(batches, start=1):
        theta = rule(theta, state, t, rate(t), lambda theta, rows=rows: problem.gradient(theta, rows, l2, s))
        path.append(theta)
    return path


def coefficients(model):
    return np.vstack([np.atleast_2d(model.coef_).T, model.intercept_])


def assert_follows(model, expected):
    np.testing.assert_allclose(coefficients(model), expected, rtol=1e-12, atol=1e-12)


RULES = {
    "plain": (plain, {}),
    "heavy-ball": (heavy_ball, {"momentum": 0.9, "nesterovs_momentum": False}),
    "nesterov": (nesterov, {"momentum": 0.9, "nesterovs_momentum": True}),
}
EVERY_RULE = pytest.mark.parametrize(("rule", "params"), RULES.values(), ids=RULES.keys())


# ---------------------------------------------------------------- update rules
@EVERY_RULE
def test_gd_steps_along_the_gradient_over_all_rows(problem, rule, params):
    path = follow(problem, rule, [np.arange(N)] * 5)
    for steps in (1, 2, 5):
        model = problem.estimator(solver="gd", max_iter=steps, **params).fit(problem.X, problem.y)
        assert_follows(model, path[steps - 1])
        assert model.n_iter_ == steps


def test_loss_curve_is_the_objective_after_each_step(problem):
    path = [np.zeros((D + 1, problem.columns)), *follow(problem, plain, [np.arange(N)] * 4)]
    model = problem.estimator(solver="gd", max_iter=4).fit(problem.X, problem.y)
    np.testing.assert_allclose(model.loss_curve_, [problem.objective(theta, 0.0, ALPHA) for theta in path], rtol=1e-12)


@EVERY_RULE
@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("shuffle", [False, True])
def test_sgd_steps_on_rows_in_their_order_or_in_a_new_one_each_epoch(problem, rule, params, batch_size, shuffle):
    path = follow(problem, rule, epoch_batches(batch_size, EPOCHS, shuffle), rate=lambda t: 0.02)
    for epochs in (1, EPOCHS):
        model = problem.estimator(
            solver="sgd", max_iter=epochs, batch_size=batch_size, shuffle=shuffle, random_state=SEED, eta0=0.02, **params
        ).fit(problem.X, problem.y)
        assert_follows(model, path[len(path) // EPOCHS * epochs - 1])


def test_sgd_steps_on_single_rows_unless_told_otherwise(problem):
    path = follow(problem, plain, epoch_batches(1, 1, True))
    for solver in ("sgd", "auto"):
        assert_follows(problem.estimator(solver=solver, max_iter=1, random_state=SEED).fit(problem.X, problem.y), path[-1])


@pytest.mark.parametrize("batch_size", [1, 5, N])
@pytest.mark.parametrize("params", [{}, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}], ids=["defaults", "own"])
def test_adam_keeps_bias_corrected_moments(problem, batch_size, params):
    path = follow(problem, partial(adam, **params), epoch_batches(batch_size, EPOCHS, batch_size < N))
    names = {"epsilon": "adam_epsilon"}
    for epochs in (1, EPOCHS):
        model = problem.estimator(
            solver="adam",
            max_iter=epochs,
            batch_size=batch_size,
            random_state=SEED,
            **{names.get(name, name): value for name, value in params.items()},
        ).fit(problem.X, problem.y)
        assert_follows(model, path[len(path) // EPOCHS * epochs - 1])


# ---------------------------------------------------------------- penalties
@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize(("penalty", "ratio"), [("l1", 1.0), ("elasticnet", 0.4), ("l2", 0.0), (None, None)])
def test_l1_is_a_soft_threshold_of_the_rate_of_the_step(problem, penalty, ratio, batch_size):
    l1, l2 = (0.0, 0.0) if penalty is None else (ALPHA * ratio, ALPHA * (1.0 - ratio))
    path = follow(problem, partial(plain_l1, l1=l1), epoch_batches(batch_size, EPOCHS, True), l2=l2)
    model = problem.estimator(solver="sgd", penalty=penalty, max_iter=EPOCHS, batch_size=batch_size, random_state=SEED)
    if penalty == "elasticnet":
        model.set_params(l1_ratio=ratio)
    model.fit(problem.X, problem.y)
    assert_follows(model, path[-1])


@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_l1_steps_of_gd_and_adam(problem, solver):
    """There are enough steps for some coefficients to be exactly zero, in the reference and in the model."""
    alpha = 0.3
    rule, batch = (plain_l1, N) if solver == "gd" else (adam, 5)
    path = follow(problem, partial(rule, l1=alpha), epoch_batches(batch, 8, batch < N), l2=0.0)
    params = {} if solver == "gd" else {"batch_size": batch}
    model = problem.estimator(solver=solver, penalty="l1", alpha=alpha, max_iter=8, random_state=SEED, **params)
    model.fit(problem.X, problem.y)
    assert_follows(model, path[-1])
    assert (path[-1] == 0.0).any()
    np.testing.assert_array_equal(coefficients(model) == 0.0, path[-1] == 0.0)


# ---------------------------------------------------------------- rates
@pytest.mark.parametrize("batch_size", [1, 5])
def test_invscaling(problem, batch_size):
    path = follow(problem, plain, epoch_batches(batch_size, EPOCHS, True), rate=lambda t: 0.3 / t**0.6)
    model = problem.estimator(
        solver="sgd",
        learning_rate="invscaling",
        eta0=0.3,
        power_t=0.6,
        max_iter=EPOCHS,
        batch_size=batch_size,
        random_state=SEED,
    ).fit(problem.X, problem.y)
    assert_follows(model, path[-1])


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_optimal(problem, solver):
    """The rate is 1 / (alpha (t0 + t)), where t0 makes the first rate a typical weight divided by a typical derivative."""
    alpha = 0.5
    weight = alpha**-0.25
    derivative = 1.0 + weight if problem.columns == 2 else 1.0  # squared error at y = 1, z = -weight; other losses: at most 1
    first = weight / derivative
    t0 = 1.0 / (alpha * first) - 1.0
    batch = N if solver == "gd" else 5
    rule = adam if solver == "adam" else plain
    path = follow(problem, rule, epoch_batches(batch, 2, batch < N), rate=lambda t: 1.0 / (alpha * (t0 + t)), l2=alpha)
    params = {} if solver == "gd" else {"batch_size": batch}
    model = problem.estimator(
        solver=solver, learning_rate="optimal", eta0=0.01, alpha=alpha, max_iter=2, random_state=SEED, **params
    )
    assert_follows(model.fit(problem.X, problem.y), path[-1])


# ---------------------------------------------------------------- averages, weights, storage, intercept
@pytest.mark.parametrize(("average", "first"), [(True, 0), (1, 0), (100, 20)])
def test_average_is_the_mean_of_the_iterates(problem, average, first):
    """An integer counts rows.  Row 100 is in batch 21, because batch 17, the last one of an epoch, has only three rows."""
    path = follow(problem, plain, epoch_batches(5, EPOCHS, True))
    model = problem.estimator(solver="sgd", max_iter=EPOCHS, batch_size=5, random_state=SEED).set_params(average=average)
    assert_follows(model.fit(problem.X, problem.y), np.mean(path[first:], axis=0))


def test_without_enough_rows_for_averaging_the_result_is_the_last_iterate(problem):
    path = follow(problem, plain, epoch_batches(5, 1, True))
    model = problem.estimator(solver="sgd", max_iter=1, batch_size=5, random_state=SEED).set_params(average=10 * N)
    assert_follows(model.fit(problem.X, problem.y), path[-1])


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_sample_weights_multiply_the_gradients_of_rows(problem, solver):
    """The weights are divided by their mean."""
    s = problem.weights / problem.weights.mean()
    batch = N if solver == "gd" else 5
    path = follow(problem, adam if solver == "adam" else plain, epoch_batches(batch, EPOCHS, batch < N), s=s)
    params = {} if solver == "gd" else {"batch_size": batch}
    model = problem.estimator(solver=solver, max_iter=EPOCHS, random_state=SEED, **params)
    assert_follows(model.fit(problem.X, problem.y, sample_weight=problem.weights), path[-1])


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_csr_steps_are_the_same(problem, solver):
    problem.X = problem.X * (np.random.default_rng(2).uniform(size=(N, D)) < 0.5)
    batch = N if solver == "gd" else 5
    path = follow(problem, adam if solver == "adam" else plain, epoch_batches(batch, EPOCHS, batch < N))
    params = {} if solver == "gd" else {"batch_size": batch}
    model = problem.estimator(solver=solver, max_iter=EPOCHS, random_state=SEED, **params)
    assert_follows(model.fit(sp.csr_matrix(problem.X), problem.y), path[-1])


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_without_an_intercept_it_stays_zero(problem, solver):
    batch = N if solver == "gd" else 5
    whole = problem.gradient
    problem.gradient = lambda *args: whole(*args) * (np.arange(D + 1) < D)[:, None]
    path = follow(problem, adam if solver == "adam" else plain, epoch_batches(batch, EPOCHS, batch < N))
    params = {} if solver == "gd" else {"batch_size": batch}
    model = problem.estimator(solver=solver, max_iter=EPOCHS, random_state=SEED, fit_intercept=False, **params)
    assert_follows(model.fit(problem.X, problem.y), path[-1])
    np.testing.assert_array_equal(model.intercept_, 0.0)


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_warm_start_continues_from_the_coefficients(problem, solver):
    """A second fit starts from the coefficients of the first one, with a new momentum and new moments."""
    batch, rule = (N if solver == "gd" else 5), adam if solver == "adam" else plain
    model = problem.estimator(solver=solver, max_iter=1, shuffle=False, **({} if solver == "gd" else {"batch_size": batch}))
    start = coefficients(model.fit(problem.X, problem.y))
    theta, state = start, {}
    for t, rows in enumerate(epoch_batches(batch, 1, False), start=1):
        theta = rule(theta, state, t, 0.1, lambda theta, rows=rows: problem.gradient(theta, rows, ALPHA, np.ones(N)))
    assert_follows(model.set_params(warm_start=True).fit(problem.X, problem.y), theta)


# ---------------------------------------------------------------- scikit-learn's own
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(
    "rates",
    [
        {"learning_rate": "constant", "eta0": 0.05},
        {"learning_rate": "invscaling", "eta0": 0.3, "power_t": 0.4},
        {"learning_rate": "optimal", "eta0": 0.01},
    ],
    ids=lambda rates: rates["learning_rate"],
)
def test_binary_steps_are_those_of_sgdclassifier(rates, average):
    problem = binary()
    params = {"alpha": 0.1, "shuffle": False, "max_iter": EPOCHS, "tol": None, "average": average, **rates}
    expected = SGDClassifier(loss="log_loss", **params).fit(problem.X, problem.y)
    assert_follows(problem.estimator(solver="sgd", **params).fit(problem.X, problem.y), coefficients(expected))


STEEP_LOSSES = {"squared_error", "squared_hinge", "modified_huber", "squared_epsilon_insensitive"}


@pytest.mark.parametrize(
    ("loss", "learning_rate"),
    [(loss, "constant") for loss in sorted(set(CLASSIFICATION_LOSSES) - {"log_loss"})]
    + [(loss, "optimal") for loss in sorted(set(CLASSIFICATION_LOSSES) - STEEP_LOSSES)],
)
def test_steps_of_every_loss_are_those_of_sgdclassifier(loss, learning_rate):
    """Steps start at zero coefficients, where the perceptron is not smooth.  Three classes are three separate problems.

    Losses whose derivative is not bounded by one are not compared at optimal rates.  For them SGDClassifier uses the signed
    typical derivative, which is negative and therefore ignored, and its first steps are too long.
    """
    problem = multinomial()
    params = {"loss": loss, "shuffle": False, "max_iter": EPOCHS, "tol": None, "learning_rate": learning_rate, "alpha": 0.1}
    params |= {"eta0": 0.02 if learning_rate == "constant" else 0.01}
    params |= {"epsilon": 0.3} if "epsilon" in loss or loss == "huber" else {}
    for y in (problem.y == 1,) if loss == "log_loss" else (problem.y, problem.y == 1):
        expected = SGDClassifier(**params).fit(problem.X, y)
        assert_follows(GDClassifier(standardize=False, **params).fit(problem.X, y), coefficients(expected))


@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_regression_steps_are_those_of_sgdregressor(loss, learning_rate):
    problem = two_targets()
    params = {"loss": loss, "alpha": 0.1, "shuffle": False, "max_iter": EPOCHS, "tol": None}
    params |= {"learning_rate": learning_rate, "eta0": 0.05}
    expected = SGDRegressor(**params, average=False).fit(problem.X, problem.y[:, 0])
    assert_follows(problem.estimator(solver="sgd", **params).fit(problem.X, problem.y[:, 0]), coefficients(expected))
