"""`DaskGDClassifier` and `DaskGDRegressor`: the estimators for arrays and data frames of Dask (extra ``skgd[dask]``).

Partitions stay on the workers that hold them.  In a pass, each worker gets one task with the coefficients, and sends back the
sums over its partitions.  Sums are added in a fixed order (`data/tree_sum.py`), so the result has the same bits for any number
of workers and any order of their answers.
"""

from .estimators import DaskGDClassifier, DaskGDRegressor

__all__ = ["DaskGDClassifier", "DaskGDRegressor"]
