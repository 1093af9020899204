"""Losses against independent formulas, finite differences and each other: as Python, and compiled into kernels."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from problems import FORMULAS
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp, softmax
from sklearn.linear_model import _sgd_fast as of_sgd

from skgd.compiled.jit import kernel
from skgd.losses.arithmetic import exp, log1p
from skgd.losses.cross_entropy import FAR, LogLoss, Softmax
from skgd.losses.kinks import SHARE
from skgd.losses.log_link import Gamma, Poisson, excess
from skgd.losses.margins import Hinge, ModifiedHuber, Perceptron, SquaredHinge
from skgd.losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, loss_for
from skgd.losses.regression import EpsilonInsensitive, Huber, Quantile, SquaredEpsilonInsensitive

# A loss without an oracle in FORMULAS fails with a KeyError.
VALUES = {cls: FORMULAS[name] for name, cls in (REGRESSION_LOSSES | CLASSIFICATION_LOSSES).items()}
SEPARABLE = list(VALUES)
SMOOTH = [cls for cls in SEPARABLE if cls().smooth()]
KINKED = [Hinge, EpsilonInsensitive, Quantile]
UNBOUNDED = [Poisson, Gamma]
CLASSES = 4
MARGINS = {Hinge, SquaredHinge, ModifiedHuber, Perceptron}
TARGETS = (
    {cls: [-3.0, 0.5, 40.0] for cls in SEPARABLE}
    | {cls: [-1.0, 1.0] for cls in MARGINS}
    | {LogLoss: [0.0, 0.25, 1.0], Poisson: [0.0, 0.5, 40.0], Gamma: [0.01, 0.5, 40.0]}
)
SCORES = np.concatenate([np.linspace(-6.0, 6.0, 24), [-700.0, -40.0, 40.03, 700.0]])  # and no kink
# Where the curvature is not the second derivative.
BEYOND = {
    LogLoss: lambda y, z: abs(z) > FAR and (z > 0.0) == (y < 0.5),
    ModifiedHuber: lambda y, z: y * z < -1.0,
    Huber: lambda y, z: abs(z - y) > Huber().epsilon,
    Poisson: lambda y, z: y > 0.0 and np.log(y) - z > FAR,
    Gamma: lambda y, z: z - np.log(y) > FAR,
}
# There it is that of a parabola above the loss, which touches it at the other sign of z, too: for a target y, scores.
# Of its curvature a loss has the share.
MAJORISING = {
    LogLoss: (0.0, (4.01, 7.0, 40.0), 1.0),
    ModifiedHuber: (1.0, (-1.01, -3.0, -20.0), SHARE),
    Huber: (0.0, (-5.0, -0.3, -0.11, 0.7, 20.0), SHARE),
}


@kernel
def of_score(loss, y, z):
    return loss.value(y, z), loss.derivative(y, z)


@kernel
def curvature_of_score(loss, y, z):
    return loss.curvature(y, z)


@kernel
def facts(loss):
    answers = loss.coupled(), loss.constant_curvature(), loss.smooth(), loss.bounded_curvature(), loss.scores_are_targets()
    return answers, loss.curvature_bound()


@kernel
def residuals(loss, y, s, Z):
    return loss.loss_and_residuals(y, s, Z)


@kernel
def curvature_tensor(loss, y, s, Z):
    """(K, K, m): weighted second derivatives by the scores k and l of every row."""
    K, m = Z.shape
    out = np.zeros((K, K, m))
    loss.curvatures(y, s, Z)
    for k in range(K):
        for l in range(K if loss.coupled() else k + 1):
            if loss.coupled() or k == l:
                loss.curvature_block(s, Z, k, l, out[k, l])
    return out


def plain(function):
    """The Python function of a kernel."""
    return getattr(function, "py_func", function)


def grid(loss):
    """Targets and scores; not those whose exponentials leave no digit of the targets to compare."""
    scores = SCORES if loss.bounded_curvature() else SCORES[abs(SCORES) < 10.0]
    return [(y, z) for y in TARGETS[type(loss)] for z in scores.tolist()]


def tile(columns, rows=13, seed=0):
    """Scores (K, m) and weights (m,)."""
    rng = np.random.default_rng(seed)
    return 3.0 * rng.normal(size=(columns, rows)), rng.uniform(0.1, 2.0, rows)


def class_codes(rows=13):
    return (np.arange(rows) % CLASSES).astype(float)[None, :]


def derivative_by_differences(function, z):
    step = 1e-5 * max(1.0, abs(z))
    return (function(z + step) - function(z - step)) / (2.0 * step)


# ---------------------------------------------------------------- exp and log1p
@pytest.mark.parametrize("function", [kernel(plain(exp)), plain(exp)], ids=["compiled", "python"])
def test_exp_is_accurate_over_its_range(function):
    x = np.concatenate([np.linspace(-708.0, 708.0, 4001), np.linspace(-1.0, 1.0, 1001), [0.0, -1e-300, 1e-17]])
    np.testing.assert_allclose([function(v) for v in x], np.exp(x), rtol=1e-14)


@pytest.mark.parametrize("function", [kernel(plain(exp)), plain(exp)], ids=["compiled", "python"])
def test_exp_is_clipped_outside_its_range(function):
    np.testing.assert_allclose([function(-1e4), function(1e4)], np.exp([-708.0, 708.0]), rtol=1e-14)


@pytest.mark.parametrize("function", [kernel(plain(log1p)), plain(log1p)], ids=["compiled", "python"])
def test_log1p_is_accurate_over_its_range(function):
    e = np.concatenate([np.linspace(0.0, 1.0, 2001), np.logspace(-300.0, 0.0, 301)])
    np.testing.assert_allclose([function(v) for v in e], np.log1p(e), rtol=1e-14)


@pytest.mark.parametrize("function", [kernel(plain(exp)), plain(exp), kernel(plain(log1p)), plain(log1p)])
def test_nan_passes_through(function):
    with np.errstate(invalid="ignore"):
        assert np.isnan(function(np.nan))


@pytest.mark.parametrize("function", [excess, plain(excess)], ids=["compiled", "python"])
def test_excess_of_the_exponential_does_not_cancel(function):
    u = np.concatenate([np.linspace(-700.0, 700.0, 141), np.linspace(-1.5, 1.5, 301), [1e-9, -1e-5, 0.7, -0.7]])
    with localcontext() as context:
        context.prec = 60
        exact = [float(Decimal(v).exp() - 1 - Decimal(v)) for v in u.tolist()]
    np.testing.assert_allclose([function(v) for v in u.tolist()], exact, rtol=2e-14)


# ---------------------------------------------------------------- separable losses
@pytest.mark.parametrize("cls", SEPARABLE)
def test_value_is_the_formula(cls):
    loss = cls()
    for y, z in grid(loss):
        np.testing.assert_allclose(loss.value(y, z), VALUES[cls](y, z), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("parameter", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("cls", [Huber, EpsilonInsensitive, SquaredEpsilonInsensitive, Quantile])
def test_losses_have_the_parameter_asked_for(cls, parameter):
    name = cls._fields[1]
    loss = cls(1, parameter)
    for r in (-100.0, -1.0, -0.5 * parameter, 0.0, parameter, 5.0):
        np.testing.assert_allclose(
            loss.value(2.0, 2.0 + r), VALUES[cls](2.0, 2.0 + r, **{name: parameter}), rtol=1e-13, atol=1e-15
        )


@pytest.mark.parametrize("cls", SEPARABLE)
def test_derivative_is_that_of_the_value(cls):
    loss = cls()
    for y, z in grid(loss):
        expected = derivative_by_differences(lambda z, y=y: VALUES[cls](y, z), z)
        np.testing.assert_allclose(loss.derivative(y, z), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Hinge(), of_sgd.Hinge(1.0)),
        (Perceptron(), of_sgd.Hinge(0.0)),
        (SquaredHinge(), of_sgd.SquaredHinge(1.0)),
        (ModifiedHuber(), of_sgd.ModifiedHuber()),
        (EpsilonInsensitive(1, 0.5), of_sgd.EpsilonInsensitive(0.5)),
        (SquaredEpsilonInsensitive(1, 0.5), of_sgd.SquaredEpsilonInsensitive(0.5)),
    ],
)
def test_losses_and_derivatives_are_those_of_sgdclassifier(loss, expected):
    """At kinks, too."""
    for y in (-1.0, 1.0):
        for z in (-1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 3.0):
            assert of_score(loss, y, z) == (expected.py_loss(z, y), expected.py_dloss(z, y))


def beyond(cls, y, z):
    """Whether the curvature is not meant to be the second derivative."""
    return cls in BEYOND and BEYOND[cls](y, z)


@pytest.mark.parametrize("cls", [cls for cls in SMOOTH if not all(beyond(cls, y, z) for y, z in grid(cls()))])
def test_curvature_is_the_second_derivative(cls):
    loss = cls()
    for y, z in [point for point in grid(loss) if not beyond(cls, *point)]:
        expected = derivative_by_differences(lambda z, y=y: loss.derivative(y, z), z)
        np.testing.assert_allclose(loss.curvature(y, z), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cls", [LogLoss, Poisson, Gamma])
def test_rows_far_off_may_have_their_own_curvature(cls):
    loss = cls(far=np.inf)
    for y, z in grid(loss):
        expected = derivative_by_differences(lambda z, y=y: loss.derivative(y, z), z)
        np.testing.assert_allclose(loss.curvature(y, z), expected, rtol=1e-7, atol=1e-9)


def assert_majorises(values, value, slope, curvature, z):
    """The parabola with this value, slope and curvature at z lies nowhere below the values, and touches them at -z, too."""
    u = np.concatenate([np.linspace(-30.0, 30.0, 601), np.linspace(-0.2, 0.2, 81)])
    parabola = value + slope * (u - z) + 0.5 * curvature * (u - z) ** 2
    assert (parabola >= values(u) - 1e-13).all()
    np.testing.assert_allclose(value - 2.0 * slope * z + 2.0 * curvature * z * z, values(-z), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("cls", MAJORISING)
def test_curvature_beyond_is_a_share_of_that_of_a_parabola_that_touches_and_majorises(cls):
    loss, (y, scores, share) = cls(), MAJORISING[cls]
    for z in scores:
        assert beyond(cls, y, z)
        whole = loss.curvature(y, z) / share
        assert_majorises(lambda u: VALUES[cls](y, u), loss.value(y, z), loss.derivative(y, z), whole, z)


@pytest.mark.parametrize("cls", UNBOUNDED)
def test_far_from_their_target_rows_step_to_it(cls):
    """Where the true curvature, by which they would be thrown far beyond, is next to nothing."""
    loss = cls()
    for y in (0.01, 1.0, 300.0):
        z = np.log(y) + (-9.0 if cls is Poisson else 9.0)
        assert beyond(cls, y, z)
        np.testing.assert_allclose(z - loss.derivative(y, z) / loss.curvature(y, z), np.log(y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [cls for cls in SMOOTH if cls().bounded_curvature()])
def test_smoothness_bounds_the_curvature_and_is_reached(cls):
    loss = cls()
    curvatures = [loss.curvature(y, z) for y, z in grid(loss)] + [loss.curvature(0.5, 0.5)]
    assert max(curvatures) <= loss.curvature_bound() * (1.0 + 1e-15)
    reached = [loss.curvature(y, z) for y in TARGETS[cls] for z in np.append(np.linspace(-1.0, 1.0, 21), y)]
    assert max(reached) == pytest.approx(loss.curvature_bound())
    assert min(curvatures) >= 0.0


@pytest.mark.parametrize("cls", [cls for cls in SMOOTH if cls().bounded_curvature()])
def test_smoothness_bounds_the_slope_of_the_derivative(cls):
    loss, y = cls(), TARGETS[cls][0]
    z = np.linspace(-4.0, 4.0, 801)
    slopes = np.diff([loss.derivative(y, v) for v in z.tolist()]) / np.diff(z)
    assert slopes.max() <= loss.curvature_bound() * (1.0 + 1e-9)


@pytest.mark.parametrize("cls", SEPARABLE)
def test_losses_are_convex(cls):
    loss = cls()
    for y in TARGETS[cls]:
        assert np.diff([loss.derivative(y, z) for z in np.linspace(-6.0, 6.0, 801).tolist()]).min() >= -1e-12


@pytest.mark.parametrize("cls", [cls for cls in SEPARABLE if cls not in UNBOUNDED])
def test_huge_scores_give_finite_values(cls):
    loss = cls()
    for y in TARGETS[cls]:
        for z in (-1e4, 1e4):
            assert np.isfinite(of_score(loss, y, z)).all()
            np.testing.assert_allclose(of_score(loss, y, z)[0], VALUES[cls](y, z), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("cls", UNBOUNDED)
@pytest.mark.parametrize("z", [-1e4, 1e4])
def test_huge_scores_cost_as_much_as_floats_can_say_or_what_they_should(cls, z):
    for y in (0.5, 40.0):
        value = of_score(cls(), y, z)[0]
        if (z > 0.0) == (cls is Poisson):  # the exponential overflows
            assert value > 1e300
        else:
            u = -z if cls is Poisson else z
            np.testing.assert_allclose(value, y * (np.log(y) + u - 1.0) if cls is Poisson else u - np.log(y) - 1.0, rtol=1e-12)


@pytest.mark.parametrize("cls", SEPARABLE)
def test_nan_scores_give_nan(cls):
    with np.errstate(invalid="ignore"):  # with the JIT off, NumPy warns
        value, derivative = of_score(cls(), 1.0, np.nan)
    assert np.isnan(value)
    assert np.isnan(derivative)


@pytest.mark.parametrize("cls", SEPARABLE)
def test_compiled_and_python_agree(cls):
    loss = cls()
    for y, z in grid(loss):
        np.testing.assert_allclose(of_score(loss, y, z), plain(of_score)(loss, y, z), rtol=1e-13, atol=1e-15)
        if loss.smooth():
            np.testing.assert_allclose(curvature_of_score(loss, y, z), loss.curvature(y, z), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("loss", [*(cls() for cls in SEPARABLE), Softmax(CLASSES, 0.2)], ids=lambda loss: type(loss).__name__)
def test_facts_are_the_same_compiled(loss):
    assert facts(loss) == plain(facts)(loss)
    assert loss.coupled() == isinstance(loss, Softmax)
    free = (LogLoss, Softmax, Poisson, Gamma, *MARGINS)
    assert loss.scores_are_targets() == (not isinstance(loss, free))
    assert loss.smooth() == (not isinstance(loss, (*KINKED, Perceptron)))
    assert loss.bounded_curvature() == (type(loss) not in UNBOUNDED)


@pytest.mark.parametrize("cls", SMOOTH)
def test_quadratic_says_whether_the_curvature_is_constant(cls):
    loss = cls()
    assert loss.constant_curvature() == (np.ptp([loss.curvature(y, z) for y, z in grid(loss)]) == 0.0)


@pytest.mark.parametrize("how", [residuals, plain(residuals)], ids=["compiled", "python"])
@pytest.mark.parametrize("cls", SEPARABLE)
def test_residuals_of_a_tile_of_two_columns(cls, how):
    """They are weighted derivatives, in place, and come with the weighted sum of the values."""
    loss = cls(2)
    Z, s = tile(2)
    y = np.resize(TARGETS[cls], Z.shape)
    R = Z.copy()
    total = how(loss, y, s, R)
    expected = [[loss.derivative(y[k, i], Z[k, i]) * s[i] for i in range(len(s))] for k in range(2)]
    np.testing.assert_allclose(total, (s * VALUES[cls](y, Z)).sum(), rtol=1e-13)
    np.testing.assert_allclose(R, expected, rtol=1e-12)


@pytest.mark.parametrize("how", [curvature_tensor, plain(curvature_tensor)], ids=["compiled", "python"])
@pytest.mark.parametrize("cls", SMOOTH)
def test_curvature_blocks_of_a_tile_of_two_columns(cls, how):
    loss = cls(2)
    Z, s = tile(2)
    y = np.resize(TARGETS[cls], Z.shape)
    H = how(loss, y, s, Z.copy())
    for k in range(2):
        np.testing.assert_allclose(H[k, k], [s[i] * loss.curvature(y[k, i], Z[k, i]) for i in range(len(s))], rtol=1e-12)


# ---------------------------------------------------------------- constant scores
@pytest.mark.parametrize("cls", SEPARABLE)
def test_constant_scores_have_the_least_mean_loss(cls):
    """For Huber and the squared insensitive loss they are at most epsilon away from it."""
    rng = np.random.default_rng(3)
    s = rng.uniform(0.1, 2.0, 31)
    y = rng.choice(TARGETS[cls], size=(2, 31)) if cls in MARGINS | {LogLoss} else rng.exponential(2.0, (2, 31))
    parameters = {"epsilon": 0.2, "quantile": 0.3}
    scores = loss_for(cls, y, s, **parameters).intercept_only_scores(y, s)
    for k in range(2):

        def total(z, k=k):
            return s @ VALUES[cls](y[k], z, **parameters)

        best = minimize_scalar(total, bounds=(-4.0, 8.0), method="bounded", options={"xatol": 1e-10})
        if cls in (Huber, SquaredEpsilonInsensitive):
            assert abs(scores[k] - best.x) <= 0.2
        else:
            assert total(scores[k]) <= best.fun * (1.0 + 1e-9)


def test_quantiles_of_the_targets_are_constant_scores():
    y = np.random.default_rng(0).permutation(101.0 * np.arange(101.0))[None]
    for quantile in (0.1, 0.5, 0.9):
        assert Quantile(1, quantile).intercept_only_scores(y, np.ones(101)) == np.quantile(y, quantile)


# ---------------------------------------------------------------- kinks, rounded
@pytest.mark.parametrize("width", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("cls", KINKED)
def test_rounding_lies_above_and_near_the_loss(cls, width):
    """By an eighth of the width a kink; nowhere but within half the width of kinks."""
    loss = cls()._replace(width=width)
    assert loss.smooth()
    kinks = {Hinge: [1.0], EpsilonInsensitive: [0.9, 1.1], Quantile: [1.0]}[cls]
    for z in np.linspace(-4.0, 6.0, 1001).tolist():
        above = loss.value(1.0, z) - VALUES[cls](1.0, z)
        near = sum(abs(z - kink) < 0.5 * width for kink in kinks)
        assert -1e-15 <= above <= near * width / 8.0 + 1e-15
    assert max(loss.value(1.0, z) - VALUES[cls](1.0, z) for z in kinks) >= width / 8.0 - 1e-15


@pytest.mark.parametrize("cls", KINKED)
def test_rounded_losses_have_derivatives_and_curvature(cls):
    loss = cls()._replace(width=0.6)
    for z in np.linspace(-3.013, 4.037, 51).tolist():
        np.testing.assert_allclose(
            loss.derivative(1.0, z), derivative_by_differences(lambda z: loss.value(1.0, z), z), rtol=1e-7, atol=1e-9
        )
        second = derivative_by_differences(lambda z: loss.derivative(1.0, z), z)
        assert -1e-9 <= loss.curvature(1.0, z) - second <= 2.0 * SHARE / 0.6 + 1e-9
        assert loss.curvature(1.0, z) > 0.0


# ---------------------------------------------------------------- targets
@pytest.mark.parametrize("cls", SEPARABLE)
def test_valid_targets(cls):
    y = np.array([[-1.0, 0.0, 1e-300, 2.5]])
    least = {Poisson: [False, True, True, True], Gamma: [False, False, True, True]}
    np.testing.assert_array_equal(cls().valid(y), [least.get(cls, [True] * 4)])


def test_facts_of_the_targets():
    y, s = np.array([[0.0, 2.0, 4.0], [10.0, 10.0, 40.0]]), np.array([1.0, 2.0, 1.0])
    assert loss_for(Poisson, y, s, epsilon=0.1).mean == 17.5
    np.testing.assert_allclose(loss_for(Quantile, y, s, epsilon=0.1, quantile=0.2), Quantile(2, 0.2, np.sqrt(168.75)))
    assert loss_for(EpsilonInsensitive, y[:, :1], s[:1], epsilon=0.3) == EpsilonInsensitive(2, 0.3, np.abs(y[:, 0]).max())
    assert loss_for(EpsilonInsensitive, 0.0 * y, s, epsilon=0.3) == EpsilonInsensitive(2, 0.3, 1.0)
    assert np.isfinite(loss_for(Quantile, 1e300 * y, s, quantile=0.5).deviation)


# ---------------------------------------------------------------- softmax
SOFTMAX = Softmax(CLASSES, 0.2)


@pytest.mark.parametrize("how", [residuals, plain(residuals)], ids=["compiled", "python"])
def test_softmax_residuals(how):
    Z, s = tile(CLASSES)
    y = class_codes()
    R = Z.copy()
    total = how(SOFTMAX, y, s, R)
    codes = y[0].astype(int)
    np.testing.assert_allclose(total, -s @ log_softmax(Z, axis=0)[codes, np.arange(len(s))], rtol=1e-13)
    np.testing.assert_allclose(R, s * (softmax(Z, axis=0) - np.eye(CLASSES)[codes].T), rtol=1e-12, atol=1e-15)


def test_softmax_residuals_are_the_derivatives_of_the_value():
    Z, s = tile(CLASSES)
    y = class_codes()
    R = Z.copy()
    residuals(SOFTMAX, y, s, R)
    for k in range(CLASSES):
        for i in range(len(s)):

            def value(z, k=k, i=i):
                moved = Z.copy()
                moved[k, i] = z
                return residuals(SOFTMAX, y, s, moved)

            np.testing.assert_allclose(R[k, i], derivative_by_differences(value, Z[k, i]), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("how", [curvature_tensor, plain(curvature_tensor)], ids=["compiled", "python"])
def test_softmax_curvature(how):
    Z, s = tile(CLASSES)
    P = softmax(Z, axis=0)
    H = how(SOFTMAX, class_codes(), s, Z.copy())
    for i in range(len(s)):
        np.testing.assert_allclose(H[:, :, i], s[i] * (np.diag(P[:, i]) - np.outer(P[:, i], P[:, i])), rtol=1e-12, atol=1e-15)


def test_softmax_stays_exact_at_huge_scores():
    """Scores of 1e4 and equal shifts of a row's scores cost no accuracy."""
    Z = np.array([[1e4, -1e4, 3.0 + 1e4], [-1e4, 1e4, 1e4], [0.0, 0.0, -1.0 + 1e4], [1e4, 0.0, 2.0 + 1e4]])
    s, y = np.array([1.0, 2.0, 0.5]), np.array([[1.0, 0.0, 0.0]])
    R = Z.copy()
    total = residuals(SOFTMAX, y, s, R)
    np.testing.assert_allclose(total, s @ (logsumexp(Z, axis=0) - Z[[1, 0, 0], np.arange(3)]), rtol=1e-14)
    np.testing.assert_allclose(R, s * (softmax(Z, axis=0) - np.eye(CLASSES)[:, [1, 0, 0]]), rtol=1e-12, atol=1e-300)


