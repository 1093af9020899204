"""
A fit on a Dask cluster
=======================

The estimators of `skgd.dask` take Dask arrays and data frames.  They return the same model as the local estimators would
return for all rows at once.
"""

# %%
# The cluster has two workers, which are threads of this process, and the array is divided into chunks.  On a real cluster the
# chunks are on many machines.

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from skgd import GDClassifier
from skgd.dask import DaskGDClassifier

cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0")
client = Client(cluster)

rng = np.random.default_rng(0)
Z = rng.normal(size=(100_000, 10))
X, y = Z * np.logspace(-3, 3, 10), np.digitize(Z @ rng.normal(size=10) + rng.gumbel(size=len(Z)), [-1.0, 2.0])
X_dask, y_dask = da.from_array(X, chunks=(10_000, -1)), da.from_array(y, chunks=10_000)

model = DaskGDClassifier().fit(X_dask, y_dask)
local = GDClassifier().fit(X, y)
print(f"largest relative difference of coefficients: {np.abs(model.coef_ / local.coef_ - 1.0).max():.0e}")

# %%
# Predictions are lazy: they are computed chunk by chunk when they are needed.  `score` takes one pass over the rows.

print(model.predict_proba(X_dask))
print("accuracy", round(model.score(X_dask, y_dask), 4))

# %%
# The local model does not depend on Dask.  Use it to save or to deploy the model.

print(model.to_local())
client.close()
cluster.close()
