"""Measure the seconds until a fit is within a relative gap of 1e-2, 1e-4 and 1e-6 of the minimum, for each loss and its peers.

All methods of a table minimise the same objective on the same columns: mean loss + alpha/2 ||w||^2 or alpha ||w||_1, without a
penalty on the intercept.  Some peers always penalise it; with --no-intercept their objective is the same.  The columns are
prepared before: "raw" are the columns in their own units, "standardized" are those of StandardScaler, which many rivals need,
and "text" is a CSR matrix of many rare words.  The losses of Poisson and gamma are half the deviance, which is zero for a
perfect fit.

Each method runs with growing budgets: max_iter with a tolerance that never stops it, or a falling tolerance.  The time of a
budget is the shortest of a few fits.  The minimum is the smallest objective that any method or a fit with a tiny tolerance
found.  A first fit, which compiles kernels, is not counted.  Packages that are not installed are left out.

    python examples/benchmarks/losses.py
    python examples/benchmarks/losses.py --only hinge "*/text" --limit 5 --plot hinge.png
"""

import warnings
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any, NamedTuple

import numpy as np
from _data import BUNDLED, GENERATED, text
from _measure import (
    QUICK,
    TARGETS,
    TOLERANCE,
    Contender,
    Run,
    add_limits,
    by_max_iter,
    draw,
    goal_of,
    hardware,
    header,
    line,
    minimum_of,
    options_of,
    runs,
    times_to,
    versions,
)
from _peers import ITERATIONS, OPTIONAL, Task, installed, peers
from scipy.special import xlogy
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor

QUANTILE = 0.8
L1_FRACTION = 0.05  # alpha as a fraction of the smallest alpha at which all coefficients are zero
WIDTH = 64


# ---------------------------------------------------------------- losses
class Loss(NamedTuple):
    """A loss of targets y and scores z; classifiers have targets -1 and 1 here.  `tube` is epsilon in deviations of y."""

    value: Callable[..., np.ndarray]
    kind: str
    tube: float = 0.0


LOSSES = {
    "hinge": Loss(lambda y, z, task: np.maximum(0.0, 1.0 - y * z), "labels"),
    "squared_hinge": Loss(lambda y, z, task: np.maximum(0.0, 1.0 - y * z) ** 2, "labels"),
    "log_loss": Loss(lambda y, z, task: np.logaddexp(0.0, -y * z), "labels"),
    "squared_error": Loss(lambda y, z, task: 0.5 * (z - y) ** 2, "numbers"),
    "huber": Loss(lambda y, z, task: huber(abs(z - y), task.epsilon), "numbers", 0.5),
    "quantile": Loss(lambda y, z, task: np.maximum(task.quantile * (y - z), (1.0 - task.quantile) * (z - y)), "numbers"),
    "epsilon_insensitive": Loss(lambda y, z, task: np.maximum(0.0, abs(z - y) - task.epsilon), "numbers", 0.1),
    "squared_epsilon_insensitive": Loss(lambda y, z, task: np.maximum(0.0, abs(z - y) - task.epsilon) ** 2, "numbers", 0.1),
    "poisson": Loss(lambda y, z, task: xlogy(y, y) - y * z - y + np.exp(z), "counts"),
    "gamma": Loss(lambda y, z, task: y * np.exp(-z) - 1.0 - np.log(y) + z, "amounts"),
}


def huber(r, epsilon):
    inner = np.minimum(r, epsilon)
    return inner * (r - 0.5 * inner)


def objective(task: Task):
    """Return a function of a fitted model, X and y: mean loss + penalty, computed from coefficients."""
    loss = LOSSES[task.loss]

    def value(model, X, y) -> float:
        w = np.ravel(model.coef_)
        z = X @ w + np.ravel(model.intercept_)[0]
        penalty = np.abs(w).sum() if task.penalty == "l1" else 0.5 * w @ w
        with np.errstate(over="ignore", invalid="ignore"):
            found = float(np.mean(loss.value(2 * y - 1 if loss.kind == "labels" else y, z, task)) + task.alpha * penalty)
        return found if np.isfinite(found) else np.inf

    return value


