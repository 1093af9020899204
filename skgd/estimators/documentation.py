"""Entries of docstrings that both estimators share, each written once, and the decorator that puts them into place.

A docstring marks the place of an entry by its name, ``%(alpha)s``.  `documented` replaces these marks when the class or the
method is defined, so that `help`, notebooks and Sphinx show whole docstrings.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TypeVar

Documented = TypeVar("Documented")

SHARED = """
penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
    The penalty on the coefficients.  "l1" makes some of them exactly zero; "elasticnet" is a mixture of "l1" and "l2".  The
    intercept is never penalised.
alpha : float or array-like of shape (n_features,), default=1e-4
    Weight of the penalty, as in SGDClassifier, SGDRegressor and ElasticNet.  In terms of LogisticRegression it is 1/(C n), in
    terms of Ridge alpha/n, with n rows.  An array holds one weight for each feature.
l1_ratio : float or None, default=0.15
    Share of the L1 penalty in the elastic net, between 0 and 1.  It may be None where `penalty` is no elastic net.
fit_intercept : bool, default=True
    Whether to fit the intercept b.  Without it, b is zero.
positive : bool or array-like of bool of shape (n_features,), default=False
    Whether coefficients must not be negative.  An array says so of each feature.
max_iter : int, default=1000
    Largest number of iterations of "gd", or of epochs of the other solvers.
tol : float or None, default=1e-4
    The fit stops when the objective is within this share of its minimum, as far as a bound or an estimate tells.  None: all
    `max_iter` iterations are made.  With `early_stopping`, `tol` also says by how much a validation score has to rise; there
    it is no share, but a difference in the unit of that score.
shuffle : bool, default=True
    Whether every epoch draws the rows in a new random order.
batch_size : int or "auto", default="auto"
    Number of rows in a mini-batch.  "auto": 16 to 64, more with more rows, and more still where rows have few non-zeros or
    columns are many; all rows where there are at most 64.  With an explicit `learning_rate`, "auto" is 1.
verbose : int, default=0
    If not zero, the objective is printed after each pass or epoch.
n_jobs : int or None, default=None
    Number of threads for passes over all rows.  Results do not depend on it.  None: all cores where X is large enough to be
    worth it, but one thread inside joblib's workers.
random_state : int, RandomState or None, default=None
    Seed or generator of the random order of the rows.
learning_rate : {"auto", "constant", "optimal", "invscaling", "adaptive"}, default="auto"
    "auto" derives the rate from the data.  The other schedules are those of SGDClassifier and SGDRegressor: "constant" is
    ``eta0``, "optimal" is ``1 / (alpha (t0 + t))``, "invscaling" is ``eta0 / t^power_t``, and "adaptive" is ``eta0``, divided
    by 5 after every `n_iter_no_change` epochs without progress.
eta0 : float, default=0.01
    The rate, or the first rate, of an explicit `learning_rate`.
momentum : float, default=0.0
    Momentum of "sgd", and of "gd" with an explicit `learning_rate`.
nesterovs_momentum : bool, default=True
    Whether the momentum is Nesterov's.
beta_1, beta_2 : float, default=0.9, 0.999
    Decay rates of Adam's running means of gradients and of their squares.
adam_epsilon : float, default=1e-8
    Adam's constant against division by zero.
standardize : bool or "auto", default="auto"
    Whether steps are taken in standardised coordinates.  "auto": with the automatic rate they are, with an explicit
    `learning_rate` they are not.
early_stopping : bool, default=False
    Whether to score the model on validation rows after every iteration or epoch, and to keep the coefficients with the best
    score.  Validation rows are `X_val`, or else a random share of the rows of X.  The fit ends when the score has not risen
    by `tol` for `n_iter_no_change` iterations in a row, or when the objective is within `tol` of its minimum.  For the score
    `tol` is an absolute difference, as in scikit-learn; for the objective it is a share.
validation_fraction : float, default=0.1
    Share of the rows that are set aside for validation where there is no `X_val`.  Classifiers set aside the same share of
    every class.
