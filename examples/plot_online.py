"""
Learning from a stream
======================

`partial_fit` learns batch by batch.  It standardises the columns by running means and variances, and nothing has to be tuned.
Here the true coefficients change twice, and a third of the columns changes its unit in between.  Every batch is predicted
before it is learned.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier

# %%
# The stream has 30,000 rows.  The coefficients change at rows 10,000 and 20,000, and the units change at row 15,000.
rng = np.random.default_rng(0)
X = rng.normal(size=(30_000, 9))
w = np.repeat(2.0 * rng.normal(size=(3, 9)), 10_000, axis=0)
y = ((X * w).sum(axis=1) + rng.logistic(size=len(X)) > 0).astype(int)
X[15_000:, :3] *= 1000.0

# %%
# The comparison is SGD behind a scaler that is updated with every batch, which is the usual approach in scikit-learn.
ours, scaler, theirs = GDClassifier(), StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)
right = {"GDClassifier": [], "StandardScaler, SGDClassifier": []}
for start in range(0, len(y), 50):
    rows, labels = X[start : start + 50], y[start : start + 50]
    if start:
        right["GDClassifier"].append(np.mean(ours.predict(rows) == labels))
        right["StandardScaler, SGDClassifier"].append(np.mean(theirs.predict(scaler.transform(rows)) == labels))
    ours.partial_fit(rows, labels, classes=[0, 1])
    theirs.partial_fit(scaler.partial_fit(rows).transform(rows), labels, classes=[0, 1])
for name, shares in right.items():
    print(f"{name:30s} prequential accuracy {np.mean(shares):.3f}")

# %%
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, shares), color in zip(right.items(), ("#c8102e", "#12466b"), strict=True):
    smooth = np.convolve(shares, np.ones(20) / 20, mode="valid")
    axes.plot(np.arange(20, len(shares) + 1) * 50, smooth, color=color, lw=2, label=name)
for row, what in ((10_000, "other\ncoefficients"), (15_000, "other\nunits"), (20_000, "other\ncoefficients")):
    axes.axvline(row, color="0.7", lw=1)
    axes.text(row + 200, 0.57, what, color="0.4", fontsize=9)
axes.set(xlabel="rows", ylabel="accuracy on the next 1,000 rows", ylim=(0.55, 1.0))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left")
plt.show()
