"""Descriptions that the docstrings of both estimators share, each written once, and the decorator that inserts them.

A docstring marks the place of a description by its name, for example ``%(alpha)s``.  `documented` replaces these marks when
the class or the method is defined, so that `help`, notebooks and Sphinx show complete docstrings.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TypeVar

Documented = TypeVar("Documented")

SHARED = """
penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
    The penalty on the coefficients.  "l1" sets some of them to exactly zero; "elasticnet" is a mixture of "l1" and "l2".  The
    intercept is never penalised.
alpha : float or array-like of shape (n_features,), default=1e-4
    Weight of the penalty, as in SGDClassifier, SGDRegressor and ElasticNet.  With n rows, the parameter C of
    LogisticRegression corresponds to ``alpha = 1 / (C n)``, and the parameter alpha of Ridge to ``alpha / n``.  An array
    holds one weight for each feature.
l1_ratio : float or None, default=0.15
    Fraction of the L1 penalty in the elastic net, between 0 and 1.  It may be None if `penalty` is not "elasticnet".
fit_intercept : bool, default=True
    Whether to fit the intercept b.  If False, b is zero.
positive : bool or array-like of bool of shape (n_features,), default=False
    Whether to keep the coefficients from becoming negative.  An array holds one such choice for each feature.
max_iter : int, default=1000
    Maximum number of iterations of "gd", or of epochs of the other solvers.
tol : float or None, default=1e-4
    The fit stops when the objective F is within this relative distance of its minimum F*, ``(F - F*) / F <= tol``.  The
    distance is a proved bound or an estimate.  None: the fit makes all `max_iter` iterations.  With `early_stopping`, `tol`
    is also the amount by which a validation score has to rise; this is an absolute difference, in the unit of that score.
shuffle : bool, default=True
    Whether to visit the rows in a new random order in every epoch.
batch_size : int or "auto", default="auto"
    Number of rows in a mini-batch.  "auto": all rows if there are at most 64 of them, else 16 to 64 rows, depending on the
    number of rows of X.  Batches are larger if X has many columns or its rows have few non-zeros.  With an explicit
    `learning_rate`, "auto" is 1.
verbose : int, default=0
    If not zero, the fit prints the objective after each pass or epoch.
n_jobs : int or None, default=None
    Number of threads for passes over all rows.  Results do not depend on it.  None: all cores if X is so large that threads
    save time, but one thread inside joblib's workers.
random_state : int, RandomState or None, default=None
    Seed or generator of the random order of the rows.
learning_rate : {"auto", "constant", "optimal", "invscaling", "adaptive"}, default="auto"
    "auto" derives the learning rate from the data.  The other values are the schedules of SGDClassifier and SGDRegressor:
    "constant" is ``eta0``, "optimal" is ``1 / (alpha (t0 + t))``, "invscaling" is ``eta0 / t^power_t``, and "adaptive" is
    ``eta0``, divided by 5 after every `n_iter_no_change` epochs without progress.
eta0 : float, default=0.01
    The learning rate, or the first one, of an explicit `learning_rate`.
momentum : float, default=0.0
    Momentum of "sgd", and of "gd" with an explicit `learning_rate`.
nesterovs_momentum : bool, default=True
    Whether the momentum is Nesterov's.
beta_1, beta_2 : float, default=0.9, 0.999
    Decay rates of Adam's running means of the gradients and of the squared gradients.
adam_epsilon : float, default=1e-8
    Constant in the denominator of Adam's steps that prevents a division by zero.
standardize : bool or "auto", default="auto"
    Whether to take the steps in standardised coordinates.  "auto" means True with ``learning_rate="auto"``, and False with
    an explicit `learning_rate`.
early_stopping : bool, default=False
    Whether to score the model on validation rows after every iteration or epoch, and to keep the coefficients with the best
    score.  The validation rows are `X_val` if it is given, else a random sample of the rows of X.  The fit ends when the
    score has not risen by `tol` for `n_iter_no_change` iterations in a row, or when the objective is within `tol` of its
    minimum.  For the score, `tol` is an absolute difference, as in scikit-learn; for the objective, it is relative.
validation_fraction : float, default=0.1
    Fraction of the rows that is set aside for validation if `X_val` is not given.  Classifiers set aside the same fraction
    of every class.
