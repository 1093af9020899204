"""
Migration of a script
=====================

This example compares a script that uses scikit-learn with the same script that uses skgd.  The import changes, and the steps
that were only needed to make the fit converge are removed.
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
# Before: the scaler is needed because SGD diverges on columns with values from 0.001 to 4000.  The learning rate has to be
# tuned, and a schedule has to be chosen.
before = GridSearchCV(
    make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", learning_rate="adaptive", max_iter=1000, random_state=0)),
    {"sgdclassifier__alpha": [1e-4, 1e-3, 1e-2], "sgdclassifier__eta0": [1e-3, 1e-2, 1e-1, 1.0]},
    scoring="neg_log_loss",
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    before.fit(X_train, y_train)

# %%
# After: only the weight of the penalty has to be chosen.
after = GridSearchCV(GDClassifier(), {"alpha": [1e-4, 1e-3, 1e-2]}, scoring="neg_log_loss")
after.fit(X_train, y_train)

# %%
# You can also migrate in smaller steps, because the parameters of SGDClassifier are available with the same meaning.
same = GDClassifier("log_loss", learning_rate="adaptive", eta0=0.1, alpha=1e-3, max_iter=1000, random_state=0)
same = make_pipeline(StandardScaler(), same).fit(X_train, y_train)

print(f"{'':44s}{'fits':>6s}{'log-loss':>10s}{'accuracy':>10s}")
for name, model, fits in (
    ("StandardScaler, SGDClassifier, tuned rate", before, 60),
    ("GDClassifier with the parameters of SGD", same, 1),
    ("GDClassifier, raw columns", after, 15),
):
    loss, accuracy = log_loss(y_test, model.predict_proba(X_test)), accuracy_score(y_test, model.predict(X_test))
    print(f"{name:44s}{fits:6d}{loss:10.4f}{accuracy:10.4f}")