def steepest(loss: str, X, y, intercept: bool) -> float:
    """Return the smallest alpha of an L1 penalty at which all coefficients are zero."""
    score = np.quantile(y, QUANTILE) if intercept else 0.0
    slopes = {"quantile": QUANTILE - (y < score), "log_loss": y - 0.5, "squared_error": y}[loss]
    return float(np.abs(X.T @ (slopes - slopes.mean() * intercept)).max()) / len(y)


# ---------------------------------------------------------------- problems
PENALTIES = {"quantile": ("l2", "l1"), "log_loss": ("l1",), "squared_error": ("l1",)}
OF_TEXT = ("hinge", "squared_hinge", "log_loss", "squared_error")


class Problem(NamedTuple):
    loss: str
    penalty: str
    load: Callable[[], tuple[Any, np.ndarray]]
    coordinates: str


def problems(quick: bool) -> dict[str, Problem]:
    """Return all problems by their names: loss-penalty/data/coordinates, without "-l2".  With `quick`, only small ones."""
    found = {}
    for loss, (_, kind, _) in LOSSES.items():
        for penalty in PENALTIES.get(loss, ("l2",)):
            name, load = BUNDLED[kind]
            data = {name: load} | ({} if quick else {"generated": lambda kind=kind: GENERATED[kind](20_000)})
            for source, load in data.items():
                for coordinates in ("standardized",) if quick else ("raw", "standardized"):
                    key = f"{loss}{'' if penalty == 'l2' else '-l1'}/{source}/{coordinates}"
                    found[key] = Problem(loss, penalty, load, coordinates)
        if loss in OF_TEXT:
            rows = 500 if quick else 20_000
            found[f"{loss}/text"] = Problem(loss, "l2", lambda loss=loss, rows=rows: text(rows, LOSSES[loss].kind), "text")
    return found


def chosen(names: list[str], patterns: list[str] | None) -> list[str]:
    """Return the names that match a pattern, or that have a part that matches it."""
    return [n for n in names if not patterns or any(fnmatch(part, p) for p in patterns for part in (n, *n.split("/")))]


def prepared(problem: Problem, intercept: bool = True) -> tuple[Any, np.ndarray, Task]:
    """Return the data in the coordinates of the problem, and its objective."""
    X, y = problem.load()
    if problem.coordinates == "standardized":
        X = StandardScaler().fit_transform(X)
    alpha = 1.0 / len(y) if problem.penalty == "l2" else L1_FRACTION * steepest(problem.loss, X, y, intercept)
    epsilon = LOSSES[problem.loss].tube * float(np.std(y))
    return X, y, Task(problem.loss, problem.penalty, alpha, len(y), epsilon, QUANTILE, intercept)


def ours(task: Task, tol: float, n_jobs: int):
    options = {"loss": task.loss, "penalty": task.penalty, "alpha": task.alpha, "epsilon": task.epsilon}
    options |= {"fit_intercept": task.intercept, "tol": tol, "n_jobs": n_jobs, "random_state": 0}
    if LOSSES[task.loss].kind == "labels":
        return GDClassifier(**options)
    return GDRegressor(**options, quantile=task.quantile)


# ---------------------------------------------------------------- measurements
def measured(problem: Problem, options) -> tuple[str, dict[str, list[Run]], float]:
    """Return the shape of the data, the runs of all methods, and the minimum."""
    X, y, task = prepared(problem, not options.no_intercept)
    value = objective(task)
    lowest = value(ours(task, 1e-10, options.threads).fit(X, y), X, y)
    contenders: dict[str, Contender] = {"skgd auto": by_max_iter(ours(task, TOLERANCE, options.threads), ITERATIONS)}
    contenders |= peers(task, problem.coordinates == "text", options.quick)
    found = {}
    for label, contender in contenders.items():
        if options.quick:
            contender = contender._replace(budgets=contender.budgets[::5])
        found[label] = runs(contender, X, y, value, goal_of(lowest), options.limit, options.repeat)
    return f"{X.shape[0]} x {X.shape[1]}", found, minimum_of(lowest, found)


