"""The cache of compiled kernels, tested in new processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import skgd
from skgd.compiled.cache import _refuse_what_others_can_write

FIT = """
import json, warnings
import numpy as np
import scipy.sparse as sp
from skgd import GDClassifier
from skgd.data import kernels
from skgd.compiled.cache import CACHE_FOLDER
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 60)) * (rng.random((600, 60)) < 0.3)
model = GDClassifier(solver="gd", tol=1e-6).fit(sp.csr_matrix(X), X[:, 0] + rng.normal(size=600) > 0.0)
stats = kernels.loss_sums.stats
print(json.dumps(dict(
    folder=str(CACHE_FOLDER), objective=model.loss_curve_[0], coefficients=model.coef_[0].tolist(),
    hits=sum(stats.cache_hits.values()), misses=sum(stats.cache_misses.values()),
)))
"""


TINY = """
from skgd.compiled.jit import kernel

@kernel
def total(x):
    sum = 0.0
    for i in range(len(x)):
        sum += x[i]
    return sum
"""
SUM = """
import json
import numpy as np
from tiny import total
sums = total(np.full(3, 2.0)), total(np.full(3, 2.0, np.float32))
print(json.dumps(dict(sums=sums, hits=sum(total.stats.cache_hits.values()), folder=total.stats.cache_path)))
"""


WHERE = "import json; from skgd.compiled.cache import CACHE_FOLDER; print(json.dumps(str(CACHE_FOLDER)))"


def fit_in_new_process(package=Path(skgd.__file__).parent, code=FIT, ends=0, **environment):
    """Run `code` with the package in this folder; return its JSON output and its stderr, or None if it `ends` with an error."""
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
    assert done.returncode == ends, done.stderr
    if ends:
        return None
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder that one process has filled, and the output of that process."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, fit_in_new_process(NUMBA_CACHE_DIR=str(folder))[0]


def test_a_second_process_compiles_nothing(warm):
    folder, first = warm
    second, _ = fit_in_new_process(NUMBA_CACHE_DIR=str(folder))
    assert first["misses"] > 0
    assert first["hits"] == 0
    assert second["misses"] == 0
    assert second["hits"] > 0


def test_the_process_that_compiles_has_the_bits_of_those_that_load(warm):
    """Numba itself would call other code of the same function, compiled alone, where a kernel does not inline it."""
    folder, first = warm
    assert fit_in_new_process(NUMBA_CACHE_DIR=str(folder))[0]["coefficients"] == first["coefficients"]


def test_a_first_fit_compiles_two_kernels(warm):
    """These are the moments of the columns and all sums of the loss.  Each further kernel costs the first fit some seconds."""
    kernels = {path.name.split("-")[0] for path in Path(warm[1]["folder"]).rglob("*.nbi")}
    assert kernels == {"kernels.moments", "kernels.loss_sums"}


def test_the_cache_is_inside_the_folder_that_the_user_names(warm):
    folder, first = warm
    assert Path(first["folder"]).is_relative_to(folder)
    assert list(Path(first["folder"]).rglob("*.nbc"))


def test_an_edited_loss_is_compiled_anew(warm, tmp_path):
    """Numba itself would run the old loss, because it only checks the file of the kernel."""
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


@pytest.mark.parametrize("module", ["separable", "ramps", "default_methods", "surrogate_curvature", "arithmetic", "log_link"])
def test_an_edit_of_any_module_of_the_losses_changes_the_digest(module, tmp_path):
    package = Path(shutil.copytree(Path(skgd.__file__).parent, tmp_path / "skgd", ignore=shutil.ignore_patterns("__pycache__")))
    code = "import json; from skgd.compiled.cache import digest; print(json.dumps(digest()))"
    before, _ = fit_in_new_process(package, code)
    with (package / "losses" / f"{module}.py").open("a") as file:
        file.write("# edited")
    assert fit_in_new_process(package, code)[0] != before


def test_without_a_writable_folder_it_compiles_in_memory_and_says_so_once():
    nowhere = os.devnull + "/nowhere"  # not even root can make a folder inside a file
    result, said = fit_in_new_process(NUMBA_CACHE_DIR=nowhere, HOME=nowhere)
    assert result["folder"] == "None"
    assert result["objective"] > 0
    assert said.count("RuntimeWarning: skgd compiles its kernels anew") == 1
    assert "NUMBA_CACHE_DIR" in said


def test_without_a_home_it_compiles_in_memory_too():
    folder, said = fit_in_new_process(code=WHERE, HOME=os.devnull + "/nowhere", XDG_CACHE_HOME="", NUMBA_CACHE_DIR="")
    assert folder == "None"
    assert "RuntimeWarning" in said


def test_a_module_imported_twice_leaves_both_copies_working(warm):
    code = FIT.replace("X =", "import importlib, skgd.losses.cross_entropy as losses; importlib.reload(losses); X =")
    again, _ = fit_in_new_process(code=code, NUMBA_CACHE_DIR=str(warm[0]))
    assert again["objective"] == warm[1]["objective"]


def test_the_user_s_own_cache_folder_setting_is_left_as_it_was():
    code = "import json, numba; import skgd; print(json.dumps(numba.config.CACHE_DIR))"
    assert fit_in_new_process(code=code, NUMBA_CACHE_DIR="")[0] == ""


# ---------------------------------------------------------------- for the user alone
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of folders are POSIX")


@posix
def test_new_folders_are_for_the_user_alone(tmp_path):
    """This does not depend on the umask.  Folders that existed before keep their modes."""
    code = "import os; os.umask(0); " + WHERE
    base = tmp_path / "not" / "there"
    tmp_path.chmod(0o755)
    folder, _ = fit_in_new_process(code=code, NUMBA_CACHE_DIR=str(base))
    made = [path for path in (Path(folder), *Path(folder).parents) if path.is_relative_to(tmp_path) and path != tmp_path]
    assert len(made) == 4
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@posix
@pytest.mark.parametrize(
    ("mode", "above", "safe"),
    [
        (0o700, 0o700, True),
        (0o755, 0o755, True),
        (0o700, 0o775, True),  # often a user is the only member of the group
        (0o700, 0o1777, True),  # the mode of /tmp
        (0o700, 0o777, False),
        (0o777, 0o700, False),
        (0o1777, 0o700, False),
        (0o770, 0o700, False),
    ],
)
def test_a_folder_that_others_can_write_to_is_refused(mode, above, safe, tmp_path):
    """Others could put files into it, or replace it by a folder of their own."""
    folder = tmp_path / "above" / "cache"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    folder.parent.chmod(above)
    if safe:
        _refuse_what_others_can_write(folder)
    else:
        with pytest.raises(PermissionError, match="others can write to"):
            _refuse_what_others_can_write(folder)


@posix
def test_the_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    if os.getuid() == 0:  # folders of root are trusted, so the folder needs another owner
        os.chown(tmp_path, 1, -1)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        _refuse_what_others_can_write(tmp_path)


# ---------------------------------------------------------------- a disk that fails
@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a kernel that compiles fast, and with a cache of two signatures of this kernel."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.py").write_text(TINY)
    sums(folder)
    return folder


def sums(folder, code=SUM, ends=0):
    """Run the kernel of `folder` on two signatures, with the cache of `folder`."""
    path = os.pathsep.join([str(Path(skgd.__file__).parents[1]), str(folder)])
    return fit_in_new_process(code=code, ends=ends, NUMBA_CACHE_DIR=str(folder / "cache"), PYTHONPATH=path)


@pytest.fixture
def cached(tiny):
    """The folder of `tiny`; its cache may be damaged, and is repaired after the test."""
    whole = {path: path.read_bytes() for path in (tiny / "cache").rglob("*") if path.is_file()}
    yield tiny
    for path, content in whole.items():
        path.write_bytes(content)


def files_of_total(folder, ending):
    return sorted((folder / "cache").rglob(f"tiny.total-*.{ending}"))


@posix
def test_a_folder_that_others_can_write_is_left_alone_and_named(tiny, tmp_path):
    shutil.copy(tiny / "tiny.py", tmp_path)
    folder, _ = fit_in_new_process(code=WHERE, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    Path(folder).chmod(0o777)
    result, said = sums(tmp_path)
    assert result["sums"] == [6.0, 6.0]
    assert not list(tmp_path.rglob("*.nb?"))
    assert said.count("RuntimeWarning") == 1
    assert f"others can write to {folder}. Set NUMBA_CACHE_DIR" in said


@pytest.mark.parametrize("left", [0, 40])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_damaged_files_are_compiled_anew(ending, left, cached):
    """After a crash of the machine, a file may have only its beginning."""
    for path in files_of_total(cached, ending)[-2:]:
        path.write_bytes(path.read_bytes()[:left])
    again, said = sums(cached)
    assert again["sums"] == [6.0, 6.0]
    assert said == ""
    assert sums(cached)[0]["hits"] == 2


def test_files_that_two_processes_mixed_up_are_compiled_anew(cached):
    """Two processes may give the same number to different signatures; one wrote the index and the other wrote the code."""
    first, second = files_of_total(cached, "nbc")[-2:]
    mixed = second.read_bytes(), first.read_bytes()
    first.write_bytes(mixed[0])
    second.write_bytes(mixed[1])
    again, _ = sums(cached)
    assert again["sums"] == [6.0, 6.0]
    assert again["hits"] == 0
    assert sums(cached)[0]["hits"] == 2


@posix
@pytest.mark.parametrize("step", ["_save_index", "_save_data"])
def test_a_process_killed_while_it_writes_leaves_a_cache_that_works(step, tiny, tmp_path):
    shutil.copy(tiny / "tiny.py", tmp_path)
    dies = f"""
import os, signal
from numba.core.caching import IndexDataCacheFile
IndexDataCacheFile.{step} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
"""
    sums(tmp_path, dies + SUM, ends=-signal.SIGKILL)
    assert sums(tmp_path)[0]["sums"] == [6.0, 6.0]
    assert sums(tmp_path)[0]["hits"] == 2


@posix
def test_a_full_disk_costs_one_warning_and_no_fit(tiny, tmp_path):
    """A limit of the file size simulates the full disk."""
    shutil.copy(tiny / "tiny.py", tmp_path)
    full = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    full += "sys.dont_write_bytecode = True\n"  # Python itself would leave an incomplete file
    result, said = sums(tmp_path, full + SUM)
    assert result["sums"] == [6.0, 6.0]
    assert said.count("RuntimeWarning: skgd cannot keep compiled kernels") == 1
    assert not list(Path(result["folder"]).rglob("*.tmp.*"))
    assert sums(tmp_path)[0]["sums"] == [6.0, 6.0]
