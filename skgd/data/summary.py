"""Summaries of partitions: the properties of all rows that a fit needs before its first iteration, found in one pass.

Each partition is summarised separately, and summaries are merged in the order of the partitions.  A summary holds a sample of
the rows, from which starting points and Hessians are computed.  The sample consists of the rows whose numbers are multiples of
a stride.  The stride doubles whenever the sample becomes too large.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..coordinates import ColumnMoments
from .table import Table

# The largest number of entries of X in the sample: 16 MiB of float64.  As long as every eighth row fits into it, gd on
# partitions samples the same rows as gd on a table.
LARGEST_SAMPLE = 1 << 21


class Summary(NamedTuple):
    """The summary of consecutive rows."""

    n: int  # the number of rows
    entries: int  # the number of stored entries of X
    dtype: np.dtype  # the dtype of X
    sparse: bool  # whether X is a CSR matrix in all partitions
    smallest_weight: float
    columns: ColumnMoments  # the moments of the columns of X
    low: np.ndarray  # (d,), the smallest entry of each column
    high: np.ndarray  # (d,), the largest entry of each column
    targets: ColumnMoments  # the moments of the T targets
    class_totals: np.ndarray  # (classes,), the sum of the weights of each class; of shape (0,) for regression
    stride: int  # the sample consists of the rows whose numbers are multiples of the stride
    # Pieces of the sample, each with the number of its first row within the sample: its row number divided by the stride.
    samples: list[tuple[int, Table]]

    @classmethod
    def of(cls, table: Table, class_totals: np.ndarray, stride: int = 1) -> Summary:
        """The summary of a table.  Two passes over the table, for the moments and for the ranges of its columns."""
        low, high = table.ranges()
        return cls(
            n=table.n,
            entries=table.entries,
            dtype=table.dtype,
            sparse=table.sparse,
            smallest_weight=table.smallest_weight(),
            columns=table.column_moments,
            low=low,
            high=high,
            targets=table.target_moments(),
            class_totals=class_totals,
            stride=stride,
            samples=[(-(-table.first // stride), table.thinned(stride))],
        )._within_memory()

    def merged(self, following: Summary) -> Summary:
        """The summary of these rows and of the rows that follow them."""
        stride = max(self.stride, following.stride)
        return Summary(
            n=self.n + following.n,
            entries=self.entries + following.entries,
            dtype=np.result_type(self.dtype, following.dtype),
            sparse=self.sparse and following.sparse,
            smallest_weight=min(self.smallest_weight, following.smallest_weight),
            columns=self.columns + following.columns,
            low=np.minimum(self.low, following.low),
            high=np.maximum(self.high, following.high),
            targets=self.targets + following.targets,
            class_totals=self.class_totals + following.class_totals,
            stride=stride,
            samples=[*self._samples_in(stride), *following._samples_in(stride)],
        )._within_memory()

    def of_columns(self, index: np.ndarray) -> Summary:
        """The summary of the same rows with only some of their columns."""
        weight, mean, squares = self.columns
        return self._replace(
            columns=ColumnMoments(weight, mean[index], squares[index]),
            low=self.low[index],
            high=self.high[index],
            samples=[(first, table.columns(index)) for first, table in self.samples],
        )

    def sample(self, stride: int) -> Table:
        """The rows whose numbers are multiples of `stride`, which has to be a multiple of `self.stride`."""
        tables = [table for _, table in self._samples_in(stride) if table.n]
        X: Any = [table.X for table in tables]
        X = sp.vstack(X, format="csr") if tables[0].sparse else np.vstack(X)
        Y, s = np.hstack([table.Y for table in tables]), np.concatenate([table.s for table in tables])
        return Table(X, Y, s)

    def _samples_in(self, stride: int) -> list[tuple[int, Table]]:
        """The pieces of the sample for a larger `stride`, which has to be a multiple of the present one."""
        times = stride // self.stride
        if times == 1:
            return self.samples
        return [(-(-first // times), _every(table, first, times)) for first, table in self.samples]

    def _within_memory(self) -> Summary:
        """The same summary, with its stride doubled until the sample is small enough or has a single row."""
        summary = self
        while _entries(summary.samples) > LARGEST_SAMPLE and sum(table.n for _, table in summary.samples) > 1:
            stride = 2 * summary.stride
            summary = summary._replace(stride=stride, samples=summary._samples_in(stride))
        return summary


def _entries(samples: list[tuple[int, Table]]) -> int:
    return sum(table.entries for _, table in samples)


def _every(table: Table, first: int, times: int) -> Table:
    """Every `times`-th row of a sample, from a piece of it whose first row has the number `first` within the sample."""
    return Table(table.X, table.Y, table.s, first=first).thinned(times)
