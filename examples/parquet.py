"""
Batches from a Parquet file
===========================

This example fits a file of three million rows batch by batch.  Memory holds one batch, one row group of the file, and a
sample of the rows, from which the fit starts.  The result is the same as for a fit of all rows at once.
"""

# %%
# The file
# --------
# The file has twenty columns of very different scales.  It is written 100,000 rows at a time.

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skgd import GDClassifier
from skgd.batches import parquet

ROWS, COLUMNS, PIECE = 3_000_000, 20, 100_000
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "visits.parquet"
names = [f"x{j}" for j in range(COLUMNS)]
coef = np.random.default_rng(0).normal(size=COLUMNS)

schema = pa.schema([*((name, pa.float32()) for name in names), ("bought", pa.bool_())])
with pq.ParquetWriter(path, schema) as writer:
    for piece in range(ROWS // PIECE):
        rng = np.random.default_rng(piece)
        Z = rng.normal(size=(PIECE, COLUMNS)).astype(np.float32)
        bought = Z @ coef + rng.logistic(size=PIECE) > 1.0
        columns = [Z[:, j] * np.float32(10.0 ** (j % 7 - 3)) for j in range(COLUMNS)]
        writer.write_table(pa.table([*columns, bought], schema=schema))
print(f"{path.stat().st_size / 1e6:.0f} MB on disk, {ROWS * COLUMNS * 4 / 1e6:.0f} MB in memory")

# %%
# The fit
# -------
# The file is read again in every pass.  The first pass takes stochastic steps and collects the statistics of the rows.  Each
# further iteration takes one pass.  If the classes were not given, one more pass would be needed to find them.


def resident():
    """Return the memory of this process and its peak so far, in MB (Linux)."""
    try:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    except FileNotFoundError:
        return np.nan, np.nan
    return tuple(int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))


batches = parquet(path, target="bought")
before, start = resident()[0], perf_counter()
model = GDClassifier(penalty=None).fit_batches(batches, classes=[False, True])
print(f"{perf_counter() - start:.1f} s, {model.n_iter_} iterations")
print(f"memory: {before:.0f} MB before, at most {resident()[1] - before:.0f} MB more")

# %%
# The fit recovers the coefficients that were used to generate the rows, in the units of the columns.

units = 10.0 ** (np.arange(COLUMNS) % 7 - 3)
print("largest error of a coefficient:", np.abs(model.coef_[0] * units - coef).max().round(3))
folder.cleanup()
