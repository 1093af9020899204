"""partial_fit: Newton steps on rows against closed forms and NumPy, running moments, streams that change, and pickles."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.data.table import Table
from skgd.losses.cross_entropy import LogLoss, Softmax
from skgd.losses.regression import SquaredError
from skgd.streaming.moments import HORIZON, Moments
from skgd.streaming.recursive_newton import batch_loss, diagonal_steps, full_steps

HOW = pytest.mark.parametrize(
    "python", [False, True], ids=["compiled", "python"]
)  # the same loops as plain Python, where Numba leaves them


def function(kernel, python):
    return getattr(kernel, "py_func", kernel) if python else kernel


def batches(X, y, size=32):
    return [(X[i : i + size], y[i : i + size]) for i in range(0, X.shape[0], size)]


def stream(n=4000, d=6, seed=0, drift=0.0):
    """X, labels and scores; with a drift of 1, coefficients change their signs after half of the rows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(0.1, 100.0, d) + np.linspace(-5.0, 50.0, d)
    w = rng.normal(size=d)
    turn = np.where(np.arange(n) < n // 2, 1.0, 1.0 - 2.0 * drift)
    z = 2.0 * turn * (((X - np.linspace(-5.0, 50.0, d)) / np.geomspace(0.1, 100.0, d)) @ w)
    return X, (z + rng.logistic(size=n) > 0.0).astype(int), z


def prequential(model, X, y, size=32):
    """Share of right predictions of rows that were not learned yet."""
    right = 0
    for number, (rows, labels) in enumerate(batches(X, y, size)):
        right += np.sum(model.predict(rows) == labels) if number else 0
        model.partial_fit(rows, labels, classes=[0, 1])
    return right / len(y)


# ---------------------------------------------------------------- Newton steps on rows
def test_without_drift_they_are_recursive_least_squares(rng):
    """They minimise weighted squares plus the squared distance from the start in the metric of the first P."""
    A, Y, s = rng.normal(size=(50, 4)), rng.normal(size=(2, 50)), rng.uniform(0.5, 2.0, 50)
    start, prior = rng.normal(size=(4, 2)), np.diag([1.0, 2.0, 0.5, 3.0])
    theta, P = start.copy(), np.repeat(prior[None], 2, axis=0)
    full_steps(SquaredError(2), A, Y, s, theta, P, np.zeros(4), np.zeros(4), 0)
    H = np.linalg.inv(prior) + (A.T * s) @ A
    expected = np.linalg.solve(H, np.linalg.inv(prior) @ start + (A.T * s) @ Y.T)
    assert_allclose(theta, expected, rtol=1e-9)
    assert_allclose(P, [np.linalg.inv(H)] * 2, rtol=1e-9)


def test_the_penalty_of_all_rows_is_there_after_as_many_as_columns(rng):
    A, y = rng.normal(size=(40, 4)), rng.normal(size=(1, 40))
    ridge, prior = np.array([0.1, 0.0, 1.0, 0.0]), 2.0 * np.eye(4)
    theta, P = np.zeros((4, 1)), prior[None].copy()
    full_steps(SquaredError(1), A, y, np.ones(40), theta, P, np.zeros(4), ridge, 0)
    H = np.linalg.inv(prior) + A.T @ A + 40 * np.diag(ridge)
    assert_allclose(theta[:, 0], np.linalg.solve(H, A.T @ y[0]), rtol=1e-9)


def _logistic_reference(A, y, s, theta, P, drift):
    """The extended Kalman filter, in matrices."""
    for x, label, weight in zip(A, y, s, strict=True):
        P = P + weight * np.diag(drift * np.minimum(x**2, 1.0))
        p = 1.0 / (1.0 + np.exp(-x @ theta))
        h = weight * p * (1.0 - p)
        P = np.linalg.inv(np.linalg.inv(P) + h * np.outer(x, x))
        theta = theta - P @ x * weight * (p - label)
    return theta, P


@HOW
def test_logistic_steps_are_those_of_the_filter(python, rng):
    A, y, s = 0.5 * rng.normal(size=(30, 3)), rng.integers(2, size=30).astype(float), rng.uniform(0.5, 2.0, 30)
    drift = np.array([1e-3, 0.0, 1e-2])
    theta, P = np.zeros((3, 1)), np.eye(3)[None].copy()
    function(full_steps, python)(LogLoss(1), A, y[None], s, theta, P, drift, np.zeros(3), 0)
    expected, expected_P = _logistic_reference(A, y, s, np.zeros(3), np.eye(3), drift)
    assert_allclose(theta[:, 0], expected, rtol=1e-9)
    assert_allclose(P[0], expected_P, rtol=1e-9)


@HOW
def test_diagonal_steps_see_one_column_as_full_ones_do(python, rng):
    A, y = rng.normal(size=(30, 1)), rng.integers(2, size=(1, 30)).astype(float)
    full, diagonal = np.zeros((1, 1)), np.zeros((1, 1))
    P, p = np.ones((1, 1, 1)), np.ones((1, 1))
    arguments = LogLoss(1), A, y, np.ones(30)
    full_steps(*arguments, full, P, np.array([1e-3]), np.zeros(1), 0)
    function(diagonal_steps, python)(*arguments, diagonal, p, np.array([1e-3]), np.zeros(1), 0)
    assert_allclose(diagonal, full, rtol=1e-10)
    assert_allclose(p[0], P[0, 0], rtol=1e-10)


def test_batch_loss_is_the_sum_of_losses(rng):
    A, codes, s, theta = rng.normal(size=(9, 3)), rng.integers(3, size=9), rng.uniform(size=9), rng.normal(size=(3, 3))
    Z = A @ theta
    expected = s @ (np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(9), codes])
    assert batch_loss(Softmax(3, 0.25), A, codes[None].astype(float), s, theta) == pytest.approx(expected)


