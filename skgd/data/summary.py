"""What a fit has to know of rows in parts before it begins: a survey of each part, and of all of them together.

Surveys of parts are merged in order.  A sample of rows stays in memory: those whose numbers are multiples of a stride, which
doubles whenever the sample has grown too large.  It is where starting points come from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..coordinates import ColumnMoments
from .table import Table

LARGEST = 1 << 21  # entries of X in a sample: 16 MiB


class Summary(NamedTuple):
    """Of rows that follow one another."""

    n: int
    entries: int
    dtype: np.dtype
    sparse: bool
    smallest_weight: float  # weight
    columns: ColumnMoments
    low: np.ndarray  # (d,) the smallest entry of each column,
    high: np.ndarray  # and the largest
    targets: ColumnMoments  # of Y'
    classes: np.ndarray  # (classes,) their weights; () for regression
    stride: int  # of the sample
    samples: list[tuple[int, Table]]  # with the numbers of their first rows, in this stride

    @classmethod
    def of(cls, table: Table, classes: np.ndarray, stride: int = 1) -> Summary:
        """Of a table; classes are the weights of its labels."""
        sample = [(-(-table.first // stride), table.thinned(stride))]
        return cls(
            table.n,
            table.entries,
            table.dtype,
            table.sparse,
            table.smallest_weight(),
            table.column_moments,
            *table.ranges(),
            table.target_moments(),
            classes,
            stride,
            sample,
        )._affordable()

    def merged(self, other: Summary) -> Summary:
        """Of these rows and those that follow."""
        stride = max(self.stride, other.stride)
        return Summary(
            self.n + other.n,
            self.entries + other.entries,
            np.result_type(self.dtype, other.dtype),
            self.sparse and other.sparse,
            min(self.smallest_weight, other.smallest_weight),
            self.columns + other.columns,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.targets + other.targets,
            self.classes + other.classes,
            stride,
            [*self._in_stride(stride), *other._in_stride(stride)],
        )._affordable()

    def of_columns(self, index: np.ndarray) -> Summary:
        """Of some columns alone."""
        weight, mean, squares = self.columns
        return self._replace(
            columns=ColumnMoments(weight, mean[index], squares[index]),
            low=self.low[index],
            high=self.high[index],
            samples=[(first, table.columns(index)) for first, table in self.samples],
        )

    def sample(self, stride: int) -> Table:
        """The rows of the sample whose numbers are multiples of the stride, itself a multiple of `self.stride`."""
        tables = [table for _, table in self._in_stride(stride) if table.n]
        X: Any = [table.X for table in tables]
        X = sp.vstack(X, format="csr") if tables[0].sparse else np.vstack(X)
        Y, s = np.hstack([table.Y for table in tables]), np.concatenate([table.s for table in tables])
        return Table(X, Y, s)

    def _in_stride(self, stride: int) -> list[tuple[int, Table]]:
        """The samples in a larger stride."""
        times = stride // self.stride
        if times == 1:
            return self.samples
        return [(-(-first // times), _every(table, first, times)) for first, table in self.samples]

    def _affordable(self) -> Summary:
        survey = self
        while sum(table.entries for _, table in survey.samples) > LARGEST and sum(table.n for _, table in survey.samples) > 1:
            survey = survey._replace(stride=2 * survey.stride, samples=survey._in_stride(2 * survey.stride))
        return survey


def _every(table: Table, first: int, times: int) -> Table:
    """The rows of a sample, of which the first has the number `first`, whose numbers are multiples of `times`."""
    table = Table(table.X, table.Y, table.s, first=first)
    return table.thinned(times)
