"""GDRegressor and GDClassifier: parameters, validation, encoding of targets, prediction.  No numerics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import cache, partial
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import log_expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ..compiled.jit import interruptible
from ..coordinates import Coordinates, identity
from ..data.labels import class_probabilities, encode, encode_as, most_likely, signs
from ..data.partition_reader import PartitionMetadata
from ..data.partitioned_data import PartitionedData
from ..data.partitions import Partitions, partitions_of
from ..data.summary import Summary
from ..data.table import Table
from ..fit_cache import FitCache
from ..losses.cross_entropy import LogLoss, SoftLabels, Softmax
from ..losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, loss_for
from ..monitoring.callbacks import CallbackSupportMixin, Tasks
from ..monitoring.history import TOO_LONG
from ..monitoring.validation import Validation
from ..monitoring.warning import warn
from ..objective import Objective
from ..options import Options
from ..penalties import Penalty, elastic_net, penalty_value
from ..prediction.scores import blocks_of, explained_deviance, fast_scores, probabilities
from ..prediction.scores import scores as scores_of
from ..solvers.rules import STOCHASTIC_SOLVERS, stochastic_solver
from ..streaming.metadata import Metadata, read_metadata
from ..streaming.online import Online
from ..streaming.preparation import prepare
from ..training import FirstEpochResult, minimise, takers

SOLVERS = ("auto", "gd", *STOCHASTIC_SOLVERS)
LOG_LINK = {"poisson": 1, "gamma": 2}  # losses whose scores are logarithms of predictions; power of the mean in the variance
NOTICEABLE = 1 << 24  # bytes of a memory map whose copy is worth a warning
WITH_PROBABILITIES = ("log_loss", "modified_huber")


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore all attributes if the block raises: a failed fit loses nothing."""
    before = vars(estimator).copy()
    try:
        with interruptible():
            yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _learns_online(estimator) -> bool:
    if estimator.learning_rate == "auto" and estimator.solver == "gd":
        raise AttributeError("solver='gd' needs all rows at once: use 'auto', 'sgd' or 'adam', or an explicit learning_rate.")
    if estimator.learning_rate == "auto" and estimator.loss in LOG_LINK:
        raise AttributeError(
            f"loss={estimator.loss!r}, of unbounded curvature, learns online with an explicit learning_rate only."
        )
    return True


class Rows(NamedTuple):
    """Validated rows that count."""

    X: Any  # (n, d)
    y: np.ndarray  # (n,) or (n, columns), as the user gave it
    weights: np.ndarray  # (n,)
    weighted: bool  # by the user
    given: Any  # X as the user gave it, maybe with names of its columns, where all of its rows are here; else X

    def of(self, index: np.ndarray) -> Rows:
        X = self.X[index]
        return Rows(X, self.y[index], self.weights[index], self.weighted, X)

    def table(self, Y: np.ndarray) -> Table:
        """With targets Y (T, n), and weights of mean one."""
        s = self.weights * (len(self.weights) / self.weights.sum()) if self.weighted else self.weights
        return Table(self.X, Y, s)

    def of_hooks(self) -> dict[str, Any]:
        """What callbacks are given."""
        return {"X": self.given, "y": self.y, "metadata": {"sample_weight": self.weights} if self.weighted else None}


class Start(NamedTuple):
    """What the user would have the coefficients be at first."""

    coef: Any
    intercept: Any


