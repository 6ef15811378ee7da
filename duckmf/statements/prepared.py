"""What statements under way have laid out for their later calls, by number."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from duckmf.errors import TrainingError
from duckmf.statements.requests import Statement

# DuckDB does not tell when a statement ends. What it has prepared is used again within milliseconds
# while it goes on, unless the client takes its time to fetch.
IDLE_SECONDS = 600.0

GIVEN_UP = f"this statement rested for {IDLE_SECONDS:.0f} seconds and was given up; run it again."
NOBODY = "duckmf"  # in whose name this is said: what it was prepared for has been forgotten


@dataclass(frozen=True)
class Origin:
    """Which statement prepares something."""

    function: str  # the one that was called
    statement: Statement


class Closing(Protocol):
    """What holds threads or memory until it is closed."""

    def close(self) -> None:
        """Let them go."""


T = TypeVar("T", bound=Closing)


class Prepared(Generic[T]):
    """What the statements of one database instance have prepared, of one sort.

    A thing leaves when its connection prepares one in another statement, or when nothing has used
    it for long. Until then it holds its memory.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: dict[int, tuple[Origin, T]] = {}
        self._used: dict[int, float] = {}
        self._numbers = itertools.count(1)
        self._watch: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._things)

    def add(self, thing: T, origin: Origin) -> int:
        """Take a thing in and number it; those of the connection's earlier statements go."""
        statement = origin.statement
        for number, (other, _) in list(self._things.items()):
            if other.statement[0] == statement[0] and other.statement != statement:
                self.forget(number)
        with self._lock:
            number = next(self._numbers)
            self._things[number] = origin, thing
            self._used[number] = time.monotonic()
            if self._watch is None:
                self._look_again(IDLE_SECONDS)
        return number

    def function(self, number: int) -> str:
        """The function that a thing was prepared for."""
        with self._lock:
            return self._things[number][0].function if number in self._things else NOBODY

    def use(self, number: int) -> T:
        """The thing with a number.

        Raises:
            TrainingError: it was given up.
        """
        with self._lock:
            if number not in self._things:
                raise TrainingError(GIVEN_UP)
            self._used[number] = time.monotonic()
            return self._things[number][1]

    def forget(self, number: int) -> None:
        """Let a thing and its arrays go."""
        with self._lock:
            _, thing = self._things.pop(number, (None, None))
            self._used.pop(number, None)
        if thing is not None:
            thing.close()

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
