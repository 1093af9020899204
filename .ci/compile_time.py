"""How long a first fit compiles: each case in a new process with an empty cache.

``python .ci/compile_time.py`` prints, for each case, the seconds of the first fit, of the same fit once more, and how many
kernels the first one has compiled.  Nothing else should run meanwhile.  ``--only TEXT`` takes the cases whose names contain
the text.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

CASES = {
    "log loss, dense": ("GDClassifier()", "dense"),
    "log loss, CSR": ("GDClassifier()", "sparse"),
    "squared error, dense": ("GDRegressor()", "dense"),
    "squared error, CSR": ("GDRegressor()", "sparse"),
    "sgd": ('GDClassifier(solver="sgd")', "dense"),
    "adam": ('GDClassifier(solver="adam")', "dense"),
    "softmax": ("GDClassifier()", "several"),
    "hinge": ('GDClassifier("hinge")', "dense"),
}
FIT = """
import json, time
from pathlib import Path
import numpy as np
import scipy.sparse as sp
from skgd import GDClassifier, GDRegressor
from skgd.compiled.cache import CACHE_FOLDER
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 20))
y = X[:, 0] + rng.normal(size=2000)
model, kind = {model}, {kind!r}
if kind == "sparse":
    X = sp.csr_matrix(X * (rng.random(X.shape) < 0.3))
if isinstance(model, GDClassifier):
    y = np.digitize(y, [-0.5, 0.5] if kind == "several" else [0.0])
seconds = []
for _ in range(2):
    start = time.perf_counter()
    model.fit(X, y)
    seconds.append(time.perf_counter() - start)
print(json.dumps([*seconds, len(list(Path(CACHE_FOLDER).rglob("*.nbi")))]))
"""


def measured(model: str, kind: str) -> tuple[float, float, int]:
    """Seconds of a first and of a second fit, and the number of compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        code = FIT.format(model=model, kind=kind)
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of the cases")
    only = parser.parse_args().only
    print(f"{'case':24s}{'first fit':>12s}{'second':>12s}{'kernels':>10s}")
    for name, case in CASES.items():
        if only in name:
            first, second, kernels = measured(*case)
            print(f"{name:24s}{first:10.2f} s{1e3 * second:9.1f} ms{kernels:10d}", flush=True)


if __name__ == "__main__":
    main()
