"""The peers of each loss: estimators of other packages that minimise the same objective, mean loss + penalty.

LinearSVC, LinearSVR, rehline and the solver liblinear penalise the intercept, too.  Each is listed twice: plain, and with
intercept_scaling=100, which makes this penalty 10,000 times smaller.  HuberRegressor is no peer, because it also estimates a
scale.  LogisticRegression of celer and LinearSVC of skglm are none, because they have no intercept.

Most budgets are numbers of iterations.  Methods with inner iterations, which one outer iteration would repeat until they reach
the tolerance, have tolerances as budgets: celer, skglm, and glum with an L1 penalty.
"""

from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from _measure import BUDGETS, TOLERANCE, Contender, by_max_iter
from sklearn.linear_model import (
    GammaRegressor,
    Lasso,
    LassoLars,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.svm import LinearSVC, LinearSVR

OPTIONAL = ("celer", "glum", "rehline", "skglm")
ITERATIONS = BUDGETS + np.geomspace(12_600, 1_000_000, 20).astype(int).tolist()
TOLERANCES = np.geomspace(1e4, 1e-14, 37).tolist()


class Task(NamedTuple):
    """An objective: a loss with its parameters, the penalty "l2" or "l1", and the number of rows of the data."""

    loss: str
    penalty: str
    alpha: float
    n: int
    epsilon: float
    quantile: float
    intercept: bool

    @property
    def cost(self) -> float:
        """The weight of the sum of losses if the penalty has weight 1, which many packages call C."""
        return 1.0 / (self.alpha * self.n)


def installed(package: str) -> bool:
    return find_spec(package) is not None


def peers(task: Task, text: bool = False, quick: bool = False) -> dict[str, Contender]:
    """Return the peers by their names.  With `quick`, those are left out that compile for seconds."""
    found = dict(OF_LOSS[task.loss, task.penalty](task, text))
    if installed("rehline") and task.penalty == "l2":
        found |= limited(rehline(task))
    if installed("glum") and task.loss in GLUM_FAMILIES and not text:
        found |= glum(task)
    if installed("skglm") and not quick and not text:
        found |= skglm(task)
    return found


def scalings(task: Task) -> dict[str, float]:
    """Return the values of intercept_scaling by the endings of their names."""
    return {"": 1.0, ", intercept x 100": 100.0} if task.intercept else {"": 1.0}


def limited(models: dict[str, Any]) -> dict[str, Contender]:
    """Let max_iter be the budget of these models."""
    return {name: by_max_iter(model, ITERATIONS) for name, model in models.items()}


def by_tolerance(estimator) -> Contender:
    """Let the tolerance be the budget; an absolute one, so it begins far above what any model needs."""
    return Contender(estimator, TOLERANCES, 1e-2)


# ---------------------------------------------------------------- scikit-learn
def sgd(task: Task, cls=SGDClassifier) -> dict[str, Any]:
    """SGDClassifier or SGDRegressor with its own schedule, with and without averages."""
    options = {"loss": task.loss, "penalty": task.penalty, "alpha": task.alpha, "epsilon": task.epsilon}
    options |= {"fit_intercept": task.intercept}
    return {
        f"{cls.__name__}{name}": cls(**options, average=average, tol=None, random_state=0)
        for name, average in (("", False), (", average", True))
    }


def sgd_regressor(task: Task) -> dict[str, Any]:
    return sgd(task, SGDRegressor)


def liblinear(task: Task, cls, duals: dict[str, bool], **options) -> dict[str, Any]:
    """LinearSVC or LinearSVR, by its dual or primal algorithm."""
    options |= {"loss": task.loss, "C": task.cost, "fit_intercept": task.intercept, "tol": TOLERANCE, "random_state": 0}
    return {
        f"{cls.__name__} {name}{suffix}": cls(dual=dual, intercept_scaling=scaling, **options)
        for name, dual in duals.items()
        for suffix, scaling in scalings(task).items()
    }


def hinge(task: Task, text: bool) -> dict[str, Contender]:
    return limited(liblinear(task, LinearSVC, {"dual": True}) | sgd(task))


def squared_hinge(task: Task, text: bool) -> dict[str, Contender]:
    return limited(liblinear(task, LinearSVC, {"dual": True, "primal": False}) | sgd(task))


def epsilon_insensitive(task: Task, text: bool) -> dict[str, Contender]:
    return limited(liblinear(task, LinearSVR, {"dual": True}, epsilon=task.epsilon) | sgd_regressor(task))


def squared_epsilon_insensitive(task: Task, text: bool) -> dict[str, Contender]:
    duals = {"dual": True, "primal": False}
    return limited(liblinear(task, LinearSVR, duals, epsilon=task.epsilon) | sgd_regressor(task))


def logistic(task: Task, solvers: tuple[str, ...], dual: bool = False, **options) -> dict[str, Any]:
    """LogisticRegression with these solvers, and with liblinear, which penalises the intercept."""
    options |= {"C": task.cost, "fit_intercept": task.intercept, "tol": TOLERANCE, "random_state": 0}
    models = {f"LogisticRegression {solver}": LogisticRegression(solver=solver, **options) for solver in solvers}
    for suffix, scaling in scalings(task).items():
        name = f"LogisticRegression liblinear{' dual' if dual else ''}{suffix}"
        models[name] = LogisticRegression(solver="liblinear", dual=dual, intercept_scaling=scaling, **options)
    return models


def log_loss(task: Task, text: bool) -> dict[str, Contender]:
    """LogisticRegression; its solver newton-cholesky has a matrix with a row and a column for each word of a text."""
    models = logistic(task, ("lbfgs", "newton-cg", "sag", "saga") + (() if text else ("newton-cholesky",)))
    if text:
        models |= logistic(task, (), dual=True)
    return limited(models | sgd(task))


def log_loss_l1(task: Task, text: bool) -> dict[str, Contender]:
    renamed = LogisticRegression().penalty == "deprecated"  # since scikit-learn 1.8
    return limited(logistic(task, ("saga",), **({"l1_ratio": 1.0} if renamed else {"penalty": "l1"})) | sgd(task))


def squared_error(task: Task, text: bool) -> dict[str, Contender]:
    solvers = ("sparse_cg", "sag") + (("lsqr",) if text else ("lsqr", "saga", "cholesky"))
    options = {"alpha": task.alpha * task.n, "fit_intercept": task.intercept, "tol": TOLERANCE, "random_state": 0}
    ridge = {f"Ridge {solver}": Ridge(solver=solver, **options) for solver in solvers}
    return limited(ridge | sgd_regressor(task))


def squared_error_l1(task: Task, text: bool) -> dict[str, Contender]:
    lasso = {"alpha": task.alpha, "fit_intercept": task.intercept}
    models = {
        "Lasso": Lasso(**lasso, tol=TOLERANCE),
        "Lasso, precompute": Lasso(**lasso, tol=TOLERANCE, precompute=True),
        "LassoLars": LassoLars(**lasso),
    }
    found = limited(models | sgd_regressor(task))
    if installed("celer"):
        from celer import Lasso as Celer

        found["celer Lasso"] = by_tolerance(lambda tol: Celer(**lasso, tol=tol))
    return found


def quantile_l1(task: Task, text: bool) -> dict[str, Contender]:
    """QuantileRegressor, which solves a linear program at once, so that it has no budget."""
    options = {"quantile": task.quantile, "alpha": task.alpha, "fit_intercept": task.intercept}
    models = {f"QuantileRegressor {s}": QuantileRegressor(**options, solver=s) for s in ("highs", "highs-ipm")}
    return {name: Contender(lambda budget, model=model: model, [None], None) for name, model in models.items()}


def generalised(task: Task, text: bool) -> dict[str, Contender]:
    cls = {"poisson": PoissonRegressor, "gamma": GammaRegressor}[task.loss]
    options = {"alpha": task.alpha, "fit_intercept": task.intercept, "tol": TOLERANCE}
    return limited({f"{cls.__name__} {s}": cls(**options, solver=s) for s in ("newton-cholesky", "lbfgs")})


OF_LOSS = {
    ("hinge", "l2"): hinge,
    ("squared_hinge", "l2"): squared_hinge,
    ("log_loss", "l2"): log_loss,
    ("log_loss", "l1"): log_loss_l1,
    ("squared_error", "l2"): squared_error,
    ("squared_error", "l1"): squared_error_l1,
    ("huber", "l2"): lambda task, text: limited(sgd_regressor(task)),
    ("quantile", "l2"): lambda task, text: {},  # no model of scikit-learn has this objective
    ("quantile", "l1"): quantile_l1,
    ("epsilon_insensitive", "l2"): epsilon_insensitive,
    ("squared_epsilon_insensitive", "l2"): squared_epsilon_insensitive,
    ("poisson", "l2"): generalised,
    ("gamma", "l2"): generalised,
}


# ---------------------------------------------------------------- optional packages
GLUM_FAMILIES = {"poisson": "poisson", "gamma": "gamma", "squared_error": "normal", "log_loss": "binomial"}


def glum(task: Task) -> dict[str, Contender]:
    """Newton steps, each of them by coordinate descent if the penalty is L1."""
    from glum import GeneralizedLinearRegressor

    options = {"family": GLUM_FAMILIES[task.loss], "link": "log" if task.loss == "gamma" else "auto", "alpha": task.alpha}
    options |= {"fit_intercept": task.intercept}
    if task.penalty == "l2":
        return limited({"glum": GeneralizedLinearRegressor(**options, gradient_tol=TOLERANCE)})
    options |= {"l1_ratio": 1.0, "max_iter": 1000}
    return {"glum": by_tolerance(lambda tol: GeneralizedLinearRegressor(**options, gradient_tol=tol))}


def rehline(task: Task) -> dict[str, Any]:
    """Dual coordinate ascent for losses that consist of lines and parabolas, with an L2 penalty."""
    from rehline import plq_Ridge_Classifier, plq_Ridge_Regressor

    names = {
        "hinge": {"name": "svm"},
        "squared_hinge": {"name": "squared SVM"},
        "huber": {"name": "huber", "tau": task.epsilon},
        "quantile": {"name": "QR", "qt": task.quantile},
        "epsilon_insensitive": {"name": "SVR", "epsilon": task.epsilon},
    }
    if task.loss not in names:
        return {}
    cls = plq_Ridge_Classifier if "hinge" in task.loss else plq_Ridge_Regressor
    options = {"loss": names[task.loss], "C": task.cost, "fit_intercept": task.intercept, "tol": TOLERANCE}
    return {f"rehline{suffix}": cls(**options, intercept_scaling=scaling) for suffix, scaling in scalings(task).items()}


def skglm(task: Task) -> dict[str, Contender]:
    """Coordinate descent on working sets, and proximal Newton steps."""
    from skglm import GeneralizedLinearEstimator, SparseLogisticRegression
    from skglm import Lasso as SkglmLasso
    from skglm.datafits import Gamma, Huber, Poisson
    from skglm.penalties import L1_plus_L2
    from skglm.solvers import AndersonCD, ProxNewton

    if task.penalty == "l1":
        lasso = {"squared_error": SkglmLasso, "log_loss": SparseLogisticRegression}.get(task.loss)
        options = {"alpha": task.alpha, "fit_intercept": task.intercept, "max_iter": 1000}
        return {"skglm": by_tolerance(lambda tol: lasso(**options, tol=tol))} if lasso else {}
    datafits = {"huber": Huber(task.epsilon), "poisson": Poisson(), "gamma": Gamma()}
    if task.loss not in datafits:
        return {}
    solver = AndersonCD if task.loss == "huber" else ProxNewton

    def estimator(tol):
        steps = solver(max_iter=1000, tol=tol, fit_intercept=task.intercept)
        return GeneralizedLinearEstimator(datafits[task.loss], L1_plus_L2(task.alpha, 0.0), steps)

    return {"skglm": by_tolerance(estimator)}
