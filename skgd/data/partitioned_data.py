"""The rows of all partitions as an objective sees them: it asks the same of a table in memory."""

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
        Tables; their weights may have any mean.
    summary : Summary
        Of all of them.
    distinct : (ndarray of shape (T, classes), ndarray of shape (classes,)) or None
        The targets that stand for each class, and the sum of the weights of each class; None: targets are numbers.
    """

    expensive = True  # a pass reads and validates all rows again, or takes a round over a cluster

    def __init__(self, partitions: Partitions, summary: Summary, distinct: tuple[np.ndarray, np.ndarray] | None) -> None:
        self.partitions, self.summary, self.distinct = partitions, summary, distinct
        self.n, self.d, self.entries = summary.n, len(summary.low), summary.entries
        self.sparse, self.dtype = summary.sparse, summary.dtype
        self.weight_scale = summary.n / summary.columns.weight  # weights times this have the mean one

    def shared_by(self, team: Team) -> PartitionedData:
        """The same rows; those that are read in this process are read with a team of threads."""
        shared = copy(self)
        shared.partitions = self.partitions.shared_by(team)
        return shared

    def total(self, query: Query) -> PartialSums:
        """The answer for all rows.  One pass.

        All answers are linear in the weights, so these are scaled after the sum, when their mean is known.
        """
        return tuple(self.weight_scale * value for value in self.partitions.total(query))

    def columns(self, index: np.ndarray) -> PartitionedData:
        """The same rows with some of their columns alone."""
        return PartitionedData(self.partitions.columns(index), self.summary.of_columns(index), self.distinct)

    def thins(self, stride: int) -> bool:
        """Whether the sample holds every `stride`-th row."""
        return stride % self.summary.stride == 0

    def thinned(self, stride: int) -> Table:
        """The rows whose numbers are multiples of `stride`, out of the sample."""
        return self.summary.sample(stride)

    @cached_property
    def representative(self) -> Table:
        """The sample of the rows, which stands for all of them."""
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
        """The best scores (K,) that ignore X: exact for classes, and for numbers those of the sample.

        Where the sample has none, because its counts are all zero, say, they are the best scores of the mean target.
        """
        if self.distinct is not None:
            return np.asarray(loss.intercept_only_scores(*self.distinct))
        with np.errstate(divide="ignore"):
            scores = self.representative.intercept_only_scores(loss)
        return np.where(np.isfinite(scores), scores, loss.intercept_only_scores(self.summary.targets.mean[:, None], np.ones(1)))
