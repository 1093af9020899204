"""Linear and logistic models for scikit-learn, fitted by gradient methods that need no tuning."""

from ._version import __version__
from .estimators import GDClassifier, GDRegressor

__all__ = ["GDClassifier", "GDRegressor", "__version__"]
