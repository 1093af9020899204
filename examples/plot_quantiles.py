"""
Quantile regression
===================

A model of the mean does not describe the spread of the targets.  With the quantile loss, a model predicts the value below
which a given share of the targets lies.  The fits for 10 % and 90 % form a band that contains about 80 % of the targets.  It is
wide where their spread is large.  A third fit predicts the median.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from skgd import GDRegressor

# %%
# The noise grows with x and is skewed: large deviations lie above the curve.
rng = np.random.default_rng(0)
x = rng.uniform(0.0, 10.0, 1500)
y = np.sin(x) + 0.3 * x + (0.1 + 0.12 * x) * rng.gamma(2.0, 0.5, len(x))

# %%
# Splines turn a linear model into curves.  The quantile loss is not differentiable where the residual is zero.  The solver
# minimises it without smoothing, until a proven bound of the gap to the minimum is small enough.
grid = np.linspace(0.0, 10.0, 400)
curves = {}
for quantile in (0.1, 0.5, 0.9):
    model = make_pipeline(SplineTransformer(n_knots=8), GDRegressor("quantile", quantile=quantile, alpha=1e-5))
    model.fit(x[:, None], y)
    curves[quantile] = model.predict(grid[:, None])
    below = np.mean(y <= model.predict(x[:, None]))
    print(f"quantile {quantile}: {below:.3f} of the targets lie below, {model[-1].n_iter_} iterations")

# %%
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.plot(x, y, ".", color="0.75", ms=4)
axes.fill_between(grid, curves[0.1], curves[0.9], color="#8fb8d3", alpha=0.5, lw=0, label="10 % to 90 %")
axes.plot(grid, curves[0.5], color="#c8102e", lw=2, label="median")
axes.set(xlabel="x", ylabel="y", xlim=(0, 10))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left")
plt.show()
