"""
Migration of a script
=====================

A script as it is written today, and the same with skgd: the import changes, and what was only there to make the fit
work goes away.
"""

import warnings

from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# Before: a scaler, because columns from 0.001 to 4000 make it diverge; a rate to tune, and a schedule to choose.
before = GridSearchCV(
    make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", learning_rate="adaptive", max_iter=1000, random_state=0)),
    {"sgdclassifier__alpha": [1e-4, 1e-3, 1e-2], "sgdclassifier__eta0": [1e-3, 1e-2, 1e-1, 1.0]},
    scoring="neg_log_loss",
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    before.fit(X_train, y_train)

# %%
# After: the penalty is all that is left to choose.
after = GridSearchCV(GDClassifier(), {"alpha": [1e-4, 1e-3, 1e-2]}, scoring="neg_log_loss")
after.fit(X_train, y_train)

# %%
# Step one may be smaller.  Every parameter of SGDClassifier is still there, with its meaning.
same = GDClassifier("log_loss", learning_rate="adaptive", eta0=0.1, alpha=1e-3, max_iter=1000, random_state=0)
same = make_pipeline(StandardScaler(), same).fit(X_train, y_train)

print(f"{'':44s}{'fits':>6s}{'log-loss':>10s}{'accuracy':>10s}")
for name, model, fits in (
    ("StandardScaler, SGDClassifier, grid of rates", before, 60),
    ("GDClassifier with the parameters of SGD", same, 1),
    ("GDClassifier, raw columns", after, 15),
):
    loss, accuracy = log_loss(y_test, model.predict_proba(X_test)), accuracy_score(y_test, model.predict(X_test))
    print(f"{name:44s}{fits:6d}{loss:10.4f}{accuracy:10.4f}")
