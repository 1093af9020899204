"""The two estimators for arrays and data frames of Dask."""

from __future__ import annotations

from ..estimators.classifier import GDClassifier
from ..estimators.parameters import LOG_LINK
from ..estimators.regressor import GDRegressor
from .base import DaskEstimator, with_parameters_of
from .scores import deviances, explained_deviance, explained_variance, hits, squared_errors


@with_parameters_of(GDClassifier)
class DaskGDClassifier(DaskEstimator, GDClassifier):
    """`GDClassifier` for arrays and data frames of Dask.

    ``solver="gd"`` and ``"auto"`` give the same model as a local fit of all rows.  ``"sgd"`` and ``"adam"`` make local epochs
    (local SGD): every partition makes an epoch from the same coefficients, and the results are averaged, weighted by the
    numbers of rows.  They work well if each partition has thousands of rows and the partitions are similar.

    Parameters
    ----------
    client : distributed.Client, default=None
        The client of the cluster.  None: the current client.  It is not pickled with the estimator.

    Attributes
    ----------
    coef_, intercept_, classes_, n_iter_, loss_curve_, time_curve_, n_features_in_, feature_names_in_
        As for `GDClassifier`.

    See Also
    --------
    skgd.GDClassifier : The local estimator.
    """

    _local = GDClassifier
    _parameter_constraints = {**GDClassifier._parameter_constraints, "client": [object]}

    def decision_function(self, X):
        """Compute the scores of rows lazily.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.

        Returns
        -------
        dask.array.Array of shape (n_samples,) or (n_samples, n_classes)
            ``X W + b``.
        """
        return self._lazily("decision_function", X, self.coef_.dtype, None if len(self.classes_) == 2 else len(self.classes_))

    def predict(self, X):
        """Predict labels lazily.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.

        Returns
        -------
        dask.array.Array of shape (n_samples,)
            Labels out of `classes_`.
        """
        return self._lazily("predict", X, self.classes_.dtype, None)

    def predict_proba(self, X):
        """Predict the probabilities of the classes lazily.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.

        Returns
        -------
        dask.array.Array of shape (n_samples, n_classes)
            One column for each class, in the order of `classes_`.
        """
        return self._lazily("predict_proba", X, self.coef_.dtype, len(self.classes_))

    def predict_log_proba(self, X):
        """Predict the logarithms of the probabilities lazily.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.

        Returns
        -------
        dask.array.Array of shape (n_samples, n_classes)
            One column for each class, in the order of `classes_`.
        """
        return self._lazily("predict_log_proba", X, self.coef_.dtype, len(self.classes_))

    def score(self, X, y, sample_weight=None):
        """Compute the accuracy, in one pass.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.
        y : dask.array.Array or dask.dataframe.Series of shape (n_samples,)
            Labels.
        sample_weight : dask.array.Array or dask.dataframe.Series, default=None
            Weights of the rows.

        Returns
        -------
        float
            The weight of the rows with a correctly predicted label, divided by the weight of all rows.
        """
        right, weight = self._sums_over(X, y, sample_weight, hits)
        return float(right / weight)


@with_parameters_of(GDRegressor)
class DaskGDRegressor(DaskEstimator, GDRegressor):
    """`GDRegressor` for arrays and data frames of Dask.

    ``solver="gd"`` and ``"auto"`` give the same model as a local fit of all rows.  ``"sgd"`` and ``"adam"`` make local epochs,
    as in `DaskGDClassifier`.

    Parameters
    ----------
    client : distributed.Client, default=None
        The client of the cluster.  None: the current client.  It is not pickled with the estimator.

    Attributes
    ----------
    coef_, intercept_, n_iter_, loss_curve_, time_curve_, n_features_in_, feature_names_in_
        As for `GDRegressor`.

    See Also
    --------
    skgd.GDRegressor : The local estimator.
    """

    _local = GDRegressor
    _parameter_constraints = {**GDRegressor._parameter_constraints, "client": [object]}

    def predict(self, X):
        """Predict targets lazily.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.

        Returns
        -------
        dask.array.Array of shape (n_samples,) or (n_samples, n_targets)
            The predictions of the local estimator.
        """
        return self._lazily("predict", X, self.coef_.dtype, None if len(self.intercept_) == 1 else len(self.coef_))

    def score(self, X, y, sample_weight=None):
        """Compute R^2, or D^2 if `loss` is "poisson" or "gamma", in one pass.

        With several targets it is the mean of their scores, as in `GDRegressor.score`.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Features in their original units.
        y : dask.array.Array, dask.dataframe.Series or DataFrame
            Targets.
        sample_weight : dask.array.Array or dask.dataframe.Series, default=None
            Weights of the rows.

        Returns
        -------
        float
            The score as `sklearn.metrics.r2_score` or `sklearn.metrics.d2_tweedie_score` define it.
        """
        if self.loss in LOG_LINK:
            return explained_deviance(LOG_LINK[self.loss], *self._sums_over(X, y, sample_weight, deviances))
        return explained_variance(*self._sums_over(X, y, sample_weight, squared_errors))
