"""The versions that skgd runs on: their floors, what it does without what came later, and what could go at any time."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

import skgd

ROOT = Path(__file__).parents[1]
# Whatever scikit-learn does not promise to keep, and skgd imports all the same: look here when a new version breaks it.
PRIVATE = {
    "sklearn.base._fit_context",  # validates parameters, and tears callbacks down
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


def test_all_that_is_imported_of_the_inside_of_scikit_learn_is_listed():
    names = set()
    for path in Path(skgd.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert {name for name in names if "._" in name} == PRIVATE


def test_before_callbacks_came_estimators_fit_and_say_what_callbacks_need():
    done = subprocess.run([sys.executable, "-c", WITHOUT_CALLBACKS], capture_output=True, text=True, timeout=300, check=True)
    there, said, labels = json.loads(done.stdout)
    assert not there
    assert "set_callbacks needs scikit-learn 1.9 or later" in said
    assert labels == [0]
