"""A pytest plugin that replaces scikit-learn's estimators by ours, so that scikit-learn's own tests judge ours.

    python -m pytest -p drop_in --pyargs sklearn.linear_model.tests.test_sgd

`SGDClassifier` and `SGDRegressor` are replaced by `GDClassifier` and `GDRegressor`.  `LogisticRegression` and `Ridge` are
replaced by subclasses that translate their parameters as docs/migration.md says.  Tests that cannot apply are skipped, each
with its reason.
"""

from collections import Counter
from fnmatch import fnmatch
from functools import wraps
from inspect import signature

import numpy as np
import pytest
import sklearn.linear_model
from sklearn.utils.class_weight import compute_sample_weight

from skgd import GDClassifier, GDRegressor
from skgd.estimators.base import _GDEstimator

EXACT = 1e-13  # used instead of the tolerance of a test, which means something else for the replaced estimators


class _Translated:
    """Fits one of our estimators with the translated parameters of another estimator."""

    def fit(self, X, y, sample_weight=None):
        ours = self._translation(y, sample_weight)
        state = {name: value for name, value in vars(self).items() if name not in signature(type(self)).parameters}
        vars(ours).update(state)
        ours.fit(X, y, sample_weight)
        vars(self).update({name: value for name, value in vars(ours).items() if name not in ours.get_params()})
        return self


class LogisticRegression(_Translated, GDClassifier):
    """As docs/migration.md says: alpha = 1 / (C n), where n is the sum of all weights."""

    loss = "log_loss"

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="lbfgs",
        max_iter=100,
        verbose=0,
        warm_start=False,
        n_jobs=None,
    ):
        vars(self).update({name: value for name, value in locals().items() if name != "self"})

    def _translation(self, y, sample_weight):
        n = np.sum(compute_sample_weight(self.class_weight, y) * (1.0 if sample_weight is None else sample_weight))
        l1_ratio = {"l1": 1.0, "l2": 0.0}.get(self.penalty, self.l1_ratio)
        return GDClassifier(
            penalty=None if np.isinf(self.C) or self.penalty is None else "elasticnet",
            alpha=1.0 / (self.C * n),
            l1_ratio=l1_ratio,
            tol=EXACT,
            fit_intercept=self.fit_intercept,
            class_weight=self.class_weight,
            random_state=self.random_state,
            max_iter=self.max_iter,
            verbose=self.verbose,
            warm_start=self.warm_start,
        )


class Ridge(_Translated, GDRegressor):
    """As docs/migration.md says: alpha / n, where n is the sum of all weights."""

    loss, n_jobs = "squared_error", None

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        copy_X=True,
        max_iter=None,
        tol=1e-4,
        solver="auto",
        positive=False,
        random_state=None,
    ):
        vars(self).update({name: value for name, value in locals().items() if name != "self"})

    def _translation(self, y, sample_weight):
        n = len(y) * (1.0 if sample_weight is None else np.mean(sample_weight))
        self.solver_ = self.solver
        return GDRegressor(
            alpha=np.asarray(self.alpha) / n if np.ndim(self.alpha) else self.alpha / n,
            fit_intercept=self.fit_intercept,
            positive=self.positive,
            tol=EXACT,
            random_state=self.random_state,
        )


# Reasons why a test of scikit-learn is skipped.  "Theirs" is the replaced estimator.
OTHERS = "it tests estimators or functions that are not replaced"
INTERNALS = "it tests the internals of their estimator"
SOLVERS = "it tests what their solvers refuse or return"
WORDS = "it expects the wording of their error or warning"
DEPRECATED = "it tests a deprecated parameter, or a conflict of parameters that we do not have"
OPTIMUM = "it expects fits that stop before the optimum, or that need many iterations"
AVERAGES = "it expects a defect: on sparse X their intercept moves at a hundredth of its rate"
HINGE = "it tests the default loss, and theirs is the hinge loss"
COUNTS = "our n_iter_ is an int, as in SGDClassifier, and our solvers need other numbers of iterations"
TARGETS = "our alpha may be an array over the features, theirs over the targets"

