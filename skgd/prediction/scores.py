"""Scores X W + b of new rows, in one pass over X.

The scores of a row have the same bits whether it is alone or among other rows, and for any number of threads.

For a few rows, scikit-learn's validation takes longer than the computation of scores.  So `fast_scores` skips the validation of
C-contiguous float arrays and CSR matrices of the right width.  It detects values that are not finite by scores that are not
finite.  If X or the model is unusual in any way, `fast_scores` returns None.  Then X is validated, which raises the errors, and
scored by the same loops.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ..compiled.jit import ORDERED, interruptible, kernel, linked, writable
from ..compiled.threads import SHARED, team_of, thread_count
from ..data.rows import unsigned
from ..losses.arithmetic import exp

FLOAT64, FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)
BLOCK = 1 << 16  # entries of X that are copied at one time if its rows are not contiguous: 512 KiB of float64
FEW = 1 << 12  # `predict` takes fewer rows than this in one block
SCORES = 1 << 21  # the largest number of scores in memory at one time in `predict`: 16 MiB of float64
WHOLE = [slice(None)]  # all rows in one block
LARGEST_LOGARITHM = 300.0  # of a prediction; exp(300) is 1e130, and its square is still in the range of floats


@kernel
def dense_scores(X, coef, intercept, out, first, last):
    """Write the scores X coef' + intercept of rows first to last - 1 into out (n, K); return whether all are finite."""
    if len(coef) == 1:
        w = coef[0]
        for i in range(first, last):
            x, z = X[i], 0.0
            for j in range(len(x)):
                z += x[j] * w[j]
            out[i, 0] = z + intercept[0]
    else:
        multiply_blocks(X, coef, intercept, out, first, last)
    check = 0.0
    for i in range(first, last):
        for k in range(len(coef)):
            check += 0.0 * out[i, k]
    return check == 0.0


@kernel
def multiply_blocks(X, coef, intercept, out, first, last):
    """Compute the scores of `dense_scores` for four rows and two columns of scores at a time, with all sums in registers.

    If fewer rows or columns are left, the last one is repeated, so that every score is always the same sum.
    """
    K = len(coef)
    for i in range(first, last, 4):
        i1, i2, i3 = min(i + 1, last - 1), min(i + 2, last - 1), min(i + 3, last - 1)
        x0, x1, x2, x3 = X[i], X[i1], X[i2], X[i3]
        for k in range(0, K, 2):
            l = min(k + 1, K - 1)
            w, v = coef[k], coef[l]
            z0, z1, z2, z3, y0, y1, y2, y3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(len(w)):
                z0 += x0[j] * w[j]
                z1 += x1[j] * w[j]
                z2 += x2[j] * w[j]
                z3 += x3[j] * w[j]
                y0 += x0[j] * v[j]
                y1 += x1[j] * v[j]
                y2 += x2[j] * v[j]
                y3 += x3[j] * v[j]
            out[i, k], out[i, l] = z0 + intercept[k], y0 + intercept[l]
            out[i1, k], out[i1, l] = z1 + intercept[k], y1 + intercept[l]
            out[i2, k], out[i2, l] = z2 + intercept[k], y2 + intercept[l]
            out[i3, k], out[i3, l] = z3 + intercept[k], y3 + intercept[l]


@kernel(fastmath=ORDERED)
def sparse_scores(data, indices, indptr, coef, intercept, out, first, last):
    """Do the same as `dense_scores` for the rows of a CSR matrix."""
    K, check = len(coef), 0.0
    for i in range(first, last):
        for k in range(K):
            w, z = coef[k], 0.0
            for p in range(indptr[i], indptr[i + 1]):
                z += data[p] * w[indices[p]]
            out[i, k] = z + intercept[k]
            check += 0.0 * out[i, k]
    return check == 0.0


def fast_scores(model: Any, X: Any) -> np.ndarray | None:
    """The scores (n, K) of a fitted model without validation; None if X or the model is unusual and has to be validated."""
    state = model.__dict__
    coef, intercept = state.get("coef_"), state.get("intercept_")
    if type(coef) is not np.ndarray or type(intercept) is not np.ndarray or "feature_names_in_" in state:
        return None
    if type(X) is np.memmap:
        X = X.view(np.ndarray)
    if type(X) is np.ndarray:
        usual = X.ndim == 2 and X.flags.c_contiguous and (X.dtype is FLOAT64 or X.dtype is FLOAT32)
    else:
        usual = isinstance(X, sp.csr_matrix | sp.csr_array) and X.ndim == 2 and X.data.dtype in (FLOAT64, FLOAT32)
    if not usual:
        return None
    n, d = X.shape
    if coef.ndim == 1:
        coef = coef.reshape(1, -1)
    if n == 0 or coef.shape[1] != d or state.get("n_features_in_") != d or intercept.shape != coef.shape[:1]:
        return None
    out, finite = scores(X, coef, intercept, state.get("n_jobs"))
    return out if finite else None


def blocks_of(model: Any, X: Any) -> list[slice]:
    """The blocks of rows for which `predict` computes labels one after another, so that few scores are in memory."""
    shape: tuple[int, ...] = getattr(X, "shape", ())
    state = model.__dict__
    if len(shape) != 2 or shape[0] < FEW:
        return WHOLE
    classes = len(state.get("classes_", ()))
    named = "feature_names_in_" in state  # with several blocks, scikit-learn would warn several times of missing names
    usual = isinstance(X, np.ndarray | sp.csr_matrix | sp.csr_array) and not named
    if not usual or shape[0] * classes < SCORES:  # also if the model is not fitted
        return WHOLE
    size = SCORES // classes
    return [slice(first, first + size) for first in range(0, shape[0], size)]


