"""ConvergenceDisplay draws the gaps of loss curves."""

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import ConvergenceDisplay, GDClassifier

mpl.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = (X @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=200) > 0).astype(int)
    return {solver: GDClassifier(solver=solver).fit(X, y) for solver in ("gd", "sgd")}


@pytest.mark.parametrize("x", ["iterations", "seconds"])
def test_lines_are_relative_gaps(x, fits):
    display = ConvergenceDisplay.from_estimators(fits, x=x)
    best = min(min(fit.loss_curve_) for fit in fits.values())
    for line, (name, fit) in zip(display.lines_, fits.items(), strict=True):
        places = np.arange(len(fit.loss_curve_)) if x == "iterations" else fit.time_curve_
        assert_array_equal(line.get_xdata(), places)
        assert_allclose(line.get_ydata(), np.maximum(np.array(fit.loss_curve_) / best - 1.0, 1e-16))
        assert line.get_label() == name
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xlabel().startswith(x)
    assert display.figure_ is display.ax_.figure


def test_one_estimator_or_the_last_of_a_pipeline(fits, two_classes):
    _, ax = plt.subplots()
    display = ConvergenceDisplay.from_estimator(fits["gd"], ax=ax, minimum=0.1, name="mine", color="red")
    assert display.ax_ is ax
    assert_allclose(display.lines_[0].get_ydata(), np.array(fits["gd"].loss_curve_) / 0.1 - 1.0)
    assert (display.lines_[0].get_color(), display.lines_[0].get_label()) == ("red", "mine")
    pipeline = make_pipeline(StandardScaler(), GDClassifier()).fit(*two_classes)
    assert ConvergenceDisplay.from_estimator(pipeline).lines_[0].get_label() == "GDClassifier"


def test_estimators_of_a_list_are_named_by_their_differences(fits):
    display = ConvergenceDisplay.from_estimators(list(fits.values()))
    assert [line.get_label() for line in display.lines_] == ["solver='gd'", "solver='sgd'"]
    again = display.plot(name="ignored")
    assert [line.get_label() for line in again.lines_] == ["solver='gd'", "solver='sgd'"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"x": "passes"}, "x has to be one of"), ({"minimum": 0.0}, "has to be positive, but is 0"), ({}, "no estimators")],
)
def test_bad_arguments_are_named(arguments, message, fits):
    with pytest.raises(ValueError, match=message):
        ConvergenceDisplay.from_estimators(fits if arguments else [], **arguments)


def test_only_fits_can_be_drawn():
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(GDClassifier())
