"""Coordinates: conversion to and from raw coefficients, gradients, and the moments of columns they are made from."""

import numpy as np
import pytest
import scipy.sparse as sp

from skgd.coordinates import ColumnMoments, Coordinates, identity
from skgd.data import kernels
from skgd.data.rows import rows_of

STORAGE = pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])


def coordinates_of(X, s=None, ridge=0.0, fit_intercept=True, shift=None):
    """Standardised coordinates from one pass over X; sums are of differences from its heaviest row, unless a shift is given."""
    n, d = X.shape
    s = np.ones(n) if s is None else s
    if shift is None:
        shift = np.zeros(d)
        if fit_intercept:
            row = X[[int(np.argmax(s))]]
            shift = np.asarray(row.toarray() if sp.issparse(row) else row, dtype=float).ravel()
    moments = np.zeros((1, 4, d))
    kernels.moments(rows_of(X), s, shift, moments, kernels.Chunks(np.array([0, n]), 0, 1))
    return ColumnMoments.of_sums(moments[0], shift, n, float(s.sum())).coordinates(ridge, fit_intercept)


def sparse_data(n=60, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(2.0, 3.0, (n, d)) * (rng.uniform(size=(n, d)) < np.linspace(0.1, 1.0, d))


def weighted_mean_and_variance(X, s):
    mean = np.average(X, axis=0, weights=s)
    return mean, np.average((X - mean) ** 2, axis=0, weights=s)


# ---------------------------------------------------------------- to and from raw coefficients
@pytest.fixture
def coordinates():
    return Coordinates(np.array([3.0, -1e3, 0.5]), np.array([0.5, 1e-3, 20.0, 2.0]))


def test_raw_and_theta_are_inverse(coordinates):
    theta = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_allclose(coordinates.theta(*coordinates.raw(theta)), theta, rtol=1e-12)
    W, b = coordinates.raw(theta)
    for new, old in zip(coordinates.raw(coordinates.theta(W, b)), (W, b), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-12)


def test_scores_are_those_of_standardised_columns(coordinates):
    rng = np.random.default_rng(0)
    X, theta = rng.normal(size=(7, 3)), rng.normal(size=(4, 2))
    W, b = coordinates.raw(theta)
    standardised_rows = np.column_stack([X - coordinates.mean, np.ones(7)]) * coordinates.scale
    np.testing.assert_allclose(X @ W + b, standardised_rows @ theta, rtol=1e-11)


def test_gradient_is_that_of_a_function_of_raw_coefficients(coordinates):
    rng = np.random.default_rng(0)
    theta, A, c = rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.normal(size=2)

    def function(theta):
        W, b = coordinates.raw(theta)
        return np.sin(A * W).sum() + np.cos(c * b / 100.0).sum()

    W, b = coordinates.raw(theta)
    G = np.vstack([A * np.cos(A * W), -c / 100.0 * np.sin(c * b / 100.0)])
    gradient = coordinates.gradient(G)
    for j in range(4):
        for k in range(2):
            h = np.zeros_like(theta)
            h[j, k] = 1e-6
            assert gradient[j, k] == pytest.approx((function(theta + h) - function(theta - h)) / 2e-6, rel=1e-6, abs=1e-7)


def test_gradient_leaves_its_argument_alone(coordinates):
    G = np.ones((4, 2))
    coordinates.gradient(G)
    np.testing.assert_array_equal(G, 1.0)


def test_identity_coordinates_change_nothing():
    rng = np.random.default_rng(0)
    theta, G = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    W, b = identity(3, True).raw(theta)
    np.testing.assert_array_equal(np.vstack([W, b]), theta)
    np.testing.assert_array_equal(identity(3, True).gradient(G), G)


def test_without_an_intercept_it_stays_zero():
    rng = np.random.default_rng(0)
    theta, G = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    raw = identity(3, False)
    np.testing.assert_array_equal(raw.raw(theta)[1], 0.0)
    np.testing.assert_array_equal(raw.gradient(G)[-1], 0.0)
    np.testing.assert_array_equal(raw.theta(theta[:-1], theta[-1])[-1], 0.0)


def test_columns_of_scale_zero_keep_coefficient_zero():
    coordinates = Coordinates(np.array([5.0, 0.0]), np.array([0.0, 2.0, 1.0]))
    W, b = np.array([[7.0], [4.0]]), np.array([1.0])
    theta = coordinates.theta(W, b)
    np.testing.assert_array_equal(theta, [[0.0], [2.0], [36.0]])  # the constant column's effect is part of the intercept
    np.testing.assert_array_equal(coordinates.raw(theta)[0], [[0.0], [4.0]])
    assert coordinates.gradient(np.ones((3, 1)))[0, 0] == 0.0


def test_rescaled_intercept_exists_only_where_there_is_one():
    assert identity(2, True).rescaled_intercept(3.0).scale.tolist() == [1.0, 1.0, 3.0]
    assert identity(2, False).rescaled_intercept(3.0).scale.tolist() == [1.0, 1.0, 0.0]


# ---------------------------------------------------------------- statistics
@STORAGE
@pytest.mark.parametrize("weighted", [False, True])
def test_standardised_by_mean_and_variance(storage, weighted):
    X = sparse_data()
    s = np.random.default_rng(1).uniform(0.1, 3.0, len(X)) if weighted else np.ones(len(X))
    coordinates = coordinates_of(storage(X), s)
    mean, variance = weighted_mean_and_variance(X, s)
    np.testing.assert_allclose(coordinates.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(coordinates.scale, np.append(1.0 / np.sqrt(variance), 1.0), rtol=1e-12)


@STORAGE
def test_ridge_adds_to_the_variance(storage):
    X = sparse_data()
    coordinates = coordinates_of(storage(X), ridge=4.0)
    np.testing.assert_allclose(coordinates.scale[:-1], 1.0 / np.sqrt(X.var(axis=0) + 4.0), rtol=1e-12)


@STORAGE
def test_any_shift_gives_the_same_statistics(storage):
    """Zeros that CSR does not store are shifted, too."""
    X = sparse_data()
    for shift in (np.zeros(5), np.array([1.0, -2.0, 3.0, 0.0, 7.0])):
        coordinates = coordinates_of(storage(X), shift=shift)
        np.testing.assert_allclose(coordinates.mean, X.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(coordinates.scale[:-1], 1.0 / X.std(axis=0), rtol=1e-12)


@STORAGE
def test_weights_are_repetitions(storage):
    X, repeats = sparse_data(20), np.arange(20) % 4 + 1
    weighted, repeated = (
        coordinates_of(storage(X), repeats.astype(float)),
        coordinates_of(storage(np.repeat(X, repeats, axis=0))),
    )
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)


@STORAGE
def test_large_offsets_leave_the_deviation_exact(storage):
    X = np.random.default_rng(0).normal([1e8, -1e8, 0.0], 1.0, (500, 3))
    coordinates = coordinates_of(storage(X))
    exact = X.astype(np.longdouble)  # NumPy's own mean in float64 rounds at 1e8
    np.testing.assert_allclose(coordinates.mean[:2], exact.mean(axis=0)[:2].astype(float), rtol=1e-15)
    np.testing.assert_allclose(coordinates.scale[:-1], (1.0 / exact.std(axis=0)).astype(float), rtol=1e-12)


@STORAGE
@pytest.mark.parametrize("scale", [1e-20, 1e-10, 1e10, 1e20])
def test_columns_of_any_scale(storage, scale):
    X = sparse_data()
    coordinates, expected = coordinates_of(storage(X * scale)), coordinates_of(storage(X))
    np.testing.assert_allclose(coordinates.mean, expected.mean * scale, rtol=1e-12)
    np.testing.assert_allclose(coordinates.scale[:-1], expected.scale[:-1] / scale, rtol=1e-12)


@STORAGE
@pytest.mark.parametrize("value", [0.0, 0.1, -1e20, 1e-20, 1e8 / 3.0])
def test_constant_columns_get_scale_zero(storage, value):
    X = np.column_stack([np.full(70, value), np.arange(70.0)])
    s = np.random.default_rng(0).uniform(0.1, 1.0, 70)
    coordinates = coordinates_of(storage(X), s)
    assert coordinates.scale[0] == 0.0
    assert coordinates.mean[0] == pytest.approx(value, rel=1e-14)
    assert coordinates.scale[1] > 0.0


@STORAGE
def test_variation_within_rounding_of_the_mean_counts_as_none(storage):
    X = np.column_stack([1.0 + 1e-14 * (np.arange(50) % 2), 1.0 + 1e-9 * (np.arange(50) % 2)])
    scale = coordinates_of(storage(X)).scale
    assert scale[0] == 0.0
    assert scale[1] == pytest.approx(2e9, rel=1e-5)


@STORAGE
def test_without_an_intercept_nothing_is_centred(storage):
    X = np.column_stack([sparse_data(), np.full(60, 3.0), np.zeros(60)])
    s = np.random.default_rng(1).uniform(0.1, 3.0, 60)
    coordinates = coordinates_of(storage(X), s, ridge=0.25, fit_intercept=False)
    expected = 1.0 / np.sqrt(np.average(X[:, :-1] ** 2, axis=0, weights=s) + 0.25)
    np.testing.assert_array_equal(coordinates.mean, 0.0)
    np.testing.assert_allclose(coordinates.scale, np.append(expected, [0.0, 0.0]), rtol=1e-12)


@STORAGE
def test_one_row_has_no_variation(storage):
    coordinates = coordinates_of(storage(np.array([[1.0, 0.0, -5.0]])))
    np.testing.assert_array_equal(coordinates.mean, [1.0, 0.0, -5.0])
    np.testing.assert_array_equal(coordinates.scale, [0.0, 0.0, 0.0, 1.0])
