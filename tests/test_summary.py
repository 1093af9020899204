"""The merged summaries of partitions are the summary of all rows."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skgd.data.summary import Summary
from skgd.data.table import Table

N, D = 500, 3


def rows(storage):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(N, D)) + np.array([0.0, 1e6, -3.0])) * (rng.random((N, D)) < [1.0, 1.0, 0.3])
    X[:, 1] = np.where(np.arange(N) < 300, 7.0, X[:, 1])  # constant in some partitions
    return storage(X), rng.normal(size=(2, N)) + 100.0, rng.uniform(0.1, 2.0, N)


def summarised(X, Y, s, edges, stride=1):
    summary = None
    for first, last in pairwise(edges):
        table = Table(X[first:last], Y[:, first:last], s[first:last], first=first)
        here = Summary.of(table, np.array([1.0, last - first]), stride)
        summary = here if summary is None else summary.merged(here)
    return summary


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("edges", [[0, N], [0, 1, 120, 121, 400, N]], ids=str)
def test_moments_ranges_and_sizes_are_those_of_numpy(edges, storage):
    X, Y, s = rows(storage)
    summary = summarised(X, Y, s, edges)
    A = X.toarray() if sp.issparse(X) else X
    mean = np.average(A, axis=0, weights=s)
    assert (summary.n, summary.sparse, summary.dtype) == (N, sp.issparse(X), np.float64)
    assert summary.entries == (X.nnz if sp.issparse(X) else X.size)
    assert summary.smallest_weight == s.min()
    assert summary.columns.weight == pytest.approx(s.sum(), rel=1e-12)
    assert_allclose(summary.columns.mean, mean, rtol=1e-12)
    assert_allclose(summary.columns.variance, np.average((A - mean) ** 2, axis=0, weights=s), rtol=1e-10)
    assert_array_equal([summary.low, summary.high], [A.min(axis=0), A.max(axis=0)])
    assert_allclose(summary.targets.mean, Y @ s / s.sum(), rtol=1e-12)
    assert_allclose(summary.targets.variance, [np.average((y - y @ s / s.sum()) ** 2, weights=s) for y in Y], rtol=1e-9)
    assert_array_equal(summary.class_totals, [len(edges) - 1.0, N])


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("largest", [10_000, 300, 40])
@pytest.mark.parametrize("stride", [1, 4])
def test_the_sample_is_of_rows_whose_numbers_are_multiples_of_its_stride(stride, largest, storage, monkeypatch):
    monkeypatch.setattr("skgd.data.summary.LARGEST_SAMPLE", largest)
    X, Y, s = rows(storage)
    summary = summarised(X, Y, s, [0, 33, 34, 250, N], stride)
    assert summary.stride >= stride
    for times in (1, 2, 8):
        every = slice(0, N, times * summary.stride)
        sample = summary.sample(times * summary.stride)
        assert_array_equal(sample.s, s[every])
        assert_array_equal(sample.Y, Y[:, every])
        expected = X[every]
        assert_array_equal(
            sample.X.toarray() if sp.issparse(X) else sample.X, expected.toarray() if sp.issparse(X) else expected
        )
    assert summary.sample(summary.stride).entries <= largest
    assert summary.stride == stride or summary.sample(summary.stride).entries > largest / 4


def test_one_row_is_kept_however_wide_it_is(monkeypatch):
    monkeypatch.setattr("skgd.data.summary.LARGEST_SAMPLE", 2)
    X, Y, s = rows(np.asarray)
    assert summarised(X, Y, s, [0, 100, N]).sample(1 << 20).n == 1


def test_a_constant_column_stays_constant():
    """Whatever partitions it comes in, and however far from zero it is."""
    X, Y, s = np.full((N, 1), 1e15 / 3.0), np.zeros((1, N)), np.random.default_rng(0).uniform(0.1, 2.0, N)
    assert summarised(X, Y, s, [0, 7, 200, N]).columns.coordinates(0.0, True).scale[0] == 0.0
