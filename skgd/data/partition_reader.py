"""Reading of the user's partitions (X, y) or (X, y, sample_weight): each becomes a table, validated as `fit` validates rows.

A reader runs on the machine of the partition, in this process or in another one.  It is pickled and sent there, so it holds an
unfitted copy of the estimator and no rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from .table import Table


class PartitionMetadata(NamedTuple):
    """The labels and the size of one partition."""

    n: int  # the number of rows with a weight
    entries: int  # the number of stored entries of X
    n_features: int
    feature_names: np.ndarray | None  # (n_features,); None if X has no names
    labels: np.ndarray  # the distinct labels, sorted; empty for regression
    label_totals: np.ndarray  # the sum of the weights of each of these labels

    @classmethod
    def read(cls, estimator: ReadingEstimator, number: int, partition: Any) -> PartitionMetadata | None:
        """The metadata of partition `number`; None if no row has a weight."""
        X, y, weights = unpacked(number, partition)
        if not _has_rows(X, weights):
            return None
        with _naming(number):
            return estimator._partition_metadata(X, y, weights)


class ReadingEstimator(Protocol):
    """The methods of an estimator that a reader uses; they validate the rows of a partition as `fit` validates all rows."""

    n_features_in_: int  # exists once the columns are known

    def _partition_metadata(self, X: Any, y: Any, sample_weight: Any) -> PartitionMetadata:
        """The metadata of a partition, without a validation of the entries of X."""

    def _partition_table(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        classes: np.ndarray | None,
        class_weights: np.ndarray | None,
        reset: bool,
        first_row: int,
    ) -> tuple[Table, np.ndarray]:
        """The table of the rows with a weight, and the sum of the weights of each class.

        With `reset`, the estimator takes the number of columns and their names from this X.  Otherwise X has to have them.
        """


class PartitionReader:
    """A function that is called with the number of a partition and the partition, and returns the table of its rows.

    Parameters
    ----------
    estimator : ReadingEstimator
        An unfitted copy.  It has `n_features_in_` if the columns are known already; otherwise the first partition sets it.
    classes : ndarray of shape (classes,) or None
        All class labels, sorted; None for regression.
    class_weights : ndarray of shape (classes,) or None
        The factor of the weights of each class's rows; None if there are no class weights.
    edges : list of int or None
        Partition p holds the rows edges[p], ..., edges[p + 1] - 1 among all rows with a weight.  None: not known yet.
    """

    def __init__(
        self,
        estimator: ReadingEstimator,
        classes: np.ndarray | None,
        class_weights: np.ndarray | None,
        edges: list[int] | None,
    ) -> None:
        self.estimator, self.classes, self.class_weights, self.edges = estimator, classes, class_weights, edges

    def __call__(self, number: int, partition: Any) -> Table | None:
        """The table of a partition that has been read before; None if no row has a weight."""
        return self.read_again(number, partition)[0]

    def with_edges(self, edges: list[int]) -> PartitionReader:
        """A reader of the same partitions with these `edges`."""
        return PartitionReader(self.estimator, self.classes, self.class_weights, edges)

    def read_again(self, number: int, partition: Any) -> tuple[Table | None, np.ndarray]:
        """The same as `read` for a partition that has been read before, with a check of its number of rows.

        Raises
        ------
        ValueError
            If there are more partitions than before, or if this one has another number of rows.
        """
        edges = self.edges or [0]
        if number >= len(edges) - 1:
            raise ValueError(
                f"There is a partition {number} now, but there were {len(edges) - 1} partitions when they were first read."
            )
        table, class_totals = self.read(number, partition, edges[number])
        rows, before = 0 if table is None else table.n, edges[number + 1] - edges[number]
        if rows != before:
            raise ValueError(f"Partition {number} has {rows} rows with a weight now, and had {before} when it was first read.")
        return table, class_totals

    def read(self, number: int, partition: Any, first_row: int) -> tuple[Table | None, np.ndarray]:
        """The table of a partition, and the sum of the weights of each class in it.

        Parameters
        ----------
        number : int
            The number of the partition.
        partition : tuple
            (X, y) or (X, y, sample_weight).
        first_row : int
            The number of the partition's first row among all rows with a weight.

        Returns
        -------
        table : Table or None
            None if no row has a weight.
        class_totals : ndarray of shape (classes,)
            Empty for regression.
        """
        X, y, weights = unpacked(number, partition)
        if not _has_rows(X, weights):
            return None, np.empty(0)
        reset = not hasattr(self.estimator, "n_features_in_")
        with _naming(number):
            return self.estimator._partition_table(X, y, weights, self.classes, self.class_weights, reset, first_row)


def unpacked(number: int, partition: Any) -> tuple[Any, Any, Any]:
    """X, y and the weights of a partition; the weights are None if the user gave none."""
    if not isinstance(partition, tuple | list) or len(partition) not in (2, 3):
        raise ValueError(
            f"Partition {number} has to be a tuple (X, y) or (X, y, sample_weight), but is a {type(partition).__name__}."
        )
    X, y, weights = (*partition, None)[:3]
    return _frame(X), y, weights


def _frame(X: Any) -> Any:
    """X in a form that scikit-learn can read: a record batch of pyarrow becomes a table of pyarrow."""
    if type(X).__name__ == "RecordBatch" and type(X).__module__.startswith("pyarrow"):
        import pyarrow

        return pyarrow.Table.from_batches([X])
    return X


def _has_rows(X: Any, weights: Any) -> bool:
    """Whether any row has a weight."""
    rows = X.shape[0] if hasattr(X, "shape") else len(X)
    return rows > 0 and (weights is None or bool(np.any(np.asarray(weights) != 0)))


@contextmanager
def _naming(number: int) -> Iterator[None]:
    """Add the number of the partition to the message of an error."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"Partition {number}: {error}") from error
