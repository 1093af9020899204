"""Measure fits of memory maps, batches and Dask: memory, equal results, rounds, their overhead, recovery from a lost worker.

    python examples/benchmarks/large.py [--gigabytes 6] [--quick] [--plot FILE] [memory-map] [batches] [dask]

All data is generated in a temporary folder.  The script does not try to show a speed-up, which two cores could not do.  The
memory is the peak of what the process allocates beyond what it held before the call, without the pages of mapped files.
"""

import os
import signal
import tempfile
import threading
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from _measure import draw_bars, options_of

from skgd import GDClassifier, GDRegressor

COLUMNS = 500
SCALES = np.logspace(-2, 2, COLUMNS)
CLUSTER = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
FIGURES = {"seconds": {}, "MiB": {}}  # what --plot draws


class Measured:
    """Measure the seconds and the peak of the memory while the block runs."""

    def __enter__(self):
        self.peak = self.before = _anonymous()
        self.running, self.thread = True, threading.Thread(target=self._watch)
        self.thread.start()
        self.start = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.seconds, self.running = time.perf_counter() - self.start, False
        self.thread.join()
        self.mebibytes = self.peak - self.before

    def _watch(self):
        while self.running:
            self.peak = max(self.peak, _anonymous())
            time.sleep(0.005)


def _anonymous():
    """Return the memory of the process in MiB, without the pages of mapped files (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def row(name, measured, *more):
    FIGURES["seconds"][name], FIGURES["MiB"][name] = {"skgd": measured.seconds}, {"skgd": measured.mebibytes}
    print(f"  {name:34s}{measured.seconds:8.2f} s {measured.mebibytes:8.0f} MiB  ", *more, flush=True)


def drawn(rows, seed, dtype=np.float64, columns=COLUMNS):
    """Return raw columns of different scales, and noisy scores."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(rows, columns))
    z = Z @ np.random.default_rng(0).normal(size=columns) / np.sqrt(columns) + rng.logistic(size=rows)
    return (Z * SCALES[:columns] + 3.0).astype(dtype), z


# ---------------------------------------------------------------- memory maps
def memory_map(folder, gigabytes):
    """Compare a memory map of float32 with the same rows in memory."""
    rows, piece = int(gigabytes * 1e9 / 4 / COLUMNS), 20_000
    print(f"memory map: {rows} x {COLUMNS} float32, {gigabytes} GB, in the page cache")
    path = folder / "X.dat"
    stored, z = np.memmap(path, np.float32, "w+", shape=(rows, COLUMNS)), np.empty(rows)
    for first in range(0, rows, piece):
        part = slice(first, min(first + piece, rows))
        stored[part], z[part] = drawn(part.stop - part.start, first + 1, np.float32)
    stored.flush()
    del stored
    y = (z > 0).astype(np.int8)
    calls = {
        "classifier": lambda X: GDClassifier().fit(X, y),
        "regressor": lambda X: GDRegressor().fit(X, z),
        "classifier, sgd, 3 epochs": lambda X: GDClassifier(solver="sgd", max_iter=3, tol=None, random_state=0).fit(X, y),
        "predict": lambda X: model.predict(X),
        "predict_proba": lambda X: model.predict_proba(X),
    }
    few = np.array(np.memmap(path, np.float32, "r", shape=(rows, COLUMNS))[:20_000])
    model = GDClassifier().fit(few, y[:20_000])
    for name in ("regressor", "classifier, sgd, 3 epochs"):  # which compiles their kernels
        y, z, whole = y[:20_000], z[:20_000], (y, z)
        calls[name](few)
        y, z = whole
    times = {}
    for where, X in (("mapped", np.memmap(path, np.float32, "r", shape=(rows, COLUMNS))), ("in memory", None)):
        X = np.fromfile(path, np.float32).reshape(rows, COLUMNS) if X is None else X
        for name, call in calls.items():
            with Measured() as measured:
                call(X)
            times.setdefault(name, []).append(measured.seconds)
            row(f"{name}, {where}", measured, f"{times[name][0] / times[name][-1]:.2f} times" if len(times[name]) > 1 else "")
        del X


# ---------------------------------------------------------------- batches
class Counted:
    """Batches that are generated again in every pass, with a count of the passes."""

    def __init__(self, rows, size, columns):
        self.rows, self.size, self.columns, self.passes = rows, size, columns, 0

    def __iter__(self):
        self.passes += 1
        for first in range(0, self.rows, self.size):
            X, z = drawn(self.size, first + 1, columns=self.columns)
            yield X, (z > 0).astype(int)


def objective(model, X, y):
    """Return the objective of GDClassifier with default parameters on all rows."""
    z = X @ model.coef_[0] + model.intercept_[0]
    return np.mean(np.logaddexp(0.0, z) - y * z) + 0.5e-4 * np.sum(model.coef_**2)


