"""Linear and logistic models for scikit-learn, fitted by gradient methods that need no tuning."""

from typing import Any

from ._version import __version__
from .estimators.classifier import GDClassifier
from .estimators.regressor import GDRegressor

__all__ = ["ConvergenceDisplay", "GDClassifier", "GDRegressor", "__version__", "fold"]


def __getattr__(name: str) -> Any:
    """Import what few scripts use when it is first asked for: it needs parts of scikit-learn that take long to import."""
    if name == "ConvergenceDisplay":
        from .monitoring.display import ConvergenceDisplay

        return ConvergenceDisplay
    if name == "fold":
        from .prediction.folding import fold

        return fold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