# ---------------------------------------------------------------- moments
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_moments_are_those_of_rows_that_fade(storage, rng):
    X, s = rng.normal(size=(500, 3)) * [1.0, 100.0, 1e-3] + [0.0, 1e9, 1.0], rng.uniform(0.5, 2.0, 500)
    moments, fading = Moments.none(3), []
    for first in range(0, 500, 50):
        part = slice(first, first + 50)
        moments.add(Table(storage(X[part]), np.empty((0, 50)), s[part]).column_moments)
        fading = [weights * np.exp(-s[part].sum() / HORIZON) for weights in fading] + [s[part]]
    weights = np.concatenate(fading)
    mean = np.average(X, axis=0, weights=weights)
    assert_allclose(moments.mean, mean, rtol=1e-12)
    assert_allclose(moments.squares, weights @ (X - mean) ** 2, rtol=1e-6)
    assert moments.weight == pytest.approx(weights.sum())


# ---------------------------------------------------------------- what is learned
@pytest.mark.parametrize("solver", ["auto", "sgd", "adam"])
def test_a_stream_is_learned_nearly_as_well_as_by_a_fit(solver):
    X, y, _ = stream()
    model = GDClassifier(solver=solver, random_state=0)
    accuracy = prequential(model, X, y)
    assert accuracy > GDClassifier().fit(X, y).score(X, y) - (0.02 if solver != "adam" else 0.04)
    assert model.t_ == 1 + len(y)
    assert model.n_iter_ == 1


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_it_is_better_than_sgd_behind_a_running_scaler(drift):
    X, y, _ = stream(drift=drift)
    scaler, theirs, right = StandardScaler(), SGDClassifier(loss="log_loss", random_state=0), 0
    for number, (rows, labels) in enumerate(batches(X, y)):
        right += np.sum(theirs.predict(scaler.transform(rows)) == labels) if number else 0
        theirs.partial_fit(scaler.partial_fit(rows).transform(rows), labels, classes=[0, 1])
    assert prequential(GDClassifier(), X, y) > right / len(y)


