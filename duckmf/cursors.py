"""A connection for clients that open a cursor for each statement, as jupysql does."""

from __future__ import annotations

from typing import Any

import duckdb

from duckmf import plugin


class Cursors:
    """Stands for a DuckDB connection: the methods are the connection's own, the cursors loaded.

    DuckDB keeps temp macros to the connection that made them, so that a cursor does not see what
    `load` gave to its connection. Giving them to a cursor takes 30 ms, 0.2 s on DuckDB 1.4.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        plugin.load(con)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a cursor with the `mf_` functions."""
        cursor = self._con.cursor()
        plugin.add_macros(cursor)
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)


def cursors(con: duckdb.DuckDBPyConnection) -> Cursors:
    """Give a connection and all cursors that are opened through the result the `mf_` functions.

    For jupysql (`%sql`), `pandas.read_sql` and others that never run a statement on the connection
    itself. Nothing is written to the database.
    """
    return Cursors(con)
