"""The rankings of statements under way, by number."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TypeAlias

from duckmf.errors import TrainingError
from duckmf.topk import Ranking

# DuckDB does not tell when a statement ends. A ranking is used again within milliseconds while its
# statement goes on, unless the client takes its time to fetch.
IDLE_SECONDS = 600.0

GIVEN_UP = (
    f"duckmf: this statement rested for {IDLE_SECONDS:.0f} seconds and was given up; run it again."
)

Statement: TypeAlias = tuple[int, int]  # its connection and its query


class Rankings:
    """The rankings of one database instance.

    A ranking leaves when its connection ranks in another statement, or when nothing has used it
    for long. Until then it holds the items once in memory, twice their factors.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rankings: dict[int, tuple[Statement, Ranking]] = {}
        self._used: dict[int, float] = {}
        self._numbers = itertools.count(1)
        self._watch: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._rankings)

    def add(self, ranking: Ranking, statement: Statement) -> int:
        """Take a ranking in and number it; those of the connection's earlier statements go."""
        for number, (other, _) in list(self._rankings.items()):
            if other[0] == statement[0] and other != statement:
                self.forget(number)
        with self._lock:
            number = next(self._numbers)
            self._rankings[number] = statement, ranking
            self._used[number] = time.monotonic()
            if self._watch is None:
                self._look_again(IDLE_SECONDS)
        return number

    def use(self, number: int) -> Ranking:
        """The ranking with a number.

        Raises:
            TrainingError: it was given up.
        """
        with self._lock:
            if number not in self._rankings:
                raise TrainingError(GIVEN_UP)
            self._used[number] = time.monotonic()
            return self._rankings[number][1]

    def forget(self, number: int) -> None:
        """Let a ranking and its arrays go."""
        with self._lock:
            _, ranking = self._rankings.pop(number, (None, None))
            self._used.pop(number, None)
        if ranking is not None:
            ranking.close()

    def _look_again(self, seconds: float) -> None:
        self._watch = threading.Timer(seconds, self._end_idle_ones)
        self._watch.daemon = True
        self._watch.start()

    def _end_idle_ones(self) -> None:
        """Forget what nothing has used for long, and come back for the others."""
        idle_since = time.monotonic() - IDLE_SECONDS
        for number, used in list(self._used.items()):
            if used <= idle_since:
                self.forget(number)
        with self._lock:
            self._watch = None
            if self._used:
                self._look_again(min(self._used.values()) - idle_since)
