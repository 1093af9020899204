"""The command line.

``python -m skgd`` prints versions, the cache folder and the number of threads; ``python -m skgd compile`` fills the cache.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
import warnings
from functools import partial
from itertools import product
from typing import Any

import joblib
import numpy as np
import scipy
import scipy.sparse as sp
import sklearn
from sklearn.exceptions import ConvergenceWarning

from . import GDClassifier, GDRegressor, __version__
from .compiled.cache import CACHE_FOLDER, NUMBA_VERSION
from .solvers.rules import STOCHASTIC_SOLVERS


def show() -> None:
    """Print the information that a bug report needs."""
    versions = {
        "skgd": __version__,
        "Python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "Numba": NUMBA_VERSION,
    }
    for name, version in versions.items():
        print(f"{name:14s}{version}")
    print(f"{'platform':14s}{platform.platform()}")
    print(f"{'cache':14s}{CACHE_FOLDER or 'none: set NUMBA_CACHE_DIR to a folder that you, and nobody else, can write to'}")
    print(f"{'threads':14s}{joblib.effective_n_jobs(-1)} (n_jobs=-1)")


def common_cases() -> list[tuple[str, Any, Any, Any]]:
    """Common cases of all storages, dtypes and solvers, and of several losses: tuples of a name, an estimator, X and y."""
    rng = np.random.default_rng(0)
    label, target = np.arange(80), rng.standard_normal(80)
    tall, wide = rng.standard_normal((80, 3)), rng.standard_normal((8, 1500))  # wide: gd uses a diagonal Hessian
    storages = {
        f"{shape}{kind} {dtype}": make(X.astype(dtype))
        for shape, X in {"": tall, "wide ": wide}.items()
        for kind, make in {"dense": np.ascontiguousarray, "CSR": sp.csr_matrix}.items()
        for dtype in ("float64", "float32")
    }
    problems: dict[str, tuple[Any, Any]] = {
        "log loss": (GDClassifier, label % 2),
        "softmax": (GDClassifier, label % 3),
        "squared error": (GDRegressor, target),
        "Huber": (partial(GDRegressor, "huber"), target),
    }
    solvers = [("gd", "l2"), ("gd", "l1"), *((name, "l2") for name in STOCHASTIC_SOLVERS)]
    cases = [
        (*case, solver)
        for case in product(storages, problems)
        for solver in ([("gd", None)] if case[0].startswith("wide") else solvers)
    ]
    text = 0.1 * sp.eye_array(80, 2000, format="csr")  # with so many sparse columns the dual problem is solved
    storages |= {f"text {dtype}": text.astype(dtype) for dtype in ("float64", "float32")}
    problems["hinge"] = partial(GDClassifier, "hinge"), label % 2
    cases += product(("text float64", "text float32"), ("log loss", "softmax", "hinge"), [("auto", "l2")])
    return [
        (
            f"{storage}, {problem}, {solver}",
            problems[problem][0](solver=solver, penalty=penalty, max_iter=2),
            storages[storage],
            problems[problem][1][: storages[storage].shape[0]],
        )
        for storage, problem, (solver, penalty) in cases
    ]


def compile_all() -> None:
    """Fit every common case once, so that its kernels are in the cache."""
    cases, start = common_cases(), time.perf_counter()
    for number, (name, estimator, X, y) in enumerate(cases, 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(X, y)
        filled = 30 * number // len(cases)
        print(f"\r[{'#' * filled:30s}] {number}/{len(cases)} {name}".ljust(78), end="", flush=True)
    print(f"\nCompiled in {time.perf_counter() - start:.0f} s: {CACHE_FOLDER or 'for this process only, there is no cache'}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m skgd", description="Print versions, cache folder and threads.")
    parser.add_argument("command", nargs="?", choices=["compile"], help="fill the cache of compiled kernels")
    if parser.parse_args(arguments).command == "compile":
        compile_all()
    else:
        show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