def test_several_classes_and_sparse_rows(three_classes, rng):
    X, y = three_classes
    order = rng.permutation(np.tile(np.arange(len(y)), 10))
    dense, sparse = GDClassifier(), GDClassifier()
    for rows, labels in batches(X[order], y[order], 50):
        dense.partial_fit(rows, labels, classes=[0, 1, 2])
        sparse.partial_fit(sp.csr_matrix(rows), labels, classes=[0, 1, 2])
    assert dense.score(X, y) > GDClassifier().fit(X, y).score(X, y) - 0.03
    assert_allclose(sparse.coef_, dense.coef_, rtol=1e-6)


def test_regression_of_several_targets():
    X, _, z = stream()
    Y = np.column_stack([z, 1e3 - 5.0 * z])
    model = GDRegressor()
    for rows, targets in batches(X, Y):
        model.partial_fit(rows, targets)
    assert model.score(X, Y) > 0.999
    assert model.coef_.shape == (2, 6)


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"])
def test_other_regression_losses(loss):
    X, _, z = stream()
    model = GDRegressor(loss)
    for rows, targets in batches(X, 100.0 * z + 7.0):
        model.partial_fit(rows, targets)
    assert model.score(X, 100.0 * z + 7.0) > 0.99


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "perceptron", "squared_error"])
def test_other_classification_losses(loss):
    X, y, _ = stream()
    assert prequential(GDClassifier(loss), X, y) > 0.8


def test_many_columns_go_without_a_matrix(rng):
    X = sp.random(2000, 1500, density=0.02, format="csr", random_state=0)
    y = (X @ rng.normal(size=1500) > 0.0).astype(int)
    model = GDClassifier()
    for _ in range(3):
        for rows, labels in batches(X, y, 200):
            model.partial_fit(rows, labels, classes=[0, 1])
    assert model._online.learners.P.ndim == 3
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("parameters", [{"penalty": "l1", "alpha": 0.05}, {"positive": True}, {"penalty": None}])
def test_penalties_hold(parameters):
    X, y, _ = stream(d=6)
    X = np.column_stack([X, np.random.default_rng(1).normal(size=len(y))])
    model = GDClassifier(**parameters)
    assert prequential(model, X, y) > 0.6
    if parameters.get("penalty") == "l1":
        assert model.coef_[0, -1] == 0.0
    if "positive" in parameters:
        assert (model.coef_ >= 0.0).all()
        assert (model.coef_ == 0.0).any()


# ---------------------------------------------------------------- streams that change
@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_the_unit_of_a_column_may_change(factor):
    """The unit of columns that matter changes from one batch to the next; after some time they are learned anew."""
    X, y, _ = stream(12_000)
    X[4000:, :3] *= factor
    model = GDClassifier()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prequential(model, X[:6000], y[:6000])
        late = prequential(model, X[6000:], y[6000:])
    assert late > 0.8


def test_a_column_may_be_constant_at_first():
    X, y, _ = stream()
    X[:500, :4] = 3.0
    model = GDClassifier()
    prequential(model, X[:2000], y[:2000])
    assert prequential(model, X[2000:], y[2000:]) > 0.8


@pytest.mark.parametrize("size", [1, 7, 4000])
def test_batches_of_any_size(size):
    X, y, _ = stream()
    model = GDClassifier()
    prequential(model, X, y, size)
    assert model.score(X, y) > 0.8


def test_a_fit_is_where_a_stream_goes_on(two_classes):
    X, y = two_classes
    model = GDClassifier().fit(X, y)
    coef, rows = model.coef_.copy(), model.t_
    model.partial_fit(X[:5], y[:5])
    scale = X.std(axis=0)
    assert np.abs((model.coef_ - coef) * scale).max() < 0.5 * np.abs(coef * scale).max()
    assert model.t_ == rows + 5
    assert not hasattr(model.fit(X, y), "_online")
    score = model.score(X, y)
    for row in range(30):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
    assert model.score(X, y) > score - 0.05


