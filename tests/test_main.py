"""The command line, `python -m skgd`."""

import os
import subprocess
import sys

import numba
import pytest
import sklearn

import skgd
from skgd.__main__ import main
from skgd.compiled.cache import CACHE_FOLDER


def test_it_prints_versions_cache_folder_and_threads(capsys):
    assert main([]) == 0
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["skgd"] == skgd.__version__
    assert printed["scikit-learn"] == sklearn.__version__
    assert printed["Numba"] == numba.__version__
    assert printed["cache"] == str(CACHE_FOLDER)
    assert int(printed["threads"].split()[0]) >= 1


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["bake"])
    assert "bake" in capsys.readouterr().err


def test_compile_fits_every_common_case_and_shows_its_progress():
    """The test runs without the JIT, to be fast; test_cache.py tests the cache of compiled kernels."""
    done = subprocess.run(
        [sys.executable, "-m", "skgd", "compile"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "86/86 text float32, hinge, auto" in done.stdout
    assert "Compiled in" in done.stdout
