"""A pipeline of affine steps in front of a linear model is a linear model: one dot product in place of all of them.

A step x -> x A + c turns the scores x W + b behind it into x (A W) + (b + c W).  So coefficients go backwards through the
steps, each of which says how.
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
OF_COLUMNS_BEHIND = ("feature_names_in_", "_fit_cache", "_online", "_known")  # which say nothing of the columns in front


def fold(pipeline: Pipeline) -> Any:
    """One estimator with the predictions of a fitted pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; its steps are scalers (`StandardScaler`, `MinMaxScaler`, `MaxAbsScaler`, `RobustScaler`), `PCA`,
        `TruncatedSVD`, selectors of features, other such pipelines or "passthrough", and at last a linear model: one of
        skgd, of `sklearn.linear_model`, `LinearSVC` or `LinearSVR`.

    Returns
    -------
    estimator
        A copy of the last step, for X as the pipeline takes it.  Its scores are those of the pipeline to rounding.
        An estimator of skgd can go on learning with `partial_fit` on such X.  It has an intercept to learn where the steps
        made one.  Means and deviations of its columns become those of the columns in front where the steps tell these; a
        momentum, an average and the like begin anew.

    Raises
    ------
    ValueError
        If a step is not affine or the last one is no linear model; the message names it.

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
    for attribute in OF_COLUMNS_BEHIND:
        model.__dict__.pop(attribute, None)
    model.n_features_in_ = len(W)
    first = next(step for _, step in pipeline.steps if step not in (None, "passthrough"))
    if hasattr(first, "feature_names_in_"):
        model.feature_names_in_ = first.feature_names_in_
    if _learns(model):
        model.fit_intercept = model.fit_intercept or bool(np.any(model.intercept_))
        model._known = None if columns is None else _standardising(columns)
    return model


def _check_linear(name: str, model: Any) -> None:
    own = any(base.__module__.startswith(("skgd.", "sklearn.linear_model.")) for base in type(model).__mro__)
    if not own or not {"coef_", "intercept_"} <= vars(model).keys():
        raise ValueError(
            f"Step {name!r}, {type(model).__name__}, is no linear model with coef_ and intercept_: fold needs one of skgd or "
            "sklearn.linear_model, LinearSVC or LinearSVR at the end."
        )


def _affine(model: Any) -> Affine:
    coef = model.coef_.toarray() if sp.issparse(model.coef_) else model.coef_
    W = np.atleast_2d(coef).T.astype(np.float64)
    return W, np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), W.shape[1:])


def _through(steps: list[tuple[str, Any]], W: np.ndarray, b: np.ndarray) -> Affine:
    """Coefficients in front of the steps, given those behind them."""
    for name, step in reversed(steps):
        W, b = _before(name, step, W, b)
    return W, b


def _before(name: str, step: Any, W: np.ndarray, b: np.ndarray) -> Affine:
    """Coefficients in front of one step."""
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
            centre = None  # it is known, and not subtracted
        if step.scale_ is not None:
            W = W / step.scale_[:, None]
        return W, b if centre is None else b - centre @ W
    raise ValueError(
        f"Step {name!r}, {type(step).__name__}, is not one of the affine steps that fold knows: scalers, PCA, TruncatedSVD and "
        "selectors of features. Keep it outside, in a pipeline in front of the folded model."
    )


# ---------------------------------------------------------------- what partial_fit may know of the columns
def _learns(model: Any) -> bool:
    """Whether it is one of skgd."""
    return hasattr(type(model), "_known")


def _columns_of(model: Any) -> Columns | None:
    """Means and deviations of the columns that a model has learned from, as far as it knows."""
    if not _learns(model):
        return None
    if hasattr(model, "_online"):
        moments = model._online.moments
    elif model._known is not None:
        moments = Moments.of(Coordinates(*model._known), 1.0)
    else:
        return None
    return moments.mean, np.sqrt(moments.squares / moments.weight)


def _columns_in_front(steps: list[tuple[str, Any]], columns: Columns | None) -> Columns | None:
    """Means and deviations of the columns in front of the steps, given those behind them; None where they are not known."""
    for name, step in reversed(steps):
        columns = _columns_before(name, step, columns)
    return columns


def _columns_before(name: str, step: Any, columns: Columns | None) -> Columns | None:
    """The same of one step."""
    if step is None or step == "passthrough":
        return columns
    if isinstance(step, Pipeline):
        return _columns_in_front(step.steps, columns)
    if isinstance(step, PCA):
        noise = step.noise_variance_  # of every column, beside what the components explain
        return step.mean_, np.sqrt(noise + (step.explained_variance_ - noise) @ step.components_**2)
    if isinstance(step, SCALERS) and columns is not None:
        mean, deviation = columns
        slope, _ = _before(name, step, np.ones((len(mean), 1)), np.zeros(1))
        return step.inverse_transform(mean[None, :])[0], deviation / np.abs(slope[:, 0])
    if isinstance(step, StandardScaler) and step.var_ is not None:
        return step.mean_, np.sqrt(step.var_)
    return None


def _standardising(columns: Columns) -> Columns:
    """The mean and scale of `Coordinates`, as estimators keep them."""
    mean, deviation = (np.asarray(values, dtype=np.float64) for values in columns)
    scale = np.divide(1.0, deviation, out=np.zeros(len(mean)), where=deviation > 0.0)
    return mean, np.append(scale, 1.0)
