"""The cache of compiled kernels, seen from new processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skgd

FIT = """
import json, warnings
import numpy as np
from skgd import GDClassifier, kernels
from skgd._cache import CACHE_FOLDER
X = np.arange(12.0).reshape(6, 2) ** 1.5
model = GDClassifier(solver="gd").fit(X, [0, 0, 1, 0, 1, 1])
stats = kernels.record.stats
print(json.dumps(dict(
    folder=str(CACHE_FOLDER), objective=model.loss_curve_[0],
    hits=sum(stats.cache_hits.values()), misses=sum(stats.cache_misses.values()),
)))
"""


def fit_in_new_process(package=Path(skgd.__file__).parent, code=FIT, **environment):
    """Run `code` with the skgd of folder `package`; (its JSON output, what it wrote to stderr)."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONWARNINGS": "default", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=package.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder that one process has filled, and what that process said."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, fit_in_new_process(NUMBA_CACHE_DIR=str(folder))[0]


def test_a_second_process_compiles_nothing(warm):
    folder, first = warm
    second, _ = fit_in_new_process(NUMBA_CACHE_DIR=str(folder))
    assert first["misses"] > 0
    assert first["hits"] == 0
    assert second["misses"] == 0
    assert second["hits"] > 0


def test_the_cache_is_inside_the_folder_that_the_user_names(warm):
    folder, first = warm
    assert Path(first["folder"]).is_relative_to(folder)
    assert list(Path(first["folder"]).rglob("*.nbc"))


def test_an_edited_loss_is_compiled_anew(warm, tmp_path):
    """Numba itself would run the old loss: it looks at the file of the kernel only."""
    folder, first = warm
    package = Path(shutil.copytree(Path(skgd.__file__).parent, tmp_path / "skgd", ignore=shutil.ignore_patterns("__pycache__")))
    losses = package / "losses" / "cross_entropy.py"
    doubled = losses.read_text().replace(
        "return max(z, 0.0) + log1p", "return 2.0 * (max(z, 0.0) - y * z) + y * z + 2.0 * log1p"
    )
    assert doubled != losses.read_text()
    losses.write_text(doubled)
    new, _ = fit_in_new_process(package, NUMBA_CACHE_DIR=str(folder))
    assert new["folder"] != first["folder"]
    assert new["objective"] == pytest.approx(2 * first["objective"])


@pytest.mark.parametrize("module", ["separable", "kinks", "arithmetic", "log_link"])
def test_what_losses_share_counts_as_compiled(module, tmp_path):
    package = Path(shutil.copytree(Path(skgd.__file__).parent, tmp_path / "skgd", ignore=shutil.ignore_patterns("__pycache__")))
    code = "import json; from skgd._cache import digest; print(json.dumps(digest()))"
    before, _ = fit_in_new_process(package, code)
    with (package / "losses" / f"{module}.py").open("a") as file:
        file.write("# edited")
    assert fit_in_new_process(package, code)[0] != before


def test_without_a_writable_folder_it_compiles_in_memory_and_says_so_once():
    nowhere = os.devnull + "/nowhere"  # a file is not a folder, for root neither
    result, said = fit_in_new_process(NUMBA_CACHE_DIR=nowhere, HOME=nowhere)
    assert result["folder"] == "None"
    assert result["objective"] > 0
    assert said.count("RuntimeWarning: skgd compiles its kernels anew") == 1
    assert "NUMBA_CACHE_DIR" in said


def test_without_a_home_it_falls_back_too():
    code = "import json; from skgd._cache import CACHE_FOLDER; print(json.dumps(str(CACHE_FOLDER)))"
    folder, said = fit_in_new_process(code=code, HOME=os.devnull + "/nowhere", XDG_CACHE_HOME="", NUMBA_CACHE_DIR="")
    assert folder == "None"
    assert "RuntimeWarning" in said


def test_a_module_imported_twice_leaves_both_copies_working(warm):
    code = FIT.replace("X =", "import importlib, skgd.losses.cross_entropy as losses; importlib.reload(losses); X =")
    again, _ = fit_in_new_process(code=code, NUMBA_CACHE_DIR=str(warm[0]))
    assert again["objective"] == warm[1]["objective"]


def test_the_user_s_own_cache_folder_setting_is_left_as_it_was():
    code = "import json, numba; import skgd; print(json.dumps(numba.config.CACHE_DIR))"
    assert fit_in_new_process(code=code, NUMBA_CACHE_DIR="")[0] == ""
