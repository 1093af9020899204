"""Measure the seconds until a fit is within a relative gap of 1e-2, 1e-4 and 1e-6 of the minimum, for skgd and scikit-learn.

All methods minimise the same objective, mean loss + alpha/2 ||w||^2, on the same raw data.  Each runs with growing budgets
(max_iter) and with a tolerance that never stops it.  The time of a budget is the shortest of a few fits.  The minimum is the
smallest objective that any method or a fit with a tiny tolerance found.  The first fit of a method is not counted, so that
its kernels are compiled before.

    python examples/benchmarks/convergence.py
    python examples/benchmarks/convergence.py --only digits --limit 5 --plot digits.png
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_classification, make_regression
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor

TARGETS = (1e-2, 1e-4, 1e-6)
TOLERANCE = 1e-14
SOLVERS = ("auto", "gd", "sgd", "adam")


class Problem(NamedTuple):
    load: Callable[[], tuple[Any, np.ndarray]]
    regression: bool = False


class Run(NamedTuple):
    """The result of one method with one budget."""

    seconds: float
    objective: float


def raw(X, y, decades=4):
    """Shift the columns of X, and scale them by factors that differ by up to 10^decades."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-decades / 2, decades / 2, X.shape[1])
    return X * scale + rng.normal(size=X.shape[1]) * scale, y


def sparse(n, d, nonzeros):
    """Return a CSR matrix of counts, with mostly rare columns, and labels that depend on it."""
    rng = np.random.default_rng(0)
    columns = (d * rng.random((n, nonzeros)) ** 4).astype(int)
    X = sp.csr_matrix((np.ones(columns.size), columns.ravel(), np.arange(0, columns.size + 1, nonzeros)), shape=(n, d))
    return X, (X @ rng.normal(size=d) + rng.logistic(size=n) > 0).astype(int)


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


def runs(model, X, y, goal: float, limit: float, repeat: int) -> list[Run]:
    """Fit with growing budgets until a fit reaches the goal or takes longer than `limit` seconds."""
    direct = getattr(model, "solver", None) == "cholesky"
    budgets = [None] if direct else np.unique(np.geomspace(1, 10_000, 40).astype(int)).tolist()
    model.set_params(max_iter=budgets[0]).fit(X, y)
    found: list[Run] = []
    for budget in budgets:
        seconds: list[float] = []
        while len(seconds) < repeat and sum(seconds) <= limit:
            start = time.perf_counter()
            model.set_params(max_iter=budget).fit(X, y)
            seconds.append(time.perf_counter() - start)
        found.append(Run(min(seconds), objective(model, X, y)))
        if found[-1].objective <= goal or min(seconds) > limit:
            break
    return found


def tight(problem: Problem, X, y) -> float:
    """Return the smaller objective of two fits with a tiny tolerance."""
    alpha, peer = 1.0 / len(y), LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    ours = (GDRegressor if problem.regression else GDClassifier)(alpha=alpha, tol=TOLERANCE)
    return min(objective(model.fit(X, y), X, y) for model in (ours, Ridge(1.0) if problem.regression else peer))


def draw(results: dict[str, dict[str, list[Run]]], minima: dict[str, float], path: str) -> None:
    """Save a picture of the gap over the seconds, with a panel for each problem."""
    import matplotlib.pyplot as plt

    columns = min(len(results), 3)
    lines = -(-len(results) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(5.2 * columns, 4.6 * lines), squeeze=False, layout="constrained")
    for axes in panels.flat[len(results) :]:
        axes.set_axis_off()
    for axes, (name, found) in zip(panels.flat, results.items(), strict=False):
        for label, values in found.items():
            line = "-o" if label.startswith("skgd") else "--."
            gaps = [max(value.objective / minima[name] - 1.0, 1e-10) for value in values]
            axes.loglog([value.seconds for value in values], gaps, line, label=label, ms=4)
        axes.set(title=name, xlabel="seconds", ylabel="relative gap to the minimum", ylim=(1e-7, 1e3))
        axes.grid(color="0.93")
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    print(f"\nSaved {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), help="problems to run")
    parser.add_argument("--limit", type=float, default=1.0, help="seconds after which no larger budget of a method is tried")
    parser.add_argument("--repeat", type=int, default=3, help="number of fits for each budget, of which the fastest counts")
    parser.add_argument("--threads", type=int, default=1, help="number of threads of BLAS and of skgd (n_jobs)")
    parser.add_argument("--plot", metavar="FILE", help="save a picture")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # fits that use up their budget warn, as they should

    results: dict[str, dict[str, list[Run]]] = {}
    minima: dict[str, float] = {}
    with threadpool_limits(options.threads):
        for name in options.only:
            X, y = PROBLEMS[name].load()
            lowest = tight(PROBLEMS[name], X, y)
            print(f"\n{f'{name}, {X.shape[0]} x {X.shape[1]}':36s}" + "".join(f"{f'to {target:g}':>12s}" for target in TARGETS))
            results[name] = {
                label: runs(model, X, y, lowest * (1.0 + 0.5 * TARGETS[-1]), options.limit, options.repeat)
                for label, model in methods(PROBLEMS[name], X, y, options.threads).items()
            }
            minima[name] = min(lowest, *(run.objective for found in results[name].values() for run in found))
            for label, found in results[name].items():
                times = (
                    min((run.seconds for run in found if run.objective <= minima[name] * (1.0 + target)), default=np.inf)
                    for target in TARGETS
                )
                print(f"{label:36s}" + "".join("           -" if t == np.inf else f"{t:10.4f} s" for t in times), flush=True)
    if options.plot:
        draw(results, minima, options.plot)


if __name__ == "__main__":
    main()
