"""
Columns of any scale
====================

The columns of a data set rarely have the same unit.  Here the columns of one data set are multiplied by factors that differ
more and more.  There is no penalty, so the best predictions stay the same.  Solvers that step in the units of the data end
far above the minimum if the factors differ a lot.  skgd steps in implicitly standardised coordinates, without a copy of X,
and reaches the minimum for all factors.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import log_loss

from skgd import GDClassifier

warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The data has twelve columns.  The factors range from 10^(-decades/2) to 10^(decades/2).
X, y = make_classification(2000, 12, n_informative=8, n_redundant=0, flip_y=0.1, random_state=0)
decades = np.arange(0, 13, 3)
exponents = np.random.default_rng(0).permutation(np.linspace(-0.5, 0.5, X.shape[1]))

models = {
    "skgd, auto": GDClassifier(penalty=None),
    "skgd, sgd": GDClassifier(penalty=None, solver="sgd", random_state=0),
    "skgd, adam": GDClassifier(penalty=None, solver="adam", random_state=0),
    "LogisticRegression, lbfgs": LogisticRegression(C=np.inf, max_iter=1000),
    "SGDClassifier": SGDClassifier(loss="log_loss", penalty=None, random_state=0),
}
colors = dict(zip(models, ["#c8102e", "#f08a24", "#8e5ea2", "#12466b", "#3f8fc0"], strict=True))

# %%
# The picture shows the relative gap between the log-loss of each fit and its minimum.  Ideally, every line is flat.
exact = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, y)
minimum = log_loss(y, exact.predict_proba(X))
figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
print("decades".ljust(26), "".join(f"{spread:9d}" for spread in decades))
for name, model in models.items():
    gaps = []
    for spread in decades:
        scaled = X * 10.0 ** (spread * exponents)
        fitted = clone(model).fit(scaled, y)
        gaps.append(max(log_loss(y, fitted.predict_proba(scaled)) / minimum - 1.0, 1e-12))
    print(name.ljust(26), "".join(f"{gap:9.0e}" for gap in gaps))
    axes.plot(decades, gaps, "-o" if name.startswith("skgd") else "--s", color=colors[name], lw=2, label=name)
axes.set(xlabel="decades between the scales of the columns", ylabel="relative gap to the minimum", yscale="log")
axes.spines[["top", "right"]].set_visible(False)
axes.grid(color="0.93")
figure.legend(loc="outside lower left", ncols=2, frameon=False)
plt.show()
