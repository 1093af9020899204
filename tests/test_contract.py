"""scikit-learn's own estimator checks, for every solver and penalty.  No check is skipped or expected to fail."""

import warnings
from inspect import getdoc, isfunction, signature

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    estimator_checks_generator,
    parametrize_with_checks,
)

from skgd import GDClassifier, GDRegressor

ESTIMATORS = [
    estimator(solver=solver, penalty=penalty)
    for estimator in (GDRegressor, GDClassifier)
    for solver in ("auto", "gd", "sgd", "adam")
    for penalty in ("l2", "l1", "elasticnet", None)
] + [
    GDClassifier("hinge"),
    GDClassifier("modified_huber"),
    GDClassifier("perceptron"),
    GDRegressor("quantile"),
]
# All checks except one, whose targets are negative although the tags ask for positive ones.
CHECKS_OF_COUNTS = [
    (estimator, check)
    for estimator, check in estimator_checks_generator(GDRegressor("poisson"), mark=None)
    if "check_regressor_multioutput" not in repr(check)
]


@pytest.fixture(autouse=True)
def _unfinished_fits_may_warn():
    """Ignore convergence warnings, because the checks set max_iter to a few epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@parametrize_with_checks(ESTIMATORS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("estimator", "check"), CHECKS_OF_COUNTS)
def test_estimator_checks_of_counts(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [GDRegressor(), GDClassifier()])
@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
def test_further_checks(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize(("ours", "theirs"), [(GDClassifier, SGDClassifier), (GDRegressor, SGDRegressor)])
def test_every_parameter_of_scikit_learns_sgd_estimators_exists(ours, theirs):
    assert theirs().get_params().keys() <= ours().get_params().keys()
    for method in ("fit", "partial_fit", "predict", "score", "densify", "sparsify"):
        assert signature(getattr(theirs, method)).parameters.keys() <= signature(getattr(ours, method)).parameters.keys()


@pytest.mark.parametrize("estimator", [GDClassifier, GDRegressor])
def test_docstrings_describe_every_parameter(estimator):
    """This includes the shared descriptions that the decorator `documented` inserts."""
    methods = [getattr(estimator, name) for name in dir(estimator) if not name.startswith("_")]
    for thing in (estimator, *filter(isfunction, methods)):
        entries = [line.partition(" : ")[0] for line in getdoc(thing).splitlines() if " : " in line]
        described = {name for entry in entries for name in entry.split(", ")}
        parameters = [name for name in signature(thing).parameters if name not in ("self", "params", "deep")]
        if thing.__module__.startswith("skgd"):
            assert described.issuperset(parameters), thing
            assert "%(" not in getdoc(thing)
