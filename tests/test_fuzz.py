"""Problems that nobody thought of: a fit ends at the minimum, or says why it does not.

Hypothesis draws shapes, scales, storage, weights, labels and parameters; SciPy finds the minimum in standardised
coordinates.  ``SKGD_NIGHTLY=1`` draws 10,000 problems instead of 500, from a new seed each time.
"""

import faulthandler
import os
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from problems import FORMULAS
from scipy.optimize import LinearConstraint, linprog, minimize
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgd import GDClassifier, GDRegressor

NIGHTLY = os.environ.get("SKGD_NIGHTLY") == "1"
HANGS = 300  # seconds, which no small fit takes, cold kernels and a busy machine included
CLASSIFICATION = ["log_loss", "hinge", "squared_hinge", "modified_huber"]
REGRESSION = ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile", "poisson", "gamma"]
KINKED = {"hinge", "epsilon_insensitive", "quantile"}
# What an error may say: each of them names a parameter, a column or the classes.
CAUSES = [
    r"Column \d+ of X holds values whose squares exceed the range of floats: rescale it\.",
    r"y holds values whose squares exceed the range of floats: rescale it\.",
    r"Coefficients exceed the range of float32: pass X as float64, or rescale its columns\.",
    r"GDClassifier needs at least two classes, but y has one class among the rows with a weight",
    r"loss='poisson' needs targets y >= 0, not all of them 0",
    r"solver='(sgd|adam)' does not take loss='(poisson|gamma)' with learning_rate='auto'\. Use one of",
]


