"""Metadata of partitions, read before their rows are summarised: classes and their weights, sizes and columns."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.multiclass import check_classification_targets

from ..data.partition_reader import PartitionMetadata, PartitionReader, ReadingEstimator
from ..data.partitions import Partitions, SequentialPartitions, require_rows
from ..data.summary import Summary
from ..data.table import Table
from ..options import Options
from ..penalties import Penalty
from ..training import Coefficients


class PreparedEstimator(ReadingEstimator, Protocol):
    """The methods of `GDClassifier` and `GDRegressor` that the preparation of a fit uses."""

    n_jobs: int | None
    class_weight: Any  # only classifiers have it

    def _unfitted_copy(self) -> PreparedEstimator:
        """An estimator with the same parameters and without fitted attributes, to be sent to the partitions."""

    def _check_classes(self, classes: np.ndarray) -> None:
        """Raise ValueError if the estimator cannot be fitted to these classes."""

    def _class_weights(self, classes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """The class weight of each class; None if `class_weight` is None."""

    def _set_features(self, n_features: int, names: Any) -> None:
        """Set `n_features_in_`, and `feature_names_in_` unless `names` is None."""

    def _distinct_targets(self, summary: Summary, classes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
        """The targets of each class and the sum of its weights; None for regression.  ValueError if the targets are invalid."""

    def _loss_of(self, summary: Summary) -> Any:
        """The loss for rows with this summary."""

    def _penalty(self, d: int) -> Penalty:
        """The penalty on the d coefficients of each column of scores."""

    def _options(self, loss: Any) -> Options:
        """The options of the solver."""

    def _start(self, d: int, n_outputs: int, init: Any) -> Coefficients | None:
        """The user's coefficients or those of the last fit to start from; None if there are none."""

    def _objective(self, table: Table, loss: Any, W: np.ndarray, b: np.ndarray) -> float:
        """The objective of a table with weights of mean one."""


class Sizes(NamedTuple):
    """The rows and columns of all partitions."""

    edges: list[int]  # partition p holds the rows edges[p], ..., edges[p + 1] - 1 among all rows with a weight
    entries: int  # the number of stored entries of X
    n_features: int
    feature_names: list[str] | None


class Metadata(NamedTuple):
    """Metadata of all partitions together."""

    classes: np.ndarray | None  # sorted; None for regression
    class_weights: np.ndarray | None  # the factor of the weights of each class's rows; None if `class_weight` is None
    class_totals: np.ndarray | None  # the sum of the weights of each class; None if the labels were not read
    sizes: Sizes | None  # None if the partitions were not read

    @property
    def entries(self) -> int:
        """The number of stored entries of X in all partitions; 0 if it is not known."""
        return 0 if self.sizes is None else self.sizes.entries

    def reader(self, estimator: PreparedEstimator) -> PartitionReader:
        """A reader of the partitions that knows this metadata."""
        unfitted, edges = estimator._unfitted_copy(), None
        if self.sizes is not None:
            unfitted._set_features(self.sizes.n_features, self.sizes.feature_names)
            edges = self.sizes.edges
        return PartitionReader(unfitted, self.classes, self.class_weights, edges)


def read_metadata(estimator: PreparedEstimator, partitions: Partitions, classes: Any) -> Metadata:
    """Read the labels and sizes that are needed before the rows are summarised.  One pass, or none.

    A stream is read if the user has not given the classes, or wants balanced class weights.  Partitions on other machines are
    always read: all of them are summarised at the same time, so the number of the first row of each has to be known before.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
    partitions : Partitions
        The user's partitions.
    classes : array-like or None
        All labels, if the user gave them.  None: the labels that occur.
    """
    sequential = isinstance(partitions, SequentialPartitions)
    if not is_classifier(estimator):
        return Metadata(None, None, None, None if sequential else _sizes(_found(estimator, partitions)))
    given = None if classes is None else np.unique(classes)
    if sequential and given is not None and not isinstance(estimator.class_weight, str):  # "balanced"
        return Metadata(given, _checked_weights(estimator, given, np.ones(len(given))), None, None)
    found = _found(estimator, partitions)
    sizes = _sizes(found)
    known, totals = _classes(found, given)
    class_weights = _checked_weights(estimator, known, totals)
    return Metadata(known, class_weights, totals if class_weights is None else totals * class_weights, sizes)


def _found(estimator: PreparedEstimator, partitions: Partitions) -> list[PartitionMetadata | None]:
    """The metadata of each partition.  One pass."""
    return list(partitions.map(partial(PartitionMetadata.read, estimator._unfitted_copy())))


def _checked_weights(estimator: PreparedEstimator, classes: np.ndarray, totals: np.ndarray) -> np.ndarray | None:
    """The class weights for classes with these total weights; ValueError if the estimator cannot have these classes."""
    estimator._check_classes(classes)
    return estimator._class_weights(classes, np.arange(len(classes)), totals)


def _sizes(found: list[PartitionMetadata | None]) -> Sizes:
    """The sizes of all partitions; ValueError if they differ in their columns."""
    edges, entries, columns = [0], 0, None
    for number, metadata in enumerate(found):
        edges.append(edges[-1] + (0 if metadata is None else metadata.n))
        if metadata is None:
            continue
        entries += metadata.entries
        here = metadata.n_features, None if metadata.feature_names is None else metadata.feature_names.tolist()
        if columns is None:
            columns = here
        if here != columns:
            raise ValueError(
                f"Partition {number} has the {_description(*here)}, and partitions before it the {_description(*columns)}."
            )
    return Sizes(edges, entries, *require_rows(columns))


def _description(n_features: int, names: list[str] | None) -> str:
    return f"{n_features} columns without names" if names is None else f"columns {', '.join(map(str, names))}"


def _classes(found: list[PartitionMetadata | None], given: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The classes, given by the user or found in the partitions, and the sum of the weights of each class."""
    labels = np.concatenate([metadata.labels for metadata in found if metadata is not None])
    weights = np.concatenate([metadata.label_totals for metadata in found if metadata is not None])
    if given is not None:  # other labels raise an error later, when their partition is read and the error can name it
        inside = np.isin(labels, given)
        return given, np.bincount(np.searchsorted(given, labels[inside]), weights[inside], len(given))
    classes, codes = np.unique(labels, return_inverse=True)
    check_classification_targets(np.tile(classes, 3))  # repeated, as labels that occur only once look like numbers
    return classes, np.bincount(codes, weights)