class _GDEstimator(CallbackSupportMixin, BaseEstimator):
    """What the two estimators share: parameters, the call of the solver, linear scores."""

    _known: tuple[np.ndarray, ...] | None = None  # coordinates of the last fit, where partial_fit may go on
    _online: Online  # what partial_fit has learned

    _parameter_constraints: dict[str, list[Any]] = {
        "solver": [StrOptions(set(SOLVERS))],
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "positive": ["boolean", "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "verbose": ["verbose"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "learning_rate": [StrOptions({"auto", "constant", "optimal", "invscaling", "adaptive"})],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "adam_epsilon": [Interval(Real, 0, None, closed="neither")],
        "standardize": ["boolean", StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str, callable, None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "average": ["boolean", Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self):
        state = dict(super().__getstate__())
        cache = state.pop("_fit_cache", None)
        progress = None if cache is None else cache.progress
        return state if progress is None else state | {"_fit_cache": FitCache(progress=progress)}

    def densify(self):
        """Make `coef_` a dense array, as after `fit`.

        Returns
        -------
        self : object
            The same estimator.
        """
        check_is_fitted(self)
        if sp.issparse(self.coef_):
            dense = self.coef_.toarray()
            self.coef_ = dense[0] if self._one_dimensional else dense
        return self

    def sparsify(self):
        """Make `coef_` a CSR matrix, which saves memory where an L1 penalty left many zeros.

        Returns
        -------
        self : object
            The same estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(np.atleast_2d(self.coef_))
        return self

    def _scores(self, X) -> np.ndarray:
        """X W + b of shape (n, K)."""
        fast = fast_scores(self, X)
        if fast is not None:
            return fast
        check_is_fitted(self)
        _warn_of_copy(X)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        if sp.issparse(self.coef_):
            return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        coef = np.atleast_2d(self.coef_)
        return scores_of(X, coef, np.broadcast_to(self.intercept_, len(coef)), self.n_jobs)[0]

    def _minimise(
        self, rows: Rows, Y: np.ndarray, loss, init: Start, held_out: tuple[Rows, np.ndarray] | None, own: bool
    ) -> None:
        """Solve for targets Y (T, n); set the attributes of the fit.  Those that shape a prediction are set already.

        `own`: whether the rows that are held out are the user's own.
        """
        cache = getattr(self, "_fit_cache", FitCache()) if self.warm_start else None
        start = self._start(rows.X.shape[1], loss.n_outputs, init)
        penalty, options = self._penalty(rows.X.shape[1]), self._options(loss, splits=self.early_stopping and not own)
        self._solve(rows.table(Y), rows.of_hooks(), loss, penalty, options, start, cache, held_out)
        if cache is not None:
            self._fit_cache = cache

    def _solve(
        self,
        data: Table | PartitionedData,
        of_hooks: dict[str, Any],
        loss: Any,
        penalty: Penalty,
        options: Options,
        start: tuple[np.ndarray, np.ndarray] | None,
        cache: FitCache | None,
        held_out: tuple[Rows, np.ndarray] | None,
        begun: FirstEpochResult | None = None,
    ) -> None:
        """Solve, and set the attributes of the fit."""
        if start is not None:
            start = penalty.feasible(start[0]), start[1]
        attributes = partial(self._attributes, dtype=data.dtype)
        validation = None if held_out is None else self._validation(*held_out, loss, attributes)
        tasks = Tasks(self, of_hooks, attributes) if hasattr(self, "_skl_callbacks") else None
        watchers = tuple(watcher for watcher in (validation, tasks) if watcher is not None)
        fit = minimise(data, loss, penalty, options, start, cache, watchers, begun)
        W, b = fit.W, fit.b
        moved = False
        if validation is not None:
            validation.finish(W, b)
            moved = not (np.array_equal(W, validation.best[0]) and np.array_equal(b, validation.best[1]))
            W, b = validation.best
        self.__dict__.pop("_online", None)
        self._set_gap(fit.converged and not moved, np.nan if moved else fit.gap, fit.bound)
        self._known = None if fit.coordinates is None else tuple(fit.coordinates)
        self.n_iter_ = fit.iterations
        self.t_ = 1 + fit.iterations * data.n
        self.loss_curve_, self.time_curve_ = fit.curve, fit.seconds
        self.validation_scores_ = None if validation is None else validation.scores
        self.best_validation_score_ = None if validation is None else validation.best_score
        self._set_coefficients(W, b, data.dtype)
        if tasks is not None:
            tasks.finish()

    def _set_gap(self, converged: bool, gap: float, bound: bool) -> None:
        self.converged_, self.gap_ = converged, gap
        self.gap_kind_ = None if np.isnan(gap) else "bound" if bound else "estimate"

    def _fit_partitions(
        self, partitions: Partitions, classes: Any, init: Start, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> None:
        """Fit rows in partitions, and set the attributes of the fit."""
        own = self._has_own(X_val, y_val, sample_weight_val)
        if self.early_stopping and not own:
            raise ValueError("early_stopping=True needs X_val and y_val here: rows in partitions cannot be split.")
        if self.solver == "gd" and self.learning_rate != "auto":
            raise ValueError("solver='gd' with an explicit learning_rate steps on all rows at once: use learning_rate='auto'.")
        metadata = read_metadata(self, partitions, classes)
        data, loss, penalty, options, start, cache, begun = prepare(self, partitions, metadata, init)
        held_out = self._held_out(X_val, y_val, sample_weight_val, metadata) if own else None
        self._solve(data, {"X": None, "y": None}, loss, penalty, options, start, cache, held_out, begun)

    def _in_memory(self) -> _GDEstimator:
        """One that predicts from rows in memory."""
        return self

    def _unfitted_copy(self) -> _GDEstimator:
        """A local estimator with the same parameters and nothing fitted: it is sent to where the partitions are."""
        return type(self)(**self.get_params(deep=False))

    def _set_features(self, n_features: int, names: Any) -> None:
        """Set the number of the features, and their names unless they are None."""
        self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _features(self, X) -> tuple[int, np.ndarray | None]:
        """The number of columns, and their names, if they have any."""
        seen = self._unfitted_copy()
        validate_data(seen, X, reset=True, skip_check_array=True)
        return seen.n_features_in_, getattr(seen, "feature_names_in_", None)

    def _objective(self, table: Table, loss, W: np.ndarray, b: np.ndarray) -> float:
        """At raw coefficients, of a table with weights of mean one."""
        penalty = self._penalty(table.d)
        return Objective(table, loss, penalty, identity(table.d, True)).mean_loss(W, b) + penalty_value(W, penalty)

    def _refuse_early_stopping(self) -> None:
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit: score the stream itself, before it is learned.")

    def _learn(self, rows: Rows, Y: np.ndarray, loss) -> None:
        """Learn from one batch with targets Y (T, m); update the attributes."""
        (m, d), options = rows.X.shape, self._options(loss)
        W, b = self._start(d, loss.n_outputs, Start(None, None), resume=True) or (
            np.zeros((d, loss.n_outputs)),
            np.zeros(loss.n_outputs),
        )
        if hasattr(self, "_online"):
            online = self._online.copied()
        else:
            visits = getattr(self, "t_", 1) - 1
            known = None if self._known is None else Coordinates(*self._known)
            online = Online(W, b, visits, visits // getattr(self, "n_iter_", 1), known, options.random_state)
        online.learn(rows.X, Y, rows.weights, loss, self._penalty(d), options)
        self._online, self.n_iter_, self.t_ = online, 1, getattr(self, "t_", 1) + m
        self._set_gap(False, np.nan, False)
        self._set_coefficients(online.W, online.b, rows.X.dtype)

    def _learn_nothing(self, rows: Rows, columns: int) -> None:
        """From a batch without a row that counts; a first one makes coefficients of zero, for so many columns of scores."""
        d = rows.X.shape[1]
        if self._start(d, columns, Start(None, None), resume=True) is None:
            self._set_coefficients(np.zeros((d, columns)), np.zeros(columns), rows.X.dtype)
            self.n_iter_, self.t_ = 1, 1
            self._set_gap(False, np.nan, False)

    def _set_coefficients(self, W: np.ndarray, b: np.ndarray, dtype: np.dtype) -> None:
        self.__dict__.update(self._attributes(W, b, dtype))
        if not (np.isfinite(self.coef_).all() and np.isfinite(self.intercept_).all()):
            remedy = "pass X as float64, or rescale its columns." if self.learning_rate == "auto" else TOO_LONG
            raise ValueError(f"Coefficients exceed the range of float32: {remedy}")

    def _attributes(self, W: np.ndarray, b: np.ndarray, dtype: np.dtype) -> dict[str, np.ndarray]:
        """The fitted attributes that depend on the coefficients."""
        with np.errstate(over="ignore"):
            coef, intercept = W.T.astype(dtype, order="C"), b.astype(dtype)
        return {"coef_": coef[0] if self._one_dimensional else coef, "intercept_": intercept}

    def _open_tasks(self) -> None:
        """Before anything can fail: scikit-learn tears down what was set up, whatever comes."""
        if hasattr(self, "_skl_callbacks"):
            self._init_callback_context(max_subtasks=self.max_iter + 1)

    def _penalty(self, d: int) -> Penalty:
        """That on d coefficients."""
        l1_ratio = {"l2": 0.0, "l1": 1.0, "elasticnet": self.l1_ratio, None: 0.0}[self.penalty]
        if l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'.")
        alpha = self._of_features("alpha", d) if self.penalty is not None else 0.0
        return elastic_net(alpha * l1_ratio, alpha * (1.0 - l1_ratio), d).positive(self._of_features("positive", d))

    def _of_features(self, name: str, d: int) -> np.ndarray:
        """A parameter that is one value, or one for each of d features."""
        kind, words = (bool, "True and False") if name == "positive" else (float, "finite numbers, none of them negative")
        values = np.asarray(getattr(self, name))
        if values.shape not in ((), (d,)):
            raise ValueError(
                f"{name} has shape {values.shape}, but X has {d} features: pass one value, or one for each of them."
            )
        right = (
            values.dtype == bool if kind is bool else values.dtype.kind in "biuf" and np.all((values >= 0) & (values < np.inf))
        )
        if not right:
            raise ValueError(f"{name} has to be one value, or an array, of {words}, but is {getattr(self, name)!r}.")
        return values.astype(kind)

    def _has_own(self, X_val, y_val, sample_weight_val) -> bool:
        """Whether there are rows of the user's for early stopping."""
        if X_val is None and not (y_val is None and sample_weight_val is None):
            raise ValueError("y_val and sample_weight_val belong to X_val: pass X_val, too.")
        if X_val is not None and not self.early_stopping:
            raise ValueError("X_val is for early stopping: set early_stopping=True, or leave X_val out.")
        return X_val is not None

    def _split(
        self, rows: Rows, X_val, y_val, sample_weight_val, groups: np.ndarray | None, **targets
    ) -> tuple[Rows, Rows | None]:
        """Rows to train on, and those held out for validation, if any; groups (n,) are to be split alike."""
        own = self._has_own(X_val, y_val, sample_weight_val)
        if not self.early_stopping:
            return rows, None
        if own:
            return rows, _validated(self, X_val, y_val, sample_weight_val, reset=False, **targets)
        from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit  # which takes long to import

        splitter = ShuffleSplit if groups is None else StratifiedShuffleSplit
        try:
            split = splitter(1, test_size=self.validation_fraction, random_state=self.random_state)
            train, test = next(split.split(np.empty(len(rows.y)), groups))
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set validation_fraction={self.validation_fraction} of {len(rows.y)} rows aside: "
                f"{error} Change validation_fraction, or pass X_val and y_val."
            ) from error
        return rows.of(np.sort(train)), rows.of(np.sort(test))

    def _validation(self, rows: Rows, Y: np.ndarray, loss, attributes) -> Validation:
        """The score of held-out rows with targets Y (T, n)."""
        if self.scoring == "loss":
            table, d = rows.table(Y), rows.X.shape[1]
            objective = Objective(table, loss, elastic_net(0.0, 0.0, d), identity(d, True))
            return Validation(lambda W, b: -objective.mean_loss(W, b), self.tol, self.n_iter_no_change)
        from sklearn.metrics import check_scoring  # which takes long to import

        local = self._in_memory()
        scorer = check_scoring(local, self.scoring)
        weights = {"sample_weight": rows.weights} if rows.weighted else {}

        def score(W: np.ndarray, b: np.ndarray) -> float:
            model = copy(local)
            model.__dict__.pop("feature_names_in_", None)  # they were checked, and rows.X has none
            model.__dict__.update(attributes(W, b))
            return scorer(model, rows.X, rows.y, **weights)

        return Validation(score, self.tol, self.n_iter_no_change)

    def _separable_loss(self, cls, Y: np.ndarray, weights: np.ndarray):
        """The loss for targets Y (K, n), with this estimator's parameters."""
        if self.loss == "huber" and self.epsilon == 0.0:
            raise ValueError("loss='huber' needs epsilon > 0; loss='epsilon_insensitive' with epsilon=0 is the absolute error.")
        parameters = {name: float(getattr(self, name)) for name in ("epsilon", "quantile") if hasattr(self, name)}
        return loss_for(cls, Y, weights, **parameters)

    @classmethod
    @cache
    def _defaults(cls) -> dict[str, Any]:
        """Of GDRegressor or GDClassifier, for a subclass too; looking them up takes longer than a small fit's passes."""
        ours = next(base for base in cls.__mro__ if base.__module__ == __name__)
        return {name: parameter.default for name, parameter in signature(ours).parameters.items()}

    def _validate_params(self) -> None:
        """scikit-learn's validation, of what differs from the defaults: those are valid."""
        defaults = self._defaults()
        parameters = ((name, getattr(self, name)) for name in sorted(self._parameter_constraints))
        changed = {name: value for name, value in parameters if value is not defaults.get(name, Parameter.empty)}
        validate_parameter_constraints(self._parameter_constraints, changed, type(self).__name__)

    def _options(self, loss, splits: bool = False) -> Options:
        """What solvers need to know; `splits`: whether rows are set aside for validation."""
        explicit = self.learning_rate != "auto"
        if self.learning_rate == "optimal" and (np.ndim(self.alpha) or self.alpha == 0):
            raise ValueError("learning_rate='optimal' divides by alpha: set one alpha > 0, or use learning_rate='auto'.")
        options = Options(
            solver=self.solver,
            alpha=float(np.mean(self.alpha)),
            fit_intercept=bool(self.fit_intercept),
            max_iter=int(self.max_iter),
            tol=None if self.tol is None else float(self.tol),
            shuffle=bool(self.shuffle),
            batch_size=self.batch_size if self.batch_size == "auto" else int(self.batch_size),
            learning_rate=self.learning_rate,
            eta0=float(self.eta0),
            power_t=float(self.power_t),
            momentum=float(self.momentum),
            nesterovs_momentum=bool(self.nesterovs_momentum),
            beta_1=float(self.beta_1),
            beta_2=float(self.beta_2),
            adam_epsilon=float(self.adam_epsilon),
            standardize=not explicit if self.standardize == "auto" else bool(self.standardize),
            average=self.average,
            n_iter_no_change=int(self.n_iter_no_change),
            n_jobs=self.n_jobs,
            verbose=int(self.verbose),
            random_state=check_random_state(self.random_state),
        )
        options = replace(options, solver=self._solver(options, takers(loss, options.automatic)))
        self._warn_unused(options.solver, explicit, loss, splits)
        return options

    def _solver(self, options: Options, able: list[str]) -> str:
        """The solver, out of those that are able to minimise the loss."""
        if self.solver == "auto" and options.unspecific:
            return "auto" if "gd" in able else able[0]
        solver = "sgd" if self.solver == "auto" else self.solver
        if solver not in able:
            asked = " (batch_size, momentum or average ask for it)" if self.solver == "auto" else ""
            raise ValueError(
                f"solver={solver!r}{asked} does not take loss={self.loss!r} with learning_rate={self.learning_rate!r}. "
                f"Use one of {', '.join(map(repr, ['auto', *able]))}."
            )
        return solver

    def _warn_unused(self, solver: str, explicit: bool, loss, splits: bool) -> None:
        """Warn of parameters that were set and mean nothing to this solver or loss, to the penalty, or without a validation."""
        defaults = self._defaults()
        unused = [name for name in defaults if name in ("epsilon", "quantile") and name not in loss._fields]
        if self.learning_rate in ("auto", "optimal"):
            unused += ["eta0"]
        if self.learning_rate != "invscaling":
            unused += ["power_t"]
        used = stochastic_solver(solver).PARAMETERS if solver in STOCHASTIC_SOLVERS or explicit else ()
        unused += [name for module in STOCHASTIC_SOLVERS.values() for name in module.PARAMETERS if name not in used]
        if solver == "gd":
            unused += ["batch_size"] if explicit else ["batch_size", "average"]
        same = {"l2": 0.0, "l1": 1.0, None: 0.0}.get(self.penalty)  # the share that this penalty has anyway
        if self.penalty != "elasticnet" and self.l1_ratio not in (None, same):
            unused += ["l1_ratio"]
        if not self.early_stopping:
            unused += ["scoring"]
        if not splits:
            unused += ["validation_fraction"]
        changed = [f"{name}={getattr(self, name)!r}" for name in unused if getattr(self, name) != defaults[name]]
        if changed:
            warn(
                f"{', '.join(changed)} has no effect with loss={self.loss!r}, solver={solver!r}, "
                f"learning_rate={self.learning_rate!r}, penalty={self.penalty!r}, early_stopping={self.early_stopping!r}"
                f"{' and X_val' if self.early_stopping and not splits else ''}.",
                UserWarning,
            )

    def _start(self, d: int, columns: int, init: Start, resume: bool = False) -> tuple[np.ndarray, np.ndarray] | None:
        """Coefficients (d, K) and intercepts (K,) to start from, if any: given ones, or those of last time."""
        if init.coef is not None or init.intercept is not None:
            coef = _initial("coef_init", init.coef, (columns, d))
            return np.ascontiguousarray(coef.T), _initial("intercept_init", init.intercept, (columns,))
        if not ((self.warm_start or resume) and hasattr(self, "coef_")):
            return None
        coef = self.coef_.toarray() if sp.issparse(self.coef_) else np.atleast_2d(self.coef_)
        if coef.shape != (columns, d):
            raise ValueError(
                f"The coefficients to go on from have the shape {coef.shape}, but this data needs {(columns, d)}: "
                "take a clone, or set warm_start=False."
            )
        return np.array(coef.T, dtype=np.float64, order="C"), np.array(self.intercept_, dtype=np.float64)


def _initial(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Given coefficients as an array of that shape; zeros where there are none."""
    if values is None:
        return np.zeros(shape)
    array = np.array(values, dtype=np.float64)
    if array.shape != shape and not (shape[0] == 1 and array.shape == shape[1:]):
        raise ValueError(f"Provided {name} does not match dataset: its shape is {array.shape}, but has to be {shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite.")
    return array.reshape(shape)


def _warn_of_copy(X: Any) -> None:
    """Of a large memory map that validation is going to copy."""
    if not isinstance(X, np.memmap) or X.nbytes < NOTICEABLE:
        return
    wrong = [f"is of {X.dtype}"] if X.dtype not in (np.float32, np.float64) else []
    if not X.flags.c_contiguous:
        wrong += ["is not in C order"]
    if wrong:
        warn(
            f"X is a memory map that {' and '.join(wrong)}: all of it is copied into memory, {X.size * 8 / 2**30:.1f} GiB. "
            "Store it as float32 or float64 in C order, or pass it in pieces to fit_batches.",
            UserWarning,
        )


def _validated(estimator, X, y, sample_weight, allow_none: bool = False, **how) -> Rows:
    """The rows that count: a row of weight zero is as good as absent.  `allow_none`: there may be none that counts."""
    given = X
    _warn_of_copy(X)
    X, y = validate_data(estimator, X, y, accept_sparse="csr", dtype=[np.float64, np.float32], order="C", **how)
    if sample_weight is None:
        return Rows(X, y, np.ones(len(y)), False, given)
    none = allow_none and not np.any(sample_weight)
    if none:  # checked as ones: scikit-learn refuses zeros from 1.9 on
        sample_weight = np.asarray(sample_weight) + 1.0
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if none:
        return Rows(X, y, weights, True, given).of(np.zeros(len(y), dtype=bool))
    counted = weights > 0.0
    if not counted.any():  # scikit-learn says so from 1.9 on
        raise ValueError("Sample weights must contain at least one non-zero number.")
    rows = Rows(X, y, weights, True, given)
    return rows if counted.all() else rows.of(counted)


class GDRegressor(RegressorMixin, _GDEstimator):
    """Linear, quantile, Poisson and other regression fitted by gradient methods that need no tuning.

    Minimises ``sum_i s_i loss(y_i, x_i W + b) / sum_i s_i + alpha ((1 - r)/2 ||W||^2 + r ||W||_1)`` with sample
    weights s and the L1 ratio r.  X may have columns of any scale: steps are taken in implicitly standardised
    coordinates, without a copy of X, and the objective stays the one above.

    Parameters
    ----------
    loss : str, default="squared_error"
        What a score z pays for a target y:

        - "squared_error": ``(z - y)^2 / 2``.
        - "huber": the same where ``|z - y| <= epsilon``, and linear beyond.
        - "epsilon_insensitive": ``max(0, |z - y| - epsilon)``, support vector regression.
        - "squared_epsilon_insensitive": its square.
        - "quantile": ``q (y - z)`` where z <= y, ``(1 - q) (z - y)`` beyond, with q = `quantile`.
        - "poisson": ``y log(y / mu) - y + mu`` with ``mu = exp(z)``, half the deviance; for y >= 0.
        - "gamma": ``y / mu - 1 - log(y / mu)`` with ``mu = exp(z)``, half the deviance; for y > 0.
    solver : {"auto", "gd", "sgd", "adam"}, default="auto"
        - "gd": full-batch descent in a curvature metric, (quasi-)Newton and proximal.  Few passes, and exact.
        - "sgd": mini-batches, averaged.
        - "adam": mini-batches with Adam's moments.
        - "auto": gd.  It is "sgd" where `learning_rate`, `momentum`, `average` or `batch_size` ask for stochastic steps.

        The rates that "sgd" and "adam" derive from the data need a loss of bounded curvature: "poisson" and "gamma" have
        none, and take them with an explicit `learning_rate` only.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        The intercept is never penalised.  L1 gives exact zeros.  Without a penalty, gd's coefficients of dependent columns
        are those of least norm, as LinearRegression's.
    alpha : float or array-like of shape (n_features,), default=1e-4
        Weight of the penalty: that of SGD* and ElasticNet, 1/(C n) of LogisticRegression, alpha/n of Ridge.  An array holds
        one for each feature.
    l1_ratio : float or None, default=0.15
        Share of L1 in the elastic net; None where there is no elastic net.
    fit_intercept : bool, default=True
        Whether to fit b.
    positive : bool or array-like of bool of shape (n_features,), default=False
        Whether coefficients must not be negative: all of them, or those of some features.
    max_iter : int, default=1000
        Most iterations of gd, or epochs.
    tol : float or None, default=1e-4
        Stop where the objective is within this share of its minimum, as estimated from the progress.  None: run all
        of `max_iter`.  With `early_stopping` it also bounds the rise of the validation score, and there it is no share: it is
        in the unit of that score.
    shuffle : bool, default=True
        Whether to draw the rows in random order in every epoch.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch.  "auto": 16 to 64, as there are rows, more where rows have few non-zeros or columns are many,
        all of up to 64 rows; with an explicit `learning_rate`, 1.
    verbose : int, default=0
        Whether to print the objective after each pass or epoch.
    epsilon : float, default=0.1
        Where the Huber loss becomes linear, and from where on the insensitive losses pay, in the unit of y.
    quantile : float, default=0.5
        The quantile that `loss="quantile"` predicts, between 0 and 1.
    n_jobs : int or None, default=None
        Threads for passes over all rows; results do not depend on it.  None: all cores where X is large enough to share,
        one inside of joblib's workers.
    random_state : int, RandomState or None, default=None
        Order of the rows.
    learning_rate : {"auto", "constant", "optimal", "invscaling", "adaptive"}, default="auto"
        "auto" derives rates from the data.  The others are those of SGD*: ``eta0``, ``1 / (alpha (t0 + t))``,
        ``eta0 / t^power_t``, and eta0 divided by 5 after `n_iter_no_change` epochs without progress.
    eta0 : float, default=0.01
        The rate, or the first one, of an explicit `learning_rate`.
    power_t : float, default=0.25
        Exponent of ``learning_rate="invscaling"``.
    momentum : float, default=0.0
        Momentum of sgd, and of gd with an explicit rate.
    nesterovs_momentum : bool, default=True
        Whether momentum is Nesterov's.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of Adam's moments.
    adam_epsilon : float, default=1e-8
        Adam's constant against division by zero.
    standardize : bool or "auto", default="auto"
        Whether steps are taken in standardised coordinates.  "auto": with the automatic rate, and not with an explicit
        one.
    early_stopping : bool, default=False
        Whether to watch a validation set, the rows of `X_val` or a share of those of X: after each iteration or epoch the model
        is scored there.  The fit ends when the score has not risen by `tol` for `n_iter_no_change` of them in a row, or when
        the objective is within `tol` of its minimum; the coefficients of the best score are kept.  For the score `tol` is an
        absolute difference, as in scikit-learn, and for the objective a share.
    validation_fraction : float, default=0.1
        Share of the rows that are set aside for validation, where there is no `X_val`; of every class the same share.
    scoring : str, callable or None, default=None
        The validation score: None is that of `score`, R^2 or D^2; "loss" is the loss without the penalty, with its sign
        changed; others are those of `sklearn.metrics.check_scoring`.
    n_iter_no_change : int, default=5
        Epochs in a row without progress after which an explicit `learning_rate` stops, or "adaptive" slows down; iterations
        or epochs in a row without a better validation score after which early stopping ends the fit.
    warm_start : bool, default=False
        Whether `fit` goes on from the coefficients of the fit before, and from what is known of the data if it is the same:
        along a path of alphas.  sgd and adam go on with their steps, too; those of an explicit rate begin anew.
    average : bool, int or "auto", default="auto"
        Whether the result is an average of the iterates; an int: from so many rows on.  "auto": with the automatic
        rate.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients W, in the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_targets,)
        Intercepts b.
    n_iter_ : int
        Iterations of gd, or epochs.
    converged_ : bool
        Whether the fit ended because its objective is known to be within `tol` of the minimum.  False after `partial_fit`,
        with ``tol=None``, and where early stopping or a callback ended the fit.  With an explicit `learning_rate`, and for the
        perceptron: whether the objective has settled.
    gap_ : float
        How far the objective at the coefficients is above its minimum, relative: (F - F*) / F.  NaN where that is not known:
        after `partial_fit`, with ``tol=None`` or an explicit `learning_rate`, for the perceptron, and where early stopping
        chose other coefficients than the last.
    gap_kind_ : {"bound", "estimate"} or None
        Whether `gap_` is a bound, which duality proves to rounding, or an estimate; None where it is NaN.
    loss_curve_ : list of float
        The objective at the start and after each iteration or epoch; between start and end of gd, where a loss has kinks,
        with its kinks rounded.
    time_curve_ : list of float
        Seconds since the start of the fit, for each entry of `loss_curve_`.
    validation_scores_ : list of float or None
        The validation score after each iteration or epoch; None without early stopping.
    best_validation_score_ : float or None
        The largest of them, which is that of the coefficients.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has string names.

    See Also
    --------
    GDClassifier : The same for classification.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skgd import GDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(GDRegressor().fit(X, y).score(X, y), 2)
    0.51
    """

    _parameter_constraints = {
        **_GDEstimator._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        solver="auto",
        penalty="l2",
        alpha=1e-4,
        l1_ratio=0.15,
        fit_intercept=True,
        positive=False,
        max_iter=1000,
        tol=1e-4,
        shuffle=True,
        batch_size="auto",
        verbose=0,
        epsilon=0.1,
        quantile=0.5,
        n_jobs=None,
        random_state=None,
        learning_rate="auto",
        eta0=0.01,
        power_t=0.25,
        momentum=0.0,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        adam_epsilon=1e-8,
        standardize="auto",
        early_stopping=False,
        validation_fraction=0.1,
        scoring=None,
        n_iter_no_change=5,
        warm_start=False,
        average="auto",
    ):
        self.loss = loss
        self.solver = solver
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.batch_size = batch_size
        self.verbose = verbose
        self.epsilon = epsilon
        self.quantile = quantile
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.adam_epsilon = adam_epsilon
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in LOG_LINK
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        coef_init=None,
        intercept_init=None,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.  C-ordered float32 and float64 arrays and CSR matrices are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; 2 counts as the row twice, 0 as no row.
        coef_init : array-like of shape (n_features,) or (n_targets, n_features), default=None
            Coefficients to start from, whatever `warm_start` says.
        intercept_init : array-like of shape (n_targets,), default=None
            Intercepts to start from.  Of coefficients and intercepts, those that are not given start at zero.
        X_val, y_val, sample_weight_val : default=None
            Rows for early stopping, as X, y and sample_weight; weights are optional.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid, a target is outside the range of the loss, the solver does not take the loss, or squares
            exceed the range of floats; the estimator stays as it was.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            numbers = {"multi_output": True, "y_numeric": True}
            given = _validated(self, X, y, sample_weight, **numbers)
            rows, held_out = self._split(given, X_val, y_val, sample_weight_val, None, **numbers)
            Y = _columns(rows.y)
            self._one_dimensional = len(Y) == 1
            loss = self._separable_loss(REGRESSION_LOSSES[self.loss], Y, rows.weights)
            self._check_targets(loss, _columns(given.y), sample_weight, "y")
            watched = None
            if held_out is not None:
                watched = held_out, _columns(held_out.y)
                if X_val is not None:
                    self._check_targets(loss, watched[1], sample_weight_val, "y_val")
            self._minimise(rows, Y, loss, Start(coef_init, intercept_init), watched, X_val is not None)
        return self

    @available_if(_learns_online)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn from a batch of rows, and go on from what was learned before.

        With ``learning_rate="auto"`` columns are standardised by running moments and steps are Newton's on single rows, which
        forget the past as fast as the stream asks for; the penalty acts on the coefficients of standardised columns.  An
        explicit rate makes one epoch of the textbook's steps, resumed.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; 2 counts as the row twice, 0 as no row.
            A batch in which all weights are zero changes nothing.  If it is the first batch, the model has coefficients of
            zero after it, and can predict.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid or does not suit what was learned, or numbers leave the range of floats; the estimator
            stays as it was.
        """
        with unchanged_on_error(self):
            self._refuse_early_stopping()
            first = not hasattr(self, "coef_")
            rows = _validated(self, X, y, sample_weight, allow_none=True, multi_output=True, y_numeric=True, reset=first)
            Y = _columns(rows.y)
            self._one_dimensional = len(Y) == 1
            if not Y.size:
                self._learn_nothing(rows, len(Y))
                return self
            loss = self._separable_loss(REGRESSION_LOSSES[self.loss], Y, rows.weights)
            self._check_targets(loss, Y, sample_weight, "y")
            self._learn(rows, Y, loss)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches, *, coef_init=None, intercept_init=None, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the model to more rows than memory holds.

        Parameters
        ----------
        batches : iterable or callable
            Of batches ``(X, y)`` or ``(X, y, sample_weight)``, each as for `fit`; X may be a record batch of pyarrow, too.
            It is read several times: a list or another iterable that can be, or a callable that returns a new iterator
            for every pass.  See `skgd.batches` for files.
        coef_init, intercept_init, X_val, y_val, sample_weight_val : default=None
            As for `fit`; `early_stopping` needs X_val and y_val.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As `fit`, naming the partition; if batches would have to be read again and cannot be, or have changed.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            self._fit_partitions(
                partitions_of(batches), None, Start(coef_init, intercept_init), X_val, y_val, sample_weight_val
            )
        return self

    def _partition_metadata(self, X, y, sample_weight) -> PartitionMetadata:
        """What is known of a partition after reading its labels and the size of its X."""
        rows = len(y) if sample_weight is None else int(np.count_nonzero(sample_weight))
        return PartitionMetadata(
            rows, X.nnz if sp.issparse(X) else int(np.prod(np.shape(X))), *self._features(X), np.empty(0), np.empty(0)
        )

    def _partition_table(
        self, X, y, sample_weight, classes, class_weights, reset: bool, first_row: int
    ) -> tuple[Table, np.ndarray]:
        """The rows of a partition, of which the first has the number `first_row`; there are no classes."""
        rows = _validated(self, X, y, sample_weight, multi_output=True, y_numeric=True, reset=reset)
        Y = _columns(rows.y)
        loss = self._separable_loss(REGRESSION_LOSSES[self.loss], Y, rows.weights)
        self._check_targets(loss, Y, sample_weight, "y", partition=True)
        return Table(rows.X, Y, rows.weights, first=first_row), np.empty(0)

    def _distinct_targets(self, summary: Summary, classes: None) -> None:
        """None, as there are no classes; ValueError if the targets of all partitions do not suit the loss."""
        self._one_dimensional = len(summary.targets.mean) == 1
        if self.loss in LOG_LINK and not summary.targets.mean.all():
            raise ValueError(f"loss={self.loss!r} needs targets that are not all zero.")

    def _loss_of(self, summary: Summary):
        """The loss for rows with this summary, as for two rows whose targets have the same mean and deviation."""
        deviation = np.sqrt(summary.targets.variance)
        Y = summary.targets.mean[:, None] + np.column_stack([-deviation, deviation])
        return self._separable_loss(REGRESSION_LOSSES[self.loss], Y, np.ones(2))

    def _held_out(self, X_val, y_val, sample_weight_val, metadata: Metadata) -> tuple[Rows, np.ndarray]:
        """Rows for early stopping, and their targets."""
        rows = _validated(self, X_val, y_val, sample_weight_val, reset=False, multi_output=True, y_numeric=True)
        Y = _columns(rows.y)
        self._check_targets(self._separable_loss(REGRESSION_LOSSES[self.loss], Y, rows.weights), Y, sample_weight_val, "y_val")
        return rows, Y

    def _check_targets(self, loss, Y: np.ndarray, sample_weight, name: str, partition: bool = False) -> None:
        """Raise ValueError for the first target (of a row with a weight) that the loss has no value for.

        `partition`: Y is one partition of several, so its targets may all be zero.
        """
        valid = loss.valid(np.column_stack([Y, np.ones(len(Y))]))[:, :-1] if partition else loss.valid(Y)
        if not valid.all():
            row, target = np.argwhere(~valid.T)[0]
            counted = np.arange(len(Y[0])) if np.ndim(sample_weight) == 0 else np.flatnonzero(sample_weight)
            raise ValueError(
                f"loss={self.loss!r} needs targets {loss.domain()}, but row {counted[row]} of {name} holds {Y[target, row]:g}."
            )

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            ``X W + b``, or its exponential where `loss` is "poisson" or "gamma".
        """
        scores = self._scores(X)
        if self.loss in LOG_LINK:
            scores = np.exp(scores)
        return scores[:, 0] if self._one_dimensional else scores

    def score(self, X, y, sample_weight=None):
        """R^2; or D^2, the explained share of the deviance, where `loss` is "poisson" or "gamma".

        D^2 is that of `PoissonRegressor` and `GammaRegressor`: one minus the deviance of the predictions over that of the mean
        of y.  Of several targets it is the mean of theirs.  It is 0 for a target that does not vary, as R^2 is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            As `sklearn.metrics.r2_score` or `sklearn.metrics.d2_tweedie_score`: at most 1, and 0 for the mean of y.
        """
        if self.loss not in LOG_LINK:
            return super().score(X, y, sample_weight)
        return explained_deviance(_columns(np.asarray(y)), self._scores(X), sample_weight, LOG_LINK[self.loss])


def _columns(y: np.ndarray) -> np.ndarray:
    """Targets (T, n) of y (n,) or (n, T)."""
    return np.ascontiguousarray(np.atleast_2d(y.T), dtype=np.float64)


def _has_probabilities(classifier) -> bool:
    if classifier.loss in WITH_PROBABILITIES:
        return True
    raise AttributeError(
        f"probability estimates are not available for loss={classifier.loss!r}: use one of "
        f"{', '.join(map(repr, WITH_PROBABILITIES))}, or "
        "calibrate the classifier with sklearn.calibration.CalibratedClassifierCV."
    )


def _class_weighted(rows: Rows, labels: np.ndarray, of_classes: np.ndarray | None) -> Rows:
    """Weights multiplied by those of the classes: of the label, or expected."""
    if of_classes is None:
        return rows
    factors = of_classes[labels] if labels.ndim == 1 else labels @ of_classes
    return rows._replace(weights=rows.weights * factors, weighted=True)


class GDClassifier(ClassifierMixin, _GDEstimator):
    """Logistic regression, support vector machines and others, fitted by gradient methods that need no tuning.

    Minimises ``sum_i s_i loss(y_i, x_i W + b) / sum_i s_i + alpha ((1 - r)/2 ||W||^2 + r ||W||_1)`` with sample
    weights s (class weights folded in) and the L1 ratio r.  X may have columns of any scale: steps are taken in
    implicitly standardised coordinates, without a copy of X, and the objective stays the one above.

    Parameters
    ----------
    loss : str, default="log_loss"
        "log_loss" is the cross-entropy: logistic regression for two classes, softmax for more.  Of the others a score z
        is asked whether a row is in a class, y = 1, or not, y = -1; more than two classes are one against the rest, all
        fitted at once:

        - "hinge": ``max(0, 1 - y z)``, the linear support vector machine.
        - "squared_hinge": its square.
        - "modified_huber": the same where ``y z >= -1``, and ``-4 y z`` beyond; it has probabilities.
        - "perceptron": ``max(0, -y z)``.  Zero coefficients are its minimum, so with ``learning_rate="auto"`` steps have a
          constant rate and are averaged, until their objective falls no more.
        - "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive": those of `GDRegressor`.
    solver : {"auto", "gd", "sgd", "adam"}, default="auto"
        - "gd": full-batch descent in a curvature metric, (quasi-)Newton and proximal.  Few passes, and exact.
        - "sgd": mini-batches, averaged; dual coordinate ascent where `penalty` is "l2", columns are many and rows light,
          as in text.
        - "adam": mini-batches with Adam's moments.
        - "auto": dual coordinate ascent where it suits, as for sgd; else gd.  It is "sgd" where `learning_rate`,
          `momentum`, `average` or `batch_size` ask for stochastic steps, and for the perceptron, which gd takes only with an
          explicit `learning_rate`.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        The intercept is never penalised.  L1 gives exact zeros.
    alpha : float or array-like of shape (n_features,), default=1e-4
        Weight of the penalty: that of SGD* and ElasticNet, 1/(C n) of LogisticRegression, alpha/n of Ridge.  An array holds
        one for each feature.
    l1_ratio : float or None, default=0.15
        Share of L1 in the elastic net; None where there is no elastic net.
    fit_intercept : bool, default=True
        Whether to fit b.
    positive : bool or array-like of bool of shape (n_features,), default=False
        Whether coefficients must not be negative: all of them, or those of some features.
    max_iter : int, default=1000
        Most iterations of gd, or epochs.
    tol : float or None, default=1e-4
        Stop where the objective is within this share of its minimum, as estimated from the progress.  None: run all
        of `max_iter`.  With `early_stopping` it also bounds the rise of the validation score, and there it is no share: it is
        in the unit of that score.
    shuffle : bool, default=True
        Whether to draw the rows in random order in every epoch.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch.  "auto": 16 to 64, as there are rows, more where rows have few non-zeros or columns are many,
        all of up to 64 rows; with an explicit `learning_rate`, 1.
    verbose : int, default=0
        Whether to print the objective after each pass or epoch.
    epsilon : float, default=0.1
        Where the Huber loss becomes linear, and from where on the insensitive losses pay.
    n_jobs : int or None, default=None
        Threads for passes over all rows; results do not depend on it.  None: all cores where X is large enough to share,
        one inside of joblib's workers.
    random_state : int, RandomState or None, default=None
        Order of the rows.
    learning_rate : {"auto", "constant", "optimal", "invscaling", "adaptive"}, default="auto"
        "auto" derives rates from the data.  The others are those of SGD*: ``eta0``, ``1 / (alpha (t0 + t))``,
        ``eta0 / t^power_t``, and eta0 divided by 5 after `n_iter_no_change` epochs without progress.
    eta0 : float, default=0.01
        The rate, or the first one, of an explicit `learning_rate`.
    power_t : float, default=0.5
        Exponent of ``learning_rate="invscaling"``.
    momentum : float, default=0.0
        Momentum of sgd, and of gd with an explicit rate.
    nesterovs_momentum : bool, default=True
        Whether momentum is Nesterov's.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of Adam's moments.
    adam_epsilon : float, default=1e-8
        Adam's constant against division by zero.
    standardize : bool or "auto", default="auto"
        Whether steps are taken in standardised coordinates.  "auto": with the automatic rate, and not with an explicit
        one.
    early_stopping : bool, default=False
        Whether to watch a validation set, the rows of `X_val` or a share of those of X: after each iteration or epoch the model
        is scored there.  The fit ends when the score has not risen by `tol` for `n_iter_no_change` of them in a row, or when
        the objective is within `tol` of its minimum; the coefficients of the best score are kept.  For the score `tol` is an
        absolute difference, as in scikit-learn, and for the objective a share.
    validation_fraction : float, default=0.1
        Share of the rows that are set aside for validation, where there is no `X_val`; of every class the same share.
    scoring : str, callable or None, default=None
        The validation score: None is that of `score`, "loss" the loss without the penalty, with its sign changed, and
        others are those of `sklearn.metrics.check_scoring`.
    n_iter_no_change : int, default=5
        Epochs in a row without progress after which an explicit `learning_rate` stops, or "adaptive" slows down; iterations
        or epochs in a row without a better validation score after which early stopping ends the fit.
    warm_start : bool, default=False
        Whether `fit` goes on from the coefficients of the fit before, and from what is known of the data if it is the same:
        along a path of alphas.  sgd and adam go on with their steps, too; those of an explicit rate begin anew.
    average : bool, int or "auto", default="auto"
        Whether the result is an average of the iterates; an int: from so many rows on.  "auto": with the automatic
        rate.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with the sample weights.  "balanced": inversely proportional to the weight
        of the class in the data, sample weights counted.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients W, in the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts b.
    n_iter_ : int
        Iterations of gd, or epochs.
    converged_ : bool
        Whether the fit ended because its objective is known to be within `tol` of the minimum.  False after `partial_fit`,
        with ``tol=None``, and where early stopping or a callback ended the fit.  With an explicit `learning_rate`, and for the
        perceptron: whether the objective has settled.
    gap_ : float
        How far the objective at the coefficients is above its minimum, relative: (F - F*) / F.  NaN where that is not known:
        after `partial_fit`, with ``tol=None`` or an explicit `learning_rate`, for the perceptron, and where early stopping
        chose other coefficients than the last.
    gap_kind_ : {"bound", "estimate"} or None
        Whether `gap_` is a bound, which duality proves to rounding, or an estimate; None where it is NaN.
    loss_curve_ : list of float
        The objective at the start and after each iteration or epoch; between start and end of gd, where a loss has kinks,
        with its kinks rounded.
    time_curve_ : list of float
        Seconds since the start of the fit, for each entry of `loss_curve_`.
    validation_scores_ : list of float or None
        The validation score after each iteration or epoch; None without early stopping.
    best_validation_score_ : float or None
        The largest of them, which is that of the coefficients.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has string names.

    See Also
    --------
    GDRegressor : The same for regression.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skgd import GDClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> GDClassifier().fit(X, y).score(X, y)
    1.0
    """

    _parameter_constraints = {
        **_GDEstimator._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFICATION_LOSSES))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss="log_loss",
        *,
        solver="auto",
        penalty="l2",
        alpha=1e-4,
        l1_ratio=0.15,
        fit_intercept=True,
        positive=False,
        max_iter=1000,
        tol=1e-4,
        shuffle=True,
        batch_size="auto",
        verbose=0,
        epsilon=0.1,
        n_jobs=None,
        random_state=None,
        learning_rate="auto",
        eta0=0.01,
        power_t=0.5,
        momentum=0.0,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        adam_epsilon=1e-8,
        standardize="auto",
        early_stopping=False,
        validation_fraction=0.1,
        scoring=None,
        n_iter_no_change=5,
        warm_start=False,
        average="auto",
        class_weight=None,
    ):
        self.loss = loss
        self.solver = solver
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.batch_size = batch_size
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.adam_epsilon = adam_epsilon
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        coef_init=None,
        intercept_init=None,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.  C-ordered float32 and float64 arrays and CSR matrices are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels of any type; or, with ``loss="log_loss"``, probabilities of the classes 0, 1, ..., which are non-negative and
            sum to one in every row.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; 2 counts as the row twice, 0 as no row.
        coef_init : array-like of shape (n_features,) or (n_classes, n_features), default=None
            Coefficients to start from, whatever `warm_start` says.
        intercept_init : array-like of shape (n_classes,), default=None
            Intercepts to start from.  Of coefficients and intercepts, those that are not given start at zero.
        X_val, y_val, sample_weight_val : default=None
            Rows for early stopping, as X, y and sample_weight; weights are optional.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid, has a single class, the solver does not take the loss, or squares exceed the range of
            floats; the estimator stays as it was.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            kind = {"multi_output": True, "y_numeric": True} if self._are_probabilities(y) else {}
            rows = _validated(self, X, y, sample_weight, **kind)
            classes, labels = class_probabilities(rows.y) if kind else encode(rows.y)
            if len(classes) < 2:
                raise ValueError(
                    f"GDClassifier needs at least two classes, but y has one class among the rows with a weight: {classes[0]}."
                )
            if self.warm_start and not np.array_equal(getattr(self, "classes_", classes), classes):
                raise ValueError("warm_start needs the classes of the fit before: fit a clone, or set warm_start=False.")
            of_classes = self._class_weights(classes, labels, rows.weights)
            rows = _class_weighted(rows, labels, of_classes)
            rows, held_out = self._split(rows, X_val, y_val, sample_weight_val, most_likely(labels), **kind)
            watched = None
            if held_out is not None:
                labels, labels_val = encode_as(rows.y, classes), encode_as(held_out.y, classes)
                if X_val is not None:
                    held_out = _class_weighted(held_out, labels_val, of_classes)
                held_out = held_out._replace(y=classes[most_likely(labels_val)])
                watched = held_out, self._targets(labels_val, len(classes))
            self.classes_, self._one_dimensional = classes, False
            Y = self._targets(labels, len(classes))
            loss, init = self._loss(labels, Y, rows.weights), Start(coef_init, intercept_init)
            self._minimise(rows, Y, loss, init, watched, X_val is not None)
        return self

    @available_if(_learns_online)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from a batch of rows, and go on from what was learned before.

        With ``learning_rate="auto"`` columns are standardised by running moments and steps are Newton's on single rows, which
        forget the past as fast as the stream asks for; the penalty acts on the coefficients of standardised columns.  An
        explicit rate makes one epoch of the textbook's steps, resumed.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that may ever come; the first call needs them, later ones do not.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; 2 counts as the row twice, 0 as no row.
            A batch in which all weights are zero changes nothing.  If it is the first batch, the model has coefficients of
            zero after it, and can predict.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid or does not suit what was learned, `classes` are missing, or numbers leave the range of
            floats; the estimator stays as it was.
        """
        with unchanged_on_error(self):
            self._refuse_early_stopping()
            if self.class_weight == "balanced":
                raise ValueError(
                    "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                    "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough sample "
                    "of the full training set target to properly estimate the class frequency distributions. Pass the "
                    "resulting weights as the class_weight parameter."
                )
            first = not hasattr(self, "coef_")
            _check_partial_fit_first_call(self, classes)
            rows, K = _validated(self, X, y, sample_weight, allow_none=True, reset=first), len(self.classes_)
            self._one_dimensional = False
            if not len(rows.y):
                self._learn_nothing(rows, 1 if K == 2 else K)
                return self
            labels = encode_as(rows.y, self.classes_)
            of_classes = self._class_weights(self.classes_, labels, rows.weights)
            rows = _class_weighted(rows, labels, of_classes)
            Y = self._targets(labels, K)
            if self.loss == "log_loss":
                loss = LogLoss(1) if K == 2 else Softmax(K, 0.25)
            else:
                loss = self._separable_loss(CLASSIFICATION_LOSSES[self.loss], Y, rows.weights)
            self._learn(rows, Y, loss)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_batches(
        self, batches, *, classes=None, coef_init=None, intercept_init=None, X_val=None, y_val=None, sample_weight_val=None
    ):
        """Fit the model to more rows than memory holds.

        Parameters
        ----------
        batches : iterable or callable
            Of batches ``(X, y)`` or ``(X, y, sample_weight)``, each as for `fit`, with labels; X may be a record batch of
            pyarrow, too.  It is read several times: a list or another iterable that can be, or a callable that returns a new
            iterator for every pass.  See `skgd.batches` for files.
        classes : array-like of shape (n_classes,), default=None
            All labels.  Where they are not given, a first pass finds them.
        coef_init, intercept_init, X_val, y_val, sample_weight_val : default=None
            As for `fit`; `early_stopping` needs X_val and y_val.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As `fit`, naming the partition; if batches would have to be read again and cannot be, or have changed.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            self._fit_partitions(
                partitions_of(batches), classes, Start(coef_init, intercept_init), X_val, y_val, sample_weight_val
            )
        return self

    def _partition_metadata(self, X, y, sample_weight) -> PartitionMetadata:
        """What is known of a partition after reading its labels and the size of its X."""
        y = column_or_1d(y)
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        labels, codes = np.unique(y[weights != 0.0], return_inverse=True)
        totals = np.bincount(codes, weights[weights != 0.0])
        return PartitionMetadata(
            int(np.count_nonzero(weights)),
            X.nnz if sp.issparse(X) else int(np.prod(np.shape(X))),
            *self._features(X),
            labels,
            totals,
        )

    def _partition_table(
        self, X, y, sample_weight, classes, class_weights, reset: bool, first_row: int
    ) -> tuple[Table, np.ndarray]:
        """The rows of a partition, of which the first has the number `first_row`; and the sum of each class's weights."""
        rows = _validated(self, X, y, sample_weight, reset=reset)
        labels = encode_as(rows.y, classes)
        rows = _class_weighted(rows, labels, class_weights)
        table = Table(rows.X, self._targets(labels, len(classes)), rows.weights, first=first_row)
        return table, np.bincount(labels, rows.weights, len(classes))

    def _check_classes(self, classes: np.ndarray) -> None:
        """Raise ValueError if the classes of all partitions are too few, or others than those of a warm start."""
        if len(classes) < 2:
            raise ValueError(f"GDClassifier needs at least two classes, but the partitions have one class: {classes[0]}.")
        if self.warm_start and not np.array_equal(getattr(self, "classes_", classes), classes):
            raise ValueError("warm_start needs the classes of the fit before: fit a clone, or set warm_start=False.")

    def _distinct_targets(self, summary: Summary, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The targets of each class, and the sum of the weights of each class; ValueError if a class has no row."""
        absent = np.flatnonzero(summary.class_totals == 0.0)
        if len(absent):
            raise ValueError(f"The class {classes[absent[0]]} is in no partition: leave it out of classes.")
        self.classes_, self._one_dimensional = classes, False
        return self._targets(np.arange(len(classes)), len(classes)), summary.class_totals

    def _loss_of(self, summary: Summary):
        """The loss for rows with this summary, as for one row of each class."""
        codes = np.arange(len(summary.class_totals))
        return self._loss(codes, self._targets(codes, len(codes)), summary.class_totals)

    def _held_out(self, X_val, y_val, sample_weight_val, metadata: Metadata) -> tuple[Rows, np.ndarray]:
        """Rows for early stopping, and their targets."""
        rows = _validated(self, X_val, y_val, sample_weight_val, reset=False)
        labels = encode_as(rows.y, self.classes_)
        return _class_weighted(rows, labels, metadata.class_weights), self._targets(labels, len(self.classes_))

    def _are_probabilities(self, y) -> bool:
        """Whether y is a matrix, which log_loss takes for probabilities of the classes."""
        shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
        matrix = len(shape) == 2 and shape[1] > 1
        if matrix and self.loss != "log_loss":
            raise ValueError(f"y has to be of shape (n_samples,) with loss={self.loss!r}, but has {shape[1]} columns.")
        return matrix

    def _class_weights(self, classes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """The weight of each class, if there are any."""
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):  # "balanced"
            totals = np.bincount(labels, weights) if labels.ndim == 1 else weights @ labels
            of_classes = weights.sum() / (len(classes) * totals)
        else:
            of_classes = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not of_classes.all():
            raise ValueError(f"class_weight is zero for class {classes[of_classes == 0.0][0]}: leave its rows out instead.")
        return of_classes

    def _targets(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Codes or probabilities of the classes for log_loss, signs (K, n) of each against the rest for others."""
        if self.loss != "log_loss":
            return signs(labels, classes)
        if labels.ndim == 1:
            return labels[None, :].astype(np.float64)
        return np.ascontiguousarray(labels.T[1:] if classes == 2 else labels.T)

    def _loss(self, labels: np.ndarray, Y: np.ndarray, weights: np.ndarray):
        if self.loss != "log_loss":
            return self._separable_loss(CLASSIFICATION_LOSSES[self.loss], Y, weights)
        share = (np.bincount(labels, weights) if labels.ndim == 1 else weights @ labels) / weights.sum()
        if len(share) == 2:
            return LogLoss(1)
        cls = Softmax if labels.ndim == 1 else SoftLabels
        return cls(len(share), float(np.max(share * (1.0 - share))))

    def decision_function(self, X):
        """Scores of the rows: of the second class (log-odds, for log_loss), or one score a class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            ``X W + b``.
        """
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        parts = blocks_of(self, X)
        if len(parts) == 1:
            return self._most_likely(X)
        labels = np.empty(X.shape[0], self.classes_.dtype)
        for part in parts:
            labels[part] = self._most_likely(X[part])
        return labels

    def _most_likely(self, X) -> np.ndarray:
        scores = self.decision_function(X)
        return self.classes_.take(scores > 0 if scores.ndim == 1 else scores.argmax(axis=1))

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Probabilities of the classes, for the losses "log_loss" and "modified_huber".

        Those of "modified_huber" are scores clipped to [-1, 1] and mapped to [0, 1] (Zhang, 2004), over their sum where
        there are more than two classes; classes are equally likely where all of them are zero.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`, in the dtype of the scores; rows sum to one.
        """
        scores = self.decision_function(X)
        if self.loss == "modified_huber":
            P = (np.clip(scores, -1.0, 1.0) + 1.0) / 2.0
            if scores.ndim == 1:
                return np.column_stack([1.0 - P, P])
            P[~P.any(axis=1)] = 1.0
            return P / P.sum(axis=1, keepdims=True)
        return probabilities(scores.reshape(len(scores), -1))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Logarithms of the probabilities; those of log_loss are exact where the probabilities round to 0 or 1.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        if self.loss == "modified_huber":
            with np.errstate(divide="ignore"):
                return np.log(self.predict_proba(X))
        scores = self.decision_function(X)
        return np.column_stack([log_expit(-scores), log_expit(scores)]) if scores.ndim == 1 else log_softmax(scores, axis=1)
