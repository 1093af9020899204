"""Measure prequential scores on generated streams: every batch is predicted before it is learned.

`partial_fit` of GDClassifier and GDRegressor with default parameters is compared with SGDClassifier(loss="log_loss") and
SGDRegressor behind a StandardScaler that is updated with every batch.  The scores are the accuracy in classification, and the
mean squared error divided by the variance of the targets in regression.

    python examples/benchmarks/online.py [--quick] [--plot FILE]
"""

from time import perf_counter

import numpy as np
from _measure import draw_bars, options_of
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

COLUMNS, BATCH = 10, 32


class BehindScaler:
    """A model of scikit-learn behind a scaler that is updated with every batch."""

    def __init__(self, model):
        self.scaler, self.model = StandardScaler(), model

    def partial_fit(self, X, y, **how):
        self.model.partial_fit(self.scaler.partial_fit(X).transform(X), y, **how)

    def predict(self, X):
        return self.model.predict(self.scaler.transform(X))


def streams(rng, rows):
    """Yield for each stream its name, its rows and its coefficients, which may change from row to row."""
    X, w = rng.normal(size=(rows, COLUMNS)), np.tile(rng.normal(size=COLUMNS), (rows, 1))
    yield "stationary", X, w
    yield "columns far off zero", X + 1e3, w
    yield "heavy tails", rng.standard_t(2.5, size=X.shape), w
    turned = w.copy()
    turned[rows // 2 :] = rng.normal(size=COLUMNS)
    yield "other coefficients at half time", X, turned
    angle = np.linspace(0.0, 4.0 * np.pi, rows)[:, None]
    yield "coefficients that turn slowly", X, w * np.cos(angle) + rng.normal(size=COLUMNS) * np.sin(angle)
    for name, factor in (("units times 1000 at half time", 1e3), ("units times 0.001 at half time", 1e-3)):
        units = np.where(np.arange(rows)[:, None] < rows // 2, 1.0, factor)
        yield name, X * units, w / units


def prequential(model, X, y, **first):
    """Return the predictions of all batches but the first, and the median time to learn a batch in microseconds."""
    predictions, seconds = [], []
    for start in range(0, len(y), BATCH):
        rows, targets = X[start : start + BATCH], y[start : start + BATCH]
        if start:
            predictions.append(model.predict(rows))
        began = perf_counter()
        model.partial_fit(rows, targets, **first)
        seconds.append(perf_counter() - began)
    return np.concatenate(predictions), 1e6 * np.median(seconds)


def main():
    options = options_of(__doc__).parse_args()
    count = 1_000 if options.quick else 20_000
    figures = {"accuracy": {}, "error": {}, "microseconds a batch": {}}
    rng = np.random.default_rng(0)
    print(f"{'':34s}{'accuracy':>20s}{'error':>22s}{'microseconds a batch':>26s}")
    print(f"{'':34s}" + "".join(f"{name:>{width}s}" for width in (10, 11, 13) for name in ("skgd", "SGD")))
    for name, X, w in streams(rng, count):
        z = ((X - X[: count // 2].mean(axis=0)) * w).sum(axis=1)
        labels, targets = (z + rng.logistic(size=count) > 0).astype(int), z + rng.normal(size=count)
        scores, times = [], []
        for model in (GDClassifier(), BehindScaler(SGDClassifier(loss="log_loss", random_state=0))):
            predicted, time = prequential(model, X, labels, classes=[0, 1])
            scores.append(np.mean(predicted == labels[BATCH:]))
            times.append(time)
        for model in (GDRegressor(), BehindScaler(SGDRegressor(random_state=0))):
            predicted, _ = prequential(model, X, targets)
            scores.append(np.mean((predicted - targets[BATCH:]) ** 2) / targets.var())
        cells = [f"{score:10.4f}" for score in scores[:2]] + [f"{score:11.4g}" for score in scores[2:]]
        print(f"{name:34s}{''.join(cells)}{''.join(f'{time:13.0f}' for time in times)}")
        for table, (ours, theirs) in zip(figures.values(), (scores[:2], scores[2:], times), strict=True):
            table[name] = {"skgd": ours, "SGD": theirs}
    if options.plot:
        draw_bars(figures, options.plot)


if __name__ == "__main__":
    main()
