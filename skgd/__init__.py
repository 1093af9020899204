"""Linear and logistic models for scikit-learn, fitted by gradient methods without tuning a learning rate."""

from typing import Any

from ._version import __version__
from .estimators.classifier import GDClassifier
from .estimators.regressor import GDRegressor

__all__ = ["ConvergenceDisplay", "GDClassifier", "GDRegressor", "__version__", "fold"]


def __getattr__(name: str) -> Any:
    """Import `ConvergenceDisplay` and `fold` on first use, because they need parts of scikit-learn that import slowly."""
    if name == "ConvergenceDisplay":
        from .monitoring.display import ConvergenceDisplay

        return ConvergenceDisplay
    if name == "fold":
        from .prediction.folding import fold

        return fold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
