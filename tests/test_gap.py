"""`converged_`, `gap_` and `gap_kind_`, against the gap to a fit that is exact to rounding."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

CASES = [
    (GDClassifier, "log_loss"),
    (GDClassifier, "squared_hinge"),
    (GDClassifier, "hinge"),
    (GDRegressor, "squared_error"),
    (GDRegressor, "huber"),
    (GDRegressor, "quantile"),
    (GDRegressor, "poisson"),
]
SOLVERS = ("auto", "gd", "sgd", "adam")
KINKED = {"hinge", "quantile"}
EVERY_CASE = pytest.mark.parametrize(("estimator", "loss"), CASES)
EVERY_PAIR = pytest.mark.parametrize(
    ("estimator", "loss", "solver"),
    [(*case, solver) for case in CASES for solver in SOLVERS if case[1] != "poisson" or solver in ("auto", "gd")],
)


def data(loss):
    """Standardised rows and targets that overlap."""
    rng = np.random.default_rng(3)
    X = StandardScaler().fit_transform(rng.normal(size=(120, 4)))
    z = X @ [1.0, -0.7, 0.3, 0.0] + rng.logistic(size=120)
    y = {"poisson": rng.poisson(np.exp(0.5 * z)).astype(float), "quantile": z, "huber": z, "squared_error": z}
    return X, y.get(loss, (z > 0.2).astype(int))


def model_of(estimator, loss, **parameters):
    parameters = {"alpha": 0.05, "random_state": 0, **parameters}
    return estimator(loss, epsilon=0.5, **parameters) if loss == "huber" else estimator(loss, **parameters)


def quietly(fit, *arguments, **named):
    """The fitted model, and whether it warned of convergence."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        model = fit(*arguments, **named)
    return model, any(issubclass(warning.category, ConvergenceWarning) for warning in said)


def distance(model, objective, X, y, weights=None):
    """The true gap (F - F*) / F at the coefficients of a model, by the documented objective in NumPy."""
    exact = clone(model).set_params(solver="gd", tol=1e-12, max_iter=1000, early_stopping=False)
    F, minimum = (objective(fitted, X, y, weights) for fitted in (model, quietly(exact.fit, X, y, weights)[0]))
    return (F - minimum) / F


def assert_unknown(model, converged=False):
    assert model.converged_ is converged
    assert np.isnan(model.gap_)
    assert model.gap_kind_ is None


def assert_true(model, objective, X, y, weights=None):
    """The types are the documented ones, and a gap that claims to be a bound is one."""
    assert isinstance(model.converged_, bool)
    assert isinstance(model.gap_, float)
    assert model.gap_kind_ in ("bound", "estimate")
    assert model.gap_ >= 0.0
    true = distance(model, objective, X, y, weights)
    if model.gap_kind_ == "bound":
        assert true <= model.gap_ + 1e-11
    if model.converged_:
        assert true <= model.tol + 1e-11
        assert model.gap_ <= max(model.tol, 1e-12)


# ---------------------------------------------------------------- fits
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@EVERY_PAIR
def test_gaps_are_true(estimator, loss, solver, penalty, objective):
    X, y = data(loss)
    stochastic = solver in ("sgd", "adam")
    tolerances = ((3e-2,) if loss in KINKED else (1e-2, 1e-3)) if stochastic else (1e-2, 1e-4, 1e-8)
    for tol in tolerances:
        model = model_of(estimator, loss, solver=solver, penalty=penalty, tol=tol)
        model, warned = quietly(model.fit, X, y)
        assert model.converged_ is not warned
        assert_true(model, objective, X, y)
        if not stochastic:
            assert model.converged_
            assert loss not in KINKED or model.gap_kind_ == "bound"


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_gaps_of_several_classes_and_weights(loss, storage, objective):
    X, y = data(loss)
    y, weights = y + (X[:, 1] > 0.5), np.random.default_rng(1).uniform(0.1, 3.0, len(y))
    for tol in (1e-2, 1e-4):
        model = model_of(GDClassifier, loss, tol=tol).fit(storage(X), y, weights)
        assert len(model.classes_) == 3
        assert model.converged_
        assert_true(model, objective, X, y, weights)


def test_gaps_of_several_targets(objective):
    X, y = data("huber")
    Y = np.column_stack([y, 10.0 * y[::-1]])
    for loss in ("squared_error", "huber", "quantile"):
        model = model_of(GDRegressor, loss, tol=1e-4).fit(X, Y)
        assert model.converged_
        assert_true(model, objective, X, Y)


@EVERY_CASE
def test_without_a_penalty_there_are_gaps_as_well(estimator, loss, objective):
    X, y = data(loss)
    model = model_of(estimator, loss, penalty=None, tol=1e-4).fit(X, y)
    assert model.converged_
    assert_true(model, objective, X, y)


@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_rows_of_float32_have_the_gap_of_their_coefficients(loss, objective):
    """Coefficients are rounded to float32, and the gap includes what that may cost."""
    X, y = data(loss)
    X = X.astype(np.float32)
    for tol in (1e-2, 1e-5):
        model = model_of(GDClassifier, loss, tol=tol).fit(X, y)
        assert model.coef_.dtype == np.float32
        assert_true(model, objective, X.astype(float), y)


# ---------------------------------------------------------------- where the gap is not known
@EVERY_PAIR
def test_nothing_is_known_where_nothing_was_asked(estimator, loss, solver):
    assert_unknown(model_of(estimator, loss, solver=solver, tol=None, max_iter=3).fit(*data(loss)))


