"""Versions of the dependencies: the oldest ones, the behaviour without newer features, and imports of private functions."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

import skgd

ROOT = Path(__file__).parents[1]
# The private functions of scikit-learn that skgd imports.  A new version of scikit-learn may change or remove them.
PRIVATE = {
    "sklearn.base._fit_context",  # validates parameters and tears down callbacks
    "sklearn.utils._optional_dependencies.check_matplotlib_support",
    "sklearn.utils._param_validation.Interval",
    "sklearn.utils._param_validation.StrOptions",
    "sklearn.utils._param_validation.validate_parameter_constraints",
    "sklearn.utils.multiclass._check_partial_fit_first_call",
    "sklearn.utils.validation._check_sample_weight",
}
WITHOUT_CALLBACKS = """
import json, sys
import sklearn.linear_model, sklearn.model_selection, sklearn.metrics, sklearn.pipeline
sys.modules["sklearn.callback"] = None
from skgd import GDClassifier
model = GDClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
try:
    model.set_callbacks()
except AttributeError as error:
    print(json.dumps([hasattr(model, "set_callbacks"), str(error), model.predict([[0.0]]).tolist()]))
"""


def requirements(lines):
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def test_the_oldest_versions_tested_are_the_oldest_allowed():
    allowed = requirements(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    lines = (line.partition("#")[0].strip() for line in (ROOT / ".ci" / "oldest.txt").read_text().splitlines())
    tested = requirements(line for line in lines if line)
    assert allowed.keys() == {"numba", "numpy", "scikit-learn", "scipy"}
    for name, requirement in allowed.items():
        (floor,), (pin,) = requirement.specifier, tested[name].specifier
        assert (floor.operator, pin.operator) == (">=", "==")
        assert f"{floor.version}.0" == pin.version


def test_private_imports_of_scikit_learn_are_listed():
    names = set()
    for path in Path(skgd.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert {name for name in names if "._" in name} == PRIVATE


def test_without_callbacks_in_scikit_learn_estimators_fit_and_name_the_version_that_callbacks_need():
    done = subprocess.run([sys.executable, "-c", WITHOUT_CALLBACKS], capture_output=True, text=True, timeout=300, check=True)
    there, said, labels = json.loads(done.stdout)
    assert not there
    assert "set_callbacks needs scikit-learn 1.9 or later" in said
    assert labels == [0]
