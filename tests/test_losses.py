"""Losses against independent formulas, finite differences and each other: as Python, and compiled into kernels."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp, softmax
from scipy.special import huber as scipy_huber

from skgd._jit import kernel
from skgd.losses import CLASSIFICATION_LOSSES, FAR, REGRESSION_LOSSES, Huber, LogLoss, Softmax, SquaredError, exp, log1p

SEPARABLE = [*REGRESSION_LOSSES.values(), *(binary for binary, _ in CLASSIFICATION_LOSSES.values())]
COUPLED = [coupled for _, coupled in CLASSIFICATION_LOSSES.values()]
CLASSES = 4
# A loss without an oracle here fails with a KeyError.
VALUES = {
    SquaredError: lambda y, z: 0.5 * (y - z) ** 2,
    Huber: lambda y, z: scipy_huber(Huber().epsilon, y - z),
    LogLoss: lambda y, z: np.logaddexp(0.0, z) - y * z,
}
TARGETS = {SquaredError: [-3.0, 0.5, 40.0], Huber: [-3.0, 0.5, 40.0], LogLoss: [0.0, 0.25, 1.0]}
SCORES = np.concatenate([np.linspace(-6.0, 6.0, 23), [-700.0, -40.0, 40.03, 700.0]])
# Where the curvature, for a target 0, is that of a parabola above the loss, not the second derivative.
MAJORISING = {Huber: (-5.0, -0.3, -0.1, 0.0, 0.05, 0.1, 0.7, 20.0), LogLoss: (4.01, 7.0, 40.0)}


@kernel
def of_score(loss, y, z):
    return loss.value(y, z), loss.derivative(y, z), loss.curvature(y, z)


@kernel
def facts(loss):
    return loss.coupled(), loss.quadratic(), loss.smoothness(), loss.scores_are_logits()


@kernel
def residuals(loss, y, s, Z):
    return loss.residuals(y, s, Z)


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
    return [(y, z) for y in TARGETS[type(loss)] for z in SCORES.tolist()]


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
@pytest.mark.parametrize("function", [exp, plain(exp)], ids=["compiled", "python"])
def test_exp_is_accurate_over_its_range(function):
    x = np.concatenate([np.linspace(-708.0, 708.0, 4001), np.linspace(-1.0, 1.0, 1001), [0.0, -1e-300, 1e-17]])
    np.testing.assert_allclose([function(v) for v in x], np.exp(x), rtol=1e-14)


@pytest.mark.parametrize("function", [exp, plain(exp)], ids=["compiled", "python"])
def test_exp_is_clipped_outside_its_range(function):
    np.testing.assert_allclose([function(-1e4), function(1e4)], np.exp([-708.0, 708.0]), rtol=1e-14)


@pytest.mark.parametrize("function", [log1p, plain(log1p)], ids=["compiled", "python"])
def test_log1p_is_accurate_over_its_range(function):
    e = np.concatenate([np.linspace(0.0, 1.0, 2001), np.logspace(-300.0, 0.0, 301)])
    np.testing.assert_allclose([function(v) for v in e], np.log1p(e), rtol=1e-14)


@pytest.mark.parametrize("function", [exp, plain(exp), log1p, plain(log1p)])
def test_nan_passes_through(function):
    with np.errstate(invalid="ignore"):
        assert np.isnan(function(np.nan))


# ---------------------------------------------------------------- separable losses
@pytest.mark.parametrize("cls", SEPARABLE)
def test_value_is_the_formula(cls):
    loss = cls()
    for y, z in grid(loss):
        np.testing.assert_allclose(loss.value(y, z), VALUES[cls](y, z), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 30.0])
def test_huber_has_the_width_asked_for(epsilon):
    loss = Huber(epsilon=epsilon)
    for r in (-100.0, -1.0, -0.5 * epsilon, 0.0, epsilon, 5.0):
        np.testing.assert_allclose(loss.value(2.0, 2.0 + r), scipy_huber(epsilon, r), rtol=1e-13)


@pytest.mark.parametrize("cls", SEPARABLE)
def test_derivative_is_that_of_the_value(cls):
    loss = cls()
    for y, z in grid(loss):
        expected = derivative_by_differences(lambda z, y=y: VALUES[cls](y, z), z)
        np.testing.assert_allclose(loss.derivative(y, z), expected, rtol=1e-7, atol=1e-8)


def far_on_the_wrong_side(y, z):
    """Of log loss."""
    return abs(z) > FAR and (z > 0.0) == (y < 0.5)


@pytest.mark.parametrize("cls", [cls for cls in SEPARABLE if cls is not Huber])
def test_curvature_is_the_second_derivative(cls):
    loss = cls()
    for y, z in grid(loss):
        if cls is LogLoss and far_on_the_wrong_side(y, z):
            continue
        expected = derivative_by_differences(lambda z, y=y: loss.derivative(y, z), z)
        np.testing.assert_allclose(loss.curvature(y, z), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cls", MAJORISING)
def test_majorising_curvature_is_of_a_parabola_that_touches_and_majorises(cls):
    """With the loss's value and slope at z, the parabola of this curvature lies nowhere below it, and touches it at -z too."""
    loss = cls()
    for z in MAJORISING[cls]:
        value, slope, curvature = (getattr(loss, name)(0.0, z) for name in ("value", "derivative", "curvature"))
        u = np.concatenate([np.linspace(-30.0, 30.0, 601), np.linspace(-0.2, 0.2, 81)])
        parabola = value + slope * (u - z) + 0.5 * curvature * (u - z) ** 2
        assert (parabola >= VALUES[cls](0.0, u) - 1e-13).all()
        np.testing.assert_allclose(
            value - 2.0 * slope * z + 2.0 * curvature * z * z, VALUES[cls](0.0, -z), rtol=1e-13, atol=1e-13
        )


