"""A statement under way: what the registry of runs knows of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from duckmf.kernels.threads import Workers
from duckmf.ratings.gathering import Gathering


@dataclass(frozen=True)
class Outcome:
    """What a statement ends with: the row of kind 'model', or one that only says something."""

    info: dict[str, Any]
    ratings: int | None = None
    mu: float | None = None
    temporal: dict[str, float] | None = None
    facts: dict[str, Any] | None = None


class Run:
    """What every statement that learns has: rows to gather, threads, a place among the runs."""

    def __init__(self, request: dict[str, Any], threads: int | None) -> None:
        """Begin with the request that a macro makes.

        Raises:
            DataError: the source has rows that cannot be used.
        """
        self.function: str = request["function"]
        self.connection, self.query = request["connection"], request["query"]
        self.lock = threading.Lock()
        self.deadline = float("inf")  # of the next call; infinite while one is under way
        self.interrupted = False
        self.began = time.perf_counter()
        self.gathering = Gathering(request["counts"])
        self.threads: int = threads or request["duckdb_threads"]
        self.workers = Workers(self.threads)

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the threads."""
        self.workers.close()
