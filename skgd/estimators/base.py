"""The base class of both estimators: fits of rows and of partitions, online learning, fitted attributes, linear scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from ..compiled.jit import interruptible
from ..coordinates import Coordinates, identity
from ..data.partitions import Partitions
from ..data.table import Table
from ..fit_cache import FitCache
from ..monitoring.callbacks import CallbackSupportMixin, Tasks
from ..monitoring.history import TOO_LONG
from ..objective import Objective
from ..options import Options
from ..penalties import penalty_value
from ..prediction.scores import fast_scores
from ..prediction.scores import scores as scores_of
from ..streaming.metadata import Metadata, read_metadata
from ..streaming.online import Online
from ..streaming.preparation import prepare
from ..training import Coefficients, Fit, Problem, minimise
from .early_stopping import HeldOut, validation_of
from .inputs import VALID, Rows, Start, ValidationSet, initial, warn_of_copy
from .parameters import LOG_LINK, Parameterised


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore all attributes of the estimator if the block raises an exception, so that a failed fit changes nothing."""
    before = vars(estimator).copy()
    try:
        with interruptible():
            yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def learns_online(estimator: Any) -> bool:
    """Return True if the estimator has `partial_fit`; otherwise raise AttributeError with the reason."""
    if estimator.learning_rate == "auto" and estimator.solver == "gd":
        raise AttributeError("solver='gd' needs all rows at once: use 'auto', 'sgd' or 'adam', or an explicit learning_rate.")
    if estimator.learning_rate == "auto" and estimator.loss in LOG_LINK:
        raise AttributeError(
            f"loss={estimator.loss!r} has unbounded curvature, so it learns online with an explicit learning_rate only."
        )
    return True


