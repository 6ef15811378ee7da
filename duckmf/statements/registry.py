"""Training runs: what a statement has gathered, by run number, while it is under way."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from duckmf.errors import TrainingError
from duckmf.statements import interrupts
from duckmf.statements.run import Run

# A run whose statement goes on is called again within milliseconds, except where DuckDB does other
# work of the same statement in between. One that was interrupted is never called again.
BETWEEN_EPOCHS_SECONDS = 10.0
BETWEEN_PHASES_SECONDS = 600.0

INTERRUPTED = "the training was interrupted. Nothing was written."
GIVEN_UP = (
    "the training was given up, because it was interrupted or its statement did not go on "
    f"for {BETWEEN_PHASES_SECONDS:.0f} seconds. Nothing was written; run the statement again."
)


class Runs:
    """The runs of one database instance.

    A run leaves when it finishes, when one of its calls fails, when it is interrupted, when its
    connection begins another statement, or when nothing has called it for longer than a statement
    that goes on would take.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._given_up: dict[int, str] = {}  # the functions of runs that were
        self._numbers = itertools.count(1)
        self._watch: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: Run) -> int:
        """Take a run in and number it; runs of the connection's earlier statements are over."""
        for number, other in list(self._runs.items()):
            if other.statement[0] == run.statement[0] and other.statement != run.statement:
                self._give_up(number, other)
        with self._lock:
            number = next(self._numbers)
            self._runs[number] = run
            if self._watch is None:
                interrupts.forget()
                self._watch = threading.Thread(target=self._watch_over, daemon=True)
                self._watch.start()
        return number

    def function(self, number: int) -> str:
        """The function that a run is of, or was of before it was given up."""
        run = self._runs.get(number)
        return self._given_up.get(number, "mf_fit") if run is None else run.function

    @contextmanager
    def use(self, number: int) -> Iterator[Any]:
        """The run with a number, for one call; a call that fails forgets it.

        Raises:
            DuckMFError: the run was given up or interrupted, or what the call met.
        """
        run = self._runs.get(number)
        if run is None:
            raise TrainingError(GIVEN_UP)
        try:
            with run.lock:
                run.deadline = float("inf")
                yield run
                between_epochs = run.between_epochs
                if run.interrupted:
                    raise TrainingError(INTERRUPTED)
                rest = BETWEEN_EPOCHS_SECONDS if between_epochs else BETWEEN_PHASES_SECONDS
                run.deadline = time.monotonic() + rest
        except KeyboardInterrupt:
            self.forget(number)
            raise TrainingError(INTERRUPTED) from None
        except BaseException:
            self.forget(number)
            raise

    def forget(self, number: int) -> None:
        """Let a run and its arrays go."""
        with self._lock:
            run = self._runs.pop(number, None)
        if run is not None:
            run.close()

    def _give_up(self, number: int, run: Run) -> None:
        self._given_up[number] = run.function
        self.forget(number)

    def _watch_over(self) -> None:
        """Forget runs that are over, until there are none."""
        while True:
            interrupted = interrupts.wait(1.0)
            for number, run in list(self._runs.items()):
                run.interrupted |= interrupted
                idle = run.deadline < float("inf")
                if idle and (run.interrupted or run.deadline < time.monotonic()):
                    self._give_up(number, run)
            with self._lock:
                if not self._runs:
                    self._watch = None
                    return