def batches(rows):
    """Compare fits of batches with a fit of all rows."""
    size, columns = rows // 20, 30
    print(f"batches: {rows} x {columns} in batches of {size}")
    in_memory = list(Counted(rows, size, columns))
    X, y = (np.concatenate(values) for values in zip(*in_memory, strict=True))
    del in_memory
    for tol in (1e-4, 1e-8):
        with Measured() as measured:
            together = GDClassifier(tol=tol).fit(X, y)
        row(f"fit, tol={tol:g}", measured)
        for solver in ("auto", "gd", "sgd", "adam"):
            stream = Counted(rows, size, columns)
            model = GDClassifier(solver=solver, tol=tol, random_state=0, max_iter=20)
            with warnings.catch_warnings(), Measured() as measured:
                warnings.simplefilter("ignore")
                model.fit_batches(stream, classes=[0, 1])
            above = objective(model, X, y) / objective(together, X, y) - 1.0
            row(f"fit_batches, {solver}, tol={tol:g}", measured, f"{stream.passes} passes, objective {above:+.1e}")


# ---------------------------------------------------------------- Dask
def on_dask(rows):
    """Compare Dask with the local fit for several chunks and workers; time a round; kill a worker during a fit."""
    import dask.array as da
    from distributed import Client, LocalCluster

    from skgd.dask import DaskGDClassifier, DaskGDRegressor
    from skgd.dask.partitions import DaskPartitions

    X, z = drawn(rows, 1, columns=30)
    y, three = (z > 0).astype(int), np.digitize(z, [-1.0, 1.0])
    local = GDClassifier().fit(X, y), GDClassifier().fit(X, three), GDRegressor().fit(X, z)
    rounds = []
    total = DaskPartitions.total

    def timed(self, query):
        start = time.perf_counter()
        answer = total(self, query)
        rounds.append(time.perf_counter() - start)
        return answer

    DaskPartitions.total = timed
    print(
        f"dask: {rows} x 30, one thread per worker; largest relative difference of coefficients from the local fit, and rounds"
    )
    fits = {"two classes": (DaskGDClassifier, y), "three": (DaskGDClassifier, three), "squares": (DaskGDRegressor, z)}
    for workers in (1, 2, 4):
        with LocalCluster(n_workers=workers, **CLUSTER) as cluster, Client(cluster) as client:
            for chunks in (rows, 3 * rows // 20, 7 * rows // 200):
                dX, cells = client.persist(da.from_array(X, chunks=(chunks, -1))), []
                for (name, (cls, target)), expected in zip(fits.items(), local, strict=True):
                    rounds.clear()
                    model = cls().fit(dX, da.from_array(target, chunks=chunks))
                    difference = np.abs(model.coef_ - expected.coef_).max() / np.abs(expected.coef_).max()
                    cells.append(f"{name} {difference:.0e}, {len(rounds)}")
                print(f"  {workers} workers, chunks of {chunks:6d} rows: {'; '.join(cells)}", flush=True)

    with LocalCluster(n_workers=2, **CLUSTER) as cluster, Client(cluster):
        few = da.from_array(X[:200], chunks=(100, -1)), da.from_array(z[:200], chunks=100)
        DaskGDRegressor("huber", tol=1e-12).fit(*few)
        rounds.clear()
        for _ in range(10):
            DaskGDRegressor("huber", tol=1e-12).fit(*few)
        print(f"  overhead of a round, two processes, 200 rows: median {1e3 * median(rounds):.1f} ms of {len(rounds)}")

        made = da.map_blocks(_block, chunks=((rows // 10,) * 10, (30,)), dtype=float)
        dy = da.from_array(y, chunks=rows // 10)
        with Measured() as whole:
            expected = DaskGDClassifier(tol=1e-10).fit(made, dy)
        victim = next(iter(cluster.workers.values())).pid
        killer = threading.Timer(0.5 * whole.seconds, os.kill, (victim, signal.SIGKILL))
        killer.start()
        with Measured() as interrupted:
            fitted = DaskGDClassifier(tol=1e-10).fit(made, dy)
        killer.join()
        same = np.array_equal(fitted.coef_, expected.coef_)
        print(
            f"  a fit of {whole.seconds:.2f} s; with one of two workers killed in the middle {interrupted.seconds:.2f} s",
            end="",
        )
        print(", equal coefficients" if same else ", OTHER coefficients")


def _block(block_info=None):
    (first, last), _ = block_info[None]["array-location"]
    return drawn(last - first, first + 1, columns=30)[0]


def main():
    parser = options_of(__doc__)
    parser.add_argument("parts", nargs="*", default=["memory-map", "batches", "dask"])
    parser.add_argument("--gigabytes", type=float, default=6.0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "Sending large graph")
    with tempfile.TemporaryDirectory() as folder:
        if "memory-map" in args.parts:
            memory_map(Path(folder), 0.05 if args.quick else args.gigabytes)
    if "batches" in args.parts:
        batches(20_000 if args.quick else 1_000_000)
    if "dask" in args.parts:
        on_dask(2_000 if args.quick else 200_000)
    if args.plot:
        draw_bars(FIGURES, args.plot)


if __name__ == "__main__":
    main()
