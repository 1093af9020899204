"""Rows in partitions with the interface of a `Table`, so that an objective can use either."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from ..compiled.threads import Team
from ..coordinates import ColumnMoments
from .partitions import Partitions, Query
from .summary import Summary
from .table import Table
from .tree_sum import PartialSums


class PartitionedData:
    """n rows of d columns in partitions, with their weights scaled to mean one.

    Parameters
    ----------
    partitions : Partitions
        The partitions, as tables; their weights may have any mean.
    summary : Summary
        The summary of all partitions.
    distinct : (ndarray of shape (T, classes), ndarray of shape (classes,)) or None
        For classification, the targets of each class and the sum of its weights.  None: targets are numbers.
    """

    expensive = True  # a pass reads and validates all rows again, or needs messages to all workers of a cluster

    def __init__(self, partitions: Partitions, summary: Summary, distinct: tuple[np.ndarray, np.ndarray] | None) -> None:
        self.partitions, self.summary, self.distinct = partitions, summary, distinct
        self.n, self.d, self.entries = summary.n, len(summary.low), summary.entries
        self.sparse, self.dtype = summary.sparse, summary.dtype
        self.weight_scale = summary.n / summary.columns.weight  # the factor that scales the weights to mean one

    def shared_by(self, team: Team) -> PartitionedData:
        """The same rows; if partitions are read in this process, a team of threads works on each."""
        shared = copy(self)
        shared.partitions = self.partitions.shared_by(team)
        return shared

    def total(self, query: Query) -> PartialSums:
        """The sum of the answers to a query for all rows.  One pass.

        All answers are linear in the weights.  So the weights are not scaled to mean one, but the sum is.
        """
        return tuple(self.weight_scale * value for value in self.partitions.total(query))

    def columns(self, index: np.ndarray) -> PartitionedData:
        """The same rows with only some of their columns."""
        return PartitionedData(self.partitions.columns(index), self.summary.of_columns(index), self.distinct)

    def thins(self, stride: int) -> bool:
        """Whether the sample of the summary holds every `stride`-th row, so that `thinned` can return them."""
        return stride % self.summary.stride == 0

    def thinned(self, stride: int) -> Table:
        """The rows whose numbers are multiples of `stride`, taken from the sample.  No pass."""
        return self.summary.sample(stride)

    @cached_property
    def representative(self) -> Table:
        """The sample of the rows, which represents all of them."""
        return self.summary.sample(self.summary.stride)

    @property
    def column_moments(self) -> ColumnMoments:
        """Weighted means (d,) and sums of squared deviations (d,) of the columns."""
        return self.summary.columns

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest entry (d,) of each column."""
        return self.summary.low, self.summary.high

    def target_moments(self) -> ColumnMoments:
        """Weighted means (T,) and sums of squared deviations (T,) of the targets."""
        return self.summary.targets

    def smallest_weight(self) -> float:
        """The smallest weight of a row."""
        return self.weight_scale * self.summary.smallest_weight

    def intercept_only_scores(self, loss: Any) -> np.ndarray:
        """The scores (K,) of the best model that has only an intercept.  No pass.

        They are exact for classification, and come from the sample for regression.  If they are not finite there, for example
        because all counts of the sample are zero, they are the best scores for the mean target.
        """
        if self.distinct is not None:
            return np.asarray(loss.intercept_only_scores(*self.distinct))
        with np.errstate(divide="ignore"):
            scores = self.representative.intercept_only_scores(loss)
        return np.where(np.isfinite(scores), scores, loss.intercept_only_scores(self.summary.targets.mean[:, None], np.ones(1)))
