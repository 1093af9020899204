"""The documentation: its code runs and prints the output that it shows, and its links and paths exist."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from problems import since

ROOT = Path(__file__).parents[1]
GUIDE = [ROOT / "README.md", *sorted(ROOT.glob("docs/guide/*.md"))]
INSIDE = sorted(ROOT.glob("docs/how_it_works/*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *GUIDE[1:], *INSIDE]
CODE = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)  # code, output
MODULE = re.compile(r"`(skgd/[\w/]*(?:\.py|/))`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def name(page):
    return str(page.relative_to(ROOT))


def with_code(page):
    callbacks = "sklearn.callback" in page.read_text()
    return pytest.param(page, id=name(page), marks=since("1.9", "there are callbacks") if callbacks else ())


@pytest.mark.parametrize("page", [with_code(page) for page in GUIDE if "```python" in page.read_text()])
def test_code_runs_and_prints_what_the_page_says(page, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict = {}
    for code, shown in CODE.findall(page.read_text()):
        printed = StringIO()
        with redirect_stdout(printed):
            exec(code, namespace)
        assert printed.getvalue() == shown or not shown


ADAGRAD = """
import numpy as np
from skgd import GDClassifier, GDRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=60)
textbook = {"solver": "adagrad", "learning_rate": "constant", "eta0": 0.5, "penalty": None, "shuffle": False, "tol": None}

A, theta, squares = np.column_stack([X, np.ones(60)]), np.zeros(4), np.zeros(4)
for x, target in zip(np.tile(A, (2, 1)), np.tile(y, 2)):
    gradient = x * (x @ theta - target)
    squares += gradient**2
    theta = theta - 0.5 * gradient / (np.sqrt(squares) + 1e-8)
fitted = GDRegressor(max_iter=2, **textbook).fit(X, y)
in_calls = GDRegressor(**textbook)
for first in (0, 20, 40, 0, 20, 40):
    in_calls.partial_fit(X[first : first + 20], y[first : first + 20])
in_batches = GDRegressor(max_iter=2, **textbook).fit_batches([(X[:25], y[:25]), (X[25:], y[25:])])
for model in (fitted, in_calls, in_batches):
    np.testing.assert_allclose(np.append(model.coef_, model.intercept_), theta, rtol=1e-8)

labels = (y > 0).astype(int)
for learn in (
    lambda model: model.set_params(max_iter=1, tol=None).fit(X, labels),  # after more epochs all are near the minimum
    lambda model: model.set_params(max_iter=2, tol=None).fit_batches([(X[:25], labels[:25]), (X[25:], labels[25:])]),
    lambda model: [model.partial_fit(X, labels, classes=[0, 1]) for _ in range(5)][-1],
):
    coefs = [learn(GDClassifier(solver=solver, random_state=0)) for solver in ("adagrad", "adam", "sgd")]
    assert coefs[0].score(X, labels) > 0.8
    assert not any(np.allclose(coefs[0].coef_, other.coef_, rtol=1e-3) for other in coefs[1:])
"""


def test_the_update_rule_of_the_guide_works_in_every_kind_of_fit(tmp_path):
    """Add the rule of the page on update rules to a copy of the package: every way to fit makes AdaGrad's steps."""
    rule, solver, table, *_ = (code for code, _ in CODE.findall((ROOT / "docs/adding_an_update_rule.md").read_text()))
    package = shutil.copytree(ROOT / "skgd", tmp_path / "skgd", ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "solvers/updates.py").open("a") as updates:
        updates.write(f"\n\n{rule}")
    (package / "solvers/adagrad.py").write_text(solver)
    lines = (package / "solvers/rules.py").read_text().splitlines()
    for new in table.split("\n\n"):
        begin = new.split(" =")[0] if " =" in new else "from . import"
        (old,) = (line for line in lines if line.startswith(begin))
        lines[lines.index(old)] = new.strip()
    (package / "solvers/rules.py").write_text("\n".join(lines))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ADAGRAD],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


FIT_OF_THE_GUIDE = """
import numpy as np
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import pseudo_huber
from sklearn.preprocessing import StandardScaler
from skgd import GDRegressor
{test}
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 6))
test_pseudo_huber_regression((X, X @ rng.normal(size=6) + rng.standard_t(2.0, size=60)))
X, y = X[:, :2], X @ np.ones(6)
for solver in ("gd", "sgd", "adam"):
    assert np.isfinite(GDRegressor("pseudo_huber", solver=solver, max_iter=5, tol=None, random_state=0).fit(X, y).coef_).all()
"""


def test_the_loss_of_the_guide_works_with_every_solver(tmp_path):
    """Add the loss of the page on losses to a copy of the package: the page's test passes, and every solver fits the loss."""
    loss, line, _, _, test = (code for code, _ in CODE.findall((ROOT / "docs/adding_a_loss.md").read_text()))
    package = shutil.copytree(ROOT / "skgd", tmp_path / "skgd", ignore=shutil.ignore_patterns("__pycache__"))
    regression, registry = package / "losses/regression.py", package / "losses/registry.py"
    imports = "import numpy as np\n"
    regression.write_text(regression.read_text().replace(imports, f"import math\n{imports}from scipy.optimize import brentq\n"))
    with regression.open("a") as file:
        file.write(f"\n\n{loss}")
    entry = line.split("..., ")[1].rstrip("}\n")
    lines = registry.read_text().replace("import EpsilonInsensitive", "import PseudoHuber, EpsilonInsensitive")
    registry.write_text(lines.replace("REGRESSION_LOSSES = {", f"REGRESSION_LOSSES = {{ {entry},"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIT_OF_THE_GUIDE.format(test=test)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_files_are_not_broken(page):
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not dead


@pytest.mark.parametrize("page", INSIDE, ids=name)
def test_modules_that_a_page_names_exist(page):
    missing = [path for path in MODULE.findall(page.read_text()) if not (ROOT / path).exists()]
    assert not missing
