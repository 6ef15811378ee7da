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
        self._look_again(number, IDLE_SECONDS)
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

    def _look_again(self, number: int, seconds: float) -> None:
        timer = threading.Timer(seconds, self._end_if_idle, [number])
        timer.daemon = True
        timer.start()

    def _end_if_idle(self, number: int) -> None:
        rest = self._used.get(number, 0.0) + IDLE_SECONDS - time.monotonic()
        if rest > 0:
            self._look_again(number, rest)
        else:
            self.forget(number)
