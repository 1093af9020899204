"""
A tour
======

This script compares skgd with scikit-learn's own estimators on three data sets that come with scikit-learn.  No column is
scaled.  It prints tables of fits with default parameters and of pipelines tuned by a grid search.  It also saves a picture of
the convergence of the solvers as convergence.png.
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor

PICTURE = "convergence.png"


def classifiers(n):
    """Return estimators that minimise the mean log-loss + alpha/2 ||w||^2 with alpha = 1/n, which is C = 1."""
    return {
        "GDClassifier": GDClassifier(alpha=1 / n),
        "GDClassifier, sgd": GDClassifier(alpha=1 / n, solver="sgd", random_state=0),
        "GDClassifier, adam": GDClassifier(alpha=1 / n, solver="adam", random_state=0),
        "LogisticRegression": LogisticRegression(C=1.0),
        "SGDClassifier": SGDClassifier(loss="log_loss", alpha=1 / n, random_state=0),
    }


def regressors(n):
    """Return estimators that minimise half the mean squared error + alpha/2 ||w||^2 with alpha = 1/n: alpha = 1 in Ridge."""
    return {
        "GDRegressor": GDRegressor(alpha=1 / n),
        "GDRegressor, sgd": GDRegressor(alpha=1 / n, solver="sgd", random_state=0),
        "GDRegressor, adam": GDRegressor(alpha=1 / n, solver="adam", random_state=0),
        "Ridge": Ridge(alpha=1.0),
        "SGDRegressor": SGDRegressor(alpha=1 / n, random_state=0),
    }


def error(model, X, y):
    """Return the log-loss of a classifier (scikit-learn clips probabilities of 0) or the mean squared error of a regressor."""
    return log_loss(y, model.predict_proba(X)) if is_classifier(model) else mean_squared_error(y, model.predict(X))


def objective(model, X, y):
    """Return the objective that all estimators minimise."""
    return error(model, X, y) / (1 if is_classifier(model) else 2) + np.sum(model.coef_**2) / (2 * len(y))


def timed_fit(model, X, y):
    """Fit the model and return the time in seconds and the names of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X, y)
        return time.perf_counter() - start, ", ".join(sorted({warning.category.__name__ for warning in caught}))


def compare(name, models, X, X_test, y, y_test):
    """Fit all models and print a row for each."""
    scores = ("accuracy", "log-loss") if is_classifier(next(iter(models.values()))) else ("R2", "MSE")
    title = f"{name}, {len(X)} x {X.shape[1]} raw"
    print(f"\n{title:30s}{scores[0]:>12s}{scores[1]:>12s}{'objective':>12s}{'seconds':>10s}  warnings\n{'─' * 96}")
    for label, model in models.items():
        seconds, warned = timed_fit(model, X, y)
        held_out = f"{model.score(X_test, y_test):12.4g}{error(model, X_test, y_test):12.4g}"
        print(f"{label:30s}{held_out}{objective(model, X, y):12.6g}{seconds:10.3f}  {warned}".rstrip())


def tune(name, features, model, grid, X, X_test, y, y_test):
    """Tune a pipeline by a grid search and print a row for the best one."""
    search = GridSearchCV(Pipeline([("features", features), ("model", model)]), grid, cv=3)
    seconds, warned = timed_fit(search, X, y)
    best = ", ".join(f"{key.split('__')[1]}={value:g}" for key, value in search.best_params_.items())
    steps = f"{type(features).__name__} + {type(model).__name__}, {best}"
    print(f"{name:16s}{steps:58s}{search.score(X_test, y_test):10.4g}{seconds:10.3f}  {warned}".rstrip())


def path(model, X, y):
    """Return numbers of iterations or epochs, the objective after each, and whether the fit stopped before max_iter.

    skgd records the objective during a fit.  For the other estimators, many fits with growing max_iter give it.
    """
    if hasattr(model, "loss_curve_"):
        return np.arange(len(model.loss_curve_)), np.array(model.loss_curve_), model.n_iter_ < model.max_iter
    passes, values = [], []
    for budget in np.unique(np.geomspace(1, 1000, 25).astype(int)):
        _, warned = timed_fit(model.set_params(max_iter=int(budget)), X, y)
        passes.append(int(np.max(model.n_iter_)))
        values.append(objective(model, X, y))
        if not warned:
            break
    return np.array(passes), np.array(values), not warned


