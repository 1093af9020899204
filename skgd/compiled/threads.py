"""Threads for passes over X, during which BLAS is limited to one thread.

Kernels call BLAS from several threads, on tiles that are too small for BLAS to divide among threads.  More threads would only
compete for the cores, and could change the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock
from typing import Any, NamedTuple

from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController


class Team(NamedTuple):
    """Threads that work together: their number, and a `map` that runs on them."""

    size: int
    map: Callable[..., Any]


ALONE = Team(1, map)
SHARED = 600_000  # entries of X, times columns of scores, from which a pass by default uses several threads


def thread_count(n_jobs: int | None, work: int) -> int:
    """The number of threads for a pass, from the parameter `n_jobs` as joblib reads it.

    None means all cores if the `work`, counted as for `SHARED`, is large enough, but one thread inside joblib's workers.
    """
    if n_jobs is not None:
        return effective_n_jobs(n_jobs)
    nested = get_active_backend()[0].nesting_level or 0
    return 1 if nested or work < SHARED else effective_n_jobs(-1)


@contextmanager
def threads(count: int) -> Iterator[Team]:
    """A team of `count` threads, with BLAS limited to one thread."""
    with _blas(), team_of(count) as team:
        yield team


@contextmanager
def team_of(count: int) -> Iterator[Team]:
    """A team of `count` threads for work without BLAS."""
    if count == 1:
        yield ALONE
    else:
        with ThreadPoolExecutor(count - 1) as pool:
            yield Team(count, partial(_shared_map, pool))


def _shared_map(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """The results function(item) in the order of the items; the first is computed here, so one thread fewer has to wake."""
    first, *rest = items
    others = [pool.submit(function, item) for item in rest]
    return [function(first), *(other.result() for other in others)]


class _SingleThreadedBLAS:
    """A context that limits BLAS to one thread.

    It may be entered several times at once.  The first entry sets the limit, and the last exit restores the former one.
    """

    def __init__(self) -> None:
        self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self.lock, self.inside = Lock(), 0
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.before = [library.get_num_threads() for library in self.libraries]
                self._set([1] * len(self.libraries))
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._set(self.before)

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(self.libraries, counts, strict=True):
            library.set_num_threads(count)
            if hasattr(library, "clear_controlling_thread"):  # else OpenBLAS obeys only this thread from now on
                library.clear_controlling_thread()


@cache
def _blas() -> _SingleThreadedBLAS:
    """The only limiter of this process, created on first use because the search for BLAS libraries takes milliseconds."""
    return _SingleThreadedBLAS()


if hasattr(os, "register_at_fork"):  # a forked process has no threads that could release the limiter, so it gets a new one
    os.register_at_fork(after_in_child=_blas.cache_clear)
