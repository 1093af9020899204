"""Rows in batches: the optimum of all rows, in few passes, with a batch in memory at a time."""

import re
import warnings
import weakref
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from problems import since
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgd import GDClassifier, GDRegressor
from skgd.batches import mapped

N, D = 1500, 6


@pytest.fixture(scope="module")
def rows():
    """Raw columns of several scales, scores that explain some of what follows from them, weights, some of them zero."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(N, D))
    X = Z * np.logspace(-3, 3, D) + np.linspace(-5.0, 5.0, D)
    weights = rng.uniform(0.1, 2.0, N) * (rng.random(N) < 0.9)
    return X, Z @ rng.normal(size=D) + rng.logistic(size=N), weights


def cut(*arrays, size=400, empty=False):
    """Tuples of consecutive rows of the arrays."""
    edges = [*range(0, arrays[0].shape[0], size), arrays[0].shape[0]]
    if empty:
        edges = sorted([*edges, edges[1], edges[-1]])
    return [tuple(array[first:last] for array in arrays) for first, last in pairwise(edges)]


class Counted:
    """Batches that know how often they were read."""

    def __init__(self, batches):
        self.batches, self.passes = batches, 0

    def __iter__(self):
        self.passes += 1
        return iter(self.batches)


def targets_of(loss, z):
    if loss in ("poisson", "gamma"):
        return np.round(np.exp(0.3 * z), 0 if loss == "poisson" else 3) + (loss == "gamma")
    return z


CLASSIFIERS = [
    GDClassifier(),
    GDClassifier(penalty="l1", alpha=1e-2),
    GDClassifier("hinge", alpha=1e-2),
    GDClassifier("squared_hinge"),
    GDClassifier(penalty=None, fit_intercept=False),
]
REGRESSORS = [
    GDRegressor(),
    GDRegressor(penalty="elasticnet", alpha=0.05),
    GDRegressor("huber", epsilon=0.5),
    GDRegressor("quantile", alpha=1e-2),
    GDRegressor("poisson"),
    GDRegressor("gamma"),
]


# ---------------------------------------------------------------- the optimum of all rows
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=str)
def test_gd_ends_where_a_fit_of_all_rows_ends(model, classes, rows, objective):
    X, z, weights = rows
    y = np.array(["no", "yes", "maybe"])[np.digitize(z, [0.0, 1.5][: classes - 1])]
    for tol in (1e-4, 1e-9) if model.loss != "hinge" else (1e-4,):
        model = clone(model).set_params(tol=tol, solver="gd")
        together = clone(model).fit(X, y, weights)
        apart = model.fit_batches(cut(X, y, weights, empty=True))
        assert_array_equal(apart.classes_, together.classes_)
        same = 1e-8 if model.loss != "hinge" else tol  # kinks are rounded where rows are in partitions
        assert objective(apart, X, y, weights) == pytest.approx(objective(together, X, y, weights), rel=same)
        assert apart.loss_curve_[-1] == pytest.approx(together.loss_curve_[-1], rel=same)


@pytest.mark.parametrize("model", REGRESSORS, ids=str)
def test_gd_of_a_regression_ends_where_a_fit_of_all_rows_ends(model, rows, objective):
    X, z, weights = rows
    y = targets_of(model.loss, z)
    model = clone(model).set_params(solver="gd", tol=1e-4 if model.loss == "quantile" else 1e-9)
    together = clone(model).fit(X, y, weights)
    apart = clone(model).fit_batches(cut(X, y, weights, size=333))
    same = 1e-8 if model.loss != "quantile" else model.tol  # kinks are rounded where rows are in partitions
    assert objective(apart, X, y, weights) == pytest.approx(objective(together, X, y, weights), rel=same)


@pytest.mark.parametrize("size", [97, 400, N])
def test_the_way_there_is_the_same_wherever_batches_are_cut(size, rows):
    """Not only the minimum: iterations, samples and curvature are those of `fit`, at any tolerance."""
    X, z, _ = rows
    y = (z > 0).astype(int)
    together, apart = GDClassifier().fit(X, y), GDClassifier(solver="gd").fit_batches(cut(X, y, size=size))
    assert_allclose(apart.coef_, together.coef_, rtol=1e-9)
    assert_allclose(apart.loss_curve_, together.loss_curve_, rtol=1e-12)
    assert apart.n_iter_ == together.n_iter_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("targets", [1, 2])
def test_csr_batches_of_several_targets(targets, dtype, rows):
    X, z, weights = rows
    X = sp.csr_matrix((X * (np.random.default_rng(1).random(X.shape) < 0.3)).astype(dtype))
    y = np.column_stack([z, np.sin(z)])[:, :targets].squeeze()
    together = GDRegressor(tol=1e-9).fit(X, y, weights)
    apart = GDRegressor(tol=1e-9).fit_batches(cut(X, y, weights))
    assert apart.coef_.dtype == dtype
    assert apart.coef_.shape == together.coef_.shape
    assert_allclose(apart.coef_, together.coef_, rtol=1e-4 if dtype == np.float32 else 1e-8)
    assert_allclose(apart.predict(X), together.predict(X), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 2: 0.2}])
def test_class_weights_count_as_in_a_fit_of_all_rows(class_weight, rows):
    X, z, weights = rows
    y = np.digitize(z, [0.5, 2.0])
    model = GDClassifier(class_weight=class_weight, solver="gd", tol=1e-9)
    together, apart = clone(model).fit(X, y, weights), clone(model).fit_batches(cut(X, y, weights))
    assert_allclose(apart.coef_, together.coef_, rtol=1e-6, atol=1e-9)


def test_classes_may_be_missing_in_a_partition_and_columns_constant_in_it(rows):
    X, z, _ = rows
    X, y = X.copy(), np.sort(np.digitize(z, [-1.0, 1.0]))
    X[:500, 2] = 7.0
    together = GDClassifier(tol=1e-9).fit(X, y)
    apart = GDClassifier(solver="gd", tol=1e-9).fit_batches(cut(X, y, size=250))
    assert_allclose(apart.coef_, together.coef_, rtol=1e-6, atol=1e-9)


def test_many_columns_with_l1_are_solved_in_working_sets(rows, objective):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 700))
    y = (X[:, :3].sum(axis=1) + rng.logistic(size=300) > 0).astype(int)
    model = GDClassifier(penalty="l1", alpha=0.05, tol=1e-8)
    together, apart = clone(model).fit(X, y), clone(model).fit_batches(cut(X, y, size=90))
    assert objective(apart, X, y) == pytest.approx(objective(together, X, y), rel=1e-7)
    assert_array_equal(apart.coef_ != 0.0, together.coef_ != 0.0)


def test_auto_makes_steps_in_the_first_pass_and_goes_on_with_gd(rows):
    X, z, _ = rows
    y = (z > 0).astype(int)
    batches = Counted(cut(X, y))
    model = GDClassifier(tol=1e-9, random_state=0).fit_batches(batches, classes=[0, 1])
    assert_allclose(model.coef_, GDClassifier(tol=1e-9).fit(X, y).coef_, rtol=1e-5, atol=1e-8)
    assert len(model.loss_curve_) == model.n_iter_ + 1 == batches.passes  # the first epoch summarises the rows, too
    assert model.loss_curve_[1] < 0.5 * (model.loss_curve_[0] + model.loss_curve_[-1])


def test_a_sample_of_wide_rows_is_small(monkeypatch):
    monkeypatch.setattr("skgd.data.summary.LARGEST_SAMPLE", 50)
    X = np.random.default_rng(0).normal(size=(200, 60))
    y = (X[:, 0] > 0).astype(int)
    model = GDClassifier(solver="gd", tol=1e-9).fit_batches(cut(X, y, size=30))
    assert_allclose(model.coef_, GDClassifier(tol=1e-9).fit(X, y).coef_, rtol=1e-5)


# ---------------------------------------------------------------- sgd and adam
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(
    "model",
    [
        GDClassifier(),
        GDClassifier(penalty="l1", alpha=1e-2),
        GDClassifier("hinge", alpha=1e-2),
        GDRegressor(),
        GDRegressor("huber"),
    ],
    ids=str,
)
def test_stochastic_solvers_come_within_a_percent(model, solver, rows, objective):
    X, z, weights = rows
    y = (z > 0).astype(int) if hasattr(model, "predict_proba") or model.loss == "hinge" else z
    model = clone(model).set_params(solver=solver, max_iter=30, tol=None, random_state=0)
    model.fit_batches(cut(X, y, weights, size=500))
    F = objective(clone(model).set_params(solver="gd", tol=1e-6).fit(X, y, weights), X, y, weights)
    assert objective(model, X, y, weights) <= 1.01 * F
    assert len(model.loss_curve_) == 31


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_stochastic_solvers_are_the_same_bits_again(solver, rows):
    X, z, _ = rows
    models = [GDRegressor(solver=solver, max_iter=4, tol=None, random_state=1).fit_batches(cut(X, z)) for _ in range(2)]
    assert_array_equal(models[0].coef_, models[1].coef_)


def test_sgd_of_rows_in_the_order_of_their_labels(rows, objective):
    """The worst of streams: batches of one class each."""
    X, z, _ = rows
    order = np.argsort(z)
    X, y = X[order], (z[order] > 0).astype(int)
    model = GDClassifier(solver="sgd", max_iter=40, random_state=0).fit_batches(cut(X, y, size=100), classes=[0, 1])
    assert objective(model, X, y) <= 1.01 * objective(GDClassifier().fit(X, y), X, y)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("rule", [{"solver": "sgd"}, {"solver": "sgd", "momentum": 0.9}, {"solver": "adam"}], ids=str)
def test_explicit_rates_go_on_from_batch_to_batch(rule, epochs, rows):
    """As epochs of the textbook on all rows, of which no batch is shuffled; a momentum is that of all rows, too."""
    X, z, _ = rows
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    textbook = {"learning_rate": "invscaling", "eta0": 0.01, "shuffle": False, "max_iter": epochs, "tol": None, **rule}
    together = GDRegressor(**textbook).fit(X, z)
    apart = GDRegressor(**textbook).fit_batches(cut(X, z, size=500))
    assert_allclose(apart.coef_, together.coef_, rtol=1e-10)
    assert_allclose(apart.intercept_, together.intercept_, rtol=1e-10)


# ---------------------------------------------------------------- passes and memory
def test_how_often_batches_are_read(rows):
    X, z, _ = rows
    y = (z > 0).astype(int)
    least_squares, known, unknown, sgd = Counted(cut(X, z)), Counted(cut(X, y)), Counted(cut(X, y)), Counted(cut(X, y))
    GDRegressor().fit_batches(least_squares)
    assert least_squares.passes == 2  # the summary, and the sums that determine the solution
    model = GDClassifier(tol=1e-9).fit_batches(known, classes=[0, 1])
    assert known.passes == model.n_iter_ + 1
    model = GDClassifier(tol=1e-9).fit_batches(unknown)
    assert unknown.passes == model.n_iter_ + 2
    GDClassifier(solver="sgd", max_iter=1, tol=None).fit_batches(sgd, classes=[0, 1])
    assert sgd.passes == 1


def test_one_pass_is_enough_for_one_epoch(rows, objective):
    X, z, _ = rows
    y = (z > 0).astype(int)
    model = GDClassifier(solver="sgd", max_iter=1, tol=None, random_state=0)
    model.fit_batches(iter(cut(X, y, size=100)), classes=[0, 1])
    assert objective(model, X, y) <= 1.05 * objective(GDClassifier().fit(X, y), X, y)
    assert model.n_iter_ == 1
    with pytest.warns(ConvergenceWarning, match="One epoch"):
        clone(model).set_params(tol=1e-4).fit_batches(iter(cut(X, y)), classes=[0, 1])


@pytest.mark.parametrize(
    ("model", "classes"),
    [(GDClassifier(), [0, 1]), (GDClassifier(solver="sgd"), [0, 1]), (GDClassifier(solver="sgd", max_iter=1), None)],
)
def test_a_generator_that_would_be_needed_twice_is_refused(model, classes, rows):
    X, z, _ = rows
    with pytest.raises(ValueError, match=r"batches is an iterator, which ends after one pass, .* a callable"):
        model.fit_batches(iter(cut(X, (z > 0).astype(int))), classes=classes)
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "n_features_in_")


def test_a_function_is_called_for_every_pass(rows):
    X, z, _ = rows
    calls = []

    def read():
        calls.append(1)
        yield from cut(X, z)

    assert_allclose(GDRegressor().fit_batches(read).coef_, GDRegressor().fit(X, z).coef_, rtol=1e-8)
    assert len(calls) == 2


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_few_batches_are_in_memory_at_a_time(solver):
    """Those that were read before are let go of."""
    alive, most = [], []

    class Rows(np.ndarray):
        pass

    def read():
        rng = np.random.default_rng(0)
        for _ in range(20):
            X = rng.normal(size=(200, 3)).view(Rows)
            alive.append(weakref.ref(X))
            most.append(sum(rows() is not None for rows in alive))
            yield X, (X[:, 0] + rng.logistic(size=200) > 0).astype(int)

    GDClassifier(solver=solver, max_iter=3, tol=None, random_state=0).fit_batches(read, classes=[0, 1])
    assert max(most) <= 3


def test_a_buffer_that_is_filled_again_and_again(rows):
    X, z, _ = rows
    buffer = np.empty((300, D))

    def read():
        for X_part, y in cut(X, (z > 0).astype(int), size=300):
            buffer[: len(X_part)] = X_part
            yield buffer[: len(X_part)], y

    model = GDClassifier(solver="gd").fit_batches(read)
    assert_allclose(model.coef_, GDClassifier().fit(X, (z > 0).astype(int)).coef_, rtol=1e-9)


# ---------------------------------------------------------------- kinds of batches
def arrow(X, names):
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.RecordBatch.from_arrays([pyarrow.array(column) for column in X.T], names=names)


NAMED = since("1.9", "today's polars and pyarrow have names")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(lambda X, names: pd.DataFrame(X, columns=names), id="pandas"),
        pytest.param(lambda X, names: pl.DataFrame(X, names), id="polars", marks=NAMED),
        pytest.param(arrow, id="arrow", marks=NAMED),
    ],
)
@pytest.mark.parametrize("classes", [None, [0, 1]])
def test_frames_keep_their_names(frame, classes, rows):
    X, z, _ = rows
    names, y = [f"column {j}" for j in range(D)], (z > 0).astype(int)
    batches = [(frame(X_part, names), pd.Series(y_part)) for X_part, y_part in cut(X, y)]
    model = GDClassifier(solver="gd").fit_batches(batches, classes=classes)
    assert_array_equal(model.feature_names_in_, names)
    assert_allclose(model.coef_, GDClassifier().fit(X, y).coef_, rtol=1e-9)
    assert_array_equal(model.predict(pd.DataFrame(X, columns=names)), GDClassifier().fit(X, y).predict(X))
    batches[1] = (frame(X[400:800], names[::-1]), y[400:800])
    with pytest.raises(ValueError, match="Partition 1"):
        GDClassifier().fit_batches(batches, classes=classes)


def test_partitions_that_are_elsewhere(rows, objective):
    """Everything that goes there and comes back is pickled, and no result is as large as the rows."""
    cloudpickle = pytest.importorskip("cloudpickle")
    X, z, weights = rows
    y, sizes = (z > 0).astype(int), []
    partitions = cut(X, y, weights, size=100)

    def everywhere(function):
        function = cloudpickle.loads(cloudpickle.dumps(function))
        results = [cloudpickle.dumps(function(number, partition)) for number, partition in enumerate(partitions)]
        sizes.extend(map(len, results))
        return [cloudpickle.loads(result) for result in results]

    for solver in ("auto", "sgd", "adam"):
        model = GDClassifier(solver=solver, random_state=0).fit_batches(mapped(everywhere))
        assert objective(model, X, y, weights) <= 1.01 * objective(GDClassifier().fit(X, y, weights), X, y, weights)
    assert_allclose(model.coef_, GDClassifier(solver="adam", random_state=0).fit_batches(mapped(everywhere)).coef_, rtol=0)


# ---------------------------------------------------------------- what a fit does besides
@pytest.mark.parametrize("solver", ["auto", "sgd"])
def test_early_stopping_on_rows_of_its_own(solver, rows):
    X, z, _ = rows
    y = (z > 0).astype(int)
    model = GDClassifier(solver=solver, early_stopping=True, tol=1e-9, random_state=0)
    model.fit_batches(cut(X[:1000], y[:1000]), classes=[0, 1], X_val=X[1000:], y_val=y[1000:])
    assert model.best_validation_score_ == model.score(X[1000:], y[1000:])
    with pytest.raises(ValueError, match="early_stopping=True needs X_val"):
        clone(model).fit_batches(cut(X, y))
    with pytest.raises(ValueError, match="set early_stopping=True, or leave X_val out"):
        GDClassifier().fit_batches(cut(X, y), X_val=X, y_val=y)


def test_a_warm_start_goes_on(rows):
    X, z, _ = rows
    model = GDRegressor("huber", warm_start=True, tol=1e-10).fit_batches(cut(X, z))
    before = model.coef_.copy()
    model.fit_batches(cut(X, z))
    assert_allclose(model.coef_, before, rtol=1e-6)
    assert model.loss_curve_[0] == pytest.approx(model.loss_curve_[-1], rel=1e-9)


def test_initial_coefficients(rows):
    X, z, _ = rows
    best = GDRegressor("huber", tol=1e-10).fit(X, z)
    model = GDRegressor("huber", tol=1e-10).fit_batches(cut(X, z), coef_init=best.coef_, intercept_init=best.intercept_)
    assert model.loss_curve_[0] == pytest.approx(best.loss_curve_[-1], rel=1e-9)


def test_a_fit_can_be_watched(rows):
    pytest.importorskip("sklearn.callback")

    class Counting:
        ended = 0

        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            self.ended += context.parent is not None and fitted_estimator is not None
            return False

    X, z, _ = rows
    counting = Counting()
    model = GDClassifier().set_callbacks(counting).fit_batches(cut(X, (z > 0).astype(int)))
    assert counting.ended == model.n_iter_ == len(model.loss_curve_) - 1


# ---------------------------------------------------------------- what is refused
def spoiled(rows, change):
    """Batches of which the second one is changed."""
    X, z, _ = rows
    batches = cut(X, (z > 0).astype(int))
    batches[1] = change(*batches[1])
    return batches


@pytest.mark.parametrize("classes", [None, [0, 1]])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (np.where(X == X[3, 2], np.nan, X), y), "Partition 1: Input X contains NaN"),
        (lambda X, y: (X[:, :-1], y), "Partition 1"),
        (lambda X, y: (X, y[:-1]), "Partition 1: .*inconsistent numbers of samples"),
        (lambda X, y: (X, y, -np.ones(len(y))), "Partition 1: Negative values"),
        (lambda X, y: X, "Partition 1 has to be a tuple"),
    ],
    ids=["NaN", "columns", "rows", "weights", "no tuple"],
)
def test_errors_name_the_partition_and_change_nothing(change, message, classes, rows):
    X, z, _ = rows
    model = GDClassifier().fit(X, (z > 0).astype(int))
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit_batches(spoiled(rows, change), classes=classes)
    assert vars(model) == before


def test_labels_have_to_be_known(rows):
    X, z, _ = rows
    y = np.digitize(z, [-1.0, 1.0])
    with pytest.raises(ValueError, match=re.escape("Partition 0: The label 2 is none of the classes [0, 1].")):
        GDClassifier().fit_batches(cut(X, y), classes=[0, 1])
    with pytest.raises(ValueError, match="The class 7 is in no partition: leave it out of classes"):
        GDClassifier().fit_batches(cut(X, y), classes=[0, 1, 2, 7])
    with pytest.raises(ValueError, match="at least two classes, but the partitions have one class: 0"):
        GDClassifier().fit_batches(cut(X, 0 * y))
    with pytest.raises(ValueError, match="Unknown label type"):
        GDClassifier().fit_batches(cut(X, z))


def test_targets_have_to_suit_the_loss(rows, monkeypatch):
    X, z, _ = rows
    y = np.zeros(N)
    y[-1] = 1.0
    monkeypatch.setattr("skgd.data.summary.LARGEST_SAMPLE", 60)
    few = GDRegressor("poisson").fit_batches(
        cut(X, y)
    )  # a partition of zeros alone is valid, even if the sample has no other targets
    assert few.predict(X).sum() == pytest.approx(1.0, rel=0.02)
    with pytest.raises(ValueError, match="loss='poisson' needs targets that are not all zero"):
        GDRegressor("poisson").fit_batches(cut(X, 0.0 * y))
    val = {"X_val": X[:5], "y_val": np.array([0.0, 1.0, 2.0, -1.0, 0.0])}
    with pytest.raises(ValueError, match="row 3 of y_val holds -1"):
        GDRegressor("poisson", early_stopping=True).fit_batches(cut(X, y), **val)
    y[700] = -1.0
    with pytest.raises(ValueError, match=r"Partition 1: loss='poisson' needs targets .* but row 300 of y holds -1"):
        GDRegressor("poisson").fit_batches(cut(X, y))
    batches = cut(X, z)
    batches[2] = (batches[2][0], np.column_stack([batches[2][1]] * 2))
    with pytest.raises(ValueError, match="Partition 2: y has 2 columns, and 1 in the partitions before"):
        GDRegressor().fit_batches(batches)


def test_batches_have_to_stay_the_same(rows):
    X, z, _ = rows
    y, passes = (z > 0).astype(int), []

    def fewer():
        passes.append(1)
        return iter(cut(X, y)[: 5 - len(passes)])

    with pytest.raises(ValueError, match="batches had 3 partitions in pass 2 and 4 before"):
        GDClassifier().fit_batches(fewer, classes=[0, 1])

    def shifting():
        passes.append(1)
        return iter(cut(X, y, size=400 + len(passes)))

    with pytest.raises(ValueError, match=r"Partition 0 has \d+ rows with a weight now, and had \d+"):
        GDClassifier().fit_batches(shifting, classes=[0, 1])


@pytest.mark.parametrize(
    "how", [{"classes": None}, {"classes": [0, 1], "class_weight": "balanced"}], ids=["labels", "balanced"]
)
@pytest.mark.parametrize("solver", ["auto", "gd", "sgd"])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda X, y: cut(X[:-7], y[:-7]), "Partition 3 has 293 rows with a weight now, and had 300 when it was first read"),
        (lambda X, y: cut(X, y, size=500), "Partition 0 has 500 rows with a weight now, and had 400"),
        (lambda X, y: cut(X, y)[:3], "batches had 3 partitions in pass 2 and 4 before"),
        (lambda X, y: [*cut(X, y), (X[:3], y[:3])], "There is a partition 4 now, but there were 4 partitions"),
        (lambda X, y: [(X[:0], y[:0]), *cut(X, y)[1:]], "Partition 0 has 0 rows with a weight now, and had 400"),
    ],
    ids=["rows", "cuts", "fewer", "more", "empty"],
)
def test_batches_have_to_stay_the_same_after_labels_were_read(second, message, solver, how, rows):
    """The pass that finds the labels, or what classes weigh, is a pass like others."""
    X, z, _ = rows
    y, passes = (z > 0).astype(int), []

    def read():
        passes.append(1)
        return iter(cut(X, y) if len(passes) == 1 else second(X, y))

    model = GDClassifier(solver=solver, class_weight=how.get("class_weight"), max_iter=1, tol=None)
    with pytest.raises(ValueError, match=message):
        model.fit_batches(read, classes=how["classes"])
    assert len(passes) == 2


@pytest.mark.parametrize("batches", [[], [(np.empty((0, 3)), np.empty(0))], [(np.ones((2, 3)), [0, 1], [0.0, 0.0])]])
@pytest.mark.parametrize("classes", [None, [0, 1]])
def test_there_have_to_be_rows(batches, classes):
    with pytest.raises(ValueError, match="There are no rows with a weight in any partition"):
        GDClassifier().fit_batches(batches, classes=classes)


def test_batches_that_are_none():
    with pytest.raises(TypeError, match="batches has to be an iterable"):
        GDClassifier().fit_batches(3)


def test_gradient_descent_of_the_textbook_needs_all_rows(rows):
    X, z, _ = rows
    with pytest.raises(ValueError, match="solver='gd' with an explicit learning_rate"):
        GDRegressor(solver="gd", learning_rate="constant").fit_batches(cut(X, z))


# ---------------------------------------------------------------- whatever comes
@pytest.mark.parametrize("solver", ["auto", "gd", "sgd", "adam"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_numbers_beyond_the_range_of_floats_are_an_error(storage, solver, rows):
    X, z, _ = rows
    wide = X.copy()
    wide[:, 3] *= 1e200
    with pytest.raises(ValueError, match="squares exceed the range of floats"):
        GDClassifier(solver=solver).fit_batches(cut(storage(wide), (z > 0).astype(int)))
    with pytest.raises(ValueError, match="squares exceed the range of floats"):
        GDRegressor(solver=solver).fit_batches(cut(storage(X), 1e200 * z))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["log_loss", "squared_error", "huber"]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.sampled_from(["l2", "l1", None]),
    st.booleans(),
)
def test_any_cut_of_any_rows(seed, loss, dtype, sparse, penalty, intercept):
    """Edges, weights and scales are drawn; gd ends at the coefficients of `fit`."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(20, 200)), int(rng.integers(1, 6))
    Z = rng.normal(size=(n, d)) * (rng.random((n, d)) < rng.choice([1.0, 0.4]))
    X = ((Z + rng.choice([0.0, 3.0])) * 10.0 ** rng.integers(-4, 5, d)).astype(dtype)
    z, weights = Z.sum(axis=1) + rng.logistic(size=n), rng.uniform(0.1, 2.0, n) * (rng.random(n) < 0.8)
    y = (z > np.median(z)).astype(int) if loss == "log_loss" else z
    edges = [0, *np.sort(rng.integers(0, n, rng.integers(0, 6))), n]
    X = sp.csr_matrix(X) if sparse else X
    batches = [(X[first:last], y[first:last], weights[first:last]) for first, last in pairwise(edges)]
    estimator = GDClassifier if loss == "log_loss" else GDRegressor
    model = estimator(loss, solver="gd", penalty=penalty, alpha=0.01, fit_intercept=intercept, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what both of them warn of
        together, apart = clone(model).fit(X, y, weights), clone(model).fit_batches(batches)
    F, F_apart = together.loss_curve_[-1], apart.loss_curve_[-1]
    assert F_apart <= F * (1.0 + 2.0 * model.tol) + 1e-12 * together.loss_curve_[0]
    assert F <= F_apart * (1.0 + 2.0 * model.tol) + 1e-12 * together.loss_curve_[0]
