"""GDRegressor: regression with one or several targets."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from ..data.partition_reader import PartitionMetadata
from ..data.partitions import partitions_of
from ..data.summary import Summary
from ..data.table import Table
from ..losses.registry import REGRESSION_LOSSES
from ..prediction.scores import explained_deviance
from ..streaming.metadata import Metadata
from .base import _GDEstimator, learns_online, unchanged_on_error
from .documentation import documented
from .early_stopping import HeldOut, split
from .inputs import NUMBERS, Start, ValidationSet, target_rows, validated
from .parameters import LOG_LINK, defaults_of


@documented
class GDRegressor(RegressorMixin, _GDEstimator):
    """Linear, quantile, Poisson and other regression, fitted without tuning a learning rate.

    Minimises ``sum_i s_i loss(y_i, x_i W + b) / sum_i s_i + alpha ((1 - r)/2 ||W||^2 + r ||W||_1)``, where s are the
    sample weights, and r is `l1_ratio`.  The columns of X may have any scale: the solvers work in standardised
    coordinates without making a copy of X, and still minimise the objective above.

    Parameters
    ----------
    loss : str, default="squared_error"
        The loss of a score z for a target y:

        - "squared_error": ``(z - y)^2 / 2``.
        - "huber": the squared error if ``|z - y| <= epsilon``, and linear beyond.
        - "epsilon_insensitive": ``max(0, |z - y| - epsilon)``, support vector regression.
        - "squared_epsilon_insensitive": the square of the epsilon-insensitive loss.
        - "quantile": ``q (y - z)`` if z <= y, else ``(1 - q) (z - y)``, with q = `quantile`.
        - "poisson": ``y log(y / mu) - y + mu`` with ``mu = exp(z)``, which is half the deviance; for y >= 0.
        - "gamma": ``y / mu - 1 - log(y / mu)`` with ``mu = exp(z)``, which is half the deviance; for y > 0.
    solver : {"auto", "gd", "sgd", "adam"}, default="auto"
        The algorithm:

        - "gd": descent on all rows with a model of the curvature: Newton, quasi-Newton and proximal Newton steps.  It makes
          few passes over X and reaches small values of `tol`.
        - "sgd": steps on mini-batches, whose iterates are averaged.  With a rate from the data, each epoch ends with a step on
          all rows.  If `penalty` is "l2", X has many columns and its rows have few non-zeros, as in text, "sgd" is dual
          coordinate ascent instead.
        - "adam": steps on mini-batches with Adam's update rule.
        - "auto": "sgd" if `learning_rate`, `momentum`, `average` or `batch_size` ask for stochastic steps.  Otherwise "auto" is
          dual coordinate ascent for the same data as "sgd", and "gd" for all other data.
    %(penalty)s
        Without a penalty and with linearly dependent columns, "gd" finds the coefficients of smallest norm, as
        LinearRegression does.
    %(alpha)s
    %(l1_ratio)s
    %(fit_intercept)s
    %(positive)s
    %(max_iter)s
    %(tol)s
    %(shuffle)s
    %(batch_size)s
    %(verbose)s
    epsilon : float, default=0.1
        The error, in the unit of y, beyond which the Huber loss is linear, and up to which the epsilon-insensitive losses
        are zero.
    quantile : float, default=0.5
        The quantile that ``loss="quantile"`` predicts, between 0 and 1.
    %(n_jobs)s
    %(random_state)s
    %(learning_rate)s
    %(eta0)s
    power_t : float, default=0.25
        Exponent of ``learning_rate="invscaling"``.
    %(momentum)s
    %(nesterovs_momentum)s
    %(beta_1, beta_2)s
    %(adam_epsilon)s
    %(standardize)s
    %(early_stopping)s
    %(validation_fraction)s
    scoring : str, callable or None, default=None
        The validation score.  None: R^2 or D^2, as `score` computes it.  "loss": the negative of the mean loss, without the
        penalty.  Other values have the same meaning as in `sklearn.metrics.check_scoring`.
    %(n_iter_no_change)s
    %(warm_start)s
    %(average)s

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients W, in the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_targets,)
        Intercepts b, in the dtype of X.
    %(n_iter_)s
    %(converged_)s
    %(gap_)s
    %(gap_kind_)s
    %(loss_curve_)s
    %(time_curve_)s
    %(validation_scores_)s
    %(best_validation_score_)s
    %(n_features_in_)s
    %(feature_names_in_)s

    See Also
    --------
    GDClassifier : Linear models for classification.

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
        self._keep(locals())

    _defaults = defaults_of(__init__)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in LOG_LINK
        return tags

    # ------------------------------------------------------------ fits
    @_fit_context(prefer_skip_nested_validation=True)
    @documented
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
        %(X of fit)s
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        %(sample_weight)s
        coef_init : array-like of shape (n_features,) or (n_targets, n_features), default=None
            Coefficients to start from; they take precedence over `warm_start`.  None: zero if `intercept_init` is given.
        intercept_init : array-like of shape (n_targets,), default=None
            Intercepts to start from.  None: zero if `coef_init` is given.
        %(X_val, y_val, sample_weight_val)s

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid, if a target is outside the domain of the loss, if the solver does not support the loss, or
            if squares exceed the range of floats.  The estimator then stays as it was.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            validation_set = ValidationSet(X_val, y_val, sample_weight_val)
            given = validated(self, X, y, sample_weight, **NUMBERS)
            rows, held_out = split(self, given, validation_set, None, **NUMBERS)
            Y = target_rows(rows.y)
            loss = self._loss(Y, rows.weights)
            self._check_targets(loss, target_rows(given.y), sample_weight, "y")
            watched = None
            if held_out is not None:
                watched = HeldOut(held_out, target_rows(held_out.y), not validation_set.given)
                if validation_set.given:
                    self._check_targets(loss, watched.Y, sample_weight_val, "y_val")
            self._fit_rows(rows, Y, loss, Start(coef_init, intercept_init), watched)
        return self

    @available_if(learns_online)
    @_fit_context(prefer_skip_nested_validation=True)
    @documented
    def partial_fit(self, X, y, sample_weight=None):
        """Update the model with a batch of rows.

        %(what partial_fit does)s

        Parameters
        ----------
        %(X)s
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        %(sample_weight of partial_fit)s

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid or does not fit the model, or if numbers exceed the range of floats.  The estimator then
            stays as it was.
        """
        with unchanged_on_error(self):
            self._refuse_early_stopping()
            first = not hasattr(self, "coef_")
            rows = validated(self, X, y, sample_weight, allow_none=True, reset=first, **NUMBERS)
            Y = target_rows(rows.y)
            if not Y.size:
                self._learn_nothing(rows, len(Y))
                return self
            loss = self._loss(Y, rows.weights)
            self._check_targets(loss, Y, sample_weight, "y")
            self._learn(rows, Y, loss)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @documented
    def fit_batches(self, batches, *, coef_init=None, intercept_init=None, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the model to more rows than fit into memory.

        Parameters
        ----------
        batches : iterable or callable
            Batches ``(X, y)`` or ``(X, y, sample_weight)``, each in a form that `fit` takes.  X may also be a record batch of
            pyarrow.  The batches are read several times: pass a list, another iterable that can be read again, or a callable
            that returns a new iterator for every pass.  `skgd.batches` has functions for files.
        %(coef_init, intercept_init, X_val, y_val, sample_weight_val)s

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`, with the number of the batch in the message.  Also if batches cannot be read again, or if they have
            changed since the pass before.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            init = Start(coef_init, intercept_init)
            self._fit_partitions(partitions_of(batches), None, init, X_val, y_val, sample_weight_val)
        return self

    # ------------------------------------------------------------ predictions
    @documented
    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            ``X W + b``, or its exponential if `loss` is "poisson" or "gamma".
        """
        scores = self._scores(X)
        if self.loss in LOG_LINK:
            scores = np.exp(scores)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    @documented
    def score(self, X, y, sample_weight=None):
        """Compute R^2, or D^2 if `loss` is "poisson" or "gamma".

        D^2 is the explained fraction of the deviance, as in `PoissonRegressor.score` and `GammaRegressor.score`: one minus
        the deviance of the predictions divided by the deviance of the mean of y.  With several targets, it is the mean over
        the targets.  Like R^2, it is 0 for a target that does not vary.

        Parameters
        ----------
        %(X)s
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            At most 1, and 0 for the mean of y, as `sklearn.metrics.r2_score` and `sklearn.metrics.d2_tweedie_score` define it.
        """
        if self.loss not in LOG_LINK:
            return super().score(X, y, sample_weight)
        return explained_deviance(target_rows(np.asarray(y)), self._scores(X), sample_weight, LOG_LINK[self.loss])

    # ------------------------------------------------------------ targets
    def _shaped(self, coef: np.ndarray) -> np.ndarray:
        return coef[0] if len(coef) == 1 else coef

    def _loss(self, Y: np.ndarray, weights: np.ndarray) -> Any:
        return self._separable_loss(REGRESSION_LOSSES[self.loss], Y, weights)

    def _check_targets(self, loss, Y: np.ndarray, sample_weight, name: str, partition: bool = False) -> None:
        """Raise ValueError that names the first target outside the domain of the loss, among rows with a weight.

        A loss may require that not all targets are zero.  This is not checked for a partition, which is only some of the rows.
        """
        valid = loss.valid(np.column_stack([Y, np.ones(len(Y))]))[:, :-1] if partition else loss.valid(Y)
        if not valid.all():
            row, target = np.argwhere(~valid.T)[0]
            counted = np.arange(len(Y[0])) if np.ndim(sample_weight) == 0 else np.flatnonzero(sample_weight)
            raise ValueError(
                f"loss={self.loss!r} needs targets {loss.domain()}, but row {counted[row]} of {name} holds {Y[target, row]:g}."
            )

    # ------------------------------------------------------------ for the preparation of partitions
    def _partition_metadata(self, X, y, sample_weight) -> PartitionMetadata:
        """The size of a partition; the entries of X are not read."""
        rows = len(y) if sample_weight is None else int(np.count_nonzero(sample_weight))
        return PartitionMetadata(
            rows, X.nnz if sp.issparse(X) else int(np.prod(np.shape(X))), *self._features(X), np.empty(0), np.empty(0)
        )

    def _partition_table(
        self, X, y, sample_weight, classes, class_weights, reset: bool, first_row: int
    ) -> tuple[Table, np.ndarray]:
        """The rows of a partition, numbered from `first_row`, and an empty array, because there are no classes."""
        rows = validated(self, X, y, sample_weight, reset=reset, **NUMBERS)
        Y = target_rows(rows.y)
        self._check_targets(self._loss(Y, rows.weights), Y, sample_weight, "y", partition=True)
        return Table(rows.X, Y, rows.weights, first=first_row), np.empty(0)

    def _distinct_targets(self, summary: Summary, classes: None) -> None:
        """Return None, because targets are numbers.  ValueError if all of them are zero and the loss does not allow it."""
        if self.loss in LOG_LINK and not summary.targets.mean.all():
            raise ValueError(f"loss={self.loss!r} needs targets that are not all zero.")

    def _loss_of(self, summary: Summary) -> Any:
        """The loss for rows with this summary, made from two rows whose targets have the same mean and deviation."""
        deviation = np.sqrt(summary.targets.variance)
        Y = summary.targets.mean[:, None] + np.column_stack([-deviation, deviation])
        return self._loss(Y, np.ones(2))

    def _held_out(self, validation_set: ValidationSet, metadata: Metadata) -> HeldOut:
        rows = validated(self, *validation_set, reset=False, **NUMBERS)
        Y = target_rows(rows.y)
        self._check_targets(self._loss(Y, rows.weights), Y, validation_set.sample_weight, "y_val")
        return HeldOut(rows, Y, set_aside=False)
