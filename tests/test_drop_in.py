"""scikit-learn's own tests of its linear models, four of which are replaced by ours; see drop_in.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from problems import NIGHTLY, since

OPTIONS = "-m pytest -q -W ignore -p no:cacheprovider -p drop_in --pyargs"
SLOW = "test_ridge_cv_results_predictions and tall"  # run only by night; the same tests on wide data take a fifth of the time
# The smallest number of tests in each module that have to pass and to fit our estimators.
LEAST = {"test_sgd": 120, "test_logistic": 150, "test_ridge": 450, "test_common": 15}

listed = since("1.9", "drop_in.py lists the tests of this version")


@pytest.mark.parametrize(
    "module",
    [pytest.param("test_sgd", marks=listed), pytest.param("test_logistic", marks=listed), "test_ridge", "test_common"],
)
def test_tests_of_scikit_learn_pass(module):
    here = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable,
            *OPTIONS.split(),
            f"sklearn.linear_model.tests.{module}",
            *([] if NIGHTLY else ["-k", f"not ({SLOW})"]),
        ],
        cwd=here,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"drop-in: (\d+) passed", done.stdout)[1]) >= LEAST[module], done.stdout[-500:]
    assert f"reasons without a test for {module}: []" in done.stdout, done.stdout[-500:]
