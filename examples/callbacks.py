"""
Callbacks
=========

scikit-learn's callbacks see every iteration of every solver: a progress bar around a grid search, scores along the way,
and one of your own that ends a fit.  They are part of scikit-learn from 1.9 on.
"""

from time import perf_counter

import numpy as np
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from skgd import GDClassifier

X, y = load_wine(return_X_y=True)

# %%
# A progress bar for a whole grid search, its folds and their fits (it needs `rich`: ``pip install skgd[progress]``).
search = GridSearchCV(GDClassifier(), {"alpha": [1e-3, 1e-2, 1e-1]}, cv=3)
search.set_callbacks(ProgressBar()).fit(X, y)
print(f"best alpha: {search.best_params_['alpha']}")

# %%
# Scores on the rows of training after each iteration.
monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
model = GDClassifier(alpha=1e-2).set_callbacks(monitor).fit(X, y)
print(f"\niteration{'accuracy':>12s}{'log-loss':>12s}")
for row in monitor.get_logs().data:
    if "accuracy" in row and row["task_name"] == "iteration":
        print(f"{row['task_id'] + 1:9d}{row['accuracy']:12.4f}{-row['neg_log_loss']:12.4f}")


# %%
# One of your own is any object with these four methods.  What `on_fit_task_end` returns ends the fit.
class Budget:
    """End a fit that has taken too long."""

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