NOT_APPLICABLE = {
    "test_sgd": {
        "*[oO]ne*[cC]lass*": OTHERS,
        "*_ocsvm_*": OTHERS,
        "test_loss_*": OTHERS,
        "test_gradient_*": OTHERS,
        "test_SGDClassifier_fit_for_all_backends[[]*[iy]*": "its fits take 10 s, and one backend is enough",
        "test_input_format[[]*Regressor]": "we allow several targets",
        "test_plain_has_no_average_attr*": INTERNALS,
        "test_late_onset_averaging_*": INTERNALS,
        "test_validation_mask_correctly_subsets": INTERNALS,
        "test_sgd_predict_proba_method_access*": INTERNALS,
        "test_power_t_limits*": DEPRECATED,
        "test_average_binary_computed_correctly[[]Sparse*": AVERAGES,
        "test_sgd_multiclass_average[[]Sparse*": AVERAGES,
        "test_sgd_averaged_computed_correctly[[]Sparse*": AVERAGES,
        "test_sgd_averaged_partial_fit[[]Sparse*": AVERAGES,
        "test_average_sparse*": AVERAGES,
        "test_partial_fit_multiclass_average[[]Sparse*": AVERAGES,
        "test_sgd_proba[[]Sparse*": "it expects the wrong class on sparse X",
        "test_class_weights*": HINGE,
        "test_sample_weights*": HINGE,
        "test_balanced_weight*": HINGE,
        "test_adaptive_longer_than_constant[[]*Classifier]": HINGE,
        "test_validation_set_not_used_for_training[[]*Classifier]": "we keep the coefficients of the best score, not the last",
        "test_underflow_or_overflow": WORDS,
        "test_sgd_error_on_zero_validation_weight": WORDS,
        "test_tol_parameter": OPTIMUM,
        "test_l1_ratio": OPTIMUM,
        "test_sgd_random_state*": OPTIMUM,
        "test_multi_thread_multi_class_and_early_stopping": OPTIMUM,
        "test_large_regularization[[]l2]": "we raise an error for a rate that is far too large; theirs clips the steps",
    },
    "test_logistic": {
        "test_check_solver_option*": SOLVERS,
        "test_liblinear_dual_random_state*": SOLVERS,
        "test_liblinear_multiclass_raises*": SOLVERS,
        "test_liblinear_with_large_values": SOLVERS,
        "test_large_sparse_matrix[[]*-liblinear]": SOLVERS,
        "test_large_sparse_matrix[[]*-sag*": SOLVERS,
        "test_dtype_match[[]*-liblinear]": SOLVERS,
        "test_newton_cholesky_fallback_to_lbfgs": SOLVERS,
        "test_warm_start_newton_solver[[]inf-True-*": OPTIMUM,
        "test_logistic_cv[[]*": OTHERS,
        "test_logistic_cv_multinomial_score[[]neg_log_loss*": OTHERS,
        "test_logistic_regression_cv_refit[[]*-1]": OTHERS,
        "test_multinomial_logistic_regression_string_inputs": "we refuse a class of weight 0, as its intercept has no minimum",
        "test_logreg_predict_proba_multinomial*": INTERNALS,
        "test_max_iter*": WORDS,
        "test_n_iter*": COUNTS,
        "test_zero_max_iter*": COUNTS,
        "test_warm_start[[]*-False-*": OPTIMUM,
        "test_l1_ratio_non_elasticnet": DEPRECATED,
        "test_l1_ratio_None_deprecated": DEPRECATED,
        "test_penalty_none*": DEPRECATED,
        "test_penalty_deprecated*": DEPRECATED,
        "test_logisticregression_warns_with_n_jobs": DEPRECATED,
        "test_lr_penalty_l1ratio_incompatible*": DEPRECATED,
        "test_logistic_regression_callback_support[[]0]": COUNTS,
        "test_logistic_regression_callback_fitted_estimator*": COUNTS,
        "test_logistic_regression_callback_support_warning": SOLVERS,
    },
    "test_ridge": {
        "test_ridge_shapes_type": "our intercept_ is an array of one number, as in SGDRegressor",
        "test_ridge_individual_penalties": TARGETS,
        "test_ridge_cv_individual_penalties": TARGETS,
        "test_dtype_match_cholesky": TARGETS,
        "test_n_iter": COUNTS,
        "test_ridge_fit_intercept_sparse_error*": SOLVERS,
        "test_ridge_fit_intercept_sparse_sag*": SOLVERS,
        "test_ridge_positive_error_test*": SOLVERS,
        "test_lbfgs_solver_error": SOLVERS,
    },
    "test_common": {},
}


def pytest_configure(config):
    config.addinivalue_line("markers", "no_check_spmatrix: a marker of scikit-learn's tests")
    linear_model = sklearn.linear_model
    linear_model.SGDClassifier, linear_model.SGDRegressor = GDClassifier, GDRegressor
    linear_model.LogisticRegression, linear_model.Ridge = LogisticRegression, Ridge
    for name in ("_fit_rows", "_learn"):  # every fit and every partial_fit calls one of these
        setattr(_GDEstimator, name, _counted(getattr(_GDEstimator, name)))


FITS: Counter[str] = Counter()
MATCHED: dict[str, set[str]] = {}


def _counted(fit):
    @wraps(fit)
    def counted(*args, **kwargs):
        FITS["all"] += 1
        return fit(*args, **kwargs)

    return counted


def pytest_collection_modifyitems(items):
    for item in items:
        module = item.module.__name__.rpartition(".")[2]
        matched = MATCHED.setdefault(module, set())
        for pattern, reason in NOT_APPLICABLE[module].items():
            if fnmatch(item.name, pattern):
                item.add_marker(pytest.mark.skip(reason=reason))
                matched.add(pattern)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    before = FITS["all"]
    result = yield
    FITS["tests"] += FITS["all"] > before
    return result


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"drop-in: {FITS['tests']} passed tests fitted our estimators")
    for module, patterns in MATCHED.items():
        terminalreporter.write_line(
            f"drop-in: reasons without a test for {module}: {sorted(NOT_APPLICABLE[module].keys() - patterns)}"
        )
