"""Losses against independent formulas, finite differences and each other: as Python, and compiled into kernels."""

import inspect
from decimal import Decimal, localcontext

import numpy as np
import pytest
from problems import FORMULAS
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp, softmax
from sklearn.linear_model import _sgd_fast as of_sgd

from skgd.compiled.jit import kernel
from skgd.losses.arithmetic import exp, log1p
from skgd.losses.cross_entropy import LEAST_VARIANCE, LogLoss, SoftLabels, Softmax
from skgd.losses.log_link import Gamma, Poisson, exp_above_tangent
from skgd.losses.margins import Hinge, ModifiedHuber, Perceptron, SquaredHinge
from skgd.losses.protocol import Loss, SeparableLoss
from skgd.losses.registry import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, loss_for
from skgd.losses.regression import EpsilonInsensitive, Huber, Quantile, SquaredEpsilonInsensitive
from skgd.losses.surrogate_curvature import DAMPED_BEYOND, RISING_SHARE

# A loss without an oracle in FORMULAS fails with a KeyError.
VALUES = {cls: FORMULAS[name] for name, cls in (REGRESSION_LOSSES | CLASSIFICATION_LOSSES).items()}
SEPARABLE = list(VALUES)
SMOOTH = [cls for cls in SEPARABLE if cls().smooth()]
NON_SMOOTH = [Hinge, EpsilonInsensitive, Quantile]
UNBOUNDED = [Poisson, Gamma]
DAMPED = [LogLoss, Poisson, Gamma]
CLASSES = 4
MARGINS = {Hinge, SquaredHinge, ModifiedHuber, Perceptron}
TARGETS = (
    {cls: [-3.0, 0.5, 40.0] for cls in SEPARABLE}
    | {cls: [-1.0, 1.0] for cls in MARGINS}
    | {LogLoss: [0.0, 0.25, 1.0], Poisson: [0.0, 0.5, 40.0], Gamma: [0.01, 0.5, 40.0]}
)
SCORES = np.concatenate([np.linspace(-6.0, 6.0, 24), [-700.0, -40.0, 40.03, 700.0]])  # none of which is a non-smooth point
# Where the curvature is not the second derivative but a surrogate.
SURROGATE = {
    LogLoss: lambda y, z: abs(z) > DAMPED_BEYOND and (z > 0.0) == (y < 0.5),
    ModifiedHuber: lambda y, z: y * z < -1.0,
    Huber: lambda y, z: abs(z - y) > Huber().epsilon,
    Poisson: lambda y, z: y > 0.0 and np.log(y) - z > DAMPED_BEYOND,
    Gamma: lambda y, z: z - np.log(y) > DAMPED_BEYOND,
}
# A target, scores with surrogate curvature, and the share that this is of the majorising curvature: of a parabola that lies
# above the loss and touches it at the score and at its mirror image.
MAJORISING = {
    LogLoss: (0.0, (4.01, 7.0, 40.0), 1.0),
    ModifiedHuber: (1.0, (-1.01, -3.0, -20.0), RISING_SHARE),
    Huber: (0.0, (-5.0, -0.3, -0.11, 0.7, 20.0), RISING_SHARE),
}


@kernel
def of_score(loss, y, z):
    return loss.value(y, z), loss.derivative(y, z)


@kernel
def curvature_of_score(loss, y, z):
    return loss.curvature(y, z)


@kernel
def answers(loss):
    found = loss.coupled(), loss.constant_curvature(), loss.smooth(), loss.bounded_curvature(), loss.scores_are_targets()
    return found, loss.curvature_bound()


@kernel
def residuals(loss, y, s, Z):
    totals = np.zeros(len(Z))
    loss.losses_and_residuals(y, s, Z, totals)
    return totals.sum()


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


def compiled(function):
    """A kernel of a function that is linked into kernels otherwise, with the same compile options."""
    return kernel(fastmath=function.targetoptions["fastmath"])(function.py_func) if hasattr(function, "py_func") else function


def plain(function):
    """The Python function of a kernel."""
    return getattr(function, "py_func", function)


def grid(loss):
    """Pairs of targets and scores, without scores whose exponential is so large that no digit of the target would matter."""
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
@pytest.mark.parametrize("function", [compiled(exp), plain(exp)], ids=["compiled", "python"])
def test_exp_is_accurate_over_its_range(function):
    x = np.concatenate([np.linspace(-708.0, 708.0, 4001), np.linspace(-1.0, 1.0, 1001), [0.0, -1e-300, 1e-17]])
    np.testing.assert_allclose([function(v) for v in x], np.exp(x), rtol=1e-14)


