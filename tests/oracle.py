"""The least value of a documented objective that SciPy finds, for data of any size, without any code of the package.

L-BFGS-B minimises sums that NumPy makes, in coordinates in which the problem is well conditioned.  Non-smooth losses are
smoothed, less and less.  The oracle starts where a fit ended, and from constant scores.  So it can show that a fit is not at
its minimum, but never that it is.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import block_diag, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, xlogy
from sklearn.base import is_classifier

NON_SMOOTH = ("hinge", "epsilon_insensitive", "quantile")
LOG_LINK = ("poisson", "gamma")
SMOOTHINGS = (1e-2, 1e-3, 1e-4, 1e-5)  # half widths of smoothing, in the unit of the scores, one after the other
WHITENED = 1_000  # columns up to which they are decorrelated
RIDGE = 1e-10  # share of the mean curvature that is added to the diagonal, so that the matrix has a Cholesky factor
HUGE = 1e100  # value that stands for one that overflows
ALLOWED = 1.5  # a fit without a warning may end this many times tol above what the oracle finds
NOTHING = 1e-14  # differences below this share of the objective at zero coefficients are rounding


# ---------------------------------------------------------------- losses
def ramp(t, h):
    """max(0, t) and its derivative, with a parabola in place of the corner where -h < t < h."""
    if h == 0.0:
        return np.maximum(t, 0.0), (t > 0.0).astype(float)
    slope = np.clip((t + h) / (2.0 * h), 0.0, 1.0)
    return np.where(t >= h, t, h * slope**2), slope


def log_loss(y, z, **_):
    return np.logaddexp(0.0, z) - y * z, expit(z) - y


def hinge(y, z, h, **_):
    value, slope = ramp(1.0 - y * z, h)
    return value, -y * slope


def squared_hinge(y, z, **_):
    short = np.maximum(1.0 - y * z, 0.0)
    return short**2, -2.0 * y * short


def modified_huber(y, z, **_):
    far, short = y * z < -1.0, np.maximum(1.0 - y * z, 0.0)
    return np.where(far, -4.0 * y * z, short**2), np.where(far, -4.0 * y, -2.0 * y * short)


def squared_error(y, z, **_):
    return 0.5 * (z - y) ** 2, z - y


def huber(y, z, epsilon, **_):
    inside = np.clip(z - y, -epsilon, epsilon)
    return inside * (z - y) - 0.5 * inside**2, inside


def epsilon_insensitive(y, z, epsilon, h, **_):
    above, slope_above = ramp(z - y - epsilon, h)
    below, slope_below = ramp(y - z - epsilon, h)
    return above + below, slope_above - slope_below


def squared_epsilon_insensitive(y, z, epsilon, **_):
    outside = (z - y) - np.clip(z - y, -epsilon, epsilon)
    return outside**2, 2.0 * outside


def quantile(y, z, quantile, h, **_):
    above, slope_above = ramp(z - y, h)
    below, slope_below = ramp(y - z, h)
    return (1.0 - quantile) * above + quantile * below, (1.0 - quantile) * slope_above - quantile * slope_below


def poisson(y, z, **_):
    mean = np.exp(z)
    return mean - y - y * z + xlogy(y, y), mean - y


def gamma(y, z, **_):
    ratio = y * np.exp(-z)
    return ratio - 1.0 + z - np.log(y), 1.0 - ratio


LOSSES = {
    loss.__name__: loss
    for loss in (
        *(log_loss, hinge, squared_hinge, modified_huber),
        *(squared_error, huber, epsilon_insensitive, squared_epsilon_insensitive, quantile, poisson, gamma),
    )
}


def softmax_loss(Y, Z):
    """Negative log-likelihoods (n, 1) of one-hot classes Y (n, K), and slopes (n, K)."""
    total = logsumexp(Z, axis=1, keepdims=True)
    return total - (Y * Z).sum(axis=1, keepdims=True), np.exp(Z - total) - Y


def targets_of(loss, y, classifies):
    """Targets (n, K): numbers as they are; for each class, or the second of two, 0 and 1 (log_loss) or -1 and 1."""
    if not classifies:
        return np.asarray(y, dtype=float)[:, None]
    classes = np.unique(y)
    Y = (np.reshape(y, (-1, 1)) == (classes if len(classes) > 2 else classes[1:])).astype(float)
    return Y if loss == "log_loss" else 2.0 * Y - 1.0


# ---------------------------------------------------------------- the objective
class Coordinates:
    """Standardised columns, which are centred without being stored where X is sparse.

    Attributes
    ----------
    A : ndarray or CSR matrix of shape (n, d)
        Columns of unit variance.
    left : ndarray of shape (d,)
        The means of the columns of A, which scores and products subtract.
    mean, scale : ndarray of shape (d,)
        Means and standard deviations of the columns of X.
    """

    def __init__(self, X):
        if sp.issparse(X):
            self.mean = np.asarray(X.mean(axis=0)).ravel()
            self.scale = np.sqrt(np.maximum(np.asarray(X.multiply(X).mean(axis=0)).ravel() - self.mean**2, 0.0))
            self.scale[self.scale == 0.0] = 1.0
            self.A, self.left = (X @ sp.diags(1.0 / self.scale)).tocsr(), self.mean / self.scale
        else:
            self.mean, self.scale = X.mean(axis=0), X.std(axis=0)
            self.scale[self.scale == 0.0] = 1.0
            self.A, self.left = (X - self.mean) / self.scale, np.zeros(X.shape[1])

    def scores(self, V):
        """The scores (n, K) of coefficients V (d + 1, K), whose last row is the intercepts."""
        return self.A @ V[:-1] + (V[-1] - self.left @ V[:-1])

    def transposed(self, R):
        """The gradient (d + 1, K) of derivatives by scores R (n, K): sums over rows."""
        total = R.sum(axis=0)
        return np.vstack([self.A.T @ R - np.outer(self.left, total), total])

    def gram(self):
        """The correlations (d, d) of the columns."""
        products = self.A.T @ self.A
        products = products.toarray() if sp.issparse(products) else products
        return products / self.A.shape[0] - np.outer(self.left, self.left)

    def of(self, W, b):
        """Coefficients (d + 1, K) of standardised columns, given those of X."""
        return np.vstack([W * self.scale[:, None], b + self.mean @ W])


class Oracle:
    """The objective of a model on X and y, with an intercept and without weights, and the least value that SciPy finds.

    Parameters
    ----------
    model : GDRegressor or GDClassifier
        Only its parameters are read.
    X : ndarray or CSR matrix of shape (n, d)
    y : ndarray of shape (n,)
    iterations : int
        The most that L-BFGS-B may take, for each start and each smoothing.
    """

    def __init__(self, model: Any, X: Any, y: np.ndarray, iterations: int = 200):
        self.loss, self.iterations = model.loss, iterations
        self.parameters = {name: getattr(model, name, None) for name in ("epsilon", "quantile")}
        self.classifies = is_classifier(model)
        self.Y = targets_of(self.loss, y, self.classifies)
        self.coupled = self.loss == "log_loss" and self.Y.shape[1] > 1
        self.unit = 1.0 if self.classifies else float(np.abs(y - np.median(y)).mean())
        self.coordinates = Coordinates(X)
        self.l1, self.l2 = self._penalties(model)
        self.root = self._root()

    def _penalties(self, model):
        """Weights (d + 1, 1) of |v| and v**2 / 2 for coefficients v of standardised columns; 0 for the intercept."""
        ratio = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": model.l1_ratio}[model.penalty]
        alpha = model.alpha if model.penalty else 0.0
        scale = np.append(self.coordinates.scale, np.inf)[:, None]
        return alpha * ratio / scale, alpha * (1.0 - ratio) / scale**2

    def _root(self):
        """A change of variables (d + 1, d + 1) that conditions the objective well: whitening, or scales if columns are many."""
        d = len(self.l2) - 1
        if self.l1.any() or d > WHITENED:
            return sp.diags((1.0 + self.l2[:, 0]) ** -0.5)
        curvature = self.coordinates.gram() + np.diag(self.l2[:-1, 0])
        curvature[np.diag_indices(d)] += RIDGE * curvature.trace() / d
        return block_diag(solve_triangular(cholesky(curvature), np.eye(d)), 1.0)

    def _loss(self, V, h):
        """The mean loss smoothed with half width h, and its gradient (d + 1, K)."""
        Z = self.coordinates.scores(V)
        rows, slopes = softmax_loss(self.Y, Z) if self.coupled else LOSSES[self.loss](self.Y, Z, h=h, **self.parameters)
        return float(rows.sum()) / len(Z), self.coordinates.transposed(slopes) / len(Z)

    def value(self, V):
        """The objective at coefficients V (d + 1, K) of standardised columns."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._loss(V, 0.0)[0] + float((self.l1 * np.abs(V)).sum() + 0.5 * (self.l2 * V**2).sum())

    # ------------------------------------------------------------ the minimum
    def constant(self):
        """Coefficients (d + 1, K) whose scores predict the mean target, or even odds."""
        V = np.zeros((len(self.l1), self.Y.shape[1]))
        if not self.classifies:
            mean = self.Y.mean(axis=0)
            V[-1] = np.log(mean) if self.loss in LOG_LINK else mean
        return V

    def lowest(self, V):
        """The least objective found on the way from coefficients V (d + 1, K)."""
        found = [self.value(V)]
        for half_width in SMOOTHINGS if self.loss in NON_SMOOTH else (0.0,):
            descended = self._descended_in_parts if self.l1.any() else self._descended
            V = descended(V, half_width * self.unit)
            found.append(self.value(V))
        return float(np.nanmin(found))

    def _descended(self, start, h):
        """Coefficients that L-BFGS finds from the start, in variables U with V = start + root @ U."""

        def function(u):
            V = start + self.root @ u.reshape(start.shape)
            value, G = self._loss(V, h)
            return value + 0.5 * (self.l2 * V**2).sum(), (self.root.T @ (G + self.l2 * V)).ravel()

        return start + self.root @ self._minimised(function, np.zeros(start.size), None).reshape(start.shape)

    def _descended_in_parts(self, start, h):
        """Coefficients root @ (P - N) that L-BFGS-B finds.  P and N are nonnegative, and the L1 penalty linear in them."""
        size, shape = start.size, start.shape
        unit = self.root.diagonal()[:, None]
        l1 = np.broadcast_to(unit * self.l1, shape).ravel()

        def function(u):
            V = unit * (u[:size] - u[size:]).reshape(shape)
            value, G = self._loss(V, h)
            slope = (unit * (G + self.l2 * V)).ravel()
            value += 0.5 * (self.l2 * V**2).sum() + l1 @ (u[:size] + u[size:])
            return value, np.concatenate([slope + l1, l1 - slope])

        parts = (start / unit).ravel()
        u = self._minimised(function, np.concatenate([parts.clip(0.0), (-parts).clip(0.0)]), [(0.0, None)] * (2 * size))
        return unit * (u[:size] - u[size:]).reshape(shape)

    def _minimised(self, function, u, bounds):
        """Where L-BFGS-B leads from u.  SciPy compares decreases with 1, so the function is divided by its value at u."""
        unit = max(abs(function(u)[0]), 1e-300)

        def scaled(u):
            with np.errstate(over="ignore", invalid="ignore"):
                value, gradient = function(u)
            if not np.isfinite(value):
                return HUGE, np.zeros_like(u)
            return value / unit, gradient / unit

        options = {"maxiter": self.iterations, "maxfun": 2 * self.iterations, "ftol": 1e-12, "gtol": 1e-12, "maxcor": 30}
        return minimize(scaled, u, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x


# ---------------------------------------------------------------- what a fit is held to
class Verdict(NamedTuple):
    """How a fit compares with what the oracle found.

    Attributes
    ----------
    value : float
        The objective of the fit.
    lowest : float
        The least value that the oracle found.
    excess : float
        By how much the fit is above it, as a share of it; 0 if the difference is only rounding.
    """

    value: float
    lowest: float
    excess: float


def judged(model: Any, X: Any, y: np.ndarray, iterations: int = 200) -> Verdict:
    """Compare a fitted model with the least value found from its own coefficients and from a constant."""
    oracle = Oracle(model, X, y, iterations)
    V = oracle.coordinates.of(np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_))
    value, constant = oracle.value(V), oracle.constant()
    lowest = min(oracle.lowest(V), oracle.lowest(constant))
    nothing = NOTHING * oracle.value(np.zeros_like(constant))
    return Verdict(value, lowest, 0.0 if value - lowest <= nothing else (value - lowest) / max(lowest, nothing))
