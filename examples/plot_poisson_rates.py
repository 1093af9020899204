"""
Poisson rates
=============

Counts are often observed over periods of different lengths, for example the claims of insurance policies.  The length of the
period is the exposure.  The target is the rate, which is the count divided by the exposure, and the sample weight is the
exposure.  `loss="poisson"` models the rate as ``exp(x W + b)``, which is always positive.  The effects of the features
multiply.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from skgd import GDRegressor

# %%
# The data are the claims of 20,000 drivers.  Young and old drivers have more claims, and so do drivers of fast cars.
rng = np.random.default_rng(0)
n = 20_000
age, car, exposure = rng.uniform(18, 80, n), rng.integers(4, size=n), rng.uniform(0.1, 1.0, n)


def true_rate(age, car):
    return 0.08 * np.exp(0.0012 * (age - 48.0) ** 2 + 0.25 * car)


claims = rng.poisson(exposure * true_rate(age, car))

# %%
# The fit reaches the same minimum as PoissonRegressor.
features = ColumnTransformer([("age", SplineTransformer(n_knots=6), [0]), ("car", OneHotEncoder(sparse_output=False), [1])])
X = features.fit_transform(np.column_stack([age, car]))
ours = GDRegressor("poisson", alpha=1e-4, tol=1e-10).fit(X, claims / exposure, sample_weight=exposure)
theirs = PoissonRegressor(alpha=1e-4, tol=1e-8, max_iter=1000).fit(X, claims / exposure, sample_weight=exposure)
print(f"{ours.n_iter_} iterations, {theirs.n_iter_} of PoissonRegressor")
print(f"largest relative difference of rates: {np.abs(ours.predict(X) / theirs.predict(X) - 1).max():.1e}")
print(f"claims {claims.sum()}, predicted {exposure @ ours.predict(X):.1f}")

# %%
model = make_pipeline(features, ours)
years = np.linspace(18, 80, 200)
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for kind, color in enumerate(["#8fb8d3", "#3f8fc0", "#12466b", "#c8102e"]):
    cars = np.full_like(years, kind)
    axes.plot(years, model.predict(np.column_stack([years, cars])), color=color, lw=2, label=f"car {kind}")
    axes.plot(years, true_rate(years, cars), ":", color=color, lw=1.5)
axes.plot([], [], ":", color="0.4", label="truth")
axes.set(xlabel="age", ylabel="claims a year", yscale="log")
axes.spines[["top", "right"]].set_visible(False)
axes.grid(color="0.93")
axes.legend(frameon=False)
plt.show()
