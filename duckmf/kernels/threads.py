"""Threads over pieces of rows.

Kernels release the GIL, so plain Python threads run them side by side. The pieces are fixed by the
data alone and each writes only its own rows: the result does not depend on the number of threads.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


class Workers:
    """So many threads that map a function over pieces of work: the caller's, and helpers.

    All of a process share its helpers, of which there are at most as many as processors. Where they
    are busy the caller does the work alone, so that nothing ever waits for a thread to be free.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def map(self, function: Callable[..., Any], pieces: Iterable[tuple[Any, ...]]) -> list[Any]:
        """`[function(*piece) for piece in pieces]`, in that order, on all threads."""
        todo = deque(enumerate(pieces))
        results: list[Any] = [None] * len(todo)
        work = partial(_work, function, todo, results)
        n_helpers = min(self.threads, len(todo)) - 1
        helping = [_helpers().submit(work) for _ in range(n_helpers)]
        try:
            work()
            for helper in helping:
                if not helper.cancel():  # one that has not begun is not needed any more
                    helper.result()
        finally:
            todo.clear()
        return results


def _work(
    function: Callable[..., Any], todo: deque[tuple[int, tuple[Any, ...]]], results: list[Any]
) -> None:
    """Take pieces until there are none; after an error nobody takes another one."""
    while True:
        try:
            n, piece = todo.popleft()
        except IndexError:
            return
        try:
            results[n] = function(*piece)
        except BaseException:
            todo.clear()
            raise


def _helpers() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, "duckmf")
        return _pool


def _start_anew() -> None:
    """A forked process has no threads but the one that forked it."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(after_in_child=_start_anew)


def row_pieces(indptr: NDArray[np.int64], entries: int = 1 << 16) -> list[tuple[int, int]]:
    """Cut the rows of a CSR matrix into ranges `[begin, end)` of about `entries` entries each."""
    n_rows = len(indptr) - 1
    cuts = np.searchsorted(indptr, np.arange(entries, indptr[-1], entries))
    bounds = np.unique(np.concatenate(([0], cuts, [n_rows])))
    return [(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