def draw(axes, title, models, X, y):
    """Draw the relative gap of each model to the best objective, and a dot at the end if the fit stopped before max_iter."""
    reference = clone(next(iter(models.values()))).set_params(tol=1e-13)
    timed_fit(reference, X, y)
    paths = {label: path(model, X, y) for label, model in models.items()}
    best = min(reference.loss_curve_[-1], *(values.min() for _, values, _ in paths.values()))
    colors = {"auto": "#c8102e", "sgd": "#f08a24", "adam": "#8e5ea2"}
    others = iter(["#12466b", "#3f8fc0", "#8fb8d3"])
    for label, (passes, values, stopped) in paths.items():
        ours = label in colors
        color = colors[label] if ours else next(others)
        gap = np.maximum(values / best - 1, 1e-16)
        axes.plot(passes + 1, gap, "-" if ours else "--", color=color, lw=2.4 if ours else 1.7, label=("skgd, " * ours) + label)
        if stopped:
            axes.plot(passes[-1] + 1, max(gap[-1], 2e-9), "o", color=color, ms=7)
    axes.set(title=title, xlabel="iterations or epochs, the start counted as one", xscale="log", yscale="log")
    axes.set(xlim=(0.9, 1300), ylim=(1e-9, 1e6))
    axes.plot([], [], "o", color="0.55", ms=7, label="stopped by itself")
    axes.grid(color="0.93")
    axes.spines[["top", "right"]].set_visible(False)


def picture(splits, models):
    """Draw two of the data sets side by side and save the picture."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    for axes, name in zip(panels, ("breast cancer", "digits"), strict=True):
        X, _, y, _ = splits[name]
        ours = dict(zip(("auto", "sgd", "adam"), models[name].values(), strict=False))
        theirs = {f"LogisticRegression, {s}": LogisticRegression(solver=s) for s in ("newton-cholesky", "lbfgs")}
        if name == "breast cancer":  # with more classes it fits one against the rest, which is another objective
            theirs["SGDClassifier"] = models[name]["SGDClassifier"]
        draw(axes, f"{name}, {len(X)} x {X.shape[1]} raw", ours | theirs, X, y)
    panels[0].set_ylabel("objective, relative gap to its minimum")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(PICTURE, dpi=130)
    print(f"\nSaved {PICTURE}")


def main():
    data = {
        "breast cancer": load_breast_cancer(return_X_y=True),
        "digits": load_digits(return_X_y=True),
        "diabetes": load_diabetes(return_X_y=True, scaled=False),
    }
    splits = {name: train_test_split(X, y, random_state=0) for name, (X, y) in data.items()}
    models = {name: (regressors if name == "diabetes" else classifiers)(len(y)) for name, (_, _, y, _) in splits.items()}

    # The first fit of its kind compiles kernels or loads them from the cache on disk.  The times below do not include this,
    # because a short fit of every estimator, also of scikit-learn's, comes first.
    print("Warming up.  The first run compiles kernels, which takes a while ...", flush=True)
    for name, (X, _, y, _) in splits.items():
        for model in models[name].values():
            timed_fit(clone(model).set_params(max_iter=2), X, y)

    for name, split in splits.items():
        compare(name, models[name], *split)

    print(f"\n{'pipelines, tuned by a grid search':74s}{'score':>10s}{'seconds':>10s}  warnings\n{'─' * 104}")
    powers = PolynomialFeatures(include_bias=False)
    classifier, lasso = GDClassifier(), GDRegressor(penalty="l1")
    grid = {"features__degree": [1, 2], "model__alpha": [0.01, 0.1, 1.0]}
    tune("breast cancer", powers, classifier, grid, *splits["breast cancer"])
    tune("diabetes", powers, lasso, grid | {"model__alpha": [0.1, 1.0, 10.0]}, *splits["diabetes"])
    grid = {"features__n_components": [20, 40], "model__alpha": [0.001, 0.01, 0.1]}
    tune("digits", PCA(), classifier, grid, *splits["digits"])

    picture(splits, models)


if __name__ == "__main__":
    with threadpool_limits(1):  # on small data more threads of BLAS only slow each other down
        main()