@pytest.mark.parametrize("function", [compiled(exp), plain(exp)], ids=["compiled", "python"])
def test_exp_is_clipped_outside_its_range(function):
    np.testing.assert_allclose([function(-1e4), function(1e4)], np.exp([-708.0, 708.0]), rtol=1e-14)


@pytest.mark.parametrize("function", [compiled(log1p), plain(log1p)], ids=["compiled", "python"])
def test_log1p_is_accurate_over_its_range(function):
    e = np.concatenate([np.linspace(0.0, 1.0, 2001), np.logspace(-300.0, 0.0, 301)])
    np.testing.assert_allclose([function(v) for v in e], np.log1p(e), rtol=1e-14)


@pytest.mark.parametrize("function", [compiled(exp), plain(exp), compiled(log1p), plain(log1p)])
def test_nan_passes_through(function):
    with np.errstate(invalid="ignore"):
        assert np.isnan(function(np.nan))


@pytest.mark.parametrize("function", [compiled(exp_above_tangent), plain(exp_above_tangent)], ids=["compiled", "python"])
def test_the_exponential_above_its_tangent_does_not_cancel(function):
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
def test_derivative_is_the_slope_of_the_formula(cls):
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
    """At non-smooth points, too."""
    for y in (-1.0, 1.0):
        for z in (-1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 3.0):
            assert of_score(loss, y, z) == (expected.py_loss(z, y), expected.py_dloss(z, y))


def has_surrogate(cls, y, z):
    """Whether the curvature is not meant to be the second derivative."""
    return cls in SURROGATE and SURROGATE[cls](y, z)


