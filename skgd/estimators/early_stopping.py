"""Early stopping: which rows a fit does not see, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from ..coordinates import identity
from ..monitoring.validation import Validation
from ..objective import Objective
from ..penalties import elastic_net
from .inputs import Rows, ValidationSet, validated

Attributes = Callable[[np.ndarray, np.ndarray], dict[str, Any]]


class HeldOut(NamedTuple):
    """Rows that the fit does not see."""

    rows: Rows
    Y: np.ndarray  # (T, n), their targets
    set_aside: bool  # whether they are rows of X; else the user passed them as X_val


def split(
    estimator: Any, rows: Rows, validation_set: ValidationSet, groups: np.ndarray | None, **targets: Any
) -> tuple[Rows, Rows | None]:
    """Rows to train on, and rows for validation if there is early stopping.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
    rows : Rows
        Of X.
    validation_set : ValidationSet
        The rows that the user passed for validation, if any; else a share of the rows of X is set aside.
    groups : ndarray of shape (n,) or None
        The same share of every group is set aside.
    **targets
        How `validate_data` checks the targets.
    """
    validation_set.check(estimator.early_stopping)
    if not estimator.early_stopping:
        return rows, None
    if validation_set.given:
        return rows, validated(estimator, *validation_set, reset=False, **targets)
    train, test = _drawn(estimator, len(rows.y), groups)
    return rows.of(train), rows.of(test)


def _drawn(estimator: Any, n: int, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted numbers of the rows to train on and of the rows to set aside, out of n."""
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit  # which takes long to import

    splitter = ShuffleSplit if groups is None else StratifiedShuffleSplit
    try:
        drawn = splitter(1, test_size=estimator.validation_fraction, random_state=estimator.random_state)
        train, test = next(drawn.split(np.empty(n), groups))
    except ValueError as error:
        raise ValueError(
            f"early_stopping=True cannot set validation_fraction={estimator.validation_fraction} of {n} rows aside: "
            f"{error} Change validation_fraction, or pass X_val and y_val."
        ) from error
    return np.sort(train), np.sort(test)


def validation_of(estimator: Any, held_out: HeldOut, loss: Any, attributes: Attributes) -> Validation:
    """A watcher that scores the held-out rows.

    `attributes` makes the fitted attributes of the estimator from raw coefficients W (d, K) and intercepts b (K,).
    """
    score = _negative_loss(held_out, loss) if estimator.scoring == "loss" else _scorer(estimator, held_out.rows, attributes)
    return Validation(score, estimator.tol, estimator.n_iter_no_change)


def _negative_loss(held_out: HeldOut, loss: Any) -> Callable[[np.ndarray, np.ndarray], float]:
    """The mean loss of the held-out rows without the penalty, its sign changed."""
    d = held_out.rows.X.shape[1]
    objective = Objective(held_out.rows.table(held_out.Y), loss, elastic_net(0.0, 0.0, d), identity(d, True))
    return lambda W, b: -objective.mean_loss(W, b)


def _scorer(estimator: Any, rows: Rows, attributes: Attributes) -> Callable[[np.ndarray, np.ndarray], float]:
    """The `scoring` of the estimator, asked of a copy that has the coefficients."""
    from sklearn.metrics import check_scoring  # which takes long to import

    local = estimator._in_memory()
    scorer = check_scoring(local, estimator.scoring)
    weights = {"sample_weight": rows.weights} if rows.weighted else {}

    def score(W: np.ndarray, b: np.ndarray) -> float:
        model = copy(local)
        model.__dict__.pop("feature_names_in_", None)  # they were checked, and rows.X has none
        model.__dict__.update(attributes(W, b))
        return scorer(model, rows.X, rows.y, **weights)

    return score
