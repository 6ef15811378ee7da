"""One user's session: the connection, how results are shown, and what runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import duckdb

from duckmf import bigquery
from duckmf.shell import commands, output, splitting

CHANGES = (["Count"], ["Success"])  # what DuckDB 2.0 answers where there is nothing to show


@dataclass
class Session:
    """A connection with duckmf, and the settings of its shell."""

    con: duckdb.DuckDBPyConnection
    mode: str = "duckbox"
    timer: bool = False
    progress: bool = False

    def __post_init__(self) -> None:
        # a table that does not exist is no variable of ours
        self.con.execute("set python_enable_replacements = false")
        # DuckDB draws its bar on standard output, among the results
        self.con.execute(f"set enable_progress_bar = {str(self.progress).lower()}")

    def script(self, lines: Iterable[str]) -> None:
        """Run the statements and dot commands of a script, up to the first that fails."""
        for item in splitting.items(lines):
            self.run(item)

    def run(self, item: str) -> None:
        """Run one of them and show its result.

        Raises:
            duckdb.Error: a statement that DuckDB refuses.
            DuckMFError: a statement or a command that we refuse.
            OSError: a file that cannot be read or written.
            KeyboardInterrupt: Ctrl-C ended the statement; it holds DuckDB's message.
            SystemExit: the command to leave.
        """
        if splitting.is_command(item):
            commands.run(self, item)
            return
        began, used = time.perf_counter(), os.times()
        self._interruptible(item)
        if self.timer:
            now = os.times()
            print(
                f"Run Time (s): real {time.perf_counter() - began:.3f} "
                f"user {now.user - used.user:.3f} sys {now.system - used.system:.3f}"
            )

    def _interruptible(self, statement: str) -> None:
        """Run a statement in a thread, so that this one is free to hear Ctrl-C at any time."""
        stopped = False
        with ThreadPoolExecutor(1, "statement") as thread:
            done = thread.submit(self._show, statement)
            while True:
                try:
                    return done.result()
                except KeyboardInterrupt:
                    stopped = True
                    self.con.interrupt()
                except duckdb.Error as error:
                    if stopped:
                        raise KeyboardInterrupt(error) from error
                    raise

    def _show(self, statement: str) -> None:
        result = bigquery.sql(self.con, statement)
        if result is not None and not _is_change(result):
            output.MODES[self.mode](self.con, result)
        sys.stdout.flush()


def _is_change(result: duckdb.DuckDBPyRelation) -> bool:
    return result.type == "MATERIALIZED_RELATION" and result.columns in CHANGES
