"""With NUMBA_DISABLE_JIT=1 all kernels run as plain Python, and give the same results as compiled kernels."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

FITS = """
import json, warnings
import numpy as np, scipy.sparse as sp
from skgd import GDClassifier, GDRegressor
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, codes = rng.standard_normal((70, 4)), np.arange(70)
Y = X @ rng.standard_normal((4, 2)) + 0.1 * rng.standard_normal((70, 2))
problems = {
    "binary": (GDClassifier(), codes % 2), "softmax": (GDClassifier(), codes % 3), "squared": (GDRegressor(), Y),
    "huber": (GDRegressor("huber"), Y[:, 0]),
}
wide = sp.random(40, 700, density=0.05, format="csr", random_state=0)
P = rng.dirichlet(np.ones(3), 70)
def coefficients():
    for name, (estimator, y) in problems.items():
        for storage, rows in (("dense", X), ("CSR", sp.csr_matrix(np.where(X > 0, X, 0.0)))):
            for solver in ("gd", "sgd", "adam"):
                for penalty in ("l2", "elasticnet"):
                    estimator.set_params(solver=solver, penalty=penalty, alpha=0.01, max_iter=4, random_state=0).fit(rows, y)
                    yield f"{name} {storage} {solver} {penalty}", np.ravel(estimator.coef_).tolist()
            predict = estimator.predict_proba if name in ("binary", "softmax") else estimator.predict
            yield f"{name} {storage} prediction", np.ravel(predict(rows)).tolist()
        classes = {} if name in ("squared", "huber") else {"classes": np.unique(y)}
        stream = estimator.set_params(solver="auto", penalty="l1")
        del stream.coef_
        for first in range(0, 70, 20):
            stream.partial_fit(X[first : first + 20], y[first : first + 20], **classes)
        yield f"{name} stream", np.ravel(stream.coef_).tolist()
    yield "many columns, stream", GDClassifier().partial_fit(wide, codes[:40] % 3, classes=[0, 1, 2]).coef_.ravel().tolist()
    hinge = GDClassifier("hinge", penalty="l1", alpha=0.01, max_iter=3)
    yield "many columns, L1", hinge.fit(wide, codes[:40] % 2).coef_[0].tolist()
    for solver in ("gd", "sgd"):
        yield f"soft labels {solver}", GDClassifier(solver=solver, max_iter=4, random_state=0).fit(X, P).coef_.ravel().tolist()
print(json.dumps(dict(coefficients())))
"""


def fits(**environment):
    done = subprocess.run(
        [sys.executable, "-c", FITS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def both():
    return fits(), fits(NUMBA_DISABLE_JIT="1")


def test_every_loss_storage_solver_and_penalty_agrees(both):
    compiled, plain = both
    assert len(compiled) == 48 + 8 + 4 + 4
    assert compiled.keys() == plain.keys()
    for case in compiled:
        np.testing.assert_allclose(plain[case], compiled[case], rtol=1e-7, atol=1e-10, err_msg=case)
