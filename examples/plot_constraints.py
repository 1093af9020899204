"""
Constraints and penalties for each feature
==========================================

Prior knowledge about the coefficients can be part of the model.  Here a measured spectrum is a mixture of known spectra.
The shares of a mixture cannot be negative, which `positive` expresses.  Only few shares should differ from zero, so they get an
L1 penalty.  The baseline under the spectrum should not be shrunk, so its coefficient is not penalised: `alpha` takes one number
for each feature.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgd import GDRegressor

# %%
# Thirty known spectra overlap with their neighbours.  The mixture contains three of them, a sloping baseline, and noise.
rng = np.random.default_rng(1)
wavelength = np.linspace(0.0, 1.0, 200)
centres = np.linspace(0.05, 0.95, 30)
spectra = np.exp(-0.5 * ((wavelength[:, None] - centres) / 0.04) ** 2)
shares = np.zeros(30)
shares[[6, 14, 23]] = [1.0, 0.6, 0.8]
measured = spectra @ shares + 0.8 * wavelength + 0.05 * rng.normal(size=200)

# %%
# The last column is the slope of the baseline.  Its coefficient may have any sign and is not penalised.
X = np.column_stack([spectra, wavelength])
known = np.append(np.ones(30, bool), False)
fits = {
    "free": GDRegressor(penalty=None),
    "positive": GDRegressor(penalty=None, positive=known),
    "positive, L1 but for the slope": GDRegressor(penalty="l1", alpha=np.append(np.full(30, 2e-3), 0.0), positive=known),
}
figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), sharex=True, layout="constrained")
for axes, (name, model) in zip(panels, fits.items(), strict=True):
    found = model.set_params(tol=1e-8).fit(X, measured).coef_
    print(
        f"{name:32s}{np.sum(found[:-1] != 0.0):3d} shares, "
        f"error {np.abs(found[:-1] - shares).sum():7.2f}, slope {found[-1]:.2f}"
    )
    axes.bar(centres, found[:-1], width=0.02, color="#3f8fc0", label="found")
    axes.plot(centres, shares, "_", color="#c8102e", ms=9, mew=2, label="true")
    axes.set(title=name, xlabel="centre of the spectrum")
    axes.spines[["top", "right"]].set_visible(False)
panels[0].set_ylabel("share")
panels[0].legend(frameon=False)
plt.show()
