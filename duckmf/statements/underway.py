"""What statements have laid out for their later calls, by number, while they are under way."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from duckmf.errors import DuckMFError, TrainingError
from duckmf.statements import interrupts
from duckmf.statements.requests import Statement
from duckmf.statements.run import Run

# DuckDB does not tell when a statement ends before its last call: because it failed or was
# interrupted, or because its client does not fetch the rest. One that goes on calls again within
# milliseconds, except where DuckDB does other work of it in between, which takes processor time,
# or where the client takes its own to fetch. So things are looked at once a second:
SECOND = 1.0
RESTING = 10  # looks at a run without a call, where none of DuckDB's work can be the reason
FETCHING = 60  # the same of lists, which come to the client before the last call
IDLE = 600  # looks without a call, whatever the reason
QUIET_SHARE = 0.01  # of one processor: DuckDB works on nothing where the process takes no more

INTERRUPTED = "this statement was interrupted. Nothing was written; run it again."
GIVEN_UP = (
    "this statement was given up, because it was interrupted, its connection was closed or it did "
    "not go on. Nothing was written; run it again."
)
NOBODY = "duckmf"  # in whose name this is said, where what it was for has been forgotten
REMEMBERED = 100


@dataclass(frozen=True)
class Origin:
    """Which statement lays something out."""

    function: str  # the one that was called
    statement: Statement


@dataclass(eq=False)
class Entry:
    """A thing that a statement has laid out, and when it was last called."""

    origin: Origin
    thing: Any
    is_open: Callable[[], bool]  # whether the connection of the statement is
    lock: threading.Lock = field(default_factory=threading.Lock)
    calls: int = 0  # under way
    looks: int = 0  # since the last call
    quiet: int = 0  # of them in a row, without processor time
    interrupted: bool = False

    def look(self, quiet: bool) -> None:
        """Count one more look at it."""
        self.looks += 1
        self.quiet = self.quiet + 1 if quiet else 0

    @property
    def is_over(self) -> bool:
        """Whether its statement cannot call again, or has not for too long."""
        if self.calls:
            return False
        if self.looks >= IDLE or not self.is_open():
            return True
        if not isinstance(self.thing, Run):
            return self.quiet >= FETCHING
        return (
            self.interrupted
            or self.quiet >= RESTING
            or (self.looks >= RESTING and self.thing.between_epochs)
        )


T = TypeVar("T")


class Underway:
    """What the statements of one database instance have laid out.

    A thing leaves when its statement finishes with it, when one of its calls fails, when its
    connection is closed or begins another statement with us, when it is interrupted, and when it
    has not been called for longer than a statement that goes on would take.
    """

    def __init__(self, watch: Callable[[int], Callable[[], bool]]) -> None:
        """`watch` gives, for the number of a connection, what tells whether it is open."""
        self._watch = watch
        self._entries: dict[int, Entry] = {}
        # of those that were last given up or have failed: their functions, and what is said of them
        self._gone: dict[int, tuple[str, DuckMFError]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def things(self, kind: type[T]) -> list[T]:
        """Those of a kind."""
        things = [entry.thing for entry in list(self._entries.values())]
        return [thing for thing in things if isinstance(thing, kind)]

    def add(self, thing: Any, origin: Origin) -> int:
        """Take a thing in and number it; what its connection laid out before is over."""
        connection, query = origin.statement
        for number, entry in list(self._entries.items()):
            its_connection, its_query = entry.origin.statement
            earlier = its_connection == connection and its_query != query
            if earlier or not entry.is_open():
                self.forget(number)
        number = next(self._numbers)
        self._entries[number] = Entry(origin, thing, self._watch(connection))
        with self._lock:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch_over, daemon=True)
                self._watcher.start()
        return number

    def function(self, number: int) -> str:
        """The function that a thing was laid out for."""
        entry = self._entries.get(number)
        if entry is None:
            return self._gone.get(number, (NOBODY, None))[0]
        return entry.origin.function

    @contextmanager
    def use(self, number: int, kind: type[T]) -> Iterator[T]:
        """The thing with a number, for one call; one that fails forgets it.

        Raises:
            DuckMFError: the thing was given up or interrupted, or what the call met.
        """
        entry = self._entries.get(number)
        if entry is None or not isinstance(entry.thing, kind):
            raise self._gone.get(number, (NOBODY, TrainingError(GIVEN_UP)))[1]
        with entry.lock:
            entry.calls += 1
        try:
            yield entry.thing
            if entry.interrupted:
                raise TrainingError(INTERRUPTED)
        except KeyboardInterrupt:
            self.forget(number)
            raise TrainingError(INTERRUPTED) from None
        except DuckMFError as error:  # other threads of the statement are told the same
            self._remember(number, entry, error)
            self.forget(number)
            raise
        except BaseException:
            self.forget(number)
            raise
        finally:
            with entry.lock:
                entry.calls -= 1
                entry.looks = entry.quiet = 0

    def forget(self, number: int) -> None:
        """Let a thing and its arrays go."""
        entry = self._entries.pop(number, None)
        if entry is not None and isinstance(entry.thing, Run):
            entry.thing.close()

    def _give_up(self, number: int, entry: Entry) -> None:
        self._remember(number, entry, TrainingError(GIVEN_UP))
        self.forget(number)

    def _remember(self, number: int, entry: Entry, error: DuckMFError) -> None:
        self._gone[number] = entry.origin.function, error
        if len(self._gone) > REMEMBERED:
            del self._gone[min(self._gone)]

    def _watch_over(self) -> None:
        """Look at all things once a second, and forget what is over, until there are none."""
        presses, used = interrupts.presses(), time.process_time()
        while True:
            interrupted = interrupts.wait(SECOND, presses)
            presses, before, used = interrupts.presses(), used, time.process_time()
            for number, entry in list(self._entries.items()):
                entry.interrupted |= interrupted
                if not interrupted:
                    entry.look(quiet=used - before < QUIET_SHARE * SECOND)
                if entry.is_over:
                    self._give_up(number, entry)
            with self._lock:
                if not self._entries:
                    self._watcher = None
                    return
