"""The base class of both estimators for Dask: the client, fits of collections, lazy predictions, scores."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import Parameter, getdoc, signature
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, get_client
from sklearn.base import _fit_context, clone

from ..data.partitions import total_of
from ..data.tree_sum import PartialSums
from ..estimators.base import _GDEstimator, unchanged_on_error
from ..estimators.inputs import Start
from .partitions import check_collection, collected, whole_rows
from .scores import Sums, on_partition

NOT_LOCAL = ("client", "_sklearn_version")  # attributes of the state of a Dask estimator that a local estimator lacks


def with_parameters_of(local: Any) -> Callable[[Any], Any]:
    """Make a decorator that gives a class the constructor of a local estimator, with `client` as an additional parameter.

    The decorator also copies the descriptions of the parameters from the docstring of the local estimator.
    """

    def initialise(self: Any, *args: Any, client: Any = None, **parameters: Any) -> None:
        local.__init__(self, *args, **parameters)
        self.client = client

    own, last = signature(local.__init__), Parameter("client", Parameter.KEYWORD_ONLY, default=None)
    vars(initialise)["__signature__"] = own.replace(parameters=[*own.parameters.values(), last])

    def decorate(cls: Any) -> Any:
        cls.__init__, title = initialise, "Parameters\n----------\n"
        if cls.__doc__:  # python -OO drops docstrings
            described = str(getdoc(local)).split(title)[1].split("\n\nAttributes\n")[0]
            cls.__doc__ = str(getdoc(cls)).replace(title, f"{title}{described}\n") + "\n"
        return cls

    return decorate


class DaskEstimator(_GDEstimator):
    """An estimator that is fitted to Dask collections and predicts lazily: Dask computes the predictions later."""

    _local: Any  # GDClassifier or GDRegressor
    client: Any

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self) -> Any:
        """An unfitted estimator with copies of all parameters; only the client is not copied but shared."""
        parameters = self.get_params(deep=False)
        client = parameters.pop("client")
        return type(self)(**{name: clone(value, safe=False) for name, value in parameters.items()}, client=client)

    @property
    def client_(self) -> Client:
        """The client for fits: the parameter `client`, or the current client if it is None."""
        return get_client() if self.client is None else self.client

    def to_local(self) -> Any:
        """Convert the model to a `GDClassifier` or `GDRegressor`, which does not need Dask.

        Returns
        -------
        estimator : GDClassifier or GDRegressor
            An estimator with the same parameters and fitted attributes.
        """
        local = self._local()
        local.__dict__.update({name: value for name, value in self.__getstate__().items() if name not in NOT_LOCAL})
        return local

    def _in_memory(self) -> Any:
        return self.to_local()

    def _unfitted_copy(self) -> Any:
        return self.to_local()._unfitted_copy()

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
        """Fit the model to rows on a Dask cluster.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.  Blocks are NumPy arrays or CSR matrices.  Their numbers of rows may be unknown.
        y : dask.array.Array, dask.dataframe.Series or DataFrame
            Labels or targets, in the same partitions as X.
        sample_weight : dask.array.Array or dask.dataframe.Series, default=None
            Non-negative weights of the rows, in the same partitions as X.
        coef_init, intercept_init, X_val, y_val, sample_weight_val : default=None
            As in the `fit` of the local estimator, as arrays in memory.  `early_stopping` needs X_val and y_val.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If X, y or sample_weight is not a Dask collection.
        ValueError
            As in the `fit` of the local estimator, with the number of the partition in the message.  Also if X, y and
            sample_weight are not in the same partitions.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            partitions, init = collected(self.client_, X, y, sample_weight), Start(coef_init, intercept_init)
            self._fit_partitions(partitions, None, init, X_val, y_val, sample_weight_val)
        return self

    def _lazily(self, method: str, X: Any, dtype: Any, columns: int | None) -> da.Array:
        """The lazy result of a method of the local model for all rows of X, of shape (n,) or (n, columns)."""
        check_collection("X", X)
        function = partial(_predicted, self.to_local(), method, dtype, columns)
        shape: tuple[float, ...] = (np.nan,) if columns is None else (np.nan, columns)
        if isinstance(X, da.Array):
            X = whole_rows(X)
            how: dict[str, Any] = {"drop_axis": 1} if columns is None else {"chunks": (X.chunks[0], (columns,))}
            return X.map_blocks(function, dtype=dtype, meta=np.empty((0,) * len(shape), dtype), **how)
        partitions = [dask.delayed(function)(partition) for partition in X.to_delayed()]
        return da.concatenate([da.from_delayed(partition, shape, dtype) for partition in partitions])

    def _sums_over(self, X: Any, y: Any, sample_weight: Any, sums: Sums) -> PartialSums:
        """The total of sums(local model, X, y, weights) over all partitions.  One pass."""
        partitions = collected(self.client_, X, y, sample_weight)
        return total_of(partitions.map(partial(on_partition, sums, self.to_local())))


def _predicted(model: Any, method: str, dtype: Any, columns: int | None, X: Any) -> np.ndarray:
    """The result of a method of a local model for one partition, which may have no rows."""
    if X.shape[0] == 0:
        return np.empty((0,) if columns is None else (0, columns), dtype)
    return getattr(model, method)(X)
