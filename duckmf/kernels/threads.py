"""Threads over pieces of rows.

Kernels release the GIL, so plain Python threads run them side by side. The pieces are fixed by the
data alone and each writes only its own rows: the result does not depend on the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Workers:
    """A fixed number of threads that map a function over pieces of work."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, "duckmf") if threads > 1 else None

    def map(self, function: Callable[..., Any], pieces: Iterable[tuple[Any, ...]]) -> list[Any]:
        """`[function(*piece) for piece in pieces]`, in that order, on all threads."""
        if self._pool is None:
            return [function(*piece) for piece in pieces]
        return list(self._pool.map(lambda piece: function(*piece), pieces))

    def close(self) -> None:
        """Let the threads go; what still runs ends by itself."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def row_pieces(indptr: NDArray[np.int64], entries: int = 1 << 16) -> list[tuple[int, int]]:
    """Cut the rows of a CSR matrix into ranges `[begin, end)` of about `entries` entries each."""
    n_rows = len(indptr) - 1
    cuts = np.searchsorted(indptr, np.arange(entries, indptr[-1], entries))
    bounds = np.unique(np.concatenate(([0], cuts, [n_rows])))
    return [(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
