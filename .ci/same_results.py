"""Whether the package computes what it computed before: some 260 models, saved by one commit and fitted again by another.

A change that only moves code leaves every bit as it was.  Save the results of the package as it was before the change, and
compare them with those of the package as it is after it, on the same machine and with the same libraries:

    PYTHONPATH=/tmp/before python .ci/same_results.py save /tmp/before.npz
    PYTHONPATH=. python .ci/same_results.py compare /tmp/before.npz [--rtol 1e-9] [--only TEXT]

Only the public API is used.  Saved are coefficients, predictions, loss curves and what a fit says of itself, its warnings and
errors too.  The status is 1 where coefficients or predictions of a model differ by more than `rtol` of the largest of them,
where another dtype, error, warning or answer to "converged?" came out, or where a model is missing.  With `rtol` 0 every bit
counts, of numbers of iterations, curves and gaps too.  A change that is meant to change results shows here by how much.

Two things that are not the package's code could change last bits, so they are held fixed: the threads of BLAS, and whether
kernels come from the cache.  In old commits some kernels round otherwise in the process that has compiled them.  So if any
kernel was compiled, all models are fitted again in a new process, and only these fits count.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1") | {"NUMBA_NUM_THREADS": "2"}

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numba.core.event import install_recorder
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgd
from skgd.batches import mapped, parquet

# ---------------------------------------------------------------- data
SHARED = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
LOSSES = [
    *product(["classes"], ("log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron", *SHARED)),
    *product(["numbers"], (*SHARED, "quantile")),
    *product(["counts"], ("poisson", "gamma")),
]
FORMS = {
    "fortran": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "csr": sp.csr_matrix,
    "csr float32": lambda X: sp.csr_matrix(X.astype(np.float32)),
    "csr int64": lambda X: _with_long_indices(sp.csr_array(X)),
    "csc": sp.csc_matrix,
    "dependent": lambda X: np.column_stack([X, X[:, 0] - X[:, 3], np.full(len(X), 7.0)]),
}


class Rows(NamedTuple):
    X: Any
    y: np.ndarray
    s: np.ndarray  # weights, some of them zero

    def part(self, first: int, end: int) -> Rows:
        return Rows(*(values[first:end] for values in self))

    def parts(self, size: int) -> list[tuple[Any, ...]]:
        return [tuple(self.part(first, first + size)) for first in range(0, len(self.y), size)]


def _with_long_indices(X: sp.csr_array) -> sp.csr_array:
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


@cache
def rows(kind: str, several: int = 0, n: int = 800, d: int = 9, decades: float = 4.0, words: int = 0, form: str = "") -> Rows:
    """Rows with targets of a kind, "classes", "numbers" or "counts"; `several`: four classes, or two targets.

    Columns are correlated, some skewed and one a flag, with offsets, and in units that spread over so many decades; or they are
    logarithms of counts of words, of which a few are frequent and most are rare.
    """
    rng = np.random.default_rng([n, d])
    factors, mixing = rng.normal(size=(n, 4)), rng.normal(size=(4, d))
    if words:
        X = np.log1p(rng.poisson(np.exp(0.8 * factors @ mixing) / np.arange(1, d + 1) ** 0.7))
    else:
        X = factors @ mixing + rng.normal(size=(n, d))
        X[:, ::4], X[:, 1] = np.exp(0.5 * X[:, ::4]), X[:, 1] > 0.5
        X = (X + 3.0 * rng.normal(size=d)) * rng.permutation(np.logspace(-decades / 2, decades / 2, d))
    Y = factors @ rng.normal(size=(4, 2)) + 0.7 * rng.standard_t(4, size=(n, 2))
    if kind == "classes":
        y = np.digitize(Y[:, 0], np.quantile(Y[:, 0], [0.2, 0.5, 0.8] if several else [0.6]))
    else:
        Y = rng.poisson(np.exp(0.4 * Y)) + 0.5 if kind == "counts" else 20.0 + 5.0 * Y
        y = Y if several else Y[:, 0]
    return Rows(FORMS[form](X) if form else X, y, rng.integers(0, 4, size=n).astype(float))


# ---------------------------------------------------------------- ways to fit
def _path(model: Any, r: Rows) -> Any:
    for alpha in (1e-1, 1e-2, 1e-3):
        model.set_params(alpha=alpha, warm_start=True).fit(r.X, r.y)
    return model


def _stream(model: Any, r: Rows) -> Any:
    classes = {"classes": np.unique(r.y)} if hasattr(model, "class_weight") else {}
    for X, y, s in r.parts(70):
        model.partial_fit(X, y, sample_weight=s, **classes)
    return model


def _folded(model: Any, r: Rows) -> Any:
    return skgd.fold(make_pipeline(StandardScaler(), PCA(5), model).fit(r.X, r.y))


def _files(model: Any, r: Rows) -> Any:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    columns = {f"x{number}": column for number, column in enumerate(r.X.T)} | {"y": r.y, "s": r.s}
    with tempfile.TemporaryDirectory() as folder:
        write_table(pa.table(columns), f"{folder}/rows.parquet", row_group_size=300)
        return model.fit_batches(parquet(folder, target="y", weight="s", batch_size=200))


@cache
def _client() -> Any:
    from distributed import Client

    return Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50)


def _lazy(values: Any) -> Any:
    import dask.array as da

    return da.from_array(values, chunks=(450, *values.shape[1:]))


def _cluster(model: Any, r: Rows) -> Any:
    from skgd import dask

    kind = getattr(dask, f"Dask{type(model).__name__}")
    return kind(**model.get_params(), client=_client()).fit(*map(_lazy, r))


WAYS = {
    "fit": lambda model, r: model.fit(r.X, r.y),
    "weighted": lambda model, r: model.fit(r.X, r.y, r.s),
    "names": lambda model, r: model.fit(r.X, np.array(list("dacb"))[r.y]),
    "shares": lambda model, r: model.fit(r.X, 0.7 * np.eye(4)[r.y] + 0.075),
    "begun": lambda model, r: model.fit(r.X, r.y, coef_init=np.full(r.X.shape[1], 1e-3)),
    "path": _path,  # of falling alphas, each from where the one before ended
    "watched": lambda model, r: model.fit(r.X[200:], r.y[200:], X_val=r.X[:200], y_val=r.y[:200], sample_weight_val=r.s[:200]),
    "stream": _stream,
    "fit, stream": lambda model, r: _stream(model.fit(r.X[:300], r.y[:300]), r),
    "fold": _folded,
    "fold, stream": lambda model, r: _stream(_folded(model, r.part(0, 300)), r),
    "batches": lambda model, r: model.fit_batches(r.parts(170)),
    "mapped": lambda model, r: model.fit_batches(mapped(lambda f: [f(i, part) for i, part in enumerate(r.parts(170))])),
    "files": _files,
    "cluster": _cluster,
}

# ---------------------------------------------------------------- the table of cases: ways x losses x rows x parameters
FOUR = [("classes", "log_loss"), ("classes", "hinge"), ("numbers", "squared_error"), ("numbers", "quantile")]
TWO, LOG_LOSS = FOUR[::2], FOUR[:1]
ONE, MANY, WIDE, WORDS = {}, {"several": 1}, {"n": 300, "d": 340}, {"n": 600, "d": 60, "words": 1}
TEXT, BIG = {"n": 400, "d": 3000, "words": 1, "form": "csr"}, {"n": 3000, "d": 210}  # BIG is enough for threads
AUTO, GD, SGD, ADAM = ({"solver": solver} for solver in ("auto", "gd", "sgd", "adam"))
L1, PLAIN, EARLY = {"penalty": "l1"}, {"penalty": None}, {"early_stopping": True}
CONSTANT = {"learning_rate": "constant", "eta0": 1e-3, "standardize": True}
FALLING, ADAPTIVE = CONSTANT | {"learning_rate": "invscaling"}, CONSTANT | {"learning_rate": "adaptive"}
SOME, UNLIKE = {"positive": [True, False, False] * 3}, {"alpha": [1e-5, 1e-1, 1e-3] * 3}
STORED = [form for form in FORMS if form != "dependent"]
GRIDS = [  # in a line, everything is combined with everything
    (["weighted"], LOSSES, [ONE], [AUTO]),
    (["fit"], LOSSES[-2:], [ONE], [SGD | {"learning_rate": "auto"}]),  # which is refused
    (["fit"], TWO, [WORDS | {"form": form} for form in STORED], [GD]),
    (["fit"], [FOUR[1], ("numbers", "huber")], [WORDS | MANY | {"form": form} for form in STORED], [SGD]),
    (["fit"], FOUR, [{"decades": 16.0}], [GD, SGD]),
    (["fit"], FOUR, [WIDE, TEXT], [AUTO]),  # dual ascent, where the loss has it
    (["fit"], FOUR, [ONE], [{"positive": True}, SGD | L1 | SOME]),
    (["fit"], TWO, [{"form": "dependent"}], [PLAIN]),
    (["fit"], TWO, [WIDE], [L1, PLAIN]),
    (["fit"], TWO, [BIG], [{"n_jobs": 1}, {"n_jobs": 2}]),
    (["fit"], TWO, [ONE], [{"alpha": 0.0}, {"alpha": 1e-10}, UNLIKE, {"fit_intercept": False}, {"standardize": False}]),
    (["fit"], TWO, [ONE], [{"max_iter": 2}, {"tol": 1e-10}, {"tol": None, "max_iter": 7}]),
    (["fit"], LOG_LOSS, [ONE], [SGD | ADAPTIVE, SGD | FALLING, ADAM | CONSTANT, GD | CONSTANT | {"momentum": 0.9}]),
    (["fit"], LOG_LOSS, [ONE], [SGD | {"learning_rate": "optimal"}, SGD | {"momentum": 0.5, "shuffle": False}]),
    (["fit"], TWO[1:], [ONE], [SGD | {"average": 500, "batch_size": 7}, ADAM | {"beta_1": 0.8, "average": True}]),
    (["weighted"], LOG_LOSS, [MANY], [{"class_weight": "balanced"}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5, 3: 2.0}}]),
    (["names", "shares"], LOG_LOSS, [MANY], [GD]),
    (["begun"], LOG_LOSS, [ONE], [{"max_iter": 2}]),
    (["path"], TWO, [ONE], [L1, SGD, ADAM]),
    (["fit"], TWO, [ONE], [EARLY | GD, EARLY | SGD, EARLY | ADAM]),
    (["watched"], TWO, [ONE], [EARLY | {"scoring": "loss"}]),
    (["stream"], LOSSES[:5] + LOSSES[9:10], [MANY], [AUTO]),
    (["stream"], LOSSES[-3:], [ONE], [FALLING]),
    (["stream"], TWO, [ONE], [ADAM, L1, SGD | CONSTANT | {"average": True}]),
    (["stream"], LOG_LOSS, [WORDS | {"form": "csr"}], [SGD]),
    (["fit, stream", "fold", "fold, stream"], TWO, [ONE], [AUTO]),
    (["batches", "mapped"], TWO, [MANY], [GD, SGD, ADAM]),
    (["batches"], [FOUR[1], FOUR[3], LOSSES[-2]], [ONE], [AUTO]),
    (["batches"], LOG_LOSS, [WORDS | {"form": "csr"}], [L1]),
    (["files"] if find_spec("pyarrow") else [], LOG_LOSS, [ONE], [GD]),
    (["cluster"] if find_spec("dask") and find_spec("distributed") else [], TWO, [MANY | {"n": 2000}], [GD, SGD, ADAM]),
]


def table() -> Iterator[tuple[str, tuple[str, str], dict[str, Any], dict[str, Any]]]:
    """All cases: every loss with every solver and penalty, and the grids.

    SGD and Adam take turns with the penalties, and one and several columns of scores with everything.  Losses for both classes
    and numbers meet half of the penalties as the one, and half as the other.
    """
    for (i, pair), (j, penalty) in product(enumerate(LOSSES), enumerate((None, "l2", "l1", "elasticnet"))):
        if pair[1] not in SHARED or (j % 2 == 0) == (pair[0] == "classes"):
            yield "fit", pair, {"several": (i + j // 2) % 2}, GD | {"penalty": penalty}
            yield "fit", pair, {"several": (i + j + j // 2) % 2}, (SGD, ADAM)[(i + j // 2) % 2] | {"penalty": penalty}
    for grid in GRIDS:
        yield from product(*grid)


def estimator(pair: tuple[str, str], how: dict[str, Any]) -> Any:
    """With a rate, an alpha and a number of iterations that suit it where the case does not say."""
    (kind, loss), stochastic = pair, how.get("solver") in ("sgd", "adam")
    alpha = {None: 1e-4, "l2": 1e-3, "l1": 1e-2, "elasticnet": 3e-2}[how.get("penalty", "l2")]
    rate = FALLING if (kind == "counts" and stochastic) or (loss == "perceptron" and how.get("solver") == "gd") else {}
    suited = {"alpha": alpha, "random_state": 0, "max_iter": 25 if stochastic else 300, **rate}
    return (skgd.GDClassifier if kind == "classes" else skgd.GDRegressor)(loss, **suited | how)


# ---------------------------------------------------------------- results
Result = dict[str, np.ndarray]


def result(way: str, pair: tuple[str, str], data: dict[str, Any], how: dict[str, Any]) -> Result:
    """What the fit gave: "state" is what has to be equal as text, "values..." are compared by size, others by bits only."""
    r, methods = rows(pair[0], **data), ("decision_function", "predict_proba") if pair[0] == "classes" else ("predict",)
    X = _lazy(r.X[:50]) if way == "cluster" else r.X[:50]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = WAYS[way](estimator(pair, how), r)
            values = {name: np.asarray(getattr(model, name)(X)) for name in methods if hasattr(model, name)}
        except Exception as error:
            return {"state": np.array(f"{type(error).__name__}: {error}")}
    values |= {"coef_": model.coef_, "intercept_": model.intercept_}
    kinds = Counter(w.category.__name__ for w in caught if issubclass(w.category, UserWarning | RuntimeWarning))
    told = [model.converged_, model.gap_kind_, *sorted(kinds.items()), *(f"{v.dtype}{v.shape}" for v in values.values())]
    curves = [getattr(model, name, None) or [] for name in ("loss_curve_", "validation_scores_")]
    return {
        "state": np.array(" ".join(map(str, told))),
        "n_iter": np.array(model.n_iter_),
        "curves": np.concatenate([*curves, [model.gap_]]),
        **{f"values {name}": v for name, v in values.items()},
    }


def results(only: str) -> Iterator[tuple[str, Result]]:
    """Of all cases whose name contains the text, each printed with its time."""
    for way, pair, data, how in table():
        name = " ".join([way, *pair, *(f"{key}={value}" for key, value in (data | how).items())])
        if only in name:
            start = time.perf_counter()
            found = result(way, pair, data, how)
            print(f"{1e3 * (time.perf_counter() - start):9.1f} ms  {name}", flush=True)
            yield name, found


def difference(old: Result, new: Result) -> float:
    """The largest of the relative differences of coefficients and predictions; infinite where states differ."""
    if old["state"] != new["state"]:
        return np.inf
    pairs = [(old[key].astype(float), new[key].astype(float)) for key in old if key.startswith("values")]
    with np.errstate(all="ignore"):
        shares = [np.max(np.abs(a - b)) / np.max(np.abs(a)) for a, b in pairs if not np.array_equal(a, b, equal_nan=True)]
    return float(np.nan_to_num(max(shares, default=0.0), nan=np.inf))


def report(before: dict[str, Result], now: dict[str, Result], rtol: float) -> int:
    """Print what differs; the status."""
    shared = [name for name in before if name in now]
    sizes = {name: difference(before[name], now[name]) for name in shared}
    same = {n for n in shared if all(before[n][key].tobytes() == now[n].get(key, np.empty(0)).tobytes() for key in before[n])}
    for name in (name for name in shared if name not in same):
        old, new = before[name], now[name]
        print(f"{sizes[name]:9.1e}  n_iter {old.get('n_iter')} -> {new.get('n_iter')}  {name}")
        if sizes[name] == np.inf:
            print(f"{'':11s}{old['state']}\n{'':11s}{new['state']}")
    lost = [name for name in {**before, **now} if name not in sizes]
    for name in lost:
        print(f"  missing {'now' if name in before else 'before'}: {name}")
    worst = max(sizes, key=sizes.__getitem__, default="")
    largest = f"largest difference {sizes[worst]:.0e} ({worst})" if sizes.get(worst) else "no coefficient differs"
    print(f"{len(same)} of {len(before)} models have the same bits; {largest}")
    return int(bool(lost) or any(size > rtol for size in sizes.values()) or (rtol == 0 and len(same) < len(shared)))


def saved(path: Path, only: str) -> dict[str, Result]:
    found: dict[str, Result] = {}
    with np.load(path) as file:
        for key in file.files:
            name, field = key.split("|")
            if only in name:
                found.setdefault(name, {})[field] = file[key]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("action", choices=("save", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--rtol", type=float, default=0.0)
    parser.add_argument("--only", default="", metavar="TEXT", help="models whose name contains it")
    asked = parser.parse_args()
    start = time.perf_counter()
    with install_recorder("numba:compile") as compiled:
        now = dict(results(asked.only))
    print(f"{len(now)} models of {Path(skgd.__file__).parent} in {time.perf_counter() - start:.1f} s", flush=True)
    if compiled.buffer and "SAME_RESULTS_AGAIN" not in os.environ:
        print("Kernels were compiled.  Once more, with those of the cache:", flush=True)
        return subprocess.call([sys.executable, *sys.argv], env={**os.environ, "SAME_RESULTS_AGAIN": "1"})
    if compiled.buffer:
        print("Kernels were compiled again, so that last bits may differ: there is no cache, see NUMBA_CACHE_DIR.")
    if asked.action == "compare":
        return report(saved(asked.file, asked.only), now, asked.rtol)
    np.savez(asked.file, **{f"{name}|{field}": value for name, found in now.items() for field, value in found.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