def scores(X: Any, coef: np.ndarray, intercept: np.ndarray, n_jobs: int | None) -> tuple[np.ndarray, bool]:
    """The scores X coef' + intercept (n, K) of a float array or CSR matrix X, and whether all of them are finite.

    Sums are computed in float64.  The result has the wider dtype of X and coef.  Raises ValueError if the numbers of features
    of X and coef differ.
    """
    n, K = X.shape[0], len(coef)
    if coef.shape[1] != X.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} features, but coef_ has {coef.shape[1]}: it must have been changed after the fit."
        )
    out = np.empty((n, K), X.dtype if coef.dtype is X.dtype else np.result_type(X.dtype, coef.dtype))
    coef, intercept = _doubles(coef), _doubles(intercept)
    if isinstance(X, np.ndarray):
        if not X.flags.carray:
            if not (X.flags.c_contiguous and X.flags.aligned):
                return _in_blocks(X, coef, intercept, out)
            X = writable(X)
        if X.size * K < SHARED:
            return out, dense_scores(X, coef, intercept, out, 0, n)
        return _shared(dense_scores, (X, coef, intercept, out), n_jobs, X.size * K)
    rows = writable(X.data), unsigned(X.indices), unsigned(X.indptr)
    return _shared(sparse_scores, (*rows, coef, intercept, out), n_jobs, X.nnz * K)


def _doubles(values: np.ndarray) -> np.ndarray:
    """The values as a C-ordered float64 array, so that kernels are compiled for only one type of coefficients."""
    return values if values.dtype is FLOAT64 and values.flags.carray else np.require(values, np.float64, ["C", "A", "W"])


def _shared(loop: Any, arguments: tuple[Any, ...], n_jobs: int | None, work: int) -> tuple[np.ndarray, bool]:
    """Run a compiled loop on all rows, with several threads if there is enough work."""
    out = arguments[-1]
    n, count = len(out), 1 if work < SHARED else thread_count(n_jobs, work)
    if count == 1:
        return out, loop(*arguments, 0, n)
    ranges = [(n * thread // count, n * (thread + 1) // count) for thread in range(count)]
    with interruptible(), team_of(count) as team:
        finite = team.map(lambda rows: loop(*arguments, *rows), ranges)
    return out, all(finite)


def _in_blocks(X: np.ndarray, coef: np.ndarray, intercept: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, bool]:
    """The scores of an array whose rows are not contiguous; a few rows are copied at a time."""
    size, finite = max(1, BLOCK // max(X.shape[1], 1)), True
    for first in range(0, len(X), size):
        block = np.require(X[first : first + size], requirements=["C", "A", "W"])
        finite &= dense_scores(block, coef, intercept, out[first : first + size], 0, len(block))
    return out, finite


@linked
def _exp(x):
    """exp(x) for x <= 0, including -inf, for which `arithmetic.exp` returns NaN."""
    return exp(x) if x > -708.0 else 0.0


@kernel
def fill_probabilities(scores, P):
    """Write the logistic function of scores (n, 1), or the softmax of scores (n, K), into the probabilities P (n, classes)."""
    n, K = scores.shape
    for i in range(n):
        if K == 1:
            z = float(scores[i, 0])
            e = _exp(-abs(z))
            large, small = 1.0 / (1.0 + e), e / (1.0 + e)
            P[i, 0], P[i, 1] = (small, large) if z > 0.0 else (large, small)
        else:
            top, total = scores[i, 0], 0.0
            for k in range(1, K):
                top = max(top, scores[i, k])
            for k in range(K):
                P[i, k] = _exp(float(scores[i, k]) - top)
                total += P[i, k]
            for k in range(K):
                P[i, k] /= total


def probabilities(scores: np.ndarray) -> np.ndarray:
    """The probabilities (n, classes) for scores (n, K), in the dtype of the scores; K is 1 for two classes."""
    n, K = scores.shape
    P = np.empty((n, max(K, 2)), scores.dtype)
    fill_probabilities(scores, P)
    return P


def explained_deviance(Y: np.ndarray, Z: np.ndarray, sample_weight: Any, power: int) -> float:
    """D^2 for targets Y (T, n) and the logarithms Z (n, T) of their predictions, averaged over the targets.

    The variance of a target is proportional to its mean raised to `power`, which is 1 for Poisson and 2 for gamma.
    """
    from sklearn.metrics import d2_tweedie_score  # imported here because it takes long

    if Y.shape != Z.T.shape:
        raise ValueError(f"y is of shape {Y.T.shape}, but the predictions are of shape {Z.shape}.")
    counted = np.ones(len(Z), dtype=bool) if sample_weight is None else np.asarray(sample_weight) > 0.0
    return float(
        np.mean(
            [
                d2_tweedie_score(y, mu, sample_weight=sample_weight, power=power)
                if len(y) < 2 or np.ptp(y[counted]) > 0.0  # otherwise there is no deviance to explain
                else 0.0
                for y, mu in zip(Y, means(Z).T, strict=True)
            ]
        )
    )


def means(Z: np.ndarray) -> np.ndarray:
    """The predictions with logarithms Z, clipped so that none of them is zero or infinite."""
    return np.exp(np.clip(Z.astype(np.float64), -LARGEST_LOGARITHM, LARGEST_LOGARITHM))
