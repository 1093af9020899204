"""Linear and logistic models for scikit-learn, fitted by gradient methods that need no tuning."""

from ._version import __version__
from .display import ConvergenceDisplay
from .estimators import GDClassifier, GDRegressor
from .folding import fold

__all__ = ["ConvergenceDisplay", "GDClassifier", "GDRegressor", "__version__", "fold"]