# ---------------------------------------------------------------- state
@pytest.mark.parametrize(
    "model",
    [
        GDClassifier(),
        GDClassifier(solver="adam", random_state=3),
        GDClassifier("perceptron", random_state=3),
        GDClassifier(learning_rate="invscaling", eta0=0.01, momentum=0.5, average=True, random_state=3),
        GDClassifier(solver="adam", learning_rate="constant", eta0=0.01, batch_size=8, random_state=3),
        GDClassifier(penalty="l1"),
    ],
    ids=["auto", "adam", "perceptron", "momentum, averaged", "adam, explicit", "l1"],
)
def test_pickles_between_calls_do_not_change_a_bit(model):
    X, y, _ = stream(400)
    X = X / X.std(axis=0)
    straight, pickled = clone(model), clone(model)
    for rows, labels in batches(X, y):
        straight.partial_fit(rows, labels, classes=[0, 1])
        pickled = pickle.loads(pickle.dumps(pickled)).partial_fit(rows, labels, classes=[0, 1])
    assert_array_equal(pickled.coef_, straight.coef_)
    assert_array_equal(pickled.intercept_, straight.intercept_)
    assert np.isfinite(straight.coef_).all()


@pytest.mark.parametrize("solver", ["auto", "adam"])
def test_a_failing_call_changes_nothing(solver):
    X, y, _ = stream(96)
    model, same = (GDClassifier(solver=solver, random_state=0) for _ in range(2))
    for rows, labels in batches(X[:64], y[:64]):
        model.partial_fit(rows, labels, classes=[0, 1])
        same.partial_fit(rows, labels, classes=[0, 1])
    with pytest.raises(ValueError, match="exceed the range of floats"):
        model.partial_fit(np.full((3, 6), 1e300), [0, 1, 0])
    with pytest.raises(ValueError, match="The label 5"):
        model.partial_fit(X[:2], [0, 5])
    assert_array_equal(model.coef_, same.coef_)
    model.partial_fit(X[64:], y[64:])
    assert_array_equal(model.coef_, same.partial_fit(X[64:], y[64:]).coef_)


def test_rows_of_weight_zero_do_not_exist(rng):
    X, y, _ = stream(300)
    weights = rng.integers(0, 2, 300).astype(float)
    model, kept = GDClassifier(), GDClassifier()
    for first in range(0, 300, 50):
        part = slice(first, first + 50)
        counted = weights[part] > 0
        model.partial_fit(X[part], y[part], classes=[0, 1], sample_weight=weights[part])
        kept.partial_fit(X[part][counted], y[part][counted], classes=[0, 1])
    assert_allclose(model.coef_, kept.coef_, rtol=1e-12)


NOTHING = pytest.mark.parametrize(
    "weights", [np.zeros(50), [0.0] * 50, np.zeros(50, dtype=int), 0], ids=["float", "list", "int", "0"]
)


@NOTHING
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("begin", ["fit", "partial_fit"])
def test_a_batch_without_weight_changes_nothing(begin, dtype, weights, three_classes):
    X, y = three_classes
    for model, target in ((GDClassifier(), y), (GDRegressor(), X[:, 0]), (GDRegressor(), X[:, :2])):
        how = {"classes": [0, 1, 2]} if isinstance(model, GDClassifier) and begin == "partial_fit" else {}
        getattr(model, begin)(X.astype(dtype), target, **how)
        before = pickle.dumps(model)
        assert model.partial_fit(X[:50], target[:50], sample_weight=weights) is model
        assert pickle.dumps(model) == before


@NOTHING
def test_a_first_batch_without_weight_leaves_coefficients_of_zero(weights, three_classes):
    """What comes after such a batch is learned as if the batch had not been there."""
    X, y = three_classes
    cases = [
        (GDClassifier(), y, {"classes": [0, 1, 2]}, (3, 6)),
        (GDClassifier("hinge"), y > 0, {"classes": [False, True]}, (1, 6)),
        (GDClassifier(learning_rate="constant", random_state=0), y > 0, {"classes": [False, True]}, (1, 6)),
        (GDRegressor(), X[:, 0], {}, (6,)),
        (GDRegressor(), X[:, :2], {}, (2, 6)),
    ]
    for model, target, how, shape in cases:
        plain = clone(model).partial_fit(X, target, **how)
        model.partial_fit(X[:50], target[:50], sample_weight=weights, **how)
        assert_array_equal(model.coef_, np.zeros(shape))
        assert_array_equal(model.intercept_, np.zeros(plain.intercept_.shape))
        assert model.t_ == 1
        assert model.n_features_in_ == 6
        assert model.predict(X).shape == target.shape
        if how:
            assert_array_equal(model.classes_, how["classes"])
        model.partial_fit(X, target)
        assert_array_equal(model.coef_, plain.coef_)
        assert model.t_ == plain.t_


