"""Memory maps are read without copying them into memory, or a warning says why they have to be copied."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skgd import GDClassifier, GDRegressor

N, D = 200_000, 20  # 16 MB of float32


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The path of a file with a float32 array in C order."""
    path = tmp_path_factory.mktemp("maps") / "X.npy"
    rng = np.random.default_rng(0)
    np.save(path, (rng.normal(size=(N, D)) * np.logspace(-2, 2, D) + 1.0).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def z(path):
    X = np.load(path)
    return (X - X.mean(axis=0)) / X.std(axis=0) @ np.random.default_rng(1).normal(size=D) / 4.0


def peak(function):
    """The largest number of bytes that a second call allocates at one time; the first call compiles."""
    function()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("solver", ["auto", "sgd", "adam"])
def test_a_fit_copies_nothing(solver, path, z):
    X, size = np.load(path, mmap_mode="r"), 4 * N * D
    regressor, classifier = GDRegressor(solver=solver, max_iter=2, tol=None), GDClassifier(solver=solver, max_iter=2, tol=None)
    # The fit needs some vectors of N floats, and a sample of an eighth of the rows.
    assert peak(lambda: regressor.fit(X, z)) < 0.8 * size
    assert peak(lambda: classifier.fit(X, z > 0)) < 0.8 * size


def test_predictions_copy_nothing(path, z):
    X, model = np.load(path, mmap_mode="r"), GDClassifier().fit(np.load(path), z > 0)
    for method in (model.predict, model.predict_proba, model.decision_function):
        assert peak(lambda method=method: method(X)) < 40 * N
        assert_array_equal(method(X), method(np.load(path)))


def test_large_samples_are_not_copied():
    from skgd.data.table import SAMPLE, Table

    X = np.broadcast_to(np.float64(0.0), (SAMPLE, 3))
    table = Table.__new__(Table)
    table.X = X
    assert not table.thins(8)  # three eighths of 512 MiB
    assert table.thins(32)


@pytest.mark.parametrize(
    ("dtype", "order", "message"),
    [
        (np.int16, "C", "X is a memory map that is of int16: all of it is copied"),
        (np.float32, "F", "X is a memory map that is not in C order: all of it is copied"),
        (">f4", "F", "X is a memory map that is of >f4 and is not in C order"),
    ],
)
def test_a_map_that_has_to_be_copied_warns(dtype, order, message, path, z, tmp_path):
    X = np.load(path)
    stored = np.lib.format.open_memmap(tmp_path / "copy.npy", "w+", dtype, (3 * N, D), order == "F")
    stored[:N] = stored[N : 2 * N] = stored[2 * N :] = X
    z = np.tile(z, 3)
    with pytest.warns(UserWarning, match=message) as said:
        GDRegressor().fit(stored, z)
    assert "float32 or float64 in C order" in str(said[0].message)
    assert said[0].filename == __file__


def test_other_maps_do_not_warn(path, z):
    """Maps that need no copy and small maps cause no warning; warnings are errors here."""
    GDRegressor().fit(np.load(path, mmap_mode="r"), z)
    GDRegressor().fit(np.load(path, mmap_mode="r")[:100:2], z[:100:2])
