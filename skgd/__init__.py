"""Linear and logistic models for scikit-learn, fitted by gradient methods that need no tuning."""

from .estimators import GDClassifier, GDRegressor

__version__ = "0.1.0"
__all__ = ["GDClassifier", "GDRegressor", "__version__"]
