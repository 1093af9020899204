"""GDClassifier: classification with two or more classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import column_or_1d

from ..data.labels import class_probabilities, encode, encode_as, most_likely, signs
from ..data.partition_reader import PartitionMetadata
from ..data.partitions import partitions_of
from ..data.summary import Summary
from ..data.table import Table
from ..losses.cross_entropy import LogLoss, SoftLabels, Softmax
from ..losses.registry import CLASSIFICATION_LOSSES
from ..prediction.scores import blocks_of, probabilities
from ..streaming.metadata import Metadata
from .base import _GDEstimator, learns_online, unchanged_on_error
from .documentation import documented
from .early_stopping import HeldOut, split
from .inputs import NUMBERS, Rows, Start, ValidationSet, validated
from .parameters import defaults_of

WITH_PROBABILITIES = ("log_loss", "modified_huber")  # the losses that have `predict_proba`


def _has_probabilities(classifier) -> bool:
    if classifier.loss in WITH_PROBABILITIES:
        return True
    raise AttributeError(
        f"probability estimates are not available for loss={classifier.loss!r}: use one of "
        f"{', '.join(map(repr, WITH_PROBABILITIES))}, or "
        "calibrate the classifier with sklearn.calibration.CalibratedClassifierCV."
    )


@documented
class GDClassifier(ClassifierMixin, _GDEstimator):
    """Logistic regression, support vector machines and other linear classifiers, fitted without tuning a learning rate.

    Minimises ``sum_i s_i loss(y_i, x_i W + b) / sum_i s_i + alpha ((1 - r)/2 ||W||^2 + r ||W||_1)``, where s are the
    sample weights times the class weights, and r is `l1_ratio`.  The columns of X may have any scale: the solvers work in
    standardised coordinates without making a copy of X, and still minimise the objective above.

    Parameters
    ----------
    loss : str, default="log_loss"
        "log_loss" is the cross-entropy, which means logistic regression for two classes and softmax regression for more.
        The other losses compare a score z with y = 1 if the row is in a class, and with y = -1 if it is not.  With more than
        two classes, each class is fitted against the rest, and all classes are fitted at the same time.

        - "hinge": ``max(0, 1 - y z)``, the linear support vector machine.
        - "squared_hinge": the square of the hinge.
        - "modified_huber": the squared hinge if ``y z >= -1``, else ``-4 y z``.  It has probabilities.
        - "perceptron": ``max(0, -y z)``.  Its minimum is at zero coefficients.  With ``learning_rate="auto"``, the fit
          therefore averages steps at a constant rate, and stops when the objective no longer falls.
        - "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive": as in `GDRegressor`.
    solver : {"auto", "gd", "sgd", "adam"}, default="auto"
        The algorithm:

        - "gd": descent on all rows with a model of the curvature: Newton, quasi-Newton and proximal Newton steps.  It makes
          few passes over X and reaches small values of `tol`.
        - "sgd": steps on mini-batches, whose iterates are averaged.  With a rate from the data, each epoch ends with a step on
          all rows.  If `penalty` is "l2", X has many columns and its rows have few non-zeros, as in text, "sgd" is dual
          coordinate ascent instead.
        - "adam": steps on mini-batches with Adam's update rule.
        - "auto": "sgd" if `learning_rate`, `momentum`, `average` or `batch_size` ask for stochastic steps, and for the
          perceptron, because "gd" supports it only with an explicit `learning_rate`.  Otherwise "auto" is dual coordinate
          ascent for the same data as "sgd", and "gd" for all other data.
    %(penalty)s
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
        The error beyond which the Huber loss is linear, and up to which the epsilon-insensitive losses are zero.
    %(n_jobs)s
    %(random_state)s
    %(learning_rate)s
    %(eta0)s
    power_t : float, default=0.5
        Exponent of ``learning_rate="invscaling"``.
    %(momentum)s
    %(nesterovs_momentum)s
    %(beta_1, beta_2)s
    %(adam_epsilon)s
    %(standardize)s
    %(early_stopping)s
    %(validation_fraction)s
    scoring : str, callable or None, default=None
        The validation score.  None: the accuracy, as `score` computes it.  "loss": the negative of the mean loss, without
        the penalty.  Other values have the same meaning as in `sklearn.metrics.check_scoring`.
    %(n_iter_no_change)s
    %(warm_start)s
    %(average)s
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by which sample weights are multiplied.  "balanced": each weight is inversely proportional
        to the total sample weight of the class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients W, in the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_classes,)
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
    GDRegressor : Linear models for regression.

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
        self._keep(locals())

    _defaults = defaults_of(__init__)

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
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels of any type.  With ``loss="log_loss"``, y may instead hold the probabilities of the classes 0, 1, ..., which
            are non-negative and sum to one in every row.
        %(sample_weight)s
        coef_init : array-like of shape (n_features,) or (n_classes, n_features), default=None
            Coefficients to start from; they take precedence over `warm_start`.  None: zero if `intercept_init` is given.
        intercept_init : array-like of shape (n_classes,), default=None
            Intercepts to start from.  None: zero if `coef_init` is given.
        %(X_val, y_val, sample_weight_val)s

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid, if it has a single class, if the solver does not support the loss, or if squares exceed the
            range of floats.  The estimator then stays as it was.
        """
        self._open_tasks()
        with unchanged_on_error(self):
            validation_set = ValidationSet(X_val, y_val, sample_weight_val)
            kind = NUMBERS if self._are_probabilities(y) else {}
            rows = validated(self, X, y, sample_weight, **kind)
            classes, labels = class_probabilities(rows.y) if kind else encode(rows.y)
            self._check_classes(classes, "y has one class among the rows with a weight")
            class_weights = self._class_weights(classes, labels, rows.weights)
            rows, held_out = split(
                self, _class_weighted(rows, labels, class_weights), validation_set, most_likely(labels), **kind
            )
            watched = None
            if held_out is not None:
                labels = encode_as(rows.y, classes)
                given = validation_set.given  # else these are rows of X, whose weights include the class weights already
                watched = self._watched(held_out, classes, class_weights if given else None, set_aside=not given)
            Y = self._targets(labels, len(classes))
            loss, init = self._loss(labels, Y, rows.weights), Start(coef_init, intercept_init)
            self._fit_rows(rows, Y, loss, init, watched, classes)
        return self

    @available_if(learns_online)
    @_fit_context(prefer_skip_nested_validation=True)
    @documented
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Update the model with a batch of rows.

        %(what partial_fit does)s

        Parameters
        ----------
        %(X)s
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that may occur in the stream.  The first call needs them, later calls do not.
        %(sample_weight of partial_fit)s

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is invalid or does not fit the model, if `classes` are missing, or if numbers exceed the range of
            floats.  The estimator then stays as it was.
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
            rows, K = validated(self, X, y, sample_weight, allow_none=True, reset=first), len(self.classes_)
            if not len(rows.y):
                self._learn_nothing(rows, 1 if K == 2 else K)
                return self
            labels = encode_as(rows.y, self.classes_)
            class_weights = self._class_weights(self.classes_, labels, rows.weights)
            rows = _class_weighted(rows, labels, class_weights)
            Y = self._targets(labels, K)
            self._learn(rows, Y, self._loss_of_any_batch(Y, rows.weights, K))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @documented
    def fit_batches(
        self, batches, *, classes=None, coef_init=None, intercept_init=None, X_val=None, y_val=None, sample_weight_val=None
    ):
        """Fit the model to more rows than fit into memory.

        Parameters
        ----------
        batches : iterable or callable
            Batches ``(X, y)`` or ``(X, y, sample_weight)``, each in a form that `fit` takes, with y as labels.  X may also be a
            record batch of pyarrow.  The batches are read several times: pass a list, another iterable that can be read again,
            or a callable that returns a new iterator for every pass.  `skgd.batches` has functions for files.
        classes : array-like of shape (n_classes,), default=None
            All labels.  If they are not given, an additional first pass finds them.
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
            self._fit_partitions(partitions_of(batches), classes, init, X_val, y_val, sample_weight_val)
        return self

    # ------------------------------------------------------------ predictions
    @documented
    def decision_function(self, X):
        """Compute the scores of rows.

        With two classes, the score is for the second class; for log_loss it is the log-odds.  With more classes, there is one
        score for each class.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            ``X W + b``.
        """
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    @documented
    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        blocks = blocks_of(self, X)
        if len(blocks) == 1:
            return self._most_likely(X)
        labels = np.empty(X.shape[0], self.classes_.dtype)
        for block in blocks:
            labels[block] = self._most_likely(X[block])
        return labels

    def _most_likely(self, X) -> np.ndarray:
        scores = self.decision_function(X)
        return self.classes_.take(scores > 0 if scores.ndim == 1 else scores.argmax(axis=1))

    @available_if(_has_probabilities)
    @documented
    def predict_proba(self, X):
        """Predict the probabilities of the classes, for the losses "log_loss" and "modified_huber".

        The probabilities of "modified_huber" are scores that are clipped to [-1, 1] and mapped to [0, 1] (Zhang, 2004).  With
        more than two classes they are divided by their sum.  If the sum is zero, all classes get the same probability.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`, in the dtype of the scores.  Rows sum to one.
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
    @documented
    def predict_log_proba(self, X):
        """Predict the logarithms of the probabilities.

        For log_loss they are accurate even if the probabilities round to 0 or 1.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms in the order of `classes_`.
        """
        if self.loss == "modified_huber":
            with np.errstate(divide="ignore"):
                return np.log(self.predict_proba(X))
        scores = self.decision_function(X)
        return np.column_stack([log_expit(-scores), log_expit(scores)]) if scores.ndim == 1 else log_softmax(scores, axis=1)

    # ------------------------------------------------------------ classes and targets
    def _are_probabilities(self, y) -> bool:
        """Whether y has several columns, which log_loss reads as probabilities of the classes."""
        shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
        matrix = len(shape) == 2 and shape[1] > 1
        if matrix and self.loss != "log_loss":
            raise ValueError(f"y has to be of shape (n_samples,) with loss={self.loss!r}, but has {shape[1]} columns.")
        return matrix

    def _check_classes(self, classes: np.ndarray, found: str = "the partitions have one class") -> None:
        """Raise ValueError if there is only one class, or if `warm_start` finds other classes than the last fit."""
        if len(classes) < 2:
            raise ValueError(f"GDClassifier needs at least two classes, but {found}: {classes[0]}.")
        if self.warm_start and not np.array_equal(getattr(self, "classes_", classes), classes):
            raise ValueError("warm_start needs the classes of the fit before: fit a clone, or set warm_start=False.")

    def _class_weights(self, classes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """The weight of each class; None where `class_weight` is None."""
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):  # "balanced"
            totals = np.bincount(labels, weights) if labels.ndim == 1 else weights @ labels
            class_weights = weights.sum() / (len(classes) * totals)
        else:
            class_weights = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not class_weights.all():
            raise ValueError(f"class_weight is zero for class {classes[class_weights == 0.0][0]}: leave its rows out instead.")
        return class_weights

    def _targets(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Targets (T, n) for the loss: class codes or probabilities for log_loss, else -1 and 1 for each class."""
        if self.loss != "log_loss":
            return signs(labels, classes)
        if labels.ndim == 1:
            return labels[None, :].astype(np.float64)
        return np.ascontiguousarray(labels.T[1:] if classes == 2 else labels.T)

    def _loss(self, labels: np.ndarray, Y: np.ndarray, weights: np.ndarray) -> Any:
        """The loss for rows with these labels and the targets Y (T, n)."""
        if self.loss != "log_loss":
            return self._separable_loss(CLASSIFICATION_LOSSES[self.loss], Y, weights)
        frequencies = (np.bincount(labels, weights) if labels.ndim == 1 else weights @ labels) / weights.sum()
        if len(frequencies) == 2:
            return LogLoss(1)
        cls = Softmax if labels.ndim == 1 else SoftLabels
        return cls(len(frequencies), float(np.max(frequencies * (1.0 - frequencies))))

    def _loss_of_any_batch(self, Y: np.ndarray, weights: np.ndarray, K: int) -> Any:
        """The loss for `partial_fit`, which does not know the class frequencies: it assumes those of largest curvature."""
        if self.loss == "log_loss":
            return LogLoss(1) if K == 2 else Softmax(K, 0.25)
        return self._separable_loss(CLASSIFICATION_LOSSES[self.loss], Y, weights)

    def _watched(self, rows: Rows, classes: np.ndarray, class_weights: np.ndarray | None, set_aside: bool) -> HeldOut:
        """Rows for early stopping with their targets; `class_weights` is None if the weights include them already."""
        labels = encode_as(rows.y, classes)
        rows = _class_weighted(rows, labels, class_weights)
        return HeldOut(rows._replace(y=classes[most_likely(labels)]), self._targets(labels, len(classes)), set_aside)

    # ------------------------------------------------------------ for the preparation of partitions
    def _partition_metadata(self, X, y, sample_weight) -> PartitionMetadata:
        """The size and the labels of a partition with their total weights; the entries of X are not read."""
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
        """The rows of a partition, numbered from `first_row`, and the total weight of each class."""
        rows = validated(self, X, y, sample_weight, reset=reset)
        labels = encode_as(rows.y, classes)
        rows = _class_weighted(rows, labels, class_weights)
        table = Table(rows.X, self._targets(labels, len(classes)), rows.weights, first=first_row)
        return table, np.bincount(labels, rows.weights, len(classes))

    def _distinct_targets(self, summary: Summary, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The targets (T, n_classes) and the total weight of each class; ValueError if a class has no row."""
        absent = np.flatnonzero(summary.class_totals == 0.0)
        if len(absent):
            raise ValueError(f"The class {classes[absent[0]]} is in no partition: leave it out of classes.")
        return self._targets(np.arange(len(classes)), len(classes)), summary.class_totals

    def _loss_of(self, summary: Summary) -> Any:
        """The loss for rows with this summary."""
        codes = np.arange(len(summary.class_totals))
        return self._loss(codes, self._targets(codes, len(codes)), summary.class_totals)

    def _held_out(self, validation_set: ValidationSet, metadata: Metadata) -> HeldOut:
        rows = validated(self, *validation_set, reset=False)
        return self._watched(rows, np.asarray(metadata.classes), metadata.class_weights, set_aside=False)


def _class_weighted(rows: Rows, labels: np.ndarray, class_weights: np.ndarray | None) -> Rows:
    """The rows, with weights times class weights; if labels are probabilities, times the expected class weight."""
    if class_weights is None:
        return rows
    factors = class_weights[labels] if labels.ndim == 1 else labels @ class_weights
    return rows._replace(weights=rows.weights * factors, weighted=True)
