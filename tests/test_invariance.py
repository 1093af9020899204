"""Properties that must not change a fit: storage of X, units of columns, weights or repetition, threads, label types."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skgd import GDClassifier, GDRegressor

SOLVERS = ["auto", "gd", "sgd", "adam"]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=["regression", "two_classes", "three_classes"])
def case(request):
    """An estimator class, X and y."""
    estimator = GDRegressor if request.param == "regression" else GDClassifier
    return (estimator, *request.getfixturevalue(request.param))


def outputs(model, X):
    """The scores of a classifier, or the predictions of a regressor."""
    return model.decision_function(X) if hasattr(model, "decision_function") else model.predict(X)


def assert_same_bits(a, b):
    assert_array_equal(a.coef_, b.coef_)
    assert_array_equal(a.intercept_, b.intercept_)
    assert a.loss_curve_ == b.loss_curve_


# ---------------------------------------------------------------- storage
@pytest.mark.parametrize(("solver", "penalty"), [*((solver, "l2") for solver in SOLVERS), ("auto", "l1"), ("gd", "l1")])
def test_dense_equals_csr(penalty, solver, case, rng):
    """The steps are the same up to rounding.  Batch sizes depend on the number of stored entries, so CSR stores all of them."""
    estimator, X, y = case
    parameters = {"solver": solver, "penalty": penalty, "alpha": 1e-3, "max_iter": 8, "random_state": 0}
    dense, sparse = estimator(**parameters).fit(X, y), estimator(**parameters).fit(sp.csr_matrix(X), y)
    assert_allclose(outputs(sparse, sp.csr_matrix(X)), outputs(dense, X), rtol=1e-8, atol=1e-8)
    assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_dense_and_csr_have_the_same_minimum_with_an_l1_penalty(solver, case):
    """The models at the ends of epochs are minimised in other ways, so the steps differ."""
    estimator, X, y = case
    parameters = {"solver": solver, "penalty": "l1", "alpha": 1e-3, "tol": 1e-10, "random_state": 0}
    dense, sparse = estimator(**parameters).fit(X, y), estimator(**parameters).fit(sp.csr_matrix(X), y)
    assert dense.converged_
    assert sparse.converged_
    assert_allclose(sparse.loss_curve_[-1], dense.loss_curve_[-1], rtol=1e-9)
    assert_allclose(outputs(sparse, sp.csr_matrix(X)), outputs(dense, X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_dense_equals_csr_with_zeros(solver, rng):
    """CSR stores a third of the entries, and none or all of some columns.  All rows are in one batch."""
    X = rng.normal(size=(60, 8)) * (rng.random((60, 8)) < 0.3)
    X[:, 2], X[:, 5] = 0.0, 1.0 + X[:, 5]
    y = X @ rng.normal(size=8) + 3.0 + 0.1 * rng.normal(size=60)
    parameters = {"solver": solver, "max_iter": 20, "random_state": 0}
    dense, sparse = GDRegressor(**parameters).fit(X, y), GDRegressor(**parameters).fit(sp.csr_matrix(X), y)
    assert_allclose(sparse.coef_, dense.coef_, rtol=1e-8, atol=1e-10)
    assert_allclose(sparse.intercept_, dense.intercept_, rtol=1e-8)


def _csr_64(X):
    X = sp.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def _csr_with_duplicates(X):
    """CSR in which every entry is stored as two halves, with the columns of a row in reverse order."""
    X = sp.csr_matrix(X)
    indptr = 2 * X.indptr
    order = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)])
    return sp.csr_matrix((np.repeat(X.data[order], 2) / 2, np.repeat(X.indices[order], 2), indptr), shape=X.shape)


def _strided(X):
    out = np.full((2 * X.shape[0], 3 * X.shape[1]), np.nan)
    out[::2, 1::3] = X
    return out[::2, 1::3]


def _reversed_memory(X):
    return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


@pytest.mark.parametrize(
    "store",
    [
        np.asfortranarray,
        _strided,
        _reversed_memory,
        _read_only,
        np.ndarray.tolist,
        pd.DataFrame,
        lambda X: pl.DataFrame(X, schema=list("abcdef")),
        _csr_64,
        _csr_with_duplicates,
        sp.csr_array,
        sp.csc_matrix,
        sp.csc_array,
        sp.coo_matrix,
        sp.lil_matrix,
        sp.bsr_array,
    ],
    ids=[
        "F-ordered", "strided", "reversed", "read-only", "lists", "pandas", "polars",
        "64-bit CSR", "duplicates", "CSR array", "CSC", "CSC array", "COO", "LIL", "BSR",
    ],
)  # fmt: skip
def test_storage_does_not_matter(store, case):
    estimator, X, y = case
    stored = store(X)
    expected = estimator().fit(X, y)
    model = estimator().fit(stored, y)
    assert_allclose(outputs(model, stored), outputs(expected, X), rtol=1e-8, atol=1e-8)
    if not sp.issparse(stored):
        assert_same_bits(model, expected)


@pytest.mark.parametrize(
    ("storage", "dtype"),
    [
        *itertools.product([np.asarray, sp.csr_matrix], [np.int8, np.uint8, np.int32, np.int64, bool, np.longdouble]),
        (np.asarray, np.float16),  # SciPy has no sparse matrices of float16
        (np.asarray, object),
    ],
)
def test_other_types_are_converted(storage, dtype, rng):
    X = rng.integers(0, 2 if dtype is bool else 5, size=(80, 4))
    y = X @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=80)
    expected = GDRegressor().fit(X.astype(float), y)
    model = GDRegressor().fit(storage(X.astype(dtype)), y)
    # float16 becomes float32
    assert_allclose(model.coef_, expected.coef_, rtol=1e-4 if model.coef_.dtype == np.float32 else 1e-10)


@pytest.mark.parametrize(
    "y_type", [np.asarray, list, pd.Series, pl.Series, lambda y: y[::-1].copy()[::-1], lambda y: y.astype(np.float32)]
)
def test_storage_of_targets_does_not_matter(y_type, case):
    estimator, X, y = case
    assert_allclose(estimator().fit(X, y_type(y)).coef_, estimator().fit(X, y).coef_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_float32_is_near_float64(storage, case):
    estimator, X, y = case
    single, double = storage(X.astype(np.float32)), storage(X)
    model, expected = estimator(tol=1e-10).fit(single, y), estimator(tol=1e-10).fit(double, y)
    assert outputs(model, single).dtype == np.float32
    scale = np.abs(X).max(axis=0) * np.abs(model.coef_)  # rounding of X moves scores by this much
    assert_allclose(outputs(model, single), outputs(expected, double), atol=1e-5 * scale.sum())


# ---------------------------------------------------------------- weights
def _repeated(rng, X, y):
    weights = rng.integers(0, 4, len(y))
    weights[:5] = [0, 1, 2, 3, 3]
    rows = np.repeat(np.arange(len(y)), weights)
    return weights.astype(float), X[rows], y[rows]


@pytest.mark.parametrize("solver", ["auto", "gd"])
@pytest.mark.parametrize("penalty", ["l2", "l1", None])
def test_weights_equal_repetition(penalty, solver, case, rng):
    estimator, X, y = case
    weights, X_repeated, y_repeated = _repeated(rng, X, y)
    parameters = {"solver": solver, "penalty": penalty, "alpha": 1e-3, "tol": 1e-12}
    weighted, repeated = estimator(**parameters).fit(X, y, weights), estimator(**parameters).fit(X_repeated, y_repeated)
    assert_allclose(outputs(weighted, X), outputs(repeated, X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_weights_equal_repetition_in_one_batch(storage, solver, case, rng):
    """Up to 64 rows are one batch, so the steps are the same up to rounding."""
    estimator, X, y = case
    weights, X_repeated, y_repeated = _repeated(rng, X[:36], y[:36])
    assert len(y_repeated) <= 64
    parameters = {"solver": solver, "alpha": 1e-3, "max_iter": 50, "tol": None}
    weighted = estimator(**parameters).fit(storage(X[:36]), y[:36], weights)
    repeated = estimator(**parameters).fit(storage(X_repeated), y_repeated)
    assert_allclose(outputs(weighted, X), outputs(repeated, X), rtol=1e-6, atol=1e-6)
    assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_weights_equal_repetition_to_tolerance(solver, case, rng, objective):
    """The batches differ but the minimum does not: both fits come near it."""
    estimator, X, y = case
    weights, X_repeated, y_repeated = _repeated(rng, X, y)
    parameters = {"solver": solver, "alpha": 1e-2, "max_iter": 300, "random_state": 0}
    weighted, repeated = estimator(**parameters).fit(X, y, weights), estimator(**parameters).fit(X_repeated, y_repeated)
    best = objective(estimator(alpha=1e-2, tol=1e-10).fit(X, y, weights), X, y, weights)
    for model in (weighted, repeated):
        assert objective(model, X, y, weights) <= 1.01 * best


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
def test_rows_of_weight_zero_do_not_count(storage, solver, case, rng):
    estimator, X, y = case
    weights = np.where(rng.random(len(y)) < 0.3, 0.0, rng.uniform(0.5, 2.0, len(y)))
    kept = weights > 0
    spoilt, changed = X.copy(), y.copy()
    spoilt[~kept] *= 1e6
    changed[~kept] = y.max() if estimator is GDClassifier else 1e9
    parameters = {"solver": solver, "max_iter": 8, "random_state": 0}
    model = estimator(**parameters).fit(storage(spoilt), changed, weights)
    assert_same_bits(model, estimator(**parameters).fit(storage(X[kept]), y[kept], weights[kept]))


def test_classes_of_weight_zero_do_not_count(three_classes):
    X, y = three_classes
    model = GDClassifier().fit(X, y, (y != 1).astype(float))
    assert_array_equal(model.classes_, [0, 2])
    assert_same_bits(model, GDClassifier().fit(X[y != 1], y[y != 1]))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [1e-200, 1e-3, 7.0, 1e200])
def test_the_unit_of_weights_does_not_matter(factor, solver, case, rng):
    estimator, X, y = case
    weights = rng.uniform(0.5, 2.0, len(y))
    parameters = {"solver": solver, "max_iter": 8, "random_state": 0}
    expected = estimator(**parameters).fit(X, y, weights)
    model = estimator(**parameters).fit(X, y, factor * weights)
    assert_allclose(outputs(model, X), outputs(expected, X), rtol=1e-8, atol=1e-8)


CONSTRAINED = {"positive": [True, False] * 3, "alpha": np.geomspace(1e-3, 1e-1, 6)}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize(("parameters", "soft"), [(CONSTRAINED, False), ({}, True)], ids=["constrained", "soft labels"])
def test_weights_of_constrained_fits_and_soft_labels(parameters, soft, storage, solver, three_classes, rng):
    """All rows are in one batch.  Weight zero does not count, weight two counts twice, and the unit of weights is free."""
    X, y = three_classes[0][:30], three_classes[1][:30]
    labels = rng.dirichlet(np.ones(3), 30) if soft else y
    weights = np.arange(30) % 3
    model = GDClassifier(solver=solver, max_iter=20, tol=None if solver in ("sgd", "adam") else 1e-10, **parameters)
    X_repeated, y_repeated = np.repeat(X, weights, axis=0), np.repeat(labels, weights, axis=0)
    expected = outputs(clone(model).fit(storage(X_repeated), y_repeated), X)
    for factor in (1.0, 0.01):
        assert_allclose(outputs(clone(model).fit(storage(X), labels, factor * weights), X), expected, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- units and offsets
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("change", ["units", "offsets"])
def test_units_and_offsets_do_not_matter(change, solver, case):
    """Without a penalty the steps are the same in other units."""
    estimator, X, y = case
    factors, shifts = np.ones(6), np.zeros(6)
    if change == "units":
        factors = np.array([1e-3, 1e3, 30.0, 1.0, 1e2, 1e-1])
    else:
        shifts = 100.0 * np.array([1.0, -1.0, 0.5, 0.0, 0.1, -1.0]) * X.std(axis=0)
    parameters = {"solver": solver, "penalty": None, "max_iter": 20, "random_state": 0}
    expected = outputs(estimator(**parameters).fit(X, y), X)
    changed = X * factors + shifts
    assert_allclose(outputs(estimator(**parameters).fit(changed, y), changed), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("units", [(2.0**-415, 2.0**236), (2.0**490, 2.0**-490), (2.0**-490, 2.0**490)])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive"])
def test_units_at_the_ends_of_the_range_do_not_matter(loss, storage, units, rng):
    """Found by test_fuzz.py: curvature times squares of unscaled columns underflowed to zero, and fits stayed at zero."""
    x, y = units
    X = rng.normal(size=(60, 5)) * (rng.random((60, 5)) < 0.3)
    z = X.sum(axis=1) + rng.normal(size=60)

    def curve(x, y):
        model = GDRegressor(loss, alpha=0.0)
        model.epsilon = model.epsilon if loss == "squared_error" else 0.5 * y
        return model.fit(storage(x * X), y * z).loss_curve_

    unit = y if loss == "epsilon_insensitive" else y * y
    assert_array_equal(np.array(curve(x, y)) / unit, curve(1.0, 1.0))


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_unit_of_a_target_does_not_matter(solver, regression):
    """Even the number of iterations stays the same, because `tol` is relative."""
    X, y = regression
    model = GDRegressor(solver=solver, random_state=0, penalty=None, tol=1e-3)
    expected = model.fit(X, y).predict(X)
    iterations = model.n_iter_
    for factor in (1e-6, 1e6):
        assert_allclose(model.fit(X, factor * y).predict(X), factor * expected, rtol=1e-6)
        assert model.n_iter_ == iterations


def test_the_order_of_columns_does_not_matter(case):
    estimator, X, y = case
    order = np.array([3, 5, 0, 1, 4, 2])
    model, expected = estimator(tol=1e-10).fit(X[:, order], y), estimator(tol=1e-10).fit(X, y)
    assert_allclose(model.coef_, expected.coef_[..., order], rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- seeds and threads
@pytest.fixture(scope="module")
def large():
    """X with more than 65,536 entries, so that a pass has several chunks for threads."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(7000, 10)) * 10.0 ** rng.integers(-2, 3, 10)
    return X, X @ (rng.normal(size=10) / X.std(axis=0)) + rng.normal(size=7000)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_threads_and_repeats_give_the_same_bits(classes, storage, solver, large):
    X, y = large
    X = storage(X)
    estimator = GDClassifier if classes else GDRegressor
    if classes:
        y = np.digitize(y, [0.0, 1.0][: classes - 1])
    models = [estimator(solver=solver, n_jobs=jobs, random_state=3, max_iter=2).fit(X, y) for jobs in (1, 2, 1, None)]
    for model in models[1:]:
        assert_same_bits(model, models[0])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_another_seed_is_another_order(solver, large):
    X, y = large
    fits = [GDRegressor(solver=solver, random_state=seed, max_iter=1).fit(X, y).coef_ for seed in (0, 1)]
    assert not np.array_equal(*fits)
    assert_allclose(*fits, rtol=0.3, atol=0.1 * np.abs(fits[0]).max())


