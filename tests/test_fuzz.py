"""Random problems: a fit ends at the minimum, or an error or warning says why it does not.

Hypothesis draws shapes, scales, storage, weights, labels and parameters.  SciPy computes the minimum in standardised
coordinates.  With ``SKGD_NIGHTLY=1`` there are 10,000 problems instead of 500, from a new seed each time, and a hundred larger
problems that resemble real data.
"""

import faulthandler
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from kinds import KINDS
from oracle import ALLOWED, LOG_LINK, judged
from problems import NIGHTLY
from reference import NON_SMOOTH, Reference
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgd import GDClassifier, GDRegressor

HANGS = 300  # seconds; a fit that takes longer hangs, even if kernels have to be compiled and the machine is busy
SLACK = {"exact": 5.0, "stochastic": 30.0}  # the allowed relative gap, as a multiple of tol
WEIGHTLESS = 1e-5  # rows with less than this fraction of all weight need not be fitted at their non-smooth points
# A gap below this fraction of the objective at the start is allowed.  Fits need not resolve non-smooth points where almost only
# the penalty counts, predicted rates that tend to zero, or directions with 1e-12 times the curvature of others.
NEGLIGIBLE = {"non-smooth": 1e-4, "poisson": 1e-6, "float32": 1e-6, "float64": 1e-8}
CLASSIFICATION = ["log_loss", "hinge", "squared_hinge", "modified_huber"]
REGRESSION = ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile", "poisson", "gamma"]
# The messages that an error may have.  Each of them names a parameter, a column or the classes.
CAUSES = [
    r"Column \d+ of X holds values whose squares exceed the range of floats: rescale it\.",
    r"y holds values whose squares exceed the range of floats: rescale it\.",
    r"The objective overflowed after \d+ passes of solver='\w+'\. X, y or sample_weight hold values whose squares exceed",
    r"Coefficients exceed the range of float32: pass X as float64, or rescale its columns\.",
    r"GDClassifier needs at least two classes, but y has one class among the rows with a weight",
    r"loss='poisson' needs targets y >= 0, not all of them 0",
]


