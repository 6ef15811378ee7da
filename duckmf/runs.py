"""Training runs: what a statement has gathered, by run number, while it is under way."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from duckmf.errors import TrainingError
from duckmf.run import Run

# A run whose statement goes on is called again within milliseconds, except where DuckDB does other
# work of the same statement in between. One that was interrupted is never called again.
BETWEEN_EPOCHS_SECONDS = 10.0
BETWEEN_PHASES_SECONDS = 600.0


class Runs:
    """The runs of one database instance.

    A run leaves when it finishes, when one of its calls fails, when its connection begins another
    statement, or when nothing has called it for longer than a living statement would take.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._numbers = itertools.count(1)
        self._watch: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: Run) -> int:
        """Take a run in and number it; runs of the connection's earlier statements are over."""
        with self._lock:
            number = next(self._numbers)
            over = [
                n
                for n, old in self._runs.items()
                if old.connection == run.connection and old.query != run.query
            ]
            self._runs[number] = run
        for n in over:
            self.forget(n)
        self._watch_over()
        return number

    @contextmanager
    def use(self, number: int) -> Iterator[Run]:
        """The run with a number, for one call; a call that fails forgets it.

        Raises:
            TrainingError: the run was given up.
        """
        run = self._runs.get(number)
        if run is None:
            raise TrainingError(
                "mf_fit: this training was given up because its statement did not go on "
                f"for {BETWEEN_PHASES_SECONDS:.0f} seconds. Run the statement again."
            )
        try:
            with run.lock:
                run.deadline = float("inf")
                yield run
        except BaseException:
            self.forget(number)
            raise
        rest = BETWEEN_EPOCHS_SECONDS if run.between_epochs else BETWEEN_PHASES_SECONDS
        run.deadline = time.monotonic() + rest

    def forget(self, number: int) -> None:
        """Let a run and its arrays go."""
        with self._lock:
            run = self._runs.pop(number, None)
        if run is not None:
            run.close()

    def _watch_over(self) -> None:
        now = time.monotonic()
        for number, run in list(self._runs.items()):
            if run.deadline < now:
                self.forget(number)
        with self._lock:
            if not self._runs:
                self._watch = None
            elif self._watch is None or self._watch is threading.current_thread():
                self._watch = threading.Timer(BETWEEN_EPOCHS_SECONDS, self._watch_over)
                self._watch.daemon = True
                self._watch.start()
