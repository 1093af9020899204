"""Codes of class labels, compared with np.unique and with scikit-learn's own check."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.utils.multiclass import check_classification_targets

from skgd import GDClassifier
from skgd.data import labels
from skgd.data.labels import encode

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4"]
LIMITS = np.iinfo(np.int64)


def assert_encoded(y):
    expected, inverse = np.unique(y, return_inverse=True)
    classes, codes = encode(y)
    assert_array_equal(classes, expected)
    assert_array_equal(codes, inverse)
    assert classes.dtype == expected.dtype


@pytest.mark.parametrize("dtype", [*INTEGERS, "f2", "f4", "f8", "?", "U3", "O"])
@pytest.mark.parametrize("values", [[0, 1], [1, 0, 2], [7, 3, 100], [5]])
def test_codes_are_those_of_unique(values, dtype, rng):
    y = rng.choice(np.array(values).astype("U3" if dtype == "O" else dtype), 300)
    assert_encoded(y.astype(dtype))


@pytest.mark.parametrize("values", [[-1, 1], [-3, 5, 0]])
@pytest.mark.parametrize("dtype", ["i1", "i8", "f4", "f8"])
def test_negative_labels(values, dtype, rng):
    assert_encoded(rng.choice(np.array(values, dtype=dtype), 300))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([-128, 127], "i1"),
        ([LIMITS.min, LIMITS.max], "i8"),
        ([LIMITS.max - 1, LIMITS.max], "i8"),
        ([2**64 - 2, 2**64 - 1], "u8"),
        ([2.0**60, 2.0**60 + 1024], "f8"),
        ([-1.0, 2.0**31], "f8"),
        ([0.0, 1e9], "f4"),
    ],
)
@pytest.mark.parametrize("n", [30, 1000])
def test_labels_at_the_ends_of_their_type(values, dtype, n, rng):
    assert_encoded(rng.choice(np.array(values, dtype=dtype), n))


def test_read_only_and_strided_labels(rng):
    y = rng.integers(0, 3, 600)
    y.flags.writeable = False
    assert_encoded(y[::2])


def test_labels_are_left_alone(rng):
    y = rng.integers(3, 5, 100)
    before = y.copy()
    _, codes = encode(y)
    codes[:] = 7
    assert_array_equal(y, before)


def test_a_table_replaces_the_general_path(rng, monkeypatch):
    monkeypatch.setattr(labels, "check_classification_targets", pytest.fail)
    for dtype in (bool, np.int64, np.int8, np.float64):
        encode(rng.integers(0, 2, 100).astype(dtype))


@pytest.mark.parametrize("values", [[0.0, 0.5], [-1.0, 1e-20], [1.5, 2.5, 3.5], [0.0, 1e300], [2.0**40, 2.0**40 + 0.25]])
def test_targets_that_are_no_labels_raise_what_scikit_learn_raises(values, rng):
    y = rng.choice(values, 100)
    with np.errstate(invalid="ignore"):  # the cast of 1e300 in scikit-learn's check
        _assert_same_outcome(y)


@pytest.mark.parametrize("classes", [9, 10, 11, 12, 14, 15, 16, 20])
@pytest.mark.parametrize("n", [20, 21, 22, 30])
@pytest.mark.parametrize("dtype", [int, float])
def test_many_classes_warn_as_in_scikit_learn(classes, n, dtype):
    _assert_same_outcome((np.arange(n) % classes).astype(dtype))


def _assert_same_outcome(y):
    assert _outcome(encode, y) == _outcome(check_classification_targets, y)


def _outcome(function, y):
    """The error and the warnings of a call, as text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function(y)
        except ValueError as error:
            return repr(error)
    return [str(warning.message) for warning in caught]


def test_a_fit_does_not_depend_on_the_kind_of_label(three_classes):
    X, y = three_classes
    expected = GDClassifier().fit(X, y)
    for others in (y.astype(float), y.astype(np.int8), 2 * y - 1, np.array(["a", "b", "c"])[y], y.astype(str).astype(object)):
        model = GDClassifier().fit(X, others)
        assert_array_equal(model.coef_, expected.coef_)
        assert_array_equal(model.classes_, np.unique(others))