def test_softmax_of_two_classes_is_the_log_loss():
    z, s = tile(1)
    y = class_codes() % 2
    R_one, R_two = z.copy(), np.vstack([np.zeros_like(z), z])
    assert residuals(Softmax(2, 0.25), y, s, R_two) == pytest.approx(residuals(LogLoss(), y, s, R_one), rel=1e-13)
    np.testing.assert_allclose(R_two[1], R_one[0], rtol=1e-12)
    np.testing.assert_allclose(R_one[0], s * (expit(z[0]) - y[0]), rtol=1e-12)


def test_softmax_nan_scores_give_nan():
    Z, s = tile(CLASSES)
    Z[2, 5] = np.nan
    with np.errstate(invalid="ignore"):
        assert np.isnan(residuals(SOFTMAX, class_codes(), s, Z))
    assert np.isnan(Z[:, 5]).any()
    assert np.isfinite(np.delete(Z, 5, axis=1)).all()


def test_softmax_curvature_is_at_most_a_half():
    for seed in range(5):
        Z, _ = tile(CLASSES, seed=seed)
        Z[:2] += 4.0 * (seed % 2)  # rows that hesitate between two classes come near to the bound
        H = curvature_tensor(SOFTMAX, class_codes(), np.ones(Z.shape[1]), Z)
        assert np.linalg.eigvalsh(H.transpose(2, 0, 1)).max() <= 0.5 + 1e-15