@pytest.mark.parametrize(("estimator", "loss"), [case for case in CASES if case[1] != "poisson"])
def test_nothing_is_known_after_partial_fit(estimator, loss):
    X, y = data(loss)
    classes = {"classes": [0, 1]} if estimator is GDClassifier else {}
    model = model_of(estimator, loss, solver="sgd")
    assert_unknown(model.partial_fit(X[:60], y[:60], **classes))
    model, _ = quietly(model_of(estimator, loss, solver="sgd", tol=0.1).fit, X, y)
    assert np.isfinite(model.gap_)
    assert_unknown(model.partial_fit(X[:60], y[:60]))


@pytest.mark.parametrize(("solver", "eta0"), [("gd", 0.5), ("sgd", 1e-2), ("adam", 1e-2)])
def test_an_explicit_rate_knows_only_whether_the_objective_has_settled(solver, eta0):
    X, y = data("log_loss")
    parameters = {"solver": solver, "learning_rate": "constant", "eta0": eta0}
    settled, warned = quietly(model_of(GDClassifier, "log_loss", **parameters, tol=1e-3, max_iter=1000).fit, X, y)
    assert not warned
    assert_unknown(settled, converged=True)
    for tol, expected in ((1e-12, True), (None, False)):
        model, warned = quietly(model_of(GDClassifier, "log_loss", **parameters, tol=tol, max_iter=2).fit, X, y)
        assert warned is expected
        assert_unknown(model)


def test_the_perceptron_has_no_gap():
    model, warned = quietly(model_of(GDClassifier, "perceptron").fit, *data("perceptron"))
    assert_unknown(model, converged=not warned)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_nothing_is_known_where_early_stopping_ended_the_fit(solver):
    """Validation rows have random labels, so their scores get worse at once."""
    X, y = data("log_loss")
    rng = np.random.default_rng(0)
    X_val, y_val = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    model = model_of(GDClassifier, "log_loss", solver=solver, early_stopping=True, n_iter_no_change=1, tol=1e-6)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.n_iter_ < model.max_iter
    assert len(model.validation_scores_) > 1
    assert max(model.validation_scores_[-1:]) <= model.best_validation_score_
    assert_unknown(model)


def test_early_stopping_that_never_stops_leaves_the_gap_as_it_is(objective):
    """The validation rows are the rows of the fit, so the last coefficients are the best ones."""
    X, y = data("squared_error")
    model = model_of(GDRegressor, "squared_error", solver="gd", early_stopping=True, n_iter_no_change=50, tol=1e-6)
    model.fit(X, y, X_val=X, y_val=y)
    assert model.converged_
    assert_true(model, objective, X, y)


# ---------------------------------------------------------------- fits that did not converge
@EVERY_PAIR
def test_fits_that_warn_have_not_converged(estimator, loss, solver):
    """One epoch or iteration cannot reach this tolerance."""
    model = model_of(estimator, loss, solver=solver, alpha=1e-3, tol=1e-12, max_iter=1)
    model, warned = quietly(model.fit, *data(loss))
    assert model.converged_ is not warned
    if loss != "squared_error":  # one step on all rows minimises a squared error
        assert warned
        assert model.gap_kind_ in ("estimate", None)
        assert np.isnan(model.gap_) == (model.gap_kind_ is None)


@pytest.mark.parametrize("max_iter", [2, 3, 4, 5])
def test_the_estimate_of_a_fit_cut_short_is_near_the_truth(max_iter, objective):
    """Within a factor of ten, for log_loss with well explained labels and a small penalty."""
    rng = np.random.default_rng(5)
    X = StandardScaler().fit_transform(rng.normal(size=(300, 5)))
    y = (X @ [4.0, -3.0, 2.0, 0.0, 1.0] + rng.logistic(size=300) > 0.0).astype(int)
    with pytest.warns(ConvergenceWarning, match="without reaching tol"):
        model = model_of(GDClassifier, "log_loss", solver="gd", alpha=1e-3, tol=1e-10, max_iter=max_iter).fit(X, y)
    assert not model.converged_
    true = distance(model, objective, X, y)
    assert 0.1 * true <= model.gap_ <= 10.0 * true


# ---------------------------------------------------------------- copies and batches
def test_gaps_survive_pickles_and_not_clones():
    X, y = data("hinge")
    model = model_of(GDClassifier, "hinge").fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.converged_, copy.gap_, copy.gap_kind_) == (model.converged_, model.gap_, model.gap_kind_)
    unfitted = clone(model)
    assert not any(hasattr(unfitted, name) for name in ("converged_", "gap_", "gap_kind_"))
    refitted = unfitted.fit(X, y)
    assert (refitted.converged_, refitted.gap_, refitted.gap_kind_) == (model.converged_, model.gap_, model.gap_kind_)


@pytest.mark.parametrize(("estimator", "loss", "solver"), [(*CASES[0], "auto"), (*CASES[0], "sgd"), (*CASES[4], "auto")])
def test_fits_of_batches_have_gaps(estimator, loss, solver, objective):
    X, y = data(loss)
    batches = [(X[first : first + 40], y[first : first + 40]) for first in range(0, 120, 40)]
    model, warned = quietly(model_of(estimator, loss, solver=solver, tol=1e-2).fit_batches, batches)
    assert model.converged_ is not warned
    assert_true(model, objective, X, y)
    assert_unknown(model_of(estimator, loss, solver=solver, tol=None, max_iter=3).fit_batches(batches))


def test_a_second_fit_replaces_what_the_first_one_knew():
    X, y = data("log_loss")
    model = model_of(GDClassifier, "log_loss").fit(X, y)
    assert model.converged_
    assert_unknown(model.set_params(tol=None, max_iter=2).fit(X, y))