def test_a_generator_is_drawn_from(large):
    """Two fits with the same RandomState object differ; two fits with equal but separate objects do not."""
    X, y = large
    state = np.random.RandomState(0)
    first, second = (GDRegressor(solver="sgd", random_state=state, max_iter=1).fit(X, y).coef_ for _ in range(2))
    assert not np.array_equal(first, second)
    assert_array_equal(GDRegressor(solver="sgd", random_state=np.random.RandomState(0), max_iter=1).fit(X, y).coef_, first)


def test_without_shuffling_no_seed_matters(large):
    X, y = large
    fits = [GDRegressor(solver="sgd", shuffle=False, random_state=seed, max_iter=1).fit(X, y).coef_ for seed in (0, 1)]
    assert_array_equal(*fits)


def test_fits_leave_the_global_generator_alone(two_classes):
    np.random.seed(0)  # noqa: NPY002  # the global state is the subject here
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # as above
    GDClassifier(solver="sgd", max_iter=2, random_state=0).fit(*two_classes)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002  # as above


# ---------------------------------------------------------------- labels
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["apple", "pear", "zebra"]),
        np.array(["apple", "pear", "zebra"], dtype=object),
        np.array([-7, -1, 100]),
        np.array([-1.0, 0.0, 2.0]),
        np.array([0, 200, 255], dtype=np.uint8),
        np.array([-3, 2**40, 2**62]),
    ],
    ids=["str", "object", "negative", "float", "uint8", "huge"],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_labels_of_any_type(classes, labels, two_classes, three_classes):
    X, y = two_classes if classes == 2 else three_classes
    model = GDClassifier().fit(X, labels[y])
    assert_array_equal(model.classes_, labels[:classes])
    assert model.classes_.dtype == labels.dtype
    expected = GDClassifier().fit(X, y)
    assert_same_bits(model, expected)
    assert_array_equal(model.predict(X), labels[expected.predict(X)])


def test_boolean_labels(two_classes):
    X, y = two_classes
    model = GDClassifier().fit(X, y.astype(bool))
    assert model.predict(X).dtype == bool
    assert_array_equal(model.predict(X), GDClassifier().fit(X, y).predict(X))


def test_labels_of_a_frame(two_classes):
    X, y = two_classes
    labels = np.array(["no", "yes"])[y]
    expected = GDClassifier().fit(X, labels).predict(X)
    for series in (pd.Series(labels), pd.Series(labels, dtype="category"), pl.Series(labels)):
        assert_array_equal(GDClassifier().fit(X, series).predict(X), expected)
