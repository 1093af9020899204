"""Before a fit of rows in parts: what columns and classes there are, the survey of all rows, and where steps begin."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.multiclass import check_classification_targets

from ..compiled.threads import SHARED, Team, thread_count, threads
from ..data.partition_reader import PartitionMetadata, PartitionReader, itself
from ..data.partitions import PartitionedData, Partitions
from ..data.summary import LARGEST, Summary
from ..data.table import Table
from ..fit_cache import FitCache
from ..options import Options
from ..solvers.rules import RULES
from ..training import FirstEpochResult, Problem
from .first_epoch import FirstEpoch

Coefficients = tuple[np.ndarray, np.ndarray]


class Metadata(NamedTuple):
    """What is known of all parts at a glance."""

    edges: list[int]  # rows edges[p]..edges[p + 1] that count are those of part p
    entries: int  # of X
    totals: np.ndarray | None  # weights of the classes, those of the user's included


def reader_of(estimator: Any, parts: Partitions, classes: Any) -> tuple[PartitionReader, Metadata | None]:
    """A reader that knows the classes, and what is known of all parts, if anything.

    Where nobody knows the classes, or what they weigh, labels are read first; elsewhere than here all parts are, which
    gives their rows numbers.
    """
    labelled = is_classifier(estimator)
    balanced = labelled and isinstance(estimator.class_weight, str)
    known: Any = None if classes is None or not labelled else np.unique(classes)
    glances, edges, totals = [], None, None
    if not parts.sequential or (labelled and (known is None or balanced)):
        glances = list(parts.map(partial(PartitionMetadata.at, estimator._bare())))
        edges = _agree(estimator, glances)
        if labelled:
            known, totals = _classes(glances, known)
    of_classes = None
    if labelled:
        estimator._check_classes(known)
        weights = np.ones(len(known)) if totals is None else totals
        of_classes = estimator._class_weights(known, np.arange(len(known)), weights)
        if of_classes is not None and totals is not None:
            totals *= of_classes
    if edges is None:
        return PartitionReader(estimator, known, of_classes, None), None
    entries = sum(glance.entries for glance in glances if glance is not None)
    return PartitionReader(estimator._bare(), known, of_classes, edges), Metadata(edges, entries, totals)


def gather(estimator: Any, reader: PartitionReader, overview: Metadata | None, parts: Partitions, init: Any) -> Problem:
    """Summarise the parts; in a stream, make an epoch of steps on the way, where that is what the solver does or needs."""
    began, tables = perf_counter(), parts.prepared(reader)
    if overview is None or parts.sequential:
        with threads(thread_count(estimator.n_jobs, SHARED)) as team, np.errstate(over="ignore", invalid="ignore"):
            survey, options, epoch, before = _first_pass(estimator, reader, parts, init, team)
    else:
        options, epoch, before = None, None, None
        stride = 1 << (overview.entries // LARGEST).bit_length()  # of what comes here, no more than a sample is left
        with np.errstate(over="ignore", invalid="ignore"):  # which the fit finds out
            survey = _merged(list(tables.map(partial(_surveyed, stride))))
        parts.release()
    if survey is None:
        raise ValueError("There are no rows with a weight in any part.")
    if overview is not None and overview.totals is not None:
        survey = survey._replace(classes=overview.totals)
    distinct = estimator._distinct_targets(survey, reader.classes)
    data, loss = PartitionedData(tables, survey, distinct), estimator._loss_of(survey)
    penalty, options = estimator._penalty(data.d), estimator._options(loss) if options is None else options
    if epoch is None:
        return Problem(data, loss, penalty, options, estimator._start(data.d, loss.n_outputs, init))
    after = epoch.result()
    begun = FirstEpochResult(_of_sample(estimator, survey, loss, before), _of_sample(estimator, survey, loss, after), began)
    return Problem(data, loss, penalty, options, after, FitCache(progress=epoch.progress()), begun)


def _first_pass(
    estimator: Any, reader: PartitionReader, parts: Partitions, init: Any, team: Team
) -> tuple[Summary | None, Options | None, FirstEpoch | None, Coefficients | None]:
    """The survey of a stream, the options for its loss, and the epoch made on the way, if one was, from where."""
    survey, options, epoch, before, edges = None, None, None, None, [0]
    for number, part in enumerate(parts.map(itself)):
        rows = 0 if survey is None else survey.n
        if reader.edges is None:
            table, classes = reader.read(number, part, rows, reset=survey is None)
        else:  # labels were read before
            table, classes = reader.read_again(number, part)
        edges.append(rows if table is None else rows + table.n)
        if table is None:
            continue
        here = Summary.of(table.shared_by(team), classes)
        survey = here if survey is None else _joined(survey, here, number)
        loss = estimator._loss_of(survey)
        if options is None:
            penalty, options = estimator._penalty(table.d), estimator._options(loss)
            start = estimator._start(table.d, loss.n_outputs, init)
            before = start if start is not None else (np.zeros((table.d, loss.n_outputs)), np.zeros(loss.n_outputs))
            if _steps_first(options, loss, start is not None):
                epoch = FirstEpoch(before[0], before[1], penalty, options)
        if epoch is not None:
            epoch.learn(table, loss, survey)
    reader.edges = edges
    return survey, options, epoch, before


def _steps_first(options: Options, loss: Any, started: bool) -> bool:
    """Whether the first pass makes steps: those of an update rule, or for gd to start from."""
    if options.solver == "auto":
        return not started and not loss.constant_curvature() and loss.bounded_curvature()
    return options.solver in RULES


def _of_sample(estimator: Any, survey: Summary, loss: Any, at: Any) -> float:
    """The objective of the sample at raw coefficients."""
    table = survey.sample(survey.stride)
    with np.errstate(over="ignore", invalid="ignore"):  # which the fit finds out
        return estimator._objective(Table(table.X, table.Y, table.s * (table.n / table.s.sum())), loss, *at)


def _merged(surveys: list[Summary | None]) -> Summary | None:
    merged = None
    for number, survey in enumerate(surveys):
        if survey is not None:
            merged = survey if merged is None else _joined(merged, survey, number)
    return merged


def _joined(before: Summary, here: Summary, number: int) -> Summary:
    T, T_here = len(before.targets.mean), len(here.targets.mean)
    if T != T_here:
        raise ValueError(f"Part {number}: y has {T_here} columns, and {T} in the parts before.")
    return before.merged(here)


def _agree(estimator: Any, glances: list[PartitionMetadata | None]) -> list[int]:
    """Set the features of the estimator, which all parts have to share; where the rows of each part begin and end."""
    edges, known = [0], None
    for number, glance in enumerate(glances):
        edges.append(edges[-1] + (0 if glance is None else glance.rows))
        if glance is None:
            continue
        features = glance.width, None if glance.names is None else glance.names.tolist()
        if known is None:
            known = features
        if features != known:
            raise ValueError(f"Part {number} has the {_described(*features)}, and parts before it the {_described(*known)}.")
    if known is None:
        raise ValueError("There are no rows with a weight in any part.")
    estimator._set_features(*known)
    return edges


def _described(width: int, names: list[str] | None) -> str:
    return f"{width} columns without names" if names is None else f"columns {', '.join(map(str, names))}"


def _classes(glances: list[PartitionMetadata | None], known: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """All labels, and what they weigh."""
    labels = np.concatenate([glance.labels for glance in glances if glance is not None])
    weights = np.concatenate([glance.weights for glance in glances if glance is not None])
    if known is not None:  # labels beyond these are an error of their part
        inside = np.isin(labels, known)
        return known, np.bincount(np.searchsorted(known, labels[inside]), weights[inside], len(known))
    found, codes = np.unique(labels, return_inverse=True)
    check_classification_targets(np.tile(found, 3))  # all of them once would look like numbers
    return found, np.bincount(codes, weights)


def _surveyed(stride: int, number: int, table: Table | None) -> Summary | None:
    if table is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return Summary.of(table, np.empty(0), stride)
