"""Folding: a pipeline of affine steps and a linear model becomes one linear model, with one dot product instead of many.

Suppose that a step maps x to x A + c, and that the steps after it have the scores x W + b.  Then the scores of all of them
are x (A W) + (b + c W).  Applied from the last step to the first, this rule gives the coefficients for the pipeline's input.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..coordinates import Coordinates
from ..streaming.moments import Moments

Affine = tuple[np.ndarray, np.ndarray]  # W (d, K) and b (K,)
Columns = tuple[np.ndarray, np.ndarray]  # means (d,) and standard deviations (d,)
SCALERS = StandardScaler | RobustScaler | MaxAbsScaler | MinMaxScaler
# Attributes of the last step that describe its own columns.  They are not valid for the columns of the pipeline's input.
LAST_STEP_ATTRIBUTES = ("feature_names_in_", "_fit_cache", "_online", "_standardisation")


def fold(pipeline: Pipeline) -> Any:
    """Combine a fitted pipeline into one linear estimator with the same predictions.

    Parameters
    ----------
    pipeline : Pipeline
        A fitted pipeline.  Its steps may be scalers (`StandardScaler`, `MinMaxScaler`, `MaxAbsScaler`, `RobustScaler`), `PCA`,
        `TruncatedSVD`, feature selectors, pipelines of such steps, or "passthrough".  Its last step has to be a linear model
        of skgd or `sklearn.linear_model`, `LinearSVC` or `LinearSVR`.

    Returns
    -------
    estimator
        A copy of the last step that takes the input of the pipeline.  Its scores equal those of the pipeline up to rounding.
        An estimator of skgd can continue to learn with `partial_fit`.  It then fits an intercept even with
        ``fit_intercept=False``, if the steps have made one.  It begins with the means and standard deviations of the
        pipeline's input if the steps know them.  The momentum and the average of iterates start anew.

    Raises
    ------
    ValueError
        If a step is not affine, or if the last step is not a linear model.  The message names the step.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skgd import GDClassifier, fold
    >>> X, y = load_wine(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), PCA(5), GDClassifier()).fit(X, y)
    >>> fold(pipeline).coef_.shape
    (3, 13)
    """
    check_is_fitted(pipeline)
    *steps, (name, last) = pipeline.steps
    _check_linear(name, last)
    model, columns = deepcopy(last), _columns_in_front(steps, _columns_of(last))
    W, b = _through(steps, *_affine(last))
    model.coef_ = W.T.astype(last.coef_.dtype, order="C").reshape(*np.shape(last.coef_)[:-1], len(W))
    model.intercept_ = b.astype(last.coef_.dtype) if np.ndim(last.intercept_) else float(b[0])
    for attribute in LAST_STEP_ATTRIBUTES:
        model.__dict__.pop(attribute, None)
    model.n_features_in_ = len(W)
    first = next(step for _, step in pipeline.steps if step not in (None, "passthrough"))
    if hasattr(first, "feature_names_in_"):
        model.feature_names_in_ = first.feature_names_in_
    if _learns(model):
        model.fit_intercept = model.fit_intercept or bool(np.any(model.intercept_))
        model._standardisation = None if columns is None else _standardising(columns)
    return model


def _check_linear(name: str, model: Any) -> None:
    """Raise ValueError if `model`, the last step, is not a linear model of skgd or scikit-learn."""
    own = any(base.__module__.startswith(("skgd.", "sklearn.linear_model.")) for base in type(model).__mro__)
    if not own or not {"coef_", "intercept_"} <= vars(model).keys():
        raise ValueError(
            f"Step {name!r}, {type(model).__name__}, is no linear model with coef_ and intercept_: fold needs one of skgd or "
            "sklearn.linear_model, LinearSVC or LinearSVR at the end."
        )


def _affine(model: Any) -> Affine:
    """Coefficients W (d, K) and intercepts b (K,) of a linear model, in float64."""
    coef = model.coef_.toarray() if sp.issparse(model.coef_) else model.coef_
    W = np.atleast_2d(coef).T.astype(np.float64)
    return W, np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), W.shape[1:])


def _through(steps: list[tuple[str, Any]], W: np.ndarray, b: np.ndarray) -> Affine:
    """Coefficients for the input of the steps, given the coefficients for their output."""
    for name, step in reversed(steps):
        W, b = _before(name, step, W, b)
    return W, b


def _before(name: str, step: Any, W: np.ndarray, b: np.ndarray) -> Affine:
    """Coefficients for the input of one step, given the coefficients for its output."""
    if step is None or step == "passthrough":
        return W, b
    if isinstance(step, Pipeline):
        return _through(step.steps, W, b)
    if isinstance(step, SelectorMixin):
        support = step.get_support()
        placed = np.zeros((len(support), W.shape[1]))
        placed[support] = W
        return placed, b
    if isinstance(step, TruncatedSVD):
        return step.components_.T @ W, b
    if isinstance(step, PCA):
        A = step.components_.T
        if step.whiten:
            deviation = np.sqrt(step.explained_variance_)
            A = A / np.maximum(deviation, np.finfo(deviation.dtype).eps)
        W = A @ W
        return W, b - step.mean_ @ W
    if getattr(step, "clip", False):
        raise ValueError(f"Step {name!r}, {type(step).__name__}, clips, which is not affine: fit it with clip=False.")
    if isinstance(step, MinMaxScaler):
        return step.scale_[:, None] * W, b + step.min_ @ W
    if isinstance(step, StandardScaler | RobustScaler | MaxAbsScaler):
        centre = getattr(step, "mean_" if isinstance(step, StandardScaler) else "center_", None)
        if isinstance(step, StandardScaler) and not step.with_mean:
            centre = None  # the scaler has mean_, but does not subtract it
        if step.scale_ is not None:
            W = W / step.scale_[:, None]
        return W, b if centre is None else b - centre @ W
    raise ValueError(
        f"Step {name!r}, {type(step).__name__}, is not one of the affine steps that fold knows: scalers, PCA, TruncatedSVD and "
        "selectors of features. Keep it outside, in a pipeline in front of the folded model."
    )


# ---------------------------------------------------------------- means and deviations for partial_fit
def _learns(model: Any) -> bool:
    """Whether the model is an estimator of skgd, which has `partial_fit`."""
    return hasattr(type(model), "_standardisation")


def _columns_of(model: Any) -> Columns | None:
    """Means and standard deviations of the columns that a model was fitted to; None if they are not known."""
    if not _learns(model):
        return None
    if hasattr(model, "_online"):
        moments = model._online.moments
    elif model._standardisation is not None:
        moments = Moments.of(Coordinates(*model._standardisation), 1.0)
    else:
        return None
    return moments.mean, np.sqrt(moments.squares / moments.weight)


def _columns_in_front(steps: list[tuple[str, Any]], columns: Columns | None) -> Columns | None:
    """Means and deviations of the input of the steps, from those of their output; None if they are not known."""
    for name, step in reversed(steps):
        columns = _columns_before(name, step, columns)
    return columns


def _columns_before(name: str, step: Any, columns: Columns | None) -> Columns | None:
    """Means and deviations of the input of one step, from those of its output; None if they are not known."""
    if step is None or step == "passthrough":
        return columns
    if isinstance(step, Pipeline):
        return _columns_in_front(step.steps, columns)
    if isinstance(step, PCA):
        noise = step.noise_variance_  # the variance of each column that the components do not explain
        return step.mean_, np.sqrt(noise + (step.explained_variance_ - noise) @ step.components_**2)
    if isinstance(step, SCALERS) and columns is not None:
        mean, deviation = columns
        slope, _ = _before(name, step, np.ones((len(mean), 1)), np.zeros(1))
        return step.inverse_transform(mean[None, :])[0], deviation / np.abs(slope[:, 0])
    if isinstance(step, StandardScaler) and step.var_ is not None:
        return step.mean_, np.sqrt(step.var_)
    return None


def _standardising(columns: Columns) -> Columns:
    """Mean and scale of the `Coordinates` that standardise the columns, for the estimator's `_standardisation`."""
    mean, deviation = (np.asarray(values, dtype=np.float64) for values in columns)
    scale = np.divide(1.0, deviation, out=np.zeros(len(mean)), where=deviation > 0.0)
    return mean, np.append(scale, 1.0)
