"""Rows in parts: batches of a stream, partitions on other machines.  A fit asks them for sums, and never for the rows.

``Partitions``
    says how functions get to the parts, and their results back, in order: `Stream` in this process, one part in memory at a
    time; `Mapped` by a function of the user; and `dask.py` on the workers of a cluster.
``PartitionedData``
    is what an objective sees of them: a table of which it cannot tell where its rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..compiled.threads import Team
from ..coordinates import ColumnMoments
from .partition_reader import itself
from .summary import Summary
from .table import Table
from .tree_sum import PartialSums, TreeSum

Function = Callable[[int, Any], Any]  # of the number of a part, and the part
Step = Callable[[PartialSums, Table], PartialSums]  # from a state to the next


class Partitions:
    """Partitions 0, 1, ..., which may be empty; subclasses define `map`.

    Attributes
    ----------
    once : bool
        Whether they can be read one time only.
    sequential : bool
        Whether parts come one after another, in this process.
    """

    once, sequential = False, False

    def map(self, function: Function) -> Iterable[Any]:
        """function(number, part) of all parts, in their order."""
        raise NotImplementedError

    def prepared(self, function: Function) -> Partitions:
        """Partitions that are function(number, part) of these; None stands for a part without rows."""
        return _Prepared(self, function)

    def release(self) -> None:
        """Let go of parts that nobody will ask for again, where they are kept."""

    def columns(self, index: np.ndarray) -> Partitions:
        """Some columns alone, of parts that are tables."""
        return self.prepared(partial(_columns, index))

    def shared_by(self, team: Team) -> Partitions:
        """The same parts, read by a team of threads where that is up to this process."""
        return self

    def total(self, query: Callable[[Table], PartialSums]) -> PartialSums | None:
        """The sum of the answers of all parts, which are tables, in an order that is always the same."""
        tally = TreeSum()
        for number, record in enumerate(self.map(partial(_answer, query))):
            tally.add(record, number)
        return tally.total()

    def advance(self, step: Step, state: PartialSums) -> PartialSums:
        """The mean of step(state, table) of all parts, weighted by their numbers of rows."""
        rows, *sums = self.total(_Advance(step, state))  # type: ignore[misc]  # some part has rows
        return tuple(values / rows for values in sums)


class _Prepared(Partitions):
    """Partitions that are made of others, whenever they are needed."""

    def __init__(self, parts: Partitions, function: Function) -> None:
        self.parts, self.function = parts, function
        self.once, self.sequential = parts.once, parts.sequential

    def map(self, function: Function) -> Iterable[Any]:
        return self.parts.map(partial(_then, self.function, function))

    def shared_by(self, team: Team) -> Partitions:
        return self if not self.sequential else _Prepared(self.parts, partial(_shared, team, self.function))

    def advance(self, step: Step, state: PartialSums) -> PartialSums:
        """In this process each part goes on where the last one ended: that is one epoch of all of them."""
        if not self.sequential:
            return super().advance(step, state)
        for table in self.map(itself):
            if table is not None:
                state = step(state, table)
        return state


class Stream(Partitions):
    """Batches in this process, of which one is in memory at a time.

    Parameters
    ----------
    batches : iterable or callable
        Of parts; a callable returns a new iterator for every pass.
    """

    sequential = True

    def __init__(self, batches: Any) -> None:
        if not callable(batches) and not isinstance(batches, Iterable):
            raise TypeError(
                f"batches has to be an iterable of (X, y) or (X, y, sample_weight), or a callable that returns one, but is a "
                f"{type(batches).__name__}."
            )
        self.batches, self.passes = batches, 0
        self.count: int | None = None  # of parts, known after a pass
        self.once = isinstance(batches, Iterator)

    def map(self, function: Function) -> Iterator[Any]:
        if self.once and self.passes:
            raise ValueError(
                "batches is an iterator, which ends after one pass, and this fit needs several: pass a list, another iterable "
                "that can be read again, or a callable that returns a new iterator."
            )
        self.passes, count = self.passes + 1, 0
        for part in self.batches() if callable(self.batches) else self.batches:
            yield function(count, part)
            count += 1
        if self.count is not None and self.count != count:
            raise ValueError(f"batches had {count} parts in pass {self.passes} and {self.count} before.")
        self.count = count


class Mapped(Partitions):
    """Partitions wherever they are.

    Parameters
    ----------
    map_parts : callable
        ``map_parts(function)`` returns the list of ``function(number, part)`` of all parts, in their order.
    """

    def __init__(self, map_parts: Callable[[Function], Iterable[Any]]) -> None:
        self.map_parts = map_parts

    def map(self, function: Function) -> Iterable[Any]:
        return self.map_parts(function)


def partitions_of(batches: Any) -> Partitions:
    """What users hand over for batches."""
    return batches if isinstance(batches, Partitions) else Stream(batches)


class PartitionedData:
    """The rows of all parts, as objectives ask for them.

    Parameters
    ----------
    parts : Partitions
        Tables, with weights of any mean.
    survey : Summary
        Of all of them.
    distinct : (ndarray of shape (T, classes), ndarray of shape (classes,)) or None
        The targets of the classes and their weights; None: they are numbers.
    """

    expensive = True

    def __init__(self, parts: Partitions, survey: Summary, distinct: tuple[np.ndarray, np.ndarray] | None) -> None:
        self.parts, self.survey, self.distinct = parts, survey, distinct
        self.n, self.d, self.entries = survey.n, len(survey.low), survey.entries
        self.sparse, self.dtype = survey.sparse, survey.dtype
        self.unit = survey.n / survey.columns.weight  # that makes the mean of all weights one

    def shared_by(self, team: Team) -> PartitionedData:
        shared = copy(self)
        shared.parts = self.parts.shared_by(team)
        return shared

    def total(self, query: Callable[[Table], PartialSums]) -> PartialSums:
        """The answer of all rows.  One pass."""
        return tuple(self.unit * value for value in self.parts.total(query))  # type: ignore[union-attr]  # some part has rows

    def columns(self, index: np.ndarray) -> PartitionedData:
        return PartitionedData(self.parts.columns(index), self.survey.of_columns(index), self.distinct)

    def thins(self, stride: int) -> bool:
        """Whether every `stride`-th row is in the sample."""
        return stride % self.survey.stride == 0

    def thinned(self, stride: int) -> Table:
        """The rows of the sample whose numbers are multiples of the stride."""
        return self.survey.sample(stride)

    @cached_property
    def representative(self) -> Table:
        """Rows that stand for all: the sample."""
        return self.survey.sample(self.survey.stride)

    @property
    def column_moments(self) -> ColumnMoments:
        return self.survey.columns

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        return self.survey.low, self.survey.high

    def target_moments(self) -> ColumnMoments:
        return self.survey.targets

    def smallest_weight(self) -> float:
        return self.unit * self.survey.smallest_weight

    def intercept_only_scores(self, loss: Any) -> np.ndarray:
        """Those of the classes, or of the sample; or of the mean, where the sample has none, counts of zero alone, say."""
        if self.distinct is not None:
            return np.asarray(loss.intercept_only_scores(*self.distinct))
        with np.errstate(divide="ignore"):
            scores = self.representative.intercept_only_scores(loss)
        return np.where(np.isfinite(scores), scores, loss.intercept_only_scores(self.survey.targets.mean[:, None], np.ones(1)))


class _Advance:
    """The question whose answer is what a part makes of a state, times its number of rows."""

    def __init__(self, step: Step, state: PartialSums) -> None:
        self.step, self.state = step, state

    def __call__(self, table: Table) -> PartialSums:
        return table.n, *(table.n * np.asarray(values) for values in self.step(self.state, table))


def _answer(query: Callable[[Table], PartialSums], number: int, table: Table | None) -> PartialSums | None:
    return None if table is None else query(table)


def _columns(index: np.ndarray, number: int, table: Table | None) -> Table | None:
    return None if table is None else table.columns(index)


def _then(first: Function, second: Function, number: int, part: Any) -> Any:
    return second(number, first(number, part))


def _shared(team: Team, function: Function, number: int, part: Any) -> Table | None:
    table = function(number, part)
    return None if table is None else table.shared_by(team)
