"""Preparation of a fit of partitions: summarise all rows, and make the problem that a solver minimises.

This takes one pass over all rows, in addition to the pass of `metadata.py`, if there is one.  On a stream, the pass may be an
epoch of stochastic steps at the same time.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..compiled.threads import SHARED, Team, thread_count, threads
from ..data.partition_reader import PartitionReader
from ..data.partitioned_data import PartitionedData
from ..data.partitions import Partitions, SequentialPartitions, require_rows
from ..data.summary import LARGEST_SAMPLE, Summary
from ..data.table import Table
from ..fit_cache import FitCache
from ..options import Options
from ..solvers.rules import STOCHASTIC_SOLVERS
from ..training import Coefficients, FirstEpochResult, Problem
from .first_epoch import FirstEpoch
from .metadata import Metadata, PreparedEstimator


class Beginning(NamedTuple):
    """What the pass over a stream decides at its first rows."""

    options: Options
    start: Coefficients  # the user's coefficients, or zeros
    epoch: FirstEpoch | None  # the epoch that starts there; None if the pass makes no steps


class Summarised(NamedTuple):
    """The result of the pass over all rows."""

    reader: PartitionReader
    tables: Partitions  # the partitions as tables, read by the reader
    summary: Summary
    beginning: Beginning | None  # None for partitions on other machines


def prepare(estimator: PreparedEstimator, partitions: Partitions, metadata: Metadata, init: Any) -> Problem:
    """Make the problem to minimise.  One pass.

    This also sets `n_features_in_` and `feature_names_in_` of the estimator.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
    partitions : Partitions
        The user's partitions.
    metadata : Metadata
        The result of `read_metadata`.
    init : Start
        The user's coefficients to start from.

    Raises
    ------
    ValueError
        If rows are invalid; the message names their partition.  Also if there are no rows, if partitions differ in their
        columns, or if the targets are outside the domain of the loss.
    """
    began = perf_counter()
    reader, tables, summary, beginning = summarise(estimator, partitions, metadata, init)
    if metadata.class_totals is not None:  # where the classes were read first, their weights are known
        summary = summary._replace(class_totals=metadata.class_totals)
    estimator._set_features(reader.estimator.n_features_in_, getattr(reader.estimator, "feature_names_in_", None))
    distinct = estimator._distinct_targets(summary, metadata.classes)
    data, loss = PartitionedData(tables, summary, distinct), estimator._loss_of(summary)
    penalty, options = estimator._penalty(data.d), estimator._options(loss) if beginning is None else beginning.options
    if beginning is None or beginning.epoch is None:
        return Problem(data, loss, penalty, options, estimator._start(data.d, loss.n_outputs, init))
    end = beginning.epoch.result()
    before, after = (_sample_objective(estimator, summary, loss, at) for at in (beginning.start, end))
    first_epoch = FirstEpochResult(before, after, began)
    return Problem(data, loss, penalty, options, end, FitCache(progress=beginning.epoch.progress()), first_epoch)


def summarise(estimator: PreparedEstimator, partitions: Partitions, metadata: Metadata, init: Any) -> Summarised:
    """Read all rows as tables, and summarise them.  One pass."""
    with np.errstate(over="ignore", invalid="ignore"):  # the solver finds overflows and names their cause
        if not isinstance(partitions, SequentialPartitions):
            return _summarise_elsewhere(estimator, partitions, metadata)
        with threads(thread_count(estimator.n_jobs, SHARED)) as team:
            return _summarise_stream(estimator, partitions, metadata, init, team)


def _summarise_elsewhere(estimator: PreparedEstimator, partitions: Partitions, metadata: Metadata) -> Summarised:
    """The summary of partitions on other machines, each of which is summarised on its machine."""
    reader, summary = metadata.reader(estimator), None
    tables = partitions.transformed(reader)
    # The samples of all partitions are collected here.  With this stride, together they are no larger than one sample may be.
    stride = 1 << (metadata.entries // LARGEST_SAMPLE).bit_length()
    for number, here in enumerate(tables.map(partial(_summary_of, stride))):
        summary = summary if here is None else _joined(summary, here, number)
    partitions.release()
    return Summarised(reader, tables, require_rows(summary), None)


def _summarise_stream(
    estimator: PreparedEstimator, stream: SequentialPartitions, metadata: Metadata, init: Any, team: Team
) -> Summarised:
    """The summary of a stream.  If the solver makes an epoch in this pass, it steps on each batch once it is summarised."""
    reader = metadata.reader(estimator)
    summary, beginning, edges = None, None, [0]
    for number, partition in enumerate(stream):
        if reader.edges is None:
            table, class_totals = reader.read(number, partition, edges[-1])
        else:
            table, class_totals = reader.read_again(number, partition)
        edges.append(edges[-1] + (0 if table is None else table.n))
        if table is None:
            continue
        summary = _joined(summary, Summary.of(table.shared_by(team), class_totals), number)
        loss = estimator._loss_of(summary)
        beginning = beginning or _begin(estimator, table.d, loss, init)
        if beginning.epoch is not None:
            beginning.epoch.learn(table, loss, summary)
    reader = reader.with_edges(edges)
    return Summarised(reader, stream.transformed(reader), require_rows(summary), beginning)


def _begin(estimator: PreparedEstimator, d: int, loss: Any, init: Any) -> Beginning:
    """Decide whether the first pass makes an epoch of steps, and where the epoch starts."""
    penalty, options = estimator._penalty(d), estimator._options(loss)
    start = estimator._start(d, loss.n_outputs, init)
    stepping = _steps_first(options, loss, start is not None)
    W, b = (np.zeros((d, loss.n_outputs)), np.zeros(loss.n_outputs)) if start is None else start
    return Beginning(options, (W, b), FirstEpoch(W, b, penalty, options) if stepping else None)


def _steps_first(options: Options, loss: Any, started: bool) -> bool:
    """Whether the first pass makes an epoch of steps, either of a stochastic solver or as a start for gd."""
    if options.solver == "auto":
        return not started and not loss.constant_curvature() and loss.bounded_curvature()
    return options.solver in STOCHASTIC_SOLVERS


def _summary_of(stride: int, number: int, table: Table | None) -> Summary | None:
    """The summary of one partition; this runs on the machine of the partition."""
    if table is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return Summary.of(table, np.empty(0), stride)


def _joined(before: Summary | None, here: Summary, number: int) -> Summary:
    """The summary of a partition and of all partitions before it."""
    if before is None:
        return here
    T, T_here = len(before.targets.mean), len(here.targets.mean)
    if T != T_here:
        raise ValueError(f"Partition {number}: y has {T_here} columns, and {T} in the partitions before.")
    return before.merged(here)


def _sample_objective(estimator: PreparedEstimator, summary: Summary, loss: Any, at: Coefficients) -> float:
    """The objective of the sample of rows at raw coefficients."""
    table = summary.sample(summary.stride)
    with np.errstate(over="ignore", invalid="ignore"):  # the solver finds overflows and names their cause
        return estimator._objective(Table(table.X, table.Y, table.s * (table.n / table.s.sum())), loss, *at)
