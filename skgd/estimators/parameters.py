"""The parameters of both estimators: their constraints, and their translation into options and a penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from ..losses.registry import loss_for
from ..monitoring.warning import warn
from ..options import Options
from ..penalties import Penalty, elastic_net
from ..solvers.rules import STOCHASTIC_SOLVERS, stochastic_solver
from ..training import supporting_solvers

# The losses whose scores are logarithms of predictions.  The variance of y is proportional to its mean to this power.
LOG_LINK = {"poisson": 1, "gamma": 2}
LOSS_PARAMETERS = ("epsilon", "quantile")  # parameters that only some losses have
FIXED_L1_RATIO = {"l2": 0.0, "l1": 1.0, None: 0.0}  # the L1 ratio of the penalties that have no parameter for it


def defaults_of(constructor: Callable[..., None]) -> dict[str, Any]:
    """The default value of each parameter of a constructor."""
    _, *parameters = signature(constructor).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


class Parameterised(BaseEstimator):
    """Stores and validates the parameters, and translates them into `Options` and a `Penalty`."""

    _defaults: dict[str, Any]  # the defaults of GDClassifier or GDRegressor, which subclasses inherit

    _parameter_constraints: dict[str, list[Any]] = {
        "solver": [StrOptions({"auto", "gd", *STOCHASTIC_SOLVERS})],
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "positive": ["boolean", "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "verbose": ["verbose"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "learning_rate": [StrOptions({"auto", "constant", "optimal", "invscaling", "adaptive"})],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "adam_epsilon": [Interval(Real, 0, None, closed="neither")],
        "standardize": ["boolean", StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str, callable, None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "average": ["boolean", Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    }

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Store the arguments of a constructor, its `locals()`, unchanged and under their names, as scikit-learn requires."""
        self.__dict__.update({name: value for name, value in arguments.items() if name != "self"})

    def _validate_params(self) -> None:
        """Let scikit-learn validate the parameters that differ from their defaults.

        The defaults are valid, and validating all parameters takes longer than the passes of a small fit.
        """
        parameters = ((name, getattr(self, name)) for name in sorted(self._parameter_constraints))
        changed = {name: value for name, value in parameters if value is not self._defaults.get(name, Parameter.empty)}
        validate_parameter_constraints(self._parameter_constraints, changed, type(self).__name__)

    def _penalty(self, d: int) -> Penalty:
        """The penalty on d coefficients."""
        l1_ratio = self.l1_ratio if self.penalty == "elasticnet" else FIXED_L1_RATIO[self.penalty]
        if l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'.")
        alpha = self._of_features("alpha", d) if self.penalty is not None else 0.0
        return elastic_net(alpha * l1_ratio, alpha * (1.0 - l1_ratio), d).positive(self._of_features("positive", d))

    def _of_features(self, name: str, d: int) -> np.ndarray:
        """The value of `alpha` or `positive` as an array: of shape () for one value, of shape (d,) for one per feature."""
        kind, words = (bool, "True and False") if name == "positive" else (float, "finite numbers, none of them negative")
        values = np.asarray(getattr(self, name))
        if values.shape not in ((), (d,)):
            raise ValueError(
                f"{name} has shape {values.shape}, but X has {d} features: pass one value, or one for each of them."
            )
        right = (
            values.dtype == bool if kind is bool else values.dtype.kind in "biuf" and np.all((values >= 0) & (values < np.inf))
        )
        if not right:
            raise ValueError(f"{name} has to be one value, or an array, of {words}, but is {getattr(self, name)!r}.")
        return values.astype(kind)

    def _separable_loss(self, cls: Any, Y: np.ndarray, weights: np.ndarray) -> Any:
        """The loss of class `cls` for targets Y (K, n), with the parameters of this estimator."""
        if self.loss == "huber" and self.epsilon == 0.0:
            raise ValueError("loss='huber' needs epsilon > 0; loss='epsilon_insensitive' with epsilon=0 is the absolute error.")
        parameters = {name: float(getattr(self, name)) for name in LOSS_PARAMETERS if hasattr(self, name)}
        return loss_for(cls, Y, weights, **parameters)

    def _options(self, loss: Any, splits: bool = False) -> Options:
        """The options of the solver for this loss.  Warns of parameters that have no effect.

        `splits` says whether rows of X are set aside for validation.
        """
        explicit = self.learning_rate != "auto"
        if self.learning_rate == "optimal" and (np.ndim(self.alpha) or self.alpha == 0):
            raise ValueError("learning_rate='optimal' divides by alpha: set one alpha > 0, or use learning_rate='auto'.")
        options = Options(
            solver=self.solver,
            alpha=float(np.mean(self.alpha)),
            fit_intercept=bool(self.fit_intercept),
            max_iter=int(self.max_iter),
            tol=None if self.tol is None else float(self.tol),
            shuffle=bool(self.shuffle),
            batch_size=self.batch_size if self.batch_size == "auto" else int(self.batch_size),
            learning_rate=self.learning_rate,
            eta0=float(self.eta0),
            power_t=float(self.power_t),
            momentum=float(self.momentum),
            nesterovs_momentum=bool(self.nesterovs_momentum),
            beta_1=float(self.beta_1),
            beta_2=float(self.beta_2),
            adam_epsilon=float(self.adam_epsilon),
            standardize=not explicit if self.standardize == "auto" else bool(self.standardize),
            average=self.average,
            n_iter_no_change=int(self.n_iter_no_change),
            n_jobs=self.n_jobs,
            verbose=int(self.verbose),
            random_state=check_random_state(self.random_state),
        )
        options = replace(options, solver=self._solver(options, supporting_solvers(loss, options.automatic)))
        self._warn_of_unused(options.solver, loss, splits)
        return options

    def _solver(self, options: Options, able: list[str]) -> str:
        """The name of the solver; ValueError if it is not in `able`, the solvers that can minimise the loss."""
        if self.solver == "auto" and options.unspecific:
            return "auto" if "gd" in able else able[0]
        solver = "sgd" if self.solver == "auto" else self.solver
        if solver not in able:
            asked = " (batch_size, momentum or average ask for it)" if self.solver == "auto" else ""
            raise ValueError(
                f"solver={solver!r}{asked} does not take loss={self.loss!r} with learning_rate={self.learning_rate!r}. "
                f"Use one of {', '.join(map(repr, ['auto', *able]))}."
            )
        return solver

    def _warn_of_unused(self, solver: str, loss: Any, splits: bool) -> None:
        """Warn of parameters that differ from their defaults but have no effect with the other parameters."""
        unused = self._unused(solver, loss, splits)
        changed = [f"{name}={getattr(self, name)!r}" for name in unused if getattr(self, name) != self._defaults[name]]
        if changed:
            warn(
                f"{', '.join(changed)} has no effect with loss={self.loss!r}, solver={solver!r}, "
                f"learning_rate={self.learning_rate!r}, penalty={self.penalty!r}, early_stopping={self.early_stopping!r}"
                f"{' and X_val' if self.early_stopping and not splits else ''}.",
                UserWarning,
            )

    def _unused(self, solver: str, loss: Any, splits: bool) -> list[str]:
        """Names of the parameters that have no effect with this solver, this loss and the other parameters."""
        explicit = self.learning_rate != "auto"
        unused = [name for name in LOSS_PARAMETERS if name in self._defaults and name not in loss._fields]
        if self.learning_rate in ("auto", "optimal"):
            unused += ["eta0"]
        if self.learning_rate != "invscaling":
            unused += ["power_t"]
        used = stochastic_solver(solver).PARAMETERS if solver in STOCHASTIC_SOLVERS or explicit else ()
        unused += [name for module in STOCHASTIC_SOLVERS.values() for name in module.PARAMETERS if name not in used]
        if solver == "gd":
            unused += ["batch_size"] if explicit else ["batch_size", "average"]
        if self.penalty != "elasticnet" and self.l1_ratio not in (None, FIXED_L1_RATIO[self.penalty]):
            unused += ["l1_ratio"]
        if not self.early_stopping:
            unused += ["scoring"]
        if not splits:
            unused += ["validation_fraction"]
        return unused
