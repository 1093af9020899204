"""Parquet files as batches."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgd import GDClassifier, GDRegressor
from skgd.batches import parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N, D = 1000, 4
NAMES = [f"x{j}" for j in range(D)]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * np.logspace(-2, 2, D)
    return X, X @ (rng.normal(size=D) / np.logspace(-2, 2, D)) + rng.logistic(size=N), rng.uniform(0.5, 2.0, N)


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    """Two files of row groups of 300 rows: floats, integers, numbers and labels to predict, weights."""
    X, z, weights = rows
    folder = tmp_path_factory.mktemp("parquet")
    columns = {name: X[:, j] for j, name in enumerate(NAMES)}
    labels = pa.array(np.where(z > 0, "yes", "no")).dictionary_encode()
    table = pa.table({**columns, "z": z, "twice": 2.0 * z, "label": labels, "w": weights, "count": np.arange(N) % 7})
    for day, rows_of_day in enumerate((table[:640], table[640:])):
        pq.write_table(rows_of_day, folder / f"day-{day}.parquet", row_group_size=300)
    return folder


def test_batches_are_the_rows_of_all_files_in_order(rows, folder):
    X, z, weights = rows
    batches = parquet(folder / "day-*.parquet", target="z", columns=NAMES, weight="w", batch_size=128)
    for _ in range(2):
        read = list(batches)
        assert max(len(y) for _, y, _ in read) <= 128
        assert_array_equal(np.concatenate([np.asarray(batch) for batch, _, _ in read]), X)
        assert_array_equal(np.concatenate([y for _, y, _ in read]), z)
        assert_array_equal(np.concatenate([w for _, _, w in read]), weights)


def test_labels_of_a_dictionary(rows, folder):
    X, z, weights = rows
    model = GDClassifier(solver="gd").fit_batches(parquet(folder, target="label", columns=NAMES, weight="w"))
    assert_array_equal(model.classes_, ["no", "yes"])
    assert_array_equal(model.feature_names_in_, NAMES)
    assert_allclose(model.coef_, GDClassifier().fit(X, z > 0, weights).coef_, rtol=1e-9)


def test_all_columns_but_the_target_and_the_weight_are_features(rows, folder):
    X, z, _ = rows
    with pytest.raises(ValueError, match=r"Column 'label' holds dictionary<.*>, not numbers: encode it, or name the columns"):
        parquet(folder, target="z", weight="w")
    both = parquet(folder / "day-0.parquet", target=["z", "twice"], columns=[*NAMES, "count"])
    model = GDRegressor().fit_batches(both)
    expected = GDRegressor().fit(np.column_stack([X, np.arange(N) % 7])[:640], np.column_stack([z, 2.0 * z])[:640])
    assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


def test_what_is_not_there(folder):
    with pytest.raises(FileNotFoundError, match=re.escape("There is no file")):
        parquet(folder / "night-*.parquet", target="z")
    with pytest.raises(ValueError, match=r"There is no column 'y' in .*: its columns are x0, x1"):
        parquet(folder, target="y", columns=NAMES)


def test_missing_values_are_named(rows, folder, tmp_path):
    X, z, _ = rows
    table = pa.table({"x": [*X[:9, 0], None], "z": z[:10]})
    pq.write_table(table, tmp_path / "holes.parquet")
    with pytest.raises(ValueError, match="Partition 0: Input X contains NaN"):
        GDRegressor().fit_batches(parquet(tmp_path / "holes.parquet", target="z"))
