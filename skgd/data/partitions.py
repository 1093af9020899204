"""Rows in partitions: batches of a stream in this process, or partitions on other machines.

The user's partitions are tuples (X, y) or (X, y, sample_weight).  A fit never collects the rows of all partitions.  It sends a
function to them, and small results come back in the order of the partitions.  A fit makes these passes:

1. `metadata.read_metadata` reads labels and sizes.  A stream does not need this pass if its classes are known.
2. `preparation.summarise` reads all rows, for a `Summary`.  On a stream, this pass may also be an epoch of stochastic steps.
3. The solver asks for sums (`Partitions.total`, one pass each) or makes epochs (`Partitions.advance`, one pass each).

Every pass reads each partition once.  Partitions of a stream and `MappedPartitions` are validated again in every pass.  On a
Dask cluster the validated tables stay on the workers.
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

PartitionFunction = Callable[[int, Any], Any]  # a function of the number of a partition and of the partition
Query = Callable[[Table], PartialSums]  # the answer for several tables is the sum of the answers for each table
Step = Callable[[PartialSums, Table], PartialSums]  # maps the state of a stochastic solver and a table to the next state
Found = TypeVar("Found")


class Partitions(ABC):
    """Partitions 0, 1, 2, ..., in this process or elsewhere; some may have no rows.  Subclasses define `map`."""

    @abstractmethod
    def map(self, function: PartitionFunction) -> Iterable[Any]:
        """function(number, partition) for all partitions, in their order.  One pass."""

    def transformed(self, function: PartitionFunction) -> Partitions:
        """The partitions function(number, partition), which are computed again in every pass."""
        return _Transformed(self, function)

    def release(self) -> None:  # noqa: B027  most partitions are not kept
        """Free the memory of these partitions if it is kept.  From now on, only `transformed` partitions may be read."""

    def columns(self, index: np.ndarray) -> Partitions:
        """The same partitions, which have to be tables, with only some of their columns."""
        return self.transformed(partial(_columns, index))

    def shared_by(self, team: Team) -> Partitions:
        """The same tables, on which a team of threads works if they are read in this process; workers have their own."""
        return self

    def total(self, query: Query) -> PartialSums:
        """The sum of the answers for all partitions, which have to be tables, added in a fixed order.  One pass."""
        return total_of(self.map(partial(_answer, query)))

    def advance(self, step: Step, state: PartialSums) -> PartialSums:
        """Make one epoch of local steps, and return the new state.  One pass.

        On each partition, which has to be a table, steps start from `state`.  The new state is the mean of the results,
        weighted by the numbers of rows.
        """
        rows, *sums = self.total(_WeightedStep(step, state))
        return tuple(values / rows for values in sums)


class SequentialPartitions(Partitions):
    """Partitions that come one after another in this process, such as the batches of a stream.

    Stochastic steps on a partition start where they ended on the partition before.
    """

    def __iter__(self) -> Iterator[Any]:
        """The partitions in their order.  One pass."""
        return iter(self.map(_unchanged))

    def transformed(self, function: PartitionFunction) -> SequentialPartitions:
        return _TransformedSequence(self, function)

    def advance(self, step: Step, state: PartialSums) -> PartialSums:
        """Make one epoch of steps over all partitions, which have to be tables, and return the new state.  One pass."""
        for table in self:
            if table is not None:
                state = step(state, table)
        return state


class _Transformed(Partitions):
    """Partitions that a function computes from other partitions, again in every pass."""

    def __init__(self, partitions: Partitions, function: PartitionFunction) -> None:
        self.partitions, self.function = partitions, function

    def map(self, function: PartitionFunction) -> Iterable[Any]:
        return self.partitions.map(partial(_then, self.function, function))


class _TransformedSequence(_Transformed, SequentialPartitions):
    """The same for partitions that come one after another in this process."""

    def shared_by(self, team: Team) -> SequentialPartitions:
        return self.transformed(partial(_shared, team))


class Stream(SequentialPartitions):
    """Batches in this process, one of which is in memory at a time.

    Parameters
    ----------
    batches : iterable or callable
        An iterable of partitions, or a callable that returns a new iterable for every pass.

    Raises
    ------
    ValueError
        By a second pass if `batches` is an iterator, and by a pass with another number of partitions than the pass before.
    """

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        if not callable(batches) and not isinstance(batches, Iterable):
            raise TypeError(
                f"batches has to be an iterable of (X, y) or (X, y, sample_weight), or a callable that returns one, but is a "
                f"{type(batches).__name__}."
            )
        self.batches, self.passes = batches, 0
        self.count: int | None = None  # the number of partitions, known after one pass

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
    """Partitions that are read by a function of the user, for example on the workers of Ray or Spark.

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
    """The partitions for the argument `batches`: an iterable, a callable, or the result of `skgd.batches.mapped`."""
    return batches if isinstance(batches, Partitions) else Stream(batches)


def total_of(sums: Iterable[PartialSums | None]) -> PartialSums:
    """The total of the sums over partitions 0, 1, 2, ...; None stands for no rows.  ValueError if no partition has rows."""
    tree_sum = TreeSum()
    for number, partial_sums in enumerate(sums):
        tree_sum.add(partial_sums, number)
    return require_rows(tree_sum.total())


def require_rows(found: Found | None) -> Found:
    """Return the result of the partitions; ValueError if it is None, which means that no row has a weight."""
    if found is None:
        raise ValueError("There are no rows with a weight in any partition.")
    return found


class _WeightedStep:
    """A query whose answer is the number n of a table's rows, and n times the state after steps on the table."""

    def __init__(self, step: Step, state: PartialSums) -> None:
        self.step, self.state = step, state

    def __call__(self, table: Table) -> PartialSums:
        return table.n, *(table.n * np.asarray(values) for values in self.step(self.state, table))


# The functions that are sent to partitions are pickled.  So they are functions of a module and `partial`s, not closures.
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
