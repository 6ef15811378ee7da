"""The connections of a database instance, as far as they were loaded."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

import duckdb


class Connections:
    """Those of one instance, by the number that DuckDB gives each; none is kept alive."""

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[duckdb.DuckDBPyConnection]] = {}

    def add(self, number: int, connection: duckdb.DuckDBPyConnection) -> None:
        """Know one more, and forget those that nobody holds any more."""
        for other, known in list(self._known.items()):
            if known() is None:
                self._known.pop(other, None)
        self._known[number] = weakref.ref(connection)

    def __iter__(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Those that are held; some may be closed."""
        held = (known() for known in list(self._known.values()))
        return (connection for connection in held if connection is not None)

    def watch(self, number: int) -> Callable[[], bool]:
        """What tells whether a connection is open: one that is not known here always is."""
        known = self._known.get(number)
        return lambda: known is None or is_open(known())


def is_open(connection: duckdb.DuckDBPyConnection | None) -> bool:
    """Whether a connection is held and not closed; from any thread, whatever it is doing."""
    if connection is None:
        return False
    try:
        connection.query_progress()
    except duckdb.ConnectionException:
        return False
    return True
