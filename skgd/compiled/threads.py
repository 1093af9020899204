"""Threads: a pool for passes over X, and BLAS held to one thread meanwhile.

Kernels call BLAS on tiles, far too small to share out, and from threads of their own: more of them would only fight
for the cores, and could change the order of sums.
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
    """Threads that share work: how many, and their `map`."""

    size: int
    map: Callable[..., Any]


ALONE = Team(1, map)
SHARED = 600_000  # entries of X in memory order, times columns of scores, from which threads pay by default


def thread_count(n_jobs: int | None, work: int) -> int:
    """Threads for passes of so much work: `n_jobs` as joblib counts; None: all cores where that pays, one inside joblib."""
    if n_jobs is not None:
        return effective_n_jobs(n_jobs)
    nested = get_active_backend()[0].nesting_level or 0
    return 1 if nested or work < SHARED else effective_n_jobs(-1)


@contextmanager
def threads(count: int) -> Iterator[Team]:
    """A team of `count` threads, BLAS held to one each."""
    with _blas(), team_of(count) as team:
        yield team


@contextmanager
def team_of(count: int) -> Iterator[Team]:
    """A team of `count` threads, for work without BLAS."""
    if count == 1:
        yield ALONE
    else:
        with ThreadPoolExecutor(count - 1) as pool:
            yield Team(count, partial(_shared_map, pool))


def _shared_map(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """function(item) of all items, in their order; the first is done here, which spares one thread its waking."""
    first, *rest = items
    others = [pool.submit(function, item) for item in rest]
    return [function(first), *(other.result() for other in others)]


class _SingleThreadedBLAS:
    """Limits BLAS while anybody is inside: the first sets the limit, the last restores what was before."""

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
            if hasattr(library, "clear_controlling_thread"):  # else OpenBLAS would listen to this thread alone from now on
                library.clear_controlling_thread()


@cache
def _blas() -> _SingleThreadedBLAS:
    """The one limiter of this process, made when first needed: looking for BLAS libraries takes milliseconds."""
    return _SingleThreadedBLAS()


if hasattr(os, "register_at_fork"):  # a thread that was in a fit is not there to release what it held
    os.register_at_fork(after_in_child=_blas.cache_clear)
