"""
Quantile regression
===================

A mean says nothing of the spread around it.  The quantile loss asks for the value that a share q of the targets stays
below: three fits make a band that holds 80 % of them, wide where the data is wide.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from skgd import GDRegressor

# %%
# Noise that grows with x, and more of it above than below.
rng = np.random.default_rng(0)
x = rng.uniform(0.0, 10.0, 1500)
y = np.sin(x) + 0.3 * x + (0.1 + 0.12 * x) * rng.gamma(2.0, 0.5, len(x))

# %%
# Splines make curves of a linear model; the loss is minimised up to a bound of its gap, kinks and all.
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
