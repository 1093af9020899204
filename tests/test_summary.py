"""Surveys of parts, merged: those of all rows."""

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
    X[:, 1] = np.where(np.arange(N) < 300, 7.0, X[:, 1])  # constant in some parts
    return storage(X), rng.normal(size=(2, N)) + 100.0, rng.uniform(0.1, 2.0, N)


def surveyed(X, Y, s, edges, stride=1):
    survey = None
    for first, last in pairwise(edges):
        table = Table(X[first:last], Y[:, first:last], s[first:last], first=first)
        here = Summary.of(table, np.array([1.0, last - first]), stride)
        survey = here if survey is None else survey.merged(here)
    return survey


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("edges", [[0, N], [0, 1, 120, 121, 400, N]], ids=str)
def test_moments_ranges_and_sizes_are_those_of_numpy(edges, storage):
    X, Y, s = rows(storage)
    survey = surveyed(X, Y, s, edges)
    A = X.toarray() if sp.issparse(X) else X
    mean = np.average(A, axis=0, weights=s)
    assert (survey.n, survey.sparse, survey.dtype) == (N, sp.issparse(X), np.float64)
    assert survey.entries == (X.nnz if sp.issparse(X) else X.size)
    assert survey.smallest_weight == s.min()
    assert survey.columns.weight == pytest.approx(s.sum(), rel=1e-12)
    assert_allclose(survey.columns.mean, mean, rtol=1e-12)
    assert_allclose(survey.columns.variance, np.average((A - mean) ** 2, axis=0, weights=s), rtol=1e-10)
    assert_array_equal([survey.low, survey.high], [A.min(axis=0), A.max(axis=0)])
    assert_allclose(survey.targets.mean, Y @ s / s.sum(), rtol=1e-12)
    assert_allclose(survey.targets.variance, [np.average((y - y @ s / s.sum()) ** 2, weights=s) for y in Y], rtol=1e-9)
    assert_array_equal(survey.classes, [len(edges) - 1.0, N])


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("largest", [10_000, 300, 40])
@pytest.mark.parametrize("stride", [1, 4])
def test_the_sample_is_of_rows_whose_numbers_are_multiples_of_its_stride(stride, largest, storage, monkeypatch):
    monkeypatch.setattr("skgd.data.summary.LARGEST", largest)
    X, Y, s = rows(storage)
    survey = surveyed(X, Y, s, [0, 33, 34, 250, N], stride)
    assert survey.stride >= stride
    for times in (1, 2, 8):
        every = slice(0, N, times * survey.stride)
        sample = survey.sample(times * survey.stride)
        assert_array_equal(sample.s, s[every])
        assert_array_equal(sample.Y, Y[:, every])
        expected = X[every]
        assert_array_equal(
            sample.X.toarray() if sp.issparse(X) else sample.X, expected.toarray() if sp.issparse(X) else expected
        )
    assert survey.sample(survey.stride).entries <= largest
    assert survey.stride == stride or survey.sample(survey.stride).entries > largest / 4


def test_one_row_is_kept_however_wide_it_is(monkeypatch):
    monkeypatch.setattr("skgd.data.summary.LARGEST", 2)
    X, Y, s = rows(np.asarray)
    assert surveyed(X, Y, s, [0, 100, N]).sample(1 << 20).n == 1


def test_a_constant_column_stays_constant():
    """Whatever parts it comes in, and however far off zero."""
    X, Y, s = np.full((N, 1), 1e15 / 3.0), np.zeros((1, N)), np.random.default_rng(0).uniform(0.1, 2.0, N)
    assert surveyed(X, Y, s, [0, 7, 200, N]).columns.coordinates(0.0, True).scale[0] == 0.0