def test_softmax_steps_are_sized_by_the_curvature_at_the_start():
    """It is the largest variance of a class indicator, floored."""
    s, y = tile(1, rows=40)[1], np.array([[0.0] * 21 + [1.0] * 10 + [2.0] * 5 + [3.0] * 4])
    share = np.array([s[y[0] == k].sum() for k in range(CLASSES)]) / s.sum()
    loss = Softmax(CLASSES, max(share * (1.0 - share)))
    start = np.repeat(loss.intercept_only_scores(y, s)[:, None], 1, axis=1)
    H = curvature_tensor(loss, np.zeros((1, 1)), np.ones(1), start)[:, :, 0]
    assert np.diagonal(H).max() == pytest.approx(loss.curvature_bound(), rel=1e-12)
    assert Softmax(CLASSES, 0.001).curvature_bound() == 0.05


def test_the_middle_of_all_best_scores_is_the_constant_score_of_an_insensitive_loss():
    y, s = np.array([[-0.05, 0.03], [7.0, 7.0]]), np.array([1.0, 2.0])
    np.testing.assert_allclose(EpsilonInsensitive(2, 0.1).intercept_only_scores(y, s), [-0.01, 7.0], atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_middle_whatever_rounding_makes_of_half_the_weight(seed):
    """Found by drawing problems: sums of weights from both ends disagree in their last place."""
    s = np.random.default_rng(seed).uniform(0.3, 2.0, 21)
    np.testing.assert_allclose(EpsilonInsensitive(1, 0.1).intercept_only_scores(np.zeros((1, 21)), s), [0.0], atol=1e-15)


def test_softmax_constant_scores_are_stationary_and_centred():
    y, s = class_codes(), tile(1)[1]
    scores = SOFTMAX.intercept_only_scores(y, s)
    R = np.repeat(scores[:, None], len(s), axis=1)
    residuals(SOFTMAX, y, s, R)
    np.testing.assert_allclose(R.sum(axis=1), 0.0, atol=1e-14 * s.sum())
    assert abs(scores.sum()) < 1e-14