class _GDEstimator(CallbackSupportMixin, Parameterised):
    """Fits linear scores X W + b.  Subclasses encode the targets and turn scores into predictions."""

    # The means and scales with which the last fit standardised the columns; `partial_fit` begins with them.
    _standardisation: tuple[np.ndarray, ...] | None = None
    _online: Online  # the state of partial_fit

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self):
        state = dict(super().__getstate__())
        cache = state.pop("_fit_cache", None)
        progress = None if cache is None else cache.progress
        return state if progress is None else state | {"_fit_cache": FitCache(progress=progress)}

    # ------------------------------------------------------------ coefficients and scores
    def densify(self):
        """Convert `coef_` to a dense array, as it is after `fit`.

        Returns
        -------
        self : object
            The same estimator.
        """
        check_is_fitted(self)
        if sp.issparse(self.coef_):
            self.coef_ = self._shaped(self.coef_.toarray())
        return self

    def sparsify(self):
        """Convert `coef_` to a CSR matrix, which saves memory if an L1 penalty has set many coefficients to zero.

        Returns
        -------
        self : object
            The same estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(np.atleast_2d(self.coef_))
        return self

    def _shaped(self, coef: np.ndarray) -> np.ndarray:
        """The shape of `coef_` for coefficients (K, d); a regressor with one target drops the first axis."""
        return coef

    def _scores(self, X) -> np.ndarray:
        """X W + b of shape (n, K)."""
        fast = fast_scores(self, X)
        if fast is not None:
            return fast
        check_is_fitted(self)
        warn_of_copy(X)
        X = validate_data(self, X, reset=False, **VALID)
        if sp.issparse(self.coef_):
            return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        coef = np.atleast_2d(self.coef_)
        return scores_of(X, coef, np.broadcast_to(self.intercept_, len(coef)), self.n_jobs)[0]

    # ------------------------------------------------------------ fits
    def _open_tasks(self) -> None:
        """Set up callbacks before anything can fail; scikit-learn tears them down however the fit ends."""
        if hasattr(self, "_skl_callbacks"):
            self._init_callback_context(max_subtasks=self.max_iter + 1)

    def _fit_rows(
        self,
        rows: Rows,
        Y: np.ndarray,
        loss: Any,
        init: Start,
        held_out: HeldOut | None,
        classes: np.ndarray | None = None,
    ) -> None:
        """Fit rows in memory with targets Y (T, n), and set the attributes of the fit."""
        d, cache = rows.X.shape[1], getattr(self, "_fit_cache", FitCache()) if self.warm_start else None
        start = self._start(d, loss.n_outputs, init)
        penalty, options = self._penalty(d), self._options(loss, splits=held_out is not None and held_out.set_aside)
        problem = Problem(rows.table(Y), loss, penalty, options, start, cache)
        self._solve(problem, rows.hook_data(), held_out, classes)
        if cache is not None:
            self._fit_cache = cache

    def _fit_partitions(
        self, partitions: Partitions, classes: Any, init: Start, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> None:
        """Fit the rows of partitions, and set the attributes of the fit."""
        validation_set = ValidationSet(X_val, y_val, sample_weight_val)
        validation_set.check(self.early_stopping)
        if self.early_stopping and not validation_set.given:
            raise ValueError("early_stopping=True needs X_val and y_val here: rows in partitions cannot be split.")
        if self.solver == "gd" and self.learning_rate != "auto":
            raise ValueError("solver='gd' with an explicit learning_rate steps on all rows at once: use learning_rate='auto'.")
        metadata = read_metadata(self, partitions, classes)
        problem = prepare(self, partitions, metadata, init)
        held_out = self._held_out(validation_set, metadata) if validation_set.given else None
        self._solve(problem, {"X": None, "y": None}, held_out, metadata.classes)

    def _solve(self, problem: Problem, hook_data: dict[str, Any], held_out: HeldOut | None, classes: np.ndarray | None) -> None:
        """Solve the problem, and then set all attributes of the fit.

        `hook_data` is the data that callbacks are given; `classes` are the labels of a classifier.
        """
        attributes = partial(self._attributes, dtype=problem.data.dtype, classes=classes)
        validation = None if held_out is None else validation_of(self, held_out, problem.loss, attributes)
        tasks = Tasks(self, hook_data, attributes) if hasattr(self, "_skl_callbacks") else None
        fit = minimise(problem, tuple(watcher for watcher in (validation, tasks) if watcher is not None))
        if validation is not None:
            validation.finish(fit.W, fit.b)
            fit = fit.at(*validation.best)
        self.__dict__.pop("_online", None)
        self._set(
            attributes(fit.W, fit.b)
            | _attributes_of(fit, problem.data.n)
            | {
                "validation_scores_": None if validation is None else validation.scores,
                "best_validation_score_": None if validation is None else validation.best_score,
            }
        )
        if tasks is not None:
            tasks.finish()

    def _attributes(
        self, W: np.ndarray, b: np.ndarray, dtype: np.dtype, classes: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The fitted attributes that predictions depend on, for raw coefficients W (d, K) and intercepts b (K,)."""
        with np.errstate(over="ignore"):
            coef, intercept = W.T.astype(dtype, order="C"), b.astype(dtype)
        attributes = {"coef_": self._shaped(coef), "intercept_": intercept}
        return attributes if classes is None else attributes | {"classes_": classes}

    def _set(self, attributes: dict[str, Any]) -> None:
        """Set fitted attributes; ValueError if float32 cannot hold the coefficients."""
        if not (np.isfinite(attributes["coef_"]).all() and np.isfinite(attributes["intercept_"]).all()):
            remedy = "pass X as float64, or rescale its columns." if self.learning_rate == "auto" else TOO_LONG
            raise ValueError(f"Coefficients exceed the range of float32: {remedy}")
        self.__dict__.update(attributes)

    def _start(self, d: int, n_outputs: int, init: Start, resume: bool = False) -> Coefficients | None:
        """Coefficients (d, K) and intercepts (K,) to start from: the user's, else those of the last fit, else None.

        The last fit is used with `warm_start`, or if `resume` is True.
        """
        if init.coef is not None or init.intercept is not None:
            coef = initial("coef_init", init.coef, (n_outputs, d))
            return np.ascontiguousarray(coef.T), initial("intercept_init", init.intercept, (n_outputs,))
        if not ((self.warm_start or resume) and hasattr(self, "coef_")):
            return None
        coef = self.coef_.toarray() if sp.issparse(self.coef_) else np.atleast_2d(self.coef_)
        if coef.shape != (n_outputs, d):
            raise ValueError(
                f"The coefficients to go on from have the shape {coef.shape}, but this data needs {(n_outputs, d)}: "
                "take a clone, or set warm_start=False."
            )
        return np.array(coef.T, dtype=np.float64, order="C"), np.array(self.intercept_, dtype=np.float64)

    # ------------------------------------------------------------ online learning
    def _refuse_early_stopping(self) -> None:
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit: score the stream itself, before it is learned.")

    def _learn(self, rows: Rows, Y: np.ndarray, loss: Any) -> None:
        """Learn from one batch with targets Y (T, m), and update the fitted attributes."""
        (m, d), options = rows.X.shape, self._options(loss)
        start = self._start(d, loss.n_outputs, Start(None, None), resume=True)  # it also checks the shape of `coef_`
        online = self._online.copied() if hasattr(self, "_online") else self._begin_online(start, d, loss.n_outputs, options)
        online.learn(rows.X, Y, rows.weights, loss, self._penalty(d), options)
        self._online = online
        self._set_after_batch(online.W, online.b, rows.X.dtype, getattr(self, "t_", 1) + m)

    def _begin_online(self, start: Coefficients | None, d: int, n_outputs: int, options: Options) -> Online:
        """The state of online learning before its first batch: at the coefficients of the last fit, else at zero."""
        W, b = (np.zeros((d, n_outputs)), np.zeros(n_outputs)) if start is None else start
        visits = getattr(self, "t_", 1) - 1
        known = None if self._standardisation is None else Coordinates(*self._standardisation)
        return Online(W, b, visits, visits // getattr(self, "n_iter_", 1), known, options.random_state)

    def _learn_nothing(self, rows: Rows, n_outputs: int) -> None:
        """Handle a batch in which no row has a weight: if it is the first batch, set the coefficients to zero."""
        d = rows.X.shape[1]
        if self._start(d, n_outputs, Start(None, None), resume=True) is None:
            self._set_after_batch(np.zeros((d, n_outputs)), np.zeros(n_outputs), rows.X.dtype, 1)

    def _set_after_batch(self, W: np.ndarray, b: np.ndarray, dtype: np.dtype, t: int) -> None:
        self._set(self._attributes(W, b, dtype) | {"n_iter_": 1, "t_": t} | _gap_attributes(False, np.nan, False))

    # ------------------------------------------------------------ for the preparation of partitions
    def _in_memory(self) -> _GDEstimator:
        """An estimator with the same model that predicts from rows in memory; estimators for Dask return a local one."""
        return self

    def _held_out(self, validation_set: ValidationSet, metadata: Metadata) -> HeldOut:
        """The user's rows for early stopping."""
        raise NotImplementedError

    def _unfitted_copy(self) -> _GDEstimator:
        """A local estimator with the same parameters and without fitted attributes, to be sent to the partitions."""
        return type(self)(**self.get_params(deep=False))

    def _set_features(self, n_features: int, names: Any) -> None:
        """Set the attributes that scikit-learn's validation sets: the number of columns, and their names if they have any."""
        self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _features(self, X) -> tuple[int, np.ndarray | None]:
        """The number of columns of X, and their names if they have any."""
        seen = self._unfitted_copy()
        validate_data(seen, X, reset=True, skip_check_array=True)
        return seen.n_features_in_, getattr(seen, "feature_names_in_", None)

    def _objective(self, table: Table, loss: Any, W: np.ndarray, b: np.ndarray) -> float:
        """The objective of a table with weights of mean one, at raw coefficients.  One pass."""
        penalty = self._penalty(table.d)
        return Objective(table, loss, penalty, identity(table.d, True)).mean_loss(W, b) + penalty_value(W, penalty)


def _attributes_of(fit: Fit, n: int) -> dict[str, Any]:
    """The fitted attributes that describe the course of a fit of n rows."""
    return {
        **_gap_attributes(fit.converged, fit.gap, fit.gap_is_bound),
        "n_iter_": fit.iterations,
        "t_": 1 + fit.iterations * n,
        "loss_curve_": fit.loss_curve,
        "time_curve_": fit.time_curve,
        "_standardisation": None if fit.coordinates is None else tuple(fit.coordinates),
    }


def _gap_attributes(converged: bool, gap: float, is_bound: bool) -> dict[str, Any]:
    kind = None if np.isnan(gap) else "bound" if is_bound else "estimate"
    return {"converged_": converged, "gap_": gap, "gap_kind_": kind}
