"""
Callbacks
=========

scikit-learn's callbacks are called after every iteration of every solver.  This example shows a progress bar for a grid
search, the scores after each iteration, and a callback of your own that ends a fit.  It needs scikit-learn 1.9 or later.
"""

from time import perf_counter

import numpy as np
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from skgd import GDClassifier

X, y = load_wine(return_X_y=True)

# %%
# This progress bar shows a whole grid search, with its folds and their fits.  It needs `rich`, which the extra
# ``skgd[progress]`` installs.
search = GridSearchCV(GDClassifier(), {"alpha": [1e-3, 1e-2, 1e-1]}, cv=3)
search.set_callbacks(ProgressBar()).fit(X, y)
print(f"best alpha: {search.best_params_['alpha']}")

# %%
# `ScoringMonitor` records scores on the training rows after each iteration.
monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
model = GDClassifier(alpha=1e-2).set_callbacks(monitor).fit(X, y)
print(f"\niteration{'accuracy':>12s}{'log-loss':>12s}")
for row in monitor.get_logs().data:
    if "accuracy" in row and row["task_name"] == "iteration":
        print(f"{row['task_id'] + 1:9d}{row['accuracy']:12.4f}{-row['neg_log_loss']:12.4f}")


# %%
# A callback of your own is any object with these four methods.  If `on_fit_task_end` returns True, the fit ends.
class Budget:
    """End a fit after a given number of seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def setup(self, estimator, context):
        self.deadline = perf_counter() + self.seconds

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        return perf_counter() > self.deadline

    def teardown(self, estimator, context):
        pass


model = GDClassifier(solver="adam", tol=None, max_iter=100_000, random_state=0).set_callbacks(Budget(0.5)).fit(X, y)
print(f"\n{model.n_iter_} epochs in half a second; accuracy {np.mean(model.predict(X) == y):.4f}")
