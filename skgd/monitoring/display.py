"""Plots of convergence: the gap between the objective and its minimum, over iterations or seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

SMALLEST = 1e-16  # smaller relative gaps are drawn as this one, because they are below the precision of floats
AXES = {"iterations": "iterations or epochs", "seconds": "seconds"}  # the label of each horizontal axis


class ConvergenceDisplay:
    """Convergence curves of fits: the relative gap ``F / minimum - 1`` of the objective F.

    Use `from_estimator` or `from_estimators` to make a display and draw it; `plot` draws it again.

    Parameters
    ----------
    curves : dict of str to (ndarray of shape (n_points,), ndarray of shape (n_points,))
        For each name the iterations or seconds of its points, and the objective at these points.
    minimum : float
        The minimum of the objective, or the lowest known value.  Gaps are relative to it.
    x : {"iterations", "seconds"}
        The unit of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes in which the curves are drawn.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    lines_ : list of matplotlib Line2D
        One line for each curve.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skgd import ConvergenceDisplay, GDClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> fits = {solver: GDClassifier(solver=solver, alpha=0.01).fit(X, y) for solver in ("gd", "sgd")}
    >>> display = ConvergenceDisplay.from_estimators(fits)
    >>> len(display.lines_)
    2
    """

    def __init__(self, curves: dict[str, tuple[np.ndarray, np.ndarray]], *, minimum: float, x: str = "iterations") -> None:
        self.curves, self.minimum, self.x = curves, minimum, x

    def plot(self, *, ax=None, name=None, **line_kw) -> ConvergenceDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw in.  None: those of a new figure.
        name : str, default=None
            The name of the curve in the legend, if there is only one curve.
        **line_kw : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        self : ConvergenceDisplay
            The display, whose attributes hold what it drew.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        for label, (places, objective) in self.curves.items():
            gaps = np.maximum(objective / self.minimum - 1.0, SMALLEST)
            how = {"label": label if name is None or len(self.curves) > 1 else name, "linewidth": 2.0, **line_kw}
            self.lines_ += ax.plot(places, gaps, **how)
            ax.plot(places[-1:], gaps[-1:], "o", color=self.lines_[-1].get_color(), markersize=5)
        ax.set(xlabel=AXES[self.x], ylabel="objective, relative gap to its minimum", yscale="log")
        if self.x == "iterations":
            ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(color="0.93")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        return self

    @classmethod
    def from_estimator(
        cls, estimator, *, x: str = "iterations", minimum: float | None = None, ax=None, name: str | None = None, **line_kw
    ) -> ConvergenceDisplay:
        """Draw how one fit converged.

        Parameters
        ----------
        estimator : GDClassifier, GDRegressor or Pipeline
            A fitted estimator, or a pipeline that ends with one.
        x : {"iterations", "seconds"}, default="iterations"
            The unit of the horizontal axis.
        minimum : float, default=None
            The minimum of the objective, if it is known.  None: the lowest value of the curve.
        ax : matplotlib Axes, default=None
            The axes to draw in.  None: those of a new figure.
        name : str, default=None
            The name of the curve in the legend.  None: the name of the class.
        **line_kw : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.
        """
        name = type(_last(estimator)).__name__ if name is None else name
        return cls.from_estimators({name: estimator}, x=x, minimum=minimum, ax=ax, **line_kw)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any] | Sequence[Any],
        *,
        x: str = "iterations",
        minimum: float | None = None,
        ax=None,
        **line_kw,
    ) -> ConvergenceDisplay:
        """Draw how several fits that minimise the same objective converged.

        Parameters
        ----------
        estimators : dict of str to estimator, or list of estimators
            Fitted estimators with the same loss, penalty and data.  The legend names estimators in a list by the parameters in
            which they differ.
        x : {"iterations", "seconds"}, default="iterations"
            The unit of the horizontal axis.
        minimum : float, default=None
            The minimum of the objective, if it is known.  None: the lowest value of all curves.
        ax : matplotlib Axes, default=None
            The axes to draw in.  None: those of a new figure.
        **line_kw : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are no estimators, if `x` has another value, or if the minimum is not positive.
        """
        if x not in AXES:
            raise ValueError(f"x has to be one of {', '.join(map(repr, AXES))}, but is {x!r}.")
        fits = dict(estimators) if isinstance(estimators, Mapping) else _named(list(estimators))
        if not fits:
            raise ValueError("There are no estimators to draw: pass at least one.")
        curves = {label: _curve(_last(estimator), x) for label, estimator in fits.items()}
        lowest = min(float(objective.min()) for _, objective in curves.values())
        least = lowest if minimum is None else float(minimum)
        if not least > 0.0:
            raise ValueError(f"Gaps are relative to the minimum of the objective, which has to be positive, but is {least:g}.")
        return cls(curves, minimum=least, x=x).plot(ax=ax, **line_kw)


def _last(estimator: Any) -> Any:
    """The last step if the estimator is a pipeline, else the estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def _curve(estimator: Any, x: str) -> tuple[np.ndarray, np.ndarray]:
    """The points of a curve: iterations or seconds, and the objective."""
    check_is_fitted(estimator, "loss_curve_")
    objective = np.array(estimator.loss_curve_)
    return np.arange(len(objective)) if x == "iterations" else np.array(estimator.time_curve_), objective


def _named(estimators: list[Any]) -> dict[str, Any]:
    """Name each estimator by the values of the parameters in which the estimators differ."""
    parameters = [_last(estimator).get_params() for estimator in estimators]
    differ = [key for key in parameters[0] if len({repr(each.get(key)) for each in parameters}) > 1] if parameters else []
    names = [", ".join(f"{key}={each.get(key)!r}" for key in differ) for each in parameters]
    return {name or type(_last(e)).__name__: e for name, e in zip(names, estimators, strict=True)}