def fuzz(examples):
    """Settings with this number of examples, the same ones in every run; by night twenty times as many new ones."""
    return settings(
        max_examples=20 * examples if NIGHTLY else examples,
        derandomize=not NIGHTLY,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


class Problem(NamedTuple):
    estimator: Any
    X: Any
    y: np.ndarray
    weights: np.ndarray | None


# ---------------------------------------------------------------- problems
exponents = st.one_of(st.just(0), st.integers(-6, 6), st.integers(-150, 150))


@st.composite
def matrices(draw, dtype, non_smooth):
    """X of shape (n, d) in float64, with columns of any scale and offset, some of them constant, equal or nearly empty."""
    n = draw(st.integers(2, 25 if non_smooth else 60))
    d = draw(st.integers(1, 5 if non_smooth else 8) if non_smooth or draw(st.integers(0, 9)) else st.just(70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    Z = rng.normal(size=(n, d)) if draw(st.booleans()) else rng.standard_t(2.0, size=(n, d))
    Z *= rng.random((n, d)) < draw(st.sampled_from([1.0, 1.0, 0.3, 0.05]))
    few = st.lists(exponents, min_size=1, max_size=3)
    largest = 30 if dtype == np.float32 else 150
    scales = 10.0 ** np.clip(np.resize(draw(few), d), -largest, largest)
    offsets = np.resize(draw(st.lists(st.sampled_from([0.0, 0.0, 1.0, -1e3, 1e6]), min_size=1, max_size=3)), d)
    X = (Z + offsets) * scales
    X[:, rng.random(d) < draw(st.sampled_from([0.0, 0.0, 0.2]))] = draw(st.sampled_from([0.0, 1.0, 1e15]))
    if draw(st.integers(0, 4)) == 0:
        X[:, -1] = X[:, 0]
    return X.astype(dtype).astype(np.float64), Z, rng


@st.composite
def weights_of(draw, n, rng):
    kind = draw(st.sampled_from(["none", "none", "uniform", "zeros", "decades"]))
    if kind == "none":
        return None
    s = rng.uniform(0.1, 2.0, n)
    if kind == "zeros":
        s[rng.random(n) < 0.3] = 0.0
        s[0] = 1.0
    return s * 10.0 ** rng.uniform(-8, 8, n) if kind == "decades" else s


STORED = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "CSR": sp.csr_matrix,
    "CSC": sp.csc_array,
}
LABELS = [np.array([0, 1, 2, 3]), np.array([-1, 1, 7, 9]), np.array(list("dbca")), np.array([5.0, 2.0, -3.0, 8.0])]


@st.composite
def problems(draw, losses, **parameters):
    """A problem of one of the losses."""
    loss = draw(st.sampled_from(losses))
    # Each loss, storage and dtype takes seconds to compile, so by day only two losses are combined with all of them.
    common = NIGHTLY or loss in ("log_loss", "squared_error")
    dtype = draw(st.sampled_from([np.float64, np.float32])) if common else np.float64
    X, Z, rng = draw(matrices(dtype, loss in NON_SMOOTH))
    weights = draw(weights_of(len(X), rng))
    stored = draw(st.sampled_from(list(STORED) if common else ["C", "F"]))
    z = Z @ rng.normal(size=Z.shape[1]) + draw(st.sampled_from([0.0, 0.3, 3.0])) * rng.normal(size=len(X))
    chosen = {
        "solver": draw(st.sampled_from(["auto", "gd", "sgd", "adam"])),
        "penalty": draw(st.sampled_from(["l2", "l2", "l1", "elasticnet", None])),
        "alpha": draw(st.sampled_from([0.0, 1e-10, 1e-4, 1e-2, 1.0, 1e6])),
        "l1_ratio": draw(st.sampled_from([0.15, 0.9])),
        "fit_intercept": draw(st.integers(0, 4)) > 0,
        "tol": draw(st.sampled_from([1e-4, 1e-4, 1e-6])),
        "max_iter": 200,
        "random_state": 0,
    }
    if chosen["penalty"] != "elasticnet":
        del chosen["l1_ratio"]  # it would have no effect, and cause a warning
    if loss in CLASSIFICATION:
        labels = LABELS[draw(st.integers(0, len(LABELS) - 1))]
        cuts = np.sort(rng.choice(z, draw(st.sampled_from([1, 1, 2, 3]))))
        y = labels[np.digitize(z, cuts)]
        estimator = GDClassifier(loss, **chosen)
    else:
        estimator = GDRegressor(loss, **chosen)
        if loss in ("poisson", "gamma"):
            y = np.exp(np.clip(z, -5.0, 5.0)) * rng.exponential(size=len(X)) + 1e-3
            y = np.floor(y) if loss == "poisson" else y
        else:
            y = (z + draw(st.sampled_from([0.0, 0.0, 1e3]))) * 10.0 ** draw(exponents)
            if loss not in ("squared_error", "quantile"):
                estimator.epsilon = 0.1 * float(np.abs(y).max()) or 0.1
    return Problem(estimator.set_params(**parameters), STORED[stored](X.astype(dtype)), y, weights)


# ---------------------------------------------------------------- the contract
def fitted(model, X, y, weights):
    """Fit the model.  Return the list of its warnings, or its error after a check that the estimator has not changed."""
    before = dict(vars(model))
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.fit(X, y, weights)
        return said
    except ValueError as error:
        return error if vars(model) == before else AssertionError("a failed fit changed the estimator")
    finally:
        faulthandler.cancel_dump_traceback_later()


@fuzz(500)
@given(problems(CLASSIFICATION + REGRESSION))
def test_a_fit_ends_at_the_minimum_or_says_why_not(problem):
    note(str(problem))
    model = clone(problem.estimator)
    said = fitted(model, problem.X, problem.y, problem.weights)
    if isinstance(said, Exception):
        event("refused")
        assert any(re.match(cause, str(said)) for cause in CAUSES), said
        return
    assert {warning.category for warning in said} <= {ConvergenceWarning}, [str(warning.message) for warning in said]
    converged = not said
    event("converged" if converged else "warned")
    tol, curve = model.tol, model.loss_curve_
    exact = model.solver in ("auto", "gd")
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert np.isfinite(curve).all()
    assert curve[-1] <= curve[0] * (1.0 + (1e-12 if exact else tol))
    reference = Reference(model, problem)
    if not reference.clear:
        return
    v = reference.fitted()
    F = reference(v)
    if problem.X.dtype == np.float64:
        scores = np.spacing((abs(problem.X) @ np.abs(model.coef_.T)).max())  # slope 1 if non-smooth, else curvature 1
        rounding = reference.rounding + (scores if model.loss in NON_SMOOTH else scores**2)
        assert F == pytest.approx(curve[-1], rel=1e-5, abs=1e-6 * curve[0] + rounding)
    if converged:
        best = min(reference.minimum(v), reference.minimum(np.zeros_like(v)))
        share = SLACK["exact" if exact else "stochastic"] * tol
        kind = "non-smooth" if model.loss in NON_SMOOTH else model.loss if model.loss in NEGLIGIBLE else problem.X.dtype.name
        negligible = NEGLIGIBLE[kind] * curve[0] + (WEIGHTLESS * reference.size if kind == "non-smooth" else 0.0)
        assert F <= best * (1.0 + share) + negligible + reference.rounding, (F, best, F - best)


# ---------------------------------------------------------------- problems that look like data
@st.composite
def problems_like_data(draw):
    """A problem that resembles a kind of real data, with a tenth of its usual number of rows up to its largest number."""
    kind = draw(st.sampled_from(list(KINDS.values())))
    fewest = kind.rows // 10
    n = round(fewest * (kind.most / fewest) ** draw(st.floats(0.0, 1.0)))
    X, y = kind.generate(n, draw(st.integers(0, 2**32 - 1)))
    loss = draw(st.sampled_from(kind.losses))
    estimator = (GDClassifier if kind.task == "classes" else GDRegressor)(
        loss,
        solver=draw(st.sampled_from(["auto", "gd"] if loss in LOG_LINK else ["auto", "auto", "gd", "sgd", "adam"])),
        penalty=draw(st.sampled_from(["l2", "l2", "l1", "elasticnet", None])),
        alpha=draw(st.sampled_from([1e-6, 1e-4, 1e-2])),
        l1_ratio=draw(st.sampled_from([0.15, 0.9])),
        max_iter=200,
        random_state=0,
    )
    if loss == "quantile":
        estimator.quantile = draw(st.sampled_from([0.05, 0.5, 0.9]))
    note(f"{kind.name}, {n} rows")
    return Problem(estimator, X, y, None)


@pytest.mark.skipif(not NIGHTLY, reason="a large problem takes seconds")
@fuzz(5)
@given(problems_like_data())
def test_a_fit_of_realistic_data_ends_at_the_minimum_or_says_why_not(problem):
    note(str(problem.estimator))
    model = clone(problem.estimator)
    said = fitted(model, problem.X, problem.y, None)
    assert not isinstance(said, Exception), said
    assert {warning.category for warning in said} <= {ConvergenceWarning}, [str(warning.message) for warning in said]
    event("warned" if said else "converged")
    if not said:
        found = judged(model, problem.X, problem.y)
        assert found.excess <= ALLOWED * model.tol, found


# ---------------------------------------------------------------- parameters
PARAMETERS = {
    "solver": ["auto", "gd", "sgd", "adam"],
    "penalty": ["l2", "l1", "elasticnet", None],
    "alpha": [0.0, 1e-4, 1.0, [0.0, 0.1, 1.0], [1.0, 2.0], -1.0, np.inf],
    "l1_ratio": [0.15, 0, 1, None, 1.5],
    "fit_intercept": [True, False],
    "positive": [False, True, [True, False, True], [True]],
    "max_iter": [1, 3, 50, 0],
    "tol": [1e-4, 0.0, None, -1.0],
    "shuffle": [True, False],
    "batch_size": ["auto", 1, 7, 10_000, 0],
    "epsilon": [0.1, 0.0, 2.0, -0.1],
    "n_jobs": [None, 1, 2, -1],
    "random_state": [None, 0, np.random.RandomState(0)],
    "learning_rate": ["auto", "constant", "optimal", "invscaling", "adaptive"],
    "eta0": [0.01, 1e-6, 10.0, 0.0],
    "power_t": [0.5, 0.0, -0.5],
    "momentum": [0.0, 0.9, 1.0],
    "nesterovs_momentum": [True, False],
    "beta_1": [0.9, 0.0, 1.0],
    "beta_2": [0.999, 0.0],
    "adam_epsilon": [1e-8, 1.0, 0.0],
    "standardize": ["auto", True, False],
    "early_stopping": [False, True],
    "validation_fraction": [0.1, 0.5, 0.999, 1.0],
    "scoring": [None, "loss", "neg_mean_squared_error", "no such score"],
    "n_iter_no_change": [5, 1, 0],
    "warm_start": [False, True],
    "average": ["auto", True, False, 5, -1],
}
OWN = {
    GDClassifier: {"loss": [*CLASSIFICATION, "perceptron", "squared_error"], "class_weight": [None, "balanced", {0: 2.0}]},
    GDRegressor: {"loss": [*REGRESSION, "log_loss"], "quantile": [0.5, 0.1, 1.0]},
}


@st.composite
def estimators(draw):
    """An estimator with up to eight random parameters, not all of which have to be valid."""
    cls = draw(st.sampled_from(list(OWN)))
    values = {**PARAMETERS, **OWN[cls]}
    chosen = draw(st.lists(st.sampled_from(sorted(values)), max_size=8, unique=True))
    return cls(**{name: draw(st.sampled_from(values[name])) for name in chosen})


@fuzz(500)
@given(estimators())
def test_parameters_fit_or_raise_at_once(estimator):
    note(str(estimator))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) * [1.0, 100.0, 0.01]
    y = (X[:, 0] + 0.3 * rng.normal(size=30) > 0).astype(int) + (0 if isinstance(estimator, GDClassifier) else 1)
    parameters = estimator.get_params()
    said = fitted(estimator, X, y, None)
    assert estimator.get_params() == parameters
    if isinstance(said, Exception):
        event("refused")
        assert re.search("|".join(parameters), str(said)), said
        return
    event("fitted")
    assert {warning.category for warning in said} <= {ConvergenceWarning, UserWarning}, [str(w.message) for w in said]
    assert np.isfinite(estimator.coef_).all()
    assert np.isfinite(estimator.predict(X)).all()
