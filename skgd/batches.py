"""Sources of rows for `fit_batches`: Parquet files, and partitions on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from glob import glob
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from .data.partitions import MappedPartitions, PartitionFunction

__all__ = ["mapped", "parquet"]


def mapped(map_partitions: Callable[[PartitionFunction], Iterable[Any]]) -> MappedPartitions:
    """Use partitions on other machines, for example on the workers of Ray or Spark, as batches.

    The fit sends functions to the partitions, and only small results come back.

    Parameters
    ----------
    map_partitions : callable
        ``map_partitions(function)`` has to return ``function(number, partition)`` for all partitions, in their order.  The
        numbers count from 0, and a partition is ``(X, y)`` or ``(X, y, sample_weight)``.  cloudpickle can pickle all functions
        and results.

    Returns
    -------
    batches : object
        Pass it to `fit_batches`.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd import GDRegressor
    >>> from skgd.batches import mapped
    >>> partitions = [(np.array([[0.0], [1.0]]), np.array([1.0, 3.0])), (np.array([[2.0]]), np.array([5.0]))]
    >>> def everywhere(function):
    ...     return [function(number, partition) for number, partition in enumerate(partitions)]
    >>> GDRegressor(penalty=None).fit_batches(mapped(everywhere)).coef_.round(6)
    array([2.])
    """
    return MappedPartitions(map_partitions)


def parquet(
    path: str | PathLike[str],
    *,
    target: str | list[str],
    columns: list[str] | None = None,
    weight: str | None = None,
    batch_size: int = 65_536,
) -> ParquetBatches:
    """Read batches from Parquet files, anew in every pass (needs the extra ``skgd[parquet]``).

    Parameters
    ----------
    path : str or path
        A file, a folder, or a pattern such as ``"day-*.parquet"``.  The files that match a pattern are read in the order of
        their names.
    target : str or list of str
        The column or columns with the labels or targets.
    columns : list of str, default=None
        The columns with the features.  None: all columns except the targets and the weight.
    weight : str, default=None
        The column with the sample weights.
    batch_size : int, default=65_536
        Maximum number of rows in a batch.  Besides the batch, one row group of the file is in memory.

    Returns
    -------
    batches : iterable
        Pass it to `fit_batches`.

    Raises
    ------
    FileNotFoundError
        If no file matches.
    ValueError
        If a column is missing, or a feature does not hold numbers.

    Examples
    --------
    >>> from skgd import GDClassifier
    >>> from skgd.batches import parquet
    >>> batches = parquet("rides-*.parquet", target="tipped")  # doctest: +SKIP
    >>> GDClassifier().fit_batches(batches, classes=[0, 1])  # doctest: +SKIP
    """
    return ParquetBatches(path, target, columns, weight, batch_size)


class ParquetBatches:
    """The batches that `parquet` returns; the parameters are documented there."""

    def __init__(
        self, path: str | PathLike[str], target: str | list[str], columns: list[str] | None, weight: str | None, batch_size: int
    ) -> None:
        from pyarrow.dataset import dataset

        self.dataset = dataset(_files(fspath(path)), format="parquet")
        self.target, self.weight, self.batch_size = target, weight, batch_size
        self.targets = [target] if isinstance(target, str) else list(target)
        others = [*self.targets, *([] if weight is None else [weight])]
        schema = self.dataset.schema
        self.columns = [name for name in schema.names if name not in others] if columns is None else list(columns)
        missing = [name for name in [*self.columns, *others] if name not in schema.names]
        if missing:
            raise ValueError(f"There is no column {missing[0]!r} in {path}: its columns are {', '.join(schema.names)}.")
        for name in self.columns:
            _check_numbers(name, schema.field(name).type)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Tuples (X, y) or (X, y, sample_weight) of a record batch X of pyarrow and of arrays."""
        wanted = list(dict.fromkeys([*self.columns, *self.targets, *([] if self.weight is None else [self.weight])]))
        for fragment in self.dataset.get_fragments():
            for group in fragment.split_by_row_group():  # a single scanner of all row groups would read far ahead
                for batch in group.to_batches(columns=wanted, batch_size=self.batch_size, schema=self.dataset.schema):
                    yield self._unpacked(batch)

    def _unpacked(self, batch: Any) -> tuple[Any, ...]:
        X, y = batch.select(self.columns), _values(batch, self.targets, one=isinstance(self.target, str))
        return (X, y) if self.weight is None else (X, y, _values(batch, [self.weight], one=True))


def _files(path: str) -> str | list[str]:
    """The path itself if it exists, else the files that match it as a pattern."""
    if Path(path).exists():
        return path
    files = sorted(glob(path))
    if not files:
        raise FileNotFoundError(f"There is no file {path}.")
    return files


def _check_numbers(name: str, kind: Any) -> None:
    from pyarrow import types

    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise ValueError(f"Column {name!r} holds {kind}, not numbers: encode it, or name the columns to use.")


def _values(batch: Any, names: list[str], one: bool) -> Any:
    """Columns of a record batch as an array of shape (rows,) if `one`, else of shape (rows, columns)."""
    arrays = []
    for name in names:
        column = batch.column(name)
        if hasattr(column, "dictionary_decode"):
            column = column.dictionary_decode()
        arrays.append(column.to_numpy(zero_copy_only=False))
    return arrays[0] if one else np.column_stack(arrays)
