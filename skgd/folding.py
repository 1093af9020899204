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

Affine = tuple[np.ndarray, np.ndarray]  # W (d, K) and b (K,)


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
    model = deepcopy(last)
    W, b = _through(steps, *_affine(last))
    model.coef_ = W.T.astype(last.coef_.dtype).reshape(*np.shape(last.coef_)[:-1], len(W))
    model.intercept_ = b.astype(last.coef_.dtype) if np.ndim(last.intercept_) else float(b[0])
    for attribute in ("feature_names_in_", "_memory", "_online"):
        model.__dict__.pop(attribute, None)
    model.n_features_in_ = len(W)
    first = next(step for _, step in pipeline.steps if step not in (None, "passthrough"))
    if hasattr(first, "feature_names_in_"):
        model.feature_names_in_ = first.feature_names_in_
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
