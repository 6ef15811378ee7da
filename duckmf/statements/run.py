"""A statement under way: what the registry of runs knows of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.kernels.threads import Workers
from duckmf.ratings.gathering import Gathering
from duckmf.statements.requests import Request


@dataclass(frozen=True)
class Made:
    """Rows of users, or of items, as a column of each of their numbers; None for what is not."""

    ratings: NDArray[np.int64]
    bias: NDArray[np.float32] | None = None
    factors: NDArray[np.float32] | None = None
    implicit_factors: NDArray[np.float32] | None = None
    seen: pa.Array | None = None
    seen_ratings: pa.Array | None = None
    seen_times: pa.Array | None = None
    temporal: pa.Array | None = None
    uncertainty: pa.Array | None = None

    def with_seen(self, items: pa.Array, ratings: pa.Array, times: pa.Array | None) -> Made:
        """The same users with what they have seen."""
        return replace(self, seen=items, seen_ratings=ratings, seen_times=times)


@dataclass(frozen=True)
class Outcome:
    """What a statement ends with: the row of kind 'model', or one that only says something."""

    info: dict[str, Any]
    ratings: int | None = None
    mu: float | None = None
    temporal: dict[str, float] | None = None
    facts: dict[str, Any] | None = None
    uncertainty: dict[str, Any] | None = None


class Run:
    """What every statement that learns has: rows to gather, and threads."""

    def __init__(self, request: Request, threads: int | None) -> None:
        """Begin what was asked for.

        Raises:
            DataError: the source has rows that cannot be used.
        """
        self.function = request.function
        self.lock = threading.Lock()  # of one call at a time
        self.began = time.perf_counter()
        self.gathering = Gathering(request.counts)
        self.threads: int = threads or request.duckdb_threads
        self.workers = Workers(self.threads)

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        raise NotImplementedError

    def close(self) -> None:
        """Take away what people see of it, such as a progress bar."""
