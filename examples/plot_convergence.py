"""
How fits converge
=================

Every fit keeps its objective and the time after each iteration or epoch; `ConvergenceDisplay` draws them as gaps to the
minimum.  Here the solvers fit the same objective on raw columns, without a scaler and without a rate to tune.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification

from skgd import ConvergenceDisplay, GDClassifier

# %%
# Thirty columns, the units of which lie six decades apart.
X, y = make_classification(20_000, 30, n_informative=15, flip_y=0.1, random_state=0)
X = X * 10.0 ** np.random.default_rng(0).permutation(np.linspace(-3.0, 3.0, 30))

# %%
# A first fit of each compiles kernels, or loads them; the second one is timed.
fits = {}
for solver in ("gd", "sgd", "adam"):
    model = GDClassifier(solver=solver, alpha=1e-3, tol=1e-6, random_state=0)
    fits[solver] = model.fit(X, y).fit(X, y)
    print(
        f"{solver:5s}{model.n_iter_:4d} iterations{1e3 * model.time_curve_[-1]:8.1f} ms, objective {model.loss_curve_[-1]:.8f}"
    )
minimum = GDClassifier(alpha=1e-3, tol=1e-12).fit(X, y).loss_curve_[-1]

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for axes, x in zip(panels, ("iterations", "seconds"), strict=True):
    ConvergenceDisplay.from_estimators(fits, x=x, minimum=minimum, ax=axes)
    axes.set(ylim=(1e-10, 10.0))
panels[1].set_ylabel("")
plt.show()
