"""Partitions on the workers of a cluster, and the conversion of Dask collections to such partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from distributed import Client, get_worker, wait
from distributed.protocol.pickle import dumps, loads

from ..compiled.threads import threads
from ..data.partitions import PartitionFunction, Partitions, Query, require_rows
from ..data.table import Table
from ..data.tree_sum import Node, PartialSums, TreeSum

LARGE_QUERY = 1 << 20  # bytes; a larger pickled query is sent to the workers directly and not through the scheduler


class DaskPartitions(Partitions):
    """Partitions that are kept on the workers of a cluster.

    Parameters
    ----------
    client : Client
        The client of the cluster.
    futures : list of Future
        One future for each partition.  The constructor waits until all of them are computed.
    """

    def __init__(self, client: Client, futures: list[Any]) -> None:
        self.client, self.futures = client, futures
        wait(futures)
        # Workers, each with the numbers of the partitions for which it answers queries.  Empty before the first query.
        self._assignments: list[tuple[str, list[int]]] = []

    def map(self, function: PartitionFunction) -> list[Any]:
        with self._submitted(function) as futures:
            return self.client.gather(futures)

    def transformed(self, function: PartitionFunction) -> DaskPartitions:
        """The partitions function(number, partition), which are computed once and kept on the workers.  One pass."""
        with self._submitted(function) as futures:
            return DaskPartitions(self.client, futures)

    def release(self) -> None:
        self.futures = []

    def total(self, query: Query) -> PartialSums:
        """The sum of the answers for all partitions.  One pass, with one task for each worker.

        If a worker is lost, other workers take over its task.
        """
        self._assignments = self._assignments or self._assigned()
        sent = dumps(query)
        if len(sent) > LARGE_QUERY:
            sent = self.client.scatter(sent, broadcast=True, hash=False)
        tasks = [
            self.client.submit(
                _answer,
                sent,
                numbers,
                *(self.futures[number] for number in numbers),
                workers=[worker],
                allow_other_workers=True,
                pure=False,
            )
            for worker, numbers in self._assignments
        ]
        tree_sum = TreeSum()
        with self._cancelling(tasks) as futures:
            for nodes in self.client.gather(futures):
                tree_sum.merge(nodes)
        return require_rows(tree_sum.total())

    def _assigned(self) -> list[tuple[str, list[int]]]:
        """Workers, each with the numbers of the partitions that it holds; lost partitions go to the first worker."""
        holders, assignments = self.client.who_has(self.futures), dict[str | None, list[int]]()
        for number, future in enumerate(self.futures):
            workers = sorted(holders.get(future.key, ()))
            assignments.setdefault(workers[0] if workers else None, []).append(number)
        anywhere = sorted(self.client.scheduler_info(n_workers=-1)["workers"])[:1]
        return [(worker or anywhere[0], numbers) for worker, numbers in assignments.items()]

    @contextmanager
    def _submitted(self, function: PartitionFunction) -> Iterator[list[Any]]:
        """The futures of function(number, partition) for all partitions, cancelled if the block raises."""
        with self._cancelling(self.client.map(function, range(len(self.futures)), self.futures, pure=False)) as futures:
            yield futures

    @contextmanager
    def _cancelling(self, futures: list[Any]) -> Iterator[list[Any]]:
        """Cancel the tasks if the block raises an exception, for example on Ctrl-C."""
        try:
            yield futures
        except BaseException:
            self.client.cancel(futures)
            raise


def collected(client: Client, X: Any, y: Any, sample_weight: Any) -> DaskPartitions:
    """Compute the partitions (X, y) or (X, y, sample_weight) of Dask collections, and keep them on the workers.

    Raises
    ------
    TypeError
        If one of the arguments is not a Dask collection.
    ValueError
        If the collections do not have the same number of partitions.
    """
    collections = {"X": X, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    for name, collection in collections.items():
        check_collection(name, collection)
    chunks = X.chunks[0] if isinstance(X, da.Array) else None
    delayed = {name: _delayed(collection, chunks) for name, collection in collections.items()}
    counts = {name: len(partitions) for name, partitions in delayed.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ValueError(f"X, y and sample_weight have to be in the same partitions, but {told}: repartition them alike.")
    partitions = [dask.delayed(tuple)(rows) for rows in zip(*delayed.values(), strict=True)]
    return DaskPartitions(client, client.compute(partitions))


def check_collection(name: str, value: Any) -> None:
    """Raise TypeError if a value is not a Dask collection."""
    if not is_dask_collection(value):
        raise TypeError(
            f"{name} has to be a dask array or dataframe, but is a {type(value).__name__}: for data in memory use to_local(), "
            "or the local estimator."
        )


def whole_rows(X: da.Array) -> da.Array:
    """The array, rechunked so that each block holds all columns of its rows."""
    return X.rechunk({1: -1}) if X.ndim == 2 and len(X.chunks[1]) > 1 else X


def _delayed(collection: Any, chunks: tuple[int, ...] | None) -> list[Any]:
    """The partitions of a collection.  An array is rechunked to these `chunks` of rows, if all numbers of rows are known."""
    if not isinstance(collection, da.Array):
        return list(collection.to_delayed())
    collection = whole_rows(collection)
    if chunks is not None and collection.chunks[0] != chunks and not np.isnan([*collection.chunks[0], *chunks]).any():
        collection = collection.rechunk({0: chunks}) if sum(chunks) == collection.shape[0] else collection
    return list(collection.to_delayed().ravel())


def _answer(sent: bytes, numbers: list[int], *tables: Table | None) -> dict[Node, PartialSums | None]:
    """The answer of a worker to a pickled query for its partitions with these numbers, using all threads of the worker."""
    query, tree_sum = loads(sent), TreeSum()
    with threads(get_worker().state.nthreads) as team, np.errstate(over="ignore", invalid="ignore"):
        for number, table in zip(numbers, tables, strict=True):
            tree_sum.add(None if table is None else query(table.shared_by(team)), number)
    return tree_sum.nodes
