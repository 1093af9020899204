"""Write models of this version and their predictions, which the tests will load for ever.  Run it once for every release.

python tests/pickles/write.py
"""

import pickle
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

import skgd
from skgd import GDClassifier, GDRegressor


def models(X, y):
    """Name -> fitted model."""
    softmax = GDClassifier().fit(X, y)
    return {
        "softmax": softmax,
        "hinge, L1": GDClassifier("hinge", penalty="l1", alpha=0.01).fit(X, y).sparsify(),
        "targets": GDRegressor().fit(X, np.column_stack([y, -y])),
        "stream": GDClassifier().partial_fit(X, y, classes=[0, 1, 2]),
        "warm": GDRegressor(solver="sgd", warm_start=True, random_state=0).fit(X, y),
    }


if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = {name: (model, model.predict(X)) for name, model in models(X, y).items()}
    path = Path(__file__).with_name(f"{skgd.__version__}.pkl")
    path.write_bytes(pickle.dumps(written, protocol=4))
    print(f"wrote {path}")
