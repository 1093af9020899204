"""Measure the seconds until a fit is within a relative gap of 1e-2, 1e-4 and 1e-6 of the minimum, for skgd and scikit-learn.

All methods minimise the same objective, mean loss + alpha/2 ||w||^2, on the same raw data.  Each runs with growing budgets
(max_iter) and with a tolerance that never stops it.  The time of a budget is the shortest of a few fits.  The minimum is the
smallest objective that any method or a fit with a tiny tolerance found.  The first fit of a method is not counted, so that
its kernels are compiled before.

    python examples/benchmarks/convergence.py
    python examples/benchmarks/convergence.py --only digits --limit 5 --plot digits.png
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from _measure import (
    QUICK,
    TOLERANCE,
    Run,
    add_limits,
    by_max_iter,
    draw,
    goal_of,
    header,
    line,
    minimum_of,
    options_of,
    raw,
    runs,
    sparse,
    times_to,
)
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_classification, make_regression
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor

SOLVERS = ("auto", "gd", "sgd", "adam")


class Problem(NamedTuple):
    load: Callable[[], tuple[Any, np.ndarray]]
    regression: bool = False


PROBLEMS = {
    "breast_cancer": Problem(lambda: load_breast_cancer(return_X_y=True)),
    "wine": Problem(lambda: load_wine(return_X_y=True)),
    "digits": Problem(lambda: load_digits(return_X_y=True)),
    "two_classes": Problem(lambda: raw(*make_classification(100_000, 30, n_informative=15, flip_y=0.1, random_state=0))),
    "sparse": Problem(lambda: sparse(20_000, 1_000, 20)),
    "diabetes": Problem(lambda: load_diabetes(return_X_y=True, scaled=False), regression=True),
    "regression": Problem(lambda: raw(*make_regression(100_000, 50, noise=50.0, random_state=0)), regression=True),
}


def methods(problem: Problem, X, y, n_jobs: int) -> dict[str, Any]:
    """Return estimators of the same objective with alpha = 1/n: C = 1 in LogisticRegression, alpha = 1 in Ridge."""
    alpha = 1.0 / len(y)
    ours = GDRegressor if problem.regression else GDClassifier
    found = {f"skgd {s}": ours(solver=s, alpha=alpha, tol=TOLERANCE, random_state=0, n_jobs=n_jobs) for s in SOLVERS}
    if problem.regression:
        for solver in ("cholesky", "sparse_cg", "lsqr", "sag"):
            found[f"Ridge {solver}"] = Ridge(1.0, solver=solver, tol=TOLERANCE, random_state=0)
        found["SGDRegressor"] = SGDRegressor(alpha=alpha, tol=None, random_state=0)
        return found
    for solver in ("lbfgs", "newton-cg", "newton-cholesky", "saga"):  # liblinear also penalises the intercept
        found[f"LogisticRegression {solver}"] = LogisticRegression(C=1.0, solver=solver, tol=TOLERANCE, random_state=0)
    if len(np.unique(y)) == 2:  # with more classes it fits one against the rest, which is another objective
        found["SGDClassifier"] = SGDClassifier(loss="log_loss", alpha=alpha, tol=None, random_state=0)
    return found


def objective(model, X, y) -> float:
    """Return mean loss + alpha/2 ||w||^2, computed from scores, so that no probability is clipped."""
    if hasattr(model, "classes_"):
        Z = model.decision_function(X)
        Z = np.column_stack([np.zeros(len(Z)), Z]) if Z.ndim == 1 else Z
        loss = np.mean(logsumexp(Z, axis=1) - Z[np.arange(len(y)), np.searchsorted(model.classes_, y)])
    else:
        loss = 0.5 * np.mean((model.predict(X) - y) ** 2)
    return float(loss + np.sum(model.coef_**2) / (2 * len(y)))


def tight(problem: Problem, X, y) -> float:
    """Return the smaller objective of two fits with a tiny tolerance."""
    alpha, peer = 1.0 / len(y), LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    ours = (GDRegressor if problem.regression else GDClassifier)(alpha=alpha, tol=TOLERANCE)
    return min(objective(model.fit(X, y), X, y) for model in (ours, Ridge(1.0) if problem.regression else peer))


def main() -> None:
    parser = options_of(__doc__)
    add_limits(parser)
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), help="problems to run")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK, only=["breast_cancer", "diabetes"])
    warnings.simplefilter("ignore")  # fits that use up their budget warn, as they should

    results: dict[str, dict[str, list[Run]]] = {}
    minima: dict[str, float] = {}
    with threadpool_limits(options.threads):
        for name in options.only:
            X, y = PROBLEMS[name].load()
            lowest = tight(PROBLEMS[name], X, y)
            print("\n" + header(f"{name}, {X.shape[0]} x {X.shape[1]}"))
            results[name] = {
                label: runs(by_max_iter(model), X, y, objective, goal_of(lowest), options.limit, options.repeat)
                for label, model in methods(PROBLEMS[name], X, y, options.threads).items()
            }
            minima[name] = minimum_of(lowest, results[name])
            for label, found in results[name].items():
                print(line(label, times_to(found, minima[name])), flush=True)
    if options.plot:
        draw(results, minima, options.plot)


if __name__ == "__main__":
    main()
