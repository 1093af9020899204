"""`DaskGDClassifier` and `DaskGDRegressor`: the estimators for arrays and frames of Dask, on a cluster (extra `skgd[dask]`).

Partitions stay on the workers where they lie.  In a pass, each worker gets one task with the coefficients, and sends back the
sums over its partitions.  Sums are added in a fixed order (`data/tree_sum.py`), so neither the number of workers nor the order
of their answers changes a bit of the result.
"""

from .estimators import DaskGDClassifier, DaskGDRegressor

__all__ = ["DaskGDClassifier", "DaskGDRegressor"]
