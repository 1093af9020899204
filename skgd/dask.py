"""`DaskGDClassifier` and `DaskGDRegressor`: the same ones for arrays and frames of Dask, on a cluster (extra `skgd[dask]`).

Partitions stay on the workers where they lie.  A round sends coefficients to each worker, as one task, and brings back one
record: what its parts sum up to.  Sums have a fixed order (`tree_sum.py`), so that neither the number of workers nor who
answers first changes a bit of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import Parameter, getdoc, signature
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from distributed import Client, get_client, get_worker, wait
from distributed.protocol.pickle import dumps, loads
from scipy.special import xlogy
from sklearn.base import _fit_context, clone

from .compiled.threads import threads
from .coordinates import ColumnMoments
from .data.partitions import Function, Partitions
from .data.table import Table
from .data.tree_sum import Node, PartialSums, TreeSum
from .estimators.base import _GDEstimator, unchanged_on_error
from .estimators.classifier import GDClassifier
from .estimators.inputs import Start
from .estimators.parameters import LOG_LINK
from .estimators.regressor import GDRegressor
from .losses.registry import REGRESSION_LOSSES
from .prediction.scores import means

LARGE = 1 << 20  # bytes of a question, beyond which it does not travel with the tasks
ROUNDING = 1e-13  # share of a sum
OWN = ("client", "_sklearn_version")  # what a local estimator does not have

__all__ = ["DaskGDClassifier", "DaskGDRegressor"]


class DaskParts(Partitions):
    """Partitions on the workers of a cluster.

    Parameters
    ----------
    client : Client
    futures : list of Future
        One for each part.
    """

    def __init__(self, client: Client, futures: list[Any]) -> None:
        self.client, self.futures = client, futures
        wait(futures)
        self._runs: list[tuple[str, list[int]]] = []  # workers, and the numbers of the parts that lie there

    def map(self, function: Function) -> list[Any]:
        numbers = range(len(self.futures))
        with self._cancelling(self.client.map(function, numbers, self.futures, pure=False)) as futures:
            return self.client.gather(futures)

    def prepared(self, function: Function) -> DaskParts:
        with self._cancelling(self.client.map(function, range(len(self.futures)), self.futures, pure=False)) as futures:
            return DaskParts(self.client, futures)

    def release(self) -> None:
        self.futures = []

    def total(self, query: Callable[[Table], PartialSums]) -> PartialSums | None:
        """One task for each worker, on the parts that lie there; others step in where a worker is lost."""
        self._runs = self._runs or self._located()
        sent = dumps(query)
        if len(sent) > LARGE:
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
            for worker, numbers in self._runs
        ]
        tally = TreeSum()
        with self._cancelling(tasks) as futures:
            for nodes in self.client.gather(futures):
                tally.merge(nodes)
        return tally.total()

    def _located(self) -> list[tuple[str, list[int]]]:
        """Workers, and the numbers of the parts that lie there."""
        holders, runs = self.client.who_has(self.futures), dict[str | None, list[int]]()
        for number, future in enumerate(self.futures):
            workers = sorted(holders.get(future.key, ()))
            runs.setdefault(workers[0] if workers else None, []).append(number)
        anywhere = sorted(self.client.scheduler_info(n_workers=-1)["workers"])[:1]
        return [(worker or anywhere[0], numbers) for worker, numbers in runs.items()]

    @contextmanager
    def _cancelling(self, futures: list[Any]) -> Iterator[list[Any]]:
        """Cancel the tasks if the block raises, as it does when Ctrl-C is pressed."""
        try:
            yield futures
        except BaseException:
            self.client.cancel(futures)
            raise


def _answer(sent: bytes, numbers: list[int], *tables: Table | None) -> dict[Node, PartialSums | None]:
    """What the parts of a worker answer to a pickled question, summed up, on as many threads as it has."""
    query, tally = loads(sent), TreeSum()
    with threads(get_worker().state.nthreads) as team, np.errstate(over="ignore", invalid="ignore"):
        for number, table in zip(numbers, tables, strict=True):
            tally.add(None if table is None else query(table.shared_by(team)), number)
    return tally.nodes


def _with_parameters_of(local: Any) -> Callable[[Any], Any]:
    """Give a class the constructor of a local estimator, with one more parameter, `client`, the last one; and say so."""

    def initialise(self: Any, *args: Any, client: Any = None, **parameters: Any) -> None:
        local.__init__(self, *args, **parameters)
        self.client = client

    own, last = signature(local.__init__), Parameter("client", Parameter.KEYWORD_ONLY, default=None)
    vars(initialise)["__signature__"] = own.replace(parameters=[*own.parameters.values(), last])

    def decorate(cls: Any) -> Any:
        cls.__init__, title = initialise, "Parameters\n----------\n"
        if cls.__doc__:  # which python -OO drops
            described = str(getdoc(local)).split(title)[1].split("\n\nAttributes\n")[0]
            cls.__doc__ = str(getdoc(cls)).replace(title, f"{title}{described}\n") + "\n"
        return cls

    return decorate


class _DaskEstimator(_GDEstimator):
    """What the two share: where parts come from, and predictions that are computed when they are asked for."""

    _local: Any
    client: Any

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self) -> Any:
        """All parameters are copied but the client, which is shared."""
        parameters = self.get_params(deep=False)
        client = parameters.pop("client")
        return type(self)(**{name: clone(value, safe=False) for name, value in parameters.items()}, client=client)

    @property
    def client_(self) -> Client:
        """The client that fits use: the one that was given, or the current one."""
        return get_client() if self.client is None else self.client

    def to_local(self) -> Any:
        """The same model as a `GDClassifier` or `GDRegressor`, which knows nothing of Dask.

        Returns
        -------
        estimator : GDClassifier or GDRegressor
            With all fitted attributes.
        """
        local = self._local()
        local.__dict__.update({name: value for name, value in self.__getstate__().items() if name not in OWN})
        return local

    def _in_memory(self) -> Any:
        return self.to_local()

    def _bare(self) -> Any:
        return self.to_local()._bare()

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        coef_init: Any = None,
        intercept_init: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the model to rows on a cluster.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features; blocks are NumPy arrays or CSR matrices, whose numbers of rows need not be known.
        y : dask.array.Array, dask.dataframe.Series or DataFrame
            Labels or targets, in the same parts.
        sample_weight : dask.array.Array or dask.dataframe.Series, default=None
            Non-negative weights of the rows.
        coef_init, intercept_init, X_val, y_val, sample_weight_val : default=None
            In memory, as for the local `fit`; `early_stopping` needs X_val and y_val.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If X or y is no collection of Dask.
        ValueError
            As the local `fit`, naming the part; if X, y and sample_weight are not in the same parts.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            parts = _parts(self.client_, X, y, sample_weight)
            init = Start(coef_init, intercept_init)
            self._fit_partitions(parts, None, init, X_val, y_val, sample_weight_val)
        return self

    def _lazily(self, method: str, X: Any, dtype: Any, columns: int | None) -> da.Array:
        """A method of the local model on all parts of X, when it is computed: (n,), or (n, columns)."""
        _check_collection("X", X)
        on_part = partial(_on_part, self.to_local(), method, dtype, columns)
        shape: tuple[float, ...] = (np.nan,) if columns is None else (np.nan, columns)
        if isinstance(X, da.Array):
            X = _whole_rows(X)
            how: dict[str, Any] = {"drop_axis": 1} if columns is None else {"chunks": (X.chunks[0], (columns,))}
            return X.map_blocks(on_part, dtype=dtype, meta=np.empty((0,) * len(shape), dtype), **how)
        return da.concatenate([da.from_delayed(dask.delayed(on_part)(part), shape, dtype) for part in X.to_delayed()])

    def _scored(self, X: Any, y: Any, sample_weight: Any, sums: Callable[..., PartialSums]) -> PartialSums:
        """The sum of sums(local model, X, y, weights) of all parts.  One pass."""
        tally = TreeSum()
        records = _parts(self.client_, X, y, sample_weight).map(partial(_score_part, sums, self.to_local()))
        for number, record in enumerate(records):
            tally.add(record, number)
        total = tally.total()
        if total is None:
            raise ValueError("There are no rows in any part.")
        return total


@_with_parameters_of(GDClassifier)
class DaskGDClassifier(_DaskEstimator, GDClassifier):
    """`GDClassifier` for Dask's arrays and frames.

    ``solver="gd"`` and ``"auto"`` end where the local fit of all rows would end.  ``"sgd"`` and ``"adam"`` make local epochs:
    in each round every part makes an epoch from common coefficients, and the results are averaged, weighted by rows (local
    SGD); they do well where parts have thousands of rows and are alike.

    Parameters
    ----------
    client : distributed.Client, default=None
        Of the cluster to fit on; None: the current one.  It is no part of a pickle.

    Attributes
    ----------
    coef_, intercept_, classes_, n_iter_, loss_curve_, time_curve_, n_features_in_, feature_names_in_
        As those of `GDClassifier`.

    See Also
    --------
    skgd.GDClassifier : The local one.
    """

    _local = GDClassifier
    _parameter_constraints = {**GDClassifier._parameter_constraints, "client": [object]}

    def decision_function(self, X):
        """Scores of the rows, when they are computed.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        dask.array.Array of shape (n_samples,) or (n_samples, n_classes)
            ``X W + b``.
        """
        return self._lazily("decision_function", X, self.coef_.dtype, None if len(self.classes_) == 2 else len(self.classes_))

    def predict(self, X):
        """Labels, when they are computed.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        dask.array.Array of shape (n_samples,)
            Labels out of `classes_`.
        """
        return self._lazily("predict", X, self.classes_.dtype, None)

    def predict_proba(self, X):
        """Probabilities of the classes, when they are computed.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        dask.array.Array of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return self._lazily("predict_proba", X, self.coef_.dtype, len(self.classes_))

    def predict_log_proba(self, X):
        """Logarithms of the probabilities, when they are computed.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        dask.array.Array of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return self._lazily("predict_log_proba", X, self.coef_.dtype, len(self.classes_))

    def score(self, X, y, sample_weight=None):
        """Accuracy, in one pass.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.
        y : dask.array.Array or dask.dataframe.Series of shape (n_samples,)
            Labels.
        sample_weight : dask.array.Array or dask.dataframe.Series, default=None
            Weights of the rows.

        Returns
        -------
        float
            The share of the weight that is labelled right.
        """
        right, weight = self._scored(X, y, sample_weight, _right)
        return float(right / weight)


@_with_parameters_of(GDRegressor)
class DaskGDRegressor(_DaskEstimator, GDRegressor):
    """`GDRegressor` for Dask's arrays and frames.

    ``solver="gd"`` and ``"auto"`` end where the local fit of all rows would end; ``"sgd"`` and ``"adam"`` make local epochs, as
    those of `DaskGDClassifier`.

    Parameters
    ----------
    client : distributed.Client, default=None
        Of the cluster to fit on; None: the current one.  It is no part of a pickle.

    Attributes
    ----------
    coef_, intercept_, n_iter_, loss_curve_, time_curve_, n_features_in_, feature_names_in_
        As those of `GDRegressor`.

    See Also
    --------
    skgd.GDRegressor : The local one.
    """

    _local = GDRegressor
    _parameter_constraints = {**GDRegressor._parameter_constraints, "client": [object]}

    def predict(self, X):
        """Targets, when they are computed.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        dask.array.Array of shape (n_samples,) or (n_samples, n_targets)
            As of the local `predict`.
        """
        return self._lazily("predict", X, self.coef_.dtype, None if len(self.intercept_) == 1 else len(self.coef_))

    def score(self, X, y, sample_weight=None):
        """R^2, or D^2 of "poisson" and "gamma" as `GDRegressor.score`, the mean of those of several targets, in one pass.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.
        y : dask.array.Array, dask.dataframe.Series or DataFrame
            Targets.
        sample_weight : dask.array.Array or dask.dataframe.Series, default=None
            Weights of the rows.

        Returns
        -------
        float
            As `sklearn.metrics.r2_score` or `sklearn.metrics.d2_tweedie_score`.
        """
        if self.loss in LOG_LINK:
            return _explained(LOG_LINK[self.loss], *self._scored(X, y, sample_weight, _deviances))
        errors, targets = self._scored(X, y, sample_weight, _errors)
        constant = np.where(errors > 0.0, 1.0, 0.0)  # what targets that do not vary leave unexplained
        return float(1.0 - np.mean(np.divide(errors, targets.squares, out=constant, where=targets.squares > 0.0)))


def _right(model: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> PartialSums:
    return float(weights @ (model.predict(X) == y)), float(weights.sum())


def _errors(model: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> PartialSums:
    Y, errors = np.atleast_2d(y.T), np.atleast_2d((y - model.predict(X)).T) ** 2 @ weights
    mean = Y @ weights / weights.sum()
    return errors, ColumnMoments(float(weights.sum()), mean, (Y - mean[:, None]) ** 2 @ weights)


def _generator(power: int, y: np.ndarray) -> np.ndarray:
    """The convex function whose Bregman divergence is half the deviance: its mean less that of the mean is that of the mean."""
    return xlogy(y, y) if power == 1 else -np.log(y)


def _deviances(model: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> PartialSums:
    """Of all targets (T,): sums of half the deviances, of y, of the generator and of its size; and the weight."""
    Y, mu, power = np.atleast_2d(y.T).astype(float), means(model._scores(X)).T, LOG_LINK[model.loss]
    model._check_targets(model._separable_loss(REGRESSION_LOSSES[model.loss], Y, weights), Y, None, "y", partition=True)
    halves = xlogy(Y, Y / mu) - Y + mu if power == 1 else Y / mu - 1.0 - np.log(Y / mu)
    values = _generator(power, Y)
    return halves @ weights, Y @ weights, values @ weights, np.abs(values) @ weights, float(weights.sum())


def _explained(power: int, halves: Any, total: Any, values: Any, sizes: Any, weight: float) -> float:
    """D^2 of these sums; 0 for a target that does not vary but for rounding."""
    null = values - weight * _generator(power, total / weight)
    shares = np.divide(halves, null, out=np.ones(len(null)), where=null > ROUNDING * sizes)
    return float(1.0 - np.mean(shares))


def _score_part(sums: Callable[..., PartialSums], model: Any, number: int, part: tuple[Any, ...]) -> PartialSums | None:
    X, y, *weights = part
    if len(y) == 0:
        return None
    y = np.asarray(y)
    return sums(model, X, y, np.asarray(weights[0], dtype=float) if weights else np.ones(len(y)))


def _on_part(model: Any, method: str, dtype: Any, columns: int | None, part: Any) -> np.ndarray:
    """A method of a local model on a part, which may be empty."""
    if part.shape[0] == 0:
        return np.empty((0,) if columns is None else (0, columns), dtype)
    return getattr(model, method)(part)


def _parts(client: Client, X: Any, y: Any, sample_weight: Any) -> DaskParts:
    """Tuples of the parts of X, y and maybe weights, on the workers."""
    collections = {"X": X, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    for name, collection in collections.items():
        _check_collection(name, collection)
    chunks = X.chunks[0] if isinstance(X, da.Array) else None
    delayed = {name: _delayed(collection, chunks) for name, collection in collections.items()}
    counts = {name: len(parts) for name, parts in delayed.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ValueError(f"X, y and sample_weight have to be in the same parts, but {told}: repartition them alike.")
    return DaskParts(client, client.compute([dask.delayed(tuple)(rows) for rows in zip(*delayed.values(), strict=True)]))


def _delayed(collection: Any, chunks: tuple[int, ...] | None) -> list[Any]:
    """The parts of a collection; an array in the given chunks of rows, where both are known."""
    if not isinstance(collection, da.Array):
        return list(collection.to_delayed())
    collection = _whole_rows(collection)
    if chunks is not None and collection.chunks[0] != chunks and not np.isnan([*collection.chunks[0], *chunks]).any():
        collection = collection.rechunk({0: chunks}) if sum(chunks) == collection.shape[0] else collection
    return list(collection.to_delayed().ravel())


def _whole_rows(X: da.Array) -> da.Array:
    return X.rechunk({1: -1}) if X.ndim == 2 and len(X.chunks[1]) > 1 else X


def _check_collection(name: str, value: Any) -> None:
    if not is_dask_collection(value):
        raise TypeError(
            f"{name} has to be a dask array or dataframe, but is a {type(value).__name__}: for data in memory use to_local(), "
            "or the local estimator."
        )
