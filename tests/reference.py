"""The oracle of random problems: the documented objective in NumPy, on standardised columns, and its minimum by SciPy."""

import warnings

import numpy as np
import scipy.sparse as sp
from problems import FORMULAS
from scipy.optimize import LinearConstraint, linprog, minimize
from scipy.special import logsumexp, softmax

NON_SMOOTH = {"hinge", "epsilon_insensitive", "quantile"}
PROPORTIONAL = {"squared_error", "huber", "squared_epsilon_insensitive"}  # their derivatives have the unit of the targets
FORBIDDING = 1e12  # a penalty of this weight, in units of the loss, leaves a coefficient no value but zero


class Reference:
    """The objective of a fitted model, as a function of flat coefficients (d + 1, K) of standardised columns.

    Attributes
    ----------
    free : ndarray of shape (d,)
        Which columns may have a coefficient: they vary, and their penalty allows it.
    clear : bool
        Whether rounding leaves no doubt which columns are constant.
    size : float
        The largest absolute target; 1 where scores are margins, log-odds or logarithms.
    rounding : float
        The rounding of scores, in the same unit.
    """

    def __init__(self, model, problem):
        X = problem.X.toarray() if sp.issparse(problem.X) else np.asarray(problem.X)
        X, y = X.astype(np.float64), problem.y
        s = np.ones(len(X)) if problem.weights is None else problem.weights
        X, y, self.s = X[s > 0], y[s > 0], s[s > 0] / s.sum()
        self.model, self.intercept = model, float(model.fit_intercept)
        self.mean = np.average(X, axis=0, weights=self.s) if model.fit_intercept else np.zeros(X.shape[1])
        self.std = np.sqrt(np.average((X - self.mean) ** 2, axis=0, weights=self.s))
        largest = np.abs(X).max(axis=0)
        varies = self.std > 1e-12 * largest
        self.clear = not np.any(varies & (self.std < 1e-8 * largest))
        self.std = np.where(varies, self.std, np.inf)
        self.A = (X - self.mean) / self.std
        size = 1.0 if hasattr(model, "classes_") or model.loss in ("poisson", "gamma") else float(np.abs(y).max())
        slope = size if model.loss in PROPORTIONAL else 1.0
        ratio = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": model.l1_ratio}[model.penalty]
        alpha = model.alpha if model.penalty else 0.0
        with np.errstate(over="ignore", divide="ignore"):
            l1, l2 = alpha * ratio / self.std, alpha * (1.0 - ratio) / self.std**2
            self.free = varies & (l1 <= FORBIDDING * slope) & (l2 * size <= FORBIDDING * slope)
        self.size, self.rounding = size, 1e-12 * size
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
        """The losses (n, K) of all rows, (n, 1) if columns are coupled."""
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
        """The fitted coefficients of standardised columns, flat."""
        W = np.atleast_2d(self.model.coef_).T.astype(np.float64)
        b = np.atleast_1d(self.model.intercept_).astype(np.float64) + self.mean @ W
        return np.vstack([np.where(self.free[:, None], W * np.where(self.free, self.std, 1.0)[:, None], 0.0), b]).ravel()

    def minimum(self, start):
        """The least value that SciPy finds from these flat coefficients."""
        return self._epigraph(start) if self.model.loss in NON_SMOOTH else self._descended(start)

    def _descended(self, start):
        """The value that L-BFGS-B finds, with coefficients split into positive and negative parts."""
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
        """The value that a linear or quadratic program finds, column by column, with a slack for the loss of each row."""
        total, K = 0.0, self.Y.shape[1]
        for k in range(K):
            total += self._one_column(start.reshape(-1, K)[:, k], self.Y[:, k])
        return total

    def _one_column(self, start, y):
        loss, model = self.model.loss, self.model
        A = np.column_stack([self.A, np.full(len(y), self.intercept)])
        # The loss of a row is the largest of slope * z + constant over these pieces.
        pieces = {
            "hinge": [(0.0 * y, 0.0 * y), (-y, 1.0 + 0.0 * y)],
            "epsilon_insensitive": [
                (0.0 * y, 0.0 * y),
                (1.0 + 0.0 * y, -y - model.epsilon),
                (-1.0 + 0.0 * y, y - model.epsilon),
            ],
            "quantile": [(0.5 + 0.0 * y, -0.5 * y), (-0.5 + 0.0 * y, 0.5 * y)],
        }[loss]
        constants = np.concatenate([constant for _, constant in pieces])
        unit = max(float(np.abs(constants).max()), 1e-300)
        n, D = A.shape
        G = np.vstack([np.hstack([slope[:, None] * A, slope[:, None] * -A, -np.eye(n)]) for slope, _ in pieces])
        h = -constants / unit
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