n_iter_no_change : int, default=5
    With an explicit `learning_rate`, the number of epochs in a row without progress after which the fit stops, or after
    which "adaptive" lowers the rate.  With `early_stopping`, the number of iterations or epochs in a row without a better
    validation score after which the fit ends.
warm_start : bool, default=False
    Whether `fit` starts from the coefficients of the last fit.  If the data is the same, `fit` also reuses what the last fit
    computed from it, which makes a path of alphas cheap.  The solvers "sgd" and "adam" also resume their learning rate and
    the state of their update rule, except with an explicit `learning_rate`, whose schedule starts anew.
average : bool, int or "auto", default="auto"
    Whether the result is the average of the iterates instead of the last iterate.  An int is the number of rows after which
    averaging begins.  "auto": iterates are averaged only with ``learning_rate="auto"``.
n_iter_ : int
    Number of iterations of "gd", or of epochs of the other solvers.
converged_ : bool
    Whether the fit ended because the objective is known to be within `tol` of its minimum.  It is False after `partial_fit`,
    with ``tol=None``, and if early stopping or a callback ended the fit.  With an explicit `learning_rate`, and for the
    perceptron, it only means that the objective no longer falls.
gap_ : float
    Relative distance of the objective F at the coefficients from its minimum F*: ``(F - F*) / F``.  It is NaN if it is not
    known: after `partial_fit`, with ``tol=None`` or an explicit `learning_rate`, for the perceptron, and if early stopping
    chose other coefficients than the last ones.
gap_kind_ : {"bound", "estimate"} or None
    Whether `gap_` is an upper bound, which duality proves up to rounding, or an estimate.  None if `gap_` is NaN.
loss_curve_ : list of float
    The objective at the start and after each iteration or epoch.  If the loss is not smooth, "gd" minimises smoothed losses
    on the way to the minimum.  The first and the last entry are then values of the objective itself, and the entries between
    them are values of the smoothed objectives.
time_curve_ : list of float
    Seconds since the start of the fit, one entry for each entry of `loss_curve_`.
validation_scores_ : list of float or None
    The validation score after each iteration or epoch.  None without early stopping.
best_validation_score_ : float or None
    The largest validation score, which is the score of `coef_` and `intercept_`.  None without early stopping.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features,)
    Names of the features.  It exists only if all columns of X have names that are strings.
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Features in their original units.
X of fit : {array-like, sparse matrix} of shape (n_samples, n_features)
    Features in their original units.  C-ordered float32 and float64 arrays and CSR matrices are not copied.
sample_weight : array-like of shape (n_samples,), default=None
    Non-negative weights of the rows.  A row of weight 2 counts as two rows, and a row of weight 0 does not count.
sample_weight of partial_fit : array-like of shape (n_samples,), default=None
    Non-negative weights of the rows.  A row of weight 2 counts as two rows, and a row of weight 0 does not count.  A batch in
    which all weights are zero changes nothing.  If it is the first batch, the coefficients are zero after it, and the model
    can predict.
X_val, y_val, sample_weight_val : default=None
    Rows for early stopping, in the same form as X, y and sample_weight.  The weights are optional.
coef_init, intercept_init, X_val, y_val, sample_weight_val : default=None
    As in `fit`.  `early_stopping` needs X_val and y_val here.
"""

PARTIAL_FIT = """
With ``learning_rate="auto"``, columns are standardised by running means and variances, and the model makes one Newton step
for each row.  With ``solver="adam"`` it makes Adam's steps instead.  Newton steps forget old rows at the speed at which the
stream changes.  The penalty acts on the coefficients of the standardised columns.  With an explicit `learning_rate`, a call
makes one epoch of the steps of `fit`, starting where the last call ended.
"""


def _entries(text: str) -> dict[str, str]:
    """Split numpydoc text into entries by name.  The name "X of fit" stands for a second, different entry for X."""
    entries = re.split(r"\n(?=\S)", text.strip())
    named = {entry.split(" : ")[0]: entry for entry in entries}
    return {name: re.sub(r"^(\w+) of \w+ : ", r"\1 : ", entry) for name, entry in named.items()}


ENTRIES = _entries(SHARED) | {"what partial_fit does": PARTIAL_FIT.strip()}


def documented(thing: Documented) -> Documented:
    """Insert the shared descriptions into the docstring of a class or a method."""
    if thing.__doc__:  # python -OO drops docstrings
        thing.__doc__ = cleandoc(thing.__doc__) % ENTRIES + "\n"
    return thing
