"""Sums in a fixed tree: the same bits whoever adds what, and close to the exact sum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skgd.data.tree_sum import TreeSum


def contributions(count, seed=0, empty=()):
    """Numbers of all sizes, whose sum depends on the order; None where a partition is empty."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 2)) * 10.0 ** rng.integers(-8, 8, size=(count, 1))
    return [None if number in empty else (float(a), np.array([a, b])) for number, (a, b) in enumerate(values)]


def total(partial_sums):
    tree_sum = TreeSum()
    for number, sums in enumerate(partial_sums):
        tree_sum.add(sums, number)
    return tree_sum.total()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 100])
def test_total_is_the_sum(count):
    given_sums = contributions(count)
    scalar, vector = total(given_sums)
    exact = math.fsum(sums[0] for sums in given_sums)
    size = math.fsum(abs(sums[0]) for sums in given_sums)
    assert abs(scalar - exact) <= 8 * np.finfo(float).eps * size
    assert scalar == vector[0]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.randoms(use_true_random=False), st.integers(1, 5))
def test_bits_do_not_depend_on_who_holds_which_partition_nor_on_who_answers_first(count, random, workers):
    given_sums = contributions(count, empty={number for number in range(count) if random.random() < 0.2})
    expected = total(given_sums)
    owner = [random.randrange(workers) for _ in range(count)]
    answers = []
    for worker in range(workers):
        tree_sum = TreeSum()
        for number in range(count):
            if owner[number] == worker:
                tree_sum.add(given_sums[number], number)
        answers.append(tree_sum.nodes)
    random.shuffle(answers)
    tree_sum = TreeSum()
    for nodes in answers:
        tree_sum.merge(nodes)
    merged = tree_sum.total()
    if expected is None:
        assert merged is None
    else:
        assert merged[0] == expected[0]
        np.testing.assert_array_equal(merged[1], expected[1])


def test_the_order_matters_to_a_plain_sum_so_there_is_something_to_fix():
    values = np.array([sums[0] for sums in contributions(100)])
    assert np.cumsum(values)[-1] != np.cumsum(values[::-1])[-1]  # the sum of Python 3.12 makes up for rounding


def test_consecutive_partitions_are_sent_as_few_nodes():
    tree_sum = TreeSum()
    for number, sums in enumerate(contributions(64)):
        tree_sum.add(sums, number)
    assert len(tree_sum.nodes) == 1


def test_nothing_is_the_sum_of_empty_partitions():
    assert total([None, None, None]) is None
    assert TreeSum().total() is None
