"""BLAS is limited to one thread while fits run in any threads, and gets its former number of threads back."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from threadpoolctl import OpenBLASController, ThreadpoolController, threadpool_info, threadpool_limits

from skgd import GDClassifier
from skgd.compiled.threads import threads


def blas():
    """The number of threads of each BLAS library."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_threads():
    """Let BLAS use two threads on any machine."""
    before = blas()
    _set([2] * len(before))
    yield
    _set(before)


def _set(counts):
    """Set the number of threads of each BLAS library such that any thread may change it later."""
    for library, count in zip(ThreadpoolController().select(user_api="blas").lib_controllers, counts, strict=True):
        library.set_num_threads(count)
    if hasattr(OpenBLASController, "clear_controlling_thread"):  # only later versions of threadpoolctl have it
        OpenBLASController.clear_controlling_thread(force=True)


@pytest.fixture
def elsewhere():
    """A function that runs functions in another thread, the same one for all calls."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


def test_blas_is_held_to_one_thread_and_released():
    before = blas()
    with threads(1), threads(2):
        assert set(blas()) == {1}
    assert blas() == before


def test_blas_is_released_after_an_error():
    before = blas()
    with pytest.raises(KeyError), threads(1):
        raise KeyError
    assert blas() == before


def test_other_limits_inside_and_outside_are_kept():
    with threadpool_limits(1, user_api="blas"):
        with threads(1):
            pass
        assert set(blas()) == {1}
    assert set(blas()) == {2}
    with threads(1):
        with threadpool_limits(2, user_api="blas"):
            assert set(blas()) == {2}
        assert set(blas()) == {1}
    assert set(blas()) == {2}


@pytest.mark.parametrize("first_in", ["here", "elsewhere"])
@pytest.mark.parametrize("first_out", ["here", "elsewhere"])
def test_overlapping_threads_restore_in_any_order(first_in, first_out, elsewhere):
    before = blas()
    stacks = {"here": ExitStack(), "elsewhere": ExitStack()}
    run = {"here": lambda function, *args: function(*args), "elsewhere": elsewhere}
    for place in sorted(stacks, key=lambda place: place != first_in):
        run[place](stacks[place].enter_context, threads(1))
        assert set(blas()) == {1}
    for place in sorted(stacks, key=lambda place: place != first_out):
        assert set(blas()) == {1}
        run[place](stacks[place].close)
    assert blas() == before


def test_a_fit_leaves_blas_to_other_threads(two_classes, elsewhere):
    """OpenBLAS accepts limits only from the thread that controls it, until that thread gives up the control."""
    GDClassifier().fit(*two_classes)

    def limited():
        with threadpool_limits(1, user_api="blas"):
            return blas()

    assert set(elsewhere(limited)) == {1}
