"""Early stopping: score the validation rows after each iteration, and remember the coefficients with the best score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Validation:
    """A watcher that ends the fit when the score has not risen by `tol` for `patience` iterations in a row.

    Parameters
    ----------
    score : callable
        Computes the score from raw coefficients W (d, K) and intercepts b (K,); larger is better.
    tol : float or None
        An absolute difference of scores, because scores may be zero or negative.  None: the score never ends the fit.
    patience : int
        The number of iterations in a row without progress that ends the fit.

    Attributes
    ----------
    scores : list of float
        The score after each iteration.
    best_score : float
        The largest score.
    best : (ndarray of shape (d, K), ndarray of shape (K,))
        The coefficients and intercepts with the largest score; the first ones if several have the same score.
    """

    def __init__(self, score: Callable[[np.ndarray, np.ndarray], float], tol: float | None, patience: int) -> None:
        self.score, self.tol, self.patience = score, tol, patience
        self.scores: list[float] = []
        self.best_score, self.best = -np.inf, (np.empty((0, 0)), np.empty(0))
        self._waited = 0  # iterations in a row without progress

    def __call__(self, iteration: int, W: np.ndarray, b: np.ndarray) -> bool:
        before = self.best_score
        self.scores.append(self._scored(W, b))
        waits = self.tol is not None and self.scores[-1] < before + self.tol
        self._waited = self._waited + 1 if waits else 0
        return self._waited >= self.patience

    def finish(self, W: np.ndarray, b: np.ndarray) -> None:
        """Score the result of the solver.  It may differ from the last iteration, or be the start of the fit."""
        score = self._scored(W, b)
        self.scores[-1:] = [max(score, *self.scores[-1:])] if self.scores else [score]

    def _scored(self, W: np.ndarray, b: np.ndarray) -> float:
        score = float(self.score(W, b))
        if not np.isfinite(score):
            raise ValueError(f"The validation score is {score}: choose another `scoring`.")
        if score > self.best_score:
            self.best_score, self.best = score, (W, b)
        return score
