"""The two estimators for arrays and frames of Dask."""

from __future__ import annotations

from ..estimators.classifier import GDClassifier
from ..estimators.parameters import LOG_LINK
from ..estimators.regressor import GDRegressor
from .base import DaskEstimator, with_parameters_of
from .scores import deviances, explained_deviance, explained_variance, hits, squared_errors


@with_parameters_of(GDClassifier)
class DaskGDClassifier(DaskEstimator, GDClassifier):
    """`GDClassifier` for Dask's arrays and frames.

    ``solver="gd"`` and ``"auto"`` end where the local fit of all rows would end.  ``"sgd"`` and ``"adam"`` make local epochs:
    every partition makes an epoch from the same coefficients, and the results are averaged, weighted by rows (local SGD).
    They do well if partitions have thousands of rows and are alike.

    Parameters
    ----------
    client : distributed.Client, default=None
        The client of the cluster to fit on; None: the current one.  Pickles leave it out.

    Attributes
    ----------
    coef_, intercept_, classes_, n_iter_, loss_curve_, time_curve_, n_features_in_, feature_names_in_
        As for `GDClassifier`.

    See Also
    --------
    skgd.GDClassifier : The local one.
    """

    _local = GDClassifier
    _parameter_constraints = {**GDClassifier._parameter_constraints, "client": [object]}

    def decision_function(self, X):
        """Scores of the rows, computed lazily.

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
        """Labels, computed lazily.

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
        """Probabilities of the classes, computed lazily.

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
        """Logarithms of the probabilities, computed lazily.

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
        right, weight = self._sums_over(X, y, sample_weight, hits)
        return float(right / weight)


@with_parameters_of(GDRegressor)
class DaskGDRegressor(DaskEstimator, GDRegressor):
    """`GDRegressor` for Dask's arrays and frames.

    ``solver="gd"`` and ``"auto"`` end where the local fit of all rows would end.  ``"sgd"`` and ``"adam"`` make local epochs,
    as for `DaskGDClassifier`.

    Parameters
    ----------
    client : distributed.Client, default=None
        The client of the cluster to fit on; None: the current one.  Pickles leave it out.

    Attributes
    ----------
    coef_, intercept_, n_iter_, loss_curve_, time_curve_, n_features_in_, feature_names_in_
        As for `GDRegressor`.

    See Also
    --------
    skgd.GDRegressor : The local one.
    """

    _local = GDRegressor
    _parameter_constraints = {**GDRegressor._parameter_constraints, "client": [object]}

    def predict(self, X):
        """Targets, computed lazily.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Raw features.

        Returns
        -------
        dask.array.Array of shape (n_samples,) or (n_samples, n_targets)
            As the local `predict` returns them.
        """
        return self._lazily("predict", X, self.coef_.dtype, None if len(self.intercept_) == 1 else len(self.coef_))

    def score(self, X, y, sample_weight=None):
        """R^2, or D^2 where `loss` is "poisson" or "gamma", in one pass.

        Of several targets it is the mean of their scores, as for `GDRegressor.score`.

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
            return explained_deviance(LOG_LINK[self.loss], *self._sums_over(X, y, sample_weight, deviances))
        return explained_variance(*self._sums_over(X, y, sample_weight, squared_errors))
