"""Rows in partitions: batches of a stream in this process, or partitions on other machines.

A partition is what the user has: a tuple (X, y) or (X, y, sample_weight).  A fit never asks for the rows of all partitions.  It
sends a function to them, and small results come back in the order of the partitions.  These are its passes:

1. `preparation.read_metadata` reads labels and sizes; a stream is spared this pass where the classes are known.
2. `preparation.summarise` reads all rows, for a `Summary`.  On a stream, this pass may be an epoch of stochastic steps, too.
3. The solver asks for sums (`Partitions.total`, one pass each) or makes epochs (`Partitions.advance`, one pass each).

In every pass each partition is read once.  Partitions of a stream, and those that a function of the user reaches, are validated
anew in every pass.  On a Dask cluster the validated tables stay on the workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ..compiled.threads import Team
from .table import Table
from .tree_sum import PartialSums, TreeSum

PartitionFunction = Callable[[int, Any], Any]  # of the number of a partition, and the partition
Query = Callable[[Table], PartialSums]  # its answer for several tables is the sum of its answers for each
Step = Callable[[PartialSums, Table], PartialSums]  # from the state of a stochastic solver and a table to the next state
Found = TypeVar("Found")


class Partitions(ABC):
    """Partitions 0, 1, 2, ..., wherever they are; some may have no rows.  Subclasses define `map`."""

    @abstractmethod
    def map(self, function: PartitionFunction) -> Iterable[Any]:
        """function(number, partition) for all partitions, in their order.  One pass."""

    def transformed(self, function: PartitionFunction) -> Partitions:
        """The partitions function(number, partition) of these, made anew in every pass."""
        return _Transformed(self, function)

    def release(self) -> None:  # noqa: B027  most partitions are not kept
        """Free the memory of these partitions where they are kept: from now on, only partitions made of them are read."""

    def columns(self, index: np.ndarray) -> Partitions:
        """Some columns alone of partitions that are tables."""
        return self.transformed(partial(_columns, index))

    def shared_by(self, team: Team) -> Partitions:
        """The same tables for a team of threads, if they are read in this process.  Workers have threads of their own."""
        return self

    def total(self, query: Query) -> PartialSums:
        """The answer for the rows of all partitions, which are tables, added in a fixed order.  One pass."""
        return total_of(self.map(partial(_answer, query)))

    def advance(self, step: Step, state: PartialSums) -> PartialSums:
        """One epoch: each partition, a table, steps from `state`; the mean of the results, weighted by rows.  One pass."""
        rows, *sums = self.total(_WeightedStep(step, state))
        return tuple(values / rows for values in sums)


class SequentialPartitions(Partitions):
    """Partitions that come one after another in this process, as the batches of a stream do.

    Stochastic steps on a partition go on from where they ended on the one before.
    """

    def __iter__(self) -> Iterator[Any]:
        """The partitions in their order.  One pass."""
        return iter(self.map(_unchanged))

    def transformed(self, function: PartitionFunction) -> SequentialPartitions:
        return _TransformedSequence(self, function)

    def advance(self, step: Step, state: PartialSums) -> PartialSums:
        """One epoch over all partitions, which are tables.  One pass."""
        for table in self:
            if table is not None:
                state = step(state, table)
        return state


class _Transformed(Partitions):
    """Partitions that a function makes of others whenever they are read."""

    def __init__(self, partitions: Partitions, function: PartitionFunction) -> None:
        self.partitions, self.function = partitions, function

    def map(self, function: PartitionFunction) -> Iterable[Any]:
        return self.partitions.map(partial(_then, self.function, function))


class _TransformedSequence(_Transformed, SequentialPartitions):
    """The same for partitions that come one after another in this process."""

    def shared_by(self, team: Team) -> SequentialPartitions:
        return self.transformed(partial(_shared, team))


class Stream(SequentialPartitions):
    """Batches in this process, of which one is in memory at a time.

    Parameters
    ----------
    batches : iterable or callable
        Of partitions; a callable returns a new iterable for every pass.

    Raises
    ------
    ValueError
        In a pass that would be the second one of an iterator, or that finds another number of partitions than the one before.
    """

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        if not callable(batches) and not isinstance(batches, Iterable):
            raise TypeError(
                f"batches has to be an iterable of (X, y) or (X, y, sample_weight), or a callable that returns one, but is a "
                f"{type(batches).__name__}."
            )
        self.batches, self.passes = batches, 0
        self.count: int | None = None  # of partitions, known after one pass

    def map(self, function: PartitionFunction) -> Iterator[Any]:
        if self.passes and isinstance(self.batches, Iterator):
            raise ValueError(
                "batches is an iterator, which ends after one pass, and this fit needs several: pass a list, another iterable "
                "that can be read again, or a callable that returns a new iterator."
            )
        self.passes, count = self.passes + 1, 0
        for partition in self.batches() if callable(self.batches) else self.batches:
            yield function(count, partition)
            count += 1
        if self.count is not None and self.count != count:
            raise ValueError(f"batches had {count} partitions in pass {self.passes} and {self.count} before.")
        self.count = count


class MappedPartitions(Partitions):
    """Partitions that a function of the user reaches, wherever they are.

    Parameters
    ----------
    map_partitions : callable
        ``map_partitions(function)`` returns ``function(number, partition)`` for all partitions, in their order.
    """

    def __init__(self, map_partitions: Callable[[PartitionFunction], Iterable[Any]]) -> None:
        self.map_partitions = map_partitions

    def map(self, function: PartitionFunction) -> Iterable[Any]:
        return self.map_partitions(function)


def partitions_of(batches: Any) -> Partitions:
    """The partitions that users mean by `batches`: an iterable, a callable, or what `skgd.batches.mapped` returns."""
    return batches if isinstance(batches, Partitions) else Stream(batches)


def total_of(sums: Iterable[PartialSums | None]) -> PartialSums:
    """The sum of what partitions 0, 1, 2, ... contribute; one without rows contributes None.  ValueError if all do."""
    tree_sum = TreeSum()
    for number, of_partition in enumerate(sums):
        tree_sum.add(of_partition, number)
    return require_rows(tree_sum.total())


def require_rows(found: Found | None) -> Found:
    """What the partitions gave; ValueError if it is None, because no row has a weight."""
    if found is None:
        raise ValueError("There are no rows with a weight in any partition.")
    return found


class _WeightedStep:
    """The query whose answer is the number of rows of a table, and the state after steps on it times that number."""

    def __init__(self, step: Step, state: PartialSums) -> None:
        self.step, self.state = step, state

    def __call__(self, table: Table) -> PartialSums:
        return table.n, *(table.n * np.asarray(values) for values in self.step(self.state, table))


# What is sent to partitions is pickled: functions of a module and their `partial`, and no closures.
def _answer(query: Query, number: int, table: Table | None) -> PartialSums | None:
    return None if table is None else query(table)


def _columns(index: np.ndarray, number: int, table: Table | None) -> Table | None:
    return None if table is None else table.columns(index)


def _shared(team: Team, number: int, table: Table | None) -> Table | None:
    return None if table is None else table.shared_by(team)


def _then(first: PartitionFunction, second: PartitionFunction, number: int, partition: Any) -> Any:
    return second(number, first(number, partition))


def _unchanged(number: int, partition: Any) -> Any:
    return partition