@pytest.mark.parametrize("cls", [cls for cls in SMOOTH if not all(has_surrogate(cls, y, z) for y, z in grid(cls()))])
def test_curvature_is_the_second_derivative(cls):
    loss = cls()
    for y, z in [point for point in grid(loss) if not has_surrogate(cls, *point)]:
        expected = derivative_by_differences(lambda z, y=y: loss.derivative(y, z), z)
        np.testing.assert_allclose(loss.curvature(y, z), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cls", DAMPED)
def test_damped_rows_may_have_their_own_curvature(cls):
    loss = cls().with_own_curvature()
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
def test_surrogate_curvature_is_a_share_of_the_majorising_curvature(cls):
    loss, (y, scores, share) = cls(), MAJORISING[cls]
    for z in scores:
        assert has_surrogate(cls, y, z)
        whole = loss.curvature(y, z) / share
        assert_majorises(lambda u: VALUES[cls](y, u), loss.value(y, z), loss.derivative(y, z), whole, z)


@pytest.mark.parametrize("cls", UNBOUNDED)
def test_a_damped_row_alone_steps_to_its_target(cls):
    """Their second derivative is next to nothing, and Newton's step with it would lead far beyond the target."""
    loss = cls()
    for y in (0.01, 1.0, 300.0):
        z = np.log(y) + (-9.0 if cls is Poisson else 9.0)
        assert has_surrogate(cls, y, z)
        np.testing.assert_allclose(z - loss.derivative(y, z) / loss.curvature(y, z), np.log(y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [cls for cls in SMOOTH if cls().bounded_curvature()])
def test_curvature_bound_is_a_bound_and_is_reached(cls):
    loss = cls()
    curvatures = [loss.curvature(y, z) for y, z in grid(loss)] + [loss.curvature(0.5, 0.5)]
    assert max(curvatures) <= loss.curvature_bound() * (1.0 + 1e-15)
    reached = [loss.curvature(y, z) for y in TARGETS[cls] for z in np.append(np.linspace(-1.0, 1.0, 21), y)]
    assert max(reached) == pytest.approx(loss.curvature_bound())
    assert min(curvatures) >= 0.0


@pytest.mark.parametrize("cls", [cls for cls in SMOOTH if cls().bounded_curvature()])
def test_curvature_bound_bounds_the_slope_of_the_derivative(cls):
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
def test_huge_scores_of_log_links_overflow_on_one_side_and_are_exact_on_the_other(cls, z):
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
def test_answers_are_the_same_compiled(loss):
    assert answers(loss) == plain(answers)(loss)
    assert loss.coupled() == isinstance(loss, Softmax)
    free = (LogLoss, Softmax, Poisson, Gamma, *MARGINS)
    assert loss.scores_are_targets() == (not isinstance(loss, free))
    assert loss.smooth() == (not isinstance(loss, (*NON_SMOOTH, Perceptron)))
    assert loss.bounded_curvature() == (type(loss) not in UNBOUNDED)


@pytest.mark.parametrize("cls", SMOOTH)
def test_constant_curvature_says_whether_the_curvature_is_constant(cls):
    loss = cls()
    assert loss.constant_curvature() == (np.ptp([loss.curvature(y, z) for y, z in grid(loss)]) == 0.0)


@pytest.mark.parametrize("how", [residuals, plain(residuals)], ids=["compiled", "python"])
@pytest.mark.parametrize("cls", SEPARABLE)
def test_residuals_of_a_tile_of_two_columns(cls, how):
    """Residuals are weighted derivatives.  They replace the scores, and the weighted sum of the values is returned."""
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
    """For Huber and the squared insensitive loss they are at most epsilon away from the best ones."""
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


# ---------------------------------------------------------------- smoothed losses
@pytest.mark.parametrize("width", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("cls", NON_SMOOTH)
def test_a_smoothed_loss_lies_above_and_near_the_loss(cls, width):
    """By at most an eighth of the width for each non-smooth point, and only within half the width of one."""
    loss = cls().with_width(width)
    assert loss.smooth()
    points = {Hinge: [1.0], EpsilonInsensitive: [0.9, 1.1], Quantile: [1.0]}[cls]
    for z in np.linspace(-4.0, 6.0, 1001).tolist():
        above = loss.value(1.0, z) - VALUES[cls](1.0, z)
        near = sum(abs(z - point) < 0.5 * width for point in points)
        assert -1e-15 <= above <= near * width / 8.0 + 1e-15
    assert max(loss.value(1.0, z) - VALUES[cls](1.0, z) for z in points) >= width / 8.0 - 1e-15


@pytest.mark.parametrize("cls", NON_SMOOTH)
def test_smoothed_losses_have_derivatives_and_curvature(cls):
    loss = cls().with_width(0.6)
    for z in np.linspace(-3.013, 4.037, 51).tolist():
        np.testing.assert_allclose(
            loss.derivative(1.0, z), derivative_by_differences(lambda z: loss.value(1.0, z), z), rtol=1e-7, atol=1e-9
        )
        second = derivative_by_differences(lambda z: loss.derivative(1.0, z), z)
        assert -1e-9 <= loss.curvature(1.0, z) - second <= 2.0 * RISING_SHARE / 0.6 + 1e-9
        assert loss.curvature(1.0, z) > 0.0


# ---------------------------------------------------------------- what solvers and estimators ask
def methods(protocol):
    """The names of a protocol's methods, and of their parameters."""
    members = {name: member for cls in protocol.__mro__ for name, member in vars(cls).items() if inspect.isfunction(member)}
    return {name: list(inspect.signature(member).parameters) for name, member in members.items() if name[0] != "_"}


@pytest.mark.parametrize("cls", [*SEPARABLE, Softmax, SoftLabels])
def test_losses_have_the_methods_of_the_protocol(cls):
    protocol = Loss if cls in (Softmax, SoftLabels) else SeparableLoss
    asked = methods(protocol)
    if protocol is not Loss and not (cls().smooth() or cls().is_sum_of_ramps()):
        del asked["curvature"]
    for name, parameters in asked.items():
        assert list(inspect.signature(getattr(cls, name)).parameters) == parameters, name
    assert cls._fields[0] == "n_outputs"


@pytest.mark.parametrize("cls", SEPARABLE)
def test_damped_rows_are_said(cls):
    """A loss that damps rows far off has another one, with its own curvature, that does not."""
    loss = cls()
    assert loss.damps_far_rows() == (cls in DAMPED)
    assert not loss.with_own_curvature().damps_far_rows()


@pytest.mark.parametrize("cls", SEPARABLE)
def test_smoothed_losses_are_said(cls):
    loss = cls()
    assert not loss.smoothed()
    assert loss.with_width(0.3).smoothed() == (cls in NON_SMOOTH)
    assert loss.with_width(0.3).with_width(0.0) == loss


@pytest.mark.parametrize("cls", SEPARABLE)
def test_flat_rows_have_neither_loss_nor_curvature(cls):
    loss = cls()
    if loss.smooth():
        flat = any(loss.value(y, z) == loss.curvature(y, z) == 0.0 for y, z in grid(loss))
        assert loss.has_flat_rows() == flat


@pytest.mark.parametrize("cls", SEPARABLE)
def test_losses_minimised_by_zero_scores_are_said(cls):
    loss = cls()
    assert loss.minimised_by_zero_scores() == all(loss.value(y, 0.0) == 0.0 for y in TARGETS[cls])


def test_zero_is_attained_only_at_infinity_by_cross_entropy_of_hard_labels():
    losses = [*(cls() for cls in SEPARABLE), Softmax(CLASSES, 0.2), SoftLabels(CLASSES, 0.2)]
    assert [type(loss) for loss in losses if loss.attains_zero_only_at_infinity()] == [LogLoss, Softmax]


def test_losses_with_another_parameter():
    assert Quantile(1, 0.3, 2.0, 0.1).with_deviation(5.0) == Quantile(1, 0.3, 5.0, 0.1)
    assert EpsilonInsensitive().with_deviation(4.0).curvature_bound() == 0.25
    assert Huber(1, 0.3).with_deviation(5.0) == Huber(1, 0.3)
    assert Huber(1, 0.3).with_n_outputs(2) == Huber(2, 0.3)
    assert Softmax(3, 0.2).with_n_outputs(2) == Softmax(2, 0.2)


# ---------------------------------------------------------------- targets
@pytest.mark.parametrize("cls", SEPARABLE)
def test_valid_targets(cls):
    y = np.array([[-1.0, 0.0, 1e-300, 2.5]])
    least = {Poisson: [False, True, True, True], Gamma: [False, False, True, True]}
    np.testing.assert_array_equal(cls().valid(y), [least.get(cls, [True] * 4)])


def test_statistics_of_the_targets_are_parameters_of_losses():
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
    """Neither scores of 1e4 nor equal shifts of all scores of a row cost accuracy."""
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
        Z[:2] += 4.0 * (seed % 2)  # rows undecided between two classes come near to the bound
        H = curvature_tensor(SOFTMAX, class_codes(), np.ones(Z.shape[1]), Z)
        assert np.linalg.eigvalsh(H.transpose(2, 0, 1)).max() <= 0.5 + 1e-15


def test_softmax_steps_are_sized_by_the_curvature_at_the_start():
    """It is the largest variance of a class indicator, or a constant if that is larger."""
    s, y = tile(1, rows=40)[1], np.array([[0.0] * 21 + [1.0] * 10 + [2.0] * 5 + [3.0] * 4])
    share = np.array([s[y[0] == k].sum() for k in range(CLASSES)]) / s.sum()
    loss = Softmax(CLASSES, max(share * (1.0 - share)))
    start = np.repeat(loss.intercept_only_scores(y, s)[:, None], 1, axis=1)
    H = curvature_tensor(loss, np.zeros((1, 1)), np.ones(1), start)[:, :, 0]
    assert np.diagonal(H).max() == pytest.approx(loss.curvature_bound(), rel=1e-12)
    assert Softmax(CLASSES, 0.001).curvature_bound() == LEAST_VARIANCE


def test_the_middle_of_all_best_scores_is_the_constant_score_of_an_insensitive_loss():
    y, s = np.array([[-0.05, 0.03], [7.0, 7.0]]), np.array([1.0, 2.0])
    np.testing.assert_allclose(EpsilonInsensitive(2, 0.1).intercept_only_scores(y, s), [-0.01, 7.0], atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_middle_whatever_rounding_makes_of_half_the_weight(seed):
    """Sums of the same weights from both ends disagree in their last place, as drawing random problems has shown."""
    s = np.random.default_rng(seed).uniform(0.3, 2.0, 21)
    np.testing.assert_allclose(EpsilonInsensitive(1, 0.1).intercept_only_scores(np.zeros((1, 21)), s), [0.0], atol=1e-15)


def test_softmax_constant_scores_are_stationary_and_centred():
    y, s = class_codes(), tile(1)[1]
    scores = SOFTMAX.intercept_only_scores(y, s)
    R = np.repeat(scores[:, None], len(s), axis=1)
    residuals(SOFTMAX, y, s, R)
    np.testing.assert_allclose(R.sum(axis=1), 0.0, atol=1e-14 * s.sum())
    assert abs(scores.sum()) < 1e-14