def test_a_batch_without_weight_is_checked(regression):
    X, y = regression
    model = GDRegressor().partial_fit(X, y)
    zeros = np.zeros(len(y))
    with pytest.raises(ValueError, match="5 features"):
        model.partial_fit(X[:, :5], y, zeros)
    with pytest.raises(ValueError, match="have the shape"):
        model.partial_fit(X, np.column_stack([y, y]), zeros)
    with pytest.raises(ValueError, match=r"sample_weight\.shape"):
        model.partial_fit(X, y, zeros[:5])
    with pytest.raises(ValueError, match="classes must be passed"):
        GDClassifier().partial_fit(X, y > 0, sample_weight=zeros)
    assert model.predict(X).shape == y.shape


# ---------------------------------------------------------------- explicit rates: the textbook, resumed
@pytest.mark.parametrize("rate", ["constant", "invscaling", "optimal"])
@pytest.mark.parametrize("average", [False, True, 1, 40, 150, 190, 301, 10_000])
@pytest.mark.parametrize("batch_size", ["auto", 4, 64])
def test_calls_on_the_same_rows_are_epochs(batch_size, average, rate, two_classes):
    """The last batch of an epoch may be smaller."""
    X, y = two_classes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    how = {"learning_rate": rate, "eta0": 0.01, "alpha": 0.01, "shuffle": False}
    how |= {"batch_size": batch_size, "average": average}
    fitted = GDClassifier(max_iter=3, tol=None, **how).fit(X, y)
    resumed = GDClassifier(**how)
    for _ in range(3):
        resumed.partial_fit(X, y, classes=[0, 1])
    assert_allclose(resumed.coef_, fitted.coef_, rtol=1e-12)
    assert resumed.t_ == fitted.t_


@pytest.mark.parametrize("solver", ["sgd", "gd", "adam"])
@pytest.mark.parametrize("average", [1, 13, 14, 20, 41, 47, 60, 100])
def test_averaging_starts_at_the_same_row_in_calls_of_any_size(average, solver, regression):
    """Each call makes one step, and the average is the mean of the iterates from the one on that has seen the row."""
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    how = {"solver": solver, "learning_rate": "constant", "eta0": 0.05, "shuffle": False}
    how |= {} if solver == "gd" else {"batch_size": 64}
    averaged, plain, iterates, seen = GDRegressor(average=average, **how), GDRegressor(**how), [], 0
    for size in (10, 3, 1, 30, 2, 20, 9, 5):
        rows = slice(seen, seen + size)
        averaged.partial_fit(X[rows], y[rows])
        plain.partial_fit(X[rows], y[rows])
        seen += size
        iterates = [*iterates, plain.coef_] if seen >= average else []
        assert_allclose(averaged.coef_, np.mean(iterates or [plain.coef_], axis=0), rtol=1e-9)


@pytest.mark.parametrize("batch_size", [4, 7])
def test_averaging_in_a_fit_starts_at_its_row(batch_size, regression):
    """Steps on single batches, averaged in NumPy, give the same, also where the last batch of an epoch is smaller."""
    X, y = regression
    X, y = ((X - X.mean(axis=0)) / X.std(axis=0))[:30], y[:30]
    how = {"learning_rate": "constant", "eta0": 0.05, "batch_size": batch_size, "shuffle": False}
    for average in (1, 29, 30, 31, 57, 61, 62, 65, 88):
        fitted = GDRegressor(max_iter=3, tol=None, average=average, **how).fit(X, y)
        plain, iterates, seen = GDRegressor(**how), [], 0
        for rows, targets in 3 * batches(X, y, batch_size):
            plain.partial_fit(rows, targets)
            seen += len(targets)
            iterates = [*iterates, plain.coef_] if seen >= average else []
        assert_allclose(fitted.coef_, np.mean(iterates or [plain.coef_], axis=0), rtol=1e-9)