@pytest.mark.parametrize("cls", SEPARABLE)
def test_smoothness_bounds_the_curvature_and_is_reached(cls):
    loss = cls()
    curvatures = [loss.curvature(y, z) for y, z in grid(loss)] + [loss.curvature(0.5, 0.5)]
    assert max(curvatures) <= loss.smoothness() * (1.0 + 1e-15)
    assert max(loss.curvature(0.0, z) for z in np.linspace(-1.0, 1.0, 21)) == pytest.approx(loss.smoothness())
    assert min(curvatures) > 0.0


@pytest.mark.parametrize("cls", SEPARABLE)
def test_smoothness_bounds_the_slope_of_the_derivative(cls):
    loss = cls()
    z = np.linspace(-4.0, 4.0, 801)
    slopes = np.diff([loss.derivative(0.0, v) for v in z]) / np.diff(z)
    assert slopes.max() <= loss.smoothness() * (1.0 + 1e-9)
    assert slopes.min() >= -1e-12  # convex


@pytest.mark.parametrize("cls", SEPARABLE)
def test_huge_scores_give_finite_values(cls):
    loss = cls()
    for y in TARGETS[cls]:
        for z in (-1e4, 1e4):
            assert np.isfinite(of_score(loss, y, z)).all()
            np.testing.assert_allclose(of_score(loss, y, z)[0], VALUES[cls](y, z), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("cls", SEPARABLE)
def test_nan_scores_give_nan(cls):
    with np.errstate(invalid="ignore"):  # with the JIT off, NumPy warns
        value, derivative, _ = of_score(cls(), 1.0, np.nan)
    assert np.isnan(value)
    assert np.isnan(derivative)


@pytest.mark.parametrize("cls", SEPARABLE)
def test_compiled_and_python_agree(cls):
    loss = cls()
    for y, z in grid(loss):
        np.testing.assert_allclose(of_score(loss, y, z), plain(of_score)(loss, y, z), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("loss", [*(cls() for cls in SEPARABLE), *(cls(CLASSES, 0.2) for cls in COUPLED)])
def test_facts_are_the_same_compiled(loss):
    assert facts(loss) == plain(facts)(loss)
    assert loss.coupled() == (type(loss) in COUPLED)
    assert loss.scores_are_logits() == (type(loss) not in REGRESSION_LOSSES.values())


@pytest.mark.parametrize("cls", SEPARABLE)
def test_quadratic_says_whether_the_curvature_is_constant(cls):
    loss = cls()
    assert loss.quadratic() == (np.ptp([loss.curvature(y, z) for y, z in grid(loss)]) == 0.0)


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
@pytest.mark.parametrize("cls", SEPARABLE)
def test_curvature_blocks_of_a_tile_of_two_columns(cls, how):
    loss = cls(2)
    Z, s = tile(2)
    y = np.resize(TARGETS[cls], Z.shape)
    H = how(loss, y, s, Z.copy())
    for k in range(2):
        np.testing.assert_allclose(H[k, k], [s[i] * loss.curvature(y[k, i], Z[k, i]) for i in range(len(s))], rtol=1e-12)


@pytest.mark.parametrize("cls", [cls for cls in SEPARABLE if cls is not Huber])
def test_constant_scores_are_stationary(cls):
    loss = cls(2)
    s = tile(1, rows=11)[1]
    y = np.resize(TARGETS[cls], (2, 11))
    scores = loss.constant_scores(y, s)
    for k in range(2):
        total = sum(s[i] * loss.derivative(y[k, i], scores[k]) for i in range(11))
        assert abs(total) < 1e-12 * (s @ abs(y[k]))


def test_constant_scores_of_huber_are_weighted_medians():
    """They halve the weight of the rows, within epsilon of the best scores."""
    rng = np.random.default_rng(3)
    y, s = rng.standard_cauchy((2, 30)), rng.uniform(0.1, 2.0, 30)
    loss = Huber(2, epsilon=0.2)
    scores = loss.constant_scores(y, s)
    for k in range(2):
        assert s[y[k] < scores[k]].sum() <= 0.5 * s.sum() <= s[y[k] <= scores[k]].sum()
        best = minimize_scalar(lambda z, k=k: s @ scipy_huber(0.2, y[k] - z), bounds=(-3.0, 3.0), method="bounded").x
        assert abs(scores[k] - best) <= 0.2


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
    start = np.repeat(loss.constant_scores(y, s)[:, None], 1, axis=1)
    H = curvature_tensor(loss, np.zeros((1, 1)), np.ones(1), start)[:, :, 0]
    assert np.diagonal(H).max() == pytest.approx(loss.smoothness(), rel=1e-12)
    assert Softmax(CLASSES, 0.001).smoothness() == 0.05


def test_softmax_constant_scores_are_stationary_and_centred():
    y, s = class_codes(), tile(1)[1]
    scores = SOFTMAX.constant_scores(y, s)
    R = np.repeat(scores[:, None], len(s), axis=1)
    residuals(SOFTMAX, y, s, R)
    np.testing.assert_allclose(R.sum(axis=1), 0.0, atol=1e-14 * s.sum())
    assert abs(scores.sum()) < 1e-14
