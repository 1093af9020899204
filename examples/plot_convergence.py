"""
Convergence of the solvers
==========================

Every fit records the objective and the time after each iteration or epoch.  `ConvergenceDisplay` draws the relative gap to the
minimum.  Here three solvers minimise the same objective on raw columns, without a scaler and without a learning rate to tune.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification

from skgd import ConvergenceDisplay, GDClassifier

# %%
# The scales of the thirty columns differ by up to six orders of magnitude.
X, y = make_classification(20_000, 30, n_informative=15, flip_y=0.1, random_state=0)
X = X * 10.0 ** np.random.default_rng(0).permutation(np.linspace(-3.0, 3.0, 30))

# %%
# The first fit of each solver compiles its kernels or loads them from the cache.  The second fit is timed.
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
