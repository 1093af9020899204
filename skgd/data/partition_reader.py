"""From parts as users have them, (X, y) or (X, y, sample_weight), to tables: what `fit` would make of each part's rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .table import Table


class PartitionMetadata(NamedTuple):
    """What can be told of a part without reading much more than its labels."""

    rows: int  # that count
    entries: int  # of X
    width: int
    names: np.ndarray | None
    labels: np.ndarray  # that occur; none for regression
    weights: np.ndarray  # of these

    @classmethod
    def at(cls, estimator: Any, number: int, part: Any) -> PartitionMetadata | None:
        """None where no row counts."""
        X, y, weights = unpacked(number, part)
        if not _counts(X, weights):
            return None
        with _naming(number):
            return estimator._partition_metadata(X, y, weights)


class PartitionReader:
    """Makes tables of parts.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
        With `n_features_in_`, and names, of all parts.
    classes : ndarray or None
        None: targets are numbers.
    of_classes : ndarray or None
        Weights of the classes.
    edges : list of int or None
        Rows edges[p]..edges[p + 1] are those of part p; None: that is not known yet.
    """

    def __init__(
        self, estimator: Any, classes: np.ndarray | None, of_classes: np.ndarray | None, edges: list[int] | None
    ) -> None:
        self.estimator, self.classes, self.of_classes, self.edges = estimator, classes, of_classes, edges

    def __call__(self, number: int, part: Any) -> Table | None:
        """The table of a part, as it was first read; None where no row counts."""
        return self.read_again(number, part)[0]

    def read_again(self, number: int, part: Any) -> tuple[Table | None, np.ndarray]:
        """The same, and the weights of the classes in it; ValueError if its rows, or the parts, are others than at first."""
        edges = self.edges or [0]
        if number >= len(edges) - 1:
            raise ValueError(f"There is a part {number} now, but there were {len(edges) - 1} parts when they were first read.")
        table, classes = self.read(number, part, edges[number])
        rows, before = 0 if table is None else table.n, edges[number + 1] - edges[number]
        if rows != before:
            raise ValueError(f"Part {number} has {rows} rows that count now, and had {before} when it was first read.")
        return table, classes

    def read(self, number: int, part: Any, first: int, reset: bool = False) -> tuple[Table | None, np.ndarray]:
        """The table of a part whose first row has the number `first`, and the weights of the classes in it.

        `reset`: this part tells the estimator what columns there are.
        """
        X, y, weights = unpacked(number, part)
        if not _counts(X, weights):
            return None, np.empty(0)
        with _naming(number):
            return self.estimator._partition_table(X, y, weights, self.classes, self.of_classes, reset, first)


def unpacked(number: int, part: Any) -> tuple[Any, Any, Any]:
    """X, y and weights, or None, of a part."""
    if not isinstance(part, tuple | list) or len(part) not in (2, 3):
        raise ValueError(f"Part {number} has to be a tuple (X, y) or (X, y, sample_weight), but is a {type(part).__name__}.")
    X, y, weights = (*part, None)[:3]
    return _frame(X), y, weights


def itself(number: int, part: Any) -> Any:
    """The part."""
    return part


def _frame(X: Any) -> Any:
    """X, where scikit-learn knows it as a frame: pyarrow's RecordBatch as a Table."""
    if type(X).__name__ == "RecordBatch" and type(X).__module__.startswith("pyarrow"):
        import pyarrow

        return pyarrow.Table.from_batches([X])
    return X


def _counts(X: Any, weights: Any) -> bool:
    """Whether a row counts."""
    rows = X.shape[0] if hasattr(X, "shape") else len(X)
    return rows > 0 and (weights is None or bool(np.any(np.asarray(weights) != 0)))


@contextmanager
def _naming(number: int) -> Iterator[None]:
    """Errors name the part that they are about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"Part {number}: {error}") from error
