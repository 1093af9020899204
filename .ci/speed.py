"""Speed of this commit against that of a base: the last tag, or the commit before.

Two processes, one of each, take turns on the same problems, so that what disturbs one disturbs the other.  A problem fails
whose median of five is more than 1.25 times that of the base, three times in a row.

    python .ci/speed.py [base]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
LIMIT, ROUNDS, REPEATS = 1.25, 3, 5
ENOUGH = 0.02  # seconds of a measurement: shorter work is done several times


def problems():
    """Named calls, each a part of what users wait for."""
    import numpy as np
    import scipy.sparse as sp

    from skgd import GDClassifier, GDRegressor

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 30)) * np.logspace(-2, 2, 30)
    z = X @ (rng.normal(size=30) / X.std(axis=0)) + 2.0 * rng.normal(size=len(X))
    X += 1.0
    y, classes = (z > 0).astype(int), np.digitize(z, np.quantile(z, [0.3, 0.6]))
    words = sp.random(2000, 20_000, density=2e-3, random_state=0, format="csr")
    topics = (words @ rng.normal(size=20_000) > 0).astype(int)
    model, row, stream = GDClassifier().fit(X, y), X[:1], GDClassifier()

    def learn():
        stream.partial_fit(X[:320], y[:320], classes=[0, 1])

    return {
        "small fit": lambda: GDClassifier().fit(X[:100, :5], y[:100]),
        "two classes": lambda: GDClassifier().fit(X, y),
        "three classes": lambda: GDClassifier().fit(X, classes),
        "least squares": lambda: GDRegressor().fit(X, z),
        "L1": lambda: GDClassifier(penalty="l1", alpha=1e-2).fit(X, y),
        "hinge": lambda: GDClassifier("hinge", alpha=1e-2).fit(X[:2000], y[:2000]),
        "text": lambda: GDClassifier().fit(words, topics),
        "sgd": lambda: GDClassifier(solver="sgd", max_iter=3, tol=None, random_state=0).fit(X, y),
        "adam": lambda: GDClassifier(solver="adam", max_iter=3, tol=None, random_state=0).fit(X, y),
        "stream": learn,
        "predict a row": lambda: model.predict(row),
        "probabilities": lambda: model.predict_proba(X),
    }


def serve() -> None:
    """Time the problem that each line of input names; the first line of output is the package's folder."""
    import skgd

    warnings.simplefilter("ignore")
    calls = problems()
    times = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        times[name] = max(1, round(ENOUGH / (time.perf_counter() - start)))
    print(json.dumps([str(Path(skgd.__file__).parents[1]), list(calls)]), flush=True)
    for line in sys.stdin:
        name, call = line.strip(), calls[line.strip()]
        start = time.perf_counter()
        for _ in range(times[name]):
            call()
        print((time.perf_counter() - start) / times[name], flush=True)


def server(folder: Path) -> tuple[subprocess.Popen, list[str]]:
    """A process that has compiled everything, of the package in that folder; the names of its problems."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found, names = json.loads(process.stdout.readline())
    if not Path(found).samefile(folder):
        raise RuntimeError(f"Meant to measure {folder}, but {found} is what Python imports.")
    return process, names


def ask(process: subprocess.Popen, name: str) -> float:
    """Seconds of one problem."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(name, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def base_commit() -> str | None:
    """The last tag, or the commit before this one; None where there is no history."""
    for command in (["describe", "--tags", "--abbrev=0", "HEAD^"], ["rev-parse", "--verify", "HEAD^"]):
        found = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.strip()
    return None


def compare(base: str) -> int:
    """Print the ratios; the number of problems that have become slower."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", base, "skgd"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        (old, names), (new, _) = server(Path(folder)), server(ROOT)
        try:
            print(f"{'base ' + base[:12]:20s}  ms   ratio of medians, of {ROUNDS} rounds")
            return sum(_is_slower(name, old, new) for name in names)
        finally:
            old.kill()
            new.kill()


def _is_slower(name: str, old: subprocess.Popen, new: subprocess.Popen) -> bool:
    ratios = []
    while len(ratios) < ROUNDS and (not ratios or ratios[-1] > LIMIT):  # once below is enough
        pairs = [(ask(old, name), ask(new, name)) for _ in range(REPEATS)]
        before, now = (median(values) for values in zip(*pairs, strict=True))
        ratios.append(now / before)
    slower = min(ratios) > LIMIT
    print(
        f"{name:16s}{1e3 * now:9.3f}  {' '.join(f'{ratio:.2f}' for ratio in ratios)}{'  SLOWER' if slower else ''}", flush=True
    )
    return slower


def main() -> int:
    base = sys.argv[1] if len(sys.argv) > 1 else base_commit()
    if base is None:
        print("There is no commit to compare with.")
        return 0
    return 1 if compare(base) else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(main())
