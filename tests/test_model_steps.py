"""Steps on all rows at the ends of epochs: minima of quadratic models against NumPy, and what they may decide and cost."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import default_options, objective_of, random_theta
from scipy.special import expit

from skgd.losses.cross_entropy import LogLoss
from skgd.losses.margins import SquaredHinge
from skgd.losses.regression import SquaredError
from skgd.solvers import sgd
from skgd.solvers import whitening as whitening_module
from skgd.solvers.full_models import FullModels
from skgd.solvers.model_budget import PASSES_OF_EPOCH, Minimum, ModelBudget
from skgd.solvers.model_steps import ModelSteps
from skgd.solvers.rate_control import RateController
from skgd.solvers.renewal import Renewal
from skgd.solvers.steps import State
from skgd.solvers.stopping import StoppingRule

N, TOL = 60, 1e-4
LOGISTIC = LogLoss(1).with_own_curvature()


def standardised(objective):
    X = objective.table.X.toarray() if objective.table.sparse else objective.table.X
    return np.column_stack([X - objective.coordinates.mean, np.ones(len(X))]) * objective.coordinates.scale


def logistic_model(objective, theta):
    """The slope (D,) of the objective at theta, and its Hessian (D, D)."""
    A, s, l2 = standardised(objective), objective.table.s / objective.n, objective.penalty.l2
    p = expit(A @ theta[:, 0])
    return A.T @ (s * (p - objective.table.Y[0])) + l2 * theta[:, 0], (A.T * (s * p * (1.0 - p))) @ A + np.diag(l2)


def problem(loss=LOGISTIC, n=N, d=4, storage=np.asarray, **parameters):
    X = np.random.default_rng(1).normal(size=(n, d)) * (np.random.default_rng(2).random((n, d)) < 0.7)
    Y = np.random.default_rng(3).choice([-1.0, 1.0], size=(1, n)) if isinstance(loss, SquaredHinge) else None
    return objective_of(loss, storage(X), Y=Y, weighted=True, **{"l2": 0.01} | parameters)


def fit_of(objective, tol=TOL):
    """The models, the state and the controller of a fit that has made one epoch, which ended at a random point."""
    scaled, plan = sgd.plan_steps(objective, default_options())
    start = np.zeros((objective.d + 1, objective.K))
    F = scaled.evaluate(start)[0]
    state = State(scaled, 0.1 * random_theta(scaled), plan)
    state.steps, state.average_from = 10, None
    control = RateController(scaled, plan, state, start, F)
    control.best, control.lowest = state.result(), scaled.evaluate(state.result())[0]
    return scaled, plan, state, control, ModelSteps(scaled, plan, tol, F)


def slope_of(objective, minimum, theta):
    """The slope from theta towards the target of a model, without the part of a non-smooth penalty."""
    gradient = objective.evaluate(theta)[1] + objective.penalty.l2[:, None] * theta
    return np.vdot(gradient, minimum.target - theta)


# ---------------------------------------------------------------- minima of models
def assert_minimum(minimum, objective, theta, rtol=1e-6):
    """The target, the slope towards it and the decrease are those of a Newton step that NumPy solves."""
    slope, H = logistic_model(objective, theta)
    step = -np.linalg.solve(H, slope)
    np.testing.assert_allclose(minimum.target, theta + step[:, None], rtol=rtol, atol=rtol)
    assert minimum.slope == pytest.approx(slope @ step, rel=rtol)
    assert minimum.decrease == pytest.approx(-0.5 * slope @ step, rel=rtol)


def renewal_of(objective, tol=TOL):
    scaled, plan = sgd.plan_steps(objective, default_options())
    theta = 0.1 * random_theta(scaled)
    return Renewal(scaled, plan, tol, ModelBudget()), State(scaled, theta, plan), theta


def test_the_minimum_in_whitened_coordinates():
    objective = problem(n=200)
    renewal, state, theta = renewal_of(objective)
    minimum = renewal.minimum(state, theta, epochs=1, undone=False)
    assert_minimum(minimum, objective, theta)
    assert minimum.reliable
    np.testing.assert_allclose(state.whitening.theta(state.phi), theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_the_minimum_by_a_matrix_of_all_rows(storage):
    objective = problem(n=200, storage=storage)
    theta = 0.1 * random_theta(objective)
    assert_minimum(FullModels(objective, TOL, ModelBudget()).minimum(theta, epochs=10), objective, theta)


def test_the_minimum_by_conjugate_gradients():
    """The matrix would cost more than the passes over 40 rows of 300 columns that it saves."""
    objective = problem(n=40, d=300, l2=0.1)
    theta = 0.01 * random_theta(objective)
    found = FullModels(objective, 1e-8, ModelBudget()).minimum(theta, epochs=1)
    assert found.reliable
    slope, H = logistic_model(objective, theta)
    assert found.decrease == pytest.approx(0.5 * slope @ np.linalg.solve(H, slope), rel=0.02)
    assert found.slope == pytest.approx(slope_of(objective, found, theta), rel=1e-9)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_the_minimum_with_an_l1_penalty(storage):
    """NumPy finds it by proximal gradient steps on the model."""
    objective = problem(n=200, storage=storage, l1=0.05)
    theta = 0.1 * random_theta(objective)
    found = FullModels(objective, 1e-8, ModelBudget()).minimum(theta, epochs=10)
    (slope, H), l1 = logistic_model(objective, theta), objective.penalty.upper
    rate, x = 1.0 / np.linalg.eigvalsh(H).max(), theta[:, 0].copy()

    def model(x):
        return slope @ (x - theta[:, 0]) + 0.5 * (x - theta[:, 0]) @ H @ (x - theta[:, 0]) + l1 @ np.abs(x)

    for _ in range(5000):
        x = x - rate * (slope + H @ (x - theta[:, 0]))
        x = np.sign(x) * np.maximum(np.abs(x) - rate * l1, 0.0)
    np.testing.assert_allclose(found.target[:, 0], x, atol=1e-5)
    np.testing.assert_array_equal(found.target[:, 0] == 0.0, x == 0.0)
    assert (x == 0.0).any()
    assert found.decrease == pytest.approx(model(theta[:, 0]) - model(x), rel=1e-5)
    step, l2 = x - theta[:, 0], objective.penalty.l2
    change = l1 @ (np.abs(x) - np.abs(theta[:, 0])) + 0.5 * l2 @ step**2
    assert found.slope == pytest.approx(slope @ step + change, rel=1e-4)


# ---------------------------------------------------------------- renewal
def test_the_whitening_is_renewed_at_the_first_model_and_where_it_decides():
    objective = problem(n=200)
    renewal, state, theta = renewal_of(objective)
    start = state.whitening
    renewal.minimum(state, theta, epochs=1, undone=False)
    first = state.whitening
    assert first is not start
    far = theta + 0.5
    renewal._last_decrease = np.inf  # the epoch was fast
    renewal.minimum(state, far, epochs=2, undone=False)
    assert state.whitening is first
    end = far
    for _ in range(8):  # Newton's method
        end = renewal.minimum(state, end, epochs=9, undone=False).target
    slope, H = logistic_model(objective, end)
    np.testing.assert_allclose(slope, 0.0, atol=1e-8)
    (M,) = state.whitening.matrices
    np.testing.assert_allclose(M.T @ H @ M, np.eye(5), atol=1e-3)


def test_slow_epochs_renew_the_whitening_if_the_budget_allows():
    objective = problem(n=200)
    for epochs, renewed in ((0, False), (10, True)):
        renewal, state, theta = renewal_of(objective)
        renewal.minimum(state, theta, epochs=1, undone=False)
        first = state.whitening
        renewal.minimum(state, theta + 1.0, epochs=epochs, undone=False)
        assert (state.whitening is not first) is renewed


def test_the_curvature_of_a_squared_error_is_never_outdated():
    objective = problem(SquaredError(1), n=200)
    renewal, state, theta = renewal_of(objective)
    renewal.minimum(state, theta, epochs=1, undone=False)
    first = state.whitening
    renewal.minimum(state, theta + 1.0, epochs=10, undone=False)
    assert state.whitening is first


def test_an_epoch_that_was_undone_makes_the_hessian_use_all_rows(monkeypatch):
    monkeypatch.setattr(whitening_module, "PRODUCTS", 0.0)
    objective = problem(n=2000)
    renewal, state, theta = renewal_of(objective)
    assert not renewal._sample.complete
    sampled = renewal.minimum(state, theta, epochs=1, undone=False)
    exact = renewal.minimum(state, theta, epochs=2, undone=True)
    assert_minimum(exact, objective, theta)
    assert sampled.decrease != pytest.approx(exact.decrease, rel=1e-6)


def test_the_rate_suits_the_new_whitening():
    """Rates are inversely proportional to the curvature that a batch sees."""
    objective = problem(n=200)
    renewal, state, theta = renewal_of(objective)
    state.rate_factor, first = 8.0, renewal.plan.whitening
    renewal.minimum(state, theta, epochs=1, undone=False)
    seen = [whitening.batch_curvature(renewal.plan.batch_size, 200) for whitening in (first, state.whitening)]
    assert state.rate == pytest.approx(seen[0] / seen[1])
    assert state.rate_factor == 1.0


# ---------------------------------------------------------------- steps
CASES = {
    "whitened": {"n": 200},
    "L1": {"n": 200, "l1": 0.02},
    "L1, sparse": {"n": 200, "l1": 0.02, "storage": sp.csr_matrix},
    "wide": {"n": 40, "d": 500},
    "flat rows": {"n": 200, "loss": SquaredHinge(1)},
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_never_raises_the_objective_and_steps_alone_reach_the_minimum(case):
    objective, _, state, control, models = fit_of(problem(**CASES[case]))
    start = control.lowest
    for epoch in range(1, 31):
        before = control.lowest
        minimum = models.advance(state, control, epoch)
        assert control.lowest <= before
        F = objective.values([control.best])[0]
        assert control.lowest == pytest.approx(F, rel=1e-10)
        if minimum is not None and models.is_small(minimum, control.lowest) and minimum.reliable:
            break
    assert epoch < 30
    assert control.lowest < start


def test_a_target_that_is_not_lower_is_not_accepted():
    _, _, state, control, models = fit_of(problem(n=200))
    best, lowest = control.best, control.lowest
    minimum = models._minimum(state, best, 1, undone=False)
    models._minimum = lambda *_, **__: minimum._replace(target=2.0 * best - minimum.target, slope=-1e-30)
    models.advance(state, control, epochs=1)
    assert control.lowest <= lowest
    assert control.best is best


# ---------------------------------------------------------------- the end of a fit
def rule_of(tol=TOL):
    _, plan, _, control, models = fit_of(problem(n=200), tol)
    return StoppingRule(plan, tol, control.lowest), models, control.lowest


@pytest.mark.parametrize(
    ("reliable", "small", "settled", "expected"),
    [
        (True, True, False, True),
        (True, False, True, False),
        (False, True, False, False),
        (False, True, True, True),
        (False, False, True, False),
    ],
)
def test_a_reliable_model_decides_and_another_one_can_only_contradict(reliable, small, settled, expected):
    stop, models, F = rule_of()
    minimum = Minimum(np.zeros((5, 1)), -1.0, (1e-8 if small else 1.0) * F, reliable)
    assert stop.agrees(models, minimum, settled, F) is expected
    assert stop.converged is expected
    if reliable or not small:
        assert stop.gap == pytest.approx(minimum.decrease / F)


def test_without_a_model_or_a_tolerance_a_fit_goes_on():
    stop, models, F = rule_of()
    assert not stop.agrees(models, None, True, F)
    stop, models, F = rule_of(tol=None)
    assert not stop.agrees(models, Minimum(np.zeros((5, 1)), 0.0, 0.0, True), True, F)


def test_an_objective_of_rounding_errors_is_small():
    _, models, F = rule_of()
    minimum = Minimum(np.zeros((5, 1)), -1.0, 1e-20 * F, True)
    assert models.is_small(minimum, 0.0)


# ---------------------------------------------------------------- the budget
def test_models_cost_no_more_than_epochs():
    budget = ModelBudget()
    assert not budget.affords(1.0, epochs=0)
    assert budget.affords(PASSES_OF_EPOCH, epochs=1)
    assert not budget.affords(1.01 * PASSES_OF_EPOCH, epochs=1)
    budget.spend(PASSES_OF_EPOCH)
    assert not budget.affords(1.0, epochs=1)
    assert budget.affords(1.0, epochs=2)


def test_a_model_that_is_not_affordable_yet_comes_later():
    """The Hessian by 200 columns costs many passes over 600 rows."""
    objective = problem(n=600, d=200, l1=0.01)
    theta = 0.01 * random_theta(objective)
    models = FullModels(objective, TOL, ModelBudget())
    found = [models.minimum(theta, epochs) is not None for epochs in (0, 10_000)]
    assert found == [False, True]
