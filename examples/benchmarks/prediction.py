"""Measure the time of predictions for one row and for many rows, compared with LogisticRegression and onnxruntime.

    python examples/benchmarks/prediction.py [--quick] [--plot FILE]

For one row, the medians and 99th percentiles are printed in microseconds.  For many rows, the medians are printed in
milliseconds.  onnxruntime is measured if it and skl2onnx are installed.
"""

import warnings
from time import perf_counter, perf_counter_ns

import numpy as np
import scipy.sparse as sp
from _measure import draw_bars, options_of
from sklearn.linear_model import LogisticRegression

from skgd import GDClassifier

METHODS = ("predict", "decision_function", "predict_proba")


def latency(function, argument, calls):
    """Return the median and the 99th percentile of the time of a call, in microseconds."""
    times = np.empty(calls)
    for call in range(calls):
        began = perf_counter_ns()
        function(argument)
        times[call] = perf_counter_ns() - began
    return np.median(times[calls // 30 :]) / 1e3, np.percentile(times[calls // 30 :], 99) / 1e3


def throughput(function, argument, calls):
    """Return the median time of a call, in milliseconds."""
    times = []
    for _ in range(calls + 1):
        began = perf_counter()
        function(argument)
        times.append(perf_counter() - began)
    return 1e3 * np.median(times[1:])


def onnx_session(model, d):
    """Return a function that predicts float32 rows with onnxruntime, or None if it is not installed."""
    try:
        from onnxruntime import InferenceSession
        from skl2onnx import to_onnx
    except ImportError:
        return None
    session = InferenceSession(to_onnx(model, np.zeros((1, d), np.float32)).SerializeToString())
    return lambda X: session.run(None, {"X": X})


def one_row(rng, calls):
    """Print the times for one row, and return the medians."""
    figures = {}
    print(f"{'one row':34s}{'skgd':>16s}{'LogisticRegression':>22s}{'ratio':>8s}{'onnxruntime':>16s}")
    for d in (10, 100, 1000):
        X = rng.normal(size=(3000, d))
        y = (X[:, 0] + rng.normal(size=3000) > 0).astype(int)
        ours, theirs = GDClassifier().fit(X, y), LogisticRegression().fit(X, y)
        run = onnx_session(theirs, d)
        rows = {"dense": X[:1].copy(), "CSR": sp.random(1, d, density=0.1, format="csr", random_state=0)}
        for kind, row in rows.items():
            for method in METHODS:
                (a, a99), (b, b99) = (latency(getattr(model, method), row, calls) for model in (ours, theirs))
                c = "{:7.1f} {:7.1f}".format(*latency(run, row.astype(np.float32), calls)) if run and kind == "dense" else ""
                print(f"{d:5d} {kind:6s}{method:22s}{a:8.1f}{a99:8.1f}{b:13.1f}{b99:9.1f}{b / a:8.1f}{c:>16s}")
                figures[f"{d} {kind} {method}"] = {"skgd": a, "LogisticRegression": b}
    return figures


def many_rows(rng, part, calls):
    """Print the median times for many rows, of which only every `part`-th is made, and return them."""
    figures = {}
    print(f"\n{'many rows, predict':34s}{'skgd':>10s}{'LogisticRegression':>20s}{'ratio':>8s}{'X.sum()':>10s}")
    for n, d, classes in ((1_000_000 // part, 100, 2), (100_000 // part, 784, 10)):
        for dtype in (np.float32, np.float64):
            X, y = rng.normal(size=(n, d)).astype(dtype), np.arange(2000) % classes
            ours, theirs = (model.fit(X[:2000], y) for model in (GDClassifier(max_iter=2), LogisticRegression(max_iter=2)))
            a, b, read = (throughput(function, X, calls) for function in (ours.predict, theirs.predict, np.sum))
            print(f"{n:9d} x {d:4d} {classes:3d} {dtype.__name__:14s}{a:10.1f}{b:20.1f}{b / a:8.2f}{read:10.1f}")
            figures[f"{n} x {d} {dtype.__name__}"] = {"skgd": a, "LogisticRegression": b, "X.sum()": read}
    return figures


def main():
    options = options_of(__doc__).parse_args()
    warnings.simplefilter("ignore")  # the models for many rows are stopped early on purpose
    rng = np.random.default_rng
    figures = {
        "one row, microseconds": one_row(rng(0), 60 if options.quick else 3000),
        "many rows, milliseconds": many_rows(rng(0), 50 if options.quick else 1, 2 if options.quick else 7),
    }
    if options.plot:
        draw_bars(figures, options.plot)


if __name__ == "__main__":
    main()