n_iter_no_change : int, default=5
    With an explicit `learning_rate`, the number of epochs in a row without progress after which the fit stops, or after
    which "adaptive" lowers the rate.  With `early_stopping`, the number of iterations or epochs in a row without a better
    validation score after which the fit ends.
warm_start : bool, default=False
    Whether `fit` goes on from the coefficients of the last fit.  If the data is the same, it also reuses what the last fit
    computed of it, which makes a path of alphas cheap.  "sgd" and "adam" then resume their steps, too; with an explicit
    `learning_rate` their schedule begins anew.
average : bool, int or "auto", default="auto"
    Whether the result is the average of the iterates.  An int is the number of rows after which averaging begins.  "auto":
    iterates are averaged with the automatic rate only.
n_iter_ : int
    Number of iterations of "gd", or of epochs of the other solvers.
converged_ : bool
    Whether the fit ended because its objective is known to be within `tol` of the minimum.  False after `partial_fit`, with
    ``tol=None``, and where early stopping or a callback ended the fit.  With an explicit `learning_rate`, and for the
    perceptron, it says whether the objective has settled.
gap_ : float
    How far the objective at the coefficients is above its minimum F*, relative to itself: (F - F*) / F.  NaN where it is not
    known: after `partial_fit`, with ``tol=None`` or an explicit `learning_rate`, for the perceptron, and where early
    stopping chose other coefficients than the last.
gap_kind_ : {"bound", "estimate"} or None
    Whether `gap_` is an upper bound, which duality proves up to rounding, or an estimate.  None where `gap_` is NaN.
loss_curve_ : list of float
    The objective at the start and after each iteration or epoch.  Where a loss is not smooth, "gd" minimises smoothed losses
    on the way, and the entries between the first and the last are objectives of these.
time_curve_ : list of float
    Seconds since the start of the fit, one entry for each entry of `loss_curve_`.
validation_scores_ : list of float or None
    The validation score after each iteration or epoch.  None without early stopping.
best_validation_score_ : float or None
    The largest of the validation scores; `coef_` and `intercept_` have it.  None without early stopping.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features,)
    Names of the features.  It exists only where X has names that are strings.
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Features in their original units.
X of fit : {array-like, sparse matrix} of shape (n_samples, n_features)
    Features in their original units.  C-ordered float32 and float64 arrays and CSR matrices are not copied.
sample_weight : array-like of shape (n_samples,), default=None
    Non-negative weights of the rows.  A row of weight 2 counts as two rows, a row of weight 0 as none.
sample_weight of partial_fit : array-like of shape (n_samples,), default=None
    Non-negative weights of the rows.  A row of weight 2 counts as two rows, a row of weight 0 as none.  A batch in which all
    weights are zero changes nothing.  If it is the first batch, the coefficients are zero after it, and the model can predict.
X_val, y_val, sample_weight_val : default=None
    Rows for early stopping, in the form of X, y and sample_weight.  The weights may be left out.
coef_init, intercept_init, X_val, y_val, sample_weight_val : default=None
    As in `fit`.  `early_stopping` needs X_val and y_val here.
"""

PARTIAL_FIT = """
With ``learning_rate="auto"``, columns are standardised by running means and variances, and each row makes one Newton step.  The
steps forget old rows at the pace at which the stream changes.  The penalty acts on the coefficients of the standardised
columns.  With an explicit `learning_rate`, a call makes one epoch of the steps of `fit`, and goes on where the last call ended.
"""


def _entries(text: str) -> dict[str, str]:
    """Entries of numpydoc sections by their names; "X of fit" is another entry for X."""
    entries = re.split(r"\n(?=\S)", text.strip())
    named = {entry.split(" : ")[0]: entry for entry in entries}
    return {name: re.sub(r"^(\w+) of \w+ : ", r"\1 : ", entry) for name, entry in named.items()}


ENTRIES = _entries(SHARED) | {"what partial_fit does": PARTIAL_FIT.strip()}


def documented(thing: Documented) -> Documented:
    """Put the shared entries into the docstring of a class or a method."""
    if thing.__doc__:  # python -OO drops docstrings
        thing.__doc__ = cleandoc(thing.__doc__) % ENTRIES + "\n"
    return thing
