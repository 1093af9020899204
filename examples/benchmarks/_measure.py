"""What the benchmarks share: their options, the timing of fits with growing budgets, tables of times, and pictures."""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

TARGETS = (1e-2, 1e-4, 1e-6)
TOLERANCE = 1e-14
BUDGETS = np.unique(np.geomspace(1, 10_000, 40).astype(int)).tolist()
FAILURES = (ArithmeticError, ValueError, np.linalg.LinAlgError)
QUICK = {"limit": 0.02, "repeat": 1}  # what --quick sets


class Run(NamedTuple):
    """The result of one method with one budget."""

    seconds: float
    objective: float


class Contender(NamedTuple):
    """A method: a function that returns its estimator for a budget, its budgets, and that of a first fit, which compiles."""

    estimator: Callable[[Any], Any]
    budgets: list[Any]
    first: Any


def by_max_iter(model, budgets=BUDGETS) -> Contender:
    """Let max_iter be the budget.  Direct solvers ignore it, so they are measured once."""
    budgets = [None] if getattr(model, "solver", None) == "cholesky" else budgets
    return Contender(lambda budget: model.set_params(max_iter=budget), budgets, budgets[0])


# ---------------------------------------------------------------- options
def options_of(doc: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="check in seconds that all works; its figures mean nothing")
    parser.add_argument("--plot", metavar="FILE", help="save a picture")
    return parser


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options of benchmarks that fit with growing budgets."""
    parser.add_argument("--limit", type=float, default=1.0, help="seconds after which no larger budget of a method is tried")
    parser.add_argument("--repeat", type=int, default=3, help="number of fits for each budget, of which the fastest counts")
    parser.add_argument("--threads", type=int, default=1, help="number of threads of BLAS and of skgd (n_jobs)")


def hardware() -> str:
    """Describe the processor and the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def versions(packages: Iterable[str]) -> str:
    """List the versions of Python and of those packages that are installed."""
    found = [f"python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


# ---------------------------------------------------------------- data
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


# ---------------------------------------------------------------- timing
def runs(contender: Contender, X, y, objective, goal: float, limit: float, repeat: int) -> list[Run]:
    """Fit with growing budgets until a fit reaches the goal, takes longer than `limit` seconds or fails."""
    found: list[Run] = []
    try:
        for run in _runs(contender, X, y, objective, goal, limit, repeat):
            found.append(run)
    except FAILURES as error:  # the method gives up on these columns; what it reached before counts
        print(f"{type(contender.estimator(contender.first)).__name__}: {str(error).splitlines()[0][:100]}")
    return found


def _runs(contender: Contender, X, y, objective, goal: float, limit: float, repeat: int) -> Iterator[Run]:
    contender.estimator(contender.first).fit(X, y)
    for budget in contender.budgets:
        seconds: list[float] = []
        while len(seconds) < repeat and sum(seconds) <= limit:
            model = contender.estimator(budget)
            start = time.perf_counter()
            model.fit(X, y)
            seconds.append(time.perf_counter() - start)
        run = Run(min(seconds), objective(model, X, y))
        yield run
        if run.objective <= goal or run.seconds > limit:
            break


def goal_of(lowest: float) -> float:
    """Return the objective at which no larger budget is needed, given the smallest objective known."""
    return lowest * (1.0 + 0.5 * TARGETS[-1])


def minimum_of(lowest: float, results: dict[str, list[Run]]) -> float:
    """Return the smallest objective of all."""
    return min(lowest, *(run.objective for found in results.values() for run in found))


def times_to(found: list[Run], minimum: float) -> list[float]:
    """Return the seconds until a fit is within each target of the minimum, or infinity."""
    return [
        min((run.seconds for run in found if run.objective <= minimum * (1.0 + target)), default=np.inf) for target in TARGETS
    ]


# ---------------------------------------------------------------- tables and pictures
def header(title: str, width: int = 36) -> str:
    return f"{title:{width}s}" + "".join(f"{f'to {target:g}':>12s}" for target in TARGETS)


def line(label: str, times: list[float], width: int = 36) -> str:
    return f"{label:{width}s}" + "".join("           -" if t == np.inf else f"{t:10.4f} s" for t in times)


def panels(count: int):
    """Return a figure and its axes, three in a line."""
    import matplotlib.pyplot as plt

    columns = min(count, 3)
    lines = -(-count // columns)
    figure, found = plt.subplots(lines, columns, figsize=(5.2 * columns, 4.6 * lines), squeeze=False, layout="constrained")
    for axes in found.flat[count:]:
        axes.set_axis_off()
    return figure, found.flat[:count]


def save(figure, path: str) -> None:
    figure.savefig(path, dpi=110)
    print(f"\nSaved {path}")


def draw(results: dict[str, dict[str, list[Run]]], minima: dict[str, float], path: str) -> None:
    """Save a picture of the gap over the seconds, with a panel for each problem."""
    figure, found = panels(len(results))
    for axes, (name, methods) in zip(found, results.items(), strict=True):
        for label, values in methods.items():
            line = "-o" if label.startswith("skgd") else "--."
            gaps = [max(value.objective / minima[name] - 1.0, 1e-10) for value in values]
            axes.loglog([value.seconds for value in values], gaps, line, label=label, ms=4)
        axes.set(title=name, xlabel="seconds", ylabel="relative gap to the minimum", ylim=(1e-7, 1e3))
        axes.grid(color="0.93")
        axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def draw_bars(tables: dict[str, dict[str, dict[str, float]]], path: str) -> None:
    """Save a picture with a panel for each table {title: {row: {column: value}}}."""
    figure, found = panels(len(tables))
    for axes, (title, rows) in zip(found, tables.items(), strict=True):
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        for number, column in enumerate(columns):
            places = np.arange(len(rows)) + 0.8 * (number + 0.5) / len(columns) - 0.4
            axes.barh(places, [row.get(column, np.nan) for row in rows.values()], 0.8 / len(columns), label=column)
        axes.set_yticks(np.arange(len(rows)), list(rows), fontsize=7)
        values = [value for row in rows.values() for value in row.values()]
        axes.set(title=title, xscale="log" if max(values) > 20.0 * min(values) > 0.0 else "linear")
        axes.invert_yaxis()
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=len(columns))
    save(figure, path)