@pytest.mark.parametrize("batch_size", [4, 64])
def test_a_schedule_goes_on_after_epochs_whose_last_batch_is_smaller(batch_size, regression):
    X, y = regression
    X, y = ((X - X.mean(axis=0)) / X.std(axis=0))[:30], y[:30]
    how = {"learning_rate": "invscaling", "eta0": 0.1, "shuffle": False, "tol": None, "batch_size": batch_size}
    resumed = GDRegressor(max_iter=3, **how).fit(X, y).partial_fit(X, y)
    assert_allclose(resumed.coef_, GDRegressor(max_iter=4, **how).fit(X, y).coef_, rtol=1e-12)


def test_steps_are_those_of_sgd(regression):
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    ours = GDRegressor(learning_rate="invscaling", eta0=0.01, alpha=0.01, shuffle=False)
    theirs = SGDRegressor(eta0=0.01, alpha=0.01, shuffle=False)
    for rows, targets in batches(X, y):
        ours.partial_fit(rows, targets)
        theirs.partial_fit(rows, targets)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10)
    assert ours.t_ == theirs.t_


def test_gradient_descent_makes_one_step_a_batch(regression):
    X, y = regression
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = GDRegressor(solver="gd", learning_rate="constant", eta0=0.1, penalty=None).partial_fit(X, y)
    assert_allclose(model.coef_, 0.1 * X.T @ y / len(y), rtol=1e-12)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (GDClassifier(), {}, "classes must be passed on the first call to partial_fit"),
        (GDClassifier(class_weight="balanced"), {"classes": [0, 1]}, "class_weight 'balanced' is not supported"),
        (GDClassifier(early_stopping=True), {"classes": [0, 1]}, "early_stopping should be False with partial_fit"),
    ],
)
def test_what_cannot_work_is_named(model, arguments, message, two_classes):
    with pytest.raises(ValueError, match=message):
        model.partial_fit(*two_classes, **arguments)
    assert not hasattr(model, "coef_")


def test_some_cannot_learn_online_without_a_rate():
    assert not hasattr(GDClassifier(solver="gd"), "partial_fit")
    assert hasattr(GDClassifier(solver="gd", learning_rate="constant"), "partial_fit")
    with pytest.raises(AttributeError) as error:
        _ = GDRegressor(solver="gd").partial_fit
    assert "needs all rows at once" in str(error.value.__cause__)
    assert not hasattr(GDRegressor("poisson"), "partial_fit")
    counts = GDRegressor("poisson", learning_rate="constant", eta0=0.1)
    for _ in range(200):
        counts.partial_fit(np.ones((4, 1)), [1.0, 2.0, 3.0, 2.0])
    assert_allclose(counts.predict(np.ones((1, 1))), [2.0], rtol=0.2)


def test_later_batches_have_to_suit(two_classes):
    X, y = two_classes
    model = GDClassifier().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="5 features"):
        model.partial_fit(X[:, :5], y)
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, y, classes=[0, 1, 2])


def test_the_number_of_targets_may_not_change(regression):
    X, y = regression
    model = GDRegressor().partial_fit(X, y)
    with pytest.raises(ValueError, match="have the shape"):
        model.partial_fit(X, np.column_stack([y, y]))
    assert model.predict(X).shape == y.shape


def test_an_explicit_schedule_goes_on_after_a_fit(two_classes):
    X, y = two_classes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    how = {"learning_rate": "invscaling", "eta0": 0.1, "shuffle": False, "tol": None}
    all_at_once = GDClassifier(max_iter=4, **how).fit(X, y)
    resumed = GDClassifier(max_iter=3, **how).fit(X, y).partial_fit(X, y)
    assert_allclose(resumed.coef_, all_at_once.coef_, rtol=1e-12)
    assert resumed.t_ == all_at_once.t_