def ratios(times: dict[str, list[float]]) -> tuple[list[float], str]:
    """Return the seconds of the best peer over those of skgd for each target, and the name of the best at the last one.

    The ratio is infinite if no peer is that close in time, zero if only a peer is, and NaN if none is.
    """
    best = np.min([times[label] for label in times if label != "skgd auto"] or [[np.inf] * len(TARGETS)], axis=0)
    with np.errstate(invalid="ignore"):
        found = [np.nan if b == t == np.inf else b / t for b, t in zip(best, times["skgd auto"], strict=True)]
    reached = [label for label in times if label != "skgd auto" and times[label][-1] < np.inf]
    return found, min(reached, key=lambda label: times[label][-1], default="no peer")


def summary(times: dict[str, dict[str, list[float]]]) -> None:
    """Print the seconds of the best peer over those of skgd, for each problem and on the whole."""
    print(
        "\nSeconds of the best peer over those of skgd, at each gap: above 1 skgd is faster.  A dash: none comes that close.\n"
    )
    print(header("best peer / skgd", WIDTH) + "  best peer at the last")
    table = {name: ratios(found) for name, found in times.items()}
    for name, (found, best) in table.items():
        print(f"{name:{WIDTH}s}" + "".join(f"{cell(ratio):>12s}" for ratio in found) + f"  {best}")
    columns = np.array([found for found, _ in table.values()]).T
    with np.errstate(divide="ignore"):
        both = [column[np.isfinite(column) & (column > 0.0)] for column in columns]
    rows = {
        "geometric mean where both are that close": [f"{np.exp(np.log(c).mean()):.2f}" if c.size else "-" for c in both],
        "smallest": [f"{c.min():.2f}" if c.size else "-" for c in both],
        "problems where both are that close": [str(c.size) for c in both],
        "problems where the best peer is faster": [str(int((c < 1.0).sum())) for c in both],
        "problems where only skgd is that close": [str(int(np.isposinf(c).sum())) for c in columns],
        "problems where only a peer is that close": [str(int((c == 0.0).sum())) for c in columns],
    }
    print()
    for label, cells in rows.items():
        print(f"{label:{WIDTH}s}" + "".join(f"{text:>12s}" for text in cells))


def cell(ratio: float) -> str:
    return "-" if np.isnan(ratio) else "only skgd" if ratio == np.inf else "only peer" if ratio == 0.0 else f"{ratio:.2f}"


def main() -> None:
    parser = options_of(__doc__)
    add_limits(parser)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names or patterns of problems, or of a part of their names")
    parser.add_argument("--no-intercept", action="store_true", help="fit no intercept, which some peers penalise")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    selected = problems(options.quick)
    names = chosen(list(selected), options.only)
    if not names:
        parser.error("no problem has such a name; there are " + ", ".join(selected))
    warnings.simplefilter("ignore")  # fits that use up their budget warn, as they should

    print(hardware())
    print(versions(("numpy", "scipy", "scikit-learn", "numba", "skgd", *OPTIONAL)))
    missing = [package for package in OPTIONAL if not installed(package)]
    print(f"not installed, so left out: {', '.join(missing) or 'none'}; {options.threads} thread(s), limit {options.limit:g} s")
    if options.quick:
        print("quick: skglm is left out, because it compiles for seconds; these figures mean nothing")
    results, minima, times = {}, {}, {}
    with threadpool_limits(options.threads):
        for name in names:
            shape, results[name], minima[name] = measured(selected[name], options)
            times[name] = {label: times_to(found, minima[name]) for label, found in results[name].items()}
            print("\n" + header(f"{name}, {shape}", WIDTH))
            for label, seconds in times[name].items():
                print(line(label, seconds, WIDTH), flush=True)
    summary(times)
    if options.plot:
        draw(results, minima, options.plot)


if __name__ == "__main__":
    main()
