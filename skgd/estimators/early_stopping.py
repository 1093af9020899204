"""Early stopping: the choice of the validation rows, and their score."""

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
    """Validation rows, which the fit does not use."""

    rows: Rows
    Y: np.ndarray  # (T, n), the targets of the rows
    set_aside: bool  # whether the rows were taken from X; otherwise the user passed them as X_val


def split(
    estimator: Any, rows: Rows, validation_set: ValidationSet, groups: np.ndarray | None, **targets: Any
) -> tuple[Rows, Rows | None]:
    """Rows to train on, and rows for validation; the latter are None without early stopping.

    Parameters
    ----------
    estimator : GDClassifier or GDRegressor
    rows : Rows
        All rows of X.
    validation_set : ValidationSet
        The rows that the user passed for validation.  If there are none, some of the rows of X are set aside.
    groups : ndarray of shape (n,) or None
        The group of each row.  The same fraction of every group is set aside.
    **targets
        Arguments of `validate_data` for the targets.
    """
    validation_set.check(estimator.early_stopping)
    if not estimator.early_stopping:
        return rows, None
    if validation_set.given:
        return rows, validated(estimator, *validation_set, reset=False, **targets)
    train, test = _random_split(estimator, len(rows.y), groups)
    return rows.of(train), rows.of(test)


def _random_split(estimator: Any, n: int, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Split n rows at random: the sorted numbers of the rows to train on, and of the rows to set aside."""
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit  # imported here because it takes long

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
    """A watcher that scores the validation rows after each iteration.

    `attributes` makes the fitted attributes of the estimator from raw coefficients W (d, K) and intercepts b (K,).
    """
    score = _negative_loss(held_out, loss) if estimator.scoring == "loss" else _scorer(estimator, held_out.rows, attributes)
    return Validation(score, estimator.tol, estimator.n_iter_no_change)


def _negative_loss(held_out: HeldOut, loss: Any) -> Callable[[np.ndarray, np.ndarray], float]:
    """A score: the negative of the mean loss of the validation rows, without the penalty.  One pass over these rows."""
    d = held_out.rows.X.shape[1]
    objective = Objective(held_out.rows.table(held_out.Y), loss, elastic_net(0.0, 0.0, d), identity(d, True))
    return lambda W, b: -objective.mean_loss(W, b)


def _scorer(estimator: Any, rows: Rows, attributes: Attributes) -> Callable[[np.ndarray, np.ndarray], float]:
    """A score: the `scoring` of the estimator, computed with a copy of the estimator that has the coefficients."""
    from sklearn.metrics import check_scoring  # imported here because it takes long

    local = estimator._in_memory()
    scorer = check_scoring(local, estimator.scoring)
    weights = {"sample_weight": rows.weights} if rows.weighted else {}

    def score(W: np.ndarray, b: np.ndarray) -> float:
        model = copy(local)
        model.__dict__.pop("feature_names_in_", None)  # the names are checked already, and rows.X is an array without names
        model.__dict__.update(attributes(W, b))
        return scorer(model, rows.X, rows.y, **weights)

    return score