def fuzz(examples):
    """So many examples: the same ones in every run, or a hundred-fold of new ones by night."""
    return settings(
        max_examples=20 * examples if NIGHTLY else examples,
        derandomize=not NIGHTLY,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


class Problem(NamedTuple):
    estimator: Any
    X: Any
    y: np.ndarray
    weights: np.ndarray | None


# ---------------------------------------------------------------- problems
exponents = st.one_of(st.just(0), st.integers(-6, 6), st.integers(-150, 150))


@st.composite
def matrices(draw, dtype, kinked):
    """X of shape (n, d) as float64: columns of any scale and offset, some constant, some equal, some nearly empty."""
    n = draw(st.integers(2, 25 if kinked else 60))
    d = draw(st.integers(1, 5 if kinked else 8) if kinked or draw(st.integers(0, 9)) else st.just(70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    Z = rng.normal(size=(n, d)) if draw(st.booleans()) else rng.standard_t(2.0, size=(n, d))
    Z *= rng.random((n, d)) < draw(st.sampled_from([1.0, 1.0, 0.3, 0.05]))
    few = st.lists(exponents, min_size=1, max_size=3)
    largest = 30 if dtype == np.float32 else 150
    scales = 10.0 ** np.clip(np.resize(draw(few), d), -largest, largest)
    offsets = np.resize(draw(st.lists(st.sampled_from([0.0, 0.0, 1.0, -1e3, 1e6]), min_size=1, max_size=3)), d)
    X = (Z + offsets) * scales
    X[:, rng.random(d) < draw(st.sampled_from([0.0, 0.0, 0.2]))] = draw(st.sampled_from([0.0, 1.0, 1e15]))
    if draw(st.integers(0, 4)) == 0:
        X[:, -1] = X[:, 0]
    return X.astype(dtype).astype(np.float64), Z, rng


@st.composite
def weights_of(draw, n, rng):
    kind = draw(st.sampled_from(["none", "none", "uniform", "zeros", "decades"]))
    if kind == "none":
        return None
    s = rng.uniform(0.1, 2.0, n)
    if kind == "zeros":
        s[rng.random(n) < 0.3] = 0.0
        s[0] = 1.0
    return s * 10.0 ** rng.uniform(-8, 8, n) if kind == "decades" else s


STORED = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "CSR": sp.csr_matrix,
    "CSC": sp.csc_array,
}
LABELS = [np.array([0, 1, 2, 3]), np.array([-1, 1, 7, 9]), np.array(list("dbca")), np.array([5.0, 2.0, -3.0, 8.0])]


@st.composite
def problems(draw, losses, **parameters):
    """A problem of one of the losses."""
    loss = draw(st.sampled_from(losses))
    # Every loss, storage and dtype costs seconds when kernels are compiled: by day only two losses have all of them.
    common = NIGHTLY or loss in ("log_loss", "squared_error")
    dtype = draw(st.sampled_from([np.float64, np.float32])) if common else np.float64
    X, Z, rng = draw(matrices(dtype, loss in KINKED))
    weights = draw(weights_of(len(X), rng))
    stored = draw(st.sampled_from(list(STORED) if common else ["C", "F"]))
    z = Z @ rng.normal(size=Z.shape[1]) + draw(st.sampled_from([0.0, 0.3, 3.0])) * rng.normal(size=len(X))
    chosen = {
        "solver": draw(st.sampled_from(["auto", "gd", "sgd", "adam"])),
        "penalty": draw(st.sampled_from(["l2", "l2", "l1", "elasticnet", None])),
        "alpha": draw(st.sampled_from([0.0, 1e-10, 1e-4, 1e-2, 1.0, 1e6])),
        "l1_ratio": draw(st.sampled_from([0.15, 0.9])),
        "fit_intercept": draw(st.integers(0, 4)) > 0,
        "tol": draw(st.sampled_from([1e-4, 1e-4, 1e-6])),
        "max_iter": 200,
        "random_state": 0,
    }
    if loss in CLASSIFICATION:
        labels = LABELS[draw(st.integers(0, len(LABELS) - 1))]
        cuts = np.sort(rng.choice(z, draw(st.sampled_from([1, 1, 2, 3]))))
        y = labels[np.digitize(z, cuts)]
        estimator = GDClassifier(loss, **chosen)
    else:
        estimator = GDRegressor(loss, **chosen)
        if loss in ("poisson", "gamma"):
            y = np.exp(np.clip(z, -5.0, 5.0)) * rng.exponential(size=len(X)) + 1e-3
            y = np.floor(y) if loss == "poisson" else y
        else:
            y = (z + draw(st.sampled_from([0.0, 0.0, 1e3]))) * 10.0 ** draw(exponents)
            if loss not in ("squared_error", "quantile"):
                estimator.epsilon = 0.1 * float(np.abs(y).max()) or 0.1
    return Problem(estimator.set_params(**parameters), STORED[stored](X.astype(dtype)), y, weights)


# ---------------------------------------------------------------- the minimum
class Reference:
    """The documented objective in NumPy, on standardised columns: its minimum and its value at fitted coefficients.

    Where the penalty of a standardised column exceeds 1e12 its coefficient is zero; it may then be left where it is.
    """

    def __init__(self, model, problem):
        X = problem.X.toarray() if sp.issparse(problem.X) else np.asarray(problem.X)
        X, y = X.astype(np.float64), problem.y
        s = np.ones(len(X)) if problem.weights is None else problem.weights
        X, y, self.s = X[s > 0], y[s > 0], s[s > 0] / s.sum()
        self.model, self.intercept = model, float(model.fit_intercept)
        self.mean = np.average(X, axis=0, weights=self.s) if model.fit_intercept else np.zeros(X.shape[1])
        self.std = np.sqrt(np.average((X - self.mean) ** 2, axis=0, weights=self.s))
        varies = self.std > 1e-9 * np.abs(X).max(axis=0)
        self.std = np.where(varies, self.std, np.inf)
        self.A = (X - self.mean) / self.std
        ratio = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": model.l1_ratio}[model.penalty]
        alpha = model.alpha if model.penalty else 0.0
        with np.errstate(over="ignore", divide="ignore"):
            l1, l2 = alpha * ratio / self.std, alpha * (1.0 - ratio) / self.std**2
        self.free = varies & (l1 < 1e12) & (l2 < 1e12)
        self.l1, self.l2 = np.where(self.free, l1, 0.0), np.where(self.free, l2, 0.0)
        self.A = np.where(self.free, self.A, 0.0)
        if hasattr(model, "classes_"):
            codes = np.searchsorted(model.classes_, y)
            self.Y = np.eye(len(model.classes_))[codes]
            self.Y = self.Y[:, 1:] if len(model.classes_) == 2 else self.Y
            if model.loss != "log_loss":
                self.Y = 2.0 * self.Y - 1.0
        else:
            self.Y = y[:, None]
        self.coupled = self.Y.shape[1] > 1 and model.loss == "log_loss"

    def rows(self, Z):
        """Losses of the rows (n, K)."""
        if self.coupled:
            return (logsumexp(Z, axis=1) - (self.Y * Z).sum(axis=1))[:, None]
        return FORMULAS[self.model.loss](self.Y, Z, **self.model.get_params())

    def derivatives(self, Z):
        if self.coupled:
            return softmax(Z, axis=1) - self.Y
        h = 1e-6 * (np.abs(Z) + (np.abs(self.Y).max() if not hasattr(self.model, "classes_") else 1.0))
        return (self.rows(Z + h) - self.rows(Z - h)) / (2.0 * h)

    def scores(self, v):
        V = v.reshape(-1, self.Y.shape[1])
        return self.A @ V[:-1] + self.intercept * V[-1]

    def penalty(self, v):
        V = v.reshape(-1, self.Y.shape[1])[:-1]
        return float(self.l1 @ np.abs(V).sum(axis=1) + 0.5 * self.l2 @ np.square(V).sum(axis=1))

    def __call__(self, v):
        return float(self.s @ self.rows(self.scores(v)).sum(axis=1)) + self.penalty(v)

    def fitted(self):
        """Fitted coefficients in these coordinates, flat."""
        W = np.atleast_2d(self.model.coef_).T.astype(np.float64)
        b = np.atleast_1d(self.model.intercept_).astype(np.float64) + self.mean @ W
        return np.vstack([np.where(self.free[:, None], W * np.where(self.free, self.std, 1.0)[:, None], 0.0), b]).ravel()

    def minimum(self, start):
        """The least value that SciPy finds from there."""
        return self._epigraph(start) if self.model.loss in KINKED else self._descended(start)

    def _descended(self, start):
        """L-BFGS-B, where L1 has coefficients split into their positive and negative parts."""
        K, size = self.Y.shape[1], len(start)
        l1, l2 = (np.repeat(np.append(weights, 0.0), K) for weights in (self.l1, self.l2))

        def value(u):
            v = u[:size] - u[size:]
            Z = self.scores(v)
            R = self.s[:, None] * self.derivatives(Z)
            g = np.vstack([self.A.T @ R, self.intercept * R.sum(axis=0)]).ravel() + l2 * v
            F = self.s @ self.rows(Z).sum(axis=1) + 0.5 * l2 @ v**2 + np.append(l1, l1) @ u
            return F, np.concatenate([g + l1, l1 - g])

        bounds = [(0.0, None)] * (2 * size)
        u = np.concatenate([np.maximum(start, 0.0), np.maximum(-start, 0.0)])
        options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-14, "gtol": 1e-12, "maxcor": 20}
        with np.errstate(all="ignore"):
            found = minimize(value, u, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
            return self(found[:size] - found[size:])

    def _epigraph(self, start):
        """Linear constraints on one slack a row and column: a linear program, or a quadratic one of SLSQP's."""
        total, K = 0.0, self.Y.shape[1]
        for k in range(K):
            total += self._one_column(start.reshape(-1, K)[:, k], self.Y[:, k])
        return total

    def _one_column(self, start, y):
        loss, model = self.model.loss, self.model
        A = np.column_stack([self.A, np.full(len(y), self.intercept)])
        # Pieces of the loss: it is the largest of slope * z + constant.
        pieces = {
            "hinge": [(0.0 * y, 0.0 * y), (-y, 1.0 + 0.0 * y)],
            "epsilon_insensitive": [(0.0 * y, 0.0 * y), (1.0 + 0.0 * y, -y - model.epsilon), (-1.0 + 0.0 * y, y - model.epsilon)],
            "quantile": [(0.5 + 0.0 * y, -0.5 * y), (-0.5 + 0.0 * y, 0.5 * y)],
        }[loss]
        unit = 1.0 if loss == "hinge" else max(float(np.abs(y).max()), 1e-300)
        n, D = A.shape
        G = np.vstack([np.hstack([slope[:, None] * A, slope[:, None] * -A, -np.eye(n)]) for slope, _ in pieces])
        h = -np.concatenate([constant for _, constant in pieces]) / unit
        l1 = np.tile(np.append(self.l1, 0.0), 2)
        if not self.l2.any():
            cost = np.concatenate([l1, self.s])
            found = linprog(cost, A_ub=G, b_ub=h, bounds=[(0, None)] * (2 * D + n))
            u = found.x if found.x is not None else None
        else:
            l2 = unit * np.append(self.l2, 0.0)

            def value(u):
                v = u[:D] - u[D : 2 * D]
                gradient = l2 * v
                F = self.s @ u[2 * D :] + l1 @ u[: 2 * D] + 0.5 * l2 @ v**2
                return F, np.concatenate([l1 + np.append(gradient, -gradient), self.s])

            v = start / unit
            slack = np.max([slope * (A @ v) + constant / unit for slope, constant in pieces], axis=0)
            u0 = np.concatenate([np.maximum(v, 0.0), np.maximum(-v, 0.0), slack])
            constraint = LinearConstraint(G, -np.inf, h)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                u = minimize(
                    value, u0, jac=True, method="SLSQP", bounds=[(0, None)] * len(u0), constraints=constraint,
                    options={"maxiter": 200, "ftol": 1e-12},
                ).x  # fmt: skip
        if u is None:
            return np.inf
        v = unit * (u[:D] - u[D : 2 * D])
        rows = np.max([slope * (A @ v) + constant for slope, constant in pieces], axis=0)
        return float(self.s @ rows + np.append(self.l1, 0.0) @ np.abs(v) + 0.5 * np.append(self.l2, 0.0) @ v**2)


# ---------------------------------------------------------------- the contract
def fitted(problem):
    """The model, and whether it says that it converged; None where the data was refused for a known cause."""
    model = clone(problem.estimator)
    before = dict(vars(model))
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.fit(problem.X, problem.y, problem.weights)
    except ValueError as error:
        event("refused")
        assert any(re.match(cause, str(error)) for cause in CAUSES), error
        assert vars(model) == before
        return None, False
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert {w.category for w in said} <= {ConvergenceWarning}, [str(w.message) for w in said]
    return model, not said


@fuzz(500)
@given(problems(CLASSIFICATION + REGRESSION))
def test_a_fit_ends_at_the_minimum_or_says_why_not(problem):
    note(str(problem))
    model, converged = fitted(problem)
    if model is None:
        return
    event("converged" if converged else "warned")
    tol, curve = model.tol, model.loss_curve_
    exact = model.solver in ("auto", "gd")
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert np.isfinite(curve).all()
    assert curve[-1] <= curve[0] * (1.0 + (1e-12 if exact else tol))
    reference = Reference(model, problem)
    v = reference.fitted()
    F = reference(v)
    if problem.X.dtype == np.float64:
        assert F == pytest.approx(curve[-1], rel=1e-6, abs=1e-9 * curve[0])
    if not converged:
        return
    best = min(reference.minimum(v), reference.minimum(np.zeros_like(v)))
    slack = (3.0 if exact else 30.0) * tol + (1e-4 if problem.X.dtype == np.float32 else 0.0)
    assert F <= best * (1.0 + slack) + 1e-9 * curve[0], (F, best, F / best - 1.0)
