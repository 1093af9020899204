"""
Early stopping with a separate validation set
=============================================

With few rows, many columns and no penalty, the training loss keeps falling while the model learns the noise.  A validation
set shows when to stop.  `fit` takes it as `X_val` and `y_val`, scores the model on it after every iteration, and keeps the
coefficients with the best score.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from skgd import GDClassifier

# %%
# There are 300 training rows and 200 columns.  Ten of the columns are informative, and a tenth of the labels is random.
X, y = make_classification(1300, 200, n_informative=10, n_redundant=0, class_sep=1.5, flip_y=0.1, random_state=0)
X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=300, random_state=0)
X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, test_size=0.5, random_state=0)

# %%
# Plain gradient descent is slow enough to show the effect.  With `scoring="loss"` the score is the negative log-loss, which is
# more sensitive than the accuracy.
descent = {"solver": "gd", "learning_rate": "constant", "eta0": 0.1, "standardize": True, "penalty": None}
model = GDClassifier(early_stopping=True, scoring="loss", n_iter_no_change=100, tol=0.0, **descent)
model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
unwatched = GDClassifier(max_iter=model.n_iter_, tol=None, **descent).fit(X_train, y_train)
print(f"stopped after {model.n_iter_} iterations, best after {int(np.argmax(model.validation_scores_)) + 1}")
print(f"test accuracy {model.score(X_test, y_test):.3f}, without early stopping {unwatched.score(X_test, y_test):.3f}")

# %%
# The loss on the training rows keeps falling.  The loss on the validation rows rises after a while.
iterations = np.arange(len(model.loss_curve_))
losses = -np.array(model.validation_scores_)
best = int(losses.argmin())
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.plot(iterations, model.loss_curve_, color="#12466b", lw=2, label="training")
axes.plot(iterations[1:], losses, color="#c8102e", lw=2, label="validation")
axes.plot(iterations[1 + best], losses[best], "o", color="#c8102e", ms=9, label=f"kept: iteration {best + 1}")
axes.set(xlabel="iterations", ylabel="log-loss", ylim=(0.0, 1.05 * losses.max()))
axes.spines[["top", "right"]].set_visible(False)
axes.grid(color="0.93")
axes.legend(frameon=False)
plt.show()
